//! Who serves buckets, and who may use them.

use super::{BucketError, S3Address};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{ClientOptions, RetryConfig};
use std::time::Duration;

/// So long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// So long an answer, or the next piece of it, may take: also one to the largest part that is sent.
const ANSWER: Duration = Duration::from_secs(60);
/// So long a failed request is repeated; whoever asked repeats the whole later.
const REPEAT: Duration = Duration::from_secs(10);
const REPEATS: usize = 3;

/// Where buckets are and who may use them.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Server {
    /// The server; none for the provider's own in the region.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// The server may be reached without encryption.
    pub allow_http: bool,
    /// Key id and secret; none where the machine itself has a role.
    pub keys: Option<S3Keys>,
    /// How long a presigned address is valid: a second to a week.
    pub presign: Duration,
}

/// Who may use a bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Keys {
    /// The id of the access key.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The token of keys that end.
    pub session: Option<String>,
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, region, .. } = self;
        write!(f, "in {region} at {endpoint:?}")
    }
}

impl std::fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("keys")
    }
}

impl S3Server {
    /// A client of one bucket; asks nobody.
    /// # Errors
    /// When the settings can not be used: the text says why.
    pub(super) fn client(&self, address: &S3Address) -> Result<AmazonS3, BucketError> {
        // Whoever was first decides; it is the same everywhere.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let Self { endpoint, region, allow_http, keys, .. } = self;
        let plain = endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
        if plain && !allow_http {
            let why = format!("would be reached without encryption at {}", endpoint.as_deref().unwrap_or_default());
            return Err(BucketError { address: address.to_string(), why });
        }
        let options = ClientOptions::new()
            .with_connect_timeout(CONNECT)
            .with_timeout_disabled()
            .with_read_timeout(ANSWER)
            .with_allow_http(*allow_http)
            // A machine without certificates can reach a server without encryption.
            .with_no_system_certificates(plain);
        let retry = RetryConfig { max_retries: REPEATS, retry_timeout: REPEAT, ..RetryConfig::default() };
        // Without keys the machine's role counts, which its environment may describe.
        let mut builder = if keys.is_some() { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() }
            .with_bucket_name(address.bucket())
            .with_region(region)
            .with_client_options(options)
            .with_retry(retry);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(S3Keys { id, secret, session }) = keys {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            if let Some(session) = session {
                builder = builder.with_token(session);
            }
        }
        builder.build().map_err(|error| BucketError::new(address, &error))
    }
}
