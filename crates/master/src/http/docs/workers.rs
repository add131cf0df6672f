//! Workers, and what keeps them from work.

use super::*;
use crate::http::dto::{IssuedToken, JoinToken, NewWorker, Worker};
use crate::http::join_tokens::LONGEST_S;
use serde_json::{Value, json};

const REASON: Param = Param::text("reason", "Why, for others who look; 200 characters at most");
const CHANGED: &[Answer] = &[Answer::json(200, "The worker", of::<Worker>)];

pub(in crate::http) const LIST: Doc =
    Doc::new("workers_list", "Every worker", &[Answer::json(200, "All of them", shapes::rows_of::<Worker>)])
        .params(&[FIELDS]);

pub(in crate::http) const OLD_LIST: Doc = LIST.named("reference_workers_list");

pub(in crate::http) const CREATE: Doc = Doc::new(
    "workers_create",
    "Adds a worker before it comes, or gives a known one another address",
    &[
        Answer::json(201, "It is added", of::<Worker>).with("Location", "Where it is found"),
        Answer::json(200, "It was known, and has this address now", of::<Worker>),
    ],
)
.body(Body::Json(of::<NewWorker>))
.problems(&[Code::Conflict]);

pub(in crate::http) const OLD_CREATE: Doc = CREATE.named("reference_workers_create");

pub(in crate::http) const TOKEN: Doc =
    Doc::new("cluster_join_token", "What a worker shows to join", &[Answer::json(200, "The token", of::<JoinToken>)])
        .about("The one that the first start made.")
        .problems(&[Code::NotFound]);

pub(in crate::http) const JOIN_TOKENS: Doc = Doc::new(
    "join_tokens_list",
    "What lets workers join, without the tokens themselves",
    &[Answer::json(200, "In the order of their ids", list_of::<IssuedToken>)],
)
.problems(&[Code::Conflict]);

pub(in crate::http) const JOIN_TOKEN_MAKE: Doc = Doc::new(
    "join_tokens_create",
    "Makes a join token",
    &[Answer::json(201, "The token, which no other answer has", of::<IssuedToken>)
        .with("Location", "Where it is found")],
)
.body(Body::Perhaps(join_token))
.problems(&[Code::Conflict]);

pub(in crate::http) const JOIN_TOKEN_REVOKE: Doc = Doc::new(
    "join_tokens_revoke",
    "Takes a join token back; workers that it let in stay",
    &[Answer::nothing(204, "It lets nobody in any more")],
)
.problems(&[Code::Conflict]);

pub(in crate::http) const GET: Doc =
    Doc::new("workers_get", "One worker", &[Answer::json(200, "The worker, with its images", of::<Worker>)]);

pub(in crate::http) const OLD_GET: Doc = GET.named("reference_workers_get");

pub(in crate::http) const REMOVE: Doc =
    Doc::new("workers_remove", "Takes a worker out", &[Answer::nothing(204, "It is out")])
        .params(&[Param::flag("force", "Also one that holds attempts: they are given up")])
        .problems(&[Code::Conflict]);

pub(in crate::http) const OLD_REMOVE: Doc = REMOVE.named("reference_workers_remove");

pub(in crate::http) const LABELS: Doc = Doc::new("workers_labels", "Changes labels of a worker", CHANGED)
    .about("Those that are not named stay. It holds whatever the worker tells of itself.")
    .body(Body::Json(labels));

pub(in crate::http) const CORDON: Doc =
    Doc::new("workers_cordon", "Keeps new work from a worker; what runs goes on", CHANGED).params(&[REASON]);

pub(in crate::http) const DRAIN: Doc =
    Doc::new("workers_drain", "Keeps new work from a worker and empties it", CHANGED).params(&[
        REASON,
        Param::flag("wait", "What runs is waited for"),
        Param::whole("deadline_s", (0, 31_536_000), "Then what still runs is queued again; not with wait")
            .default("600"),
    ]);

pub(in crate::http) const UNDRAIN: Doc =
    Doc::new("workers_undrain", "Gives a worker work again, whatever kept it from work", CHANGED);

fn labels(_schemas: &mut Schemas) -> Value {
    let set = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let remove = json!({ "type": "array", "items": { "type": "string" } });
    shapes::closed(&json!({ "set": set, "remove": remove }), &[])
}

fn join_token(_schemas: &mut Schemas) -> Value {
    let life = json!({ "type": ["integer", "null"], "minimum": 1, "maximum": LONGEST_S });
    let fields = json!({ "reusable": { "type": ["boolean", "null"], "default": true }, "expires_in_s": life });
    shapes::closed(&fields, &[])
}
