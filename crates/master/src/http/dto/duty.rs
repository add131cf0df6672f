//! What keeps a worker from work.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a worker is given no new work.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Duty {
    /// `cordoned`, `draining`, `drained` (it is empty) or `quarantined`.
    pub state: String,
    /// The operator's words, or the failures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The operator; absent for a quarantine, which is the master's doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Since when.
    pub since: String,
    /// Of a drain: when what still runs is stopped and queued again; absent when it is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Of a quarantine: probes that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u32>,
    /// Of a quarantine: before this no task is given to it as a probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_probe: Option<String>,
    /// Of a quarantine: the task that is the probe now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}
