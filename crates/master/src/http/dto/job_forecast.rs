//! `POST /api/v1/jobs?dry_run=true`: what would become of a job.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What would become of a job if it were submitted now. Times are seconds from now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobForecast {
    /// How many tasks it has, elements of arrays counted.
    pub tasks: u64,
    /// How many named tasks it has.
    pub groups: usize,
    /// How many of them follow one another at most.
    pub levels: u32,
    /// Its named tasks, in the order of its file.
    pub parts: Vec<PartForecast>,
    /// When the last of its tasks ends; null where some never start, or the look ahead was cut.
    pub ends_in_s: Option<f64>,
    /// The most of its tasks that have a worker at the same time.
    pub at_most_at_once: u64,
    /// On how many workers its tasks run.
    pub workers: usize,
    /// The named tasks that decide its end: each needs the one before. Empty where the end is not known.
    pub critical: Vec<String>,
    /// What waits and is left out.
    #[serde(default)]
    pub not_counted: NotCounted,
    /// By what all that is foreseen, one sentence.
    pub assumed: String,
    /// Whether the look ahead ended before the job did.
    pub cut: bool,
}

/// Tasks that wait and are left out of a look ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotCounted {
    /// Held by somebody, or of a job that is: nobody knows when they start.
    pub held: u64,
}

/// What would become of a named task of a job, or of an array.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PartForecast {
    /// Its name in the job.
    pub name: String,
    /// How many tasks it is.
    pub tasks: u32,
    /// How many others stand between it and the start; 0 for what needs nothing of the job.
    pub level: u32,
    /// How many workers could run it if nothing else ran there.
    pub workers_able: usize,
    /// How many have room for it now.
    pub workers_now: usize,
    /// Why no worker could ever run it: a submission would be refused, unless it says `allow_pending`.
    pub never: Option<String>,
    /// It is for the case that something fails: that is not foreseen.
    pub skipped: bool,
    /// When the first of it starts; null where none does.
    pub first_start_s: Option<f64>,
    /// When the last of it ends; null where not all of it does.
    pub last_end_s: Option<f64>,
    /// On how many workers it runs.
    pub workers: usize,
    /// The first three of them by their names.
    pub on: Vec<String>,
}
