//! Probes, the routes of the system that this one succeeds, and what tells of the API itself.

use super::*;
use crate::http::reference::{Basic, Health, Telemetry};

pub(in crate::http) const LIVEZ: Doc =
    Doc::new("livez", "Whether the process serves", &[Answer::raw(200, "It does", &["text/plain"])]);

pub(in crate::http) const READYZ: Doc = Doc::new(
    "readyz",
    "Whether the master takes work",
    &[
        Answer::raw(200, "It does", &["text/plain"]),
        Answer::raw(503, "It does not: a line for each reason", &["text/plain"]),
    ],
);

pub(in crate::http) const HEALTH: Doc =
    Doc::new("health", "Whether all is well, and how many there are", &[Answer::json(200, "How it is", of::<Health>)]);

pub(in crate::http) const CA: Doc = Doc::new(
    "ca",
    "The certificate of the cluster's authority, by which its https is known",
    &[Answer::raw(200, "As PEM", &["application/x-pem-file"])],
)
.problems(&[Code::NotFound]);

pub(in crate::http) const ALL: Doc = Doc::new(
    "telemetry",
    "What every worker said last of its use",
    &[Answer::json(200, "By their names", shapes::map_of::<Telemetry>)],
);

pub(in crate::http) const ONE: Doc =
    Doc::new("telemetry_of", "What a worker said last of its use", &[Answer::json(200, "Its use", of::<Telemetry>)]);

pub(in crate::http) const WORKERS: Doc = Doc::new(
    "telemetry_workers",
    "Every worker in short",
    &[Answer::json(200, "By their names", shapes::map_of::<Basic>)],
);

pub(in crate::http) const LIVE_ALL: Doc = Doc::new(
    "telemetry_live",
    "The telemetry of all workers as heartbeats come, over a WebSocket",
    &[Answer::nothing(101, "Messages follow, one a second at most")],
);

pub(in crate::http) const LIVE_ONE: Doc = Doc::new(
    "telemetry_live_of",
    "The telemetry of a worker as its heartbeats come, over a WebSocket",
    &[Answer::nothing(101, "Messages follow, one a second at most")],
);

pub(in crate::http) const OPENAPI: Doc =
    Doc::new("openapi", "This document", &[Answer::json(200, "OpenAPI 3.1", shapes::anything)]);

pub(in crate::http) const PAGE: Doc =
    Doc::new("docs", "A page that shows this document", &[Answer::raw(200, "The page", &["text/html"])]);
