//! The embedded store: rows in one SQLite file of the data directory, for one master.
//!
//! One connection writes, on the thread of its caller (`write.rs`, `rows.rs`), some read (`read.rs`, `page.rs`);
//! `migrate.rs` opens the directory and brings the schema (`schema.rs`) up to date. In WAL mode
//! readers see the last commit and never wait for the writer. `backup.rs` copies the database while
//! it is in use, `restore.rs` puts a copy in the place of one that is not; `pending.rs` keeps one for
//! the next opening.

mod audit;
mod backup;
mod consumed;
mod jobs;
mod kept;
mod migrate;
mod page;
mod pending;
mod read;
mod restore;
mod retention;
mod rows;
mod schema;
mod write;

pub use pending::{Planned, Prepared};
pub use restore::{RestoreError, Restored, restore};

use crate::audit::{AuditQuery, AuditRow};
use crate::backup::Snapshot;
use crate::consumed::Consumed;
use crate::query::{Collectable, JobQuery, Page, RetentionQuery, TaskQuery};
use crate::{CommitError, Loaded, Store, StoreError, Usage};
use async_trait::async_trait;
use cloudai_core::effect::Row;
use cloudai_core::ids::{Attempt, JobId, TaskId, Term, UserId};
use cloudai_core::job::{Groups, JobPlan, JobRecord};
use cloudai_core::state::Status;
use cloudai_core::task::{OutputFile, TaskRecord};
use cloudai_core::time::Timestamp;
use read::Readers;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use write::Writer;

/// The state of a cluster in `DIR/cloudai.db`.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
}

impl SqliteStore {
    /// Opens the data directory, making it when it is not there; blocks for the time of a migration.
    ///
    /// The directory is this store's until it is dropped and its reads have ended. A restore that was
    /// ordered is completed first.
    /// # Errors
    /// [`StoreError::Locked`] while another store has it, [`StoreError::TooNew`] for the data of a
    /// newer version (which stays untouched), [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let lock = migrate::lock(dir)?;
        let path = migrate::file_in(dir);
        backup::remove_left(&path);
        pending::remove_left(dir);
        pending::complete(dir)?;
        let conn = migrate::open_file(&path)?;
        Ok(Self { writer: Writer::new(conn), readers: Arc::new(Readers::new(path, lock)) })
    }
}

impl Drop for SqliteStore {
    /// The writer closes last and tidies the log away.
    fn drop(&mut self) {
        self.readers.close();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn lead(&self) -> Result<Term, StoreError> {
        self.writer.lead()
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        self.readers.run(read::load).await
    }

    async fn commit(&self, term: Term, now: Timestamp, rows: &[Row]) -> Result<(), CommitError> {
        self.writer.commit(term, now, rows)
    }

    async fn task(&self, id: TaskId) -> Result<Option<Arc<TaskRecord>>, StoreError> {
        self.readers.run(move |conn| read::task(conn, id)).await
    }

    async fn task_by_key(&self, owner: &UserId, key: &str) -> Result<Option<Arc<TaskRecord>>, StoreError> {
        let (owner, key) = (owner.clone(), key.to_owned());
        self.readers.run(move |conn| read::task_by_key(conn, &owner, &key)).await
    }

    async fn tasks_like(&self, part: &str, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let part = part.to_owned();
        self.readers.run(move |conn| page::like(conn, &part, limit)).await
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<Page<Arc<TaskRecord>>, StoreError> {
        query.check()?;
        let query = query.clone();
        self.readers.run(move |conn| page::tasks(conn, &query)).await
    }

    async fn collectable(&self, query: &RetentionQuery) -> Result<Page<Collectable>, StoreError> {
        query.check()?;
        let query = query.clone();
        self.readers.run(move |conn| retention::collectable(conn, &query)).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Arc<JobRecord>>, StoreError> {
        self.readers.run(move |conn| jobs::job(conn, id)).await
    }

    async fn job_by_key(&self, owner: &UserId, key: &str) -> Result<Option<Arc<JobRecord>>, StoreError> {
        let (owner, key) = (owner.clone(), key.to_owned());
        self.readers.run(move |conn| jobs::by_key(conn, &owner, &key)).await
    }

    async fn job_with(&self, task: TaskId) -> Result<Option<Arc<JobRecord>>, StoreError> {
        self.readers.run(move |conn| jobs::with(conn, task)).await
    }

    async fn job_plan(&self, id: JobId) -> Result<Option<Arc<JobPlan>>, StoreError> {
        self.readers.run(move |conn| jobs::plan(conn, id)).await
    }

    async fn job_groups(&self, id: JobId) -> Result<Option<Groups>, StoreError> {
        self.readers.run(move |conn| jobs::groups(conn, id)).await
    }

    async fn jobs_like(&self, part: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let part = part.to_owned();
        self.readers.run(move |conn| jobs::like(conn, &part, limit)).await
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<Arc<JobRecord>>, StoreError> {
        query.check()?;
        let query = query.clone();
        self.readers.run(move |conn| jobs::jobs(conn, &query)).await
    }

    async fn collectable_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        self.readers.run(move |conn| retention::jobs(conn, before, limit)).await
    }

    async fn ended(&self, task: TaskId) -> Result<Option<Status>, StoreError> {
        self.readers.run(move |conn| jobs::ended(conn, task)).await
    }

    async fn outputs(&self, attempt: Attempt) -> Result<Vec<OutputFile>, StoreError> {
        self.readers.run(move |conn| read::outputs(conn, attempt)).await
    }

    async fn output(&self, attempt: Attempt, path: &str) -> Result<Option<OutputFile>, StoreError> {
        let path = path.to_owned();
        self.readers.run(move |conn| read::output(conn, attempt, &path)).await
    }

    async fn usage(&self, owner: &UserId, but: &[Attempt]) -> Result<Usage, StoreError> {
        let (owner, but) = (owner.clone(), but.to_vec());
        self.readers.run(move |conn| kept::usage(conn, &owner, &but)).await
    }

    async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        let name = name.to_owned();
        self.readers.run(move |conn| read::fact(conn, &name)).await
    }

    async fn keep_fact(&self, name: &str, value: &str) -> Result<String, StoreError> {
        self.writer.keep_fact(name, value)
    }

    async fn set_fact(&self, term: Term, name: &str, value: &str) -> Result<(), CommitError> {
        self.writer.set_fact(term, name, value)
    }

    async fn facts(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let prefix = prefix.to_owned();
        self.readers.run(move |conn| read::facts(conn, &prefix)).await
    }

    async fn drop_fact(&self, term: Term, name: &str) -> Result<bool, CommitError> {
        self.writer.drop_fact(term, name)
    }

    async fn append_audit(&self, term: Term, rows: &[AuditRow], head: &str) -> Result<(), CommitError> {
        self.writer.append_audit(term, rows, head)
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError> {
        query.check()?;
        let query = query.clone();
        self.readers.run(move |conn| audit::page(conn, &query)).await
    }

    async fn audit_after(&self, seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.readers.run(move |conn| audit::after(conn, seq, limit)).await
    }

    async fn consumed(&self, hours: Range<u64>, owner: Option<&UserId>) -> Result<Vec<(UserId, Consumed)>, StoreError> {
        let owner = owner.cloned();
        self.readers.run(move |conn| consumed::of_hours(conn, &hours, owner.as_ref())).await
    }

    async fn backup(&self) -> Result<Snapshot, StoreError> {
        self.readers.copy(backup::take).await
    }

    fn prepare_restore(&self, from: &Path, backup: &mut dyn Read, now: Timestamp) -> Result<Prepared, RestoreError> {
        Prepared::make(from, backup, self.readers.dir(), now)
    }
}
