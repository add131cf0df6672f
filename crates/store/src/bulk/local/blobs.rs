//! Contents by their SHA-256, each kept once.
//!
//! ```text
//! DIR/blobs/<first 2 digits>/<sha-256>
//! DIR/uploads/<of the user>/<sha-256>.part
//! ```
//! Whoever needs a content has a hard link to it (an output file, a task that holds it, a folder that has it): the number of
//! links is the number of those who need it, and no table can differ from it. `held.rs` makes those of tasks and
//! folders, `sweep.rs` removes what has only its name here. The bytes may be in a bucket: see `away.rs`.

use super::away::Away;
use super::parts::{Checked, Names, Parts, digest, found, size_of};
use super::stub::{Stub, copy, set_modified};
use super::{make_dir, sync_names};
use crate::bulk::{BulkError, Kept};
use bytes::Bytes;
use cloudai_core::ids::UserId;
use cloudai_core::sha256::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

/// All contents below a directory.
#[derive(Debug)]
pub(super) struct Blobs {
    pub(super) root: PathBuf,
    parts: Parts,
    /// Read by who relies on a content that was found, written by who removes one.
    removing: RwLock<()>,
    /// Makes names that nobody else has.
    fresh: AtomicU64,
    /// Files with such names that calls in progress make.
    making: Mutex<BTreeSet<PathBuf>>,
    /// Where fresh contents are kept, when it is not here.
    pub(super) away: Option<Away>,
}

/// A file that is being made beside its place, whatever its time is: no sweep removes it while this lives.
#[derive(Debug)]
struct Making<'a> {
    blobs: &'a Blobs,
    path: PathBuf,
}

impl Deref for Making<'_> {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.blobs.making().remove(&self.path);
    }
}

impl Blobs {
    pub(super) fn open(root: PathBuf, away: Option<Away>) -> io::Result<Self> {
        for folder in ["blobs", "uploads", "trees", "held"] {
            make_dir(&root.join(folder))?;
        }
        Ok(Self {
            root,
            parts: Parts::default(),
            removing: RwLock::default(),
            fresh: AtomicU64::default(),
            making: Mutex::default(),
            away,
        })
    }

    pub(super) fn blob(&self, content: Sha256) -> PathBuf {
        by_digits(self.root.join("blobs"), content)
    }

    /// Nothing that is found is removed while this lives.
    pub(super) fn rely(&self) -> RwLockReadGuard<'_, ()> {
        self.removing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody relies on what is found while this lives.
    pub(super) fn remove(&self) -> RwLockWriteGuard<'_, ()> {
        self.removing.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name beside a file or folder that is still to be made; nobody takes it for one.
    pub(super) fn beside(&self, path: &Path) -> PathBuf {
        let number = self.fresh.fetch_add(1, Ordering::Relaxed);
        path.with_extension(format!("{}-{number}.new", std::process::id()))
    }

    fn make(&self, blob: &Path) -> Making<'_> {
        let path = self.beside(blob);
        self.making().insert(path.clone());
        Making { blobs: self, path }
    }

    fn making(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.making.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call in progress makes this file.
    pub(super) fn is_being_made(&self, path: &Path) -> bool {
        self.making().contains(path)
    }

    fn names(&self, user: &UserId, content: Sha256) -> Names {
        // Whatever characters a user's name has.
        let user = digest(user.to_string().as_bytes()).to_string();
        let part = self.root.join("uploads").join(user).join(format!("{content}.part"));
        Names { part, done: self.blob(content) }
    }

    /// The size of a content that is kept; it counts as used at this time, where it was not later.
    pub(super) fn touch(&self, content: Sha256, used: SystemTime) -> io::Result<Option<u64>> {
        let _found = self.rely();
        let blob = self.blob(content);
        let Some(found) = found(&blob)? else { return Ok(None) };
        if found.modified()? < used {
            set_modified(&blob, used)?;
        }
        size_of(&blob)
    }

    /// Waits for nobody: an upload that is being checked may take long.
    pub(super) fn kept(&self, user: &UserId, content: Sha256) -> Result<Kept, BulkError> {
        match self.touch(content, SystemTime::now())? {
            Some(size) => Ok(Kept::Whole(size)),
            None => Ok(Kept::Part(size_of(&self.names(user, content).part)?.unwrap_or_default())),
        }
    }

    pub(super) fn append(&self, user: &UserId, content: Sha256, at: u64, data: &[u8]) -> Result<Kept, BulkError> {
        let names = self.names(user, content);
        let _alone = self.parts.alone(&names);
        let (have, whole) = names.append(at, data)?;
        Ok(if whole { Kept::Whole(have) } else { Kept::Part(have) })
    }

    pub(super) fn finish(&self, user: &UserId, content: Sha256, size: u64) -> Result<(), BulkError> {
        let names = self.names(user, content);
        let alone = self.parts.alone(&names);
        match (names.check(size, content)?, &self.away) {
            (Checked::Before, _) => drop(self.touch(content, SystemTime::now())?),
            (Checked::Now(_), Some(away)) => {
                // Others need not wait for it: it is counted again as it is sent.
                drop(alone);
                self.send(away, Stub { content, size }, &names.part, None)?;
            }
            (Checked::Now(file), None) => {
                file.sync_all()?;
                self.name(&names.part, &names.done)?;
                sync_names(&names.done, &self.root)?;
            }
        }
        Ok(())
    }

    /// Keeps small contents, each of which is as its hash says; they count as used at this time. Their files are synced
    /// together: one by one it would take milliseconds for each.
    pub(super) fn put<'a>(
        &self,
        contents: impl Iterator<Item = (Sha256, &'a Bytes)>,
        used: SystemTime,
    ) -> Result<(), BulkError> {
        let mut fresh = Vec::new();
        let mut sent = BTreeMap::new();
        for (hash, content) in contents {
            if self.touch(hash, used)?.is_some() {
                continue;
            }
            if self.away.is_some() {
                sent.insert(hash, content.clone());
            } else {
                let blob = self.blob(hash);
                blob.parent().map_or(Ok(()), make_dir)?;
                let beside = self.make(&blob);
                let written = write(&beside, content, used);
                fresh.push((beside, blob));
                if let Err(error) = written {
                    fresh.iter().for_each(|(beside, _)| drop(fs::remove_file(&**beside)));
                    return Err(error.into());
                }
            }
        }
        if let (Some(away), false) = (&self.away, sent.is_empty()) {
            self.send_several(away, sent, used)?;
        }
        if !fresh.is_empty() {
            self.sync_all()?;
            fresh.iter().try_for_each(|(beside, blob)| self.name(beside, blob))?;
            self.sync_all()?;
        }
        Ok(())
    }

    /// Gives a content its name. One that has it stays: others count on its links.
    pub(super) fn name(&self, content: &Path, blob: &Path) -> io::Result<()> {
        let _found = self.rely();
        blob.parent().map_or(Ok(()), make_dir)?;
        match fs::hard_link(content, blob) {
            Ok(()) => fs::remove_file(content),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::remove_file(content),
            // A file system without hard links.
            Err(_) => fs::rename(content, blob),
        }
    }

    /// Makes everything that was written to this file system survive a power cut.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(&self.root)?)?)
    }

    /// Gives a content of this size another name; whether it is kept and could be given one.
    pub(super) fn lend(&self, content: Sha256, size: u64, to: &Path) -> io::Result<bool> {
        let _found = self.rely();
        let blob = self.blob(content);
        if size_of(&blob)? != Some(size) {
            return Ok(false);
        }
        if self.away.is_some() {
            // There are no bytes to keep twice.
            return Ok(size_of(to)?.is_none() && self.link(content, to)?);
        }
        // A file system without hard links, or with too many of them already: then it is kept twice.
        Ok(fs::hard_link(&blob, to).is_ok())
    }

    /// Takes over a file that is on disk as the content of this hash; whether it is there. Nobody asked for it yet: once
    /// its task is removed it goes with the next sweep.
    pub(super) fn take(&self, content: Sha256, file: &Path) -> io::Result<bool> {
        let blob = self.blob(content);
        blob.parent().map_or(Ok(()), make_dir)?;
        let _found = self.rely();
        match fs::hard_link(file, &blob) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(true),
            linked => {
                linked?;
                set_modified(&blob, SystemTime::UNIX_EPOCH)?;
                Ok(true)
            }
        }
    }

    /// Gives a content another name; whether it is kept. The caller relies on it.
    pub(super) fn link(&self, content: Sha256, to: &Path) -> io::Result<bool> {
        let blob = self.blob(content);
        let mut linked = fs::hard_link(&blob, to);
        if linked.as_ref().is_err_and(|error| error.kind() == ErrorKind::TooManyLinks) {
            // The old one stays with those who have it: each reads by its own link.
            if let Some(stub) = Stub::at(&blob)? {
                self.refresh(&blob, stub)?;
            } else {
                let beside = self.make(&blob);
                copy(&blob, &beside)?;
                fs::rename(&*beside, &blob)?;
            }
            linked = fs::hard_link(&blob, to);
        }
        match linked {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => Ok(true),
        }
    }
}

/// A path for a hash, spread over 256 folders.
pub(super) fn by_digits(root: PathBuf, hash: Sha256) -> PathBuf {
    let name = hash.to_string();
    root.join(name.get(..2).unwrap_or_default()).join(name)
}

fn write(path: &Path, content: &[u8], used: SystemTime) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.set_modified(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_being_made_is_not_swept_however_old_it_says_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path().to_owned(), None).unwrap();
        let content = digest(b"x");
        let blob = blobs.blob(content);
        make_dir(blob.parent().unwrap()).unwrap();
        let sweep = || blobs.sweep(content.0[0].into(), SystemTime::now()).unwrap().unwrap().count;
        // What only an output needs counts as never used.
        let beside = blobs.make(&blob);
        write(&beside, b"x", SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(sweep(), 0);
        blobs.name(&beside, &blob).unwrap();
        drop(beside);
        // What a crash, or a failure, left.
        let left = blobs.make(&blob).to_owned();
        write(&left, b"x", SystemTime::UNIX_EPOCH).unwrap();
        fs::hard_link(&blob, dir.path().join("needed")).unwrap();
        assert_eq!((sweep(), left.exists(), blob.exists()), (1, false, true));
    }
}
