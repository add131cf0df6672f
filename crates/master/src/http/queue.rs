//! `/api/v1/queue`: what waits, in the order of placement.

use super::dto::{List, Task};
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::view;
use crate::handle::Handle;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudai_core::queue::Place;

/// The longest page.
const MAX_LIMIT: u64 = 1000;

/// A page of the queue.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<Task>>, Problem> {
    let limit = query.whole("limit", 1..=MAX_LIMIT).unwrap_or(MAX_LIMIT);
    let after = query.parsed("cursor", read_cursor);
    query.close()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut tasks = handle.queue(&who, after, limit + 1);
    let more = tasks.len() > limit;
    tasks.truncate(limit);
    let next_cursor = tasks.last().filter(|_| more).map(|task| write_cursor(Place::of(&task.record)));
    Ok(Json(List { items: tasks.iter().map(view::task).collect(), next_cursor }))
}

/// A place in the queue as a word without meaning for clients.
fn write_cursor(place: Place) -> String {
    let (priority, order) = place.parts();
    URL_SAFE_NO_PAD.encode([&b"q"[..], &priority.to_be_bytes(), &order.to_be_bytes()].concat())
}

fn read_cursor(text: &str) -> Result<Place, String> {
    let wrong = || "is no cursor: pass next_cursor of the page before as it is".to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let bytes: [u8; 13] = bytes.try_into().map_err(|_| wrong())?;
    let (priority, order) = bytes[1..].split_at(4);
    let place = (priority.try_into().map(i32::from_be_bytes), order.try_into().map(u64::from_be_bytes));
    match (bytes[0], place) {
        (b'q', (Ok(priority), Ok(order))) => Ok(Place::at(priority, order)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        for (priority, order) in [(0, 1), (-100, u64::MAX), (100, 0)] {
            let place = Place::at(priority, order);
            assert_eq!(read_cursor(&write_cursor(place)), Ok(place));
        }
        for bad in ["", "x", "====", "bm9wZQ", &write_cursor(Place::at(0, 1))[2..]] {
            assert!(read_cursor(bad).unwrap_err().contains("is no cursor"), "{bad}");
        }
    }
}
