//! Opens the data directory: its lock, its file, its schema.

use super::schema::STEPS;
use crate::{StoreError, rules};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for somebody else's lock, as an operator's `sqlite3` holding one.
const BUSY: Duration = Duration::from_secs(5);
/// Prepared statements kept per connection: above the number that this crate has.
const STATEMENTS: usize = 96;

/// The name of the database in the data directory.
pub(super) fn file_in(dir: &Path) -> PathBuf {
    dir.join("cloudai.db")
}

/// Takes the data directory for this process, making it (mode 0700) when it is not there.
///
/// The kernel gives the lock back when the file is dropped or the process ends, however it ends.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let unusable = |error| StoreError::Folder(dir.to_owned(), error);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(unusable)?;
    let file = private_file(&dir.join("lock")).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// The one connection that writes, its schema up to date.
pub(super) fn open_file(path: &Path) -> Result<Connection, StoreError> {
    // SQLite gives its other files the mode of this one.
    let folder = path.parent().unwrap_or(path);
    private_file(path).map_err(|error| StoreError::Folder(folder.to_owned(), error))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(read_error)?;
    conn.busy_timeout(BUSY).map_err(read_error)?;
    check_schema(&conn, path)?;
    configure(&conn).map_err(read_error)?;
    migrate(&mut conn).map_err(read_error)?;
    Ok(conn)
}

/// A connection that can not write.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(read_error)?;
    conn.busy_timeout(BUSY).map_err(read_error)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Refuses the data of a newer version before anything of it is touched.
fn check_schema(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let found = version(conn).map_err(read_error)?;
    let known = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    if found <= known {
        return Ok(());
    }
    // Else closing would move the newer version's log into its file.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(read_error)?;
    Err(StoreError::TooNew { path: path.to_owned(), found, known })
}

fn configure(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", true)?;
    // 64 MiB: the inner pages of the indexes of some millions of tasks.
    conn.pragma_update(None, "cache_size", -65_536)?;
    // 16 MiB of log between two moves into the file: fewer, larger writes than the default.
    conn.pragma_update(None, "wal_autocheckpoint", 4096)?;
    conn.pragma_update(None, "journal_size_limit", 64 << 20)
}

/// Takes the missing steps, each in a transaction of its own.
fn migrate(conn: &mut Connection) -> rusqlite::Result<()> {
    let done = version(conn)?;
    for (number, step) in (1_u32..).zip(STEPS).filter(|(number, _)| *number > done) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step)?;
        tx.pragma_update(None, "user_version", number)?;
        tx.commit()?;
        tracing::info!(schema = number, "schema was brought up to date");
    }
    conn.execute(
        "INSERT OR IGNORE INTO cluster (one, id, incarnation, term, last_commit, last_order)
         VALUES (1, ?1, 1, 0, 0, 0)",
        [rules::new_cluster_id()],
    )?;
    Ok(())
}

pub(super) fn version(conn: &Connection) -> rusqlite::Result<u32> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// What a failed read means to its caller.
pub(super) fn read_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
        Some(_) => StoreError::Unavailable(io::Error::other(error)),
        None => StoreError::Corrupt(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_taken_once_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let conn = open_file(&file_in(dir.path())).unwrap();
            assert_eq!(version(&conn).unwrap() as usize, STEPS.len());
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_named_so_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let text = "not a database, but somebody's only copy ".repeat(40);
        std::fs::write(file_in(dir.path()), &text).unwrap();
        assert!(matches!(open_file(&file_in(dir.path())), Err(StoreError::Corrupt(_))));
        assert_eq!(std::fs::read_to_string(file_in(dir.path())).unwrap(), text);
    }
}
