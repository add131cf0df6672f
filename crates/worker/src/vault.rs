//! The secrets of attempts, in files of a memory file system: gone with the machine's power, never on its disk.

use crate::upload::Whose;
use cloudai_core::spec::{SecretPlace, SecretUse};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where memory file systems are.
const ROOTS: [&str; 2] = ["/run", "/dev/shm"];
/// What the kernel calls them (`statfs(2)`): tmpfs and ramfs.
const OF_MEMORY: [rustix::fs::FsWord; 2] = [0x0102_1994, 0x8584_58f6];

/// The value of a secret. Its `Debug` shows none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(pub Vec<u8>);

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue")
    }
}

/// A secret that a container is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Where the container finds it.
    pub place: SecretPlace,
    /// Where it lies on this host, read by root alone until the container's user has it.
    pub host: PathBuf,
    /// What it is.
    pub value: SecretValue,
}

/// The folder of one worker's secrets; made when the first comes.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    dir: Option<PathBuf>,
}

impl Vault {
    /// That of the worker whose data folder has this word.
    pub(crate) fn of(instance: &str) -> Self {
        let memory = |root: &str| {
            let found = rustix::fs::statfs(root).is_ok_and(|found| OF_MEMORY.contains(&found.f_type));
            found && rustix::fs::access(root, rustix::fs::Access::WRITE_OK).is_ok()
        };
        Self {
            dir: ROOTS
                .into_iter()
                .find(|root| memory(root))
                .map(|root| Path::new(root).join(format!("cloudai-{instance}"))),
        }
    }

    /// Keeps an attempt's secrets, in the order of its spec.
    /// # Errors
    /// There is no memory file system, or it is full.
    pub(crate) fn put(&self, whose: Whose, uses: &[SecretUse], values: Vec<Vec<u8>>) -> io::Result<Vec<Given>> {
        let dir = self.attempt(whose)?;
        remove(&dir)?;
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let mut given = Vec::with_capacity(uses.len());
        for ((number, used), value) in uses.iter().enumerate().zip(values) {
            let host = dir.join(number.to_string());
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&host)?;
            file.write_all(&value)?;
            given.push(Given { place: used.place.clone(), host, value: SecretValue(value) });
        }
        Ok(given)
    }

    /// What an earlier life of this worker kept; none where something of it is missing.
    pub(crate) fn kept(&self, whose: Whose, uses: &[SecretUse]) -> Option<Vec<Given>> {
        let dir = self.attempt(whose).ok()?;
        let read = |(number, used): (usize, &SecretUse)| {
            let host = dir.join(number.to_string());
            let value = SecretValue(fs::read(&host).ok()?);
            Some(Given { place: used.place.clone(), host, value })
        };
        uses.iter().enumerate().map(read).collect()
    }

    /// Removes an attempt's secrets; those that are not there are no error.
    /// # Errors
    /// They can not be removed.
    pub(crate) fn remove(&self, whose: Whose) -> io::Result<()> {
        match &self.dir {
            Some(dir) => remove(&dir.join(whose.folder_name())),
            None => Ok(()),
        }
    }

    /// Removes those of all other attempts.
    /// # Errors
    /// They can not be removed.
    pub(crate) fn remove_others(&self, attempts: &BTreeSet<Whose>) -> io::Result<()> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let kept: BTreeSet<String> = attempts.iter().map(|whose| whose.folder_name()).collect();
        let folders = match fs::read_dir(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            folders => folders?,
        };
        for folder in folders {
            let folder = folder?;
            if !folder.file_name().to_str().is_some_and(|name| kept.contains(name)) {
                remove(&folder.path())?;
            }
        }
        Ok(())
    }

    /// The worker ends: without attempts nothing of it is left.
    pub(crate) fn close(&self) {
        // A folder that is not empty has secrets of attempts that go on.
        let _ = self.dir.as_ref().map(fs::remove_dir);
    }

    fn attempt(&self, whose: Whose) -> io::Result<PathBuf> {
        let none = || {
            let why = format!("none of {} is a memory file system that it may write to", ROOTS.join(", "));
            io::Error::new(ErrorKind::NotFound, why)
        };
        Ok(self.dir.as_ref().ok_or_else(none)?.join(whose.folder_name()))
    }
}

fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::ids::{Attempt, Incarnation, TaskId};
    use std::os::unix::fs::PermissionsExt;

    fn whose(number: u32) -> Whose {
        Whose { attempt: Attempt { task: TaskId::new(7), number }, incarnation: Incarnation(1) }
    }

    #[test]
    fn secrets_are_kept_for_their_worker_alone_and_removed_with_their_attempt() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault { dir: Some(dir.path().join("vault")) };
        let place = SecretPlace::File("/run/secrets/a".into());
        let uses = [SecretUse { name: "a".parse().unwrap(), place }];
        assert_eq!(vault.kept(whose(1), &uses), None);
        let given = vault.put(whose(1), &uses, vec![b"value".to_vec()]).unwrap();
        vault.put(whose(2), &uses, vec![b"other".to_vec()]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&given[0].host), mode(given[0].host.parent().unwrap())), (0o400, 0o700));
        assert_eq!(vault.kept(whose(1), &uses).unwrap(), given);
        assert!(!format!("{given:?}").contains("118"), "no byte of it is shown: {given:?}");
        vault.remove_others(&BTreeSet::from([whose(2)])).unwrap();
        assert_eq!(vault.kept(whose(1), &uses), None);
        vault.remove(whose(2)).unwrap();
        vault.remove(whose(2)).unwrap();
        assert_eq!(vault.kept(whose(2), &uses), None);
        vault.close();
        assert!(!dir.path().join("vault").exists());
    }

    #[test]
    fn this_machine_has_memory_to_keep_secrets_in() {
        assert!(Vault::of("x").dir.is_some_and(|dir| dir.ends_with("cloudai-x")));
    }
}
