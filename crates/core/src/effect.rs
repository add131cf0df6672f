//! Everything the cluster causes: rows to store, commands to send.

use crate::event::Answer;
use crate::ids::{Attempt, CommandSeq, JobId, Session, TaskId, UserId, WorkerId};
use crate::job::{Groups, JobPlan, JobRecord};
use crate::resources::Allocation;
use crate::spec::TaskSpec;
use crate::state::Status;
use crate::task::{OutputFile, TaskRecord};
use crate::time::Timestamp;
use crate::worker::WorkerRecord;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// What one applied event brings about.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// For the sender, once the effects are on disk.
    pub answer: Answer,
    /// In order.
    pub effects: Vec<Effect>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Store this; readers see it once it is stored.
    Save(Row),
    /// Send this, after the rows of the same batch are stored. May be lost: it is repeated when a
    /// heartbeat shows that it was.
    Send(Dispatch),
}

/// One stored thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A task in its newest version.
    Task(Arc<TaskRecord>),
    /// A worker in its newest version.
    Worker(Arc<WorkerRecord>),
    /// A worker that is no more.
    WorkerRemoved(WorkerId),
    /// The files of an accepted attempt.
    Outputs(Attempt, Arc<[OutputFile]>),
    /// A job in its newest version, and how far each of its groups is; a store keeps that of one which is stopped, or
    /// has ended.
    Job(Arc<JobRecord>, Groups),
    /// What a new job is made of; comes before its record.
    JobPlanned(JobId, Arc<JobPlan>),
    /// A job that has ended and is kept no longer, with its plan; its tasks are gone.
    JobRemoved(JobId),
    /// A task that has ended with this status and is kept no longer, with all that belongs to it.
    TaskRemoved(TaskId, Status),
}

impl Row {
    /// About how many bytes of a store it takes: what differs much, texts that users write and lists,
    /// is counted, the rest is taken for a few hundred.
    #[must_use]
    pub fn weight(&self) -> usize {
        const PLAIN: usize = 512;
        match self {
            Self::Task(task) => PLAIN + task.spec.weight() + task.attempts.len() * PLAIN,
            Self::Outputs(_, files) => files.len() * PLAIN,
            Self::JobPlanned(_, plan) => plan.weight(),
            Self::Job(job, _) => {
                PLAIN + job.dropped.iter().map(|dropped| 16 * dropped.ordinals.each().count()).sum::<usize>()
            }
            Self::Worker(_) | Self::WorkerRemoved(_) | Self::TaskRemoved(..) | Self::JobRemoved(_) => PLAIN,
        }
    }
}

/// A command on its way to a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// To whom.
    pub worker: WorkerId,
    /// In which registration.
    pub session: Session,
    /// Its place in that session.
    pub seq: CommandSeq,
    /// What to do.
    pub command: Command,
}

/// What a worker is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Run this attempt, unless it ever ran here.
    Start(Arc<StartOrder>),
    /// End this attempt if it is here.
    Stop(StopOrder),
    /// Do nothing: that it was taken in shows that the worker hears.
    Ping,
}

/// An attempt to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartOrder {
    /// Which.
    pub attempt: Attempt,
    /// Whose the task is.
    pub owner: UserId,
    /// The job it belongs to.
    pub job: Option<JobId>,
    /// When it was submitted, by the master's clock.
    pub submitted_at: Timestamp,
    /// What.
    pub spec: Arc<TaskSpec>,
    /// With how much.
    pub allocation: Allocation,
    /// Why its worker can not read what it is to run: it is begun and has failed. Else a master of
    /// a newer version would send it for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl StartOrder {
    /// The order to run the latest attempt of a task: what it was given is what the task asks for there.
    #[must_use]
    pub fn of(task: &TaskRecord, allocation: Allocation) -> Self {
        let spec = match task.request() {
            0 => Arc::clone(&task.spec),
            _ => {
                let (demand, alternatives) = (task.demand().clone(), Vec::new());
                Arc::new(TaskSpec { demand, alternatives, ..TaskSpec::clone(&task.spec) })
            }
        };
        Self {
            attempt: task.attempt(),
            owner: task.owner.clone(),
            job: task.job,
            submitted_at: task.created_at,
            spec,
            allocation,
            unreadable: None,
        }
    }
}

/// An attempt to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopOrder {
    /// Which.
    pub attempt: Attempt,
    /// Time between SIGTERM and SIGKILL.
    pub kill_after: Duration,
}
