//! `/api/v1/queue`: what waits, in the order of placement.

use super::dto::{List, Task};
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::view;
use crate::handle::Handle;
use axum::Json;
use axum::extract::State;

/// The longest answer: the head of the queue is what people look at.
const MAX_LIMIT: u64 = 1000;

/// The head of the queue.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<Task>>, Problem> {
    let limit = query.whole("limit", 1..=MAX_LIMIT).unwrap_or(MAX_LIMIT);
    query.close()?;
    let tasks = handle.queue(&who, usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(Json(List { items: tasks.iter().map(view::task).collect(), next_cursor: None }))
}
