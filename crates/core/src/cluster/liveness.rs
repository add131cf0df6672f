//! Silence of workers: first no new work, then their attempts are given up (SPEC 3.3.4).

use super::finish::Kept;
use super::quarantine::Sign;
use super::{Cluster, MAX_ROWS, Out};
use crate::event::Answer;
use crate::ids::{TaskId, WorkerId};
use crate::retry::Budget;
use crate::state::{Reason, Status, Warning};
use crate::task::Finished;
use crate::time::Timestamp;
use crate::verdict::{self, Verdict};
use crate::worker::WorkerStatus;
use std::time::Duration;

/// Why an attempt is given up whose worker can not be asked any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Nothing was heard of it.
    Silent,
    /// An operator took it out.
    Removed,
}

impl Gone {
    /// What happened, for people.
    const fn sentence(self) -> &'static str {
        match self {
            Self::Silent => "its worker was silent for longer than its lease",
            Self::Removed => "its worker was removed",
        }
    }

    /// The same with what to do next, where the worker can still be looked at.
    fn advice(self, worker: Option<&WorkerId>) -> String {
        let why = self.sentence();
        match (self, worker) {
            (Self::Silent, Some(worker)) => format!("{why}; see: cloudai worker info {worker}"),
            (Self::Silent, None) | (Self::Removed, _) => why.to_owned(),
        }
    }
}

impl Cluster {
    /// Looks at every worker whose time has come.
    pub(super) fn judge_workers(&mut self, out: &mut Out) {
        while let Some((at, id)) = self.judgements.first().cloned()
            && at <= out.now
            && !out.full()
        {
            self.judgements.remove(&(at, id.clone()));
            self.judge_worker(out, &id);
            if let Some(next) = self.next_judgement(&id, out.now) {
                self.judgements.insert((next, id));
            }
        }
    }

    fn judge_worker(&mut self, out: &mut Out, id: &WorkerId) {
        let Some(worker) = self.workers.get(id) else { return };
        let silent = out.now.since(worker.heard);
        if silent >= self.timing.inactive && worker.record.status.is_connected() {
            let heard = worker.heard;
            self.change_worker(out, id, |record| {
                record.status = WorkerStatus::Inactive;
                record.last_seen = Some(heard);
            });
        }
        if self.takes_back_at(id).is_some_and(|at| at <= out.now) {
            self.take_back_unbegun(out, id);
        }
        if silent >= self.timing.lost_after() {
            self.lose_worker(out, id);
        }
    }

    /// Gives up a silent worker's attempts, as many as one event may.
    fn lose_worker(&mut self, out: &mut Out, id: &WorkerId) {
        let Some(worker) = self.workers.get(id) else { return };
        if worker.link.is_some() || worker.record.status.is_heard() {
            self.end_session(out, id);
        }
        let due: Vec<_> = self.losable(id).take(MAX_ROWS).collect();
        for task in due {
            if out.full() {
                return;
            }
            self.lose(out, task, Gone::Silent);
        }
    }

    /// The tasks that a silent worker's lease takes with it.
    fn losable(&self, id: &WorkerId) -> impl Iterator<Item = TaskId> {
        let held = self.workers.get(id).into_iter().flat_map(|worker| worker.ledger.held().keys().copied());
        held.filter(|task| self.tasks.get(task).is_none_or(|task| !task.outlasts_silence()))
    }

    /// Looks at a worker's silence with the next tick: something that outlasted it does so no more.
    pub(super) fn judge_soon(&mut self, id: &WorkerId, now: Timestamp) {
        if self.workers.get(id).is_some_and(|worker| worker.link.is_none()) {
            self.judgements.insert((now, id.clone()));
        }
    }

    /// Gives up one attempt whose worker can not be asked any more.
    pub(super) fn lose(&mut self, out: &mut Out, task: TaskId, gone: Gone) {
        let Some(record) = self.tasks.get(&task) else { return };
        let why = gone.sentence();
        let killed = "should its container still run, it is killed when that worker is heard again";
        let verdict = if record.cancel.is_some() {
            let message = format!("cancelled, and nobody has confirmed the end: {why}; {killed}");
            let end = super::cancel::cancelled(Reason::Unconfirmed, &message);
            Verdict::Final(Finished { warnings: vec![Warning::LogIncomplete], ..end })
        } else if record.overdue.is_some() {
            let end = verdict::overdue(record, None);
            let message = format!("{}; nobody has confirmed the end: {why}; {killed}", end.message);
            Verdict::Final(Finished { message, warnings: vec![Warning::LogIncomplete], ..end })
        } else if let Some(evict) = record.evicted() {
            Verdict::Again(evict.reason, format!("{}; {why}; {killed}", evict.message))
        } else {
            let end = Finished {
                status: Status::Failed,
                reason: Some(Reason::WorkerLost),
                exit_code: None,
                oom_killed: false,
                message: gone.advice(record.worker()),
                // What it wrote since it was last heard of is nowhere.
                dead: false,
                warnings: vec![Warning::LogIncomplete],
            };
            verdict::again(record, Budget::WorkerLost, end, &|kind| self.largest(record, kind))
        };
        self.settle(out, task, verdict, Kept::default(), Sign::None);
    }

    /// When to look again.
    fn next_judgement(&self, id: &WorkerId, now: Timestamp) -> Option<Timestamp> {
        let back = self.takes_back_at(id).map(|at| at.max(now));
        [self.next_silence(id, now), back].into_iter().flatten().min()
    }

    /// As long as it can become inactive, or has attempts to lose.
    fn next_silence(&self, id: &WorkerId, now: Timestamp) -> Option<Timestamp> {
        let worker = self.workers.get(id)?;
        if worker.record.status.is_connected() {
            return Some((worker.heard + self.timing.inactive).max(now));
        }
        if worker.link.is_none() && !self.is_deaf(id) && self.losable(id).next().is_none() {
            return None;
        }
        Some((worker.heard + self.timing.lost_after()).max(now))
    }

    /// After a pause of the master itself every lease is longer by it, and at least whole; never
    /// more than that, or a slow disk would keep a dead worker alive.
    pub(super) fn paused(&mut self, now: Timestamp, length: Duration) -> Answer {
        let longer = length.max(self.timing.lease);
        for worker in self.workers.values_mut() {
            worker.heard = (worker.heard + longer).min(now);
            worker.deaf = worker.deaf.map(|since| (since + longer).min(now));
            if let Some(link) = worker.link.as_mut() {
                link.attention.shift(longer, now);
            }
        }
        Answer::Done
    }
}
