//! How a row of a batch becomes rows of tables.

use super::consumed::{self, Counted, Sums};
use super::{jobs, kept};
use crate::Usage;
use crate::rules::{self, Fixed};
use cloudai_core::effect::Row;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::state::Status;
use cloudai_core::task::{OutputFile, TaskRecord};
use cloudai_core::worker::WorkerRecord;
use rusqlite::{OptionalExtension, Transaction, ffi, params};

/// Why a row was not written.
#[derive(Debug)]
pub(super) enum RowError {
    /// The row is wrong.
    Refused(String),
    /// The row or the store is wrong: the code tells.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for RowError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<String> for RowError {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl From<serde_json::Error> for RowError {
    fn from(error: serde_json::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

/// The key of a task: the ulid in the order of its text, and -1 for what is no array element.
pub(super) fn key(id: TaskId) -> ([u8; 16], i64) {
    (id.ulid().to_be_bytes(), id.index().map_or(-1, i64::from))
}

/// The id of a stored key.
pub(super) fn id_of(ulid: [u8; 16], idx: i64) -> TaskId {
    let id = TaskId::new(u128::from_be_bytes(ulid));
    u32::try_from(idx).map_or(id, |index| id.element(index))
}

/// Writes a row; what it adds to its owner's hours is noted in `sums`, which are written with the batch.
pub(super) fn put(tx: &Transaction<'_>, row: &Row, sums: &mut Sums) -> Result<(), RowError> {
    match row {
        Row::Task(task) => put_task(tx, task, sums),
        Row::Worker(worker) => put_worker(tx, worker),
        Row::WorkerRemoved(id) => {
            tx.prepare_cached("DELETE FROM workers WHERE id = ?1")?.execute([id.as_str()])?;
            Ok(())
        }
        Row::Outputs(attempt, files) => put_outputs(tx, *attempt, files),
        Row::TaskRemoved(id, status) => remove_task(tx, *id, *status),
        Row::Job(job, groups) => jobs::put(tx, job, groups),
        Row::JobPlanned(id, plan) => jobs::put_plan(tx, *id, plan),
        Row::JobRemoved(id) => jobs::remove(tx, *id),
    }
}

fn put_worker(tx: &Transaction<'_>, worker: &WorkerRecord) -> Result<(), RowError> {
    let body = serde_json::to_string(worker)?;
    tx.prepare_cached(
        "INSERT INTO workers (id, version, status, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, status = excluded.status, body = excluded.body
         WHERE excluded.version > workers.version",
    )?
    .execute(params![worker.id.as_str(), rules::number(worker.version)?, worker.status.word(), body])?;
    Ok(())
}

/// Most rows are newer versions of what is there, and the others are new: only what is neither is
/// looked at.
fn put_task(tx: &Transaction<'_>, task: &TaskRecord, sums: &mut Sums) -> Result<(), RowError> {
    if task.version > FIRST_VERSION {
        let counted = consumed::counted(tx, task)?;
        if update_task(tx, task)? {
            sums.add(task, counted);
            return Ok(());
        }
    }
    if is_stored(tx, task)? {
        return Ok(());
    }
    insert_task(tx, task)?;
    sums.add(task, Counted::default());
    insert_dependencies(tx, task)?;
    take_up(tx, task)
}

/// What a new task runs again is no dead letter any more.
fn take_up(tx: &Transaction<'_>, task: &TaskRecord) -> Result<(), RowError> {
    if let Some(earlier) = task.retry_of {
        let (ulid, idx) = key(earlier);
        tx.prepare_cached("UPDATE tasks SET dead = NULL WHERE ulid = ?1 AND idx = ?2")?.execute(params![ulid, idx])?;
    }
    Ok(())
}

/// The version of a task that was just submitted.
const FIRST_VERSION: u64 = 1;

/// Whether this version or a newer one is stored.
fn is_stored(tx: &Transaction<'_>, task: &TaskRecord) -> Result<bool, RowError> {
    let (ulid, idx) = key(task.id);
    let order = rules::number(task.order)?;
    let fixed = Fixed::of(task);
    let found = tx
        .prepare_cached("SELECT ord, owner, name, idem_key FROM tasks WHERE ulid = ?1 AND idx = ?2")?
        .query_row(params![ulid, idx], |row| {
            let same = row.get::<_, i64>(0)? == order
                && row.get_ref(1)?.as_str()? == fixed.owner
                && row.get_ref(2)?.as_str_or_null()? == fixed.name
                && row.get_ref(3)?.as_str_or_null()? == fixed.key;
            Ok(same)
        })
        .optional()?;
    match found {
        None => Ok(false),
        Some(true) => Ok(true),
        Some(false) => Err(RowError::Refused(rules::NOT_FIXED.to_owned())),
    }
}

fn insert_task(tx: &Transaction<'_>, task: &TaskRecord) -> Result<(), RowError> {
    let (ulid, idx) = key(task.id);
    tx.prepare_cached(
        "INSERT INTO tasks (ord, ulid, idx, version, owner, job, status, worker, name, idem_key,
             created_at, finished_at, priority, body, ended, dead, counted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
    .execute(params![
        rules::number(task.order)?,
        ulid,
        idx,
        rules::number(task.version)?,
        task.owner.as_str(),
        task.job.map(|job| job.to_string()),
        task.status().word(),
        task.worker().map(|worker| worker.as_str()),
        task.spec.name.as_deref(),
        rules::key(task).map(AsRef::<str>::as_ref),
        rules::number(task.created_at.as_millis())?,
        task.finished_at.map(|at| rules::number(at.as_millis())).transpose()?,
        task.spec.priority,
        serde_json::to_string(task)?,
        ended(task),
        dead(task),
        consumed::to_be_counted(task),
    ])
    .map_err(|error| taken(error, task))?;
    Ok(())
}

/// What a task depends on is fixed with it.
fn insert_dependencies(tx: &Transaction<'_>, task: &TaskRecord) -> Result<(), RowError> {
    let (ulid, idx) = key(task.id);
    for dependency in &task.depends_on {
        let (on_ulid, on_idx) = key(dependency.task);
        tx.prepare_cached("INSERT INTO dependencies (ulid, idx, on_ulid, on_idx, ends) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![ulid, idx, on_ulid, on_idx, dependency.when.word()])?;
    }
    Ok(())
}

/// Writes a newer version of the same task; whether there was an older one.
fn update_task(tx: &Transaction<'_>, task: &TaskRecord) -> Result<bool, RowError> {
    let (ulid, idx) = key(task.id);
    let fixed = Fixed::of(task);
    let changed = tx
        .prepare_cached(
            "UPDATE tasks SET version = ?2, status = ?3, worker = ?4, finished_at = ?5, body = ?6, ended = ?7,
                 counted = ?13
             WHERE ord = ?1 AND version < ?2 AND ulid = ?8 AND idx = ?9 AND owner = ?10 AND name IS ?11
                 AND idem_key IS ?12",
        )?
        .execute(params![
            rules::number(task.order)?,
            rules::number(task.version)?,
            task.status().word(),
            task.worker().map(|worker| worker.as_str()),
            task.finished_at.map(|at| rules::number(at.as_millis())).transpose()?,
            serde_json::to_string(task)?,
            ended(task),
            ulid,
            idx,
            fixed.owner,
            fixed.name,
            fixed.key,
            consumed::to_be_counted(task),
        ])?;
    // Apart: a statement that names a column updates its indexes each time.
    if changed > 0 && dead(task).is_some() {
        tx.prepare_cached("UPDATE tasks SET dead = 1 WHERE ord = ?1")?.execute([rules::number(task.order)?])?;
    }
    Ok(changed > 0)
}

/// The status of a task that has ended: what the indexes of lists are about.
fn ended(task: &TaskRecord) -> Option<&'static str> {
    task.finished().map(|finished| finished.status.word())
}

/// 1 for a task whose retries are used up.
fn dead(task: &TaskRecord) -> Option<i64> {
    task.finished().filter(|finished| finished.dead).map(|_| 1)
}

/// Says in words which uniqueness a new task breaks.
fn taken(error: rusqlite::Error, task: &TaskRecord) -> RowError {
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID) => {
            RowError::Refused(rules::order_taken(task.order))
        }
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE) => RowError::Refused(rules::key_taken(&task.owner)),
        _ => RowError::Sql(error),
    }
}

/// Removes a task that has ended; what it depended on and its files go with it.
fn remove_task(tx: &Transaction<'_>, id: TaskId, status: Status) -> Result<(), RowError> {
    let (ulid, idx) = key(id);
    let files = kept::of_task(tx, id)?;
    // Most tasks leave none: then nobody's sum changes.
    let owner = if files == Usage::default() { None } else { kept::owner(tx, id)? };
    let removed = tx
        .prepare_cached("DELETE FROM tasks WHERE ulid = ?1 AND idx = ?2 AND ended = ?3")?
        .execute(params![ulid, idx, status.word()])?;
    let is_there = || tx.prepare_cached("SELECT 1 FROM tasks WHERE ulid = ?1 AND idx = ?2")?.exists(params![ulid, idx]);
    if removed == 0 {
        return if is_there()? { Err(RowError::Refused(rules::NOT_ENDED.to_owned())) } else { Ok(()) };
    }
    if let Some(owner) = owner {
        kept::change(tx, &owner, files, Usage::default())?;
    }
    Ok(())
}

/// Replaces the files of an attempt.
fn put_outputs(tx: &Transaction<'_>, attempt: Attempt, files: &[OutputFile]) -> Result<(), RowError> {
    let (ulid, idx) = key(attempt.task);
    let Some(owner) = kept::owner(tx, attempt.task)? else { return Err(RowError::Refused(rules::NO_TASK.to_owned())) };
    let before = kept::of_attempt(tx, attempt)?;
    tx.prepare_cached("DELETE FROM outputs WHERE ulid = ?1 AND idx = ?2 AND attempt = ?3")?.execute(params![
        ulid,
        idx,
        attempt.number
    ])?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO outputs (ulid, idx, attempt, path, size, sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for file in files {
        insert
            .execute(params![ulid, idx, attempt.number, file.path, rules::number(file.size)?, file.sha256.to_string()])
            .map_err(|error| match error.sqlite_error().map(|error| error.extended_code) {
                Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => RowError::Refused(rules::TWICE.to_owned()),
                _ => RowError::Sql(error),
            })?;
    }
    let now = files.iter().fold(Usage::default(), |sum, file| sum.plus(Usage::of_file(file.size)));
    kept::change(tx, &owner, before, now)?;
    Ok(())
}
