//! Times at which a task moves by itself. They follow from its record alone, and are kept sorted.

use super::{Cluster, Out};
use crate::advice::{self, Limit};
use crate::ids::{TaskId, WorkerId};
use crate::kin::{self, Kin};
use crate::need::Need;
use crate::resources::Demand;
use crate::spec::TaskSpec;
use crate::state::{Phase, Reason};
use crate::task::{Queued, State, TaskRecord};
use crate::time::Timestamp;
use crate::verdict::{self, show};
use crate::waiting::{self, Candidate};
use std::collections::BTreeSet;

/// What a time means to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// `not_before` has come.
    Start,
    /// The next attempt may be made.
    Backoff,
    /// It waited for a place as long as it may.
    QueueTimeout,
    /// The time for all of it is over.
    Total,
}

impl Alarm {
    /// A word for people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Backoff => "backoff",
            Self::QueueTimeout => "queue_timeout",
            Self::Total => "total_timeout",
        }
    }
}

/// An alarm with its time and task, in the order in which they ring.
pub(super) type Entry = (Timestamp, TaskId, Alarm);
/// The alarms of one task: that of its phase, and its total time.
pub(super) type Entries = [Option<Entry>; 2];

/// The alarms that a record asks for.
pub(super) fn of(task: &TaskRecord) -> Entries {
    let (phase, total) = match &task.state {
        State::Queued(queued) => (of_phase(task, queued), task.must_end_at()),
        // Whatever is being stopped needs no second reason.
        State::Active(_) => (None, task.must_end_at().filter(|_| !task.is_stopping())),
        State::Finished(_) => (None, None),
    };
    [phase.map(|(at, alarm)| (at, task.id, alarm)), total.map(|at| (at, task.id, Alarm::Total))]
}

fn of_phase(task: &TaskRecord, queued: &Queued) -> Option<(Timestamp, Alarm)> {
    match queued.phase {
        Phase::WaitingStartTime => queued.until.map(|at| (at, Alarm::Start)),
        Phase::Backoff => queued.until.map(|at| (at, Alarm::Backoff)),
        Phase::WaitingCapacity => task.spec.limits.queue.map(|limit| (queued.since + limit, Alarm::QueueTimeout)),
        Phase::WaitingDependencies
        | Phase::Unsatisfiable
        | Phase::Quota
        | Phase::Held
        | Phase::Assigned
        | Phase::Pulling
        | Phase::Starting
        | Phase::Running
        | Phase::Cancelling
        | Phase::WorkerUnreachable => None,
    }
}

/// Puts the alarms of a record in the place of those of the one before.
pub(super) fn replace(alarms: &mut BTreeSet<Entry>, before: Entries, after: Entries) {
    if before != after {
        for entry in before.iter().flatten() {
            alarms.remove(entry);
        }
        alarms.extend(after.into_iter().flatten());
    }
}

/// What stood against a place for a task, and all of the task that this depends on.
struct Waited {
    demand: Demand,
    alternatives: Vec<Demand>,
    pinned: Option<WorkerId>,
    needs: Vec<Need>,
    /// Only where it is kept apart from these.
    apart: Option<(Kin, Vec<String>)>,
    why: String,
}

impl Cluster {
    /// Lets every task move whose time has come, as many as one event may.
    pub(super) fn ring_alarms(&mut self, out: &mut Out) {
        let mut last = None;
        while let Some(entry @ (at, id, alarm)) = self.alarms.first().copied()
            && at <= out.now
            && !out.full()
        {
            self.alarms.remove(&entry);
            match alarm {
                Alarm::Start | Alarm::Backoff => self.wait_for_capacity(out, id),
                Alarm::QueueTimeout => self.waited_too_long(out, id, &mut last),
                Alarm::Total => self.end_overdue(out, id),
            }
        }
    }

    /// From now on a waiting task may be placed.
    pub(super) fn wait_for_capacity(&mut self, out: &mut Out, id: TaskId) {
        let now = out.now;
        self.change(out, id, |task| {
            if let State::Queued(queued) = &mut task.state {
                queued.phase = Phase::WaitingCapacity;
                queued.since = now;
                queued.until = None;
            }
        });
    }

    /// A task has waited as long as it may. One of a gang waited for a place only since all of it did, and ends with it.
    fn waited_too_long(&mut self, out: &mut Out, id: TaskId, last: &mut Option<Waited>) {
        let Some(gang) = self.gang_of(id) else { return self.end_waiting(out, id, last) };
        let Some(limit) = self.tasks.get(&id).and_then(|task| task.spec.limits.queue) else { return };
        let since = self.waits_whole_since(gang).unwrap_or(out.now);
        if since + limit > out.now {
            return self.change(out, id, |task| {
                if let State::Queued(queued) = &mut task.state {
                    queued.since = since;
                }
            });
        }
        let members: Vec<TaskId> = self.members(gang).map(|task| task.id).collect();
        members.into_iter().for_each(|member| self.end_waiting(out, member, last));
    }

    /// A task has waited for a place as long as it may: its end says what it waited for. Of tasks
    /// that ask for the same, whose time often comes at once, every worker is looked at for one only.
    fn end_waiting(&mut self, out: &mut Out, id: TaskId, last: &mut Option<Waited>) {
        let Some(task) = self.tasks.get(&id) else { return };
        let TaskSpec { demand, alternatives, worker_id, limits, .. } = &*task.spec;
        let needs = task.spec.needs();
        let apart = Kin::of(task).map(|kin| (kin, task.spec.anti_affinity.clone()));
        let why = match last {
            Some(last)
                if last.demand == *demand
                    && last.alternatives == *alternatives
                    && last.pinned == *worker_id
                    && last.needs == needs
                    && last.apart == apart =>
            {
                last.why.clone()
            }
            Some(_) | None => {
                let why = self.why_waiting(task);
                let (demand, alternatives, pinned) = (demand.clone(), alternatives.clone(), worker_id.clone());
                *last = Some(Waited { demand, alternatives, pinned, needs, apart, why: why.clone() });
                why
            }
        };
        let why = self.why_gang_waits(task).unwrap_or(why);
        let limit = show(limits.queue);
        let message = format!("it waited for a place longer than its queue_timeout_s of {limit}: {why}");
        let message = advice::with(message, advice::longer(task, Limit::Queue));
        self.finish(out, id, verdict::without_run(Reason::QueueTimeout, message));
    }

    /// What stands against a place for a task now.
    pub(crate) fn why_waiting(&self, task: &TaskRecord) -> String {
        let candidates = self.workers.values().map(|super::Worker { record, ledger, .. }| Candidate {
            record,
            free: ledger.free(),
            holds: !ledger.held().is_empty(),
            beside: kin::beside(task, record, &self.neighbours, |id| self.worker_record(id)),
        });
        match waiting::why(&task.spec, candidates) {
            Ok(Some(why)) | Err(why) => why,
            Ok(None) => "a place had just become free".into(),
        }
    }

    /// The time for all of a task is over: it fails where it waits; where it has a worker it is
    /// stopped first.
    fn end_overdue(&mut self, out: &mut Out, id: TaskId) {
        let Some(task) = self.tasks.get(&id) else { return };
        let (attempt, now) = (task.attempt(), out.now);
        match task.active().map(|active| active.worker.clone()) {
            None => self.finish(out, id, verdict::overdue(task, None)),
            Some(worker) => {
                self.change(out, id, |task| task.overdue = Some(now));
                self.stop(out, &worker, attempt);
            }
        }
    }
}
