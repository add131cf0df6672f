//! Ended tasks that are kept no longer, from the index that lists them in their order; ended jobs from that of their ends.

use super::migrate::read_error;
use super::page::ended_places;
use super::read::record;
use super::rows::id_of;
use crate::StoreError;
use crate::query::{Collectable, Page, RetentionQuery};
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::JobRecord;
use cloudai_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;

/// The columns before the record: a long one is not read. `status` is what `ended` is, behind it.
pub(super) const LOOK: &str = "SELECT ulid, idx, status, created_at, finished_at FROM tasks WHERE ord = ?1";
/// Whether a live task depends on this one.
pub(super) const NEEDED: &str = "SELECT 1 FROM dependencies AS d INDEXED BY dependencies_on
    JOIN tasks AS t ON t.ulid = d.ulid AND t.idx = d.idx
    WHERE d.on_ulid = ?1 AND d.on_idx = ?2 AND t.finished_at IS NULL LIMIT 1";

/// Whether a task with this place in the order of submission is of a job that has not ended, or that a live job runs
/// again: that finds what it left.
pub(super) const OF_LIVE_JOB: &str = "SELECT ?1 < ord + tasks AND (finished_at IS NULL OR EXISTS (
        SELECT 1 FROM job_needs INDEXED BY job_needs_on WHERE on_ulid = jobs.ulid AND on_idx = -2))
    FROM jobs WHERE ord <= ?1 ORDER BY ord DESC LIMIT 1";
/// Whether a live job needs it.
pub(super) const NEEDED_BY_JOB: &str = "SELECT 1 FROM job_needs INDEXED BY job_needs_on
    WHERE on_ulid = ?1 AND on_idx = ?2 LIMIT 1";

/// Jobs that ended before a time and of which no task is stored, the earliest ended first.
pub(super) const JOBS: &str = "SELECT body FROM jobs INDEXED BY jobs_ended
    WHERE finished_at IS NOT NULL AND finished_at < ?1
        AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.ord >= jobs.ord AND tasks.ord < jobs.ord + jobs.tasks)
    ORDER BY finished_at, ord";
/// Whether a live job needs a task, or an array, with an id between these.
pub(super) const JOB_NEEDED_BY_JOB: &str = "SELECT 1 FROM job_needs INDEXED BY job_needs_on
    WHERE on_ulid >= ?1 AND on_ulid <= ?2 LIMIT 1";

/// One slice; the question was checked.
pub(super) fn collectable(conn: &Connection, query: &RetentionQuery) -> Result<Page<Collectable>, StoreError> {
    let places = ended_places(conn, query.cursor, query.limit).map_err(read_error)?;
    let all = places.len() < query.limit;
    let mut slice = query.slice();
    for order in places {
        let (key, task, created_at) = look(conn, order)?;
        let needed = || {
            let of_live = conn
                .prepare_cached(OF_LIVE_JOB)?
                .query_row([i64::try_from(order).unwrap_or(i64::MAX)], |row| row.get(0))
                .optional()?;
            Ok::<bool, rusqlite::Error>(
                of_live.unwrap_or(false)
                    || conn.prepare_cached(NEEDED)?.exists(params![key.0, key.1])?
                    || conn.prepare_cached(NEEDED_BY_JOB)?.exists(params![key.0, key.1])?,
            )
        };
        if !slice.look(task, created_at, needed).map_err(read_error)? {
            break;
        }
    }
    Ok(slice.page(all))
}

/// Jobs that may go. How tasks ended that never had a record is told by their job alone, so one that another needs stays.
pub(super) fn jobs(conn: &Connection, before: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
    let before = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(JOBS).map_err(read_error)?;
    let mut rows = statement.query([before]).map_err(read_error)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next().map_err(read_error)?
    {
        let job: Arc<JobRecord> = record(&row.get::<_, String>(0).map_err(read_error)?)?;
        let ids = [job.id.group(0), job.id.group(job.groups.saturating_sub(1))].map(|id| id.ulid().to_be_bytes());
        let needed = conn.prepare_cached(JOB_NEEDED_BY_JOB).and_then(|mut statement| statement.exists(ids));
        if !needed.map_err(read_error)? {
            found.push(job.id);
        }
    }
    Ok(found)
}

type Key = ([u8; 16], i64);

fn look(conn: &Connection, order: u64) -> Result<(Key, Collectable, Timestamp), StoreError> {
    let time = |millis: i64| Timestamp::from_millis(millis.unsigned_abs());
    let (key, word, created_at, finished_at) = conn
        .prepare_cached(LOOK)
        .and_then(|mut statement| {
            statement.query_row([i64::try_from(order).unwrap_or(i64::MAX)], |row| {
                let key: Key = (row.get(0)?, row.get(1)?);
                Ok((key, row.get::<_, String>(2)?, time(row.get(3)?), time(row.get(4)?)))
            })
        })
        .map_err(read_error)?;
    let id: TaskId = id_of(key.0, key.1);
    let status = word.parse().map_err(|_| StoreError::Corrupt(format!("{id} has the unknown status {word:?}")))?;
    Ok((key, Collectable { id, order, status, finished_at }, created_at))
}
