//! Logs, line by line, and what was cut of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One line of `GET /api/v1/tasks/{id}/logs` (JSON lines).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLine {
    /// A record of the log.
    Log(LogEntry),
    /// The task moved on while nothing was written (only with `follow`).
    State(LogState),
    /// The log is at its end: what the task came to (only with `follow`).
    End(LogState),
    /// These records can not be read any more: the disk did not give back what was written.
    Damaged(LogDamage),
}

/// Records of a log that are lost.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogDamage {
    /// Whose log.
    pub attempt: u32,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// A record of a log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Which attempt wrote it.
    pub attempt: u32,
    /// Its number in that attempt, from 0: `from=` takes the next one.
    pub n: u64,
    /// When, by the engine's clock.
    pub time: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The text, when it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Otherwise its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// Where a followed task stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LogState {
    /// One of the six words.
    pub status: String,
    /// Where exactly.
    pub phase: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What it waits for, or what happened.
    pub message: String,
    /// Which attempt.
    pub attempt: u32,
    /// Where it runs.
    pub worker_id: Option<String>,
    /// The code of its program.
    pub exit_code: Option<i32>,
    /// Of an `end` line: what of the log that ends here was not kept; absent where nothing was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_cut: Option<LogCut>,
}

/// The end of a log that was not kept, because it was larger than `logs.max_bytes` allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogCut {
    /// Records.
    pub records: u64,
    /// Bytes of output in them.
    pub bytes: u64,
}
