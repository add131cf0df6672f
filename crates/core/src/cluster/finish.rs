//! The ends of attempts and tasks, and the way back into the queue.

use super::quarantine::Sign;
use super::{Cluster, KEY_KEPT, Out};
use crate::effect::Row;
use crate::ids::TaskId;
use crate::retry::{self, Budget};
use crate::state::{Phase, Reason};
use crate::task::{AttemptEnd, Finished, LogEnd, Outcome, Queued, State, TaskRecord, Used};
use crate::time::Timestamp;
use crate::verdict::Verdict;
use std::sync::Arc;
use std::time::Duration;

/// What is kept of an attempt beside what its end means; nothing of one whose end nobody told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kept {
    log: LogEnd,
    run: Option<Duration>,
    used: Used,
}

impl Kept {
    pub(super) fn of(outcome: &Outcome) -> Self {
        Self { log: outcome.log, run: outcome.run, used: outcome.used }
    }
}

impl Cluster {
    /// Carries out the verdict on the running attempt of a task.
    pub(super) fn settle(&mut self, out: &mut Out, id: TaskId, verdict: Verdict, kept: Kept, sign: Sign) {
        let ended = self.tasks.get(&id).map(Arc::clone);
        match verdict {
            Verdict::Final(end) => {
                self.end_attempt(out, id, &end, true, kept);
                self.finish(out, id, end);
            }
            Verdict::Retry(budget, end) => {
                self.retry(out, id, budget, end, kept);
                self.lost_place(id);
            }
            Verdict::Again(reason, message) => {
                let queued = waiting(out.now, reason, format!("{message}; it waits for another place"));
                let end = super::cancel::cancelled(reason, &message);
                self.end_attempt(out, id, &end, false, kept);
                self.requeue(out, id, queued);
                self.lost_place(id);
            }
        }
        if let Some(task) = ended {
            self.judge_conduct(out, &task, sign);
        }
    }

    fn retry(&mut self, out: &mut Out, id: TaskId, budget: Budget, end: Finished, kept: Kept) {
        let Some(task) = self.tasks.get(&id) else { return };
        let policy = task.spec.retry_policy();
        let mut spent = task.spent;
        let number = budget.spend(&mut spent);
        let until = out.now + retry::delay(policy, number, task.attempt());
        let message = format!("{}; retry {number} of {} follows", end.message, policy.most(budget));
        self.end_attempt(out, id, &end, false, kept);
        let queued = Queued { phase: Phase::Backoff, since: out.now, until: Some(until), reason: end.reason, message };
        if let Some(task) = self.tasks.get_mut(&id) {
            Arc::make_mut(task).spent = spent;
        }
        self.requeue(out, id, queued);
    }

    /// Closes the record of the running attempt and frees what it held; stores nothing yet.
    fn end_attempt(&mut self, out: &Out, id: TaskId, end: &Finished, accepted: bool, kept: Kept) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let State::Active(active) = &task.state else { return };
        if let Some(worker) = self.workers.get_mut(&active.worker) {
            worker.release(id);
        }
        let task = Arc::make_mut(task);
        close_attempt(task, out.now, end, accepted, kept);
    }

    fn requeue(&mut self, out: &mut Out, id: TaskId, queued: Queued) {
        self.change(out, id, |task| {
            task.started_at = None;
            task.state = State::Queued(queued);
        });
    }

    /// Ends a task for good: stored once more, then no longer live.
    pub(super) fn finish(&mut self, out: &mut Out, id: TaskId, end: Finished) {
        let now = out.now;
        self.change(out, id, |task| {
            task.finished_at = Some(now);
            task.state = State::Finished(end);
        });
        if let Some(task) = self.tasks.remove(&id)
            && let Some(key) = super::key_of(&task)
        {
            self.ended_keys.insert(id, (now + KEY_KEPT, key.clone()));
            self.old_keys.insert((now + KEY_KEPT, key));
        }
    }

    /// Stores the files of an accepted attempt.
    pub(super) fn keep_outputs(out: &mut Out, task: &TaskRecord, outcome: &Outcome) {
        if !outcome.outputs.is_empty() {
            out.save(Row::Outputs(task.attempt(), outcome.outputs.as_slice().into()));
        }
    }
}

fn close_attempt(task: &mut TaskRecord, now: Timestamp, end: &Finished, accepted: bool, kept: Kept) {
    let Kept { log, run, used } = kept;
    if let Some(attempt) = task.attempts.last_mut() {
        attempt.ended_at = Some(now);
        attempt.end = Some(AttemptEnd {
            status: end.status,
            reason: end.reason,
            exit_code: end.exit_code,
            accepted,
            message: end.message.clone(),
            log,
            run,
            used,
        });
    }
}

fn waiting(now: Timestamp, reason: Reason, message: String) -> Queued {
    Queued { phase: Phase::WaitingCapacity, since: now, until: None, reason: Some(reason), message }
}
