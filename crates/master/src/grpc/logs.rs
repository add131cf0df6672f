//! Logs and files from workers: checked against the read model, written beside the engine.

use super::convert;
use crate::handle::Handle;
use crate::principal::Principal;
use cloudai_core::event::Rejected;
use cloudai_core::ids::Attempt;
use cloudai_proto::v1 as pb;
use cloudai_store::bulk::{BulkError, LogRecord, LogStream, SmallFile};
use tonic::{Status, Streaming};

/// Takes a piece of a log in; the first message is the header.
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
    let attempt = known_attempt(handle, Some(&of)).await?;
    let mut next = header.first_record;
    while let Some(chunk) = chunks.message().await? {
        let Some(pb::log_chunk::What::Records(batch)) = chunk.what else {
            return Err(Status::invalid_argument("only records may follow the header of a log"));
        };
        let records: Vec<_> = batch.records.into_iter().map(record).collect();
        handle.logs(who).append(attempt, next, &records).await.map_err(bulk_status)?;
        next += records.len() as u64;
    }
    let position = handle.logs(who).bulk().log_position(attempt).await.map_err(bulk_status)?;
    Ok(pb::LogAck { records: position.records, bytes: position.bytes })
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
    let attempt = known_attempt(handle, Some(&of)).await?;
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
    let attempt = known_attempt(handle, request.attempt.as_ref()).await?;
    let file = |file: pb::SmallFile| {
        Ok(SmallFile { sha256: convert::sha256(&file.sha256)?, path: file.path, data: file.data })
    };
    let files = request.files.into_iter().map(file).collect::<Result<_, Status>>()?;
    handle.logs(who).bulk().put_files(attempt, files).await.map_err(bulk_status)?;
    Ok(pb::SmallFilesAck {})
}

/// An attempt that the cluster has made, in this life of its data.
pub(super) async fn known_attempt(handle: &Handle, of: Option<&pb::AttemptRef>) -> Result<Attempt, Status> {
    let of = of.ok_or_else(|| Status::invalid_argument("attempt: must be given"))?;
    let attempt = convert::attempt(&of.task_id, of.attempt)?;
    let task = handle.record(attempt.task).await.map_err(|error| Status::unavailable(error.to_string()))?;
    let known = task.is_some_and(|task| attempt.number <= task.number());
    if known && of.incarnation == handle.facts().incarnation.0 {
        Ok(attempt)
    } else {
        Err(Status::not_found(Rejected::Superseded(attempt).to_string()))
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
