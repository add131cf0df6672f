//! The one writing connection. Whoever commits does so on its own thread and waits for the disk:
//! in a master that is the engine, which has a thread for it and one commit at a time.

use super::consumed::Sums;
use super::migrate::read_error;
use super::{audit, rows};
use crate::audit::AuditRow;
use crate::{CommitError, StoreError, rules};
use cloudai_core::effect::Row;
use cloudai_core::ids::Term;
use cloudai_core::time::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Lends the connection to one caller at a time.
#[derive(Debug)]
pub(super) struct Writer {
    conn: Mutex<Connection>,
}

impl Writer {
    pub(super) fn new(conn: Connection) -> Self {
        Self { conn: Mutex::new(conn) }
    }

    pub(super) fn lead(&self) -> Result<Term, StoreError> {
        lead(&self.conn())
    }

    pub(super) fn commit(&self, term: Term, now: Timestamp, rows: &[Row]) -> Result<(), CommitError> {
        commit(&mut self.conn(), term, now, rows)
    }

    pub(super) fn keep_fact(&self, name: &str, value: &str) -> Result<String, StoreError> {
        keep_fact(&self.conn(), name, value)
    }

    pub(super) fn set_fact(&self, term: Term, name: &str, value: &str) -> Result<(), CommitError> {
        set_fact(&mut self.conn(), term, name, value)
    }

    pub(super) fn drop_fact(&self, term: Term, name: &str) -> Result<bool, CommitError> {
        drop_fact(&mut self.conn(), term, name)
    }

    pub(super) fn append_audit(&self, term: Term, rows: &[AuditRow], head: &str) -> Result<(), CommitError> {
        append_audit(&mut self.conn(), term, rows, head)
    }

    /// A caller that panicked left no open transaction behind: it was rolled back as it was dropped.
    fn conn(&self) -> MutexGuard<'_, Connection> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lead(conn: &Connection) -> Result<Term, StoreError> {
    let sql = "UPDATE cluster SET term = term + 1 RETURNING term";
    conn.query_row(sql, [], |row| row.get(0)).map(term_of).map_err(read_error)
}

fn keep_fact(conn: &Connection, name: &str, value: &str) -> Result<String, StoreError> {
    conn.execute("INSERT OR IGNORE INTO facts (name, value) VALUES (?1, ?2)", [name, value])
        .and_then(|_| conn.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0)))
        .map_err(read_error)
}

fn set_fact(conn: &mut Connection, term: Term, name: &str, value: &str) -> Result<(), CommitError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
    fence(&tx, term)?;
    let sql = "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.execute(sql, [name, value]).map_err(unavailable)?;
    tx.commit().map_err(unavailable)
}

fn drop_fact(conn: &mut Connection, term: Term, name: &str) -> Result<bool, CommitError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
    fence(&tx, term)?;
    let gone = tx.execute("DELETE FROM facts WHERE name = ?1", [name]).map_err(unavailable)?;
    tx.commit().map_err(unavailable)?;
    Ok(gone > 0)
}

/// Rows of the audit log with their head: all or nothing.
fn append_audit(conn: &mut Connection, term: Term, rows: &[AuditRow], head: &str) -> Result<(), CommitError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
    fence(&tx, term)?;
    for (number, row) in rows.iter().enumerate() {
        audit::put(&tx, row).map_err(|error| row_error(number, error))?;
    }
    audit::put_head(&tx, head).map_err(unavailable)?;
    tx.commit().map_err(unavailable)
}

/// One transaction: all of the batch or nothing.
fn commit(conn: &mut Connection, term: Term, now: Timestamp, batch: &[Row]) -> Result<(), CommitError> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(unavailable)?;
    fence(&tx, term)?;
    let (mut last_order, mut sums) = (0, Sums::default());
    for (number, row) in batch.iter().enumerate() {
        rows::put(&tx, row, &mut sums).map_err(|error| row_error(number, error))?;
        last_order = last_order.max(rules::last_order(row));
    }
    sums.write(&tx).map_err(unavailable)?;
    let times = [now.as_millis(), last_order].map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    tx.prepare_cached("UPDATE cluster SET last_commit = max(last_commit, ?1), last_order = max(last_order, ?2)")
        .and_then(|mut statement| statement.execute(times))
        .map_err(unavailable)?;
    tx.commit().map_err(unavailable)
}

fn fence(tx: &Transaction<'_>, term: Term) -> Result<(), CommitError> {
    let held = tx
        .prepare_cached("SELECT term FROM cluster")
        .and_then(|mut statement| statement.query_row(params![], |row| row.get(0)).optional())
        .map_err(unavailable)?;
    if held.map(term_of) == Some(term) { Ok(()) } else { Err(CommitError::Fenced) }
}

fn term_of(stored: i64) -> Term {
    Term(stored.unsigned_abs())
}

fn unavailable(error: rusqlite::Error) -> CommitError {
    CommitError::Unavailable(io::Error::other(error))
}

/// Whether it is the row that is wrong, or the store.
fn row_error(row: usize, error: rows::RowError) -> CommitError {
    match error {
        rows::RowError::Refused(why) => CommitError::Refused { row, why },
        rows::RowError::Sql(error) => match error.sqlite_error_code() {
            Some(
                ErrorCode::ConstraintViolation
                | ErrorCode::TooBig
                | ErrorCode::TypeMismatch
                | ErrorCode::ParameterOutOfRange,
            ) => CommitError::Refused { row, why: error.to_string() },
            Some(_) => unavailable(error),
            None => CommitError::Refused { row, why: error.to_string() },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::worker::{WorkerRecord, WorkerStatus};
    use std::sync::Arc;

    fn worker(name: &str, note: &str) -> Row {
        Row::Worker(Arc::new(WorkerRecord {
            id: name.parse().unwrap(),
            version: 1,
            address: Some(note.to_owned()),
            status: WorkerStatus::Registered,
            session: Default::default(),
            capacity: Default::default(),
            labels: Default::default(),
            operator_labels: Default::default(),
            about: Default::default(),
            registered_at: Timestamp::ZERO,
            connected_at: None,
            last_seen: None,
            duty: Default::default(),
            removing: false,
        }))
    }

    fn count(conn: &Connection) -> u32 {
        conn.query_row("SELECT count(*) FROM workers", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_full_disk_is_unavailable_writes_nothing_and_passes_once_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = super::super::migrate::open_file(&super::super::migrate::file_in(dir.path())).unwrap();
        let term = lead(&conn).unwrap();
        let pages: u32 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        conn.query_row(&format!("PRAGMA max_page_count = {}", pages + 1), [], |_| Ok(())).unwrap();
        let rows = [worker("small", "x"), worker("large", &"x".repeat(1 << 20))];

        let full = commit(&mut conn, term, Timestamp::ZERO, &rows);
        assert!(matches!(full, Err(CommitError::Unavailable(_))), "{full:?}");
        assert_eq!(count(&conn), 0);

        conn.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(())).unwrap();
        commit(&mut conn, term, Timestamp::ZERO, &rows).unwrap();
        assert_eq!(count(&conn), 2);
    }

    #[test]
    fn a_lock_held_by_another_program_is_unavailable() {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = super::super::migrate::open_file(&super::super::migrate::file_in(dir.path())).unwrap();
        let term = lead(&conn).unwrap();
        conn.busy_timeout(std::time::Duration::ZERO).unwrap();
        let other = Connection::open(super::super::migrate::file_in(dir.path())).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let busy = commit(&mut conn, term, Timestamp::ZERO, &[worker("a", "x")]);
        assert!(matches!(busy, Err(CommitError::Unavailable(_))), "{busy:?}");
        other.execute_batch("ROLLBACK").unwrap();
        commit(&mut conn, term, Timestamp::ZERO, &[worker("a", "x")]).unwrap();
    }
}
