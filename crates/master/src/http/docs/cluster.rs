//! The cluster as a whole: strategies, advice, backups, and what helps to find a fault.

use super::*;
use crate::http::dto::advice::Advice;
use crate::http::dto::audit::{Row, Verdict};
use crate::http::dto::consumed::Report;
use crate::http::dto::{Cluster, Happened, Predictions, Reconciled, Restore, Strategies};
use serde_json::{Value, json};

const LINES: Param = Param::whole("limit", (1, 10_000), "Lines of each kind").default("1000");

pub(in crate::http) const ADVICE: Doc = Doc::new(
    "advice_get",
    "What your tasks took, and what the next should ask for, name by name",
    &[Answer::json(200, "The advice", of::<Advice>)],
)
.params(&[
    Param::text("name_prefix", "The beginning of their names").required(),
    Param::whole("limit", (1, 1000), "Attempts of each name").default("200"),
    Param::number("quantile", (0.5, 1.0), "The share of runs for which a proposal is to be enough").default("0.95"),
]);

pub(in crate::http) const STRATEGIES: Doc = Doc::new(
    "strategies_list",
    "What can place tasks, and which does",
    &[Answer::json(200, "All of them", of::<Strategies>)],
);

pub(in crate::http) const SET: Doc = Doc::new(
    "strategies_set",
    "Lets another strategy place, or the same with other knobs",
    &[Answer::json(200, "All of them, and which places now", of::<Strategies>)],
)
.body(Body::Json(strategy));

pub(in crate::http) const PREDICTIONS: Doc = Doc::new(
    "strategies_predictions",
    "What is known of run times",
    &[Answer::json(200, "Kinds of tasks, and how good predictions were", of::<Predictions>)],
)
.params(&[Param::whole("limit", (1, 1000), "Kinds of tasks").default("100")]);

pub(in crate::http) const GET: Doc =
    Doc::new("cluster_get", "The cluster in short", &[Answer::json(200, "How it is", of::<Cluster>)]);

const SINCE: Param = Param::text("since", "From this moment on, as 2026-01-31T08:00:00Z");
const UNTIL: Param = Param::text("until", "Until this moment");

pub(in crate::http) const USAGE: Doc = Doc::new(
    "usage_get",
    "What ended attempts took of the cluster, added up",
    &[Answer::json_or(200, "The sums; with `format=csv` a table for spreadsheets", of::<Report>, "text/csv")],
)
.params(&[
    SINCE,
    UNTIL,
    Param::text("by", "`user`, `project`, `name` or `label:KEY`").default("user"),
    Param::word("format", &["json", "csv"], "As what").default("json"),
]);

pub(in crate::http) const AUDIT: Doc = Doc::new(
    "audit_list",
    "Who did what, the latest first",
    &[Answer::json(200, "A page of the audit log", list_of::<Row>)],
)
.params(&[
    SINCE,
    UNTIL,
    Param::text("user", "What this one did"),
    Param::text("action", "The beginning of actions"),
    Param::text("object", "What was done to it"),
    LIMIT,
    CURSOR,
]);

pub(in crate::http) const AUDIT_VERIFY: Doc =
    Doc::new("audit_verify", "Whether the audit log is whole", &[Answer::json(200, "What was found", of::<Verdict>)])
        .params(&[Param::text("expect_head", "`SEQ:MAC`, a head that was kept elsewhere: it must be among the rows")]);

pub(in crate::http) const BACKUP: Doc = Doc::new(
    "cluster_backup",
    "The records of this moment as one file",
    &[Answer::raw(200, "The backup", &["application/octet-stream"])],
)
.problems(&[Code::Full]);

pub(in crate::http) const RESTORE: Doc = Doc::new(
    "cluster_restore",
    "Puts a backup in the place of all records",
    &[Answer::json(202, "It is on disk: the master begins again with it", of::<Restore>)],
)
.body(Body::Bytes)
.problems(&[Code::BadBackup, Code::Conflict]);

pub(in crate::http) const STATE: Doc = Doc::new(
    "debug_state",
    "The core's state at one moment; its form may change",
    &[Answer::json(200, "The state", shapes::anything)],
)
.params(&[LINES]);

pub(in crate::http) const EVENTS: Doc = Doc::new(
    "debug_events",
    "The last events of the engine",
    &[Answer::json(200, "The earliest first", list_of::<Happened>)],
)
.params(&[LINES]);

pub(in crate::http) const RECONCILE: Doc = Doc::new(
    "debug_reconcile",
    "Compares ledgers, tasks and what workers told, and mends what differs",
    &[Answer::json(200, "What differed", of::<Reconciled>)],
)
.params(&[Param::flag("dry_run", "Mends nothing")]);

fn strategy(_schemas: &mut Schemas) -> Value {
    let name = json!({ "type": "string", "enum": cloudai_core::strategy::names() });
    let knobs = json!({ "type": ["object", "null"], "additionalProperties": { "type": ["number", "null"] } });
    shapes::closed(&json!({ "name": name, "knobs": knobs }), &["name"])
}
