//! Puts a backup in the place of a data directory's database, while no master uses it.
//!
//! `pending.rs` does so in two steps for data that is in use: the first is taken here as well.
//!
//! What was restored is a new life of the data (its incarnation): workers stop what the lost future
//! ordered, and attempts may be numbered as there. So its logs and files of tasks that go on from
//! the backup are put aside, too.

use super::migrate::{file_in, lock, open_file, private_file, read_error, version};
use super::{backup, pending, read, schema};
use crate::StoreError;
use crate::backup::{BackupError, Manifest, damaged, open, read_head, unpack};
use crate::bulk::local::put_aside;
use cloudai_core::task::{Step, TaskRecord};
use cloudai_core::time::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The database of the backup, until it is in place.
pub(super) const FRESH: &str = "restore.new";
/// What a restore leaves free of the disk, in bytes: the log of a master that goes on meanwhile has
/// 64 MiB at most.
const LEFT_FREE: u64 = 64 << 20;
/// The tables of a master's data.
const TABLES: [&str; 6] = ["cluster", "facts", "workers", "tasks", "dependencies", "outputs"];

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// The new life of the data.
    pub incarnation: u64,
    /// The last term; the next master leads under a higher one.
    pub term: u64,
    /// Where the database is now that was there; none when there was none.
    pub kept: Option<PathBuf>,
    /// Why the database that was there could not be read; none when it could.
    pub unread: Option<String>,
    /// Logs and folders of files of the lost future that were put aside in the data directory.
    pub put_aside: usize,
}

/// Why nothing was restored. The data is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup can not be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The data directory can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data there is another cluster's.
    #[error("{dir} holds the data of cluster {there}, the backup is of cluster {given}: give another --data-dir")]
    OtherCluster {
        /// The data directory.
        dir: PathBuf,
        /// Whose data is there.
        there: String,
        /// Whose backup was given.
        given: String,
    },
    /// The disk is too small.
    #[error("the disk of {dir} has {free} bytes free, the restore needs {needed}: make room there")]
    NoRoom {
        /// The data directory.
        dir: PathBuf,
        /// What there is.
        free: u64,
        /// What it takes.
        needed: u64,
    },
    /// The folder can not be written.
    #[error("the data folder {0} can not be used: {1}")]
    Folder(PathBuf, #[source] io::Error),
}

/// Restores `backup` into the data directory `dir` at `now`. One that waits there for the next start
/// is forgotten.
/// # Errors
/// [`RestoreError`]; the database that was there is still in its place then.
pub fn restore(backup: &Path, dir: &Path, now: Timestamp) -> Result<Restored, RestoreError> {
    let _lock = lock(dir)?;
    let folder = |error| RestoreError::Folder(dir.to_owned(), error);
    let fresh = dir.join(FRESH);
    let restored = open(backup).map_err(RestoreError::from).and_then(|mut file| {
        let (mut restored, live) = prepare(backup, &mut file, dir, now)?;
        pending::forget(dir).map_err(folder)?;
        let done = exchange(dir, &fresh, restored.incarnation, &live).map_err(folder)?;
        (restored.kept, restored.put_aside) = done;
        Ok(restored)
    });
    if restored.is_err() {
        // The failure is what counts; the next try begins with an empty file.
        let _ = remove_database(&fresh);
    }
    restored
}

/// Puts a prepared database in place, and aside what its tasks must not find; answers where the one
/// is now that was there, and how much was put aside. May be repeated where it was broken off.
pub(super) fn exchange(
    dir: &Path,
    fresh: &Path,
    incarnation: u64,
    live: &[Arc<TaskRecord>],
) -> io::Result<(Option<PathBuf>, usize)> {
    let aside = dir.join(format!("before-restore-{incarnation}"));
    let mut moved = 0;
    for task in live {
        moved += put_aside(&dir.join("bulk"), &aside, task.id, known(task))?;
    }
    Ok((put_in_place(dir, fresh, incarnation)?, moved))
}

/// Where the database is kept that a restore replaces.
pub(super) fn kept_in(dir: &Path, incarnation: u64) -> PathBuf {
    dir.join(format!("cloudai.db.before-restore-{incarnation}"))
}

/// Removes a database that is not in use, with its log.
pub(super) fn remove_database(path: &Path) -> io::Result<()> {
    for end in ["-wal", "-shm", ""] {
        match fs::remove_file(beside(path, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// The last attempt whose log and files are those of the restored task: one that its worker may
/// never have heard of is begun again under its number.
fn known(task: &TaskRecord) -> u32 {
    let unheard = task.active().is_some_and(|active| active.step == Step::Assigned);
    task.number() - u32::from(unheard)
}

type Live = Vec<Arc<TaskRecord>>;

/// Makes the database that will be in place, in `FRESH`; answers with its tasks that have not ended.
/// `from` names the backup in errors.
pub(super) fn prepare(
    from: &Path,
    backup: &mut dyn Read,
    dir: &Path,
    now: Timestamp,
) -> Result<(Restored, Live), RestoreError> {
    let unwritable = |error| RestoreError::Folder(dir.to_owned(), error);
    let manifest = read_head(from, backup)?;
    let fresh = &dir.join(FRESH);
    // Also the log of one that was broken off: it must not be taken for this one's.
    remove_database(fresh).map_err(unwritable)?;
    has_room(dir, manifest.size)?;
    let mut out = private_file(fresh).map_err(unwritable)?;
    unpack(from, backup, &manifest, &mut out, fresh)?;
    drop(out);
    check(from, fresh, &manifest)?;
    let (there, unread) = present(dir)?;
    if let Some(there) = there.as_ref().filter(|there| there.cluster != manifest.cluster) {
        let (there, given) = (there.cluster.clone(), manifest.cluster.clone());
        return Err(RestoreError::OtherCluster { dir: dir.to_owned(), there, given });
    }
    let latest = |of: fn(&Manifest) -> u64| there.as_ref().map_or(0, of).max(of(&manifest)) + 1;
    let incarnation = latest(|data| data.incarnation).max(now.as_millis());
    let term = latest(|data| data.term);
    // Brings the tables up to date as the next start would.
    let conn = open_file(fresh)?;
    let live = read::load(&conn)?.tasks;
    let numbers = [incarnation, term].map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    conn.execute("UPDATE cluster SET incarnation = ?1, term = ?2", numbers).map_err(read_error)?;
    // The last connection moves the log into the file.
    conn.close().map_err(|(_, error)| read_error(error))?;
    File::open(fresh).and_then(|file| file.sync_all()).map_err(unwritable)?;
    Ok((Restored { manifest, incarnation, term, kept: None, unread, put_aside: 0 }, live))
}

/// The database takes its size, its log some more.
fn has_room(dir: &Path, size: u64) -> Result<(), RestoreError> {
    let disk = rustix::fs::statvfs(dir).map_err(|error| RestoreError::Folder(dir.to_owned(), error.into()))?;
    let (free, needed) = (disk.f_bavail.saturating_mul(disk.f_frsize), size.saturating_add(LEFT_FREE));
    if free >= needed { Ok(()) } else { Err(RestoreError::NoRoom { dir: dir.to_owned(), free, needed }) }
}

/// Whether a database is a master's, whole, of a known version, and what its backup says it is.
fn check(backup: &Path, fresh: &Path, manifest: &Manifest) -> Result<(), RestoreError> {
    let damage = |error: rusqlite::Error| RestoreError::Backup(damaged(backup, error.to_string()));
    let conn = plain(fresh).map_err(damage)?;
    let schema = version(&conn).map_err(damage)?;
    let known = u32::try_from(schema::STEPS.len()).unwrap_or(u32::MAX);
    if schema > known {
        let (path, version) = (backup.to_owned(), manifest.version.clone());
        return Err(BackupError::TooNew { path, version, what: "schema", found: schema, known }.into());
    }
    let told: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(damage)?;
    if told != "ok" {
        return Err(damaged(backup, told).into());
    }
    for table in TABLES {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        let found: u32 = conn.query_row(sql, [table], |row| row.get(0)).map_err(damage)?;
        if found == 0 {
            return Err(damaged(backup, format!("its database has no table {table}")).into());
        }
    }
    let told = backup::describe(&conn).map_err(damage)?;
    let same = |data: &Manifest| (data.schema, data.cluster.clone(), data.incarnation, data.term);
    if same(&told) != same(manifest) {
        return Err(damaged(backup, "its head tells of other data".into()).into());
    }
    Ok(())
}

pub(super) fn plain(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// What the database that is there says of itself, or why it says nothing: it is to be replaced.
pub(super) fn present(dir: &Path) -> Result<(Option<Manifest>, Option<String>), StoreError> {
    let path = file_in(dir);
    if !path.exists() {
        return Ok((None, None));
    }
    // Closing it moves its log into the file, which is kept as one.
    match plain(&path).and_then(|conn| backup::describe(&conn)) {
        Ok(manifest) => Ok((Some(manifest), None)),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(read_error(error)),
            Some(_) | None => Ok((None, Some(error.to_string()))),
        },
    }
}

/// Exchanges the databases: at every moment one of the two is in place.
fn put_in_place(dir: &Path, fresh: &Path, incarnation: u64) -> io::Result<Option<PathBuf>> {
    let (place, kept) = (file_in(dir), kept_in(dir, incarnation));
    let there = place.exists();
    if there {
        match fs::hard_link(&place, &kept) {
            // It was broken off here.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_same(&place, &kept)? => {}
            linked => linked?,
        }
        // A log that could not be moved into its file: it must not be taken for that of the new one.
        for end in ["-wal", "-shm"] {
            match fs::rename(beside(&place, end), beside(&kept, end)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    fs::rename(fresh, &place)?;
    File::open(dir)?.sync_all()?;
    Ok(there.then_some(kept))
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}
