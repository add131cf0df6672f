//! The contents of an attempt's inputs, for its worker.

use super::convert;
use super::logs::{bulk_status, known_attempt};
use crate::handle::Handle;
use crate::handle::inputs::NoInputs;
use crate::principal::Principal;
use cloudai_proto::v1 as pb;
use cloudai_store::bulk::BulkStore;
use cloudai_store::bulk::s3::BucketError;
use futures::stream::BoxStream;
use std::io;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tonic::Status;

/// The most contents of one call: a worker asks again for more.
const MAX_CONTENTS: usize = 10_000;
/// Bytes of one message.
const PIECE: usize = 256 * 1024;

/// What an attempt finds before it starts.
pub(super) async fn resolve(
    who: &Principal,
    handle: &Handle,
    of: &pb::AttemptRef,
) -> Result<pb::ResolvedInputs, Status> {
    let attempt = known_attempt(who, handle, Some(of)).await?;
    let found = handle.inputs_of(attempt).await.map_err(|why| match why {
        NoInputs::Bulk(error) => bulk_status(error),
        // What signs was asked again and again before it gave up.
        NoInputs::Place(why) => Status::failed_precondition(why.to_string()),
        NoInputs::Wrong(why) => Status::failed_precondition(why),
        NoInputs::Ask(error) => Status::unavailable(error.to_string()),
    })?;
    let inputs = found.into_iter().map(|found| pb::ResolvedInput {
        sha256: found.content.sha256.to_string(),
        size: found.size,
        folder: found.content.folder,
        url: found.url.unwrap_or_default(),
    });
    Ok(pb::ResolvedInputs { inputs: inputs.collect() })
}

/// Contents one after the other; those that are none of the attempt's inputs are not found.
pub(super) async fn fetch(
    who: &Principal,
    handle: &Handle,
    request: pb::FetchRequest,
) -> Result<BoxStream<'static, Result<pb::ContentChunk, Status>>, Status> {
    let attempt = known_attempt(who, handle, request.attempt.as_ref()).await?;
    if request.contents.len() > MAX_CONTENTS {
        return Err(Status::invalid_argument(format!("contents: more than {MAX_CONTENTS}")));
    }
    let tree = if request.tree.is_empty() { None } else { Some(convert::sha256(&request.tree)?) };
    let wanted: Vec<_> = request
        .contents
        .iter()
        .map(|wanted| Ok((convert::sha256(&wanted.sha256)?, wanted.offset)))
        .collect::<Result<_, Status>>()?;
    let bulk: Arc<dyn BulkStore> = Arc::clone(handle.logs(who).bulk());
    Ok(Box::pin(async_stream::try_stream! {
        let chunk = |what| pb::ContentChunk { what: Some(what) };
        for (content, offset) in wanted {
            let read = bulk.read_held(attempt.task, tree, content, offset).await;
            let (size, mut reader) = read.map_err(bulk_status)?;
            yield chunk(pb::content_chunk::What::Begin(size));
            let mut left = size.saturating_sub(offset);
            while left > 0 {
                let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
                reader.read_exact(&mut piece).await.map_err(broken)?;
                left -= piece.len() as u64;
                yield chunk(pb::content_chunk::What::Data(piece.into()));
            }
        }
    }))
}

/// A bucket that is away comes back; a content that is shorter than it was does not grow.
fn broken(error: io::Error) -> Status {
    let text = error.to_string();
    match error.get_ref() {
        Some(cause) if cause.is::<BucketError>() => Status::unavailable(text),
        Some(_) | None => Status::data_loss(text),
    }
}
