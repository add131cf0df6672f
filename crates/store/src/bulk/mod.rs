//! Logs and files: large, append-only, beside the records.

pub mod local;
mod path;

pub use path::check_path;

use async_trait::async_trait;
use bytes::Bytes;
use cloudai_core::ids::Attempt;
use std::pin::Pin;
use tokio::io::AsyncRead;

/// Keeps the logs and files of attempts.
#[async_trait]
pub trait BulkStore: Send + Sync + std::fmt::Debug + 'static {
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
    async fn finish_file(&self, attempt: Attempt, path: &str, size: u64, sha256: &str) -> Result<(), BulkError>;

    /// A finished file's size and contents.
    /// # Errors
    /// [`BulkError::NotFound`].
    async fn read_file(&self, attempt: Attempt, path: &str) -> Result<(u64, FileReader), BulkError>;
}

/// The contents of a file.
pub type FileReader = Pin<Box<dyn AsyncRead + Send>>;

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
    /// Retry later.
    #[error("the bulk store did not answer")]
    Unavailable(#[source] std::io::Error),
}
