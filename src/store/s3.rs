//! S3 and S3-compatible servers: settings, retries, and what sits between object_store and the wire.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use aws_credential_types::Credentials;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Key};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};
use tokio::sync::Semaphore;

use super::credentials::{self, Identity};
use super::{Meter, Options};
use crate::error::{Error, Result};

/// Requests in flight at once. A request holds its place until its answer begins, never while somebody consumes the
/// answer: so waiting consumers cannot block each other.
const MAX_REQUESTS: usize = 64;

/// How long a write may take, beyond the time its body needs. Completing a large upload keeps S3 busy for a while.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// The slowest upload that is not given up, in bytes per second.
const SLOWEST_UPLOAD: u64 = 128 * 1024;

/// Failed attempts to connect after which a server that never answered is taken for unreachable.
const FIRST_CONTACT_ATTEMPTS: u32 = 3;

/// Settings that an unknown one is answered with; `AmazonS3ConfigKey` has more, for which the message says so.
const KNOWN: &[&str] = &[
    "access_key_id",
    "secret_access_key",
    "session_token",
    "profile",
    "role_arn",
    "external_id",
    "role_session_name",
    "skip_signature",
    "region",
    "endpoint_url",
    "endpoint_url_sts",
    "virtual_hosted_style_request",
    "request_payer",
    "server_side_encryption",
    "sse_kms_key_id",
    "sse_bucket_key_enabled",
    "allow_invalid_certificates",
    "connect_timeout",
    "timeout",
    "proxy_url",
    "user_agent",
];

/// Opens a bucket. Nothing is asked of S3 yet.
///
/// # Errors
/// Of kind `Usage`, on settings that do not exist or cannot be.
pub(super) async fn open(bucket: &str, options: &Options, meter: &Arc<Meter>) -> Result<AmazonS3> {
    let env = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (mut builder, identity) = configure(env, options)?;

    let signed = builder.get_config_value(&Key::SkipSignature).as_deref() != Some("true");
    let keys_given = identity.keys.is_some() || builder.get_config_value(&Key::AccessKeyId).is_some();
    let endpoint = |builder: &AmazonS3Builder| {
        builder.get_config_value(&Key::S3Endpoint).or_else(|| builder.get_config_value(&Key::Endpoint))
    };
    // Only a machine that has no keys of its own can be an instance with a role, whose service knows the Region.
    let ask_instance = signed && !keys_given && endpoint(&builder).is_none();
    let sdk = credentials::load(&identity, builder.get_config_value(&Key::Region), ask_instance).await;

    if endpoint(&builder).is_none()
        && let Some(url) = sdk.endpoint_url()
    {
        builder = builder.with_endpoint(url);
    }
    if endpoint(&builder).is_some_and(|url| url.to_ascii_lowercase().starts_with("http://")) {
        builder = builder.with_allow_http(true);
    }
    let region = sdk.region().map_or("us-east-1", |region| region.as_ref()).to_owned();
    let has_plain_keys = builder.get_config_value(&Key::AccessKeyId).is_some();
    if signed && !has_plain_keys {
        builder = builder.with_credentials(Arc::new(credentials::provider(identity, &sdk).await));
    }
    let client = Key::Client(ClientConfigKey::UserAgent);
    if builder.get_config_value(&client).is_none() {
        builder = builder.with_config(client, concat!("trailhouse/", env!("CARGO_PKG_VERSION")));
    }
    builder
        .with_bucket_name(bucket)
        .with_region(&region)
        .with_retry(retries())
        .with_http_connector(Connector { meter: Arc::clone(meter), region })
        .build()
        .map_err(|error| Error::usage("cannot use the S3 settings").caused_by(error))
}

/// The environment's settings, and the options over them. An empty variable counts as unset.
fn configure(
    env: impl Iterator<Item = (String, String)>,
    options: &Options,
) -> Result<(AmazonS3Builder, Identity)> {
    let mut identity = Identity::default();
    let mut given: Vec<(Key, &str)> = Vec::new();
    for (name, value) in &options.pairs {
        let lower = name.trim().to_ascii_lowercase();
        let value = value.as_str();
        match lower.strip_prefix("aws_").unwrap_or(&lower) {
            "profile" => identity.profile = Some(value.to_owned()),
            "role_arn" => identity.role_arn = Some(value.to_owned()),
            "external_id" => identity.external_id = Some(value.to_owned()),
            "role_session_name" => identity.role_session_name = Some(value.to_owned()),
            "endpoint_url_sts" => identity.sts_endpoint = Some(value.to_owned()),
            "endpoint_url_s3" => given.push((Key::S3Endpoint, value)),
            "bucket" | "bucket_name" => {
                return Err(Error::usage(format!("the setting \"{name}\" has no use"))
                    .hint("the bucket is named by the URL, s3://bucket/prefix/"));
            }
            _ => match lower.parse() {
                // What is given must win over AWS_ENDPOINT_URL_S3, too.
                Ok(Key::Endpoint) => given.push((Key::S3Endpoint, value)),
                Ok(key) => given.push((key, value)),
                Err(_) => {
                    return Err(Error::usage(format!("there is no setting \"{name}\" for S3")).hint(
                        format!("settings are {}, and object_store's others for S3", KNOWN.join(", ")),
                    ));
                }
            },
        }
    }

    // Whoever names keys, a profile or a role does not mean the environment's keys, nor its token with those keys. The
    // SDK's chain reads the environment's where a role is to be assumed with them.
    let other_identity = identity.profile.is_some()
        || identity.role_arn.is_some()
        || given.iter().any(|(key, _)| *key == Key::AccessKeyId);
    let mut builder = AmazonS3Builder::new();
    for (name, value) in env {
        if value.is_empty() || !name.starts_with("AWS_") {
            continue;
        }
        match name.to_ascii_lowercase().parse() {
            Ok(Key::AccessKeyId | Key::SecretAccessKey | Key::Token) if other_identity => {}
            Ok(key) => builder = builder.with_config(key, value),
            // AWS_PROFILE and its like are the SDK's to read.
            Err(_) => {}
        }
    }
    let value_of =
        |key: Key| given.iter().rev().find(|(k, _)| *k == key).map(|(_, value)| (*value).to_owned());
    if identity.role_arn.is_some()
        && let (Some(id), Some(secret)) = (value_of(Key::AccessKeyId), value_of(Key::SecretAccessKey))
    {
        identity.keys = Some(Credentials::new(id, secret, value_of(Key::Token), None, "settings"));
        given.retain(|(key, _)| !matches!(key, Key::AccessKeyId | Key::SecretAccessKey | Key::Token));
    }
    for (key, value) in given {
        builder = builder.with_config(key, value);
    }
    // The AWS CLI's value for it.
    if builder.get_config_value(&Key::RequestPayer).as_deref() == Some("requester") {
        builder = builder.with_config(Key::RequestPayer, "true");
    }
    Ok((builder, identity))
}

/// About half a minute of trying, spread by jitter: a shard of S3 that is told to slow down splits within that time,
/// and a run that is going to fail says so before somebody stops waiting.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(10),
        base: 3.0,
    };
    RetryConfig { backoff, max_retries: 10, retry_timeout: Duration::from_secs(120) }
}

/// Makes HTTP clients that count, limit and look for a wrong Region. They sit below the retries: each attempt counts.
#[derive(Debug)]
struct Connector {
    meter: Arc<Meter>,
    region: String,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let connector = ReqwestConnector::default();
        Ok(HttpClient::new(Service {
            // The default of 30 s a request (5 s to connect) suits reads: what a slow line cut off is resumed.
            reads: connector.connect(options)?,
            writes: connector.connect(&options.clone().with_timeout_disabled())?,
            permits: Semaphore::new(MAX_REQUESTS),
            answered: AtomicBool::new(false),
            unreached: AtomicU32::new(0),
            meter: Arc::clone(&self.meter),
            region: self.region.clone(),
        }))
    }
}

#[derive(Debug)]
struct Service {
    reads: HttpClient,
    writes: HttpClient,
    permits: Semaphore,
    /// Whether the server ever answered.
    answered: AtomicBool,
    /// How many attempts to connect failed before it did.
    unreached: AtomicU32,
    meter: Arc<Meter>,
    region: String,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The semaphore is never closed; without it there would be no limit, and nothing worse.
        let _permit = self.permits.acquire().await.ok();
        let is_get = request.method().as_str() == "GET";
        let is_list = is_get && request.uri().query().is_some_and(|query| query.contains("list-type=2"));
        let answer = match request.method().as_str() {
            "GET" | "HEAD" => {
                if is_list {
                    self.meter.listed();
                } else {
                    self.meter.got();
                }
                self.reads.execute(request).await
            }
            method => {
                let length = request.body().content_length();
                if method != "DELETE" {
                    self.meter.wrote(length);
                }
                let limit = WRITE_TIMEOUT + Duration::from_secs(length as u64 / SLOWEST_UPLOAD);
                match tokio::time::timeout(limit, self.writes.execute(request)).await {
                    Ok(answer) => answer,
                    Err(elapsed) => Err(HttpError::new(HttpErrorKind::Timeout, elapsed)),
                }
            }
        };
        let response = answer.map_err(|error| self.unreachable(error))?;
        self.answered.store(true, Relaxed);
        if is_get && !is_list && response.status().is_success() {
            let length =
                response.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
            self.meter.read(length.unwrap_or(0));
        }
        self.right_region(response)
    }
}

impl Service {
    /// Ends the retries where there seems to be no server at all.
    fn unreachable(&self, error: HttpError) -> HttpError {
        let give_up = error.kind() == HttpErrorKind::Connect
            && !self.answered.load(Relaxed)
            && self.unreached.fetch_add(1, Relaxed) + 1 >= FIRST_CONTACT_ATTEMPTS;
        if give_up { HttpError::new(HttpErrorKind::Unknown, Unreachable(error)) } else { error }
    }

    /// Refuses an answer that says the bucket is in another Region, which object_store would not pass on: it is in a
    /// header of a redirect without target, or of a 400 without body.
    fn right_region(&self, response: HttpResponse) -> Result<HttpResponse, HttpError> {
        let actual = response.headers().get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
        match (response.status().as_u16(), actual) {
            (301 | 307 | 400, Some(actual)) if actual != self.region => {
                let wrong = WrongRegion { asked: self.region.clone(), actual: actual.to_owned() };
                Err(HttpError::new(HttpErrorKind::Unknown, wrong))
            }
            _ => Ok(response),
        }
    }
}

/// Nothing answers at the endpoint.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect")]
pub(super) struct Unreachable(#[source] HttpError);

/// The bucket is in another Region than the one requests are signed for.
#[derive(Debug)]
pub(super) struct WrongRegion {
    pub asked: String,
    pub actual: String,
}

impl fmt::Display for WrongRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bucket is in {}, not in {}", self.actual, self.asked)
    }
}

impl std::error::Error for WrongRegion {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn configured(env: &[(&str, &str)], options: &[(&str, &str)]) -> (AmazonS3Builder, Identity) {
        configure(pairs(env).into_iter(), &Options { pairs: pairs(options) }).unwrap()
    }

    #[test]
    fn every_setting_that_a_message_names_exists() {
        for key in KNOWN {
            configured(&[], &[(key, "1")]);
            configured(&[], &[(&format!("aws_{key}"), "1")]);
            configured(&[], &[(&format!("AWS_{}", key.to_uppercase()), "1")]);
        }
    }

    #[test]
    fn unknown_settings_and_bad_values_are_usage_errors() {
        let refused = |key: &str| {
            let error = configure(std::iter::empty(), &Options { pairs: pairs(&[(key, "x")]) }).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            format!("{}; {}", error.chain(), error.hints().join("; "))
        };
        let unknown = refused("reigon");
        assert!(unknown.contains("\"reigon\"") && unknown.contains("region, endpoint_url"), "{unknown}");
        assert!(refused("bucket").contains("named by the URL"));
    }

    #[test]
    fn options_win_over_the_environment_and_empty_variables_are_unset() {
        let env = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL_S3", "http://env"),
            ("AWS_SESSION_TOKEN", ""),
            ("AWS_ACCESS_KEY_ID", "envkey"),
            ("AWS_REQUEST_PAYER", "requester"),
            ("REGION", "no"),
        ];
        let (builder, _) = configured(&env, &[]);
        let get = |builder: &AmazonS3Builder, key: Key| builder.get_config_value(&key);
        assert_eq!(get(&builder, Key::Region).as_deref(), Some("eu-west-1"));
        assert_eq!(get(&builder, Key::S3Endpoint).as_deref(), Some("http://env"));
        assert_eq!(get(&builder, Key::Token), None);
        assert_eq!(get(&builder, Key::AccessKeyId).as_deref(), Some("envkey"));
        assert_eq!(get(&builder, Key::RequestPayer).as_deref(), Some("true"));

        let (builder, _) = configured(&env, &[("region", "us-west-2"), ("endpoint", "http://option")]);
        assert_eq!(get(&builder, Key::Region).as_deref(), Some("us-west-2"));
        assert_eq!(get(&builder, Key::S3Endpoint).as_deref(), Some("http://option"));
    }

    #[test]
    fn identities_do_not_mix() {
        let env = [
            ("AWS_ACCESS_KEY_ID", "envkey"),
            ("AWS_SECRET_ACCESS_KEY", "envsecret"),
            ("AWS_SESSION_TOKEN", "envtoken"),
            ("AWS_ROLE_ARN", "of the web identity"),
        ];
        let keys = [("access_key_id", "key"), ("secret_access_key", "secret")];
        let (builder, identity) = configured(&env, &keys);
        assert_eq!(builder.get_config_value(&Key::AccessKeyId).as_deref(), Some("key"));
        assert_eq!(
            builder.get_config_value(&Key::Token),
            None,
            "the environment's token is not of these keys"
        );
        assert!(identity.keys.is_none() && identity.role_arn.is_none());

        let (builder, identity) =
            configured(&env, &[keys[0], keys[1], ("role_arn", "arn:aws:iam::1:role/r")]);
        assert_eq!(builder.get_config_value(&Key::AccessKeyId), None);
        assert_eq!(identity.keys.unwrap().access_key_id(), "key");

        let (builder, identity) = configured(&env, &[("profile", "audit")]);
        assert_eq!(builder.get_config_value(&Key::AccessKeyId), None);
        assert_eq!(identity.profile.as_deref(), Some("audit"));
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_is_a_usage_error() {
        let options =
            [("skip_signature", "perhaps"), ("region", "us-east-1"), ("endpoint", "http://127.0.0.1:1")];
        let options = Options { pairs: pairs(&options) };
        let error = open("bucket", &options, &Arc::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.chain().contains("perhaps"), "{}", error.chain());
    }
}
