//! The audit log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Something that somebody did, or was refused.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditRow)]
pub struct Row {
    /// Its place in the log, from 1.
    pub seq: u64,
    /// When.
    pub at: String,
    /// Who; `-` when nobody said, or nobody was believed.
    pub user: String,
    /// As what they did it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// By what they showed who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The address that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What: the method and the template of a route, or `grpc` and the call.
    pub action: String,
    /// To what: the id of the path, else the one that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// `ok`, the code of the problem, or `unknown` when the caller went away before the end.
    pub outcome: String,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The request's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How many like it there were within a second; the row tells the first.
    pub count: u64,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, Value>,
    /// What ties it to the row in front of it, in hexadecimal digits.
    pub mac: String,
}

/// Whether the log is whole.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditVerdict)]
pub struct Verdict {
    /// It is.
    pub whole: bool,
    /// How many rows were looked at.
    pub rows: u64,
    /// The end of the log; absent when it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// The first that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// The end of the log, as its master signed it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditHead)]
pub struct Head {
    /// The last row.
    pub seq: u64,
    /// Its mac.
    pub mac: String,
    /// When it was written, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// The signature by Ed25519 of `cloudai audit head 1`, the cluster's id, `seq`, `mac` and `at_ms`, a line each.
    pub signature: String,
    /// By which the signature is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// `SEQ:MAC`: what is worth being kept elsewhere.
    pub keep: String,
}

/// What is wrong with a log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditBroken)]
pub struct Broken {
    /// With which row.
    pub seq: u64,
    /// What, as a sentence.
    pub message: String,
}
