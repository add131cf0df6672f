//! Signing in, users, projects, API keys.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// A secret that is told once. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Once(pub String);

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(told once)")
    }
}

/// What whoever signs in is given.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tokens {
    /// For `Authorization: Bearer`, for some minutes.
    pub access_token: Once,
    /// `Bearer`.
    pub token_type: String,
    /// How long the access token is good, in seconds.
    pub expires_in: u64,
    /// For the next tokens; good once.
    pub refresh_token: Once,
    /// Who signed in.
    pub user: Who,
}

/// A name and a role.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Who {
    /// The name.
    pub name: String,
    /// `viewer`, `user`, `operator` or `admin`.
    pub role: String,
}

/// Who asks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The name.
    pub name: String,
    /// What holds: the lesser of the user's role and the key's.
    pub role: String,
    /// Whose members see each other's tasks.
    pub projects: Vec<String>,
    /// The name of the API key that was shown; absent of an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When what was shown ends by itself; absent of a key without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// The name.
    pub name: String,
    /// `viewer`, `user`, `operator` or `admin`.
    pub role: String,
    /// Whether the user may not come in.
    pub disabled: bool,
    /// When it was made.
    pub created_at: String,
    /// When it was changed last.
    pub updated_at: String,
    /// The password that was made for it; told once, in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Once>,
}

/// A project.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// The name.
    pub name: String,
    /// Who is of it.
    pub members: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it was changed last.
    pub updated_at: String,
}

/// An API key.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ApiKey {
    /// What it is removed by.
    pub id: String,
    /// For people.
    pub name: String,
    /// Whose.
    pub user: String,
    /// The most that it may; absent where that is what its user may.
    pub role: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When it ends; absent where it does not.
    pub expires_at: Option<String>,
    /// When it was used last, to the hour; absent where it never was.
    pub last_used_at: Option<String>,
    /// The key; told once, in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Once>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_sent_and_not_shown() {
        let once = Once("hush".into());
        assert_eq!(serde_json::to_string(&once).unwrap(), "\"hush\"");
        assert!(!format!("{once:?}").contains("hush"));
    }
}
