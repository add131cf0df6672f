//! Files that come in parts: unfinished until their checksum was right.
//!
//! Unfinished files carry `.part`; a finished one is on disk, name included, before it is told.

use super::make_dir;
use super::stub::Stub;
use crate::bulk::BulkError;
use cloudai_core::sha256::Sha256;
use sha2::Digest;
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufReader, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes hashed at a time.
const CHUNK: usize = 256 * 1024;

/// Files that grow: calls for the same one follow each other, a long one (all of a file is hashed) holds up no other file.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Those that somebody works on.
    busy: Mutex<BTreeSet<PathBuf>>,
    free: Condvar,
}

/// Nobody else works on a file while this lives.
#[derive(Debug)]
pub(super) struct Alone<'a> {
    parts: &'a Parts,
    part: &'a Path,
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

impl Parts {
    /// Waits for the others who work on a file.
    pub(super) fn alone<'a>(&'a self, names: &'a Names) -> Alone<'a> {
        let mut busy = self.busy();
        while busy.contains(&names.part) {
            busy = self.free.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        busy.insert(names.part.clone());
        Alone { parts: self, part: &names.part }
    }

    fn busy(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.parts.busy().remove(self.part);
        self.parts.free.notify_all();
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
    pub(super) fn check(&self, size: u64, sha256: Sha256) -> Result<Checked, BulkError> {
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

/// What is known of a file or a stub itself; none when there is none.
pub(super) fn found(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The size of a file, or of the content of a stub; none when there is none.
pub(super) fn size_of(path: &Path) -> io::Result<Option<u64>> {
    let Some(found) = found(path)? else { return Ok(None) };
    if !found.is_symlink() {
        return Ok(Some(found.len()));
    }
    match Stub::at(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        stub => Ok(stub?.map(|stub| stub.size)),
    }
}

/// The name of a content.
pub(super) fn digest(data: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(data).into())
}

fn open_part(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), make_dir)?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn is_as_announced(path: &Path, size: u64, sha256: Sha256) -> io::Result<bool> {
    if size_of(path)? != Some(size) {
        return Ok(false);
    }
    if let Some(stub) = Stub::at(path)? {
        return Ok(stub.content == sha256);
    }
    let mut hasher = sha2::Sha256::new();
    io::copy(&mut BufReader::with_capacity(CHUNK, File::open(path)?), &mut hasher)?;
    Ok(Sha256(hasher.finalize().into()) == sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn names(name: &str) -> Names {
        Names { part: format!("{name}.part").into(), done: name.into() }
    }

    #[test]
    fn whoever_works_long_on_a_file_holds_up_no_other() {
        let parts = Parts::default();
        let all: Vec<_> = (0..1000).map(|number| names(&number.to_string())).collect();
        // All at once, in one thread: it would wait for itself.
        let alone: Vec<_> = all.iter().map(|names| parts.alone(names)).collect();
        assert_eq!((alone.len(), parts.busy().len()), (1000, 1000));
        drop(alone);
        assert_eq!(parts.busy().len(), 0);
    }

    #[test]
    fn calls_for_the_same_file_follow_each_other() {
        let (parts, inside) = (Parts::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let names = names("same");
                        let _alone = parts.alone(&names);
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    }
                });
            }
        });
        assert_eq!(parts.busy().len(), 0);
    }
}
