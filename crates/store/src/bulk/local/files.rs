//! The output files of attempts.
//!
//! A file's name on disk is the SHA-256 of the path that its task gave it. So no path leaves its
//! folder, follows a link, is too long for the file system or stands in another's way (`a` and
//! `a/b`); the store's rows know the real paths. Still only plain paths are accepted: they are
//! written out again as they are on the machines of users.
//! The content of a finished file is kept once, however many tasks left it: see `blobs.rs`.

use super::blobs::Blobs;
use super::held::entries;
use super::parts::{Checked, Names, Parts, digest, size_of};
use super::stub::{self, Place, Stub};
use super::{folder, make_dir, remove_dir, sync_names};
use crate::bulk::{BulkError, SmallFile, check_path, path_name};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::sha256::Sha256;
use cloudai_core::task::OutputFile;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use tracing::debug;

/// All files below a folder.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    parts: Parts,
    blobs: Arc<Blobs>,
}

impl Files {
    pub(super) fn new(root: PathBuf, blobs: Arc<Blobs>) -> Self {
        Self { root, parts: Parts::default(), blobs }
    }

    fn folder_of(&self, attempt: Attempt) -> PathBuf {
        folder(&self.root, attempt.task).join(attempt.number.to_string())
    }

    fn names(&self, attempt: Attempt, path: &str) -> Result<Names, BulkError> {
        check_path(path)?;
        let (name, folder) = (path_name(path).to_string(), self.folder_of(attempt));
        Ok(Names { part: folder.join(format!("{name}.part")), done: folder.join(name) })
    }

    pub(super) fn append(&self, attempt: Attempt, path: &str, offset: u64, data: &[u8]) -> Result<u64, BulkError> {
        let names = self.names(attempt, path)?;
        let _alone = self.parts.alone(&names);
        names.append(offset, data).map(|(have, _)| have)
    }

    pub(super) fn position(&self, attempt: Attempt, path: &str) -> Result<u64, BulkError> {
        let names = self.names(attempt, path)?;
        let _alone = self.parts.alone(&names);
        Ok(names.kept()?.0)
    }

    pub(super) fn finish(&self, attempt: Attempt, path: &str, size: u64, sha256: Sha256) -> Result<(), BulkError> {
        let names = self.names(attempt, path)?;
        let alone = self.parts.alone(&names);
        let Checked::Now(file) = names.check(size, sha256)? else { return Ok(()) };
        if self.blobs.lend(sha256, size, &names.done)? {
            // Somebody left it before: it is kept.
            fs::remove_file(&names.part)?;
        } else if let Some(away) = &self.blobs.away {
            // Others need not wait for it: it is counted again as it is sent.
            drop(alone);
            self.blobs.send(away, Stub { content: sha256, size }, &names.part, Some(&names.done))?;
        } else {
            file.sync_all()?;
            fs::rename(&names.part, &names.done)?;
            if let Err(error) = self.blobs.take(sha256, &names.done) {
                debug!(%attempt, path, %error, "a file is kept for itself alone");
            }
        }
        Ok(sync_names(&names.done, &self.root)?)
    }

    /// Keeps small files, all of which are as their hashes say: their contents first, all with one sync, then their names.
    pub(super) fn put(&self, attempt: Attempt, files: &[SmallFile]) -> Result<(), BulkError> {
        let names: Vec<_> = files.iter().map(|file| self.names(attempt, &file.path)).collect::<Result<_, _>>()?;
        if files.iter().any(|file| digest(&file.data) != file.sha256) {
            return Err(BulkError::Checksum);
        }
        // Nobody asked for them: they stay for as long as they have another name.
        self.blobs.put(files.iter().map(|file| (file.sha256, &file.data)), SystemTime::UNIX_EPOCH)?;
        for (names, SmallFile { data, sha256, .. }) in names.iter().zip(files) {
            let size = data.len() as u64;
            let _alone = self.parts.alone(names);
            names.done.parent().map_or(Ok(()), make_dir)?;
            if !self.blobs.lend(*sha256, size, &names.done)? {
                // There already, or on a file system without hard links. What another upload began, begins anew.
                drop(fs::remove_file(&names.part));
                names.append(0, data)?;
                if let Checked::Now(file) = names.check(size, *sha256)? {
                    if let Some(away) = &self.blobs.away {
                        self.blobs.send(away, Stub { content: *sha256, size }, &names.part, Some(&names.done))?;
                        continue;
                    }
                    file.sync_all()?;
                    fs::rename(&names.part, &names.done)?;
                }
            }
        }
        Ok(names.first().map_or(Ok(()), |names| sync_names(&names.done, &self.root))?)
    }

    /// Has the content of a finished file among the blobs.
    pub(super) fn share(&self, attempt: Attempt, file: &OutputFile) -> Result<(), BulkError> {
        let names = self.names(attempt, &file.path)?;
        let content = file.sha256;
        if self.blobs.touch(content, SystemTime::now())?.is_some() {
            return Ok(());
        }
        if !self.blobs.take(content, &names.done)?
            && !self.blobs.recover(Stub { content, size: file.size }, &names.done)?
        {
            return Err(BulkError::NotFound);
        }
        // It was asked for.
        self.blobs.touch(content, SystemTime::now())?;
        Ok(())
    }

    /// The finished files of an attempt: the names of their paths, and their sizes.
    pub(super) fn finished(&self, attempt: Attempt) -> Result<Vec<(Sha256, u64)>, BulkError> {
        let mut found = Vec::new();
        for entry in entries(&self.folder_of(attempt))? {
            let entry = entry?;
            // What is not whole has a longer name.
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<Sha256>().ok()) else { continue };
            found.extend(size_of(&entry.path())?.map(|size| (name, size)));
        }
        Ok(found)
    }

    /// Removes all files of an attempt.
    pub(super) fn remove_attempt(&self, attempt: Attempt) -> Result<(), BulkError> {
        Ok(remove_dir(&self.folder_of(attempt))?)
    }

    /// Removes all files of a task. What a crash interrupts the next call finishes.
    pub(super) fn remove(&self, task: TaskId) -> Result<(), BulkError> {
        Ok(remove_dir(&folder(&self.root, task))?)
    }

    pub(super) fn open(&self, attempt: Attempt, path: &str) -> Result<(u64, Place), BulkError> {
        stub::open(&self.names(attempt, path)?.done)
    }

    /// The stub of a finished file; none where its content is on this disk. One whose names were lost gets them again.
    pub(super) fn stub(&self, attempt: Attempt, file: &OutputFile) -> Result<Option<Stub>, BulkError> {
        let done = self.names(attempt, &file.path)?.done;
        match Stub::at(&done) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let stub = Stub { content: file.sha256, size: file.size };
                if self.blobs.recover(stub, &done)? { Ok(Some(stub)) } else { Err(BulkError::NotFound) }
            }
            found => Ok(found?),
        }
    }

    /// Where the content of a finished file is; none when it is not kept any more.
    pub(super) fn location(&self, attempt: Attempt, path: &str) -> Result<Option<String>, BulkError> {
        let done = self.names(attempt, path)?.done;
        match Stub::at(&done) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => Ok(match (found?, &self.blobs.away) {
                (Some(stub), Some(away)) => Some(away.bucket.location(stub.content)),
                (Some(_), None) => None,
                (None, _) => Some(done.display().to_string()),
            }),
        }
    }
}
