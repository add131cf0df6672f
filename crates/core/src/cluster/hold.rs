//! Tasks that users keep from being placed, and let go.

use super::{Cluster, Out};
use crate::event::{Answer, Rejected};
use crate::ids::{TaskId, UserId};
use crate::state::Phase;
use crate::task::{Queued, State, TaskRecord};
use crate::time::Timestamp;

impl Cluster {
    /// Keeps a waiting task from being placed until it is released; a held one stays as it is.
    pub(super) fn hold(&mut self, out: &mut Out, id: TaskId, by: &UserId) -> Result<Answer, Rejected> {
        let task = self.tasks.get(&id).ok_or(Rejected::NoSuchTask(id))?;
        let State::Queued(queued) = &task.state else { return Err(Rejected::NotWaiting(id, task.status())) };
        if queued.phase != Phase::Held {
            let (now, message) = (out.now, held(id, by));
            self.change(out, id, |task| {
                if let State::Queued(queued) = &mut task.state {
                    let reason = queued.reason;
                    *queued = Queued { phase: Phase::Held, since: now, until: None, reason, message };
                }
            });
        }
        Ok(Answer::Done)
    }

    /// Lets a held task go: it waits for its start time if that is still to come, else for a place.
    /// One that nobody holds stays as it is.
    pub(super) fn release(&mut self, out: &mut Out, id: TaskId) -> Result<Answer, Rejected> {
        let task = self.tasks.get(&id).ok_or(Rejected::NoSuchTask(id))?;
        if matches!(&task.state, State::Queued(queued) if queued.phase == Phase::Held) {
            let now = out.now;
            self.change(out, id, |task| {
                let next = free_to_go(task, now);
                if let State::Queued(queued) = &mut task.state {
                    *queued = Queued { reason: queued.reason, ..next };
                }
            });
        }
        Ok(Answer::Done)
    }
}

/// Where a task waits that was just accepted.
pub(super) fn at_first(task: &TaskRecord, now: Timestamp) -> Queued {
    if task.spec.hold {
        let message = held(task.id, &task.owner);
        return Queued { phase: Phase::Held, since: now, until: None, reason: None, message };
    }
    free_to_go(task, now)
}

/// Where a task waits that nobody holds; a start time that is past is no start time.
fn free_to_go(task: &TaskRecord, now: Timestamp) -> Queued {
    let until = task.starts_at().filter(|at| *at > now);
    let phase = if until.is_some() { Phase::WaitingStartTime } else { Phase::WaitingCapacity };
    Queued { phase, since: now, until, reason: None, message: String::new() }
}

fn held(id: TaskId, by: &UserId) -> String {
    format!("held by {by}; let it go with: cloudai task release {id}")
}
