//! How much disk a running attempt takes: measured now and then, since most engines can not limit it.
//!
//! What counts is what lies on this host because of it: its root file system, the volumes that
//! its image makes, `/out`, the inputs that it may change, and its log. Memory file systems count as memory.

use super::Engine;
use super::error::Fault;
use crate::executor::Job;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptionsBuilder;
use cloudai_core::resources::{Bytes, MIB};
use std::collections::HashSet;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// Between two measurements of an attempt, at least.
pub(super) const EVERY: Duration = Duration::from_secs(10);
/// And so many times what the last one took: a tree of a million files costs a twentieth of the time.
const REST: u32 = 20;
/// Never too much: a task that asks for nothing still has a log and a few small files.
const SLACK: u64 = MIB;
/// Entries of one folder tree that are looked at; what is beyond is not counted.
const MAX_ENTRIES: usize = 200_000;

/// Disk that an attempt takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    root: u64,
    volumes: u64,
    out: u64,
    inputs: u64,
    log: u64,
}

impl Usage {
    fn total(self) -> u64 {
        [self.root, self.volumes, self.out, self.inputs, self.log].into_iter().fold(0, u64::saturating_add)
    }

    /// What happened, for people.
    pub(super) fn told(self, allowed: u64) -> String {
        format!("used {} of disk, more than its storage_gb of {} ({self})", Bytes(self.total()), Bytes(allowed))
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "root file system {}, ", Bytes(self.root))?;
        if self.volumes > 0 {
            write!(f, "volumes of its image {}, ", Bytes(self.volumes))?;
        }
        write!(f, "/out {}, ", Bytes(self.out))?;
        if self.inputs > 0 {
            write!(f, "writable inputs {}, ", Bytes(self.inputs))?;
        }
        write!(f, "log {}", Bytes(self.log))
    }
}

/// A container whose use of the disk is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch<'a> {
    pub(super) engine: &'a Engine,
    pub(super) id: &'a str,
    pub(super) job: &'a Job,
    /// Bytes of its log that were read.
    pub(super) log: &'a AtomicU64,
}

impl Watch<'_> {
    /// Comes when the attempt takes more than it asked for; never comes while it does not.
    pub(super) async fn excess(self) -> Usage {
        let allowed = self.job.allocation.storage.saturating_add(SLACK);
        let mut rest = self.engine.measure;
        loop {
            sleep(rest).await;
            // One at a time for all attempts of a worker: measuring is work for the same disk.
            let turn = self.engine.measuring.acquire().await;
            let began = Instant::now();
            match self.measure().await {
                Ok(usage) if usage.total() > allowed => return usage,
                Ok(_) => {}
                Err(fault) => warn!(container = self.id, why = fault.text(), "disk use not measured"),
            }
            drop(turn);
            rest = self.engine.measure.max(began.elapsed() * REST);
        }
    }

    async fn measure(self) -> Result<Usage, Fault> {
        let options = InspectContainerOptionsBuilder::new().size(true).build();
        let seen = self.engine.docker.inspect_container(self.id, Some(options)).await?;
        let root = seen.size_rw.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
        let mut volumes = 0_u64;
        for path in volume_paths(&seen) {
            volumes = volumes.saturating_add(tree(path).await);
        }
        let out = tree(self.job.out_dir.clone()).await;
        let mut inputs = 0_u64;
        for input in self.job.inputs.iter().filter(|input| input.writable) {
            inputs = inputs.saturating_add(tree(input.host.clone()).await);
        }
        Ok(Usage { root, volumes, out, inputs, log: self.log_size(&seen).await })
    }

    /// What was read of it, or its file where that can be seen: the reading waits for the master.
    async fn log_size(self, seen: &ContainerInspectResponse) -> u64 {
        let named = seen.log_path.clone().filter(|path| !path.is_empty()).map(PathBuf::from);
        let local = || Some(self.engine.root.get()?.join("containers").join(self.id).join("local-logs/container.log"));
        let on_disk = match named.or_else(local) {
            Some(path) => tokio::fs::metadata(path).await.map_or(0, |file| file.len()),
            None => 0,
        };
        self.log.load(Ordering::Relaxed).max(on_disk)
    }
}

/// Where the volumes lie that the engine made for a container.
fn volume_paths(seen: &ContainerInspectResponse) -> Vec<PathBuf> {
    let mounts = seen.mounts.iter().flatten();
    let volumes = mounts.filter(|mount| mount.typ.as_deref() == Some("volume"));
    volumes.filter_map(|mount| mount.source.clone()).map(PathBuf::from).collect()
}

async fn tree(path: PathBuf) -> u64 {
    // A walk that broke has measured nothing; the next one comes.
    spawn_blocking(move || walk(&path, MAX_ENTRIES)).await.unwrap_or(0)
}

/// Bytes that a folder's files take on disk, links not followed. The files change meanwhile, so what
/// is gone or can not be read is left out.
fn walk(path: &Path, mut entries: usize) -> u64 {
    const BLOCK: u64 = 512;
    let mut folders = vec![path.to_owned()];
    let mut linked = HashSet::new();
    let mut bytes = 0_u64;
    while let Some(folder) = folders.pop() {
        let Ok(list) = std::fs::read_dir(folder) else { continue };
        for entry in list.flatten() {
            if entries == 0 {
                return bytes;
            }
            entries -= 1;
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                folders.push(entry.path());
            }
            // A file of several names takes its place once.
            if meta.is_dir() || meta.nlink() == 1 || linked.insert((meta.dev(), meta.ino())) {
                bytes = bytes.saturating_add(meta.blocks() * BLOCK);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::resources::GIB;

    #[test]
    fn a_tree_takes_what_its_files_take_each_once_and_no_links_target() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("big"), vec![1; 4 << 20]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let file = dir.path().join("a/b/file");
        std::fs::write(&file, vec![1; 1 << 20]).unwrap();
        std::fs::hard_link(&file, dir.path().join("again")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        let sparse = std::fs::File::create(dir.path().join("sparse")).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let found = walk(dir.path(), MAX_ENTRIES);
        assert!((1 << 20..2 << 20).contains(&found), "{found}");
        assert_eq!(walk(&dir.path().join("nosuch"), MAX_ENTRIES), 0);
    }

    #[test]
    fn a_walk_ends_after_so_many_entries() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..20 {
            std::fs::write(dir.path().join(number.to_string()), vec![1; 8192]).unwrap();
        }
        assert!(walk(dir.path(), 10) < walk(dir.path(), MAX_ENTRIES));
    }

    #[test]
    fn an_excess_says_how_much_of_what() {
        let usage = Usage { root: GIB, volumes: 0, out: 512 * MIB, inputs: 0, log: 3 * MIB };
        let told = usage.told(GIB);
        let expected =
            "used 1.5 GiB of disk, more than its storage_gb of 1 GiB (root file system 1 GiB, /out 512 MiB, log 3 MiB)";
        assert_eq!(told, expected);
        let volumes = Usage { volumes: 2 * GIB, ..usage };
        assert!(volumes.told(GIB).contains("volumes of its image 2 GiB"), "{}", volumes.told(GIB));
    }
}
