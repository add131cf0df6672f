//! What the master keeps for users: contents, secrets, credentials, templates, schedules.

use super::*;
use crate::http::dto::{Blob, Job, Policy, Registry, Rotated, Schedule, Secret, Task, Template};
use serde_json::{Value, json};

const VERSION: Param = Param::whole("version", (1, 4_294_967_295), "Which version; the latest where nothing is said");
const MADE: &[Answer] = &[
    Answer::json(201, "What it made", shapes::either::<Task, Job>).with("Location", "Where it is found"),
    Answer::json(200, "It was made before, under the same key", shapes::either::<Task, Job>),
];
const TAG: (&str, &str) = ("ETag", "What it is now, for If-Match");

pub(in crate::http) const BLOBS: Doc = Doc::new(
    "blobs_send",
    "Keeps several small contents, all or none",
    &[Answer::json(201, "They are kept", list_of::<Blob>)],
)
.about("Each behind its length in digits and a line feed.")
.body(Body::Bytes)
.problems(&[Code::Full]);

pub(in crate::http) const BLOBS_KEPT: Doc = Doc::new(
    "blobs_kept",
    "How much is kept of contents",
    &[Answer::json(200, "In the order in which they are asked for", list_of::<Blob>)],
)
.body(Body::Json(hashes));

pub(in crate::http) const BLOB: Doc = Doc::new(
    "blobs_put",
    "Keeps a piece of a content",
    &[Answer::json(201, "It is whole", of::<Blob>), Answer::json(202, "There is more to come", of::<Blob>)],
)
.params(&[
    Param::whole("offset", (0, 1 << 44), "Where the piece begins").default("0"),
    Param::whole("size", (0, 1 << 44), "How long the whole content is").required(),
])
.body(Body::Bytes)
.problems(&[Code::Conflict, Code::Full]);

pub(in crate::http) const SECRETS: Doc = Doc::new(
    "secrets_list",
    "Your secrets, without their values",
    &[Answer::json(200, "All of them", list_of::<Secret>)],
);

pub(in crate::http) const SECRETS_ROTATE: Doc = Doc::new(
    "secrets_rotate",
    "Seals all secrets of the cluster with a new key",
    &[Answer::json(200, "How many there are", of::<Rotated>)],
);

pub(in crate::http) const SECRET_PUT: Doc = Doc::new(
    "secrets_put",
    "Keeps a secret; the body is its value",
    &[
        Answer::json(201, "It is kept", of::<Secret>),
        Answer::json(200, "It is kept in the place of an earlier one", of::<Secret>),
    ],
)
.body(Body::Bytes)
.problems(&[Code::Conflict]);

pub(in crate::http) const SECRET_REMOVE: Doc =
    Doc::new("secrets_remove", "Removes a secret", &[Answer::nothing(204, "It is gone")]);

pub(in crate::http) const REGISTRIES: Doc = Doc::new(
    "registries_list",
    "Your credentials of registries and the cluster's, without passwords",
    &[Answer::json(200, "All of them", list_of::<Registry>)],
);

pub(in crate::http) const REGISTRY_PUT: Doc = Doc::new(
    "registries_put",
    "Keeps credentials of a registry",
    &[
        Answer::json(201, "They are kept", of::<Registry>),
        Answer::json(200, "They are kept in the place of earlier ones", of::<Registry>),
    ],
)
.body(Body::Json(credentials))
.problems(&[Code::Conflict]);

pub(in crate::http) const REGISTRY_REMOVE: Doc =
    Doc::new("registries_remove", "Removes credentials of a registry", &[Answer::nothing(204, "They are gone")])
        .params(&[Param::word("scope", &["own", "cluster"], "Whose").default("own")]);

pub(in crate::http) const POLICY: Doc =
    Doc::new("policy_get", "What tasks may ask for", &[Answer::json(200, "As it is in force", of::<Policy>)]);

pub(in crate::http) const TEMPLATES: Doc = Doc::new(
    "templates_list",
    "Your templates, each in its latest version",
    &[Answer::json(200, "In the order of their names", list_of::<Template>)],
);

pub(in crate::http) const TEMPLATE: Doc = Doc::new(
    "templates_get",
    "One template, with its document",
    &[Answer::json(200, "The template", of::<Template>).with(TAG.0, TAG.1)],
)
.params(&[VERSION]);

pub(in crate::http) const TEMPLATE_PUT: Doc = Doc::new(
    "templates_put",
    "Keeps a template as its next version",
    &[
        Answer::json(201, "It is the latest now", of::<Template>).with(TAG.0, TAG.1),
        Answer::json(200, "It was the latest before", of::<Template>).with(TAG.0, TAG.1),
    ],
)
.params(&[IF_MATCH, IF_NONE_MATCH])
.body(Body::Json(template))
.problems(&[Code::Conflict, Code::Changed]);

pub(in crate::http) const TEMPLATE_REMOVE: Doc =
    Doc::new("templates_remove", "Removes a template with all of its versions", &[Answer::nothing(204, "It is gone")]);

pub(in crate::http) const TEMPLATE_RUN: Doc =
    Doc::new("templates_run", "Fills a template and submits what comes of it", MADE)
        .params(&[VERSION, KEY])
        .body(Body::Perhaps(params))
        .problems(&[Code::Conflict, Code::Unsatisfiable, Code::Full]);

pub(in crate::http) const SCHEDULES: Doc = Doc::new(
    "schedules_list",
    "Your schedules, without what they submit",
    &[Answer::json(200, "In the order of their names", list_of::<Schedule>)],
);

pub(in crate::http) const SCHEDULE: Doc = Doc::new(
    "schedules_get",
    "One schedule and where it stands",
    &[Answer::json(200, "The schedule", of::<Schedule>).with(TAG.0, TAG.1)],
);

pub(in crate::http) const SCHEDULE_PUT: Doc = Doc::new(
    "schedules_put",
    "Keeps a schedule",
    &[
        Answer::json(201, "It is kept", of::<Schedule>).with(TAG.0, TAG.1),
        Answer::json(200, "It is kept in the place of an earlier one", of::<Schedule>).with(TAG.0, TAG.1),
    ],
)
.params(&[IF_MATCH, IF_NONE_MATCH])
.body(Body::Json(schedule))
.problems(&[Code::Conflict, Code::Changed]);

pub(in crate::http) const SCHEDULE_REMOVE: Doc =
    Doc::new("schedules_remove", "Removes a schedule; what it made goes on", &[Answer::nothing(204, "It is gone")]);

pub(in crate::http) const SCHEDULE_PAUSE: Doc = Doc::new(
    "schedules_pause",
    "Keeps the times of a schedule from coming",
    &[Answer::json(200, "The schedule", of::<Schedule>)],
);

pub(in crate::http) const SCHEDULE_RESUME: Doc = Doc::new(
    "schedules_resume",
    "Lets the times of a schedule come again",
    &[Answer::json(200, "The schedule", of::<Schedule>)],
);

pub(in crate::http) const SCHEDULE_RUN: Doc = Doc::new("schedules_run", "Submits now what a schedule is of", MADE)
    .params(&[KEY])
    .problems(&[Code::Conflict, Code::Unsatisfiable, Code::Full]);

fn hashes(_schemas: &mut Schemas) -> Value {
    let hash = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    let list = json!({ "type": "array", "items": hash, "minItems": 1, "maxItems": 10_000 });
    shapes::closed(&json!({ "sha256": list }), &["sha256"])
}

fn credentials(_schemas: &mut Schemas) -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let scope = json!({ "enum": ["own", "cluster"] });
    let fields = json!({ "username": text, "password": text, "scope": scope });
    shapes::closed(&fields, &["username", "password"])
}

fn params(_schemas: &mut Schemas) -> Value {
    shapes::closed(&json!({ "params": { "type": "object" } }), &[])
}

/// `docs/templates.md` says the rest: where parameters stand, values may be texts.
fn template(_schemas: &mut Schemas) -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "description": { "type": "string" },
            "params": { "type": ["object", "array"] },
            "task": { "type": "object" },
            "job": { "type": "object" },
        },
    })
}

fn schedule(schemas: &mut Schemas) -> Value {
    let template = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": { "type": "string" },
            "version": { "type": "integer", "minimum": 1 },
            "params": { "type": "object" },
        },
    });
    let fields = json!({
        "name": { "type": "string" },
        "description": { "type": "string" },
        "cron": { "type": "string", "examples": ["@daily", "30 2 * * 1-5"] },
        "time_zone": { "type": "string", "examples": ["Europe/Berlin"] },
        "overlap": { "enum": ["skip", "queue", "replace"] },
        "catch_up": { "enum": ["none", "last", "all"] },
        "paused": { "type": "boolean" },
        "task": shapes::task(schemas),
        "job": shapes::job(schemas),
        "template": template,
    });
    shapes::closed(&fields, &["cron"])
}
