//! What the kept files of each owner come to: counted where their rows change, in the same commit.
//!
//! So a question costs one row, however many files there are, and holds after a restart.

use super::migrate::read_error;
use super::rows::key;
use crate::{StoreError, Usage};
use cloudai_core::ids::{Attempt, TaskId, UserId};
use rusqlite::{Connection, OptionalExtension, Params, params};

const OWNER: &str = "SELECT owner FROM tasks WHERE ulid = ?1 AND idx = ?2";
const OF_OWNER: &str = "SELECT files, bytes FROM kept WHERE owner = ?1";
const OF_ATTEMPT: &str = "SELECT size FROM outputs WHERE ulid = ?1 AND idx = ?2 AND attempt = ?3";
const OF_TASK: &str = "SELECT size FROM outputs WHERE ulid = ?1 AND idx = ?2";

/// All of an owner's but those of some attempts.
pub(super) fn usage(conn: &Connection, owner: &UserId, but: &[Attempt]) -> Result<Usage, StoreError> {
    let mut usage = of_owner(conn, owner.as_str()).map_err(read_error)?;
    for attempt in but {
        usage = usage.less(of_attempt(conn, *attempt).map_err(read_error)?);
    }
    Ok(usage)
}

/// Whose a task is; none where it is not stored.
pub(super) fn owner(conn: &Connection, task: TaskId) -> rusqlite::Result<Option<String>> {
    let (ulid, idx) = key(task);
    conn.prepare_cached(OWNER)?.query_row(params![ulid, idx], |row| row.get(0)).optional()
}

/// What the files of one attempt come to.
pub(super) fn of_attempt(conn: &Connection, attempt: Attempt) -> rusqlite::Result<Usage> {
    let (ulid, idx) = key(attempt.task);
    sum(conn, OF_ATTEMPT, params![ulid, idx, attempt.number])
}

/// What those of all attempts of a task come to.
pub(super) fn of_task(conn: &Connection, task: TaskId) -> rusqlite::Result<Usage> {
    let (ulid, idx) = key(task);
    sum(conn, OF_TASK, params![ulid, idx])
}

/// An owner has these files no more, and those in their place.
pub(super) fn change(conn: &Connection, owner: &str, gone: Usage, come: Usage) -> rusqlite::Result<()> {
    if gone == come {
        return Ok(());
    }
    let now = of_owner(conn, owner)?.less(gone).plus(come);
    let [files, bytes] = [now.files, now.bytes].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    conn.prepare_cached(
        "INSERT INTO kept (owner, files, bytes) VALUES (?1, ?2, ?3)
         ON CONFLICT (owner) DO UPDATE SET files = excluded.files, bytes = excluded.bytes",
    )?
    .execute(params![owner, files, bytes])?;
    Ok(())
}

fn of_owner(conn: &Connection, owner: &str) -> rusqlite::Result<Usage> {
    let number = |row: &rusqlite::Row<'_>, at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
    let found = conn
        .prepare_cached(OF_OWNER)?
        .query_row([owner], |row| Ok(Usage { files: number(row, 0)?, bytes: number(row, 1)? }))
        .optional()?;
    Ok(found.unwrap_or_default())
}

fn sum(conn: &Connection, sizes: &str, of: impl Params) -> rusqlite::Result<Usage> {
    let mut statement = conn.prepare_cached(sizes)?;
    let mut rows = statement.query(of)?;
    let mut sum = Usage::default();
    while let Some(row) = rows.next()? {
        sum = sum.plus(Usage::of_file(row.get::<_, i64>(0)?.unsigned_abs()));
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrate;

    #[test]
    fn what_is_asked_for_is_found_in_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let conn = migrate::open_file(&migrate::file_in(dir.path())).unwrap();
        for sql in [OWNER, OF_OWNER, OF_ATTEMPT, OF_TASK] {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let args = vec![rusqlite::types::Value::Null; statement.parameter_count()];
            let plan: Vec<String> = statement
                .query_map(rusqlite::params_from_iter(args), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(plan.len() == 1 && plan[0].starts_with("SEARCH "), "{sql}\n{plan:?}");
        }
    }
}
