//! Where CloudAI keeps its state.
//!
//! [`Store`] holds records (tasks, workers, the cluster's own facts); [`bulk::BulkStore`] holds
//! logs and files. Both have one conformance suite that every backend passes. Nothing here
//! decides anything: rows come from the core, in batches, under a term.

pub mod audit;
pub mod backup;
pub mod bulk;
pub mod consumed;
pub mod memory;
pub mod query;
mod rules;
pub mod sqlite;

use async_trait::async_trait;
use audit::{AUDIT_HEAD, AuditQuery, AuditRow};
use backup::Snapshot;
use cloudai_core::effect::Row;
use cloudai_core::ids::{Attempt, Incarnation, JobId, TaskId, Term, UserId};
use cloudai_core::job::{Groups, JobPlan, JobRecord, StoredJob};
use cloudai_core::state::Status;
use cloudai_core::task::{OutputFile, TaskRecord};
use cloudai_core::time::Timestamp;
use cloudai_core::worker::WorkerRecord;
use consumed::Consumed;
use query::{Collectable, JobQuery, Page, RetentionQuery, TaskQuery};
use sqlite::{Prepared, RestoreError};
use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The durable state of one cluster.
///
/// A commit is all or nothing and on disk when it returns. Reads see every commit that returned
/// before they began. What writes may block the thread of its caller for the disk's time, so the
/// engine has a thread of its own; reads never do.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug + 'static {
    /// Becomes the only writer: takes the next term, so that commits of older ones are fenced.
    async fn lead(&self) -> Result<Term, StoreError>;

    /// Everything a new leader starts from: every task that has not ended, every worker.
    async fn load(&self) -> Result<Loaded, StoreError>;

    /// Stores a batch at `now`; a row whose version is not newer than the stored one is skipped.
    /// # Errors
    /// See [`CommitError`]: each variant says what the caller can do.
    async fn commit(&self, term: Term, now: Timestamp, rows: &[Row]) -> Result<(), CommitError>;

    /// A task by its id, whatever its state.
    async fn task(&self, id: TaskId) -> Result<Option<Arc<TaskRecord>>, StoreError>;

    /// The task that an owner submitted under an idempotency key.
    async fn task_by_key(&self, owner: &UserId, key: &str) -> Result<Option<Arc<TaskRecord>>, StoreError>;

    /// Up to `limit` ids of ended tasks whose text begins (after `task-`) or ends with `part`, newest first.
    /// `part` is in upper case.
    async fn tasks_like(&self, part: &str, limit: usize) -> Result<Vec<TaskId>, StoreError>;

    /// One page of tasks that have ended.
    /// # Errors
    /// [`StoreError::Unsupported`] for a pair of filter and order that no index serves.
    async fn tasks(&self, query: &TaskQuery) -> Result<Page<Arc<TaskRecord>>, StoreError>;

    /// Ended tasks that are kept no longer, a slice of them: look again from `next` on until there
    /// is none. What a live task depends on is not among them. To let one go, remove what
    /// [`bulk::BulkStore::remove`] keeps of it, then commit a [`Row::TaskRemoved`].
    /// # Errors
    /// [`StoreError::Unsupported`] for a limit out of range.
    async fn collectable(&self, query: &RetentionQuery) -> Result<Page<Collectable>, StoreError>;

    /// A job by its id, whatever its state.
    async fn job(&self, id: JobId) -> Result<Option<Arc<JobRecord>>, StoreError>;

    /// The job that an owner submitted under an idempotency key.
    async fn job_by_key(&self, owner: &UserId, key: &str) -> Result<Option<Arc<JobRecord>>, StoreError>;

    /// The job of which a task with this id is, or an array as a whole, whether it has a record or not.
    async fn job_with(&self, task: TaskId) -> Result<Option<Arc<JobRecord>>, StoreError>;

    /// What a job is made of.
    async fn job_plan(&self, id: JobId) -> Result<Option<Arc<JobPlan>>, StoreError>;

    /// How far the groups of a job were when it was stopped, or had ended.
    async fn job_groups(&self, id: JobId) -> Result<Option<Groups>, StoreError>;

    /// Up to `limit` ids of jobs whose text begins (after `job-`) or ends with `part`, newest first. `part` is in upper
    /// case.
    async fn jobs_like(&self, part: &str, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// One page of jobs that have ended.
    /// # Errors
    /// [`StoreError::Unsupported`] for a limit out of range.
    async fn jobs(&self, query: &JobQuery) -> Result<Page<Arc<JobRecord>>, StoreError>;

    /// Up to `limit` jobs that are kept no longer, the earliest ended first: they ended before this time, none of their
    /// tasks is stored, and no live job needs anything of them. To let one go, commit a [`Row::JobRemoved`].
    async fn collectable_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// How a task ended, an array as a whole, or one that never had a record; none of what has not ended or is not
    /// known.
    async fn ended(&self, task: TaskId) -> Result<Option<Status>, StoreError>;

    /// The files of an attempt, in the order of their paths; empty when there are none.
    async fn outputs(&self, attempt: Attempt) -> Result<Vec<OutputFile>, StoreError>;

    /// One of them by its path.
    async fn output(&self, attempt: Attempt, path: &str) -> Result<Option<OutputFile>, StoreError>;

    /// What the kept files of an owner's tasks come to, but for those of some attempts, all of them that owner's. A
    /// content that several files have counts for each of them.
    async fn usage(&self, owner: &UserId, but: &[Attempt]) -> Result<Usage, StoreError>;

    /// A fact of the cluster's own, as its join token.
    async fn fact(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Keeps a fact unless it is there already; answers the one that is kept.
    async fn keep_fact(&self, name: &str, value: &str) -> Result<String, StoreError>;

    /// Sets a fact, whatever it was.
    /// # Errors
    /// As [`Store::commit`].
    async fn set_fact(&self, term: Term, name: &str, value: &str) -> Result<(), CommitError>;

    /// All facts whose names begin so, in the order of their names.
    async fn facts(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError>;

    /// Removes a fact; answers whether it was there.
    /// # Errors
    /// As [`Store::commit`].
    async fn drop_fact(&self, term: Term, name: &str) -> Result<bool, CommitError>;

    /// Adds rows to the audit log, and sets its head, in one commit; without rows the head alone.
    /// # Errors
    /// As [`Store::commit`]; a row whose place is taken is refused.
    async fn append_audit(&self, term: Term, rows: &[AuditRow], head: &str) -> Result<(), CommitError>;

    /// One page of the audit log, the latest first.
    /// # Errors
    /// [`StoreError::Unsupported`] for a pair of filters that no index serves.
    async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError>;

    /// Up to `limit` rows of the audit log behind this place, in their order.
    async fn audit_after(&self, seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError>;

    /// The head of the audit log, as it was written with its last row.
    async fn audit_head(&self) -> Result<Option<String>, StoreError> {
        self.fact(AUDIT_HEAD).await
    }

    /// What attempts that ended took in these hours (counted from the epoch), by owner in the order of their names; of one
    /// owner alone where one is named.
    async fn consumed(&self, hours: Range<u64>, owner: Option<&UserId>) -> Result<Vec<(UserId, Consumed)>, StoreError>;

    /// A copy of all records as they are at one moment; commits go on meanwhile.
    /// # Errors
    /// [`StoreError::Unsupported`] of a store that keeps nothing which could be restored.
    async fn backup(&self) -> Result<Snapshot, StoreError> {
        Err(StoreError::Unsupported("this master keeps its state in memory only: there is nothing to back up".into()))
    }

    /// Checks a backup wholly and makes it ready to take the place of all records when the data is
    /// opened next; blocks until `backup`, which is named `from` in errors, was read. One at a time.
    /// # Errors
    /// [`RestoreError`]; a store that keeps nothing can not be restored.
    fn prepare_restore(&self, _from: &Path, _backup: &mut dyn Read, _now: Timestamp) -> Result<Prepared, RestoreError> {
        let why = "this master keeps its state in memory only: a backup is restored into one with --store sqlite";
        Err(StoreError::Unsupported(why.into()).into())
    }
}

/// What files come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Usage {
    /// One file of so many bytes.
    #[must_use]
    pub const fn of_file(bytes: u64) -> Self {
        Self { files: 1, bytes }
    }

    /// Both together, no more than a number holds.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { files: self.files.saturating_add(other.files), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// This without the other, no less than nothing.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self { files: self.files.saturating_sub(other.files), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// What a new leader starts from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Which life of the data this is.
    pub incarnation: Incarnation,
    /// The name of the cluster: made with the data, never changed.
    pub cluster: String,
    /// The time of the last commit; the clock must not run behind it.
    pub last_commit: Timestamp,
    /// The highest submission order ever stored.
    pub last_order: u64,
    /// Tasks that have not ended.
    pub tasks: Vec<Arc<TaskRecord>>,
    /// Jobs that have not ended.
    pub jobs: Vec<StoredJob>,
    /// All workers.
    pub workers: Vec<Arc<WorkerRecord>>,
    /// How many tasks have ended, by their status word.
    pub ended: BTreeMap<String, u64>,
}

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Step down: do not retry.
    #[error("another master leads under a newer term")]
    Fenced,
    /// Retry with backoff; nothing was written.
    #[error("the store did not answer")]
    Unavailable(#[source] std::io::Error),
    /// Never retry: this row can not be stored. Reload, answer its caller, apply the rest.
    #[error("row {row} of the batch can not be stored: {why}")]
    Refused {
        /// Which row of the batch, from 0.
        row: usize,
        /// Why.
        why: String,
    },
}

/// Why a read, or the opening of a store, failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Retry with backoff.
    #[error("the store did not answer")]
    Unavailable(#[source] std::io::Error),
    /// The data directory is used by another process.
    #[error("{0} is in use by another master: stop that one, or give another --data-dir")]
    Locked(PathBuf),
    /// The data directory can not be made or written.
    #[error("the data folder {0} can not be used")]
    Folder(PathBuf, #[source] std::io::Error),
    /// The data was written by a newer version.
    #[error("the data in {path} has schema {found}, this version knows up to {known}: use a newer cloudai")]
    TooNew {
        /// Where.
        path: PathBuf,
        /// The stored schema version.
        found: u32,
        /// The newest known one.
        known: u32,
    },
    /// What is stored can not be read.
    #[error("the stored data can not be read: {0}")]
    Corrupt(String),
    /// No index serves this question.
    #[error("{0}")]
    Unsupported(String),
}
