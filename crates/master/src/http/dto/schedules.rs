//! Schedules.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A schedule and where it stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// What it is called.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Minute, hour, day of the month, month, day of the week; or a word, as `@daily`.
    pub cron: String,
    /// A name of the IANA database, as `Europe/Berlin`.
    pub time_zone: String,
    /// What happens when a time comes and the last run has not ended: `skip`, `queue` or `replace`.
    pub overlap: String,
    /// What happens to times that were missed while the master was away: `none`, `last` or `all`.
    pub catch_up: String,
    /// No time comes until it is resumed.
    pub paused: bool,
    /// What is submitted: `task`, `job` or `template`.
    pub what: String,
    /// The task document; only where one schedule is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<serde_json::Value>,
    /// The job file; only where one schedule is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<serde_json::Value>,
    /// The template and what it is filled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateUse>,
    /// The next three times; none while it is paused.
    pub next: Vec<String>,
    /// Times that have come and are to be run: they wait for the last run's end, or for another try.
    pub waiting: Vec<String>,
    /// The last run.
    pub last: Option<ScheduleRun>,
    /// Why nothing was submitted the last time, where nothing was since.
    pub last_error: Option<ScheduleError>,
    /// How many were submitted.
    pub runs: u64,
    /// How many times were left out because a run had not ended.
    pub skipped: u64,
    /// When it was made.
    pub created_at: String,
    /// When it was put last.
    pub updated_at: String,
}

/// A template and what it is filled with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TemplateUse {
    /// Its name.
    pub name: String,
    /// Its version; the latest where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Values by the names of parameters; only where one schedule is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<serde_json::Value>,
}

/// A run of a schedule.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScheduleRun {
    /// For which time; absent of one that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// When it was submitted.
    pub submitted_at: String,
    /// The task that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The job that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Where that stands; null when it is not kept any more.
    pub status: Option<String>,
}

/// Why a schedule's time came to nothing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ScheduleError {
    /// Which time.
    pub time: String,
    /// When it was tried last.
    pub at: String,
    /// Why.
    pub message: String,
    /// Whether it is tried again by itself.
    pub again: bool,
}
