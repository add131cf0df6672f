//! The form of a backup, one file: what it is, then the database.
//!
//! ```text
//! CAIBAK 0 1 | length of the manifest, 4 bytes, little endian | manifest, JSON | SHA-256 of all that | database
//! ```
//! It holds the records (tasks, results, workers, the cluster's facts, its join token among them),
//! not the logs and files of tasks.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How a backup begins.
const MAGIC: [u8; 8] = *b"CAIBAK\0\x01";
/// The form above.
pub(crate) const FORMAT: u32 = 1;
/// A manifest is shorter than this by far.
const LONGEST_MANIFEST: u32 = 64 * 1024;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the file.
    pub format: u32,
    /// The version of cloudai that made it.
    pub version: String,
    /// The version of its tables.
    pub schema: u32,
    /// The name of the cluster.
    pub cluster: String,
    /// Which life of the cluster's data it is of.
    pub incarnation: u64,
    /// The term of the master that led.
    pub term: u64,
    /// The time of its last commit, in milliseconds since the epoch.
    pub last_commit_ms: u64,
    /// Bytes of the database.
    pub size: u64,
    /// Their checksum.
    pub sha256: String,
    /// What is in it; backups of older versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holds>,
}

/// How much a backup holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// Tasks by status; words without tasks are absent.
    pub tasks: BTreeMap<String, u64>,
    /// Workers.
    pub workers: u64,
}

/// A backup that was made and is read once. It has no name any more: nothing of it stays behind.
#[derive(Debug)]
pub struct Snapshot {
    /// What it is.
    pub manifest: Manifest,
    /// The database, from its first byte on.
    pub database: File,
}

impl Snapshot {
    /// What stands before the database.
    /// # Errors
    /// The manifest can not be written.
    pub fn head(&self) -> io::Result<Vec<u8>> {
        head(&self.manifest)
    }
}

fn head(manifest: &Manifest) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(manifest)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    let head = [MAGIC.as_slice(), &length.to_le_bytes(), &text].concat();
    let sum = Sha256::digest(&head);
    Ok([head.as_slice(), sum.as_slice()].concat())
}

/// Why a file can not be used as a backup. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It can not be read.
    #[error("{0} can not be read: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is something else.
    #[error("{0} is no backup of cloudai: `cloudai cluster backup FILE` makes one")]
    Foreign(PathBuf),
    /// It was made by a newer version.
    #[error(
        "{path} was made by cloudai {version}, with {what} {found}; this version knows up to {known}: use a newer cloudai"
    )]
    TooNew {
        /// Where.
        path: PathBuf,
        /// Which version made it.
        version: String,
        /// What of it is newer.
        what: &'static str,
        /// That of the file.
        found: u32,
        /// The newest known one.
        known: u32,
    },
    /// It is not what it was when it was made.
    #[error("{path} is damaged: {why}; take another copy of it")]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// Its database can not be written where it is to be.
    #[error("{0} can not be written: {1}")]
    Unwritable(PathBuf, #[source] io::Error),
}

/// Looks whether a file is a whole backup.
/// # Errors
/// [`BackupError`].
pub fn check(path: &Path) -> Result<Manifest, BackupError> {
    let mut file = open(path)?;
    let manifest = read_head(path, &mut file)?;
    unpack(path, &mut file, &manifest, &mut io::sink(), path)?;
    Ok(manifest)
}

pub(crate) fn open(path: &Path) -> Result<File, BackupError> {
    File::open(path).map_err(|error| unreadable(path, error))
}

/// Writes the database of a backup whose head was read to `out`. `from` and `to` name both in errors.
pub(crate) fn unpack(
    from: &Path,
    backup: &mut dyn Read,
    manifest: &Manifest,
    out: &mut dyn Write,
    to: &Path,
) -> Result<(), BackupError> {
    let (mut size, mut hash) = (0, Sha256::new());
    let mut piece = vec![0; 1 << 20];
    while size <= manifest.size {
        let length = match backup.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length.map_err(|error| unreadable(from, error))?,
        };
        if length == 0 {
            break;
        }
        hash.update(&piece[..length]);
        out.write_all(&piece[..length]).map_err(|error| BackupError::Unwritable(to.to_owned(), error))?;
        size += length as u64;
    }
    if size > manifest.size {
        return Err(damaged(
            from,
            format!("more than the {} bytes of data that belong to it are there", manifest.size),
        ));
    }
    if size < manifest.size {
        return Err(damaged(from, format!("it has {size} bytes of data where {} belong", manifest.size)));
    }
    if hex::encode(hash.finalize()) != manifest.sha256 {
        return Err(damaged(from, "its checksum is another".into()));
    }
    Ok(())
}

/// What a backup says of itself; its database comes next.
pub(crate) fn read_head(path: &Path, file: &mut dyn Read) -> Result<Manifest, BackupError> {
    let mut read = |bytes: &mut [u8]| match file.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(unreadable(path, error)),
        Ok(()) => Ok(true),
    };
    let mut magic = [0; 8];
    if !read(&mut magic)? || magic[..6] != MAGIC[..6] {
        return Err(BackupError::Foreign(path.to_owned()));
    }
    if magic != MAGIC {
        let found = u32::from(magic[7]);
        let (version, known) = ("of another version".to_owned(), FORMAT);
        return Err(BackupError::TooNew { path: path.to_owned(), version, what: "form", found, known });
    }
    let mut length = [0; 4];
    let whole = read(&mut length)?;
    let length = u32::from_le_bytes(length);
    if !whole || length > LONGEST_MANIFEST {
        return Err(damaged(path, "its head is cut off or spoilt".into()));
    }
    let (mut text, mut sum) = (vec![0; length as usize], [0; 32]);
    if !read(&mut text)? || !read(&mut sum)? {
        return Err(damaged(path, "its head is cut off".into()));
    }
    let head = [MAGIC.as_slice(), &length.to_le_bytes(), &text].concat();
    if Sha256::digest(&head).as_slice() != sum {
        return Err(damaged(path, "the checksum of its head is another".into()));
    }
    serde_json::from_slice(&text).map_err(|error| damaged(path, format!("its head can not be read: {error}")))
}

fn unreadable(path: &Path, error: io::Error) -> BackupError {
    BackupError::Unreadable(path.to_owned(), error)
}

pub(crate) fn damaged(path: &Path, why: String) -> BackupError {
    BackupError::Damaged { path: path.to_owned(), why }
}
