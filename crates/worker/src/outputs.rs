//! What a container left in `/out`, of what is wanted: regular files, within limits, and nothing that lies outside.
//!
//! The container has ended when its folder is read, so nothing moves under the reader.

use cloudai_core::sha256::Sha256;
use cloudai_core::spec::Outputs;
use cloudai_core::task::Cause;
use sha2::Digest;
use std::fs::{DirEntry, File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Files of one attempt: more belong into an archive.
pub const MAX_FILES: usize = 10_000;
/// Entries of any kind that are looked at in one folder: a tree of empty folders without end must end too.
pub(crate) const MAX_ENTRIES: usize = 1_000_000;
/// Folders within folders; deeper ones exceed what a path can name.
const MAX_DEPTH: usize = 64;
/// Notes about skipped entries that are kept; beyond these only their number matters.
const MAX_NOTES: usize = 20;
/// Bytes read at once while hashing.
const CHUNK: usize = 128 * 1024;

/// What an attempt may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of files.
    pub files: usize,
    /// Bytes of all files together: the storage that it asked for.
    pub bytes: u64,
}

impl Limits {
    /// The limits of a task with this much storage.
    #[must_use]
    pub const fn of_storage(bytes: u64) -> Self {
        Self { files: MAX_FILES, bytes }
    }
}

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Relative to the folder, with `/` between its parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Where it lies.
    pub abs: PathBuf,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Sorted by path.
    pub files: Vec<Found>,
    /// Bytes of all files.
    pub bytes: u64,
    /// How many entries were left out: links, sockets, devices, names that are no UTF-8, folders that are too deep.
    pub skipped: usize,
    /// What the first of them were, for people.
    pub notes: Vec<String>,
}

/// Why the outputs can not be kept.
#[derive(Debug, thiserror::Error)]
pub enum OutputProblem {
    /// More files than allowed.
    #[error("the task left more than {limit} files to keep: pack them into an archive, or keep fewer (outputs)")]
    TooMany {
        /// The most.
        limit: usize,
    },
    /// More bytes than allowed.
    #[error("the task left more than {limit} bytes to keep: raise storage_gb, or keep less (outputs)")]
    TooLarge {
        /// The most.
        limit: u64,
    },
    /// The folder, or something in it, can not be read.
    #[error("{path} of the files to keep can not be read by the worker: {source}")]
    Unreadable {
        /// Relative to the folder.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// More is in a folder than is looked at.
    #[error("{path} has more than {MAX_ENTRIES} entries: name a smaller folder (outputs)")]
    Crowded {
        /// In the container.
        path: String,
    },
    /// More bytes are in a folder than are looked at.
    #[error("{path} has more than {limit} bytes, wanted or not: name a smaller folder (outputs)")]
    Huge {
        /// In the container.
        path: String,
        /// The most.
        limit: u64,
    },
    /// Two files would be kept under one name: one below `/out`, one at the same place below `/`.
    #[error("{path} would be kept twice, or within another file; one of them lies in /out: keep one of them (outputs)")]
    Twice {
        /// The name.
        path: String,
    },
    /// The engine does not give what lies there.
    #[error("the engine did not give the files of {path}: {why}")]
    Engine {
        /// In the container.
        path: String,
        /// What it said.
        why: String,
    },
}

impl OutputProblem {
    /// What the outcome's cause is.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        match self {
            Self::TooLarge { .. } | Self::Huge { .. } => Cause::StorageExceeded,
            Self::TooMany { .. }
            | Self::Unreadable { .. }
            | Self::Crowded { .. }
            | Self::Twice { .. }
            | Self::Engine { .. } => Cause::OutputError,
        }
    }
}

impl Collected {
    /// Adds a file.
    pub(crate) fn file(&mut self, file: Found, limits: Limits) -> Result<(), OutputProblem> {
        self.bytes = self.bytes.saturating_add(file.size);
        self.files.push(file);
        if self.files.len() > limits.files {
            return Err(OutputProblem::TooMany { limit: limits.files });
        }
        if self.bytes > limits.bytes {
            return Err(OutputProblem::TooLarge { limit: limits.bytes });
        }
        Ok(())
    }

    /// Notes what is left out.
    pub(crate) fn skip(&mut self, path: &str, why: &str) {
        self.skipped += 1;
        if self.notes.len() < MAX_NOTES {
            let path: String = path.trim_start_matches('/').chars().take(200).collect();
            self.notes.push(format!("{path} was left out: {why}"));
        }
    }
}

/// Finds the regular files of a folder and of the folders in it, of what is wanted of `/out`, following no link. A
/// folder that was never made holds none.
/// # Errors
/// More files or bytes than allowed, or something that can not be read.
pub async fn collect(dir: &Path, limits: Limits, wanted: Arc<Outputs>) -> Result<Collected, OutputProblem> {
    if !wanted.any_of_out() || matches!(dir.try_exists(), Ok(false)) {
        return Ok(Collected::default());
    }
    let dir = dir.to_owned();
    let walk = spawn_blocking(move || {
        let mut walk = Walk { limits, wanted, entries: 0, found: Collected::default() };
        walk.run(&dir).map(|()| walk.found)
    });
    walk.await.unwrap_or_else(|broken| Err(unreadable(".", io::Error::other(broken))))
}

/// The SHA-256 of a file.
/// # Errors
/// It can not be read, or is a link.
pub async fn sha256_file(path: &Path) -> io::Result<Sha256> {
    let path = path.to_owned();
    spawn_blocking(move || hash(open(&path)?)).await?
}

/// Opens a found file for reading; a link in its place is an error.
/// # Errors
/// It can not be opened.
pub fn open(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(no_follow).open(path)
}

fn hash(file: File) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    io::copy(&mut BufReader::with_capacity(CHUNK, file), &mut hasher)?;
    Ok(Sha256(hasher.finalize().into()))
}

fn unreadable(path: &str, source: io::Error) -> OutputProblem {
    OutputProblem::Unreadable { path: path.to_owned(), source }
}

struct Walk {
    limits: Limits,
    wanted: Arc<Outputs>,
    entries: usize,
    found: Collected,
}

impl Walk {
    fn run(&mut self, dir: &Path) -> Result<(), OutputProblem> {
        let mut folders = vec![(dir.to_owned(), String::new(), 0)];
        while let Some((folder, path, depth)) = folders.pop() {
            let name = if path.is_empty() { "." } else { &path };
            for entry in std::fs::read_dir(&folder).map_err(|why| unreadable(name, why))? {
                let entry = entry.map_err(|why| unreadable(name, why))?;
                if let Some(folder) = self.entry(&entry, &path, depth)? {
                    folders.push(folder);
                }
            }
        }
        self.found.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// Notes one entry; a folder is given back to be read.
    fn entry(
        &mut self,
        entry: &DirEntry,
        parent: &str,
        depth: usize,
    ) -> Result<Option<(PathBuf, String, usize)>, OutputProblem> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(OutputProblem::Crowded { path: "/out".into() });
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            self.found.skip(&format!("{parent}/{}", name.to_string_lossy()), "its name is no UTF-8");
            return Ok(None);
        };
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        // Of the entry itself, not of what a link points to.
        let meta = entry.metadata().map_err(|why| unreadable(&path, why))?;
        if meta.is_dir() {
            if depth < MAX_DEPTH {
                return Ok(Some((entry.path(), path, depth + 1)));
            }
            self.found.skip(&path, "it lies too deep");
        } else if !self.wanted.takes(&format!("/out/{path}")) {
            // Nobody asked for it.
        } else if meta.is_file() {
            self.found.file(Found { path, size: meta.len(), abs: entry.path() }, self.limits)?;
        } else {
            self.found.skip(&path, if meta.is_symlink() { "it is a link" } else { "it is no regular file" });
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    const LIMITS: Limits = Limits { files: 3, bytes: 100 };

    fn all() -> Arc<Outputs> {
        Arc::new(Outputs::of(None))
    }

    fn paths(collected: &Collected) -> Vec<&str> {
        collected.files.iter().map(|file| file.path.as_str()).collect()
    }

    #[tokio::test]
    async fn regular_files_are_found_in_order_and_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let out = tempfile::tempdir().unwrap();
        fs::create_dir_all(out.path().join("b/c")).unwrap();
        fs::write(out.path().join("b/c/2"), "22").unwrap();
        fs::write(out.path().join("a"), "1").unwrap();
        symlink(outside.path(), out.path().join("dir")).unwrap();
        symlink(outside.path().join("secret"), out.path().join("file")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, out.path().join("pipe"), 0o600.into()).unwrap();
        fs::write(out.path().join(OsStr::from_bytes(b"\xff")), "x").unwrap();
        let found = collect(out.path(), LIMITS, all()).await.unwrap();
        assert_eq!(paths(&found), ["a", "b/c/2"]);
        assert_eq!((found.bytes, found.skipped), (3, 4));
        assert!(found.notes.iter().any(|note| note == "dir was left out: it is a link"), "{:?}", found.notes);
    }

    #[tokio::test]
    async fn what_nobody_wants_is_not_found_and_counts_for_no_limit() {
        let out = tempfile::tempdir().unwrap();
        fs::create_dir(out.path().join("b")).unwrap();
        ["a.csv", "b/c.csv", "1", "2", "3", "4"].iter().for_each(|name| fs::write(out.path().join(name), "x").unwrap());
        symlink("a.csv", out.path().join("l.txt")).unwrap();
        let wanted = Outputs::of(Some(&["**/*.csv".to_owned()]));
        let found = collect(out.path(), LIMITS, Arc::new(wanted)).await.unwrap();
        assert_eq!((paths(&found), found.skipped), (vec!["a.csv", "b/c.csv"], 0));
    }

    #[tokio::test]
    async fn more_than_allowed_is_a_problem_with_its_cause() {
        let out = tempfile::tempdir().unwrap();
        let big = File::create(out.path().join("big")).unwrap();
        big.set_len(101).unwrap();
        let problem = collect(out.path(), LIMITS, all()).await.unwrap_err();
        assert_eq!(problem.cause(), Cause::StorageExceeded, "{problem}");
        big.set_len(0).unwrap();
        for name in ["1", "2", "3"] {
            fs::write(out.path().join(name), "").unwrap();
        }
        let problem = collect(out.path(), LIMITS, all()).await.unwrap_err();
        assert_eq!(problem.cause(), Cause::OutputError, "{problem}");
    }

    #[test]
    fn of_1_000_000_tiny_files_no_more_are_looked_at_than_are_kept_and_one() {
        let out = tempfile::tempdir().unwrap();
        // Some of them are enough to see that the others do not matter.
        (0..500).for_each(|number| fs::write(out.path().join(number.to_string()), "").unwrap());
        let mut walk = Walk { limits: LIMITS, wanted: all(), entries: 0, found: Collected::default() };
        let problem = walk.run(out.path()).unwrap_err();
        assert_eq!((walk.entries, walk.found.files.len()), (4, 4));
        assert!(matches!(problem, OutputProblem::TooMany { limit: 3 }));
        assert!(problem.to_string().starts_with("the task left more than 3 files to keep"), "{problem}");
        assert_eq!(Limits::of_storage(1).files, MAX_FILES);
    }

    #[tokio::test]
    async fn folders_without_end_do_end() {
        let out = tempfile::tempdir().unwrap();
        let deep = (0..MAX_DEPTH + 2).fold(out.path().to_owned(), |path, _| path.join("d"));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f"), "").unwrap();
        let found = collect(out.path(), LIMITS, all()).await.unwrap();
        assert_eq!((found.files.len(), found.skipped), (0, 1));
    }

    #[tokio::test]
    async fn a_file_is_hashed_and_a_link_is_not() {
        let out = tempfile::tempdir().unwrap();
        let (file, link) = (out.path().join("f"), out.path().join("l"));
        fs::write(&file, "abc").unwrap();
        symlink(&file, &link).unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_file(&file).await.unwrap().to_string(), expected);
        assert!(sha256_file(&link).await.is_err());
    }
}
