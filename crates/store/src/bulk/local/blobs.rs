//! Contents by their SHA-256, each kept once.
//!
//! ```text
//! DIR/blobs/<first 2 digits>/<sha-256>
//! DIR/uploads/<of the user>/<sha-256>.part
//! ```
//! Whoever needs a content has a hard link to it (an output file, a task that holds it, a folder that has it): the number of
//! links is the number of those who need it, and no table can differ from it. `held.rs` makes those of tasks and
//! folders, `sweep.rs` removes what has only its name here.

use super::parts::{Checked, Names, Parts, digest, size_of};
use super::{make_dir, sync_names};
use crate::bulk::{BulkError, Kept};
use bytes::Bytes;
use cloudai_core::ids::UserId;
use cloudai_core::sha256::Sha256;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
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
}

impl Blobs {
    pub(super) fn open(root: PathBuf) -> io::Result<Self> {
        for folder in ["blobs", "uploads", "trees", "held"] {
            make_dir(&root.join(folder))?;
        }
        Ok(Self { root, parts: Parts::default(), removing: RwLock::default(), fresh: AtomicU64::default() })
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

    fn names(&self, user: &UserId, content: Sha256) -> Names {
        // Whatever characters a user's name has.
        let user = digest(user.to_string().as_bytes()).to_string();
        let part = self.root.join("uploads").join(user).join(format!("{content}.part"));
        Names { part, done: self.blob(content) }
    }

    /// The size of a content that is kept; it counts as used at this time, where it was not later.
    pub(super) fn touch(&self, content: Sha256, used: SystemTime) -> io::Result<Option<u64>> {
        let _found = self.rely();
        let file = match File::open(self.blob(content)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let found = file.metadata()?;
        if found.modified()? < used {
            file.set_modified(used)?;
        }
        Ok(Some(found.len()))
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
        let _alone = self.parts.alone(&names);
        match names.check(size, content)? {
            Checked::Before => drop(self.touch(content, SystemTime::now())?),
            Checked::Now(file) => {
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
        for (hash, content) in contents {
            if self.touch(hash, used)?.is_none() {
                let blob = self.blob(hash);
                blob.parent().map_or(Ok(()), make_dir)?;
                let beside = self.beside(&blob);
                let written = write(&beside, content, used);
                fresh.push((beside, blob));
                if let Err(error) = written {
                    fresh.iter().for_each(|(beside, _)| drop(fs::remove_file(beside)));
                    return Err(error.into());
                }
            }
        }
        if !fresh.is_empty() {
            self.sync_all()?;
            fresh.iter().try_for_each(|(beside, blob)| self.name(beside, blob))?;
            self.sync_all()?;
        }
        Ok(())
    }

    /// Gives a content its name. One that has it stays: others count on its links.
    fn name(&self, content: &Path, blob: &Path) -> io::Result<()> {
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
                File::open(&blob)?.set_modified(SystemTime::UNIX_EPOCH)?;
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
            let beside = self.beside(&blob);
            copy(&blob, &beside)?;
            fs::rename(&beside, &blob)?;
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

/// A copy that is on disk.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::open(to)?.sync_all()
}

fn write(path: &Path, content: &[u8], used: SystemTime) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.set_modified(used)
}
