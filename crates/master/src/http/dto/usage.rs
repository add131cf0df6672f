//! What an attempt took of its worker and of its user's time.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an attempt took. What is not known, or not known yet, is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// The most memory that it was seen to need at once, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// The time of processors that it took, of all cores together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_s: Option<f64>,
    /// How long the task waited for this place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_s: Option<f64>,
    /// How long its image was pulled; absent when it was there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_s: Option<f64>,
    /// How long its container ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_s: Option<f64>,
}
