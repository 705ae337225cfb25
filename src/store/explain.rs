//! What an object store's failure means to the person who reads it, and what to do about it.

use std::error::Error as StdError;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};
use url::Url;

use super::credentials::NoCredentials;
use super::s3::{Unreachable, WrongRegion};
use crate::error::Error;

/// Says what an object store's failure means, with hints (`reading s3://…` is the caller's context).
pub fn explain(error: object_store::Error) -> Error {
    match &error {
        object_store::Error::AlreadyExists { path, .. } => {
            return Error::failed(format!("{path} exists already"));
        }
        object_store::Error::Precondition { path, .. } => {
            return Error::failed(format!("{path} was changed meanwhile"));
        }
        _ => {}
    }
    if let Some(wrong) = find::<WrongRegion>(&error) {
        return wrong_region(&wrong.to_string(), Some(&wrong.actual));
    }
    if let Some(error) = find::<NoCredentials>(&error) {
        return no_credentials(error);
    }
    if let Some(answer) = Answer::of(&error.to_string())
        && let Some(explained) = answer.explain()
    {
        return explained;
    }
    if let Some(http) = find::<HttpError>(&error) {
        return no_answer(&error, http.kind());
    }
    if error.to_string().contains("redirect without LOCATION") {
        return wrong_region("the bucket is in another Region", None);
    }
    if let object_store::Error::NotFound { path, .. } = error {
        return Error::failed(format!("{path} does not exist"));
    }
    if let Some(io) = find::<io::Error>(&error) {
        let kind = io.kind();
        return local(error, kind);
    }
    match error {
        object_store::Error::InvalidPath { source } => Error::failed(
            "there is an object whose key cannot be used",
        )
        .caused_by(source)
        .hint("keys with empty folder names (\"//\"), \".\", \"..\" or control characters are not supported"),
        other => Error::failed("the object store failed").caused_by(other),
    }
}

/// The first cause of type `E`, the error itself included.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // `io::Error` hands on its custom error's source, and hides the custom error.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(custom) => Some(custom),
            None => error.source(),
        };
    }
    None
}

fn no_credentials(error: &NoCredentials) -> Error {
    let mut tried = chain(error.0.as_ref());
    // The SDK's chain lists its attempts in lines, each with one of these sentences; what matters comes after it.
    if let Some((_, attempts)) = tried.split_once("Attempted:") {
        tried = attempts.trim().lines().map(str::trim).collect::<Vec<_>>().join("; ");
    }
    for sentence in
        ["the credential provider was not enabled: ", "an error occurred while loading credentials: "]
    {
        tried = tried.replace(sentence, "");
    }
    let may_not_assume = tried.contains("sts:AssumeRole");
    let error = Error::failed("no usable AWS credentials")
        .caused_by(tried.replace("the credential provider was not enabled", "not set up"));
    if may_not_assume {
        return error
            .hint("the role's trust policy and the identity's own policies must both allow sts:AssumeRole")
            .hint("a trust policy may ask for an external ID (setting external_id)");
    }
    error
        .hint("`aws sts get-caller-identity` shows whether the AWS CLI finds any; `aws sso login` renews an SSO session")
        .hint("for a public bucket set AWS_SKIP_SIGNATURE=true")
}

fn wrong_region(message: &str, actual: Option<&str>) -> Error {
    Error::failed(message).hint(format!(
        "set AWS_REGION, or the setting region, to {}",
        actual.unwrap_or("the bucket's Region")
    ))
}

/// The connection failed, or broke.
fn no_answer(error: &object_store::Error, kind: HttpErrorKind) -> Error {
    let text = chain(error);
    let server = requested(&text).and_then(|(_, url)| Url::parse(url).ok());
    let server = server.map_or_else(|| "the server".to_owned(), |url| url.origin().ascii_serialization());
    let endpoint = "check the endpoint (AWS_ENDPOINT_URL), the network and any proxy";
    if text.contains("onnection refused") {
        return Error::failed(format!("nothing listens at {server}: connection refused")).hint(endpoint);
    }
    let (message, hint) = if text.contains("certificate") {
        (
            format!("the TLS certificate of {server} is not trusted"),
            "SSL_CERT_FILE can name the certificates to trust",
        )
    } else if text.contains("dns error") {
        (
            format!("the name of {server} does not resolve"),
            "check the endpoint (AWS_ENDPOINT_URL) and the Region (AWS_REGION)",
        )
    } else if kind == HttpErrorKind::Timeout {
        (
            format!("{server} did not answer in time"),
            "a slow line may need a longer timeout (setting timeout, as in 120s)",
        )
    } else if kind == HttpErrorKind::Connect || find::<Unreachable>(error).is_some() {
        (format!("cannot connect to {server}"), endpoint)
    } else {
        (format!("the connection to {server} broke"), endpoint)
    };
    let mut root: &(dyn StdError + 'static) = error;
    while let Some(cause) = root.source() {
        root = cause;
    }
    Error::failed(message).caused_by(root.to_string()).hint(hint)
}

/// A local file could not be read or written.
fn local(error: object_store::Error, kind: io::ErrorKind) -> Error {
    use io::ErrorKind::*;
    let (message, hint) = match kind {
        NotFound => ("there is no such file or directory", None),
        PermissionDenied => {
            ("permission denied", Some("check the owner and mode of the file and its folders"))
        }
        StorageFull => ("the disk is full", Some("free some space, or write elsewhere")),
        QuotaExceeded => ("the disk quota is used up", Some("free some space, or write elsewhere")),
        ReadOnlyFilesystem => ("the file system is read-only", None),
        _ => ("the file system failed", None),
    };
    let explained = match error {
        object_store::Error::Generic { source, .. } => Error::failed(message).caused_by(source),
        other => Error::failed(message).caused_by(other),
    };
    match hint {
        Some(hint) => explained.hint(hint),
        None => explained,
    }
}

/// What S3 answered, as far as object_store's message tells: it hands the answer on as text only.
struct Answer {
    /// As in `GET`.
    method: String,
    /// The request's URL.
    url: String,
    status: u16,
    /// S3's code, as in `AccessDenied`; empty where there was no body (HEAD).
    code: String,
    /// S3's explanation.
    message: String,
    /// The right Region, where S3 names it.
    region: Option<String>,
}

impl Answer {
    /// Reads `… Error performing GET https://… in 3ms - Server returned … status code: 403 Forbidden: <Error>…`.
    fn of(text: &str) -> Option<Answer> {
        let (request, _) = text.split_once(" - Server returned ")?;
        let (method, url) = requested(request).map(|(method, url)| (method.to_owned(), url.to_owned()))?;
        let (_, status) = text.split_once("status code: ").unwrap_or(("", "200"));
        let status = status.get(..3)?.parse().ok()?;
        let tag = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            let (value, _) = rest.split_once(&format!("</{name}>"))?;
            Some(unescape(value.trim()))
        };
        let (code, message) = (tag("Code").unwrap_or_default(), tag("Message").unwrap_or_default());
        if status == 200 && code.is_empty() {
            return None;
        }
        Some(Answer { method, url, status, code, message, region: tag("Region") })
    }

    fn explain(&self) -> Option<Error> {
        let said = |what: &str| match self.message.as_str() {
            "" => Error::failed(what),
            message => Error::failed(format!("{what}: {}", message.trim_end_matches('.'))),
        };
        Some(match (self.code.as_str(), self.status) {
            ("NoSuchBucket", _) => Error::failed("there is no such bucket")
                .hint("check the bucket's name, and the endpoint if it is not at AWS (AWS_ENDPOINT_URL)"),
            ("NoSuchKey", _) | ("", 404) => Error::failed("there is no such object"),
            ("InvalidAccessKeyId" | "NotSignedUp" | "InvalidClientTokenId", _) => Error::failed(
                "S3 does not know the access key",
            )
            .hint("check AWS_ACCESS_KEY_ID, or the profile it comes from (AWS_PROFILE)")
            .hint(
                "temporary keys need their AWS_SESSION_TOKEN; a key of another server needs AWS_ENDPOINT_URL",
            ),
            ("SignatureDoesNotMatch", _) => {
                Error::failed("the secret access key does not fit the access key")
                    .hint("check AWS_SECRET_ACCESS_KEY for blanks or a cut-off end")
            }
            ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired", _) => Error::failed(
                "the AWS session has expired",
            )
            .hint("get new credentials (`aws sso login`, or assume the role again) and run this again"),
            ("InvalidToken", _) => Error::failed("the session token is not valid")
                .hint("AWS_SESSION_TOKEN must be the one of its access key"),
            ("RequestTimeTooSkewed", _) => {
                Error::failed("this machine's clock differs too much from S3's").hint("set the clock (NTP)")
            }
            (
                "PermanentRedirect"
                | "AuthorizationHeaderMalformed"
                | "IncorrectEndpoint"
                | "IllegalLocationConstraintException",
                _,
            ) => {
                let actual = self.region.as_deref();
                let message = match actual {
                    Some(actual) => format!("the bucket is in {actual}"),
                    None => "the bucket is in another Region".to_owned(),
                };
                wrong_region(&message, actual)
            }
            ("InvalidObjectState", _) => Error::failed("the object is archived (S3 Glacier)")
                .hint("restore it first (`aws s3api restore-object`), or leave its days out with --since"),
            ("SlowDown" | "ServiceUnavailable" | "InternalError" | "TooManyRequests", _)
            | ("", 429 | 500..) => {
                said(&format!("S3 kept failing ({} {})", self.status, self.code).replace(" )", ")"))
                    .hint("it was retried for a while; run this again later")
            }
            (code, _) if code.starts_with("KMS.") => {
                said("S3 cannot use the bucket's KMS key").hint("check that the key exists and is enabled")
            }
            (_, 401 | 403) => self.denied(said("access denied")),
            ("", _) => return None,
            (code, _) => said(code),
        })
    }

    /// Adds which permission is missing: the one AWS names, or else the one the request needs.
    fn denied(&self, error: Error) -> Error {
        let named = self.message.split_once("perform: ").and_then(|(_, rest)| rest.split(' ').next());
        let is_list = self.url.contains("list-type=2");
        let (needed, on) = match self.method.as_str() {
            "GET" if is_list => ("s3:ListBucket", "the bucket"),
            "GET" => ("s3:GetObject", "the bucket's objects"),
            "HEAD" => (
                "s3:GetObject (and s3:ListBucket, if the object may be missing)",
                "the bucket and its objects",
            ),
            "DELETE" => ("s3:DeleteObject", "the bucket's objects"),
            _ => ("s3:PutObject", "the bucket's objects"),
        };
        let needed = named.unwrap_or(needed);
        let on = if needed.starts_with("kms:") { "the bucket's KMS key" } else { on };
        let mut error = error.hint(format!("allow the identity that runs this {needed} on {on}"));
        if named.is_none() && !is_list {
            let kms = if matches!(self.method.as_str(), "GET" | "HEAD") {
                "kms:Decrypt"
            } else {
                "kms:GenerateDataKey"
            };
            error = error.hint(format!("a bucket encrypted with a KMS key needs {kms} on that key, too"));
        }
        if self.message.contains("explicit deny") {
            error = error
                .hint("a policy denies it explicitly: look at the bucket's and the organization's policies");
        }
        error.hint("`aws sts get-caller-identity` shows who that is; a requester-pays bucket needs AWS_REQUEST_PAYER=true")
    }
}

/// The method and the URL in `… Error performing GET https://… in 3ms …`.
fn requested(text: &str) -> Option<(&str, &str)> {
    let (_, request) = text.rsplit_once("Error performing ")?;
    let mut words = request.split(' ');
    Some((words.next()?, words.next()?))
}

/// XML's five entities, as S3 uses them in messages.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// The message and those of all causes.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Location, Options};
    use object_store::ObjectStoreExt;

    /// The error of a request that S3 answered with `status` and `body`.
    fn answered(request: &str, status: &str, body: &str) -> Error {
        let text = format!(
            "Error performing {request} in 3.1ms - Server returned non-2xx status code: {status}: {body}"
        );
        explain(object_store::Error::Generic { store: "S3", source: text.into() })
    }

    fn code(code: &str) -> Error {
        let body =
            format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>Why.</Message></Error>");
        answered("GET https://s3.us-east-1.amazonaws.com/b/k", "403 Forbidden", &body)
    }

    #[test]
    fn a_denied_request_says_which_permission_it_needs() {
        let body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        let of = |request: &str| {
            let error = answered(request, "403 Forbidden", body);
            assert_eq!(error.chain(), "access denied: Access Denied");
            error.hints().join("; ")
        };
        assert!(of("GET https://h/b?list-type=2&prefix=AWSLogs%2F").contains("s3:ListBucket on the bucket"));
        let get = of("GET https://h/b/k");
        assert!(get.contains("s3:GetObject on") && get.contains("kms:Decrypt"), "{get}");
        let put = of("PUT https://h/b/k");
        assert!(put.contains("s3:PutObject on") && put.contains("kms:GenerateDataKey"), "{put}");
        assert!(answered("HEAD https://h/b/k", "403 Forbidden", "").hints()[0].contains("s3:GetObject"));
    }

    #[test]
    fn the_permission_that_aws_names_is_the_one_named() {
        let body = "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/x is not authorized to \
            perform: kms:Decrypt on resource: &quot;k&quot; with an explicit deny in a resource-based policy</Message></Error>";
        let error = answered("GET https://h/b/k", "403 Forbidden", body);
        assert!(error.chain().contains("on resource: \"k\""), "{}", error.chain());
        assert!(error.hints()[0].contains("kms:Decrypt on the bucket's KMS key"));
        assert!(error.hints()[1].contains("explicitly"));
    }

    #[test]
    fn service_errors_are_plain_sentences_without_xml() {
        for (name, message) in [
            ("NoSuchBucket", "there is no such bucket"),
            ("InvalidAccessKeyId", "S3 does not know the access key"),
            ("SignatureDoesNotMatch", "the secret access key does not fit the access key"),
            ("ExpiredToken", "the AWS session has expired"),
            ("RequestTimeTooSkewed", "this machine's clock differs too much from S3's"),
            ("InvalidObjectState", "the object is archived (S3 Glacier)"),
            ("KMS.DisabledException", "S3 cannot use the bucket's KMS key: Why"),
        ] {
            let error = code(name);
            assert_eq!(error.chain(), message);
            assert!(!error.hints().is_empty(), "{name}");
        }
        assert_eq!(code("NoSuchKey").chain(), "there is no such object");
        let busy =
            answered("GET https://h/b/k", "503 Service Unavailable", "<Error><Code>SlowDown</Code></Error>");
        assert_eq!(busy.chain(), "S3 kept failing (503 SlowDown)");
        assert_eq!(
            answered("GET https://h/b/k", "502 Bad Gateway", "<html>").chain(),
            "S3 kept failing (502)"
        );
        let odd = answered(
            "PUT https://h/b/k",
            "400 Bad Request",
            "<Error><Code>Odd</Code><Message>M</Message></Error>",
        );
        assert_eq!(odd.chain(), "Odd: M");
    }

    #[test]
    fn a_wrong_region_is_named() {
        let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; \
            the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>";
        let error = answered("GET https://h/b?list-type=2", "400 Bad Request", body);
        assert_eq!(error.chain(), "the bucket is in eu-west-1");
        assert!(error.hints()[0].ends_with("to eu-west-1"));
        let wrong = WrongRegion { asked: "us-east-1".into(), actual: "eu-west-1".into() };
        let error = explain(object_store::Error::Generic { store: "S3", source: Box::new(wrong) });
        assert_eq!(error.chain(), "the bucket is in eu-west-1, not in us-east-1");
    }

    #[test]
    fn a_full_disk_is_a_full_disk_and_keeps_what_was_done() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error =
            explain(object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(full) });
        assert!(error.chain().starts_with("the disk is full: "), "{}", error.chain());
        assert!(error.hints()[0].contains("space"));
    }

    #[tokio::test]
    async fn local_failures_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let location = Location::open(dir.path().to_str().unwrap(), &Options::default()).await.unwrap();
        let missing = location.store.get(&location.prefix.clone().join("missing")).await.unwrap_err();
        let error = explain(missing);
        assert_eq!(error.chain(), format!("{}/missing does not exist", dir.path().display()));
        let below_a_file = location.prefix.clone().join("file").join("x");
        let error = explain(location.store.put(&below_a_file, "x".into()).await.unwrap_err());
        assert!(error.chain().contains("/file"), "{}", error.chain());
    }

    #[tokio::test]
    async fn an_endpoint_where_nothing_listens_is_reported_within_a_few_attempts() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let options = Options {
            pairs: [("endpoint", endpoint.as_str()), ("access_key_id", "k"), ("secret_access_key", "s")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        };
        let location = Location::open("s3://bucket", &options).await.unwrap();
        let error = explain(location.store.list_with_delimiter(None).await.unwrap_err());
        assert_eq!(error.chain(), format!("nothing listens at {endpoint}: connection refused"));
        assert!(error.hints()[0].contains("AWS_ENDPOINT_URL"));
        assert_eq!(location.meter.list.load(std::sync::atomic::Ordering::Relaxed), 3);
    }
}
