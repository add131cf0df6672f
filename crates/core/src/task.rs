//! The record of a task and of its attempts: what the store keeps and everybody reads.

mod outcome;

use crate::ids::{Attempt, JobId, TaskId, UserId, WorkerId};
use crate::resources::{Allocation, Demand};
use crate::spec::TaskSpec;
use crate::state::{Phase, Reason, Status, Warning};
use crate::time::{Timestamp, opt_millis};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

pub use outcome::{Cause, MAX_MESSAGE, Outcome, OutputFile};

/// A task: immutable once published; each change makes a new record with a higher version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// One for life.
    pub id: TaskId,
    /// Whose it is.
    pub owner: UserId,
    /// The job it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// What must have ended before; empty until jobs exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<Dependency>,
    /// The ended task that this one runs again; its end is not touched by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<TaskId>,
    /// What to run.
    pub spec: Arc<TaskSpec>,
    /// Grows by one with each change, from 1.
    pub version: u64,
    /// The order of submission within the cluster; decides among equal priorities.
    pub order: u64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the container of its latest attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it reached a terminal state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Where it stands.
    pub state: State,
    /// Every execution so far, oldest first; the number of the last one is their count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptRecord>,
    /// Retries used up so far, by budget.
    #[serde(default)]
    pub spent: Spent,
    /// Who asked for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<CancelRequest>,
    /// When its total time was over while it had a worker: it is being stopped since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<Timestamp>,
}

/// Another task whose end a task waits for (SPEC 3.1 `depends_on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Which.
    pub task: TaskId,
    /// Which end of it.
    pub when: DependsWhen,
}

/// Which end of another task is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependsWhen {
    /// It completed.
    Success,
    /// It failed or was cancelled.
    Failure,
    /// Either.
    Any,
}

impl DependsWhen {
    /// The word for APIs and tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Any => "any",
        }
    }
}

/// A wish to end a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Who.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// Why, where it was not for itself; then its end is due to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Retries used, one budget per cause (SPEC 3.1 `retries`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Lost workers and failures of engines.
    #[serde(default)]
    pub worker_lost: u32,
    /// Pulls that failed.
    #[serde(default)]
    pub image_pull: u32,
    /// Ends for its memory.
    #[serde(default)]
    pub oom: u32,
    /// Other ends of its program.
    #[serde(default)]
    pub exit_code: u32,
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits.
    Queued(Queued),
    /// Has a worker.
    Active(Active),
    /// Ended for good.
    Finished(Finished),
}

/// A task that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// What it waits for: one of the phases of `queued`.
    pub phase: Phase,
    /// Since when.
    pub since: Timestamp,
    /// The end of a backoff, or its start time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why it lost its place, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What happened and what comes next, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// A task that has a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// Which attempt, from 1.
    pub number: u32,
    /// Where.
    pub worker: WorkerId,
    /// How far it got.
    pub step: Step,
    /// What it holds of its worker.
    pub allocation: Allocation,
    /// Why it is being stopped to wait again, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evict: Option<Box<Eviction>>,
}

/// Why an attempt is being stopped so that its task waits for another place. Nobody's failure, and uncounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eviction {
    /// What its end is told with.
    pub reason: Reason,
    /// Since when.
    pub at: Timestamp,
    /// The task for whose sake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<TaskId>,
    /// What happened, for people.
    pub message: String,
}

/// How far an attempt got; only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The decision is on disk.
    Assigned,
    /// The worker pulls the image.
    Pulling,
    /// The engine makes and starts the container.
    Starting,
    /// The container runs.
    Running,
}

impl Step {
    /// The phase that this step is shown as.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Assigned => Phase::Assigned,
            Self::Pulling => Phase::Pulling,
            Self::Starting => Phase::Starting,
            Self::Running => Phase::Running,
        }
    }
}

/// A task that ended; never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// `completed`, `failed` or `cancelled`.
    pub status: Status,
    /// Why it failed or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The code of the program, when one ran to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether the kernel killed a process of it for its memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// Whether it failed for good with its retries used up (SPEC 3.2): it waits among the dead
    /// letters for somebody to look at it and submit it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dead: bool,
    /// What happened and what to do next, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// One execution of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// Where.
    pub worker: WorkerId,
    /// Which of the task's requests it was given, from 0 on.
    #[serde(default, skip_serializing_if = "is_first")]
    pub request: u8,
    /// When the place was given.
    pub assigned_at: Timestamp,
    /// How long the task had waited for that place; none of attempts of before this was kept.
    #[serde(default, with = "opt_millis", skip_serializing_if = "Option::is_none")]
    pub waited: Option<Duration>,
    /// When its container started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended, or was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How it ended; `accepted` tells whether this is the task's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<AttemptEnd>,
}

const fn is_first(request: &u8) -> bool {
    *request == 0
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// `completed`, `failed` or `cancelled`.
    pub status: Status,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The program's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether this attempt's end is the task's end.
    pub accepted: bool,
    /// What happened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What was kept of its log.
    #[serde(default)]
    pub log: LogEnd,
    /// How long its container ran, as its worker told it.
    #[serde(default, with = "opt_millis", skip_serializing_if = "Option::is_none")]
    pub run: Option<Duration>,
    /// What it took of its worker.
    #[serde(default, skip_serializing_if = "Used::is_empty")]
    pub used: Used,
}

/// What an attempt took, as its worker measured it. What could not be measured is none, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The most memory that it was seen to need at once, in bytes: without files that the kernel keeps
    /// in memory while nobody else wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// The time of processors, of all cores together, in whole milliseconds.
    #[serde(default, with = "opt_millis", skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Duration>,
    /// How long its image was pulled, in whole milliseconds; none when it was there already.
    #[serde(default, with = "opt_millis", skip_serializing_if = "Option::is_none")]
    pub pulled: Option<Duration>,
}

impl Used {
    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The end mark of an attempt's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnd {
    /// Records kept.
    pub records: u64,
    /// Bytes of text in them.
    pub bytes: u64,
    /// Whether nothing is missing.
    pub complete: bool,
    /// What was not kept because the log was larger than a log may be; such a log is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<LogCut>,
}

impl LogEnd {
    /// Whether nothing more of it comes: it is complete, or the rest of it was cut.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.complete || self.cut.is_some()
    }
}

/// The end of a log that was not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCut {
    /// Its records.
    pub records: u64,
    /// Bytes of text in them.
    pub bytes: u64,
}

impl TaskRecord {
    /// A task that waits for a place and of which nothing else is known than whose it is and what it runs.
    #[must_use]
    pub fn new(id: TaskId, owner: UserId, spec: Arc<TaskSpec>, order: u64, created_at: Timestamp) -> Self {
        let state = State::Queued(Queued {
            phase: Phase::WaitingCapacity,
            since: created_at,
            until: None,
            reason: None,
            message: String::new(),
        });
        Self {
            id,
            owner,
            job: None,
            depends_on: Vec::new(),
            retry_of: None,
            spec,
            version: 1,
            order,
            created_at,
            started_at: None,
            finished_at: None,
            state,
            attempts: Vec::new(),
            spent: Spent::default(),
            cancel: None,
            overdue: None,
        }
    }

    /// The word of SPEC 3.2.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.state {
            State::Queued(_) => Status::Queued,
            State::Active(active) if active.step == Step::Running => Status::Running,
            State::Active(_) => Status::Pending,
            State::Finished(finished) => finished.status,
        }
    }

    /// The phase; none once it ended. The caller knows whether the worker is silent.
    #[must_use]
    pub fn phase(&self, worker_silent: bool) -> Option<Phase> {
        match &self.state {
            State::Queued(queued) => Some(queued.phase),
            // Also of a silent worker: that its end is unconfirmed is what its user waits to hear.
            State::Active(_) if self.is_stopping() => Some(Phase::Cancelling),
            State::Active(_) if worker_silent => Some(Phase::WorkerUnreachable),
            State::Active(active) => Some(active.step.phase()),
            State::Finished(_) => None,
        }
    }

    /// Whether its worker's silence does not end it: whoever wants it ended has his way all the same.
    #[must_use]
    pub fn outlasts_silence(&self) -> bool {
        !self.spec.on_disconnect.is_stop() && !self.is_stopping()
    }

    /// Why it waits again, or how it ended.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match &self.state {
            State::Queued(queued) => queued.reason,
            State::Active(_) => None,
            State::Finished(finished) => finished.reason,
        }
    }

    /// What happened and what comes next, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        match &self.state {
            State::Queued(queued) => &queued.message,
            State::Active(_) if self.overdue.is_some() => "its total_timeout_s is over: it is being stopped",
            State::Active(active) => active.evict.as_ref().map_or("", |evict| &evict.message),
            State::Finished(finished) => &finished.message,
        }
    }

    /// The worker that holds it now, or held it last.
    #[must_use]
    pub fn worker(&self) -> Option<&WorkerId> {
        match &self.state {
            State::Queued(_) => None,
            State::Active(_) | State::Finished(_) => self.attempts.last().map(|attempt| &attempt.worker),
        }
    }

    /// Which of its requests it was given by its worker, from 0 on; the first while it waits.
    #[must_use]
    pub fn request(&self) -> u8 {
        match &self.state {
            State::Queued(_) => 0,
            State::Active(_) | State::Finished(_) => self.attempts.last().map_or(0, |attempt| attempt.request),
        }
    }

    /// That request: what it asks for.
    #[must_use]
    pub fn demand(&self) -> &Demand {
        self.spec.request(self.request())
    }

    /// What it holds now.
    #[must_use]
    pub fn active(&self) -> Option<&Active> {
        match &self.state {
            State::Active(active) => Some(active),
            State::Queued(_) | State::Finished(_) => None,
        }
    }

    /// Why it is being stopped to wait again, if it is.
    #[must_use]
    pub fn evicted(&self) -> Option<&Eviction> {
        self.active().and_then(|active| active.evict.as_deref())
    }

    /// The result, once there is one.
    #[must_use]
    pub fn finished(&self) -> Option<&Finished> {
        match &self.state {
            State::Finished(finished) => Some(finished),
            State::Queued(_) | State::Active(_) => None,
        }
    }

    /// Whether somebody or something wants its end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.cancel.is_some() || self.overdue.is_some()
    }

    /// Before this it is not placed (`not_before`).
    #[must_use]
    pub fn starts_at(&self) -> Option<Timestamp> {
        self.spec.not_before.map(|not_before| not_before.of(self.created_at))
    }

    /// When it should have ended (`deadline`); nothing ends it then.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        self.spec.deadline.map(|deadline| deadline.of(self.created_at))
    }

    /// When the time for all of it is over (`total_timeout_s`).
    #[must_use]
    pub fn must_end_at(&self) -> Option<Timestamp> {
        self.spec.limits.total.map(|limit| self.created_at + limit)
    }

    /// When one of its limits ends it if it goes on as it stands: the earliest of those that count now.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let limits = &self.spec.limits;
        let of_state = match &self.state {
            State::Queued(queued) if queued.phase == Phase::WaitingCapacity => {
                limits.queue.map(|limit| queued.since + limit)
            }
            State::Active(active) if active.step == Step::Running => {
                self.started_at.zip(limits.run).map(|(start, limit)| start + limit)
            }
            State::Queued(_) | State::Active(_) => None,
            State::Finished(_) => return None,
        };
        of_state.into_iter().chain(self.must_end_at()).min()
    }

    /// The number of the latest attempt; 0 before the first.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.attempts.last().map_or(0, |attempt| attempt.number)
    }

    /// The latest attempt's fencing token.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        Attempt { task: self.id, number: self.number() }
    }
}
