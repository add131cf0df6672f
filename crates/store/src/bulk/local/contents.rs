//! [`BlobStore`] on a local disk: each call on a thread that may block.

use super::blobs::Blobs;
use super::parts::digest;
use super::{LocalBulk, blocking};
use crate::bulk::{BlobStore, BulkError, Content, FileReader, Held, Kept, Swept};
use async_trait::async_trait;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, TaskId, UserId};
use cloudai_core::sha256::Sha256;
use cloudai_core::task::OutputFile;
use std::sync::Arc;
use std::time::SystemTime;

impl LocalBulk {
    async fn blob<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Blobs) -> Result<T, BulkError> + Send + 'static,
    ) -> Result<T, BulkError> {
        let blobs = Arc::clone(&self.blobs);
        blocking(move || work(&blobs)).await
    }
}

#[async_trait]
impl BlobStore for LocalBulk {
    async fn blobs_kept(&self, user: &UserId, contents: Vec<Sha256>) -> Result<Vec<Kept>, BulkError> {
        let user = user.clone();
        self.blob(move |blobs| contents.into_iter().map(|content| blobs.kept(&user, content)).collect()).await
    }

    async fn append_blob(&self, user: &UserId, content: Sha256, offset: u64, data: Bytes) -> Result<Kept, BulkError> {
        let user = user.clone();
        self.blob(move |blobs| blobs.append(&user, content, offset, &data)).await
    }

    async fn finish_blob(&self, user: &UserId, content: Sha256, size: u64) -> Result<(), BulkError> {
        let _room = self.room().await?;
        let user = user.clone();
        self.blob(move |blobs| blobs.finish(&user, content, size)).await
    }

    async fn put_blobs(&self, contents: Vec<Bytes>) -> Result<Vec<Sha256>, BulkError> {
        let _room = self.room().await?;
        self.blob(move |blobs| {
            let hashes: Vec<_> = contents.iter().map(|content| digest(content)).collect();
            // Somebody is to name them.
            blobs.put(hashes.iter().copied().zip(&contents), SystemTime::now())?;
            Ok(hashes)
        })
        .await
    }

    async fn share_output(&self, attempt: Attempt, file: &OutputFile) -> Result<(), BulkError> {
        let _room = self.room().await?;
        let file = file.clone();
        self.file(move |files| files.share(attempt, &file)).await
    }

    async fn hold_inputs(&self, task: TaskId, contents: &[Content]) -> Result<(), BulkError> {
        let _room = self.room().await?;
        let contents = contents.to_vec();
        self.blob(move |blobs| blobs.hold_inputs(task, &contents)).await
    }

    async fn hold_inputs_as(&self, task: TaskId, other: TaskId) -> Result<(), BulkError> {
        self.blob(move |blobs| blobs.hold_inputs_as(task, other)).await
    }

    async fn held_inputs(&self, task: TaskId) -> Result<Vec<Held>, BulkError> {
        self.blob(move |blobs| blobs.held_inputs(task)).await
    }

    async fn read_held(
        &self,
        task: TaskId,
        tree: Option<Sha256>,
        content: Sha256,
        offset: u64,
    ) -> Result<(u64, FileReader), BulkError> {
        let (size, place) = self.blob(move |blobs| blobs.open_held(task, tree, content, offset)).await?;
        Ok((size, self.reader(place, offset).await?))
    }

    async fn release_inputs(&self, task: TaskId) -> Result<(), BulkError> {
        self.blob(move |blobs| blobs.release_inputs(task)).await
    }

    async fn holders(&self, part: u32, before: SystemTime) -> Result<Option<Vec<TaskId>>, BulkError> {
        self.blob(move |blobs| blobs.holders(part, before)).await
    }

    async fn sweep(&self, part: u32, before: SystemTime) -> Result<Option<Swept>, BulkError> {
        self.blob(move |blobs| blobs.sweep(part, before)).await
    }
}
