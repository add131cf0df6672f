//! Files that come in parts: unfinished until their checksum was right.
//!
//! Unfinished files carry `.part`; a finished one is on disk, name included, before it is told.

use super::make_dir;
use crate::bulk::BulkError;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Files that are worked on at a time without waiting for each other, by chance.
const STRIPES: usize = 64;
/// Bytes hashed at a time.
const CHUNK: usize = 256 * 1024;

/// Files that grow.
#[derive(Debug)]
pub(super) struct Parts {
    /// One per group of files: calls for the same file follow each other.
    stripes: [Mutex<()>; STRIPES],
}

/// The two names of a file.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) part: PathBuf,
    pub(super) done: PathBuf,
}

/// A part that turned out to be as it was announced.
#[derive(Debug)]
pub(super) enum Checked {
    /// It was finished before.
    Before,
    /// Now: on disk once it is synced, and still under its unfinished name.
    Now(File),
}

impl Default for Parts {
    fn default() -> Self {
        Self { stripes: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Parts {
    /// Waits for the others who work on a file.
    pub(super) fn alone(&self, names: &Names) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        names.part.hash(&mut hasher);
        let stripe = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or_default();
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    /// Bytes kept; whether the file is finished.
    pub(super) fn kept(&self) -> io::Result<(u64, bool)> {
        match size_of(&self.done)? {
            Some(size) => Ok((size, true)),
            None => Ok((size_of(&self.part)?.unwrap_or_default(), false)),
        }
    }

    /// Appends to the part at `offset`; bytes that are kept already are skipped.
    pub(super) fn append(&self, offset: u64, data: &[u8]) -> Result<(u64, bool), BulkError> {
        let (have, done) = self.kept()?;
        if done {
            return Ok((have, true));
        }
        let known = have.checked_sub(offset).ok_or(BulkError::Gap { have })?;
        let fresh = usize::try_from(known).ok().and_then(|known| data.get(known..)).unwrap_or_default();
        let file = open_part(&self.part)?;
        if let Err(error) = file.write_all_at(fresh, have) {
            // Best effort: what stays there is seen by the checksum.
            let _ = file.set_len(have);
            return Err(error.into());
        }
        Ok((have + fresh.len() as u64, false))
    }

    /// Compares what came with what was announced; a part that is something else is gone.
    pub(super) fn check(&self, size: u64, sha256: &str) -> Result<Checked, BulkError> {
        if size_of(&self.done)?.is_some() {
            let same = is_as_announced(&self.done, size, sha256)?;
            return if same { Ok(Checked::Before) } else { Err(BulkError::Checksum) };
        }
        let file = open_part(&self.part)?;
        if !is_as_announced(&self.part, size, sha256)? {
            fs::remove_file(&self.part)?;
            return Err(BulkError::Checksum);
        }
        Ok(Checked::Now(file))
    }
}

/// The size of a file; none when there is none.
pub(super) fn size_of(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn open_part(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), make_dir)?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn is_as_announced(path: &Path, size: u64, sha256: &str) -> io::Result<bool> {
    if size_of(path)? != Some(size) {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk)? {
            0 => break,
            count => hash.update(chunk.get(..count).unwrap_or_default()),
        }
    }
    Ok(hex::encode(hash.finalize()).eq_ignore_ascii_case(sha256))
}
