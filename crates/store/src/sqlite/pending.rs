//! A restore into data that is in use: a database that was made ready beside it waits for the next
//! opening of the directory, which puts it in place before anything else.
//!
//! A crash in between loses nothing: what waits is whole and on disk before anybody is told of it,
//! and each step of the exchange may be repeated.

use super::migrate::{open_file, read_error};
use super::restore::{FRESH, RestoreError, exchange, kept_in, plain, prepare, present, remove_database};
use super::{backup, read};
use crate::StoreError;
use crate::backup::Manifest;
use cloudai_core::time::Timestamp;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// The database that the next opening puts in place.
const PENDING: &str = "restore.pending";

/// What the next opening of the data makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// The new life of the data.
    pub incarnation: u64,
    /// Where the database will be that is there now.
    pub kept: PathBuf,
}

/// A backup that was checked wholly and is ready to take the place of the data. Dropped, it is gone.
#[derive(Debug)]
pub struct Prepared {
    dir: PathBuf,
    planned: Planned,
}

impl Prepared {
    /// Reads a backup to its end, blocking; `from` names it in errors. Nothing of the data changes.
    pub(super) fn make(from: &Path, backup: &mut dyn Read, dir: &Path, now: Timestamp) -> Result<Self, RestoreError> {
        match prepare(from, backup, dir, now) {
            Ok((restored, _)) => {
                let (incarnation, kept) = (restored.incarnation, kept_in(dir, restored.incarnation));
                let planned = Planned { manifest: restored.manifest, incarnation, kept };
                Ok(Self { dir: dir.to_owned(), planned })
            }
            Err(error) => {
                // The failure is what counts; the next try begins with an empty file.
                let _ = remove_database(&dir.join(FRESH));
                Err(error)
            }
        }
    }

    /// Orders the next opening to put it in place, whatever happens until then; blocks for the disk.
    /// # Errors
    /// [`RestoreError::Folder`]; nothing is ordered then.
    pub fn order(self) -> Result<Planned, RestoreError> {
        let pending = self.dir.join(PENDING);
        let ordered = forget(&self.dir)
            .and_then(|()| fs::rename(self.dir.join(FRESH), &pending))
            .and_then(|()| File::open(&self.dir)?.sync_all());
        if let Err(error) = ordered {
            // It may not last, so it must not be.
            let _ = fs::remove_file(&pending);
            return Err(RestoreError::Folder(self.dir.clone(), error));
        }
        Ok(self.planned.clone())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // What is left is removed by the next opening.
        let _ = remove_database(&self.dir.join(FRESH));
    }
}

/// Forgets the order.
pub(super) fn forget(dir: &Path) -> io::Result<()> {
    remove_database(&dir.join(PENDING))
}

/// Removes what a crash left of one that was not ordered; what can not be removed is told when the
/// next is made.
pub(super) fn remove_left(dir: &Path) {
    let _ = remove_database(&dir.join(FRESH));
}

/// Puts in place what was ordered, with the directory locked and before its database is opened.
///
/// The order is void when the data was led or exchanged after it, by a version that knows nothing of
/// orders or by hand.
pub(super) fn complete(dir: &Path) -> Result<(), StoreError> {
    let pending = dir.join(PENDING);
    if !pending.exists() {
        return Ok(());
    }
    let unusable = |error| StoreError::Folder(dir.to_owned(), error);
    let ready = plain(&pending).and_then(|conn| backup::describe(&conn)).map_err(|error| {
        let shown = pending.display();
        StoreError::Corrupt(format!("{error} in {shown}, which was to be restored: remove it to go on without"))
    })?;
    let (there, _) = present(dir)?;
    if there.is_some_and(|there| there.cluster != ready.cluster || there.term >= ready.term) {
        warn!(incarnation = ready.incarnation, "pending restore was dropped: the data was in use after it was ordered");
        return forget(dir).map_err(unusable);
    }
    let conn = open_file(&pending)?;
    let live = read::load(&conn)?.tasks;
    // The last connection moves the log into the file.
    conn.close().map_err(|(_, error)| read_error(error))?;
    let (kept, put_aside) = exchange(dir, &pending, ready.incarnation, &live).map_err(unusable)?;
    let kept = kept.map(|kept| kept.display().to_string()).unwrap_or_default();
    info!(cluster = ready.cluster, incarnation = ready.incarnation, kept, put_aside, "pending restore was completed");
    Ok(())
}
