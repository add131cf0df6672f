//! Logs and files in a directory of this machine.
//!
//! ```text
//! DIR/logs/<last 2 characters of the ulid>/<task id>/<attempt>.log
//! DIR/files/<last 2 characters of the ulid>/<task id>/<attempt>/<sha-256 of the path>[.part]
//! DIR/{blobs,uploads,trees,held}
//! ```
//! The first characters of a ulid are its time and change once in years: only the last ones
//! spread. `logs.rs` and `files.rs` own the first two, `blobs.rs` and `held.rs` the others; a log grows in the format of `frame.rs` and
//! is kept in that of `segment.rs`, both under one name. docs/log-format.md describes them.
//! Every call does its IO on a thread that may block.

mod away;
mod blobs;
mod contents;
mod files;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod growing;
mod held;
mod logs;
mod lost;
mod parts;
mod sealed;
mod segment;
mod stub;
mod sweep;
mod swept;

use super::s3::Bucket;
use super::{BulkError, BulkStore, FileReader, LogPosition, LogRecord, Presigned, SmallFile};
use async_trait::async_trait;
use away::Away;
use blobs::Blobs;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::sha256::Sha256;
use cloudai_core::task::OutputFile;
use files::Files;
use logs::Logs;
pub(crate) use lost::put_aside;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use stub::Place;
use tokio::runtime::Handle;
use tokio::sync::SemaphorePermit;

/// A directory of logs and files. One process, one store: the lock of the data directory sees to it.
#[derive(Clone, Debug)]
pub struct LocalBulk {
    logs: Arc<Logs>,
    files: Arc<Files>,
    blobs: Arc<Blobs>,
}

impl LocalBulk {
    /// Opens a directory, making it (mode 0700) when it is not there.
    /// # Errors
    /// When the directory can not be made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Self::open_at(dir, None)
    }

    /// The same, with contents in a bucket. Call it within a runtime.
    /// # Errors
    /// When the directory can not be made or used, or its contents are elsewhere.
    pub fn open_with(dir: &Path, bucket: Bucket) -> io::Result<Self> {
        Self::open_at(dir, Some(bucket))
    }

    fn open_at(dir: &Path, bucket: Option<Bucket>) -> io::Result<Self> {
        let (logs, files) = (dir.join("logs"), dir.join("files"));
        make_dir(&logs)?;
        make_dir(&files)?;
        away::settle(dir, bucket.as_ref())?;
        let away = bucket.map(|bucket| Away::new(bucket, Handle::current()));
        let blobs = Arc::new(Blobs::open(dir.to_owned(), away)?);
        let files = Arc::new(Files::new(files, Arc::clone(&blobs)));
        Ok(Self { logs: Arc::new(Logs::new(logs)), files, blobs })
    }

    /// Waits until one more may wait for the bucket.
    async fn room(&self) -> Result<Option<SemaphorePermit<'_>>, BulkError> {
        let Some(away) = &self.blobs.away else { return Ok(None) };
        Ok(Some(away.few.acquire().await.map_err(io::Error::other)?))
    }

    async fn reader(&self, place: Place, offset: u64) -> Result<FileReader, BulkError> {
        match (place, &self.blobs.away) {
            (Place::Here(file), _) => Ok(Box::pin(tokio::fs::File::from_std(file))),
            (Place::There(stub), Some(away)) => away.bucket.read(stub.content, stub.size, offset).await,
            (Place::There(_), None) => Err(BulkError::NotFound),
        }
    }

    async fn log<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Logs) -> Result<T, BulkError> + Send + 'static,
    ) -> Result<T, BulkError> {
        let logs = Arc::clone(&self.logs);
        blocking(move || work(&logs)).await
    }

    async fn file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T, BulkError> + Send + 'static,
    ) -> Result<T, BulkError> {
        let files = Arc::clone(&self.files);
        blocking(move || work(&files)).await
    }
}

/// Tells a thread that nobody waits for its work any more: a master that stops waits for no long log.
#[derive(Debug)]
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BulkError> + Send + 'static,
) -> Result<T, BulkError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BulkError::Unavailable(io::Error::other(error)))?
}

impl From<io::Error> for BulkError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Unavailable(error),
        }
    }
}

/// The folder of a task below a root.
fn folder(root: &Path, task: TaskId) -> PathBuf {
    let id = task.to_string();
    let ulid = id.split_once('.').map_or(id.as_str(), |(ulid, _)| ulid);
    root.join(ulid.get(ulid.len().saturating_sub(2)..).unwrap_or_default()).join(&id)
}

/// The name of a part of the folders of tasks, from 0; none when there are no more.
fn shard(part: u32) -> Option<String> {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let digit = |place: u32| DIGITS.get(place as usize).copied().map(char::from);
    Some([digit(part / 32)?, digit(part % 32)?].iter().collect())
}

/// Removes a folder with all that is in it, so that it is gone after a power cut too.
fn remove_dir(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => folder.parent().map_or(Ok(()), |above| File::open(above)?.sync_all()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes the names of a file and of the folders above it, up to the root, survive a power cut.
fn sync_names(file: &Path, root: &Path) -> io::Result<()> {
    let above = file.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
    above.into_iter().try_for_each(|folder| File::open(folder)?.sync_all())
}

#[async_trait]
impl BulkStore for LocalBulk {
    async fn append_log(&self, attempt: Attempt, first: u64, records: &[LogRecord]) -> Result<LogPosition, BulkError> {
        let records = records.to_vec();
        self.log(move |logs| logs.append(attempt, first, &records)).await
    }

    async fn sync_log(&self, attempt: Attempt) -> Result<LogPosition, BulkError> {
        self.log(move |logs| logs.sync(attempt)).await
    }

    async fn log_position(&self, attempt: Attempt) -> Result<LogPosition, BulkError> {
        self.log(move |logs| logs.position(attempt)).await
    }

    async fn read_log(&self, attempt: Attempt, from: u64, max_bytes: usize) -> Result<Vec<LogRecord>, BulkError> {
        self.log(move |logs| logs.read(attempt, from, max_bytes)).await
    }

    async fn log_tail(&self, attempt: Attempt, count: u64) -> Result<u64, BulkError> {
        let position = self.log_position(attempt).await?;
        Ok(position.records.saturating_sub(count))
    }

    async fn log_since(&self, attempt: Attempt, time_ns: u64) -> Result<u64, BulkError> {
        self.log(move |logs| logs.since(attempt, time_ns)).await
    }

    fn is_worth_sealing(&self, position: LogPosition) -> bool {
        Logs::is_worth_sealing(position)
    }

    async fn seal_log(&self, attempt: Attempt) -> Result<bool, BulkError> {
        let wanted = Wanted::default();
        let still = Arc::clone(&wanted.0);
        self.log(move |logs| logs.seal(attempt, &still)).await
    }

    async fn unsealed_logs(&self, part: u32) -> Result<Option<Vec<Attempt>>, BulkError> {
        self.log(move |logs| logs.unsealed(part)).await
    }

    async fn append_file(&self, attempt: Attempt, path: &str, offset: u64, data: Bytes) -> Result<u64, BulkError> {
        let path = path.to_owned();
        self.file(move |files| files.append(attempt, &path, offset, &data)).await
    }

    async fn file_position(&self, attempt: Attempt, path: &str) -> Result<u64, BulkError> {
        let path = path.to_owned();
        self.file(move |files| files.position(attempt, &path)).await
    }

    async fn finish_file(&self, attempt: Attempt, path: &str, size: u64, sha256: Sha256) -> Result<(), BulkError> {
        let _room = self.room().await?;
        let path = path.to_owned();
        self.file(move |files| files.finish(attempt, &path, size, sha256)).await
    }

    async fn put_files(&self, attempt: Attempt, files: Vec<SmallFile>) -> Result<(), BulkError> {
        let _room = self.room().await?;
        self.file(move |kept| kept.put(attempt, &files)).await
    }

    async fn finished_files(&self, attempt: Attempt) -> Result<Vec<(Sha256, u64)>, BulkError> {
        self.file(move |files| files.finished(attempt)).await
    }

    async fn remove_files(&self, attempt: Attempt) -> Result<(), BulkError> {
        self.file(move |files| files.remove_attempt(attempt)).await
    }

    async fn read_file(&self, attempt: Attempt, path: &str) -> Result<(u64, FileReader), BulkError> {
        let path = path.to_owned();
        let (size, place) = self.file(move |files| files.open(attempt, &path)).await?;
        Ok((size, self.reader(place, 0).await?))
    }

    async fn read_output(&self, attempt: Attempt, file: &OutputFile) -> Result<(u64, FileReader), BulkError> {
        match self.read_file(attempt, &file.path).await {
            Err(BulkError::NotFound) => {}
            read => return read,
        }
        let wanted = file.clone();
        let _room = self.room().await?;
        self.file(move |files| files.stub(attempt, &wanted)).await?;
        self.read_file(attempt, &file.path).await
    }

    async fn claim(&self, cluster: &str) -> Result<(), BulkError> {
        match &self.blobs.away {
            Some(away) => away.bucket.claim(cluster).await,
            None => Ok(()),
        }
    }

    fn stop(&self) {
        if let Some(away) = &self.blobs.away {
            away.stop.cancel();
        }
    }

    async fn locations(&self, files: &[(Attempt, OutputFile)]) -> Result<Vec<Option<String>>, BulkError> {
        let wanted = files.to_vec();
        self.file(move |files| wanted.iter().map(|(attempt, file)| files.location(*attempt, &file.path)).collect())
            .await
    }

    async fn presign(
        &self,
        attempt: Attempt,
        file: &OutputFile,
        saved_as: &str,
    ) -> Result<Option<Presigned>, BulkError> {
        let file = file.clone();
        let _room = self.room().await?;
        let stub = self.file(move |files| files.stub(attempt, &file)).await?;
        match (stub, &self.blobs.away) {
            (Some(stub), Some(away)) => Ok(Some(away.bucket.sign(stub.content, saved_as).await?)),
            (Some(_) | None, _) => Ok(None),
        }
    }

    async fn remove(&self, task: TaskId) -> Result<(), BulkError> {
        let Self { logs, files, blobs } = self.clone();
        blocking(move || {
            blobs.release_inputs(task)?;
            files.remove(task)?;
            logs.remove(task)
        })
        .await
    }
}
