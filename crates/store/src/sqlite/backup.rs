//! A copy of the database as it is at one moment, while the master goes on.

use super::migrate::{open_reader, private_file, read_error, version};
use crate::StoreError;
use crate::backup::{FORMAT, Holds, Manifest, Snapshot};
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

/// The copy, for as long as it has a name.
const COPY: &str = "backup.new";

/// Removes what a crash left of a copy; one that can not be removed is told when the next is made.
pub(super) fn remove_left(database: &Path) {
    let _ = std::fs::remove_file(database.with_file_name(COPY));
}

/// Copies the database into its own folder, on a connection of its own. A reader never holds the
/// writer up; the log only grows meanwhile, because what is read of it stays.
pub(super) fn take(database: &Path) -> Result<Snapshot, StoreError> {
    let copy = database.with_file_name(COPY);
    let taken = copy_to(database, &copy).and_then(|()| open_copy(&copy));
    // A crash may have left an older one as well.
    match std::fs::remove_file(&copy) {
        Err(error) if taken.is_ok() && error.kind() != io::ErrorKind::NotFound => Err(StoreError::Unavailable(error)),
        _ => taken,
    }
}

fn copy_to(database: &Path, copy: &Path) -> Result<(), StoreError> {
    // Empty and not for others to read before anything stands in it.
    private_file(copy).and_then(|file| file.set_len(0)).map_err(StoreError::Unavailable)?;
    let name = copy.to_str().ok_or_else(|| StoreError::Unsupported(format!("{} is no UTF-8", copy.display())))?;
    open_reader(database)?.execute("VACUUM INTO ?1", [name]).map(drop).map_err(read_error)
}

fn open_copy(copy: &Path) -> Result<Snapshot, StoreError> {
    let conn = open_reader(copy)?;
    let mut manifest = describe(&conn).map_err(read_error)?;
    manifest.holds = Some(count(&conn).map_err(read_error)?);
    drop(conn);
    let mut database = File::open(copy).map_err(StoreError::Unavailable)?;
    (manifest.size, manifest.sha256) = sum(&mut database).map_err(StoreError::Unavailable)?;
    Ok(Snapshot { manifest, database })
}

/// What a database says of itself; its size, checksum and counts are still to be found.
pub(super) fn describe(conn: &Connection) -> rusqlite::Result<Manifest> {
    let schema = version(conn)?;
    let sql = "SELECT id, incarnation, term, last_commit FROM cluster";
    conn.query_row(sql, [], |row| {
        let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            schema,
            cluster: row.get(0)?,
            incarnation: number(1)?,
            term: number(2)?,
            last_commit_ms: number(3)?,
            size: 0,
            sha256: String::new(),
            holds: None,
        })
    })
}

fn count(conn: &Connection) -> rusqlite::Result<Holds> {
    let number = |row: &Row<'_>, column| row.get::<_, i64>(column).map(i64::unsigned_abs);
    let mut by_status = conn.prepare("SELECT status, count(*) FROM tasks GROUP BY status")?;
    let tasks = by_status.query_map([], |row| Ok((row.get(0)?, number(row, 1)?)))?.collect::<Result<_, _>>()?;
    let workers = conn.query_row("SELECT count(*) FROM workers", [], |row| number(row, 0))?;
    Ok(Holds { tasks, workers })
}

/// Bytes and checksum of a file, which is at its beginning again.
fn sum(file: &mut File) -> io::Result<(u64, String)> {
    let (mut size, mut hash) = (0, Sha256::new());
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            break;
        }
        hash.update(&piece[..length]);
        size += length as u64;
    }
    file.rewind()?;
    Ok((size, hex::encode(hash.finalize())))
}
