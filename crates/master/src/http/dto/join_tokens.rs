//! Join tokens as operators see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What lets workers join; the token itself is told once, when it is made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct IssuedToken {
    /// What it is called.
    pub id: String,
    /// What a worker shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether it lets in more than one worker.
    pub reusable: bool,
    /// `valid`, `used`, `expired` or `revoked`.
    pub state: String,
    /// How many certificates were given for it.
    pub uses: u64,
    /// When it was made.
    pub created_at: String,
    /// From when on it lets nobody in; null for never.
    pub expires_at: Option<String>,
}
