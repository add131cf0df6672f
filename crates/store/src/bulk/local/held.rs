//! Which contents tasks hold, and which ones the folders have that are held.
//!
//! ```text
//! DIR/held/<last 2 characters of the ulid>/<task id>/<place>-<f|t>-<sha-256>
//! DIR/trees/<first 2 digits>/<sha-256 of the list>/<sha-256 of a file>
//! DIR/trees/<first 2 digits>/<sha-256 of the list>/holders-<number>
//! ```
//! All but `holders` are hard links to blobs. `t` is the list of a folder, and its files are those that `trees` has under
//! that name, the list among them: one task or a million that hold the folder hold them once. What those tasks have is a
//! link to one of the `holders` files, each a copy of the list (a further one where a file system allows no more links), so
//! that these count the tasks and nobody else. A folder of `trees` is made, and removed, under another name: what has its
//! name is whole.

use super::blobs::{Blobs, by_digits};
use super::parts::{found, size_of};
use super::stub::{self, Place, Stub, copy, set_modified};
use super::{folder, make_dir, remove_dir, shard, sync_names};
use crate::bulk::{BulkError, Content, Held};
use cloudai_core::ids::TaskId;
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::tree::{MAX_BYTES, Tree};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Lists of folders by their hashes.
type Lists = BTreeMap<Sha256, Tree>;

impl Blobs {
    fn held_dir(&self, task: TaskId) -> PathBuf {
        folder(&self.root.join("held"), task)
    }

    pub(super) fn tree(&self, list: Sha256) -> PathBuf {
        by_digits(self.root.join("trees"), list)
    }

    pub(super) fn hold_inputs(&self, task: TaskId, contents: &[Content]) -> Result<(), BulkError> {
        let dir = self.held_dir(task);
        let held = self.lists(contents).and_then(|lists| self.hold_in(&dir, contents, lists));
        if held.is_err() {
            // Best effort: what stays is found by its time.
            let _ = fs::remove_dir_all(&dir);
        }
        held
    }

    /// The lists of folders that are not held by anybody: read before others wait for this.
    fn lists(&self, contents: &[Content]) -> Result<Lists, BulkError> {
        let fresh = contents.iter().filter(|content| content.folder && !self.tree(content.sha256).is_dir());
        fresh.map(|content| Ok((content.sha256, self.read_list(content.sha256)?))).collect()
    }

    fn hold_in(&self, dir: &Path, contents: &[Content], mut lists: Lists) -> Result<(), BulkError> {
        let _found = self.rely();
        remove_dir(dir)?;
        make_dir(dir)?;
        for (place, content) in contents.iter().enumerate() {
            let to = dir.join(name(place, *content));
            if content.folder {
                self.seal(content.sha256, lists.remove(&content.sha256))?;
                self.hold_tree(content.sha256, &to)?;
            } else if !self.link(content.sha256, &to)? {
                return Err(BulkError::NotFound);
            }
        }
        File::open(dir)?.sync_all()?;
        Ok(sync_names(dir, &self.root)?)
    }

    /// Gives the folder of a list all of its files, once.
    fn seal(&self, list: Sha256, read: Option<Tree>) -> Result<(), BulkError> {
        let tree = self.tree(list);
        if tree.is_dir() {
            return Ok(());
        }
        let read = read.map_or_else(|| self.read_list(list), Ok)?;
        let fresh = self.beside(&tree);
        let filled = self.fill(&fresh, list, &read).and_then(|()| match fs::rename(&fresh, &tree) {
            // Another task did the same at the same time.
            Err(_) if tree.is_dir() => Ok(fs::remove_dir_all(&fresh)?),
            renamed => Ok(renamed?),
        });
        if filled.is_err() {
            let _ = fs::remove_dir_all(&fresh);
        }
        filled?;
        Ok(sync_names(&tree, &self.root)?)
    }

    fn read_list(&self, list: Sha256) -> Result<Tree, BulkError> {
        let (size, place) = stub::open(&self.blob(list))?;
        if size > MAX_BYTES as u64 {
            return Err(BulkError::NoFolder(cloudai_core::spec::tree::TreeError::TooLarge));
        }
        let read = match (place, &self.away) {
            (Place::Here(mut file), _) => {
                let mut read = Vec::new();
                file.read_to_end(&mut read)?;
                read.into()
            }
            (Place::There(_), Some(away)) => match away.wait(away.bucket.get(list)) {
                // A sweep came in between.
                Err(_) if size_of(&self.blob(list))?.is_none() => return Err(BulkError::NotFound),
                read => read?,
            },
            (Place::There(_), None) => return Err(BulkError::NotFound),
        };
        Tree::read(&read).map_err(BulkError::NoFolder)
    }

    fn fill(&self, folder: &Path, list: Sha256, tree: &Tree) -> Result<(), BulkError> {
        make_dir(folder)?;
        if !self.link(list, &folder.join(list.to_string()))? {
            return Err(BulkError::NotFound);
        }
        for (content, size) in tree.files() {
            let to = folder.join(content.to_string());
            let kept = self.link(content, &to)?;
            // Its size is part of what the list promises.
            if !kept || size_of(&to)? != Some(size) {
                return Err(BulkError::NotWhole(content));
            }
        }
        Ok(File::open(folder)?.sync_all()?)
    }

    /// Gives a task its link to a folder that is there; the folder counts as used now.
    fn hold_tree(&self, list: Sha256, to: &Path) -> io::Result<()> {
        let tree = self.tree(list);
        for number in 0.. {
            let holders = holders(&tree, number);
            let mut linked = fs::hard_link(&holders, to);
            if linked.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                self.add_holders(list, &tree, &holders)?;
                linked = fs::hard_link(&holders, to);
            }
            match linked {
                Err(error) if error.kind() == ErrorKind::TooManyLinks => {}
                linked => {
                    linked?;
                    return set_modified(to, SystemTime::now());
                }
            }
        }
        Ok(())
    }

    /// Makes a file whose links count tasks; its name is on disk before any of them relies on it.
    fn add_holders(&self, list: Sha256, tree: &Path, holders: &Path) -> io::Result<()> {
        let fresh = self.beside(tree);
        copy(&tree.join(list.to_string()), &fresh)?;
        let named = fs::hard_link(&fresh, holders);
        fs::remove_file(fresh)?;
        match named {
            // Another task made it at the same time.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            named => named?,
        }
        File::open(tree)?.sync_all()
    }

    /// Whether no task holds a folder, and none began to since a time.
    pub(super) fn is_unheld(&self, list: Sha256, before: SystemTime) -> io::Result<bool> {
        let tree = self.tree(list);
        for number in 0.. {
            match found(&holders(&tree, number))? {
                Some(found) if found.nlink() > 1 || found.modified()? >= before => return Ok(false),
                Some(_) => {}
                None => break,
            }
        }
        Ok(true)
    }

    pub(super) fn hold_inputs_as(&self, task: TaskId, other: TaskId) -> Result<(), BulkError> {
        let held: Vec<_> = self.held_inputs(other)?.into_iter().map(|held| held.content).collect();
        let (from, to) = (self.held_dir(other), self.held_dir(task));
        let _found = self.rely();
        remove_dir(&to)?;
        make_dir(&to)?;
        for (place, content) in held.into_iter().enumerate() {
            let name = name(place, content);
            // What it names is there as long as the other task is: also a file whose blob is not.
            let linked = if content.folder {
                self.hold_tree(content.sha256, &to.join(&name))
            } else {
                self.link_or_copy(content.sha256, &from.join(&name), &to.join(&name))
            };
            match linked {
                Err(error) if error.kind() == ErrorKind::NotFound => return Err(BulkError::NotFound),
                linked => linked?,
            }
        }
        File::open(&to)?.sync_all()?;
        Ok(sync_names(&to, &self.root)?)
    }

    /// Gives a content that a task holds the name of another task.
    fn link_or_copy(&self, content: Sha256, from: &Path, to: &Path) -> io::Result<()> {
        match fs::hard_link(from, to) {
            Err(error) if error.kind() == ErrorKind::TooManyLinks => {
                // A copied stub would not count among those who need the object.
                let linked = Stub::at(from)?.is_some() && self.link(content, to)?;
                if linked { Ok(()) } else { copy(from, to) }
            }
            linked => linked,
        }
    }

    pub(super) fn held_inputs(&self, task: TaskId) -> Result<Vec<Held>, BulkError> {
        let mut found = Vec::new();
        for entry in entries(&self.held_dir(task))? {
            let entry = entry?;
            let name = entry.file_name();
            if let Some((place, content)) = name.to_str().and_then(parse) {
                let size = size_of(&entry.path())?.unwrap_or_default();
                found.push((place, Held { content, size }));
            }
        }
        found.sort_unstable_by_key(|(place, _)| *place);
        Ok(found.into_iter().map(|(_, held)| held).collect())
    }

    pub(super) fn open_held(
        &self,
        task: TaskId,
        tree: Option<Sha256>,
        content: Sha256,
        offset: u64,
    ) -> Result<(u64, Place), BulkError> {
        let dir = self.held_dir(task);
        let mut file = None;
        for entry in entries(&dir)? {
            let name = entry?.file_name();
            let held = name.to_str().and_then(parse).map(|(_, held)| held);
            let path = match (held, tree) {
                (Some(held), None) if held.sha256 == content => dir.join(&name),
                (Some(Content { sha256, folder: true }), Some(tree)) if sha256 == tree => {
                    self.tree(tree).join(content.to_string())
                }
                _ => continue,
            };
            file = Some(path);
            break;
        }
        let (size, mut place) = stub::open(&file.ok_or(BulkError::NotFound)?)?;
        if let Place::Here(file) = &mut place {
            file.seek(SeekFrom::Start(offset.min(size)))?;
        }
        Ok((size, place))
    }

    pub(super) fn release_inputs(&self, task: TaskId) -> Result<(), BulkError> {
        Ok(remove_dir(&self.held_dir(task))?)
    }

    pub(super) fn holders(&self, part: u32, before: SystemTime) -> Result<Option<Vec<TaskId>>, BulkError> {
        let Some(shard) = shard(part) else { return Ok(None) };
        let mut holders = Vec::new();
        for entry in entries(&self.root.join("held").join(shard))? {
            let entry = entry?;
            let task = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(task) = task
                && entry.metadata()?.modified()? < before
            {
                holders.push(task);
            }
        }
        Ok(Some(holders))
    }
}

/// The entries of a folder; none of one that is not there.
pub(super) fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        entries => Ok(Some(entries?).into_iter().flatten()),
    }
}

fn holders(tree: &Path, number: u32) -> PathBuf {
    tree.join(format!("holders-{number}"))
}

fn name(place: usize, content: Content) -> String {
    format!("{place}-{}-{}", if content.folder { 't' } else { 'f' }, content.sha256)
}

fn parse(name: &str) -> Option<(usize, Content)> {
    let (place, rest) = name.split_once('-')?;
    let (kind, sha256) = rest.split_once('-')?;
    Some((place.parse().ok()?, Content { sha256: sha256.parse().ok()?, folder: kind == "t" }))
}
