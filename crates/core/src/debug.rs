//! What the cluster is at one moment, for whoever looks for a fault: no words of users, no specs.

use crate::ids::{Attempt, CommandSeq, Incarnation, Session, TaskId, WorkerId};
use crate::resources::{Allocation, Capacity};
use crate::state::{Phase, Status};
use crate::task::Step;
use crate::time::Timestamp;
use crate::worker::WorkerStatus;
use serde::Serialize;

/// The first of many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct First<T> {
    /// How many there are.
    pub total: usize,
    /// Those that are shown.
    pub first: Vec<T>,
}

impl<T> First<T> {
    /// At most `limit` of them.
    pub fn of(total: usize, items: impl Iterator<Item = T>, limit: usize) -> Self {
        Self { total, first: items.take(limit).collect() }
    }
}

/// Everything that the core knows, as far as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dump {
    /// The moment.
    pub at: Timestamp,
    /// Which life of the data.
    pub incarnation: Incarnation,
    /// The place in the order of submission that the next task gets.
    pub next_order: u64,
    /// Live tasks in the order of their ids.
    pub tasks: First<TaskLine>,
    /// Workers in the order of their names.
    pub workers: First<WorkerLine>,
    /// When tasks move by themselves.
    pub alarms: First<AlarmLine>,
    /// When the silence of workers is looked at.
    pub judgements: First<(Timestamp, WorkerId)>,
    /// When duties of workers change by themselves.
    pub duties: First<(Timestamp, WorkerId)>,
    /// Workers that are being taken out.
    pub removals: First<WorkerId>,
    /// Idempotency keys in use.
    pub keys: usize,
    /// Those of tasks that ended lately.
    pub ended_keys: usize,
}

/// A live task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TaskLine {
    /// Which.
    pub id: TaskId,
    /// Its version.
    pub version: u64,
    /// Its place in the order of submission.
    pub order: u64,
    /// Where it stands.
    pub status: Status,
    /// Where exactly.
    pub phase: Option<Phase>,
    /// Attempts so far.
    pub attempts: u32,
    /// Where it is active.
    pub worker: Option<WorkerId>,
}

/// A worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkerLine {
    /// Which.
    pub id: WorkerId,
    /// Its version.
    pub version: u64,
    /// Whether it is connected and well.
    pub status: WorkerStatus,
    /// What keeps it from work.
    pub idle: Option<String>,
    /// Its session.
    pub session: Session,
    /// Whether it registered in this master's life.
    pub linked: bool,
    /// Milliseconds since it was heard.
    pub heard_ms_ago: u64,
    /// What it offers.
    pub capacity: Capacity,
    /// The sum of what is held of it.
    pub sum: Allocation,
    /// What is left.
    pub free: Amounts,
    /// Who holds what.
    pub held: First<HeldLine>,
    /// The last command that it was sent.
    pub sent: CommandSeq,
    /// What it told last in this session.
    pub told: Option<ToldLine>,
}

/// Amounts of every resource; of GPUs the sum over devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Bytes.
    pub storage: u64,
    /// Thousandths of a GPU.
    pub gpu_milli: u64,
}

/// An attempt that holds a part of its worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldLine {
    /// Which; none when no such task is active there.
    pub attempt: Option<Attempt>,
    /// Of which task.
    pub task: TaskId,
    /// How far it is.
    pub step: Option<Step>,
    /// With how much.
    pub allocation: Allocation,
    /// Its start, as it was sent last in this session.
    pub start: Option<StartLine>,
}

/// A start that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StartLine {
    /// Its place in the session.
    pub seq: CommandSeq,
    /// Milliseconds since then.
    pub ms_ago: u64,
    /// Whether the worker has told that it took it in.
    pub seen: bool,
}

/// What a worker told with its last heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ToldLine {
    /// Milliseconds since then.
    pub ms_ago: u64,
    /// The last command that it had taken in.
    pub seen: CommandSeq,
    /// How many attempts it held that have not ended for the master since.
    pub held: usize,
}

/// A time at which a task moves by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlarmLine {
    /// When.
    pub at: Timestamp,
    /// Which task.
    pub task: TaskId,
    /// Why.
    pub why: &'static str,
}

/// What a comparison of ledgers, tasks and workers' words found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// How many workers were compared.
    pub workers: usize,
    /// Those of them that have told nothing in this master's life, or not since they registered.
    pub unheard: Vec<WorkerId>,
    /// What differs.
    pub differences: Vec<Difference>,
    /// There are more than are told, or than could be mended at once: ask again.
    pub more: bool,
}

/// Two that should agree and do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Whose ledger, or who told it.
    pub worker: WorkerId,
    /// About which attempt; of a ledger's entry without a task the number is 0.
    pub attempt: Option<Attempt>,
    /// What.
    pub wrong: Wrong,
}

/// How they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// The ledger holds room for a task that is not active there.
    Leaked,
    /// A task is active there, and the ledger holds no room for it.
    Unbooked,
    /// The ledger holds another amount than the task was given.
    Misbooked,
    /// What is left is not the capacity less what is held.
    Miscounted,
    /// The worker runs what the master knows as over or elsewhere.
    Stray,
    /// The worker does not hold what it was given, and had the time to.
    Missing,
}

impl Wrong {
    /// Its stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Leaked => "leaked",
            Self::Unbooked => "unbooked",
            Self::Misbooked => "misbooked",
            Self::Miscounted => "miscounted",
            Self::Stray => "stray",
            Self::Missing => "missing",
        }
    }

    /// One sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Leaked => "the ledger holds room for a task that is not active there",
            Self::Unbooked => "the task is active there, and the ledger holds no room for it",
            Self::Misbooked => "the ledger holds another amount than the task was given",
            Self::Miscounted => "what is left is not the capacity less what is held",
            Self::Stray => "the worker runs what is over, or elsewhere",
            Self::Missing => "the worker does not hold what it was given",
        }
    }

    /// What mends it.
    #[must_use]
    pub const fn mend(self) -> &'static str {
        match self {
            Self::Leaked => "release",
            Self::Unbooked | Self::Misbooked => "book",
            Self::Miscounted => "count again",
            Self::Stray => "stop",
            Self::Missing => "send again",
        }
    }
}
