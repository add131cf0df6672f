//! Removes contents that nobody needs any more: those that have no name but their own.

use super::blobs::Blobs;
use super::held::entries;
use crate::bulk::{BulkError, Swept};
use cloudai_core::sha256::Sha256;
use std::fs::{self, DirEntry};
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
        for entry in entries(&self.root.join("blobs").join(&digits))? {
            self.sweep_blob(&entry?, before, &mut swept)?;
        }
        for entry in entries(&self.root.join("trees").join(&digits))? {
            let path = entry?.path();
            // Of a crash: others never were whole.
            if path.extension().is_some() && is_older(&path, before)? {
                fs::remove_dir_all(path)?;
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

    fn sweep_blob(&self, entry: &DirEntry, before: SystemTime, swept: &mut Swept) -> io::Result<()> {
        let path = entry.path();
        let content: Option<Sha256> = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(content) = content else {
            // What a crash left of a content that was written.
            return remove_old(&path, before, swept);
        };
        if !is_unneeded(&path, before)? {
            return Ok(());
        }
        let _alone = self.remove();
        // Somebody may have come in between.
        if is_unneeded(&path, before)? {
            let tree = self.tree(content);
            if tree.is_dir() {
                // Its files first: without its list nobody would find them.
                fs::remove_dir_all(tree)?;
            }
            swept.bytes += fs::metadata(&path)?.len();
            swept.count += 1;
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn is_unneeded(path: &Path, before: SystemTime) -> io::Result<bool> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => found.and_then(|found| Ok(found.nlink() == 1 && found.modified()? < before)),
    }
}

fn is_older(path: &Path, before: SystemTime) -> io::Result<bool> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => found.and_then(|found| Ok(found.modified()? < before)),
    }
}

fn remove_old(path: &Path, before: SystemTime, swept: &mut Swept) -> io::Result<()> {
    if is_older(path, before)? {
        swept.bytes += fs::metadata(path)?.len();
        swept.count += 1;
        fs::remove_file(path)?;
    }
    Ok(())
}
