//! Jobs: their records, plans and the last of their groups; what became of their tasks stands with those.

use super::migrate::read_error;
use super::read::record;
use super::rows::{RowError, key};
use crate::StoreError;
use crate::query::{Cursor, JobQuery, Page, Sort};
use crate::rules::{self, FixedJob};
use cloudai_core::ids::{JobId, TaskId, UserId};
use cloudai_core::job::{GroupProgress, Groups, JobPlan, JobRecord, On, StoredJob};
use cloudai_core::state::Status;
use rusqlite::{Connection, OptionalExtension, Params, Transaction, ffi, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How hard plans are compressed: their tasks are much alike.
const LEVEL: i32 = 1;

fn job_key(id: JobId) -> [u8; 16] {
    id.ulid().to_be_bytes()
}

/// In the place of an index: all tasks of the job whose own number this is are needed, for what they left.
const ALL_OF_JOB: i64 = -2;

/// Writes a job in its newest version; an older one changes nothing.
pub(super) fn put(tx: &Transaction<'_>, job: &JobRecord, groups: &Groups) -> Result<(), RowError> {
    rules::job_numbers(job)?;
    match stored_version(tx, job)? {
        Some(version) if version >= job.version => return Ok(()),
        Some(_) => update(tx, job)?,
        None => insert(tx, job)?,
    }
    if job.is_closed() {
        put_groups(tx, job, groups)?;
    }
    if job.end.is_some() {
        tx.prepare_cached("DELETE FROM job_needs WHERE ulid = ?1")?.execute([job_key(job.id)])?;
    }
    Ok(())
}

/// The version of a job that is stored; none of one that is new.
fn stored_version(tx: &Transaction<'_>, job: &JobRecord) -> Result<Option<u64>, RowError> {
    let fixed = FixedJob::of(job);
    let (order, tasks) = (rules::number(fixed.order)?, rules::number(fixed.tasks)?);
    let found = tx
        .prepare_cached("SELECT version, ord, tasks, owner, name, idem_key FROM jobs WHERE ulid = ?1")?
        .query_row([job_key(job.id)], |row| {
            let same = row.get::<_, i64>(1)? == order
                && row.get::<_, i64>(2)? == tasks
                && row.get_ref(3)?.as_str()? == fixed.owner
                && row.get_ref(4)?.as_str_or_null()? == fixed.name
                && row.get_ref(5)?.as_str_or_null()? == fixed.key;
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), same))
        })
        .optional()?;
    match found {
        None => Ok(None),
        Some((version, true)) => Ok(Some(version)),
        Some((_, false)) => Err(RowError::Refused(rules::JOB_NOT_FIXED.to_owned())),
    }
}

fn insert(tx: &Transaction<'_>, job: &JobRecord) -> Result<(), RowError> {
    if !tx.prepare_cached("SELECT 1 FROM job_plans WHERE ulid = ?1")?.exists([job_key(job.id)])? {
        return Err(RowError::Refused(rules::NO_PLAN.to_owned()));
    }
    tx.prepare_cached(
        "INSERT INTO jobs (ord, ulid, version, owner, name, idem_key, tasks, finished_at, ended, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        rules::number(job.order)?,
        job_key(job.id),
        rules::number(job.version)?,
        job.owner.as_str(),
        job.name.as_deref(),
        job.idempotency_key.as_deref(),
        rules::number(job.tasks)?,
        finished_at(job)?,
        end_word(job),
        serde_json::to_string(job)?,
    ])
    .map_err(|error| taken(error, job))?;
    for done in &job.done {
        tx.prepare_cached("INSERT OR IGNORE INTO job_needs (ulid, on_ulid, on_idx) VALUES (?1, ?2, ?3)")?
            .execute(params![job_key(job.id), job_key(done.job), ALL_OF_JOB])?;
    }
    Ok(())
}

fn update(tx: &Transaction<'_>, job: &JobRecord) -> Result<(), RowError> {
    tx.prepare_cached("UPDATE jobs SET version = ?2, finished_at = ?3, ended = ?4, body = ?5 WHERE ord = ?1")?
        .execute(params![
            rules::number(job.order)?,
            rules::number(job.version)?,
            finished_at(job)?,
            end_word(job),
            serde_json::to_string(job)?,
        ])?;
    Ok(())
}

fn finished_at(job: &JobRecord) -> Result<Option<i64>, String> {
    job.end.map(|end| rules::number(end.at.as_millis())).transpose()
}

/// How a job ended: what lists are about.
fn end_word(job: &JobRecord) -> Option<&'static str> {
    job.end.map(|end| end.status.word())
}

/// Says in words which uniqueness a new job breaks.
fn taken(error: rusqlite::Error, job: &JobRecord) -> RowError {
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID) => {
            RowError::Refused(rules::job_order_taken(job.order))
        }
        Some(ffi::SQLITE_CONSTRAINT_UNIQUE) => RowError::Refused(rules::job_key_taken(&job.owner)),
        _ => RowError::Sql(error),
    }
}

/// Writes what a job is made of, and which tasks outside of it are kept for it: once, for neither changes.
pub(super) fn put_plan(tx: &Transaction<'_>, id: JobId, plan: &JobPlan) -> Result<(), RowError> {
    let is_new = tx
        .prepare_cached("INSERT INTO job_plans (ulid, plan) VALUES (?1, ?2) ON CONFLICT (ulid) DO NOTHING")?
        .execute(params![job_key(id), packed(plan)?])?;
    if is_new == 0 {
        return Ok(());
    }
    for need in plan.groups.iter().flat_map(|group| &group.needs) {
        if let On::Task(task) = need.on {
            let (ulid, idx) = key(task);
            tx.prepare_cached("INSERT OR IGNORE INTO job_needs (ulid, on_ulid, on_idx) VALUES (?1, ?2, ?3)")?
                .execute(params![job_key(id), ulid, idx])?;
        }
    }
    Ok(())
}

/// Writes how far its groups are: once when it is stopped, for what matters of that does not change any more, and once
/// when it has ended.
fn put_groups(tx: &Transaction<'_>, job: &JobRecord, groups: &Groups) -> Result<(), RowError> {
    let is_there = || {
        let sql = "SELECT 1 FROM job_plans WHERE ulid = ?1 AND groups IS NOT NULL";
        tx.prepare_cached(sql)?.exists([job_key(job.id)])
    };
    if job.end.is_some() || !is_there()? {
        let all: Vec<&GroupProgress> = groups.iter().collect();
        tx.prepare_cached("UPDATE job_plans SET groups = ?2 WHERE ulid = ?1")?
            .execute(params![job_key(job.id), packed(&all)?])?;
    }
    Ok(())
}

/// Removes a job that has ended, with its plan.
pub(super) fn remove(tx: &Transaction<'_>, id: JobId) -> Result<(), RowError> {
    let live = "SELECT 1 FROM jobs WHERE ulid = ?1 AND finished_at IS NULL";
    if tx.prepare_cached(live)?.exists([job_key(id)])? {
        return Err(RowError::Refused(rules::JOB_NOT_ENDED.to_owned()));
    }
    for table in ["jobs", "job_plans", "job_needs"] {
        tx.prepare_cached(&format!("DELETE FROM {table} WHERE ulid = ?1"))?.execute([job_key(id)])?;
    }
    Ok(())
}

fn packed(value: &impl Serialize) -> Result<Vec<u8>, RowError> {
    zstd::encode_all(serde_json::to_vec(value)?.as_slice(), LEVEL).map_err(|error| RowError::Refused(error.to_string()))
}

fn unpacked<T: DeserializeOwned>(body: &[u8]) -> Result<T, StoreError> {
    let corrupt = |error: String| StoreError::Corrupt(format!("the plan of a job can not be read: {error}"));
    let text = zstd::decode_all(body).map_err(|error| corrupt(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| corrupt(error.to_string()))
}

pub(super) const BY_ID: &str = "SELECT body FROM jobs WHERE ulid = ?1";
pub(super) const BY_KEY: &str = "SELECT body FROM jobs INDEXED BY jobs_key WHERE owner = ?1 AND idem_key = ?2";
/// The job that a task's id would be of: ids of its tasks follow its own.
pub(super) const WITH: &str = "SELECT body FROM jobs WHERE ulid < ?1 ORDER BY ulid DESC LIMIT 1";
pub(super) const LIVE: &str = "SELECT body FROM jobs INDEXED BY jobs_live WHERE finished_at IS NULL ORDER BY ord";
const TASKS: &str = "SELECT ulid, idx, status FROM tasks WHERE ord >= ?1 AND ord <= ?2";
const STATUS: &str = "SELECT status FROM tasks WHERE ulid = ?1 AND idx = ?2";
const PART: &str = "SELECT ulid FROM jobs ORDER BY ulid DESC";

fn one(conn: &Connection, sql: &str, args: impl Params) -> Result<Option<Arc<JobRecord>>, StoreError> {
    let body: Option<String> = conn
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(args, |row| row.get(0)).optional())
        .map_err(read_error)?;
    body.map(|body| record(&body)).transpose()
}

pub(super) fn job(conn: &Connection, id: JobId) -> Result<Option<Arc<JobRecord>>, StoreError> {
    one(conn, BY_ID, [job_key(id)])
}

pub(super) fn by_key(conn: &Connection, owner: &UserId, key: &str) -> Result<Option<Arc<JobRecord>>, StoreError> {
    one(conn, BY_KEY, [owner.as_str(), key])
}

pub(super) fn with(conn: &Connection, task: TaskId) -> Result<Option<Arc<JobRecord>>, StoreError> {
    let found = one(conn, WITH, [key(task).0])?;
    Ok(found.filter(|job| job.id.group_of(task).is_some_and(|group| group < job.groups)))
}

pub(super) fn plan(conn: &Connection, id: JobId) -> Result<Option<Arc<JobPlan>>, StoreError> {
    blob(conn, "SELECT plan FROM job_plans WHERE ulid = ?1", id)?.map(|body| unpacked(&body).map(Arc::new)).transpose()
}

pub(super) fn groups(conn: &Connection, id: JobId) -> Result<Option<Groups>, StoreError> {
    let body = blob(conn, "SELECT groups FROM job_plans WHERE ulid = ?1", id)?;
    body.map(|body| unpacked::<Vec<GroupProgress>>(&body).map(|groups| groups.into_iter().collect())).transpose()
}

fn blob(conn: &Connection, sql: &str, id: JobId) -> Result<Option<Vec<u8>>, StoreError> {
    let found = conn
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row([job_key(id)], |row| row.get(0)).optional())
        .map_err(read_error)?;
    Ok(found.flatten())
}

/// Ids of jobs whose text has this part at its beginning or end, newest first.
pub(super) fn like(conn: &Connection, part: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
    let ids = || -> rusqlite::Result<Vec<JobId>> {
        let mut statement = conn.prepare_cached(PART)?;
        let ids = statement.query_map([], |row| Ok(JobId::new(u128::from_be_bytes(row.get(0)?))))?;
        ids.filter(|id| id.as_ref().map_or(true, |id| crate::query::is_part(&id.to_string()["job-".len()..], part)))
            .take(limit)
            .collect()
    };
    ids().map_err(read_error)
}

/// One page of ended jobs; the question was checked.
pub(super) fn jobs(conn: &Connection, query: &JobQuery) -> Result<Page<Arc<JobRecord>>, StoreError> {
    let cursor = query.cursor.map(|cursor| i64::try_from(cursor.0).unwrap_or(i64::MAX));
    let (edge, after, direction) = match query.sort {
        Sort::Newest => (cursor.unwrap_or(i64::MAX), "<", "DESC"),
        Sort::Oldest => (cursor.unwrap_or(-1), ">", "ASC"),
    };
    let sql = format!(
        "SELECT body FROM jobs WHERE ended IS NOT NULL AND ord {after} ?1 AND owner = coalesce(?2, owner)
         ORDER BY ord {direction}"
    );
    let mut statement = conn.prepare_cached(&sql).map_err(read_error)?;
    let owner = query.owner.as_ref().map(|owner| owner.as_str());
    let mut rows = statement.query(params![edge, owner]).map_err(read_error)?;
    let mut items: Vec<Arc<JobRecord>> = Vec::new();
    while let Some(row) = rows.next().map_err(read_error)? {
        let job: Arc<JobRecord> = record(&row.get::<_, String>(0).map_err(read_error)?)?;
        if query.matches(&job) {
            if items.len() == query.limit {
                let next = items.last().map(|job| Cursor(job.order));
                return Ok(Page { items, next });
            }
            items.push(job);
        }
    }
    Ok(Page { items, next: None })
}

/// Every live job with what became of its tasks.
pub(super) fn live(conn: &Connection) -> Result<Vec<StoredJob>, StoreError> {
    let mut statement = conn.prepare_cached(LIVE).map_err(read_error)?;
    let bodies = statement.query_map([], |row| row.get::<_, String>(0)).map_err(read_error)?;
    let mut jobs = Vec::new();
    for body in bodies {
        let record: Arc<JobRecord> = record(&body.map_err(read_error)?)?;
        let missing = || StoreError::Corrupt(format!("{} has no plan", record.id));
        let plan = plan(conn, record.id)?.ok_or_else(missing)?;
        let stopped = if record.stop.is_some() { groups(conn, record.id)? } else { None };
        let mut job = StoredJob { record, plan, groups: BTreeMap::new(), stopped, outside: BTreeMap::new() };
        count_tasks(conn, &mut job)?;
        add_outside(conn, &mut job)?;
        jobs.push(job);
    }
    Ok(jobs)
}

/// Its tasks stand next to each other, for their orders follow that of the job.
fn count_tasks(conn: &Connection, job: &mut StoredJob) -> Result<(), StoreError> {
    let number = |order| rules::number(order).map_err(StoreError::Corrupt);
    let range = [number(job.record.order)?, number(job.record.last_order())?];
    let mut statement = conn.prepare_cached(TASKS).map_err(read_error)?;
    let mut rows = statement.query(range).map_err(read_error)?;
    while let Some(row) = rows.next().map_err(read_error)? {
        let id = super::rows::id_of(row.get(0).map_err(read_error)?, row.get(1).map_err(read_error)?);
        let status = status(&row.get::<_, String>(2).map_err(read_error)?)?;
        if let Some(place) = job.plan.place_of(job.record.id, id) {
            job.count(place, status);
        }
    }
    Ok(())
}

fn status(word: &str) -> Result<Status, StoreError> {
    word.parse().map_err(|_| StoreError::Corrupt(format!("a task has the unknown status {word:?}")))
}

fn add_outside(conn: &Connection, job: &mut StoredJob) -> Result<(), StoreError> {
    let needs = Arc::clone(&job.plan);
    for need in needs.groups.iter().flat_map(|group| &group.needs) {
        if let On::Task(task) = need.on
            && let Some(status) = ended(conn, task)?
        {
            job.outside.insert(task, status);
        }
    }
    Ok(())
}

/// How a task ended, or a whole array, or one that never had a record; none of what has not ended, or is not known.
pub(super) fn ended(conn: &Connection, task: TaskId) -> Result<Option<Status>, StoreError> {
    let (ulid, idx) = key(task);
    let word: Option<String> = conn
        .prepare_cached(STATUS)
        .and_then(|mut statement| statement.query_row(params![ulid, idx], |row| row.get(0)).optional())
        .map_err(read_error)?;
    if let Some(word) = word {
        return Ok(Some(status(&word)?).filter(|status| status.is_final()));
    }
    let Some(job) = with(conn, task)?.filter(|job| job.end.is_some()) else { return Ok(None) };
    let (Some(plan), Some(groups)) = (plan(conn, job.id)?, groups(conn, job.id)?) else { return Ok(None) };
    Ok(job.ended_as(&plan, &groups, task))
}
