//! Removes contents of a bucket that nobody needs any more: first their names here, then the objects.

use super::away::{Away, is_full};
use super::blobs::Blobs;
use super::held::entries;
use super::stub::Stub;
use super::sweep::{is_older, is_unneeded};
use crate::bulk::{BulkError, Swept};
use cloudai_core::sha256::Sha256;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

impl Blobs {
    /// One part of all. Passes over it when somebody sends contents of it: the next sweep comes.
    pub(super) fn sweep_away(
        &self,
        away: &Away,
        part: u32,
        before: SystemTime,
        swept: &mut Swept,
    ) -> Result<(), BulkError> {
        let Some(_alone) = away.alone(part) else { return Ok(()) };
        let folder = self.root.join("blobs").join(format!("{part:02x}"));
        let full = self.sweep_full(&folder, before)?;
        let mut gone = Vec::new();
        for entry in entries(&folder)? {
            let entry = entry?;
            let path = entry.path();
            match Stub::at(&path)? {
                // While a full one is needed, its object is.
                Some(stub) if is_full(&path) || (full.contains(&stub.content) && is_name(&path)) => {}
                Some(stub) => gone.extend(self.sweep_stub(stub, &path, before, swept)?),
                None => self.sweep_blob(&entry, before, swept)?,
            }
        }
        self.delete(away, &gone, &full)
    }

    /// Removes stubs that had all the links they can have and have none any more; answers of which contents some are left.
    fn sweep_full(&self, folder: &Path, before: SystemTime) -> Result<BTreeSet<Sha256>, BulkError> {
        let mut left = BTreeSet::new();
        for entry in entries(folder)? {
            let path = entry?.path();
            if !is_full(&path) {
                continue;
            }
            let _alone = self.remove();
            if is_unneeded(&path, before)? {
                fs::remove_file(path)?;
            } else {
                left.extend(Stub::at(&path)?.map(|stub| stub.content));
            }
        }
        Ok(left)
    }

    /// Takes away a name that nobody needs; answers what says so until its object is deleted.
    fn sweep_stub(
        &self,
        stub: Stub,
        path: &Path,
        before: SystemTime,
        swept: &mut Swept,
    ) -> Result<Option<(Stub, PathBuf)>, BulkError> {
        let gone = path.with_file_name(format!("{}.gone", stub.content));
        if *path == gone {
            return Ok(Some((stub, gone)));
        }
        if !is_name(path) {
            // What a crash left of a content on its way.
            let old = is_older(path, before)?;
            if old {
                fs::rename(path, &gone)?;
            }
            return Ok(old.then_some((stub, gone)));
        }
        if !is_unneeded(path, before)? {
            return Ok(None);
        }
        let _alone = self.remove();
        // Somebody may have come in between.
        if !is_unneeded(path, before)? {
            return Ok(None);
        }
        swept.count += 1;
        swept.bytes += stub.size;
        fs::rename(path, &gone)?;
        Ok(Some((stub, gone)))
    }
}

/// Whether a stub has the name of its content.
fn is_name(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<Sha256>().is_ok())
}
