//! A user as it is stored. Who may change one stands in `people.rs`.

use super::password::Hash;
use crate::principal::Role;
use cloudai_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::Not;

/// Before the names of the facts of users.
pub(crate) const PREFIX: &str = "user/";
/// Who is made by the first start.
pub(crate) const FIRST: &str = "admin";
/// The most users, removed ones among them.
pub(crate) const MOST: usize = 10_000;

/// A user. One that was removed stays as a name that nobody takes by registering: tasks and secrets are still its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) role: Role,
    /// None signs in by keys alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<Hash>,
    #[serde(default, skip_serializing_if = "Not::not")]
    pub(crate) disabled: bool,
    #[serde(default, skip_serializing_if = "Not::not")]
    pub(crate) removed: bool,
    /// Only grows: access tokens of an earlier one are refused.
    #[serde(default)]
    pub(crate) generation: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

impl User {
    /// A new one.
    pub(crate) const fn new(role: Role, password: Option<Hash>, now: Timestamp) -> Self {
        Self { role, password, disabled: false, removed: false, generation: 0, created_at: now, updated_at: now }
    }

    /// Whether it may come in at all.
    pub(crate) const fn is_active(&self) -> bool {
        !self.disabled && !self.removed
    }

    /// Whether it looks after the cluster.
    pub(crate) fn is_admin(&self) -> bool {
        self.is_active() && self.role == Role::Admin
    }

    /// The same at a later time; its access tokens are refused from then on.
    pub(crate) fn changed(self, now: Timestamp) -> Self {
        Self { generation: self.generation.saturating_add(1), updated_at: now, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_of_before_is_read_and_a_changed_one_has_a_later_generation() {
        let user: User = serde_json::from_str(r#"{"role": "operator", "created_at": 1, "updated_at": 2}"#).unwrap();
        assert!(user.is_active() && !user.is_admin() && user.generation == 0);
        let changed = user.changed(Timestamp::from_millis(9));
        assert_eq!((changed.generation, changed.updated_at), (1, Timestamp::from_millis(9)));
        let text = serde_json::to_string(&User { removed: true, ..changed }).unwrap();
        assert!(!serde_json::from_str::<User>(&text).unwrap().is_active());
    }
}
