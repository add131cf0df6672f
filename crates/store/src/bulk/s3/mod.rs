//! Contents in an S3-compatible bucket: objects by their hash, and nothing else. Who needs them is not known here.
//!
//! ```text
//! PREFIX/blobs/<first 2 digits>/<sha-256>
//! PREFIX/owner
//! PREFIX/probe-<of this moment>
//! ```

mod address;
mod error;
mod probe;
mod send;
mod server;
mod sources;

pub use address::{BadAddress, S3Address};
pub use error::BucketError;
pub use server::{S3Keys, S3Server};
pub use sources::Sources;

use super::{BulkError, FileReader, Presigned};
use bytes::Bytes;
use cloudai_core::sha256::Sha256;
use error::is_missing;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::io::StreamReader;

/// Large contents that are sent at a time: each has a few parts in memory.
const LARGE: usize = 4;

/// Which bucket keeps contents, and where it is.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Bucket and prefix.
    pub address: S3Address,
    /// Who serves it.
    pub server: S3Server,
}

impl std::fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, server } = self;
        write!(f, "{address} {server:?}")
    }
}

/// A bucket with contents. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Bucket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: S3Address,
    store: AmazonS3,
    presign: Duration,
    large: Semaphore,
    /// Contents on their way: the same one is sent once.
    sending: Mutex<BTreeSet<Sha256>>,
    sent: Notify,
}

impl Bucket {
    /// A bucket by its settings; asks nobody.
    /// # Errors
    /// When they can not be used: the text says why.
    pub fn new(settings: &S3Settings) -> Result<Self, BucketError> {
        let S3Settings { address, server } = settings;
        let store = server.client(address)?;
        Ok(Self(Arc::new(Inner {
            address: address.clone(),
            store,
            presign: server.presign,
            large: Semaphore::new(LARGE),
            sending: Mutex::default(),
            sent: Notify::new(),
        })))
    }

    /// Which bucket it is.
    #[must_use]
    pub fn address(&self) -> &S3Address {
        &self.0.address
    }

    fn store(&self) -> &AmazonS3 {
        &self.0.store
    }

    fn key(&self, content: Sha256) -> Key {
        self.0.address.key(&blob(content))
    }

    fn failed(&self, error: object_store::Error) -> BulkError {
        BucketError::new(&self.0.address, &error).into()
    }

    pub(super) fn given_up(&self) -> BucketError {
        BucketError { address: self.0.address.to_string(), why: "was not waited for: the master stops".into() }
    }

    /// Where a content is, for people.
    pub(super) fn location(&self, content: Sha256) -> String {
        self.0.address.join(&blob(content))
    }

    /// The size of a content; none when it is not there.
    pub(super) async fn size(&self, content: Sha256) -> Result<Option<u64>, BulkError> {
        match self.store().head(&self.key(content)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// A content of this size from `offset` on.
    pub(super) async fn read(&self, content: Sha256, size: u64, offset: u64) -> Result<FileReader, BulkError> {
        if offset >= size {
            return Ok(Box::pin(tokio::io::empty()));
        }
        let range = (offset > 0).then_some(GetRange::Offset(offset));
        let asked = self.store().get_opts(&self.key(content), GetOptions { range, ..GetOptions::default() }).await;
        let found = asked.map_err(|error| self.failed(error))?;
        if found.meta.size != size {
            return Err(BucketError::changed(&self.0.address, content, size, found.meta.size).into());
        }
        let address = self.0.address.clone();
        let stream = found.into_stream().map_err(move |error| BucketError::new(&address, &error).into_io());
        Ok(Box::pin(StreamReader::new(stream)))
    }

    /// All of a small content.
    pub(super) async fn get(&self, content: Sha256) -> Result<Bytes, BulkError> {
        let whole = async { self.store().get(&self.key(content)).await?.bytes().await };
        whole.await.map_err(|error| self.failed(error))
    }

    /// Deletes contents; one that is not there counts as deleted.
    pub(super) async fn remove(&self, contents: Vec<Sha256>) -> Result<(), BulkError> {
        let keys: Vec<_> = contents.into_iter().map(|content| Ok(self.key(content))).collect();
        let mut deleted = self.store().delete_stream(futures::stream::iter(keys).boxed());
        while let Some(one) = deleted.next().await {
            match one {
                Err(error) if !is_missing(&error) => return Err(self.failed(error)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// An address at which the bucket serves a content for a time to whoever has it, to be saved as this.
    pub(super) async fn sign(&self, content: Sha256, saved_as: &str) -> Result<Presigned, BulkError> {
        let valid = self.0.presign;
        let query = [("response-content-disposition", saved_as), ("response-content-type", "application/octet-stream")];
        let options = SignedUrlOptions::default().with_query(query);
        let signed = self.store().signed_url_opts(http::Method::GET, &self.key(content), valid, &options).await;
        signed.map(|url| Presigned { url: url.into(), valid }).map_err(|error| self.failed(error))
    }
}

fn blob(content: Sha256) -> String {
    let name = content.to_string();
    format!("blobs/{}/{name}", name.get(..2).unwrap_or_default())
}
