//! Logs and files from workers: checked against the read model, written beside the engine.

use super::convert;
use super::guard::refused;
use crate::handle::Handle;
use crate::pki::Refusal;
use crate::principal::Principal;
use crate::quota::NotAdmitted;
use cloudai_core::event::Rejected;
use cloudai_core::ids::Attempt;
use cloudai_core::log_room::LogRoom;
use cloudai_core::resources::Bytes;
use cloudai_core::task::TaskRecord;
use cloudai_proto::v1 as pb;
use cloudai_store::bulk::{BulkError, LogRecord, LogStream, SmallFile, path_name};
use std::sync::Arc;
use tonic::{Status, Streaming};

/// Takes a piece of a log in; the first message is the header. Of what is beyond the limit nothing is kept, and the
/// call fails.
pub(super) async fn stream_logs(
    who: &Principal,
    handle: &Handle,
    mut chunks: Streaming<pb::LogChunk>,
) -> Result<pb::LogAck, Status> {
    let header = match chunks.message().await?.and_then(|chunk| chunk.what) {
        Some(pb::log_chunk::What::Header(header)) => header,
        Some(pb::log_chunk::What::Records(_)) | None => {
            return Err(Status::invalid_argument("the first message of a log must be its header"));
        }
    };
    let of = pb::AttemptRef { task_id: header.task_id, attempt: header.attempt, incarnation: header.incarnation };
    let attempt = known_attempt(who, handle, Some(&of)).await?;
    let logs = handle.logs(who);
    let mut kept = logs.bulk().log_position(attempt).await.map_err(bulk_status)?;
    let mut next = header.first_record;
    while let Some(chunk) = chunks.message().await? {
        let Some(pb::log_chunk::What::Records(batch)) = chunk.what else {
            return Err(Status::invalid_argument("only records may follow the header of a log"));
        };
        let records: Vec<_> = batch.records.into_iter().map(record).collect();
        let fitting = logs.room(kept).fitting(next, records.iter().map(|record| record.data.len() as u64));
        kept = logs.append(attempt, next, records.get(..fitting).unwrap_or_default()).await.map_err(bulk_status)?;
        if fitting < records.len() {
            return Err(too_large(attempt, logs.room(kept)));
        }
        next = next.saturating_add(records.len() as u64);
    }
    let LogRoom { records, bytes, max_bytes } = logs.room(kept);
    Ok(pb::LogAck { records, bytes, max_bytes })
}

fn too_large(attempt: Attempt, room: LogRoom) -> Status {
    let LogRoom { records, max_bytes, .. } = room;
    Status::failed_precondition(format!(
        "the log of {attempt} is larger than {} (logs.max_bytes of the master): {records} records of it are kept, the \
         rest is not",
        Bytes(max_bytes)
    ))
}

fn record(record: pb::LogRecord) -> LogRecord {
    let stream = if record.stderr { LogStream::Stderr } else { LogStream::Stdout };
    LogRecord { time_ns: record.time_ns, stream, data: record.data }
}

/// Takes a piece of a file in; the first message is the header.
pub(super) async fn upload_files(
    who: &Principal,
    handle: &Handle,
    mut chunks: Streaming<pb::FileChunk>,
) -> Result<pb::FileAck, Status> {
    let header = match chunks.message().await?.and_then(|chunk| chunk.what) {
        Some(pb::file_chunk::What::Header(header)) => header,
        Some(pb::file_chunk::What::Data(_)) | None => {
            return Err(Status::invalid_argument("the first message of a file must be its header"));
        }
    };
    let of = pb::AttemptRef { task_id: header.task_id, attempt: header.attempt, incarnation: header.incarnation };
    let (attempt, task) = known(who, handle, Some(&of)).await?;
    // Also before anything is sent.
    admit(handle, &task, attempt, [(header.path.as_str(), header.size)]).await?;
    let bulk = handle.logs(who).bulk();
    if header.ask {
        let bytes = bulk.file_position(attempt, &header.path).await.map_err(bulk_status)?;
        return Ok(pb::FileAck { bytes, complete: false });
    }
    let mut offset = header.offset;
    while let Some(chunk) = chunks.message().await? {
        let Some(pb::file_chunk::What::Data(data)) = chunk.what else {
            return Err(Status::invalid_argument("only data may follow the header of a file"));
        };
        let length = data.len() as u64;
        if offset.checked_add(length).is_none_or(|end| end > header.size) {
            return Err(Status::invalid_argument("the file is longer than its header says"));
        }
        bulk.append_file(attempt, &header.path, offset, data).await.map_err(bulk_status)?;
        offset += length;
    }
    if offset < header.size {
        return Ok(pb::FileAck { bytes: offset, complete: false });
    }
    let sha256 = convert::sha256(&header.sha256)?;
    bulk.finish_file(attempt, &header.path, header.size, sha256).await.map_err(bulk_status)?;
    Ok(pb::FileAck { bytes: header.size, complete: true })
}

/// Takes several small files in, all or none.
pub(super) async fn upload_small(
    who: &Principal,
    handle: &Handle,
    request: pb::SmallFiles,
) -> Result<pb::SmallFilesAck, Status> {
    let (attempt, task) = known(who, handle, request.attempt.as_ref()).await?;
    let sizes = request.files.iter().map(|file| (file.path.as_str(), file.data.len() as u64));
    admit(handle, &task, attempt, sizes).await?;
    let file = |file: pb::SmallFile| {
        Ok(SmallFile { sha256: convert::sha256(&file.sha256)?, path: file.path, data: file.data })
    };
    let files = request.files.into_iter().map(file).collect::<Result<_, Status>>()?;
    handle.logs(who).bulk().put_files(attempt, files).await.map_err(bulk_status)?;
    Ok(pb::SmallFilesAck {})
}

/// Whether these files, paths and sizes, come in: limits are no passing trouble, so the worker tells them with the end.
async fn admit<'a>(
    handle: &Handle,
    task: &TaskRecord,
    attempt: Attempt,
    files: impl IntoIterator<Item = (&'a str, u64)>,
) -> Result<(), Status> {
    let files = files.into_iter().map(|(path, size)| (path_name(path), size)).collect();
    handle.shared.quota.admit(&task.owner, attempt, &files).await.map_err(|why| match why {
        NotAdmitted::TaskCount { .. } | NotAdmitted::Task { .. } | NotAdmitted::User { .. } => {
            Status::failed_precondition(why.to_string())
        }
        NotAdmitted::Bulk(error) => bulk_status(error),
        NotAdmitted::Store(error) => Status::unavailable(error.to_string()),
    })
}

/// An attempt that the cluster has made, in this life of its data.
pub(super) async fn known_attempt(
    who: &Principal,
    handle: &Handle,
    of: Option<&pb::AttemptRef>,
) -> Result<Attempt, Status> {
    known(who, handle, of).await.map(|(attempt, _)| attempt)
}

/// The same with its task.
async fn known(
    who: &Principal,
    handle: &Handle,
    of: Option<&pb::AttemptRef>,
) -> Result<(Attempt, Arc<TaskRecord>), Status> {
    let of = of.ok_or_else(|| Status::invalid_argument("attempt: must be given"))?;
    let attempt = convert::attempt(&of.task_id, of.attempt)?;
    let task = handle.record(attempt.task).await.map_err(|error| Status::unavailable(error.to_string()))?;
    let is_now = of.incarnation == handle.facts().incarnation.0;
    let task = task.filter(|task| is_now && attempt.number <= task.number());
    let task = task.ok_or_else(|| Status::not_found(Rejected::Superseded(attempt).to_string()))?;
    its_own(who, &task, attempt)?;
    Ok((attempt, task))
}

/// Whether an attempt was given to the worker that calls.
pub(super) fn its_own(who: &Principal, task: &TaskRecord, attempt: Attempt) -> Result<(), Status> {
    let given = task.attempts.iter().find(|one| one.number == attempt.number);
    match (given, who.worker_name()) {
        (Some(given), Some(is)) if given.worker != *is => {
            Err(refused(&Refusal::AnotherName { is: is.clone(), asked: given.worker.clone() }))
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

pub(super) fn bulk_status(error: BulkError) -> Status {
    match error {
        BulkError::Gap { have } => Status::out_of_range(format!("{have}")),
        BulkError::BadPath(_) => Status::invalid_argument(error.to_string()),
        BulkError::Checksum => Status::data_loss(error.to_string()),
        BulkError::NotFound => Status::not_found(error.to_string()),
        BulkError::Damaged { .. } => Status::data_loss(error.to_string()),
        BulkError::Sealed { .. } => Status::failed_precondition(error.to_string()),
        BulkError::NoFolder(_) | BulkError::NotWhole(_) => Status::failed_precondition(error.to_string()),
        BulkError::Full => Status::resource_exhausted(error.to_string()),
        BulkError::Bucket(_) => Status::unavailable(error.to_string()),
        BulkError::Claimed { .. } => Status::internal(error.to_string()),
        BulkError::Unavailable(source) => Status::unavailable(source.to_string()),
    }
}
