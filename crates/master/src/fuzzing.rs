//! What the master reads of others, for `crates/fuzzing`: schedules and their times, and what comes over gRPC.

pub use crate::grpc::fuzzing::{commands, end, heartbeat, program, proposals, registration};

use crate::schedules::definition::{self, Definition};
use crate::schedules::times::Times;
use cloudai_core::spec::{SpecError, Value};
use cloudai_core::time::Timestamp;

/// A schedule that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// As it is stored: JSON.
    pub kept: String,
    /// The expression, its fields one blank apart.
    pub cron: String,
    /// The zone as its database writes it.
    pub time_zone: String,
}

/// Reads the document of a schedule.
/// # Errors
/// Every wrong field.
pub fn schedule(document: &Value) -> Result<Schedule, SpecError> {
    let definition = definition::read(document)?.definition;
    let kept = serde_json::to_string(&definition).unwrap_or_default();
    Ok(Schedule { kept, cron: definition.cron, time_zone: definition.time_zone })
}

/// What a stored schedule is written as when it is stored again.
/// # Errors
/// It is none.
pub fn kept_again(kept: &str) -> Result<String, String> {
    let definition: Definition = serde_json::from_str(kept).map_err(|error| error.to_string())?;
    serde_json::to_string(&definition).map_err(|error| error.to_string())
}

/// The next times of an expression in a zone.
/// # Errors
/// What is wrong with either.
pub fn next(cron: &str, time_zone: &str, after: Timestamp, count: usize) -> Result<Vec<Timestamp>, String> {
    Times::of(cron, time_zone).map(|times| times.next(after, count))
}

/// The last times after `since` that have come by `now`.
/// # Errors
/// What is wrong with the expression or the zone.
pub fn passed(
    cron: &str,
    time_zone: &str,
    since: Timestamp,
    now: Timestamp,
    most: usize,
) -> Result<Vec<Timestamp>, String> {
    Times::of(cron, time_zone).map(|times| times.passed(since, now, most))
}
