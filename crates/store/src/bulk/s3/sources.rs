//! Buckets of others that tasks may have inputs of: the master signs, workers fetch.

use super::{BucketError, S3Address, S3Server};
use http::Method;
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::signer::Signer;
use std::time::Duration;

/// Buckets of one server that may be read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    buckets: Vec<(S3Address, AmazonS3)>,
    valid: Duration,
}

impl Sources {
    /// Those of these buckets, whole or below a prefix; asks nobody.
    /// # Errors
    /// When the settings can not be used: the text says why.
    pub fn new(server: &S3Server, buckets: &[S3Address]) -> Result<Self, BucketError> {
        let client = |address: &S3Address| Ok((address.clone(), server.client(address)?));
        let buckets = buckets.iter().map(client).collect::<Result<_, BucketError>>()?;
        Ok(Self { buckets, valid: server.presign })
    }

    /// What may be read of which buckets.
    pub fn addresses(&self) -> impl Iterator<Item = &S3Address> {
        self.buckets.iter().map(|(address, _)| address)
    }

    /// Whether an object may be read; its key is written as in an address, with `%20` for a space.
    #[must_use]
    pub fn has(&self, bucket: &str, key: &str) -> bool {
        self.find(bucket, key).is_some()
    }

    /// An address at which whoever has it may read an object for a time; none where it may not be read.
    /// # Errors
    /// The keys can not be had, or sign nothing.
    pub async fn sign(&self, bucket: &str, key: &str) -> Result<Option<String>, BucketError> {
        let Some((address, store, key)) = self.find(bucket, key) else { return Ok(None) };
        let signed = store.signed_url(Method::GET, &key, self.valid).await;
        signed.map(|url| Some(url.into())).map_err(|error| BucketError::new(address, &error))
    }

    fn find(&self, bucket: &str, key: &str) -> Option<(&S3Address, &AmazonS3, Key)> {
        // Without a key it would be the list of the bucket.
        let key = Key::from_url_path(key).ok().filter(|key| !key.as_ref().is_empty())?;
        let holds = |(address, _): &&(S3Address, AmazonS3)| address.bucket() == bucket && address.holds(key.as_ref());
        let (address, store) = self.buckets.iter().find(holds)?;
        Some((address, store, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_a_named_prefix_may_be_read() {
        let server = S3Server {
            endpoint: Some("http://127.0.0.1:1".into()),
            region: "us-east-1".into(),
            allow_http: true,
            keys: Some(super::super::S3Keys { id: "k".into(), secret: "s".into(), session: None }),
            presign: Duration::from_secs(1),
        };
        let buckets = ["s3://all", "s3://some/a", "s3://some/b"];
        let buckets: Vec<_> = buckets.iter().map(|text| text.parse().unwrap()).collect();
        let sources = Sources::new(&server, &buckets).unwrap();
        for (bucket, key, may) in [
            ("all", "x", true),
            ("all", "%2F", false),
            ("all", "", false),
            ("some", "a/x%20y", true),
            ("some", "b/x", true),
            ("some", "a", false),
            ("some", "ab/x", false),
            ("some", "a/%2E%2E/c", false),
            ("some", "c/x", false),
            ("other", "a/x", false),
        ] {
            assert_eq!(sources.has(bucket, key), may, "{bucket}/{key}");
        }
    }
}
