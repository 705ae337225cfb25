//! Who signs the requests: the AWS SDK's credential chain, which object_store does not have.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig, imds, sts::AssumeRoleProvider};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{
    ProvideCredentials, SharedCredentialsProvider, error::CredentialsError,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use tokio::sync::Mutex;

/// How long before they expire credentials are replaced: longer than any request is retried with the old ones.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(5 * 60);

/// How long an answer stands at least, also a failure: requests that wait together share it.
const STANDS_FOR: Duration = Duration::from_secs(10);

/// Who to be, where the settings say more than "whoever the environment says".
#[derive(Debug, Default)]
pub(super) struct Identity {
    /// The profile of the shared configuration files; otherwise `AWS_PROFILE`, or `default`.
    pub profile: Option<String>,
    /// Keys given as settings, instead of the chain.
    pub keys: Option<Credentials>,
    /// The role to assume with those keys, or with what the chain finds.
    pub role_arn: Option<String>,
    /// What the role's trust policy may ask for.
    pub external_id: Option<String>,
    /// The name CloudTrail shows for the session.
    pub role_session_name: Option<String>,
    /// Where to ask for the role, if not at AWS or where the environment says.
    pub sts_endpoint: Option<String>,
}

/// Loads the SDK's configuration: profile files and environment.
///
/// An unknown Region is looked up in the profile and, with `ask_instance`, in the instance's metadata service; then it
/// is us-east-1. Both are quick: the metadata service gets one second.
pub(super) async fn load(identity: &Identity, region: Option<String>, ask_instance: bool) -> SdkConfig {
    let http_client = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut profile_region = ProfileFileRegionProvider::builder();
    if let Some(profile) = &identity.profile {
        profile_region = profile_region.profile_name(profile);
    }
    let mut region = RegionProviderChain::first_try(region.map(Region::new)).or_else(profile_region.build());
    if ask_instance {
        let config = ProviderConfig::default().with_http_client(http_client.clone());
        region = region.or_else(imds::region::ImdsRegionProvider::builder().configure(&config).build());
    }
    let region = region.or_else(Region::from_static("us-east-1")).region().await;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client.clone())
        .region(region.clone());
    if let Some(profile) = &identity.profile {
        // The chain would ask the environment first, whose keys are not those of a profile that is named.
        let config = ProviderConfig::default().with_http_client(http_client).with_region(region);
        let named = ProfileFileCredentialsProvider::builder().configure(&config).profile_name(profile);
        loader = loader.profile_name(profile).credentials_provider(named.build());
    }
    loader.load().await
}

/// The credentials of `identity`, resolved when the first request needs them and renewed before they expire.
pub(super) async fn provider(identity: Identity, sdk: &SdkConfig) -> CachedCredentials {
    let mut provider = match identity.keys {
        Some(keys) => Some(SharedCredentialsProvider::new(keys)),
        None => sdk.credentials_provider(),
    };
    if let (Some(role_arn), Some(base)) = (identity.role_arn, provider.clone()) {
        let mut sdk = sdk.clone().into_builder();
        if let Some(endpoint) = identity.sts_endpoint {
            sdk = sdk.endpoint_url(endpoint);
        }
        let mut role = AssumeRoleProvider::builder(role_arn)
            .configure(&sdk.build())
            .session_name(identity.role_session_name.as_deref().unwrap_or("trailhouse"));
        if let Some(external_id) = identity.external_id {
            role = role.external_id(external_id);
        }
        provider = Some(SharedCredentialsProvider::new(role.build_from_provider(base).await));
    }
    CachedCredentials { provider, cached: Mutex::new(None) }
}

/// No credentials could be had; the source says what was tried.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoCredentials(pub(super) Arc<CredentialsError>);

/// The SDK's credentials, as object_store asks for them: before every request.
#[derive(Debug)]
pub(super) struct CachedCredentials {
    provider: Option<SharedCredentialsProvider>,
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug, Clone)]
struct Cached {
    answer: Result<Arc<AwsCredential>, NoCredentials>,
    expires: Option<SystemTime>,
    renew: Option<SystemTime>,
}

impl CachedCredentials {
    async fn ask(&self, now: SystemTime) -> Cached {
        let answer = match &self.provider {
            Some(provider) => provider.provide_credentials().await,
            None => Err(CredentialsError::not_loaded("no credentials provider")),
        };
        match answer {
            Ok(credentials) => {
                let expires = credentials.expiry();
                let renew = expires.map(|expires| {
                    expires.checked_sub(RENEW_BEFORE_EXPIRY).unwrap_or(now).max(now + STANDS_FOR)
                });
                let credential = AwsCredential {
                    key_id: credentials.access_key_id().to_owned(),
                    secret_key: credentials.secret_access_key().to_owned(),
                    token: credentials.session_token().map(str::to_owned),
                };
                Cached { answer: Ok(Arc::new(credential)), expires, renew }
            }
            Err(error) => {
                let answer = Err(NoCredentials(Arc::new(error)));
                Cached { answer, expires: None, renew: Some(now + STANDS_FOR) }
            }
        }
    }
}

#[async_trait]
impl CredentialProvider for CachedCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let now = SystemTime::now();
        let mut cached = self.cached.lock().await;
        let current = match cached.take() {
            Some(current) if current.renew.is_none_or(|renew| now < renew) => current,
            old => {
                let new = self.ask(now).await;
                match old {
                    // A failed renewal is no failure as long as the old ones hold.
                    Some(old) if new.answer.is_err() && old.answer.is_ok() && old.expires > Some(now) => {
                        Cached { renew: new.renew, ..old }
                    }
                    _ => new,
                }
            }
        };
        let answer = cached.insert(current).answer.clone();
        answer.map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_credential_types::provider::future;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    /// Answers its n-th call with the n-th lifetime, and fails afterwards.
    #[derive(Debug)]
    struct Script(AtomicU64, Vec<Duration>);

    impl ProvideCredentials for Script {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let call = self.0.fetch_add(1, SeqCst);
            future::ProvideCredentials::ready(match self.1.get(call as usize) {
                Some(lifetime) => {
                    let expiry = Some(SystemTime::now() + *lifetime);
                    Ok(Credentials::new(format!("key{call}"), "secret", None, expiry, "test"))
                }
                None => Err(CredentialsError::not_loaded("script ended")),
            })
        }
    }

    fn cached(lifetimes: &[u64]) -> CachedCredentials {
        let lifetimes = lifetimes.iter().map(|seconds| Duration::from_secs(*seconds)).collect();
        let script = Script(AtomicU64::new(0), lifetimes);
        CachedCredentials { provider: Some(SharedCredentialsProvider::new(script)), cached: Mutex::new(None) }
    }

    async fn make_due(credentials: &CachedCredentials) {
        credentials.cached.lock().await.as_mut().unwrap().renew = Some(SystemTime::UNIX_EPOCH);
    }

    #[tokio::test]
    async fn credentials_are_asked_for_once_and_renewed_when_due() {
        let credentials = cached(&[3600, 3600]);
        for _ in 0..3 {
            assert_eq!(credentials.get_credential().await.unwrap().key_id, "key0");
        }
        make_due(&credentials).await;
        assert_eq!(credentials.get_credential().await.unwrap().key_id, "key1");
        // The renewal fails; these still hold for an hour.
        make_due(&credentials).await;
        assert_eq!(credentials.get_credential().await.unwrap().key_id, "key1");
    }

    #[tokio::test]
    async fn a_failure_is_shared_and_expired_credentials_are_not_used() {
        let credentials = cached(&[0]);
        assert_eq!(credentials.get_credential().await.unwrap().key_id, "key0");
        make_due(&credentials).await;
        for _ in 0..3 {
            credentials.get_credential().await.unwrap_err();
        }
        let renew = credentials.cached.lock().await.as_ref().unwrap().renew;
        assert!(renew > Some(SystemTime::now()), "the next request would ask again: {renew:?}");
    }
}
