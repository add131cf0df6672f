//! What attempts took of the cluster, in sums.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A report.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageReport)]
pub struct Report {
    /// From when on it counts.
    pub since: String,
    /// Until when.
    pub until: String,
    /// `user`, `project`, `label:KEY` or `name`.
    pub by: String,
    /// In the order of their keys.
    pub items: Vec<Row>,
    /// There were more tasks than one report looks at: those that were submitted earliest are left out.
    pub cut: bool,
}

/// The sums of one user, project, label or name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageRow)]
pub struct Row {
    /// Which; absent for tasks without such a label or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Tasks that ended.
    pub tasks: u64,
    /// Attempts that ended.
    pub attempts: u64,
    /// Hours of a processor core that attempts were given.
    pub cpu_core_hours: f64,
    /// Hours of a GiB of memory that they were given.
    pub memory_gib_hours: f64,
    /// Hours of a GPU that they were given.
    pub gpu_hours: f64,
    /// Hours of a processor core that they were measured to use.
    pub cpu_used_core_hours: f64,
    /// What their files come to now; absent by label and by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_bytes: Option<u64>,
}
