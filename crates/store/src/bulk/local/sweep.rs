//! Removes contents that nobody needs any more: those that have no name but their own.

use super::blobs::Blobs;
use super::held::entries;
use super::parts::found;
use crate::bulk::{BulkError, Swept};
use cloudai_core::sha256::Sha256;
use std::fs::{self, DirEntry, File, Metadata};
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
        for entry in entries(&self.root.join("blobs").join(&digits))? {
            self.sweep_blob(&entry?, before, &mut swept)?;
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

    fn sweep_blob(&self, entry: &DirEntry, before: SystemTime, swept: &mut Swept) -> io::Result<()> {
        let path = entry.path();
        if entry.file_name().to_str().is_none_or(|name| name.parse::<Sha256>().is_err()) {
            // What a crash left of a content that was written.
            return remove_old(&path, before, swept);
        }
        let unneeded = || {
            let found = found(&path)?.filter(|found| found.nlink() == 1);
            older(found, before)
        };
        if unneeded()?.is_none() {
            return Ok(());
        }
        let _alone = self.remove();
        // Somebody may have come in between.
        if let Some(found) = unneeded()? {
            swept.remove(&path, &found)?;
        }
        Ok(())
    }

    fn sweep_tree(&self, entry: &DirEntry, before: SystemTime) -> io::Result<()> {
        let path = entry.path();
        let list: Option<Sha256> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(list) = list else {
            // What a crash left of one that was made or removed. What is made now is done, or gone, once nobody relies on
            // anything.
            drop(self.remove());
            return if older(found(&path)?, before)?.is_some() { remove_all(&path) } else { Ok(()) };
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

/// What was used last before a time, if there is anything.
fn older(found: Option<Metadata>, before: SystemTime) -> io::Result<Option<Metadata>> {
    match found {
        Some(found) if found.modified()? < before => Ok(Some(found)),
        Some(_) | None => Ok(None),
    }
}

fn remove_old(path: &Path, before: SystemTime, swept: &mut Swept) -> io::Result<()> {
    // What is gone meanwhile went on.
    older(found(path)?, before)?.map_or(Ok(()), |found| swept.remove(path, &found))
}

impl Swept {
    fn remove(&mut self, path: &Path, found: &Metadata) -> io::Result<()> {
        self.bytes += found.len();
        self.count += 1;
        fs::remove_file(path)
    }
}
