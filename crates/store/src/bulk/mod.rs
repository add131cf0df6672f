//! Logs, files and contents: large, append-only, beside the records.

mod blobs;
pub mod local;
mod path;
pub mod s3;

pub use blobs::{BlobStore, Content, Held, Kept, Swept, UNHELD};
pub use path::{check_path, path_name};

use async_trait::async_trait;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::tree::TreeError;
use cloudai_core::task::OutputFile;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::AsyncRead;

/// Keeps the logs and files of attempts.
#[async_trait]
pub trait BulkStore: BlobStore {
    /// Appends records to an attempt's log; the first of them has the number `first`, from 0.
    ///
    /// Records that are kept already are skipped, so a repeated call changes nothing.
    /// # Errors
    /// [`BulkError::Gap`] when records before `first` are missing.
    async fn append_log(&self, attempt: Attempt, first: u64, records: &[LogRecord]) -> Result<LogPosition, BulkError>;

    /// Makes all that is kept of a log survive a power cut. Appends alone survive the end of the
    /// process only: a worker may forget its copy after this, not before.
    async fn sync_log(&self, attempt: Attempt) -> Result<LogPosition, BulkError>;

    /// How much of a log is kept.
    async fn log_position(&self, attempt: Attempt) -> Result<LogPosition, BulkError>;

    /// Records from number `from` on: at least one if there is one, and no more than about
    /// `max_bytes` of them.
    async fn read_log(&self, attempt: Attempt, from: u64, max_bytes: usize) -> Result<Vec<LogRecord>, BulkError>;

    /// The number of the first of the last `count` records.
    async fn log_tail(&self, attempt: Attempt, count: u64) -> Result<u64, BulkError>;

    /// The number of the first record at or after a time (nanoseconds since the epoch, by the
    /// engine's clock); the one after the last when there is none. A read from there on has every
    /// record since: times may go back a little, numbers do not.
    async fn log_since(&self, attempt: Attempt, time_ns: u64) -> Result<u64, BulkError>;

    /// Whether a log of this size is kept in another form than it grew in. Costs nothing: ask
    /// before [`Self::seal_log`], most logs are small.
    fn is_worth_sealing(&self, position: LogPosition) -> bool;

    /// Gives the log of an attempt that has ended its final form; whether it did. Readers notice
    /// nothing. Call it only when no more of the log comes: nothing can be added to it afterwards.
    ///
    /// It reads and writes all of the log and may take seconds: one at a time, beside what is urgent.
    async fn seal_log(&self, attempt: Attempt) -> Result<bool, BulkError>;

    /// The logs that are worth a final form and do not have it, in pieces numbered from 0: none
    /// after the last piece. For the start of a master: what an earlier one did not get to.
    async fn unsealed_logs(&self, part: u32) -> Result<Option<Vec<Attempt>>, BulkError>;

    /// Appends to an unfinished file at `offset`; bytes that are kept already are skipped.
    /// Answers how many bytes are kept.
    /// # Errors
    /// [`BulkError::Gap`] when bytes before `offset` are missing, [`BulkError::BadPath`].
    async fn append_file(&self, attempt: Attempt, path: &str, offset: u64, data: Bytes) -> Result<u64, BulkError>;

    /// Bytes kept of a file, finished or not; 0 when there is none.
    async fn file_position(&self, attempt: Attempt, path: &str) -> Result<u64, BulkError>;

    /// Checks size and SHA-256 and makes the file readable. A repeated call changes nothing.
    /// # Errors
    /// [`BulkError::Checksum`]: then the unfinished file is gone and must be sent again.
    async fn finish_file(&self, attempt: Attempt, path: &str, size: u64, sha256: Sha256) -> Result<(), BulkError>;

    /// Keeps small files. A repeated call changes nothing, and finishes what a crash interrupted.
    /// # Errors
    /// [`BulkError::BadPath`], and [`BulkError::Checksum`] when one is not as its hash says: then none of them is kept.
    /// [`BulkError::Checksum`] also when another file was finished under one of the paths.
    async fn put_files(&self, attempt: Attempt, files: Vec<SmallFile>) -> Result<(), BulkError>;

    /// The finished files of an attempt, in no order: the names of their paths ([`path_name`]), and their sizes. None of
    /// an attempt of which nothing came.
    async fn finished_files(&self, attempt: Attempt) -> Result<Vec<(Sha256, u64)>, BulkError>;

    /// Removes the files of one attempt, whole or not, of which nothing is to be kept. A repeated call changes nothing.
    async fn remove_files(&self, attempt: Attempt) -> Result<(), BulkError>;

    /// A finished file's size and contents.
    /// # Errors
    /// [`BulkError::NotFound`].
    async fn read_file(&self, attempt: Attempt, path: &str) -> Result<(u64, FileReader), BulkError>;

    /// The same by what its record says: also where its name was lost with a disk, and its content is in a bucket.
    /// # Errors
    /// [`BulkError::NotFound`].
    async fn read_output(&self, attempt: Attempt, file: &OutputFile) -> Result<(u64, FileReader), BulkError>;

    /// Makes the place where contents are kept that of one cluster, where others could come to it too.
    /// # Errors
    /// [`BulkError::Claimed`]; [`BulkError::Bucket`].
    async fn claim(&self, cluster: &str) -> Result<(), BulkError>;

    /// Has nobody wait any more for what is kept elsewhere: the process is to end. Such calls are answered with
    /// [`BulkError::Bucket`].
    fn stop(&self) {}

    /// Where the contents of output files are kept, for people: a path of the master's machine, or the address of an object.
    /// None for one that is not kept any more.
    async fn locations(&self, files: &[(Attempt, OutputFile)]) -> Result<Vec<Option<String>>, BulkError>;

    /// An address that serves an output file to whoever has it, to be saved as this (the value of
    /// `Content-Disposition`). None where the content is on the master's own disk.
    /// # Errors
    /// [`BulkError::NotFound`].
    async fn presign(
        &self,
        attempt: Attempt,
        file: &OutputFile,
        saved_as: &str,
    ) -> Result<Option<Presigned>, BulkError>;

    /// Removes the logs and files of all attempts of a task, and lets go what it holds. A repeated call changes nothing, and
    /// finishes what a crash interrupted: remove the task's row after this, not before. Who reads
    /// meanwhile reads on or is told that there is nothing.
    async fn remove(&self, task: TaskId) -> Result<(), BulkError>;
}

/// An address that serves a content for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presigned {
    /// The address, with what makes it valid.
    pub url: String,
    /// How long from now.
    pub valid: Duration,
}

/// The contents of a file.
pub type FileReader = Pin<Box<dyn AsyncRead + Send>>;

/// A small file, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallFile {
    /// Relative to `/out`, with `/` between its parts.
    pub path: String,
    /// What its data must be.
    pub sha256: Sha256,
    /// Its content.
    pub data: Bytes,
}

/// One piece of output of a container: what the engine read in one go, mostly a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Nanoseconds since the epoch, by the engine's clock.
    pub time_ns: u64,
    /// Which stream.
    pub stream: LogStream,
    /// The bytes as they were written, line end included.
    pub data: Bytes,
}

/// Which stream a log record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How much of a log is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// Records.
    pub records: u64,
    /// Bytes of output in them.
    pub bytes: u64,
}

/// Why logs or files were not kept or read.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    /// Send from `have` on.
    #[error("only {have} of what comes before is kept")]
    Gap {
        /// Records or bytes kept.
        have: u64,
    },
    /// The path would leave its folder, or is no path.
    #[error("{0:?} is no allowed path: expected relative parts without . and .., at most 4096 bytes")]
    BadPath(String),
    /// The bytes are not those that were announced.
    #[error("the file's size or checksum differs from the announced one")]
    Checksum,
    /// There is no such file.
    #[error("no such file")]
    NotFound,
    /// A list of a folder's files that is none.
    #[error("{0}")]
    NoFolder(#[source] TreeError),
    /// A folder names a file whose content is not kept, or is of another size.
    #[error("the folder has a file whose content {0} is not kept, or is of another size")]
    NotWhole(Sha256),
    /// The disk has no room.
    #[error("the disk of the master's data is full")]
    Full,
    /// Read on from `next`: only these records are lost.
    #[error("the log of {attempt} is damaged from record {first} on{}", until(*next))]
    Damaged {
        /// Whose log.
        attempt: Attempt,
        /// The first record that can not be read.
        first: u64,
        /// The next one that perhaps can; none when where it begins is not known.
        next: Option<u64>,
    },
    /// The log has its final form.
    #[error("the log has ended with {have} records: nothing is added to it any more")]
    Sealed {
        /// Records kept.
        have: u64,
    },
    /// Retry later: what is kept in a bucket, or is to be, can not be reached.
    #[error(transparent)]
    Bucket(#[from] s3::BucketError),
    /// Another cluster keeps its contents there: each would remove what the other needs.
    #[error(
        "{place} keeps the contents of another cluster, {owner:?}: give each a prefix of its own (when that one is gone for good: delete {object})"
    )]
    Claimed {
        /// Bucket and prefix.
        place: String,
        /// The other cluster.
        owner: String,
        /// The object that says so.
        object: String,
    },
    /// Retry later.
    #[error("the bulk store did not answer")]
    Unavailable(#[source] std::io::Error),
}

fn until(next: Option<u64>) -> String {
    next.map_or_else(String::new, |next| {
        format!(" up to record {}: what follows is read from {next} on", next.saturating_sub(1))
    })
}
