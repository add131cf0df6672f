//! What changes, as it changes: `/api/v1/events` as server-sent events, `/ws/events` over a WebSocket.
//!
//! Both read the same [`Feed`](crate::feed::Feed) at their own pace and hold nothing themselves: a client that
//! is slower than what is kept is told that it has lost events, and let go.

mod follower;
mod socket;
mod wanted;

use super::dto::events::Event;
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use crate::handle::Handle;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use follower::{Follower, Step};
use futures::stream::{Stream, unfold};
pub(super) use socket::open as socket;
use std::convert::Infallible;
use tokio::sync::OwnedSemaphorePermit;
use wanted::Wanted;

/// Where a browser says which event it saw last.
const LAST_EVENT_ID: &str = "last-event-id";

/// Events as they come, until the client goes.
pub(super) async fn stream(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = Wanted::read(&mut query);
    query.close()?;
    let last = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or("?"));
    let follower = Follower::begin(handle, who, wanted, last)?;
    let place = follower.live().place()?;
    let body = Body::from_stream(text(follower, place));
    Ok(([(CONTENT_TYPE, "text/event-stream")], body).into_response())
}

/// The body; it is pulled by its reader, so a slow client slows nothing but itself.
fn text(follower: Follower, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Bytes, Infallible>> {
    unfold(Some((follower, place, true)), |state| async move {
        let (mut follower, place, first) = state?;
        if first {
            let start = block(&follower.start());
            return Some((Ok(start.into()), Some((follower, place, false))));
        }
        let (piece, goes_on): (String, bool) = match follower.next().await {
            Step::Events(events) => (events.iter().map(block).collect(), true),
            // An id without data is remembered by clients and tells them nothing else.
            Step::Quiet => (format!("id: {}\n\n", follower.position()), true),
            Step::Lost(reset) => (block(&reset), false),
            Step::Stopping => return None,
        };
        Some((Ok(piece.into()), goes_on.then_some((follower, place, false))))
    })
}

/// One event as it stands in the stream.
fn block(event: &Event) -> String {
    // A plain struct always is JSON, and JSON has no line feeds of its own.
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\nevent: {}\ndata: {data}\n\n", event.id, event.kind)
}
