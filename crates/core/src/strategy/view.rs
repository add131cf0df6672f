//! What a strategy sees: a mirror of the committed state, kept current row by row.

use super::{Fleet, ROUND};
use crate::effect::Row;
use crate::event::Placement;
use crate::feasible;
use crate::ids::{Attempt, TaskId, WorkerId};
use crate::queue::Place;
use crate::resources::{Demand, Free};
use crate::spec::TaskSpec;
use crate::state::Phase;
use crate::task::{State, TaskRecord};
use crate::worker::WorkerRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The committed cluster as placing needs it: the queue in order, active workers and what they
/// have left.
///
/// Cost of a row is in proportion to the change, never to the cluster.
#[derive(Debug, Default)]
pub struct View {
    version: u64,
    queue: BTreeMap<Place, Waiting>,
    pinned: BTreeMap<Place, Waiting>,
    fleet: Fleet,
    /// Workers that take work in the order of their names: what strategies index.
    order: Vec<WorkerId>,
    /// The distinct demands of waiting tasks that are not pinned.
    demands: BTreeMap<Demand, Demanded>,
}

/// A task that waits for a place now.
#[derive(Clone, Debug)]
pub struct Waiting(Arc<TaskRecord>);

impl Waiting {
    /// The attempt that a placement would make.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        Attempt { task: self.0.id, number: self.0.number() + 1 }
    }

    /// What it asks for.
    #[must_use]
    pub fn spec(&self) -> &Arc<TaskSpec> {
        &self.0.spec
    }
}

/// Waiting tasks that ask for the same.
#[derive(Debug)]
struct Demanded {
    /// One of them.
    example: Arc<TaskSpec>,
    waiting: usize,
    /// Whether some registered worker could ever meet it.
    possible: bool,
}

impl View {
    /// Takes a committed row in; older versions must not come after newer ones.
    pub fn apply(&mut self, row: &Row) {
        self.version += 1;
        self.fleet.apply(row);
        match row {
            Row::Task(task) => self.apply_task(task),
            Row::Worker(_) | Row::WorkerRemoved(_) => self.refresh_workers(),
            Row::Outputs(..) | Row::TaskRemoved(..) => {}
        }
    }

    /// How many rows were taken in: names a state of the view.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    fn apply_task(&mut self, task: &Arc<TaskRecord>) {
        self.leave_queue(task);
        match &task.state {
            State::Queued(queued) if queued.phase == Phase::WaitingCapacity => self.enter_queue(task),
            State::Queued(_) | State::Active(_) | State::Finished(_) => {}
        }
    }

    fn enter_queue(&mut self, task: &Arc<TaskRecord>) {
        let waiting = Waiting(Arc::clone(task));
        if task.spec.worker_id.is_some() {
            self.pinned.insert(Place::of(task), waiting);
        } else {
            self.count_demand(&task.spec);
            self.queue.insert(Place::of(task), waiting);
        }
    }

    fn count_demand(&mut self, spec: &Arc<TaskSpec>) {
        match self.demands.get_mut(&spec.demand) {
            Some(demanded) => demanded.waiting += 1,
            None => {
                let possible = self.fleet.satisfiable(spec);
                let demanded = Demanded { example: Arc::clone(spec), waiting: 1, possible };
                self.demands.insert(spec.demand.clone(), demanded);
            }
        }
    }

    /// A task's place and whether it is pinned never change.
    fn leave_queue(&mut self, task: &TaskRecord) {
        if task.spec.worker_id.is_some() {
            self.pinned.remove(&Place::of(task));
        } else if let Some(waiting) = self.queue.remove(&Place::of(task))
            && let Some(demanded) = self.demands.get_mut(&waiting.spec().demand)
        {
            demanded.waiting -= 1;
            if demanded.waiting == 0 {
                self.demands.remove(&waiting.spec().demand);
            }
        }
    }

    fn refresh_workers(&mut self) {
        let takes_work = |record: &&Arc<WorkerRecord>| record.takes_work();
        self.order = self.fleet.workers().filter(takes_work).map(|record| record.id.clone()).collect();
        for demanded in self.demands.values_mut() {
            demanded.possible = self.fleet.satisfiable(&demanded.example);
        }
    }

    /// Waiting tasks in order, but for pinned ones and those that no registered worker could
    /// ever run: these must not block the others.
    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.queue.values().filter(|task| self.is_possible(task.spec()))
    }

    /// Every waiting task in order, pinned and impossible ones too.
    pub fn queue(&self) -> impl Iterator<Item = TaskId> {
        let mut all: Vec<_> = self.queue.iter().chain(&self.pinned).collect();
        all.sort_by_key(|(place, _)| **place);
        all.into_iter().map(|(_, task)| task.attempt().task)
    }

    /// Every waiting task, pinned and impossible ones too, pinned ones last.
    pub fn each_waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.queue.values().chain(self.pinned.values())
    }

    /// The workers.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    fn is_possible(&self, spec: &TaskSpec) -> bool {
        self.demands.get(&spec.demand).is_some_and(|demanded| demanded.possible)
    }

    /// How many workers take work; they are numbered from 0 in the order of their names.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.order.len()
    }

    /// The name of a worker by its number.
    #[must_use]
    pub fn worker_id(&self, worker: usize) -> &WorkerId {
        &self.order[worker]
    }

    /// The number of the first worker after this name, in turn.
    #[must_use]
    pub fn after(&self, name: &WorkerId) -> usize {
        let next = self.order.partition_point(|id| id <= name);
        if next == self.order.len() { 0 } else { next }
    }

    /// Begins a set of placements that do not exceed what is free together.
    #[must_use]
    pub fn draft(&self) -> Draft<'_> {
        Draft { view: self, taken: BTreeMap::new(), placements: Vec::new() }
    }

    /// Places for pinned tasks: each on its worker as soon as it fits there, in order per worker.
    pub(super) fn place_pinned(&self) -> Vec<Placement> {
        let mut draft = self.draft();
        let mut blocked = std::collections::BTreeSet::new();
        for task in self.pinned.values() {
            let Some(pin) = &task.spec().worker_id else { continue };
            if draft.placements.len() == ROUND || blocked.contains(pin) {
                continue;
            }
            let placed = self.order.binary_search(pin).is_ok_and(|worker| draft.place(task, worker));
            let seen = self.fleet.get(pin);
            let impossible =
                seen.is_some_and(|seen| feasible::could_ever(task.spec(), pin, &seen.record().capacity).is_err());
            if !placed && !impossible {
                blocked.insert(pin);
            }
        }
        draft.into_placements()
    }
}

/// Placements of one round that fit together.
#[derive(Debug)]
pub struct Draft<'a> {
    view: &'a View,
    /// What is left of the workers that got something in this round.
    taken: BTreeMap<usize, Free>,
    placements: Vec<Placement>,
}

impl Draft<'_> {
    /// Places a task on a worker if it fits; answers whether it did.
    pub fn place(&mut self, task: &Waiting, worker: usize) -> bool {
        let Some(seen) = self.view.fleet.get(&self.view.order[worker]) else { return false };
        if !seen.record().duty.is_open() && self.taken.contains_key(&worker) {
            return false; // one attempt tries it
        }
        let left = self.taken.get(&worker).unwrap_or_else(|| seen.free());
        let Ok(allocation) = feasible::fits(task.spec(), seen.record(), left) else { return false };
        let mut left = left.clone();
        if left.take(&allocation).is_err() {
            return false;
        }
        self.taken.insert(worker, left);
        self.placements.push(Placement { attempt: task.attempt(), worker: seen.record().id.clone() });
        true
    }

    /// The placements in the order in which they were made.
    #[must_use]
    pub fn into_placements(self) -> Vec<Placement> {
        self.placements
    }
}
