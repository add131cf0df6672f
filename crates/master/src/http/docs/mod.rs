//! What each route says of itself, by noun, in the order of the table of routes. `openapi/doc.rs` has the words.

pub(super) mod cluster;
pub(super) mod events;
pub(super) mod jobs;
pub(super) mod logs;
pub(super) mod people;
pub(super) mod stored;
pub(super) mod tasks;
pub(super) mod telemetry;
pub(super) mod workers;

use super::openapi::doc::{Answer, Body, Doc, Param};
use super::openapi::shapes::{self, Schemas, list_of, of};
use super::problem::Code;

/// Parameters that several calls take alike.
const CURSOR: Param = Param::text("cursor", "`next_cursor` of the page before, as it is");
const LIMIT: Param = Param::whole("limit", (1, 1000), "Rows of a page").default("50");
const USER: Param =
    Param::text("user", "Whose; the caller's where nothing is said, everybody's with `*` (for operators)");
const NAME: Param = Param::text("name", "The beginning of their names");
const PART: Param = Param::text("part", "4 or more characters with which the id begins or ends").required();
const WAIT: Param = Param::number("wait_s", (0.0, 60.0), "Answers when it has ended, or when so many seconds are over");
const KEY: Param = Param::header("Idempotency-Key", "Sent again under the same key, it is accepted once");
const FIELDS: Param = Param::text("fields", "Only these fields of each row, as `id,status`");
const IF_MATCH: Param = Param::header("If-Match", "Only if its `ETag` is still one of these; `*`: only if it is there");
const IF_NONE_MATCH: Param = Param::header("If-None-Match", "`*`: only if there is none of this name yet");
const STATUSES: &[&str] = &["queued", "pending", "running", "completed", "failed", "cancelled"];
