//! The output files of attempts: unfinished until their checksum was right.
//!
//! A file's name on disk is the SHA-256 of the path that its task gave it. So no path leaves its
//! folder, follows a link, is too long for the file system or stands in another's way (`a` and
//! `a/b`); the store's rows know the real paths. Still only plain paths are accepted: they are
//! written out again as they are on the machines of users.
//! Unfinished files carry `.part`; a finished one is on disk, name included, before it is told.

use super::{folder, make_dir, remove_dir, sync_names};
use crate::bulk::{BulkError, check_path};
use cloudai_core::ids::{Attempt, TaskId};
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

/// All files below a folder.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// One per group of files: calls for the same file follow each other.
    stripes: [Mutex<()>; STRIPES],
}

/// The two names of a file.
struct Names {
    part: PathBuf,
    done: PathBuf,
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, stripes: std::array::from_fn(|_| Mutex::default()) }
    }

    fn names(&self, attempt: Attempt, path: &str) -> Result<Names, BulkError> {
        check_path(path)?;
        let name = hex::encode(Sha256::digest(path));
        let folder = folder(&self.root, attempt.task).join(attempt.number.to_string());
        Ok(Names { part: folder.join(format!("{name}.part")), done: folder.join(name) })
    }

    fn alone(&self, names: &Names) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        names.done.hash(&mut hasher);
        let stripe = usize::try_from(hasher.finish() % STRIPES as u64).unwrap_or_default();
        self.stripes[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append(&self, attempt: Attempt, path: &str, offset: u64, data: &[u8]) -> Result<u64, BulkError> {
        let names = self.names(attempt, path)?;
        let _alone = self.alone(&names);
        if let Some(size) = size_of(&names.done)? {
            return Ok(size);
        }
        let have = size_of(&names.part)?.unwrap_or_default();
        let known = have.checked_sub(offset).ok_or(BulkError::Gap { have })?;
        let fresh = usize::try_from(known).ok().and_then(|known| data.get(known..)).unwrap_or_default();
        let file = open_part(&names.part)?;
        if let Err(error) = file.write_all_at(fresh, have) {
            // Best effort: what stays there is seen by the checksum.
            let _ = file.set_len(have);
            return Err(error.into());
        }
        Ok(have + fresh.len() as u64)
    }

    pub(super) fn position(&self, attempt: Attempt, path: &str) -> Result<u64, BulkError> {
        let names = self.names(attempt, path)?;
        let _alone = self.alone(&names);
        let done = size_of(&names.done)?;
        Ok(done.map_or_else(|| size_of(&names.part), |size| Ok(Some(size)))?.unwrap_or_default())
    }

    pub(super) fn finish(&self, attempt: Attempt, path: &str, size: u64, sha256: &str) -> Result<(), BulkError> {
        let names = self.names(attempt, path)?;
        let _alone = self.alone(&names);
        if size_of(&names.done)?.is_some() {
            return if is_as_announced(&names.done, size, sha256)? { Ok(()) } else { Err(BulkError::Checksum) };
        }
        let file = open_part(&names.part)?;
        if !is_as_announced(&names.part, size, sha256)? {
            fs::remove_file(&names.part)?;
            return Err(BulkError::Checksum);
        }
        file.sync_all()?;
        fs::rename(&names.part, &names.done)?;
        Ok(sync_names(&names.done, &self.root)?)
    }

    /// Removes all files of a task. What a crash interrupts the next call finishes.
    pub(super) fn remove(&self, task: TaskId) -> Result<(), BulkError> {
        Ok(remove_dir(&folder(&self.root, task))?)
    }

    pub(super) fn open(&self, attempt: Attempt, path: &str) -> Result<(u64, File), BulkError> {
        let names = self.names(attempt, path)?;
        match File::open(&names.done) {
            Ok(file) => Ok((file.metadata()?.len(), file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(BulkError::NotFound),
            Err(error) => Err(error.into()),
        }
    }
}

fn size_of(path: &Path) -> io::Result<Option<u64>> {
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
