//! Before a master uses a bucket: whether it can, and whether it is the only one.

use super::{Bucket, BucketError};
use crate::bulk::BulkError;
use bytes::Bytes;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use std::time::UNIX_EPOCH;

/// The object that says whose all others are.
const OWNER: &str = "owner";

impl Bucket {
    /// Writes, reads and deletes an object: all that will be done with contents.
    /// # Errors
    /// [`BucketError`] with what the bucket refused.
    pub async fn probe(&self) -> Result<(), BucketError> {
        // A name that nobody else has right now.
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let key = self.0.address.key(&format!("probe-{:x}-{:x}", now, std::process::id()));
        let data = Bytes::from_static(b"cloudai looks whether this bucket can be used\n");
        let tried = async {
            self.store().put(&key, data.clone().into()).await?;
            let read = self.store().get(&key).await?.bytes().await;
            self.store().delete(&key).await?;
            read
        };
        match tried.await {
            Ok(read) if read == data => Ok(()),
            Ok(_) => Err(BucketError {
                address: self.0.address.to_string(),
                why: "gives back something else than was written".into(),
            }),
            Err(error) => Err(BucketError::new(&self.0.address, &error)),
        }
    }

    /// Makes the objects of this bucket and prefix those of one cluster.
    /// # Errors
    /// [`BulkError::Claimed`] when they are another's.
    pub(crate) async fn claim(&self, cluster: &str) -> Result<(), BulkError> {
        let key = self.0.address.key(OWNER);
        let once = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let owner = match self.store().get(&key).await {
            Ok(found) => found.bytes().await.map_err(|error| self.failed(error))?,
            Err(Error::NotFound { .. }) => {
                let ours = Bytes::from(format!("{cluster}\n"));
                match self.store().put_opts(&key, ours.into(), once).await {
                    Ok(_) => return Ok(()),
                    // Another one was first.
                    Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                        let found = async { self.store().get(&key).await?.bytes().await };
                        found.await.map_err(|error| self.failed(error))?
                    }
                    Err(error) => return Err(self.failed(error)),
                }
            }
            Err(error) => return Err(self.failed(error)),
        };
        let owner = String::from_utf8_lossy(&owner).trim().to_owned();
        if owner == cluster {
            return Ok(());
        }
        Err(BulkError::Claimed { place: self.0.address.to_string(), owner, object: self.0.address.join(OWNER) })
    }
}
