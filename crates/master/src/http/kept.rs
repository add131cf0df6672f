//! `/api/v1/files`: what a user's tasks left.

use super::dto::{self, Files, KeptFile, List};
use super::extract::Caller;
use super::files::left_later;
use super::problem::Problem;
use super::query::Parameters;
use super::view::time;
use crate::handle::{Handle, Kept, KeptFrom};
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudai_core::ids::{IdError, TaskId, UserId};
use cloudai_store::query::MAX_LIMIT;

/// Rows of a page when nothing is said.
const DEFAULT_LIMIT: u64 = 50;
/// What the cursors of this list begin with.
const LIST: u8 = b'f';

/// One page of files.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Files>, Problem> {
    let user = query.parsed("user", |text| text.parse::<UserId>().map_err(|error: IdError| error.to_string()));
    let task = query.parsed("task", |text| text.parse::<TaskId>().map_err(|error: IdError| error.to_string()));
    let limit = query.whole("limit", 1..=MAX_LIMIT as u64).unwrap_or(DEFAULT_LIMIT);
    let from = query.parsed("cursor", read_cursor);
    if user.is_some() && task.is_some() {
        query.wrong("user", None, "is given together with task: a task has one user, give one of them");
    }
    query.close()?;
    let limit = usize::try_from(limit).unwrap_or(MAX_LIMIT);
    let kept = match task {
        Some(id) => handle.kept_by(&who, id, from, limit).await?.map_err(|status| left_later(id, status))?,
        None => handle.kept_of(&who, &user.unwrap_or_else(|| who.user.clone()), from, limit).await?,
    };
    let Kept { files, next, usage } = kept;
    let wanted: Vec<_> = files.iter().map(|(_, left)| (left.attempt, left.file.clone())).collect();
    let locations = handle.logs(&who).bulk().locations(&wanted).await?;
    let items = files.into_iter().zip(locations).map(|((task, left), location)| KeptFile {
        task_id: task.id.to_string(),
        task_name: task.spec.name.clone(),
        attempt: left.attempt.number,
        kept_since: time(task.finished_at.unwrap_or_default()),
        file: dto::File { path: left.file.path, size: left.file.size, sha256: left.file.sha256.to_string(), location },
    });
    let list = List { items: items.collect(), next_cursor: next.map(write_cursor) };
    Ok(Json(Files { files: usage.files, bytes: usage.bytes, list }))
}

/// A place in the list as a word without meaning for clients.
fn write_cursor(KeptFrom { order, shown }: KeptFrom) -> String {
    let mut bytes = vec![LIST];
    bytes.extend(order.to_be_bytes());
    bytes.extend(shown.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(text: &str) -> Result<KeptFrom, String> {
    let wrong = || "is no cursor of this list: pass next_cursor of the page before as it is".to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
    let place = bytes.split_first().filter(|(list, _)| **list == LIST).map(|(_, place)| place);
    let (order, shown) = place.and_then(|place| place.split_first_chunk::<8>()).ok_or_else(wrong)?;
    let shown: [u8; 4] = shown.try_into().map_err(|_| wrong())?;
    Ok(KeptFrom { order: u64::from_be_bytes(*order), shown: u32::from_be_bytes(shown) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        for from in [KeptFrom { order: 0, shown: 0 }, KeptFrom { order: u64::MAX, shown: u32::MAX }] {
            assert_eq!(read_cursor(&write_cursor(from)), Ok(from));
        }
        let good = write_cursor(KeptFrom { order: 7, shown: 1 });
        for bad in ["", "x", "====", "bm9wZQ", "bgAAAAAAAAAH", &good[1..], &format!("{good}AA")] {
            assert!(read_cursor(bad).unwrap_err().contains("is no cursor"), "{bad}");
        }
    }
}
