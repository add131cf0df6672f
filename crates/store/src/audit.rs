//! The audit log as a store keeps it: rows that are added and never changed, and the head that was written with the
//! last.
//!
//! What stands in a row, and by what it is seen that one was changed, is the master's business: a store keeps texts.

use crate::StoreError;
use crate::query::{Cursor, MAX_LIMIT};
use cloudai_core::time::Timestamp;

/// The fact that is the head of the log; changed with the rows, in the same commit.
pub const AUDIT_HEAD: &str = "audit/head";

/// How many different actions may begin with the prefix that is asked for: their rows are looked for action by action.
/// A master knows a few hundred.
pub const MAX_ACTIONS: usize = 1000;

/// One thing that somebody did, or was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its place: from 1, without gaps.
    pub seq: u64,
    /// When; never before the row in front of it.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What.
    pub action: String,
    /// To what; none where there is no such thing.
    pub object: Option<String>,
    /// Everything else, as JSON.
    pub body: String,
    /// What ties it to the row in front of it.
    pub mac: Vec<u8>,
}

/// Which rows of the audit log, the latest first.
///
/// Served: any times, alone or with one of `user`, `action`, `object`, or with `user` and `action`.
/// Refused: `object` with `user` or `action`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only what was at this time or later.
    pub since: Option<Timestamp>,
    /// Only what was before this time.
    pub until: Option<Timestamp>,
    /// Only what this one did.
    pub user: Option<String>,
    /// Only what begins so.
    pub action: Option<String>,
    /// Only what was done to this.
    pub object: Option<String>,
    /// At most so many (1 to 1,000).
    pub limit: usize,
    /// Go on behind this row, as an earlier page told.
    pub cursor: Option<Cursor>,
}

impl AuditQuery {
    /// Whether this question is served at all.
    /// # Errors
    /// [`StoreError::Unsupported`] with the pair that no index serves, or a limit out of range.
    pub fn check(&self) -> Result<(), StoreError> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(StoreError::Unsupported(format!("limit is {}: expected 1 to {MAX_LIMIT}", self.limit)));
        }
        if self.object.is_some() && (self.user.is_some() || self.action.is_some()) {
            let why = "no index serves object together with user or action: give object alone, or those";
            return Err(StoreError::Unsupported(why.to_owned()));
        }
        Ok(())
    }

    /// Whether a row is one of those that are asked for, wherever the cursor is.
    #[must_use]
    pub fn matches(&self, row: &AuditRow) -> bool {
        self.since.is_none_or(|since| row.at >= since)
            && self.until.is_none_or(|until| row.at < until)
            && self.user.as_ref().is_none_or(|user| *user == row.who)
            && self.action.as_ref().is_none_or(|action| row.action.starts_with(action.as_str()))
            && self.object.as_ref().is_none_or(|object| row.object.as_ref() == Some(object))
    }
}

/// The refusal of a prefix that too many actions begin with.
pub(crate) fn too_many_actions(prefix: &str) -> StoreError {
    StoreError::Unsupported(format!("more than {MAX_ACTIONS} actions begin with {prefix:?}: give a longer action"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_with_user_or_action_is_refused_by_name() {
        let object = AuditQuery { object: Some("task-1".into()), limit: 1, ..AuditQuery::default() };
        assert!(object.check().is_ok());
        for pair in [
            AuditQuery { user: Some("ann".into()), ..object.clone() },
            AuditQuery { action: Some("POST".into()), ..object },
        ] {
            assert!(pair.check().unwrap_err().to_string().contains("object together with user or action"));
        }
        assert!(AuditQuery { limit: 0, ..AuditQuery::default() }.check().is_err());
    }
}
