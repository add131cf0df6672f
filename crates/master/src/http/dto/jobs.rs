//! Jobs, as clients see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A job. Times are ISO 8601 in UTC with milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// `job-<ulid>`.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// Whose it is.
    pub user_id: String,
    /// `held`, `queued`, `running`, `cancelling`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// What it waits for, or why it ended so, and what to do next; may be empty.
    pub message: String,
    /// How many tasks it has, elements of arrays counted.
    pub tasks: u64,
    /// How many named tasks it has.
    pub groups: u32,
    /// How they stand.
    pub counts: JobCounts,
    /// When more than this have failed, what is left is cancelled.
    pub max_fails: Option<u32>,
    /// The job of which this one runs again what did not complete.
    pub retry_of: Option<String>,
    /// Who holds it.
    pub held_by: Option<String>,
    /// When it was accepted.
    pub created_at: String,
    /// When the first of its tasks ran.
    pub started_at: Option<String>,
    /// When the last of its tasks ended.
    pub finished_at: Option<String>,
    /// Grows with each change.
    pub version: u64,
    /// Its named tasks, in the order of its file; only where one job is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<JobPart>,
    /// For `from_part=`, where there are more than one answer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_part: Option<usize>,
}

/// How tasks stand; together they are all there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobCounts {
    /// Wait.
    pub queued: u64,
    /// Have a worker; their containers do not run yet.
    pub pending: u64,
    /// Run.
    pub running: u64,
    /// Ended with exit code 0.
    pub completed: u64,
    /// Ended otherwise, or need something that did.
    pub failed: u64,
    /// Were cancelled, need something that was, or were not needed.
    pub cancelled: u64,
}

/// How the elements of an array stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArrayCounts {
    /// How many there are.
    pub total: u64,
    /// How they stand.
    #[serde(flatten)]
    pub counts: JobCounts,
}

/// A named task of a job, or an array.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobPart {
    /// Its name in the job.
    pub name: String,
    /// Its task id; of an array that of the whole.
    pub id: String,
    /// The image's reference.
    pub image: String,
    /// The indexes of an array, as `0-99:2`.
    pub array: Option<String>,
    /// So many of the array at a time at most.
    pub at_once: Option<u32>,
    /// How many tasks it is.
    pub tasks: u32,
    /// `waiting`, `queued`, `pending`, `running`, `completed`, `failed`, `cancelled` or `skipped`.
    pub status: String,
    /// What it waits for, or why it ended so; may be empty.
    pub message: String,
    /// How its tasks stand.
    pub counts: JobCounts,
    /// What it needs.
    pub needs: Vec<JobNeed>,
    /// How many others stand between it and the start; 0 for what needs nothing of the job.
    pub level: u32,
}

/// What a task of a job needs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobNeed {
    /// The name of another task of the job, or the id of one outside.
    pub task: String,
    /// `success`, `failure` or `any`.
    pub when: String,
}
