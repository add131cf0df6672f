//! Removes contents that nobody needs any more: those that have no name but their own.

use super::blobs::Blobs;
use super::held::entries;
use super::parts::{found, size_of};
use crate::bulk::{BulkError, Swept};
use cloudai_core::sha256::Sha256;
use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// Folders that the first two digits of a hash make.
const PARTS: u32 = 256;

impl Blobs {
    pub(super) fn sweep(&self, part: u32, before: SystemTime) -> Result<Option<Swept>, BulkError> {
        if part >= PARTS {
            return Ok(None);
        }
        let digits = format!("{part:02x}");
        let mut swept = Swept::default();
        // Folders first: their files are needed until then.
        for entry in entries(&self.root.join("trees").join(&digits))? {
            self.sweep_tree(&entry?, before)?;
        }
        if let Some(away) = &self.away {
            self.sweep_away(away, part, before, &mut swept)?;
        } else {
            for entry in entries(&self.root.join("blobs").join(&digits))? {
                self.sweep_blob(&entry?, before, &mut swept)?;
            }
        }
        if part == 0 {
            for user in entries(&self.root.join("uploads"))? {
                for upload in entries(&user?.path())? {
                    remove_old(&upload?.path(), before, &mut swept)?;
                }
            }
        }
        Ok(Some(swept))
    }

    pub(super) fn sweep_blob(&self, entry: &DirEntry, before: SystemTime, swept: &mut Swept) -> io::Result<()> {
        let path = entry.path();
        if entry.file_name().to_str().is_none_or(|name| name.parse::<Sha256>().is_err()) {
            // What a crash left of a content that was written.
            return if self.is_being_made(&path) { Ok(()) } else { remove_old(&path, before, swept) };
        }
        if !is_unneeded(&path, before)? {
            return Ok(());
        }
        let _alone = self.remove();
        // Somebody may have come in between.
        if is_unneeded(&path, before)? { swept.remove(&path) } else { Ok(()) }
    }

    fn sweep_tree(&self, entry: &DirEntry, before: SystemTime) -> io::Result<()> {
        let path = entry.path();
        let list: Option<Sha256> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(list) = list else {
            // What a crash left of one that was made or removed. What is made now is done, or gone, once nobody relies on
            // anything.
            drop(self.remove());
            return if is_older(&path, before)? { remove_all(&path) } else { Ok(()) };
        };
        if !self.is_unheld(list, before)? {
            return Ok(());
        }
        let gone = self.beside(&path);
        {
            let _alone = self.remove();
            if !self.is_unheld(list, before)? {
                return Ok(());
            }
            // Half of it is never found under its name.
            match fs::rename(&path, &gone) {
                // Another sweep removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                renamed => renamed?,
            }
        }
        path.parent().map_or(Ok(()), |above| File::open(above)?.sync_all())?;
        remove_all(&gone)
    }
}

fn remove_all(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        // Another sweep removed it.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => removed,
    }
}

/// Whether a content that is there has no name but this one, and was used last before a time.
pub(super) fn is_unneeded(path: &Path, before: SystemTime) -> io::Result<bool> {
    found(path)?.map_or(Ok(false), |found| Ok(found.nlink() == 1 && found.modified()? < before))
}

/// Whether there is something that was used last before a time.
pub(super) fn is_older(path: &Path, before: SystemTime) -> io::Result<bool> {
    found(path)?.map_or(Ok(false), |found| Ok(found.modified()? < before))
}

fn remove_old(path: &Path, before: SystemTime, swept: &mut Swept) -> io::Result<()> {
    // What is gone meanwhile went on.
    if is_older(path, before)? { swept.remove(path) } else { Ok(()) }
}

impl Swept {
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let Some(size) = size_of(path)? else { return Ok(()) };
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        }
        self.bytes += size;
        self.count += 1;
        Ok(())
    }
}
