//! A container as an inspection shows it.

use super::create::labels;
use super::error::{Fault, patiently};
use super::stamp;
use crate::executor::Identity;
use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use bollard::query_parameters::InspectContainerOptions;
use cloudai_core::ids::Attempt;
use std::collections::HashMap;
use std::time::Duration;

/// Where a container stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Made, never started.
    Created,
    /// Started, not ended.
    Running,
    /// Ended, or about to be removed.
    Ended,
}

/// What an inspection told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) stage: Stage,
    /// Its first process as the engine numbers it; none while it does not run.
    pub(super) pid: Option<i32>,
    pub(super) exit_code: Option<i32>,
    pub(super) oom_killed: bool,
    /// Nanoseconds since the epoch; none before its start.
    pub(super) started: Option<u64>,
    /// Nanoseconds since the epoch; none before its end.
    pub(super) finished: Option<u64>,
    labels: HashMap<String, String>,
}

impl Seen {
    /// Whether its labels say that it is this worker's container of this attempt.
    pub(super) fn is_of(&self, identity: &Identity, attempt: Attempt) -> bool {
        labels(identity, attempt).iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }

    /// How long it ran.
    pub(super) fn run(&self) -> Option<Duration> {
        Some(Duration::from_nanos(self.finished?.saturating_sub(self.started?)))
    }
}

impl From<ContainerInspectResponse> for Seen {
    fn from(seen: ContainerInspectResponse) -> Self {
        let state = seen.state.unwrap_or_default();
        let time = |text: &Option<String>| text.as_deref().and_then(|text| stamp::parse(text.as_bytes()));
        Self {
            id: seen.id.unwrap_or_default(),
            stage: stage(&state),
            pid: state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0),
            exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()),
            oom_killed: state.oom_killed.unwrap_or(false),
            started: time(&state.started_at),
            finished: time(&state.finished_at),
            labels: seen.config.and_then(|config| config.labels).unwrap_or_default(),
        }
    }
}

fn stage(state: &ContainerState) -> Stage {
    use ContainerStateStatusEnum as Word;
    match state.status {
        Some(Word::CREATED) => Stage::Created,
        Some(Word::RUNNING | Word::PAUSED | Word::RESTARTING | Word::STOPPING) => Stage::Running,
        Some(Word::EXITED | Word::DEAD | Word::REMOVING) => Stage::Ended,
        Some(Word::EMPTY) | None if state.running == Some(true) => Stage::Running,
        Some(Word::EMPTY) | None => Stage::Ended,
    }
}

/// Inspects a container by id or name; none when there is no such one.
pub(super) async fn inspect(docker: &Docker, name: &str, patience: Duration) -> Result<Option<Seen>, Fault> {
    match patiently(patience, || docker.inspect_container(name, None::<InspectContainerOptions>)).await {
        Ok(seen) => Ok(Some(seen.into())),
        Err(Fault::Gone(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}
