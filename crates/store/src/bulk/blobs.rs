//! Contents by their SHA-256: kept once, whoever sent them, and held by the tasks that need them (ADR 10).

use super::{BulkError, FileReader};
use async_trait::async_trait;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, TaskId, UserId};
use cloudai_core::sha256::Sha256;
use cloudai_core::task::OutputFile;
use std::time::{Duration, SystemTime};

/// So long a content stays that no task holds, since it was sent or last asked for.
pub const UNHELD: Duration = Duration::from_secs(24 * 3600);

/// Keeps contents. What a task left ([`super::BulkStore::finish_file`]) is among them.
#[async_trait]
pub trait BlobStore: Send + Sync + std::fmt::Debug + 'static {
    /// How much is kept of each content: whole, or so many bytes of this user's upload. What is whole stays for
    /// [`UNHELD`] from now on.
    async fn blobs_kept(&self, user: &UserId, contents: Vec<Sha256>) -> Result<Vec<Kept>, BulkError>;

    /// Appends to a user's upload at `offset`; bytes that are kept already are skipped. Answers how much is kept.
    /// # Errors
    /// [`BulkError::Gap`] when bytes before `offset` are missing.
    async fn append_blob(&self, user: &UserId, content: Sha256, offset: u64, data: Bytes) -> Result<Kept, BulkError>;

    /// Checks an upload's size and hash and keeps it. A repeated call changes nothing.
    /// # Errors
    /// [`BulkError::Checksum`]: then the upload is gone and must be sent again.
    async fn finish_blob(&self, user: &UserId, content: Sha256, size: u64) -> Result<(), BulkError>;

    /// Keeps small contents, all or none; answers their hashes.
    async fn put_blobs(&self, contents: Vec<Bytes>) -> Result<Vec<Sha256>, BulkError>;

    /// Has a content by its hash: that of an output file, also of one that came before its content had one.
    /// # Errors
    /// [`BulkError::NotFound`] when the file is not kept any more.
    async fn share_output(&self, attempt: Attempt, file: &OutputFile) -> Result<(), BulkError>;

    /// Has a task hold contents until it is removed; what it held before it holds no longer. On disk when it returns.
    /// # Errors
    /// [`BulkError::NotFound`] when one of them, or of the files that the list of a folder names, is not kept;
    /// [`BulkError::NotWhole`] names it. Then the task holds nothing.
    async fn hold_inputs(&self, task: TaskId, contents: &[Content]) -> Result<(), BulkError>;

    /// Has a task hold what another holds.
    async fn hold_inputs_as(&self, task: TaskId, other: TaskId) -> Result<(), BulkError>;

    /// What a task holds, in the order in which it was told.
    async fn held_inputs(&self, task: TaskId) -> Result<Vec<Held>, BulkError>;

    /// A content that a task holds, from `offset` on: by itself, or as a file of the folder that it holds. Answers its
    /// whole size too.
    /// # Errors
    /// [`BulkError::NotFound`] when the task does not hold it.
    async fn read_held(
        &self,
        task: TaskId,
        tree: Option<Sha256>,
        content: Sha256,
        offset: u64,
    ) -> Result<(u64, FileReader), BulkError>;

    /// Lets go all that a task holds. A repeated call changes nothing.
    async fn release_inputs(&self, task: TaskId) -> Result<(), BulkError>;

    /// Tasks that began to hold something before a time, in pieces numbered from 0: none after the last piece.
    async fn holders(&self, part: u32, before: SystemTime) -> Result<Option<Vec<TaskId>>, BulkError>;

    /// Removes contents and uploads that nobody holds and that were sent and asked for before a time, in pieces
    /// numbered from 0: none after the last piece. Answers how much it removed.
    async fn sweep(&self, part: u32, before: SystemTime) -> Result<Option<Swept>, BulkError>;
}

/// How much of a content is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it: so many bytes.
    Whole(u64),
    /// So many bytes of an upload; 0 when nothing was sent.
    Part(u64),
}

/// A content that a task holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its hash.
    pub sha256: Sha256,
    /// It is the list of a folder's files (`cloudai_core::spec::tree`): those are held with it.
    pub folder: bool,
}

/// The same with its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What.
    pub content: Content,
    /// Bytes: of a folder those of its list.
    pub size: u64,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Contents and uploads.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}
