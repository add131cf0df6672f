//! The workers as they are committed, and what is left of each.

use crate::effect::Row;
use crate::feasible;
use crate::ids::{TaskId, WorkerId};
use crate::kin::{self, Beside, Kin, Neighbours};
use crate::ledger::Ledger;
use crate::resources::{Allocation, Free};
use crate::spec::TaskSpec;
use crate::task::{State, TaskRecord};
use crate::worker::WorkerRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A mirror of all workers, kept current row by row; a row costs what it changes.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    workers: BTreeMap<WorkerId, Seen>,
    /// Where each task is that has a worker.
    places: BTreeMap<TaskId, WorkerId>,
    /// Where kin have their workers.
    neighbours: Neighbours,
}

/// One worker.
#[derive(Clone, Debug)]
pub struct Seen {
    record: Arc<WorkerRecord>,
    ledger: Ledger<TaskId>,
}

impl Seen {
    /// What it is.
    #[must_use]
    pub const fn record(&self) -> &Arc<WorkerRecord> {
        &self.record
    }

    /// What its attempts hold, by task.
    #[must_use]
    pub const fn held(&self) -> &BTreeMap<TaskId, Allocation> {
        self.ledger.held()
    }

    /// The sum of that.
    #[must_use]
    pub const fn allocated(&self) -> &Allocation {
        self.ledger.sum()
    }

    /// What is left.
    #[must_use]
    pub const fn free(&self) -> &Free {
        self.ledger.free()
    }
}

impl Fleet {
    /// Takes a committed row in; older versions must not come after newer ones.
    pub fn apply(&mut self, row: &Row) {
        match row {
            Row::Task(task) => self.apply_task(task),
            Row::Worker(record) => self.apply_worker(record),
            Row::WorkerRemoved(id) => drop(self.workers.remove(id)),
            Row::Outputs(..) | Row::TaskRemoved(..) | Row::Job(..) | Row::JobPlanned(..) | Row::JobRemoved(_) => {}
        }
    }

    fn apply_task(&mut self, task: &TaskRecord) {
        let active = match &task.state {
            State::Active(active) => Some(active),
            State::Queued(_) | State::Finished(_) => None,
        };
        let before = self.places.get(&task.id);
        if before == active.map(|active| &active.worker) {
            return;
        }
        if let Some(before) = self.places.remove(&task.id) {
            self.neighbours.leave(task, &before);
            if let Some(worker) = self.workers.get_mut(&before) {
                worker.ledger.release(&worker.record.capacity, &task.id);
            }
        }
        let Some(active) = active else { return };
        self.neighbours.enter(task, &active.worker);
        if let Some(worker) = self.workers.get_mut(&active.worker) {
            worker.ledger.hold(&worker.record.capacity, task.id, active.allocation.clone());
        }
        self.places.insert(task.id, active.worker.clone());
    }

    fn apply_worker(&mut self, record: &Arc<WorkerRecord>) {
        let known = self.workers.remove(&record.id);
        let mut ledger = known.map_or_else(|| Ledger::new(&record.capacity), |known| known.ledger);
        ledger.resize(&record.capacity);
        self.workers.insert(record.id.clone(), Seen { record: Arc::clone(record), ledger });
    }

    /// Every worker in the order of the names, inactive ones too.
    pub fn each(&self) -> impl Iterator<Item = &Seen> + Clone {
        self.workers.values()
    }

    /// Every worker's record in the order of the names.
    pub fn workers(&self) -> impl Iterator<Item = &Arc<WorkerRecord>> + Clone {
        self.workers.values().map(Seen::record)
    }

    /// One worker.
    #[must_use]
    pub fn get(&self, id: &WorkerId) -> Option<&Seen> {
        self.workers.get(id)
    }

    /// What of its kin keeps a task from a worker now; none where nothing does.
    #[must_use]
    pub fn beside(&self, task: &TaskRecord, worker: &WorkerRecord) -> Option<Beside> {
        kin::beside(task, worker, &self.neighbours, |id| self.record(id))
    }

    /// How much a task would rather have a worker as things are now.
    #[must_use]
    pub fn liking(&self, task: &TaskRecord, worker: &WorkerRecord) -> i32 {
        kin::liking(task, worker, &self.neighbours, |id| self.record(id))
    }

    /// The workers of a domain, by a key, on which kin of a task run.
    pub(super) fn near(&self, task: &TaskRecord, key: &str, worker: &WorkerRecord) -> Vec<&Seen> {
        let Some(kin) = Kin::of(task) else { return Vec::new() };
        let seen = self.neighbours.on(&kin).filter_map(|(id, _)| self.workers.get(id));
        seen.filter(|seen| kin::are_one(key, worker, &seen.record)).collect()
    }

    fn record(&self, id: &WorkerId) -> Option<&WorkerRecord> {
        self.workers.get(id).map(|seen| &*seen.record)
    }

    /// Whether some registered worker could ever run this.
    #[must_use]
    pub fn satisfiable(&self, spec: &TaskSpec) -> bool {
        feasible::satisfiable(spec, self.workers().map(AsRef::as_ref)).is_ok()
    }
}
