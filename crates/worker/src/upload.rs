//! Logs and files on their way to the master: sent again until they are kept.

use crate::absence::why;
use crate::client::{Backoff, Master};
use crate::executor::LogRecord;
use crate::kept::{Kept, size};
use crate::outputs::Found;
use crate::pace::Pace;
use cloudai_core::ids::{Attempt, Incarnation};
use cloudai_core::sha256::Sha256;
use cloudai_core::task::{LogEnd, OutputFile};
use cloudai_proto::v1 as pb;
use sha2::Digest;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tracing::{debug, warn};

/// Records that go in one call at most; what comes meanwhile waits for the next.
const RECORDS: usize = 1024;
/// Bytes of records in one message at most, far below what a message may have.
const MESSAGE: usize = 1 << 20;
/// Files up to this size go together: a call for each would cost more than its bytes.
const SMALL: u64 = 64 * 1024;
/// Bytes of small files in one call, far below what a message may have.
const TOGETHER: u64 = 4 << 20;
/// Small files in one call.
const MOST: usize = 2000;
/// A file goes in parts of this size.
const PART: usize = 256 * 1024;
/// How often a file whose checksum was wrong is sent again.
const CHECKSUM_TRIES: u32 = 3;

/// Which attempt's things these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Whose {
    pub(crate) attempt: Attempt,
    pub(crate) incarnation: Incarnation,
}

impl Whose {
    pub(crate) fn to_ref(self) -> pb::AttemptRef {
        let Self { attempt, incarnation } = self;
        pb::AttemptRef { task_id: attempt.task.to_string(), attempt: attempt.number, incarnation: incarnation.0 }
    }

    /// As a container's name: data that was restored may number its attempts as before.
    pub(crate) fn folder_name(self) -> String {
        let Self { attempt, incarnation } = self;
        format!("{}-a{}-i{incarnation}", attempt.task, attempt.number)
    }
}

pub(crate) fn patience() -> Backoff {
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5))
}

/// Whether the same call may go through later. A resource that is exhausted may be free again.
pub(crate) fn is_passing(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Unknown
            | Code::Cancelled
            | Code::Aborted
            | Code::ResourceExhausted
    )
}

/// How many records of a log the master keeps; none when it does not want the log.
pub(crate) async fn kept_records(master: &mut Master, whose: Whose) -> Option<pb::LogAck> {
    let mut wait = patience();
    loop {
        match send_records(master, whose, 0, Vec::new()).await {
            Ok(ack) => return Some(ack),
            Err(status) if is_passing(&status) => tokio::time::sleep(wait.wait()).await,
            Err(_) => return None,
        }
    }
}

/// Sends a log's records as they come, until the channel ends; answers what is kept.
pub(crate) async fn pump_logs(
    mut master: Master,
    whose: Whose,
    mut kept: Kept,
    mut pace: Pace,
    mut records: mpsc::Receiver<LogRecord>,
) -> LogEnd {
    let mut whole = true;
    // Most attempts say little: it grows with those that say more.
    let mut waiting = Vec::new();
    while records.recv_many(&mut waiting, RECORDS).await > 0 {
        let was_cut = kept.is_cut();
        let batch = std::mem::take(&mut waiting);
        if let Err(status) = send_what_fits(&mut master, whose, &mut kept, &mut pace, batch).await {
            warn!(attempt = %whose.attempt, why = why(&status), "log not kept");
            whole = false;
            // The container must not stand still because nobody wants its output.
            while records.recv().await.is_some() {}
        } else if kept.is_cut() && !was_cut {
            warn!(attempt = %whose.attempt, records = kept.next(), "log is larger than logs.max_bytes, the rest is cut");
        }
    }
    kept.end(whole)
}

/// Sends what of a batch the master keeps, as fast as it may go.
async fn send_what_fits(
    master: &mut Master,
    whose: Whose,
    kept: &mut Kept,
    pace: &mut Pace,
    mut batch: Vec<LogRecord>,
) -> Result<(), Status> {
    loop {
        kept.cut(&mut batch);
        if batch.is_empty() {
            return Ok(());
        }
        let rest = batch.split_off(pace.together(batch.iter().map(size)));
        let wait = pace.wait(batch.iter().map(size).sum(), Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        send_until_kept(master, whose, kept, batch).await?;
        batch = rest;
    }
}

async fn send_until_kept(
    master: &mut Master,
    whose: Whose,
    kept: &mut Kept,
    mut batch: Vec<LogRecord>,
) -> Result<(), Status> {
    let mut wait = patience();
    while !batch.is_empty() {
        match send_records(master, whose, kept.next(), batch.clone()).await {
            Ok(ack) => {
                kept.heard(batch.len(), &ack);
                return Ok(());
            }
            Err(status) if is_passing(&status) => {
                debug!(attempt = %whose.attempt, why = why(&status), "log waits for the master");
                tokio::time::sleep(wait.wait()).await;
            }
            // Perhaps it does not fit: the limit is not known before the first answer, and another master may have another.
            Err(status) if status.code() == Code::FailedPrecondition => {
                let sent = batch.len();
                kept.learn(&kept_records(master, whose).await.ok_or_else(|| status.clone())?);
                kept.cut(&mut batch);
                if batch.len() == sent {
                    return Err(status);
                }
            }
            Err(status) => return Err(status),
        }
    }
    Ok(())
}

async fn send_records(
    master: &mut Master,
    whose: Whose,
    first: u64,
    batch: Vec<LogRecord>,
) -> Result<pb::LogAck, Status> {
    let header = pb::LogHeader {
        task_id: whose.attempt.task.to_string(),
        attempt: whose.attempt.number,
        incarnation: whose.incarnation.0,
        first_record: first,
    };
    let mut chunks = vec![pb::log_chunk::What::Header(header)];
    let (mut message, mut size) = (Vec::new(), 0);
    for record in batch {
        size += record.data.len() + 16;
        message.push(pb::LogRecord { time_ns: record.time_ns, stderr: record.stderr, data: record.data });
        if size >= MESSAGE {
            chunks.push(pb::log_chunk::What::Records(pb::LogRecords { records: std::mem::take(&mut message) }));
            size = 0;
        }
    }
    if !message.is_empty() {
        chunks.push(pb::log_chunk::What::Records(pb::LogRecords { records: message }));
    }
    let chunks = chunks.into_iter().map(|what| pb::LogChunk { what: Some(what) });
    let ack = master.stream_task_logs(tokio_stream::iter(chunks)).await?;
    Ok(ack.into_inner())
}

/// Sends files until the master keeps them.
/// # Errors
/// What can not be kept, for people.
pub(crate) async fn upload_files(
    master: &mut Master,
    whose: Whose,
    files: Vec<Found>,
) -> Result<Vec<OutputFile>, String> {
    let (small, large): (Vec<_>, Vec<_>) = files.into_iter().partition(|found| found.size <= SMALL);
    let mut kept = Vec::with_capacity(small.len() + large.len());
    let mut rest = small.as_slice();
    while !rest.is_empty() {
        let (some, later) = rest.split_at(together(rest));
        if upload_small(master, whose, some, &mut kept).await? {
            rest = later;
        } else {
            break;
        }
    }
    for found in rest.iter().cloned().chain(large) {
        let hash = crate::outputs::sha256_file(&found.abs).await;
        let sha256 = hash.map_err(|error| format!("{} can not be read: {error}", found.path))?;
        let file = OutputFile { path: found.path.clone(), size: found.size, sha256 };
        upload_file(master, whose, &found, &file).await.map_err(|why| format!("{}: {why}", found.path))?;
        kept.push(file);
    }
    kept.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(kept)
}

/// How many of the first small files go in one call.
fn together(files: &[Found]) -> usize {
    let mut bytes = 0;
    let fits = |found: &&Found| {
        bytes += found.size;
        bytes <= TOGETHER
    };
    files.iter().take(MOST).take_while(fits).count().max(1)
}

/// Sends several small files until the master keeps them; whether it knows this call, as that of 0.1.0 does not.
async fn upload_small(
    master: &mut Master,
    whose: Whose,
    files: &[Found],
    kept: &mut Vec<OutputFile>,
) -> Result<bool, String> {
    let (found, attempt) = (files.to_vec(), whose.to_ref());
    let read = tokio::task::spawn_blocking(move || found.iter().map(read_small).collect::<Result<Vec<_>, _>>()).await;
    let (outputs, files): (Vec<_>, Vec<_>) = read.map_err(|broken| broken.to_string())??.into_iter().unzip();
    let (mut wait, mut tries) = (patience(), 0);
    let request = pb::SmallFiles { attempt: Some(attempt), files };
    loop {
        match master.upload_small_files(request.clone()).await {
            Ok(_) => {
                kept.extend(outputs);
                return Ok(true);
            }
            Err(status) if is_passing(&status) => tokio::time::sleep(wait.wait()).await,
            Err(status) if status.code() == Code::DataLoss && tries < CHECKSUM_TRIES => tries += 1,
            Err(status) if status.code() == Code::Unimplemented => return Ok(false),
            Err(status) => return Err(status.message().to_owned()),
        }
    }
}

fn read_small(found: &Found) -> Result<(OutputFile, pb::SmallFile), String> {
    let mut data = Vec::with_capacity(usize::try_from(found.size).unwrap_or_default());
    let read = crate::outputs::open(&found.abs).and_then(|file| file.take(found.size).read_to_end(&mut data));
    read.map_err(|error| format!("{} can not be read: {error}", found.path))?;
    let (path, sha256) = (found.path.clone(), Sha256(sha2::Sha256::digest(&data).into()));
    let output = OutputFile { path: path.clone(), size: data.len() as u64, sha256 };
    Ok((output, pb::SmallFile { path, data: data.into(), sha256: sha256.to_string() }))
}

async fn upload_file(master: &mut Master, whose: Whose, found: &Found, file: &OutputFile) -> Result<(), String> {
    let (mut wait, mut tries) = (patience(), 0);
    loop {
        match upload_rest(master, whose, found, file).await {
            Ok(()) => return Ok(()),
            Err(status) if is_passing(&status) || status.code() == Code::OutOfRange => {
                tokio::time::sleep(wait.wait()).await;
            }
            Err(status) if status.code() == Code::DataLoss && tries < CHECKSUM_TRIES => tries += 1,
            Err(status) => return Err(status.message().to_owned()),
        }
    }
}

/// Asks how much is kept and sends the rest.
async fn upload_rest(master: &mut Master, whose: Whose, found: &Found, file: &OutputFile) -> Result<(), Status> {
    let header = |offset, ask| pb::FileHeader {
        task_id: whose.attempt.task.to_string(),
        attempt: whose.attempt.number,
        incarnation: whose.incarnation.0,
        path: file.path.clone(),
        size: file.size,
        sha256: file.sha256.to_string(),
        offset,
        ask,
    };
    let as_chunk = |what| pb::FileChunk { what: Some(what) };
    let ask = as_chunk(pb::file_chunk::What::Header(header(0, true)));
    let kept = master.upload_task_files(tokio_stream::iter([ask])).await?.into_inner().bytes;
    let offset = kept.min(file.size);
    let (parts, stream) = mpsc::channel(4);
    let first = as_chunk(pb::file_chunk::What::Header(header(offset, false)));
    let path = found.abs.clone();
    let reader = tokio::task::spawn_blocking(move || read_parts(&path, offset, first, &parts));
    let ack = master.upload_task_files(ReceiverStream::new(stream)).await;
    let read = reader.await.map_err(|error| Status::internal(error.to_string()))?;
    read.map_err(|error| Status::internal(format!("it can not be read: {error}")))?;
    if ack?.into_inner().complete { Ok(()) } else { Err(Status::unavailable("the file is not whole yet")) }
}

fn read_parts(
    path: &std::path::Path,
    offset: u64,
    header: pb::FileChunk,
    parts: &mpsc::Sender<pb::FileChunk>,
) -> std::io::Result<()> {
    let mut file = crate::outputs::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut next = header;
    // The call ended when nobody takes parts any more; its answer says why.
    while parts.blocking_send(next).is_ok() {
        let mut part = vec![0; PART];
        let length = file.read(&mut part)?;
        if length == 0 {
            break;
        }
        part.truncate(length);
        next = pb::FileChunk { what: Some(pb::file_chunk::What::Data(part.into())) };
    }
    Ok(())
}
