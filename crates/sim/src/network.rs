//! Messages between master, workers and clients, and the seeded network that loses, repeats,
//! delays and reorders them.

use crate::context::{Context, Short, What, say};
use crate::lives::Ordered;
use crate::master::Wish;
use cloudai_core::effect::Dispatch;
use cloudai_core::event::{Admission, DutyOrder, EndReport, Heartbeat, Held, LastSent, Part, Registration, Removal};
use cloudai_core::ids::{Incarnation, JobId, Session, TaskId, Term};
use cloudai_core::job::JobPlan;
use cloudai_core::spec::TaskSpec;
use cloudai_core::time::Timestamp;
use std::sync::Arc;

/// Which process of a worker asks: an answer to an earlier one finds a closed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) worker: usize,
    pub(crate) life: u32,
}

/// A message, by whom it is for.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Master(Request),
    Worker(usize, Word),
    Client(Reply),
}

/// What the master is asked.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Register { caller: Caller, call: u32, registration: Box<Registration> },
    Subscribe { caller: Caller, session: Session },
    Heartbeat { caller: Caller, sent_at: Timestamp, heartbeat: Heartbeat },
    Progress { caller: Caller, held: Held },
    Ended { caller: Caller, report: EndReport },
    Leave { caller: Caller, session: Session },
    Submit { submission: usize, spec: Arc<TaskSpec> },
    Cancel { task: TaskId },
    Hold { task: TaskId },
    Release { task: TaskId },
    SubmitJob { submission: usize, plan: Arc<JobPlan>, key: Option<Arc<str>>, held: bool },
    CancelJob { job: JobId, part: Option<Part> },
    HoldJob { job: JobId },
    ReleaseJob { job: JobId },
    Admit(Admission),
    Reconcile,
    Remove(Removal),
    Duty(DutyOrder),
}

impl Request {
    const fn worker(&self) -> Option<usize> {
        match self {
            Self::Register { caller, .. }
            | Self::Subscribe { caller, .. }
            | Self::Heartbeat { caller, .. }
            | Self::Progress { caller, .. }
            | Self::Ended { caller, .. }
            | Self::Leave { caller, .. } => Some(caller.worker),
            Self::Submit { .. }
            | Self::Cancel { .. }
            | Self::Hold { .. }
            | Self::Release { .. }
            | Self::SubmitJob { .. }
            | Self::CancelJob { .. }
            | Self::HoldJob { .. }
            | Self::ReleaseJob { .. }
            | Self::Admit(_)
            | Self::Reconcile
            | Self::Remove(_)
            | Self::Duty(_) => None,
        }
    }
}

/// What a worker hears.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Registered { life: u32, call: u32, session: Session, incarnation: Incarnation, term: Term },
    Renewed { life: u32, session: Session, sent_at: Timestamp, draining: bool },
    RegisterAgain { life: u32, session: Session },
    Acknowledged { life: u32, of: Ordered, sent: LastSent },
    Command { term: Term, dispatch: Dispatch },
}

/// What a client hears.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Submitted {
        submission: usize,
        task: TaskId,
    },
    Refused {
        submission: usize,
    },
    Cancelled {
        task: TaskId,
    },
    Released {
        task: TaskId,
    },
    JobSubmitted {
        submission: usize,
        job: JobId,
    },
    JobRefused {
        submission: usize,
    },
    JobCancelled {
        job: JobId,
        part: Option<Part>,
    },
    JobReleased {
        job: JobId,
    },
    /// Nothing was done: to be tried again after a while.
    NotNow(Wish),
}

impl Context {
    /// Sends a message: it arrives once, twice, late or never.
    pub(crate) fn send(&mut self, message: Message) {
        let (worker, to_master) = match &message {
            Message::Master(request) => (request.worker(), true),
            Message::Worker(worker, _) => (Some(*worker), false),
            Message::Client(_) => (None, false),
        };
        let cut = worker.is_some_and(|worker| !self.plan.passes(self.elapsed(), worker, to_master));
        if cut || self.rng.chance(self.plan.loss) {
            say!(self, "lost: {}", message.short());
            return;
        }
        if self.rng.chance(self.plan.repeat) {
            self.carry(message.clone());
        }
        self.carry(message);
    }

    fn carry(&mut self, message: Message) {
        let slow = self.rng.chance(self.plan.slow);
        let latency = if slow { self.plan.slow_latency } else { self.plan.latency };
        let delay = self.rng.between(latency);
        self.after(delay, What::Deliver(message));
    }
}

impl Message {
    /// A line's worth of it.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Master(request) => format!("to master {}", request.short()),
            Self::Worker(worker, word) => format!("to w{worker} {}", word.short()),
            Self::Client(reply) => format!("to client {reply:?}"),
        }
    }
}

impl Request {
    fn short(&self) -> String {
        match self {
            Self::Register { caller, call, registration } => {
                format!("from w{}: register, call {call}, holds {:?}", caller.worker, held(&registration.held))
            }
            Self::Subscribe { caller, session } => format!("from w{}: subscribe {session}", caller.worker),
            Self::Heartbeat { caller, heartbeat, .. } => format!(
                "from w{}: heartbeat {} seen {} holds {:?}",
                caller.worker,
                heartbeat.session,
                heartbeat.seen,
                held(&heartbeat.held)
            ),
            Self::Progress { caller, held } => format!("from w{}: {:?} {:?}", caller.worker, held.attempt, held.stage),
            Self::Ended { caller, report } => {
                format!("from w{}: {:?} ended, {:?}", caller.worker, report.attempt, report.outcome.cause)
            }
            Self::Leave { caller, session } => format!("from w{}: leave {session}", caller.worker),
            Self::Submit { submission, .. } => format!("submit {submission}"),
            Self::Cancel { task } => format!("cancel {task}"),
            Self::Hold { task } => format!("hold {task}"),
            Self::Release { task } => format!("release {task}"),
            Self::SubmitJob { submission, .. } => format!("submit job {submission}"),
            Self::CancelJob { job, part } => format!("cancel {job}, {part:?}"),
            Self::HoldJob { job } => format!("hold {job}"),
            Self::ReleaseJob { job } => format!("release {job}"),
            Self::Reconcile => "reconcile".to_owned(),
            Self::Admit(admission) => format!("admit {}", admission.worker),
            Self::Duty(order) => format!("order for {}, {:?}", order.worker, order.wish),
            Self::Remove(removal) => format!("remove {}, force {}", removal.worker, removal.force),
        }
    }
}

fn held(held: &[Held]) -> Vec<String> {
    let one = |held: &Held| format!("{}#{}:{:?}", Short(held.attempt.task), held.attempt.number, held.stage);
    held.iter().map(one).collect()
}

impl Word {
    fn short(&self) -> String {
        match self {
            Self::Registered { call, session, incarnation, term, .. } => {
                format!("registered, call {call} session {session} life {incarnation} term {term}")
            }
            Self::Renewed { session, .. } => format!("renewed {session}"),
            Self::RegisterAgain { session, .. } => format!("register again, not {session}"),
            Self::Acknowledged { of, sent, .. } => {
                format!("acknowledged {of} sent {} of {}", sent.seq, sent.session)
            }
            Self::Command { dispatch, .. } => {
                let what = match &dispatch.command {
                    cloudai_core::effect::Command::Ping => "ping".to_owned(),
                    cloudai_core::effect::Command::Start(order) => format!("start {:?}", order.attempt),
                    cloudai_core::effect::Command::Stop(order) => format!("stop {:?}", order.attempt),
                };
                format!("command {} of {}: {what}", dispatch.seq, dispatch.session)
            }
        }
    }
}
