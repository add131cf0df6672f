//! How an attempt ended, as its worker tells it.

use super::{LogEnd, Used};
use crate::sha256::Sha256;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How an attempt ended, as its worker tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What ended it.
    pub cause: Cause,
    /// The code of the program, when one ran to its end.
    pub exit_code: Option<i32>,
    /// Whether the kernel killed a process of it for its memory.
    pub oom_killed: bool,
    /// What happened, for people; at most 2 KiB.
    pub message: String,
    /// How long the container ran, when it started.
    pub run: Option<Duration>,
    /// What was kept of its log.
    pub log: LogEnd,
    /// The files that were kept.
    pub outputs: Vec<OutputFile>,
    /// Whether some files could not be kept.
    #[serde(default)]
    pub outputs_lost: bool,
    /// What it took of its worker.
    #[serde(default)]
    pub used: Used,
}

/// The longest message of an outcome, in bytes.
pub const MAX_MESSAGE: usize = 2048;

impl Outcome {
    /// An outcome that is nothing but its cause.
    #[must_use]
    pub fn of(cause: Cause, message: impl Into<String>) -> Self {
        Self {
            cause,
            exit_code: None,
            oom_killed: false,
            message: message.into(),
            run: None,
            log: LogEnd::default(),
            outputs: Vec::new(),
            outputs_lost: false,
            used: Used::default(),
        }
    }

    /// The outcome of a program that ended by itself.
    #[must_use]
    pub fn exit(code: i32) -> Self {
        Self { exit_code: Some(code), ..Self::of(Cause::Exited, "") }
    }
}

/// What ended an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The program, by itself.
    Exited,
    /// The run-time limit.
    TimedOut,
    /// The master's order.
    Stopped,
    /// The end of the worker's lease.
    LeaseEnded,
    /// The worker's own shutdown.
    WorkerStopped,
    /// The worker came back without the container.
    Vanished,
    /// The image could not be had.
    ImagePull,
    /// The registry has no such image, or does not give it to this worker.
    ImageAbsent,
    /// The engine refused to create or start the container.
    StartError,
    /// The engine failed.
    EngineError,
    /// Its inputs could not be brought.
    InputError,
    /// The outputs could not be kept.
    OutputError,
    /// It wrote more than it asked for.
    StorageExceeded,
    /// The policy of its worker forbids it: no container was made.
    PolicyDenied,
}

/// A kept file of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Relative to `/out`, with `/` between its parts.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: Sha256,
}
