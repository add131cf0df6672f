//! Stored secrets, and stored credentials of registries.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stored secret; its value is shown to nobody.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Secret {
    /// What it is called.
    pub name: String,
    /// How large it is.
    pub bytes: usize,
    /// When it was kept first.
    pub created_at: String,
    /// When its value was kept.
    pub updated_at: String,
}

/// What a new key was made for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Rotated {
    /// How many secrets are sealed with it, credentials of registries included.
    pub secrets: usize,
}

/// Stored credentials; their password is shown to nobody.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Registry {
    /// `HOST[:PORT]`; `docker.io` is Docker Hub.
    pub host: String,
    /// Under which name; null when the key is not there that it was sealed with.
    pub username: Option<String>,
    /// `own`, or `cluster`: for the tasks of all who have none of their own.
    pub scope: String,
    /// When they were kept first.
    pub created_at: String,
    /// When they were kept.
    pub updated_at: String,
}
