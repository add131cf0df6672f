//! A more important task that takes the place of others: what is proposed, and which tasks make room.

use crate::event::PlacementRefusal;
use crate::ids::{Attempt, TaskId, WorkerId};
use crate::state::Reason;
use crate::task::TaskRecord;

/// So often a task makes room for others; from then on it is spared, whoever comes.
pub const SPARED: usize = 3;
/// The most tasks that are stopped for one.
pub const VICTIMS: usize = 64;

/// A proposal to stop tasks so that a more important one has their room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preemption {
    /// The attempt that is to have the room: the task's number of attempts so far, plus one.
    pub for_: Attempt,
    /// Where.
    pub worker: WorkerId,
    /// The attempts that are to be stopped.
    pub victims: Vec<Attempt>,
    /// By how much its priority must be above theirs; at least 1.
    pub margin: i32,
}

/// Why nothing is stopped for a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreemptionRefusal {
    /// The task, or one that was to make room for it, moved on since the strategy looked.
    #[error("the task waits no longer for this attempt, or what was to make room for it has moved on")]
    Stale,
    /// Nobody makes room for its equal.
    #[error("its priority is not above that of {0} by as much as it must be")]
    NotLower(TaskId),
    /// It is of a gang: all of that would have to start again for the place of one.
    #[error("{0} is of a gang, which makes no room for others")]
    OfGang(TaskId),
    /// It made room often enough.
    #[error("{0} has made room for others {most} times", most = SPARED)]
    Spared(TaskId),
    /// One event may stop so many only.
    #[error("{0} tasks would be stopped for it: at most {most} are", most = VICTIMS)]
    TooMany(usize),
    /// It has room as it is.
    #[error("there is room for it already")]
    Needless,
    /// It would have no place there even then.
    #[error("it would not help: {0}")]
    Useless(PlacementRefusal),
}

/// Whether an active task makes room for one of this priority.
/// # Errors
/// Why it goes on.
pub fn yields(task: &TaskRecord, to: i32, margin: i32) -> Result<(), PreemptionRefusal> {
    if task.active().is_none() || is_being_stopped(task) {
        Err(PreemptionRefusal::Stale)
    } else if margin < 1 || task.spec.priority > to.saturating_sub(margin) {
        Err(PreemptionRefusal::NotLower(task.id))
    } else if times(task) >= SPARED {
        Err(PreemptionRefusal::Spared(task.id))
    } else {
        Ok(())
    }
}

/// Whether an active task is being stopped, for whatever reason: its room is on its way.
#[must_use]
pub fn is_being_stopped(task: &TaskRecord) -> bool {
    task.is_stopping() || task.evicted().is_some()
}

/// How often a task made room for others.
#[must_use]
pub fn times(task: &TaskRecord) -> usize {
    let ends = task.attempts.iter().filter_map(|attempt| attempt.end.as_ref());
    ends.filter(|end| end.reason == Some(Reason::Preempted)).count()
}
