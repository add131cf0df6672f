//! What attempts took, by owner and hour: added up where the rows of tasks change, in the same commit.
//!
//! So a report over a month reads some hundred rows an owner, however many tasks there were, and holds when they are
//! gone.

use super::migrate::read_error;
use super::rows::RowError;
use crate::StoreError;
use crate::consumed::{self, Consumed};
use crate::rules;
use cloudai_core::ids::UserId;
use cloudai_core::task::TaskRecord;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::collections::BTreeMap;
use std::ops::Range;

const COUNTED: &str = "SELECT counted, finished_at IS NOT NULL FROM tasks WHERE ord = ?1";
const OF_HOUR: &str = "SELECT tasks, attempts, cpu_ms, memory_mib_ms, gpu_ms, used_cpu_ms
    FROM consumed WHERE owner = ?1 AND hour = ?2";
const OF_HOURS: &str = "SELECT tasks, attempts, cpu_ms, memory_mib_ms, gpu_ms, used_cpu_ms
    FROM consumed WHERE owner = ?1 AND hour >= ?2 AND hour < ?3";
/// One owner after the other, each by a search: hours of the same one are stepped over.
const OWNER_BEHIND: &str = "SELECT owner FROM consumed WHERE owner > ?1 ORDER BY owner LIMIT 1";

/// What a batch adds, until it is written with it.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<(String, u64), Consumed>);

/// How much of a task is in the sums: so many attempts, and whether it itself.
pub(super) type Counted = (usize, bool);

/// What of a task is counted as it is stored; asked before a newer version is, which has ended attempts.
pub(super) fn counted(tx: &Transaction<'_>, task: &TaskRecord) -> Result<Counted, RowError> {
    if consumed::ended(task) == 0 && task.finished_at.is_none() {
        return Ok((0, false));
    }
    let order = rules::number(task.order)?;
    let found =
        tx.prepare_cached(COUNTED)?.query_row([order], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).optional()?;
    let counted = found.map(|(attempts, task)| (usize::try_from(attempts).unwrap_or(usize::MAX), task));
    Ok(counted.unwrap_or_default())
}

/// How many attempts of a version are counted once it is stored.
pub(super) fn to_be_counted(task: &TaskRecord) -> i64 {
    i64::try_from(consumed::ended(task)).unwrap_or(i64::MAX)
}

impl Sums {
    /// Notes what a version of a task adds.
    pub(super) fn add(&mut self, task: &TaskRecord, (attempts, itself): Counted) {
        for (hour, more) in consumed::added(task, attempts, itself) {
            let sum = self.0.entry((task.owner.as_str().to_owned(), hour)).or_default();
            *sum = sum.plus(more);
        }
    }

    /// Writes all that was noted.
    pub(super) fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        for ((owner, hour), more) in &self.0 {
            let hour = signed(*hour);
            let stored = tx.prepare_cached(OF_HOUR)?.query_row(params![owner, hour], read).optional()?;
            let sum = stored.unwrap_or_default().plus(*more);
            tx.prepare_cached(
                "INSERT INTO consumed (owner, hour, tasks, attempts, cpu_ms, memory_mib_ms, gpu_ms, used_cpu_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (owner, hour) DO UPDATE SET tasks = excluded.tasks, attempts = excluded.attempts,
                     cpu_ms = excluded.cpu_ms, memory_mib_ms = excluded.memory_mib_ms, gpu_ms = excluded.gpu_ms,
                     used_cpu_ms = excluded.used_cpu_ms",
            )?
            .execute(params![
                owner,
                hour,
                signed(sum.tasks),
                signed(sum.attempts),
                signed(sum.cpu_ms),
                signed(sum.memory_mib_ms),
                signed(sum.gpu_ms),
                signed(sum.used_cpu_ms),
            ])?;
        }
        Ok(())
    }
}

/// The sums of these hours.
pub(super) fn of_hours(
    conn: &Connection,
    hours: &Range<u64>,
    owner: Option<&UserId>,
) -> Result<Vec<(UserId, Consumed)>, StoreError> {
    let owners = match owner {
        Some(owner) => vec![owner.as_str().to_owned()],
        None => owners(conn).map_err(read_error)?,
    };
    let mut found = Vec::new();
    for owner in owners {
        let sum = sum(conn, &owner, hours).map_err(read_error)?;
        if sum != Consumed::default() {
            let id: UserId = owner.parse().map_err(|_| StoreError::Corrupt(format!("{owner:?} is no user")))?;
            found.push((id, sum));
        }
    }
    Ok(found)
}

fn owners(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare_cached(OWNER_BEHIND)?;
    let mut found: Vec<String> = Vec::new();
    loop {
        let last = found.last().map_or("", String::as_str);
        match statement.query_row([last], |row| row.get(0)).optional()? {
            Some(owner) => found.push(owner),
            None => return Ok(found),
        }
    }
}

fn sum(conn: &Connection, owner: &str, hours: &Range<u64>) -> rusqlite::Result<Consumed> {
    let mut statement = conn.prepare_cached(OF_HOURS)?;
    let mut rows = statement.query(params![owner, signed(hours.start), signed(hours.end)])?;
    let mut sum = Consumed::default();
    while let Some(row) = rows.next()? {
        sum = sum.plus(read(row)?);
    }
    Ok(sum)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Consumed> {
    let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
    Ok(Consumed {
        tasks: number(0)?,
        attempts: number(1)?,
        cpu_ms: number(2)?,
        memory_mib_ms: number(3)?,
        gpu_ms: number(4)?,
        used_cpu_ms: number(5)?,
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrate;

    #[test]
    fn what_is_asked_for_is_found_in_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let conn = migrate::open_file(&migrate::file_in(dir.path())).unwrap();
        for sql in [COUNTED, OF_HOUR, OF_HOURS, OWNER_BEHIND] {
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
