//! `/api/v1/audit`: who did what, and whether the log of that is whole.

use super::dto::List;
use super::dto::audit::{Broken, Head, Row, Verdict};
use super::extract::Caller;
use super::problem::Problem;
use super::query::Parameters;
use super::view::time;
use crate::audit::{self, Body, Expected, Outcome};
use crate::handle::Handle;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloudai_core::time::Timestamp;
use cloudai_store::audit::{AuditQuery, AuditRow};
use cloudai_store::query::{Cursor, MAX_LIMIT};

/// Rows of a page when nothing is said.
const DEFAULT_LIMIT: usize = 50;
/// What the cursors of this list begin with.
const LIST: u8 = b'a';

/// One page of the log, the latest first.
pub(super) async fn list(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<List<Row>>, Problem> {
    let asked = AuditQuery {
        since: query.parsed("since", moment),
        until: query.parsed("until", moment),
        user: query.text("user"),
        action: query.text("action"),
        object: query.text("object"),
        cursor: query.parsed("cursor", read_cursor),
        limit: query
            .whole("limit", 1..=MAX_LIMIT as u64)
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(DEFAULT_LIMIT),
    };
    query.close()?;
    let page = handle.audit(&who, &asked).await?;
    let items = page.items.into_iter().map(shown).collect();
    Ok(Json(List { items, next_cursor: page.next.map(write_cursor) }))
}

/// Walks the whole log.
pub(super) async fn verify(
    Caller(who): Caller,
    State(handle): State<Handle>,
    mut query: Parameters,
) -> Result<Json<Verdict>, Problem> {
    let expected = query.parsed("expect_head", str::parse::<Expected>);
    query.close()?;
    let (audit::Verdict { rows, head, broken }, public_key) = handle.verify_audit(&who, expected.as_ref()).await?;
    let head = head.map(|head| Head {
        keep: head.short(),
        seq: head.seq,
        mac: head.mac,
        at_ms: head.at.as_millis(),
        signature: head.signature,
        public_key,
    });
    let whole = broken.is_none();
    let broken = broken.map(|broken| Broken { seq: broken.seq(), message: broken.to_string() });
    Ok(Json(Verdict { whole, rows, head, broken }))
}

fn shown(row: AuditRow) -> Row {
    let AuditRow { seq, at, who, action, object, body, mac } = row;
    // One that was changed by others may be no JSON any more: what can be read is shown.
    let body: Body = serde_json::from_str(&body).unwrap_or_default();
    let Body { role, via, from, outcome: Outcome { word: outcome, status }, request, count, details } = body;
    let (at, user, mac) = (time(at), who, hex::encode(mac));
    Row { seq, at, user, role, via, from, action, object, outcome, status, request, count, details, mac }
}

/// A time as people and programs write it.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    let moment = text.parse::<jiff::Timestamp>().map_err(|_| "takes a time, as 2026-01-31T08:00:00Z".to_owned())?;
    Ok(Timestamp::from_millis(u64::try_from(moment.as_millisecond()).unwrap_or(0)))
}

/// A place in the list as a word without meaning for clients.
fn write_cursor(Cursor(at): Cursor) -> String {
    let mut bytes = vec![LIST];
    bytes.extend(at.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(text: &str) -> Result<Cursor, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let place = bytes.as_deref().and_then(<[u8]>::split_first).filter(|(list, _)| **list == LIST);
    let place: Option<[u8; 8]> = place.and_then(|(_, place)| place.try_into().ok());
    let wrong = || "is no cursor of this list: pass next_cursor of the page before as it is".to_owned();
    place.map(|place| Cursor(u64::from_be_bytes(place))).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        for at in [0, 7, u64::MAX] {
            assert_eq!(read_cursor(&write_cursor(Cursor(at))), Ok(Cursor(at)));
        }
        let good = write_cursor(Cursor(7));
        for bad in ["", "x", "====", "bgAAAAAAAAAH", &good[1..], &format!("{good}AA")] {
            assert!(read_cursor(bad).unwrap_err().contains("is no cursor"), "{bad}");
        }
    }
}
