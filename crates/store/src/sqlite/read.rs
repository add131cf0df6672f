//! The reading connections and the questions about one thing; lists are in `page.rs`.

use super::migrate::{open_reader, read_error};
use super::rows::key;
use crate::{Loaded, StoreError};
use cloudai_core::ids::{Attempt, Incarnation, TaskId, UserId};
use cloudai_core::sha256::Sha256;
use cloudai_core::state::Status;
use cloudai_core::task::{OutputFile, TaskRecord};
use cloudai_core::time::Timestamp;
use cloudai_core::worker::WorkerRecord;
use rusqlite::{Connection, OptionalExtension, Params, params};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Reads at the same time: enough for a slow list beside quick look-ups, few file handles.
const READERS: usize = 4;

/// Connections that wait for a question. Holds the lock of the directory, so that it is given
/// back only after the last read.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    slots: Arc<Semaphore>,
    /// One copy at a time: each takes as much of the disk as the database.
    copies: Mutex<()>,
    _lock: File,
}

impl Readers {
    pub(super) fn new(path: PathBuf, lock: File) -> Self {
        Self {
            path,
            idle: Mutex::default(),
            slots: Arc::new(Semaphore::new(READERS)),
            copies: Mutex::default(),
            _lock: lock,
        }
    }

    /// The data directory.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    pub(super) fn close(&self) {
        self.slots.close();
        self.idle().clear();
    }

    /// Answers a question from one moment's state, on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone =
            |error: Box<dyn std::error::Error + Send + Sync>| StoreError::Unavailable(std::io::Error::other(error));
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|error| gone(error.into()))?;
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            readers.answer(question)
        })
        .await
        .map_err(|error| gone(error.into()))?
    }

    /// Copies the database, on a thread that may block for as long as that takes.
    pub(super) async fn copy<T: Send + 'static>(
        self: &Arc<Self>,
        take: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(self);
        let taken = tokio::task::spawn_blocking(move || {
            let _alone = readers.copies.lock().unwrap_or_else(PoisonError::into_inner);
            take(&readers.path)
        });
        taken.await.map_err(|error| StoreError::Unavailable(std::io::Error::other(error)))?
    }

    fn answer<T>(&self, question: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let conn = idle.map_or_else(|| open_reader(&self.path), Ok)?;
        let answer = {
            let _moment = conn.unchecked_transaction().map_err(read_error)?;
            question(&conn)
        };
        if !self.slots.is_closed() {
            self.idle().push(conn);
        }
        answer
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record from the JSON that was found.
pub(super) fn record<T: DeserializeOwned>(body: &str) -> Result<Arc<T>, StoreError> {
    serde_json::from_str(body).map(Arc::new).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Every record of a question whose first column is JSON, each made ready beside the one before it.
fn records<T: DeserializeOwned>(
    conn: &Connection,
    sql: &str,
    args: impl Params,
    mut ready: impl FnMut(&mut T, Option<&Arc<T>>),
) -> Result<Vec<Arc<T>>, StoreError> {
    let mut statement = conn.prepare_cached(sql).map_err(read_error)?;
    let mut rows = statement.query(args).map_err(read_error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(read_error)? {
        let body = row.get_ref(0).map_err(read_error)?.as_str();
        let mut record = record(body.map_err(|error| StoreError::Corrupt(error.to_string()))?)?;
        if let Some(fresh) = Arc::get_mut(&mut record) {
            ready(fresh, found.last());
        }
        found.push(record);
    }
    Ok(found)
}

pub(super) const TASK: &str = "SELECT body FROM tasks WHERE ulid = ?1 AND idx = ?2";
pub(super) const BY_KEY: &str = "SELECT body FROM tasks INDEXED BY tasks_key WHERE owner = ?1 AND idem_key = ?2";
pub(super) const LIVE: &str = "SELECT body FROM tasks INDEXED BY tasks_live WHERE finished_at IS NULL ORDER BY ord";
pub(super) const ENDED: &str = "SELECT count(*) FROM tasks INDEXED BY tasks_status WHERE ended = ?1";

pub(super) fn load(conn: &Connection) -> Result<Loaded, StoreError> {
    let mut loaded = cluster(conn).map_err(read_error)?;
    for status in Status::ALL.iter().filter(|status| status.is_final()) {
        let count: u64 =
            conn.query_row(ENDED, [status.word()], |row| row.get(0).map(i64::unsigned_abs)).map_err(read_error)?;
        if count > 0 {
            loaded.ended.insert(status.word().to_owned(), count);
        }
    }
    loaded.tasks = live(conn)?;
    loaded.jobs = super::jobs::live(conn)?;
    loaded.workers = records::<WorkerRecord>(conn, "SELECT body FROM workers ORDER BY id", [], |_, _| ())?;
    Ok(loaded)
}

/// All live tasks. Those that were submitted together are often alike: they share what is the same,
/// as they did before.
fn live(conn: &Connection) -> Result<Vec<Arc<TaskRecord>>, StoreError> {
    let mut tasks = records::<TaskRecord>(conn, LIVE, [], |task, before: Option<&Arc<TaskRecord>>| {
        if let Some(before) = before.filter(|before| before.spec == task.spec) {
            task.spec = Arc::clone(&before.spec);
        }
    })?;
    tasks.shrink_to_fit();
    Ok(tasks)
}

fn cluster(conn: &Connection) -> rusqlite::Result<Loaded> {
    let sql = "SELECT id, incarnation, last_commit, last_order FROM cluster";
    conn.query_row(sql, [], |row| {
        Ok(Loaded {
            cluster: row.get(0)?,
            incarnation: Incarnation(row.get::<_, i64>(1)?.unsigned_abs()),
            last_commit: Timestamp::from_millis(row.get::<_, i64>(2)?.unsigned_abs()),
            last_order: row.get::<_, i64>(3)?.unsigned_abs(),
            tasks: Vec::new(),
            jobs: Vec::new(),
            workers: Vec::new(),
            ended: BTreeMap::new(),
        })
    })
}

pub(super) fn task(conn: &Connection, id: TaskId) -> Result<Option<Arc<TaskRecord>>, StoreError> {
    let (ulid, idx) = key(id);
    Ok(records(conn, TASK, params![ulid, idx], |_, _| ())?.pop())
}

pub(super) fn task_by_key(conn: &Connection, owner: &UserId, key: &str) -> Result<Option<Arc<TaskRecord>>, StoreError> {
    Ok(records(conn, BY_KEY, [owner.as_str(), key], |_, _| ())?.pop())
}

pub(super) fn outputs(conn: &Connection, attempt: Attempt) -> Result<Vec<OutputFile>, StoreError> {
    let (ulid, idx) = key(attempt.task);
    conn.prepare_cached(
        "SELECT path, size, sha256 FROM outputs WHERE ulid = ?1 AND idx = ?2 AND attempt = ?3 ORDER BY path",
    )
    .and_then(|mut statement| statement.query_map(params![ulid, idx, attempt.number], output_file)?.collect())
    .map_err(read_error)
}

pub(super) fn output(conn: &Connection, attempt: Attempt, path: &str) -> Result<Option<OutputFile>, StoreError> {
    let (ulid, idx) = key(attempt.task);
    conn.prepare_cached(
        "SELECT path, size, sha256 FROM outputs WHERE ulid = ?1 AND idx = ?2 AND attempt = ?3 AND path = ?4",
    )
    .and_then(|mut statement| statement.query_row(params![ulid, idx, attempt.number, path], output_file).optional())
    .map_err(read_error)
}

fn output_file(row: &rusqlite::Row<'_>) -> rusqlite::Result<OutputFile> {
    // An early version kept the digits as they were told.
    let digits = row.get::<_, String>(2)?.to_ascii_lowercase();
    let wrong = |why| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(why));
    let sha256 = digits.parse::<Sha256>().map_err(wrong)?;
    Ok(OutputFile { path: row.get(0)?, size: row.get::<_, i64>(1)?.unsigned_abs(), sha256 })
}

pub(super) fn fact(conn: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    conn.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0)).optional().map_err(read_error)
}

/// Names are compared byte by byte: those that begin so follow each other, up to the first that does not. What is behind
/// that is not read: values may be large.
pub(super) fn facts(conn: &Connection, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT name, value FROM facts WHERE name >= ?1 AND name < ?2 AND substr(name, 1, length(?1)) = ?1 \
               ORDER BY name";
    let end = behind(prefix).unwrap_or_else(|| char::MAX.to_string());
    let mut statement = conn.prepare_cached(sql).map_err(read_error)?;
    let rows = statement.query_map([prefix, end.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).map_err(read_error)?;
    rows.collect::<rusqlite::Result<_>>().map_err(read_error)
}

/// The least text that is behind all that begin so.
fn behind(prefix: &str) -> Option<String> {
    let mut end = prefix.to_owned();
    let last = end.pop()?;
    end.push(char::from_u32(u32::from(last) + 1)?);
    Some(end)
}
