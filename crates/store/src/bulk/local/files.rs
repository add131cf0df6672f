//! The output files of attempts.
//!
//! A file's name on disk is the SHA-256 of the path that its task gave it. So no path leaves its
//! folder, follows a link, is too long for the file system or stands in another's way (`a` and
//! `a/b`); the store's rows know the real paths. Still only plain paths are accepted: they are
//! written out again as they are on the machines of users.
//! The content of a finished file is kept once, however many tasks left it: see `blobs.rs`.

use super::blobs::Blobs;
use super::parts::{Checked, Names, Parts};
use super::{folder, make_dir, remove_dir, sync_names};
use crate::bulk::{BulkError, check_path};
use bytes::Bytes;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::sha256::Sha256 as Content;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
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

    fn names(&self, attempt: Attempt, path: &str) -> Result<Names, BulkError> {
        check_path(path)?;
        let name = hex::encode(Sha256::digest(path));
        let folder = folder(&self.root, attempt.task).join(attempt.number.to_string());
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

    pub(super) fn finish(&self, attempt: Attempt, path: &str, size: u64, sha256: &str) -> Result<(), BulkError> {
        let names = self.names(attempt, path)?;
        let _alone = self.parts.alone(&names);
        let Checked::Now(file) = names.check(size, sha256)? else { return Ok(()) };
        let content = sha256.to_ascii_lowercase().parse().ok();
        match content {
            // Somebody left it before: it is on disk.
            Some(content) if self.blobs.lend(content, size, &names.done)? => fs::remove_file(&names.part)?,
            _ => {
                file.sync_all()?;
                fs::rename(&names.part, &names.done)?;
                if let Some(content) = content
                    && let Err(error) = self.blobs.take(content, &names.done)
                {
                    debug!(%attempt, path, %error, "a file is kept for itself alone");
                }
            }
        }
        Ok(sync_names(&names.done, &self.root)?)
    }

    /// Keeps small files: their contents first, all with one sync, then their names.
    pub(super) fn put(&self, attempt: Attempt, files: &[(String, Bytes)]) -> Result<Vec<Content>, BulkError> {
        let names: Vec<_> = files.iter().map(|(path, _)| self.names(attempt, path)).collect::<Result<_, _>>()?;
        let contents: Vec<_> = files.iter().map(|(_, data)| data.clone()).collect();
        let hashes = self.blobs.put(&contents, false)?;
        for ((names, data), content) in names.iter().zip(&contents).zip(&hashes) {
            let size = data.len() as u64;
            let _alone = self.parts.alone(names);
            names.done.parent().map_or(Ok(()), make_dir)?;
            if !self.blobs.lend(*content, size, &names.done)? {
                // There already, or on a file system without hard links. What another upload began, begins anew.
                drop(fs::remove_file(&names.part));
                names.append(0, data)?;
                if let Checked::Now(file) = names.check(size, &content.to_string())? {
                    file.sync_all()?;
                    fs::rename(&names.part, &names.done)?;
                }
            }
        }
        names.first().map_or(Ok(()), |names| sync_names(&names.done, &self.root))?;
        Ok(hashes)
    }

    /// Has the content of a finished file among the blobs.
    pub(super) fn share(&self, attempt: Attempt, path: &str, sha256: &str) -> Result<(), BulkError> {
        let names = self.names(attempt, path)?;
        let content = sha256.parse().map_err(|_| BulkError::NotFound)?;
        if self.blobs.touch(content)?.is_some() {
            return Ok(());
        }
        if !self.blobs.take(content, &names.done)? {
            return Err(BulkError::NotFound);
        }
        // It was asked for.
        self.blobs.touch(content)?;
        Ok(())
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
