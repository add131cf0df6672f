//! What the API tells of users, keys and projects. What a newer master tells beside it is passed on.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// Who asks.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Me {
    /// The name.
    pub(crate) name: String,
    /// What that one may do.
    pub(crate) role: String,
    /// The projects of which that one is a member.
    #[serde(default)]
    pub(crate) projects: Vec<String>,
    /// The rest.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// A user. Its `Debug` shows no password.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct User {
    /// The name.
    pub(crate) name: String,
    /// What that one may do.
    pub(crate) role: String,
    /// Nobody comes in by this name.
    #[serde(default)]
    pub(crate) disabled: bool,
    /// The one that was made for a new user, shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created_at: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// An API key. Its `Debug` does not show it.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Key {
    /// By which it is revoked.
    pub(crate) id: String,
    /// What it is for.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// What may be done with it, where that is less than its owner may do.
    #[serde(default)]
    pub(crate) role: Option<String>,
    /// Itself, shown once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Since when.
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    /// Until when; for ever without.
    #[serde(default)]
    pub(crate) expires_at: Option<String>,
    /// The rest.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A project: its members see each other's tasks.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Project {
    /// The name.
    pub(crate) name: String,
    /// The names of its members.
    #[serde(default)]
    pub(crate) members: Vec<String>,
    /// The rest.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_passed_on_and_no_secret_is_told_by_debug() {
        let told =
            serde_json::json!({ "name": "ann", "role": "user", "disabled": false, "password": "hush", "seen": 1 });
        let user: User = serde_json::from_value(told.clone()).unwrap();
        assert!(!format!("{user:?}").contains("hush"));
        assert_eq!(serde_json::to_value(&user).unwrap(), told);
        let key: Key = serde_json::from_value(serde_json::json!({ "id": "1", "key": "caik_hush" })).unwrap();
        assert!(!format!("{key:?}").contains("hush"));
        let me: Me = serde_json::from_value(serde_json::json!({ "name": "ann", "role": "user" })).unwrap();
        assert_eq!(me.projects, [] as [String; 0]);
    }
}
