//! What happens, as it happens.

use super::*;

const TYPES: Param = Param::words("types", &["task", "job", "worker", "strategy"], "Only events of these kinds");
const TASK: Param = Param::text("task", "Only events of this task, and of the elements of this array");
const JOB: Param = Param::text("job", "Only events of this job and of its tasks");
const OF_USER: Param = Param::text("user", "Only what belongs to this user");
const FROM: Param = Param::text("from_seq", "From this event on: its `id`, or its number under the same master");
const LAST: Param = Param::header("Last-Event-ID", "The `id` of the last event that was seen: goes on behind it");
const STREAMED: &[Param] = &[TYPES, TASK, JOB, OF_USER, FROM, LAST];
const PARAMS: &[Param] = &[TYPES, TASK, JOB, OF_USER, FROM];
const GONE: &[Code] = &[Code::Gone];

pub(in crate::http) const STREAM: Doc = Doc::new(
    "events_stream",
    "What changes, as server-sent events",
    &[Answer::raw(200, "Events: docs/rest.md has their form", &["text/event-stream"])],
)
.params(STREAMED)
.problems(GONE);

pub(in crate::http) const SOCKET: Doc = Doc::new(
    "events_socket",
    "What changes, over a WebSocket",
    &[Answer::nothing(101, "A JSON text for each event follows")],
)
.params(PARAMS)
.problems(GONE);
