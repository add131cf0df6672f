//! The folder of a run: made, removed at its end, and removed by the next benchmark when its own
//! was killed before it could.

use crate::exit::Failure;
use std::fs::{DirEntry, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tempfile::TempDir;

const PREFIX: &str = "cloudai-bench-";
/// A file in it that is locked as long as its benchmark lives.
const LOCK: &str = "bench.lock";

/// A folder that goes with this value.
#[derive(Debug)]
pub(super) struct Folder {
    dir: TempDir,
    _lock: File,
}

impl Folder {
    /// Makes one, and removes those of benchmarks that are gone.
    /// # Errors
    /// `parent` can not be written.
    pub(super) fn make(parent: &Path) -> Result<Self, Failure> {
        for left in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            // Whoever holds it, or may not be touched, is left alone.
            let _ = remove_if_left(&left);
        }
        Self::fresh(parent).map_err(|error| {
            Failure::usage(format!("--dir {}: the data of a benchmark can not lie there", parent.display()))
                .why(error.to_string())
                .next("give a folder that is there and can be written: --dir DIR")
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    fn fresh(parent: &Path) -> io::Result<Self> {
        // Absolute: processes are started in it.
        let parent = parent.canonicalize()?;
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        // Under its name it is locked from the first moment.
        let unnamed = dir.path().join("lock");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        std::fs::rename(unnamed, dir.path().join(LOCK))?;
        Ok(Self { dir, _lock: lock })
    }
}

/// Removes the folder of a benchmark of this user that nobody holds any more.
fn remove_if_left(entry: &DirEntry) -> io::Result<()> {
    let ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
        && entry.file_type()?.is_dir()
        && entry.metadata()?.uid() == rustix::process::geteuid().as_raw();
    let lock = entry.path().join(LOCK);
    if !ours || !std::fs::symlink_metadata(&lock)?.is_file() {
        return Ok(());
    }
    let lock = File::open(lock)?;
    lock.try_lock()?;
    std::fs::remove_dir_all(entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_benchmark_left_is_removed_by_the_next_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let names = || {
            let entries = std::fs::read_dir(parent.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let [left, someones] = ["cloudai-bench-left", "cloudai-bench-results"].map(|name| parent.path().join(name));
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(LOCK), "").unwrap();
        std::fs::create_dir(&someones).unwrap();
        let first = Folder::make(parent.path()).unwrap();
        let second = Folder::make(parent.path()).unwrap();
        assert!(first.path().is_dir() && second.path().is_dir(), "a folder in use was removed");
        drop((first, second));
        assert_eq!(names(), ["cloudai-bench-results"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_with_its_flag() {
        let failure = Folder::make(Path::new("/nope/xx")).unwrap_err();
        assert!(failure.what.contains("--dir /nope/xx") && failure.next.contains("--dir"), "{failure}");
    }
}
