//! Stored secrets.

use serde::{Deserialize, Serialize};

/// A stored secret; its value is shown to nobody.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rotated {
    /// How many secrets are sealed with it.
    pub secrets: usize,
}
