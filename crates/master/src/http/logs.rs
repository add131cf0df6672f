//! `/api/v1/tasks/{id}/logs`: a log as it is, or followed.

use super::extract::{Caller, TaskPath};
use super::follow::Follow;
use super::log_reader::{Reader, Wanted};
use super::problem::{Code, Problem};
use super::query::Parameters;
use crate::handle::Handle;
use crate::model::SeenTask;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cloudai_core::ids::Attempt;
use cloudai_store::bulk::BulkError;
use futures::stream::{Stream, try_unfold};

/// The log of a task, whole or live.
pub(super) async fn read(
    Caller(who): Caller,
    TaskPath(id): TaskPath,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&mut query);
    query.close()?;
    let task = handle.task(&who, id).await?;
    let attempt = attempt_of(&task, wanted.attempt)?;
    let reader = match attempt {
        Some(attempt) => Some(Reader::open(handle.logs(&who), attempt, wanted.clone()).await?),
        None => None,
    };
    let (format, only) = (wanted.format, wanted.attempt);
    let body = match (wanted.follow, reader) {
        (true, reader) => Body::from_stream(Follow::new(handle, who, id, wanted, reader).stream(only)),
        (false, Some(reader)) => {
            let end = reader.logs.bulk().log_position(reader.attempt).await?.records;
            Body::from_stream(until(reader, end))
        }
        (false, None) => Body::empty(),
    };
    Ok(([(CONTENT_TYPE, format.content_type())], body).into_response())
}

/// Which attempt's log is meant; none when there is none yet.
fn attempt_of(task: &SeenTask, wanted: Option<u32>) -> Result<Option<Attempt>, Problem> {
    let latest = task.record.attempt();
    match wanted {
        None => Ok(Some(latest).filter(|latest| latest.number > 0)),
        Some(number) if number <= latest.number => Ok(Some(Attempt { number, ..latest })),
        Some(number) => {
            let why = format!("{} has no attempt {number}: it has had {} so far", latest.task, latest.number);
            Err(Problem::new(Code::NotFound, why))
        }
    }
}

/// Everything up to a record.
fn until(reader: Reader, end: u64) -> impl Stream<Item = Result<Bytes, BulkError>> {
    try_unfold(reader, move |mut reader| async move {
        while reader.next < end {
            match reader.piece().await? {
                Some(piece) if piece.is_empty() => {}
                Some(piece) => return Ok(Some((piece, reader))),
                None => break,
            }
        }
        Ok(None)
    })
}
