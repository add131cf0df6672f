//! Simulated users: they submit, submit again under the same key when no answer came, cancel, and
//! cancel again.

mod jobs;

use crate::context::{Context, What};
use crate::master::Wish;
use crate::network::{Message, Reply, Request};
use crate::workload::{Arrival, JobArrival};
use cloudai_core::event::Part;
use cloudai_core::ids::{JobId, TaskId};
use jobs::Jobs;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a user waits for an answer.
const PATIENCE: u64 = 4000;

/// What a user does at a set time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientEvent {
    Submit(usize),
    Cancel(TaskId),
    /// Cancels although it was answered before.
    CancelAgain(TaskId),
    /// Holds; whether it is heard does not matter.
    Hold(TaskId),
    Release(TaskId),
    SubmitJob(usize),
    CancelJob(JobId, Option<Part>),
    /// Holds; whether it is heard does not matter.
    HoldJob(JobId),
    ReleaseJob(JobId),
}

/// All users.
#[derive(Debug)]
pub(crate) struct Client {
    arrivals: Vec<Arrival>,
    /// What became of each submission.
    fates: Vec<Fate<TaskId>>,
    /// Wishes to cancel, and whether they were answered.
    cancels: BTreeMap<TaskId, bool>,
    /// Wishes to release, and whether they were answered.
    releases: BTreeMap<TaskId, bool>,
    jobs: Jobs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate<Id> {
    Planned,
    Sent,
    Answered(Id),
    /// Refused, or sent without a key and never answered.
    Dropped,
}

impl<Id: Copy> Fate<Id> {
    fn is_settled(&self) -> bool {
        matches!(self, Self::Answered(_) | Self::Dropped)
    }

    fn answered(&self) -> Option<Id> {
        match self {
            Self::Answered(id) => Some(*id),
            Self::Planned | Self::Sent | Self::Dropped => None,
        }
    }
}

impl Client {
    pub(crate) fn new(context: &mut Context, arrivals: Vec<Arrival>, jobs: Vec<JobArrival>) -> Self {
        for (index, arrival) in arrivals.iter().enumerate() {
            context.after(arrival.at, What::Client(ClientEvent::Submit(index)));
        }
        let fates = vec![Fate::Planned; arrivals.len()];
        let jobs = Jobs::new(context, jobs);
        Self { arrivals, fates, cancels: BTreeMap::new(), releases: BTreeMap::new(), jobs }
    }

    /// Whether every submission and every wish to cancel or release has its answer.
    pub(crate) fn is_done(&self) -> bool {
        self.fates.iter().all(Fate::is_settled)
            && self.cancels.values().chain(self.releases.values()).all(|answered| *answered)
            && self.jobs.is_done()
    }

    pub(crate) fn handle(&mut self, context: &mut Context, event: ClientEvent) {
        match event {
            ClientEvent::Submit(index) => self.submit(context, index),
            ClientEvent::Cancel(task) => {
                if !self.cancels.get(&task).copied().unwrap_or(false) {
                    self.cancels.insert(task, false);
                    context.send(Message::Master(Request::Cancel { task }));
                    context.after(PATIENCE, What::Client(ClientEvent::Cancel(task)));
                }
            }
            ClientEvent::Hold(task) => context.send(Message::Master(Request::Hold { task })),
            ClientEvent::Release(task) => {
                if !self.releases.get(&task).copied().unwrap_or(false) {
                    self.releases.insert(task, false);
                    context.send(Message::Master(Request::Release { task }));
                    context.after(PATIENCE, What::Client(ClientEvent::Release(task)));
                }
            }
            ClientEvent::CancelAgain(task) => context.send(Message::Master(Request::Cancel { task })),
            ClientEvent::SubmitJob(index) => self.jobs.submit(context, index, &self.fates),
            ClientEvent::CancelJob(job, part) => self.jobs.cancel(context, job, part),
            ClientEvent::HoldJob(job) => context.send(Message::Master(Request::HoldJob { job })),
            ClientEvent::ReleaseJob(job) => self.jobs.release(context, job),
        }
    }

    fn submit(&mut self, context: &mut Context, index: usize) {
        let spec = &self.arrivals[index].spec;
        let keyed = spec.idempotency_key.is_some();
        match self.fates[index] {
            Fate::Answered(_) | Fate::Dropped => return,
            // Nobody can tell whether it was taken: without a key it is not sent again.
            Fate::Sent if !keyed => {
                self.fates[index] = Fate::Dropped;
                return;
            }
            Fate::Planned | Fate::Sent => self.fates[index] = Fate::Sent,
        }
        let spec = Arc::clone(spec);
        context.send(Message::Master(Request::Submit { submission: index, spec }));
        context.after(PATIENCE, What::Client(ClientEvent::Submit(index)));
    }

    pub(crate) fn receive(&mut self, context: &mut Context, reply: Reply) {
        match reply {
            Reply::Submitted { submission, task } => self.submitted(context, submission, task),
            Reply::Refused { submission } => self.fates[submission] = Fate::Dropped,
            Reply::NotNow(Wish::Submit(submission)) => {
                // Nothing was done: without a key too it is sent again when the user's patience ends.
                if self.fates[submission] == Fate::Sent {
                    self.fates[submission] = Fate::Planned;
                }
            }
            // It asks again as long as it has no answer.
            Reply::NotNow(Wish::Cancel(_) | Wish::Release(_) | Wish::CancelJob(..) | Wish::ReleaseJob(_)) => {}
            Reply::NotNow(Wish::SubmitJob(submission)) => self.jobs.not_now(submission),
            Reply::JobSubmitted { submission, job } => self.jobs.submitted(context, submission, job),
            Reply::JobRefused { submission } => self.jobs.refused(submission),
            Reply::JobCancelled { job, part } => self.jobs.cancelled(job, part),
            Reply::JobReleased { job } => self.jobs.released(job),
            Reply::Released { task } => {
                self.releases.insert(task, true);
            }
            Reply::Cancelled { task } => {
                let fresh = self.cancels.insert(task, true) == Some(false);
                if fresh && context.rng.chance(300) {
                    let wait = context.rng.below(60_000);
                    context.after(wait, What::Client(ClientEvent::CancelAgain(task)));
                }
            }
        }
    }

    fn submitted(&mut self, context: &mut Context, submission: usize, task: TaskId) {
        let arrival = &self.arrivals[submission];
        if let Fate::Answered(earlier) = self.fates[submission]
            && earlier != task
            && arrival.spec.idempotency_key.is_some()
            && ![earlier, task].iter().any(|of| context.check.is_lost(*of))
        {
            context.check.fail(format!("3.3.1: one idempotency key was answered with {earlier} and {task}"));
        }
        if self.fates[submission] != Fate::Answered(task) {
            self.fates[submission] = Fate::Answered(task);
            if let Some(wait) = arrival.cancel_after {
                context.after(wait, What::Client(ClientEvent::Cancel(task)));
            }
            if let Some(hold) = arrival.hold {
                if let Some(wait) = hold.after {
                    context.after(wait, What::Client(ClientEvent::Hold(task)));
                }
                context.after(hold.release, What::Client(ClientEvent::Release(task)));
            }
        }
    }
}
