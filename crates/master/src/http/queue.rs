//! `/api/v1/queue`: what waits, in the order in which it gets its turn.

use super::dto::{List, Queued};
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::view;
use crate::handle::Handle;
use crate::handle::queue::{Cursor, Stand};
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudai_core::queue::Place;
use cloudai_core::strategy::{Key, Spot};

/// The longest page.
const MAX_LIMIT: u64 = 1000;

/// A page of the queue.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<Queued>>, Problem> {
    let limit = query.whole("limit", 1..=MAX_LIMIT).unwrap_or(MAX_LIMIT);
    let after = query.parsed("cursor", read_cursor);
    query.close()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut queue = handle.queue(&who, after, limit + 1).await?;
    let more = queue.len() > limit;
    queue.truncate(limit);
    let next_cursor = queue.last().filter(|_| more).map(|waiting| write_cursor(waiting.cursor));
    let items = queue.iter().map(|waiting| Queued { task: view::task(&waiting.task), place: waiting.place });
    Ok(Json(List { items: items.collect(), next_cursor }))
}

/// Where a list goes on as a word without meaning for clients.
fn write_cursor(cursor: Cursor) -> String {
    let of_place = |place: Place| {
        let (priority, order) = place.parts();
        (u64::from(priority.cast_unsigned()), order)
    };
    let (tag, (first, second)) = match cursor.spot {
        Stand::Waits(Spot::Pinned(place)) => (b'p', of_place(place)),
        Stand::Waits(Spot::Line(key)) => (b'l', key.parts()),
        Stand::Waits(Spot::Outside(place)) => (b'o', of_place(place)),
        Stand::Aside(place) => (b'a', of_place(place)),
    };
    let numbers = [first, second, cursor.places].map(u64::to_be_bytes);
    URL_SAFE_NO_PAD.encode([&[tag], numbers.as_flattened()].concat())
}

fn read_cursor(text: &str) -> Result<Cursor, String> {
    let wrong = || "is no cursor: pass next_cursor of the page before as it is".to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let bytes: [u8; 25] = bytes.try_into().map_err(|_| wrong())?;
    let (numbers, _) = bytes[1..].as_chunks::<8>();
    let [first, second, places] = [0, 1, 2].map(|at| u64::from_be_bytes(numbers[at]));
    let place = || u32::try_from(first).map(|priority| Place::at(priority.cast_signed(), second)).map_err(|_| wrong());
    let spot = match bytes[0] {
        b'p' => Stand::Waits(Spot::Pinned(place()?)),
        b'l' => Stand::Waits(Spot::Line(Key::at(first, second))),
        b'o' => Stand::Waits(Spot::Outside(place()?)),
        b'a' => Stand::Aside(place()?),
        _ => return Err(wrong()),
    };
    Ok(Cursor { spot, places })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let places = [(0, 1), (-100, u64::MAX), (100, 0)].map(|(priority, order)| Place::at(priority, order));
        let spots = places.into_iter().flat_map(|place| {
            let key = Key::at(place.parts().1, 7);
            [Spot::Pinned(place), Spot::Line(key), Spot::Outside(place)]
                .map(Stand::Waits)
                .into_iter()
                .chain([Stand::Aside(place)])
        });
        for spot in spots {
            let cursor = Cursor { spot, places: 41 };
            assert_eq!(read_cursor(&write_cursor(cursor)), Ok(cursor));
        }
        let good = write_cursor(Cursor { spot: Stand::Aside(Place::at(0, 1)), places: 0 });
        let other = URL_SAFE_NO_PAD.encode([b'x'; 25]);
        let large = URL_SAFE_NO_PAD.encode([[b'p'].as_slice(), &[255; 24]].concat());
        for bad in ["", "x", "====", "bm9wZQ", &good[4..], &other, &large] {
            assert!(read_cursor(bad).unwrap_err().contains("is no cursor"), "{bad}");
        }
    }
}
