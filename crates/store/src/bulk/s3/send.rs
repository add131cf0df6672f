//! Brings contents into a bucket: looked for first, counted again on the way, large ones in parts.

use super::{Bucket, Sha256};
use crate::bulk::BulkError;
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt};
use object_store::{MultipartUpload, ObjectStoreExt, UploadPart};
use sha2::Digest;
use std::path::Path;
use std::pin::pin;
use std::sync::PoisonError;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, Take};
use tracing::debug;

/// Larger contents are sent in parts of this size, or of larger ones where there would be too many.
const PART: u64 = 16 << 20;
/// S3 takes 10,000 parts.
const PARTS: u64 = 9_000;
/// Parts of one content on their way at a time.
const AT_A_TIME: usize = 2;
/// Small contents on their way at a time.
const TOGETHER: usize = 16;

/// The only one who sends a content.
struct Alone<'a>(&'a Bucket, Sha256);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let mut sending = self.0.0.sending.lock().unwrap_or_else(PoisonError::into_inner);
        sending.remove(&self.1);
        self.0.0.sent.notify_waiters();
    }
}

impl Bucket {
    /// Brings the content of a file there, unless it is there.
    /// # Errors
    /// [`BulkError::Checksum`] when the file has another content.
    pub(crate) async fn put(&self, content: Sha256, size: u64, file: &Path) -> Result<(), BulkError> {
        let _alone = self.alone(content).await;
        if self.size(content).await? == Some(size) {
            return Ok(());
        }
        let mut file = File::open(file).await?.take(size);
        if size > PART {
            return self.put_large(content, size, file).await;
        }
        let mut data = Vec::new();
        file.read_to_end(&mut data).await?;
        self.put_whole(content, data.into()).await
    }

    /// Brings small contents there that may be there.
    pub(crate) async fn put_several(&self, contents: Vec<(Sha256, Bytes)>) -> Result<(), BulkError> {
        let sent = futures::stream::iter(contents).map(|(content, data)| self.put_small(content, data));
        sent.buffer_unordered(TOGETHER).try_collect().await
    }

    async fn put_small(&self, content: Sha256, data: Bytes) -> Result<(), BulkError> {
        let _alone = self.alone(content).await;
        if self.size(content).await? == Some(data.len() as u64) {
            return Ok(());
        }
        self.put_whole(content, data).await
    }

    async fn put_whole(&self, content: Sha256, data: Bytes) -> Result<(), BulkError> {
        if sha2::Sha256::digest(&data).as_slice() != content.0 {
            return Err(BulkError::Checksum);
        }
        self.store().put(&self.key(content), data.into()).await.map(drop).map_err(|error| self.failed(error))
    }

    async fn put_large(&self, content: Sha256, size: u64, file: Take<File>) -> Result<(), BulkError> {
        let _few = self.0.large.acquire().await.map_err(std::io::Error::other)?;
        let mut upload = self.store().put_multipart(&self.key(content)).await.map_err(|error| self.failed(error))?;
        let sent = match self.put_parts(&mut *upload, PART.max(size / PARTS), file).await {
            Ok(hash) if hash != content => Err(BulkError::Checksum),
            Ok(_) => upload.complete().await.map(drop).map_err(|error| self.failed(error)),
            Err(error) => Err(error),
        };
        if sent.is_err()
            && let Err(error) = upload.abort().await
        {
            // What stays is for the bucket's own rule.
            debug!(%content, %error, "parts of a content stayed in the bucket");
        }
        sent
    }

    /// Sends what is left of a file; answers its hash.
    async fn put_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        part: u64,
        mut file: Take<File>,
    ) -> Result<Sha256, BulkError> {
        let mut hash = sha2::Sha256::new();
        let mut under_way: FuturesUnordered<UploadPart> = FuturesUnordered::new();
        let mut left = file.limit();
        while left > 0 {
            let mut data = Vec::with_capacity(usize::try_from(part.min(left)).unwrap_or_default());
            file.set_limit(part.min(left));
            file.read_to_end(&mut data).await?;
            if data.is_empty() {
                return Err(BulkError::Checksum);
            }
            left -= data.len() as u64;
            hash.update(&data);
            under_way.push(upload.put_part(Bytes::from(data).into()));
            while under_way.len() >= AT_A_TIME {
                if let Some(done) = under_way.next().await {
                    done.map_err(|error| self.failed(error))?;
                }
            }
        }
        under_way.try_collect::<()>().await.map_err(|error| self.failed(error))?;
        Ok(Sha256(hash.finalize().into()))
    }

    async fn alone(&self, content: Sha256) -> Alone<'_> {
        loop {
            let mut freed = pin!(self.0.sent.notified());
            freed.as_mut().enable();
            if self.0.sending.lock().unwrap_or_else(PoisonError::into_inner).insert(content) {
                return Alone(self, content);
            }
            freed.await;
        }
    }
}
