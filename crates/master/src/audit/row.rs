//! What stands in a row of the audit log.

use crate::principal::Principal;
use cloudai_core::time::Timestamp;
use cloudai_store::audit::AuditRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Who it is when nobody said, or nobody was believed: no user is called so.
pub(crate) const NOBODY: &str = "-";
/// The longest action and object, in characters: routes and ids are far below it.
const LONGEST: usize = 512;
/// The most that details may take as JSON, in bytes: the command line of an `exec`, which came in the head of a
/// request.
const MOST_DETAILS: usize = 128 << 10;
/// Before what ties a row: that of another form has another mac.
const FORM: &[u8] = b"cloudai audit row 1\n";

/// Something that somebody did, or was refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Who.
    pub(crate) who: String,
    /// What: the method and the template of a route, or `grpc` and the call.
    pub(crate) action: String,
    /// To what: the id of the path, else the one that was made.
    pub(crate) object: Option<String>,
    /// Everything else.
    pub(crate) body: Body,
}

/// What is kept beside the columns that lists are narrowed by. Never a body, never a secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Body {
    /// As what they did it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) role: String,
    /// By what they showed who they are: the id of a key, or the kind of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) via: Option<String>,
    /// The address it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// How it went.
    #[serde(default)]
    pub(crate) outcome: Outcome,
    /// The request's id, which log lines and the answer carry as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
    /// How many like it there were within a second; the row tells the first.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) count: u64,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) details: BTreeMap<String, Value>,
}

const fn one() -> u64 {
    1
}

const fn is_one(count: &u64) -> bool {
    *count == 1
}

/// How something went.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// `ok`, the word of the problem, or `unknown` where the caller went away first.
    pub(crate) word: String,
    /// The status of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
}

impl Outcome {
    /// It was done.
    pub(crate) fn ok(status: Option<u16>) -> Self {
        Self { word: "ok".into(), status }
    }

    /// It was refused, or failed.
    pub(crate) fn refused(word: impl Into<String>, status: Option<u16>) -> Self {
        Self { word: word.into(), status }
    }

    /// Nobody waited for the end: it may have been done.
    pub(crate) fn unknown() -> Self {
        Self { word: "unknown".into(), status: None }
    }

    /// Whether it was done.
    pub(crate) fn is_ok(&self) -> bool {
        self.word == "ok"
    }
}

impl Entry {
    /// Something that was done; by nobody who is known, until [`Entry::by`] says so.
    pub(crate) fn new(action: impl Into<String>) -> Self {
        let body = Body { outcome: Outcome::ok(None), count: 1, ..Body::default() };
        Self { who: NOBODY.into(), action: action.into(), object: None, body }
    }

    /// Who did it.
    pub(crate) fn by(mut self, who: &Principal) -> Self {
        who.user.as_str().clone_into(&mut self.who);
        who.role().clone_into(&mut self.body.role);
        self
    }

    /// Where it came from.
    pub(crate) fn peer(mut self, peer: Option<std::net::SocketAddr>) -> Self {
        self.body.from = peer.map(|peer| peer.ip().to_canonical().to_string());
        self
    }

    /// To what it was done.
    pub(crate) fn on(mut self, object: Option<String>) -> Self {
        self.object = object;
        self
    }

    /// How it went.
    pub(crate) fn ended(mut self, outcome: Outcome) -> Self {
        self.body.outcome = outcome;
        self
    }

    /// What else is worth knowing.
    pub(crate) fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.details.insert(name.to_owned(), value.into());
        self
    }

    /// The row that it is; its mac is still to come.
    pub(super) fn into_row(mut self, seq: u64, at: Timestamp) -> AuditRow {
        let long = |text: &String| text.chars().nth(LONGEST).is_some();
        let cut = |text: String| if long(&text) { text.chars().take(LONGEST).collect() } else { text };
        // A map of texts always is JSON.
        let size = serde_json::to_string(&self.body.details).map_or(0, |text| text.len());
        if size > MOST_DETAILS {
            self.body.details = [("cut".to_owned(), Value::from(size))].into();
        }
        let body = serde_json::to_string(&self.body).unwrap_or_default();
        AuditRow {
            seq,
            at,
            who: cut(self.who),
            action: cut(self.action),
            object: self.object.map(cut),
            body,
            mac: Vec::new(),
        }
    }
}

/// All of a row but its mac, such that no two rows have the same bytes.
pub(super) fn canonical(row: &AuditRow) -> Vec<u8> {
    let AuditRow { seq, at, who, action, object, body, mac: _ } = row;
    let mut bytes = FORM.to_vec();
    bytes.extend(seq.to_be_bytes());
    bytes.extend(at.as_millis().to_be_bytes());
    bytes.push(u8::from(object.is_some()));
    let none = String::new();
    for text in [who, action, object.as_ref().unwrap_or(&none), body] {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}
