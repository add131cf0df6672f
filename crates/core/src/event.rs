//! Everything that can happen to the cluster, and what it answers.

use crate::debug::{Dump, Reconciled};
use crate::ids::{Attempt, CommandSeq, Incarnation, JobId, Session, TaskId, UserId, WorkerId};
use crate::images::Images;
use crate::job::{Done, JobPlan, JobStatus};
use crate::kin::Beside;
use crate::need::Need;
use crate::preemption::{Preemption, PreemptionRefusal};
use crate::resources::{Capacity, Lack};
use crate::spec::TaskSpec;
use crate::state::Status;
use crate::task::{Dependency, Outcome, Step};
use crate::worker::{About, Unfit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// One input of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// New tasks, all or none.
    Submit(Vec<NewTask>),
    /// A new job, all of it or nothing.
    SubmitJob(Box<NewJob>),
    /// Somebody wants a job, or a part of it, to end.
    CancelJob(CancelJob),
    /// Somebody lets no more tasks of a job have their turn; those that have records go on.
    HoldJob(JobId, UserId),
    /// Somebody lets a held job go.
    ReleaseJob(JobId),
    /// Somebody wants a task to end.
    Cancel(Cancel),
    /// Somebody keeps a waiting task from being placed.
    Hold(TaskId, UserId),
    /// Somebody lets a held task go.
    Release(TaskId),
    /// A strategy's proposals; each is checked again.
    Place(Vec<Placement>),
    /// A strategy's proposal to stop tasks for a more important one: all of it or nothing.
    Preempt(Preemption),
    /// A worker introduces itself.
    Register(Box<Registration>),
    /// An operator adds a worker before it comes, or gives it another address.
    Admit(Admission),
    /// An operator keeps work from a worker, or opens it again.
    Duty(DutyOrder),
    /// An operator gives a worker labels, or takes some away.
    SetLabels(LabelOrder),
    /// An operator takes a worker out for good.
    Remove(Removal),
    /// A worker's command stream is open: what is unconfirmed must be sent again.
    Subscribed(WorkerId, Session),
    /// A worker tells all that it holds.
    Heartbeat(Heartbeat),
    /// A worker leaves in good order; its attempts were reported before.
    Leave(WorkerId, Session),
    /// An attempt got further.
    Progress(Held),
    /// An attempt ended.
    Ended(EndReport),
    /// Tasks that have ended are kept no longer, all of them or none; their logs and files are gone.
    Collect(Vec<(TaskId, Status)>),
    /// Jobs that have ended are kept no longer, all of them or none; their tasks are gone.
    CollectJobs(Vec<JobId>),
    /// Compares ledgers, tasks and what workers told last; mends what differs, or only tells it.
    Reconcile {
        /// Only tells.
        dry_run: bool,
    },
    /// Asks for the state of everything, so many of each kind at most; changes nothing.
    Inspect {
        /// How many.
        limit: usize,
    },
    /// Asks how many commands a worker was sent; changes nothing.
    Sent(WorkerId),
    /// The master itself stood still for so long: nobody is judged by that time.
    Paused(Duration),
    /// A deadline has come.
    Tick,
}

/// The last command that a worker was sent, in which of its sessions: numbers of two sessions say
/// nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastSent {
    /// The session that the master knows; 0 for none.
    pub session: Session,
    /// 0 for none yet.
    pub seq: CommandSeq,
}

/// A task to accept. Its id is made outside, its order inside.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTask {
    /// Unused so far.
    pub id: TaskId,
    /// Whose it is.
    pub owner: UserId,
    /// The job it belongs to.
    pub job: Option<JobId>,
    /// What must have ended before.
    pub depends_on: Vec<Dependency>,
    /// The ended task that it runs again.
    pub retry_of: Option<TaskId>,
    /// What to run.
    pub spec: Arc<TaskSpec>,
}

/// A job to accept. Its id is made outside, and with it those of its tasks.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Unused so far, and so many numbers behind it as it has groups.
    pub id: JobId,
    /// Whose it is.
    pub owner: UserId,
    /// What it is made of.
    pub plan: Arc<JobPlan>,
    /// None of it is placed until somebody releases it.
    pub held: bool,
    /// A second submission of the same owner with this key answers with this job.
    pub idempotency_key: Option<Arc<str>>,
    /// The ended job of which it runs again what did not complete.
    pub retry_of: Option<JobId>,
    /// What of it completed before.
    pub done: Vec<Done>,
    /// How those tasks ended that it needs, that are not of it and that have ended before.
    pub ended: BTreeMap<TaskId, Status>,
}

impl NewJob {
    /// The groups of which all tasks completed before: nothing of them is looked at again.
    #[must_use]
    pub fn done_groups(&self) -> BTreeSet<u32> {
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for done in &self.done {
            for group in done.each_group() {
                *counts.entry(group).or_default() += done.ordinals.count();
            }
        }
        let is_all = |(group, count): &(u32, u32)| self.plan.group(*group).is_some_and(|group| group.count() == *count);
        counts.into_iter().filter(is_all).map(|(group, _)| group).collect()
    }
}

/// A wish to end a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelJob {
    /// Which.
    pub job: JobId,
    /// Who wishes it.
    pub by: UserId,
    /// Only this of it.
    pub part: Option<Part>,
}

/// Some tasks of one group of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The place of the group in the plan.
    pub group: u32,
    /// The ordinal of the first.
    pub from: u32,
    /// The ordinal behind the last; may be beyond all.
    pub to: u32,
}

/// A wish to end a task, or all elements of an array by the id of the array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// Which.
    pub task: TaskId,
    /// Who wishes it.
    pub by: UserId,
}

/// A strategy's proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The attempt that would be made: the task's number of attempts so far, plus one.
    pub attempt: Attempt,
    /// Where.
    pub worker: WorkerId,
}

/// A worker's introduction. Its token was checked outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Its name.
    pub worker: WorkerId,
    /// Where it can be reached; the recorded one stays when absent.
    pub address: Option<String>,
    /// What it offers.
    pub capacity: Capacity,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is.
    pub about: About,
    /// The attempts that it holds.
    pub held: Vec<Held>,
}

/// An operator's word for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    /// Its name.
    pub worker: WorkerId,
    /// Where it can be reached.
    pub address: Option<String>,
}

/// An operator's word about the work of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DutyOrder {
    /// Its name.
    pub worker: WorkerId,
    /// Who.
    pub by: UserId,
    /// What.
    pub wish: DutyWish,
}

/// What an operator wants of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DutyWish {
    /// That it take work: ends a cordon, a drain, a quarantine.
    Open,
    /// That it be given nothing new; what runs goes on.
    Cordon {
        /// For others who look.
        reason: String,
    },
    /// That it be given nothing new and become empty.
    Drain {
        /// For others who look.
        reason: String,
        /// After this long what still runs is stopped and queued again; none waits for it.
        deadline: Option<Duration>,
    },
}

/// An operator's word about the labels of a worker. Keys and values were checked outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelOrder {
    /// Its name.
    pub worker: WorkerId,
    /// Labels with the values that they get.
    pub set: BTreeMap<String, String>,
    /// Labels that go, also where the worker itself brings them; of one that is set, too, the value holds.
    pub remove: Vec<String>,
    /// Who.
    pub by: UserId,
}

/// An operator's word against a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Its name.
    pub worker: WorkerId,
    /// Also when it holds attempts: they are given up at once.
    pub force: bool,
}

/// What a worker holds, in full: absence tells as much as presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Who.
    pub worker: WorkerId,
    /// In which registration.
    pub session: Session,
    /// The last command that it took in.
    pub seen: CommandSeq,
    /// Every attempt that it has not been allowed to forget.
    pub held: Vec<Held>,
    /// It is about to leave: what it does not hold now it will never begin in this session.
    pub draining: bool,
    /// Why it can take no work: it is given none until a heartbeat says nothing of it.
    pub unfit: Option<Unfit>,
    /// The images that its engine has, when they are others than it told before.
    pub images: Option<Images>,
}

/// An attempt that a worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub attempt: Attempt,
    /// In which life of the cluster it was ordered.
    pub incarnation: Incarnation,
    /// How far it is.
    pub stage: HeldStage,
}

/// How far a held attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldStage {
    /// On its way, or running.
    At(Step),
    /// Being stopped.
    Stopping,
    /// Ended; the report is on its way.
    Ended,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct EndReport {
    /// Which.
    pub attempt: Attempt,
    /// In which life of the cluster it was started.
    pub incarnation: Incarnation,
    /// How.
    pub outcome: Arc<Outcome>,
}

/// What an applied event answers to its sender.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing to say.
    Done,
    /// The ids of submitted tasks, in order; an earlier one where the idempotency key was known.
    Submitted(Vec<Submitted>),
    /// The id of a submitted job; an earlier one where the idempotency key was known.
    JobSubmitted {
        /// Its id.
        id: JobId,
        /// False when an earlier submission had the same idempotency key.
        fresh: bool,
    },
    /// How many proposals were taken, and why the others were not.
    Placed {
        /// Taken.
        taken: usize,
        /// Refused, with the reason.
        refused: Vec<(Placement, PlacementRefusal)>,
    },
    /// Whether tasks are being stopped for another one.
    Preempted {
        /// Why not.
        refused: Option<PreemptionRefusal>,
    },
    /// The new session of a registered worker.
    Registered(Session),
    /// What a comparison found.
    Reconciled(Reconciled),
    /// The state of everything.
    State(Box<Dump>),
    /// The last command sent to a worker in its present session.
    Sent(LastSent),
    /// The last command sent to the worker: once it has seen that one, it may forget the attempt.
    Ended {
        /// The worker's highest command number so far.
        sent: LastSent,
    },
}

/// The fate of one submitted task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// Its id.
    pub id: TaskId,
    /// False when an earlier submission had the same idempotency key.
    pub fresh: bool,
}

/// Why a proposal was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlacementRefusal {
    /// The task moved on since the strategy looked.
    #[error("the attempt is no longer the next one")]
    Stale,
    /// No such worker, or it gets no new work.
    #[error("the worker takes no work")]
    WorkerUnavailable,
    /// The task is pinned elsewhere.
    #[error("the task is pinned to another worker")]
    Pinned,
    /// The worker does not let tasks have what this one needs of its host, or has not the labels that it asks for.
    #[error("the worker does not {} {}", .0.verb(), .0)]
    Unmet(Need),
    /// Too large for what is free.
    #[error("{0}")]
    Lack(Lack),
    /// One of the task's kin has a worker of the same domain (`anti_affinity`).
    #[error("{0}")]
    Beside(Beside),
    /// Its gang starts together, and not all of it was placed, or can be.
    #[error("its gang starts together: not all of it was placed, or can be")]
    Gang,
}

/// Why an event changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// No live job has this id.
    #[error("no job {0} is live")]
    NoSuchJob(JobId),
    /// Only a job that goes on can be held, or let go.
    #[error("{0} has ended: it is {1}")]
    JobEnded(JobId, JobStatus),
    /// Only a job that has ended can be run again, or be let go.
    #[error("{0} has not ended: it is {1}")]
    JobNotEnded(JobId, JobStatus),
    /// A live job has this id.
    #[error("a job {0} exists")]
    JobExists(JobId),
    /// The same idempotency key came with another job.
    #[error("the idempotency key was used with another job, for {0}")]
    JobKeyReused(JobId),
    /// No live task has this id.
    #[error("no task {0} is live")]
    NoSuchTask(TaskId),
    /// No worker has this name.
    #[error("no worker {0} is known")]
    NoSuchWorker(WorkerId),
    /// Only a task that waits can be held.
    #[error("{0} waits no more: it is {1}")]
    NotWaiting(TaskId, Status),
    /// What a task of a job is without it: an element without its index, a task without what others leave for it.
    #[error("{0} can not be run again by itself: it is what it is in {1}")]
    OnlyInJob(TaskId, JobId),
    /// What has no record yet can be held with its whole job alone.
    #[error("{0} has not had its turn yet: only all that waits of {1} can be held, or let go")]
    NoTurnYet(TaskId, JobId),
    /// Only a task that has ended can be submitted again.
    #[error("{0} has not ended: it is {1}")]
    NotEnded(TaskId, Status),
    /// One event may yield so many rows only.
    #[error("{given} at once: at most {most} are allowed")]
    TooManyAtOnce {
        /// How many.
        given: usize,
        /// How many are allowed.
        most: usize,
    },
    /// A live or just finished task has this id.
    #[error("a task {0} exists")]
    TaskExists(TaskId),
    /// No registered worker could ever run it.
    #[error("no worker can run this: {message}")]
    Unsatisfiable {
        /// Which of the submitted tasks, from 0.
        index: usize,
        /// What is asked for and the most there is.
        message: String,
    },
    /// The same idempotency key came with another spec.
    #[error("the idempotency key was used with another spec, for {0}")]
    KeyReused(TaskId),
    /// A newer attempt exists, or the attempt has ended: nothing changes, the reporter may forget it.
    #[error("{0} is superseded")]
    Superseded(Attempt),
    /// A report of another life of the cluster.
    #[error("the report is of another incarnation of the cluster")]
    WrongIncarnation,
    /// Another worker of this name was heard of just now.
    #[error("a worker {0} is connected from another data folder")]
    WorkerLive(WorkerId),
    /// The worker registered again since.
    #[error("the session has ended: register again")]
    StaleSession,
    /// Operators gave a worker too many labels.
    #[error("operators would have said something of {given} labels of worker {worker}: at most {most} are kept")]
    TooManyLabels {
        /// Which worker.
        worker: WorkerId,
        /// How many there would be.
        given: usize,
        /// How many are allowed.
        most: usize,
    },
    /// The worker holds attempts.
    #[error("worker {worker} holds {attempts} attempt{}", if *attempts == 1 { "" } else { "s" })]
    WorkerBusy {
        /// Which worker.
        worker: WorkerId,
        /// How many attempts.
        attempts: usize,
    },
}
