//! The committed state as readers see it: shares the core's records, updated batch by batch.
//!
//! Reading takes a short lock and never waits for the store or the engine.

use cloudai_core::effect::Row;
use cloudai_core::event::PlacementRefusal;
use cloudai_core::feasible;
use cloudai_core::ids::{TaskId, WorkerId};
use cloudai_core::queue::Place;
use cloudai_core::resources::{Allocation, Free};
use cloudai_core::state::{Phase, Status};
use cloudai_core::strategy::View;
use cloudai_core::task::{State, TaskRecord};
use cloudai_core::worker::{WorkerRecord, WorkerStatus};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::watch;

/// Tasks that ended stay readable here until so many others have ended; older ones come from the store.
const RECENT: usize = 10_000;

/// The read model. Cheap to share; one writer, the engine.
#[derive(Debug)]
pub struct Model {
    state: RwLock<Committed>,
    /// Counts batches: whoever waits for a change waits here.
    batches: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Committed {
    tasks: BTreeMap<TaskId, Arc<TaskRecord>>,
    recent: VecDeque<TaskId>,
    ended: BTreeMap<Status, u64>,
    view: View,
    /// Everything that waits, in the order of placement; tasks that can not be placed yet too.
    queue: BTreeMap<Place, TaskId>,
}

/// A task with what only the whole cluster knows about it.
#[derive(Clone, Debug)]
pub struct SeenTask {
    /// The record.
    pub record: Arc<TaskRecord>,
    /// Where it stands, silence of its worker and impossibility included.
    pub phase: Option<Phase>,
    /// What happened, or what it waits for, for people.
    pub message: String,
}

/// A worker with its load.
#[derive(Clone, Debug)]
pub struct SeenWorker {
    /// The record.
    pub record: Arc<WorkerRecord>,
    /// What its attempts hold, by task.
    pub held: Vec<(TaskId, Allocation)>,
    /// What is left.
    pub free: Free,
}

impl Model {
    /// The state that a master starts from.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = Row>, ended: BTreeMap<Status, u64>) -> Self {
        let model =
            Self { state: RwLock::new(Committed { ended, ..Committed::default() }), batches: watch::Sender::new(0) };
        model.publish(&rows.into_iter().collect::<Vec<_>>());
        model
    }

    /// Takes a committed batch in and wakes who waits.
    pub fn publish(&self, rows: &[Row]) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            state.apply(row);
        }
        drop(state);
        self.batches.send_modify(|batches| *batches += 1);
    }

    /// Something to await the next batches on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.batches.subscribe()
    }

    fn read(&self) -> RwLockReadGuard<'_, Committed> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A live or recently ended task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<Arc<TaskRecord>> {
        self.read().tasks.get(&id).cloned()
    }

    /// Adds what only the whole cluster knows.
    #[must_use]
    pub fn see(&self, record: Arc<TaskRecord>) -> SeenTask {
        self.read().see(record)
    }

    /// The queue in the order of placement, at most `limit` tasks, behind a place or from the start.
    #[must_use]
    pub fn queue(&self, after: Option<Place>, limit: usize) -> Vec<SeenTask> {
        let state = self.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let queue = state.queue.range((from, Bound::Unbounded)).map(|(_, id)| id);
        let tasks = queue.filter_map(|id| state.tasks.get(id)).take(limit);
        tasks.map(|task| state.see(Arc::clone(task))).collect()
    }

    /// Every worker in the order of the names.
    #[must_use]
    pub fn workers(&self) -> Vec<SeenWorker> {
        let state = self.read();
        state.view.each_worker().map(|(record, free)| state.see_worker(record, free)).collect()
    }

    /// One worker.
    #[must_use]
    pub fn worker(&self, id: &WorkerId) -> Option<SeenWorker> {
        let state = self.read();
        let found = state.view.each_worker().find(|(record, _)| record.id == *id);
        found.map(|(record, free)| state.see_worker(record, free))
    }

    /// One worker's record.
    #[must_use]
    pub fn worker_record(&self, id: &WorkerId) -> Option<Arc<WorkerRecord>> {
        self.read().view.worker(id).cloned()
    }

    /// How many tasks there are by status; every status is present.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Status, u64> {
        let state = self.read();
        let mut counts: BTreeMap<Status, u64> = Status::ALL.iter().map(|status| (*status, 0)).collect();
        for (status, ended) in &state.ended {
            *counts.entry(*status).or_default() += ended;
        }
        for task in state.tasks.values().filter(|task| !task.status().is_final()) {
            *counts.entry(task.status()).or_default() += 1;
        }
        counts
    }
}

impl Committed {
    fn apply(&mut self, row: &Row) {
        self.view.apply(row);
        let Row::Task(task) = row else { return };
        let status = task.status();
        match status {
            Status::Queued => drop(self.queue.insert(Place::of(task), task.id)),
            Status::Pending | Status::Running | Status::Completed | Status::Failed | Status::Cancelled => {
                self.queue.remove(&Place::of(task));
            }
        }
        let before = self.tasks.insert(task.id, Arc::clone(task));
        if status.is_final() && before.is_none_or(|before| !before.status().is_final()) {
            *self.ended.entry(status).or_default() += 1;
            self.recent.push_back(task.id);
            if self.recent.len() > RECENT
                && let Some(oldest) = self.recent.pop_front()
            {
                self.tasks.remove(&oldest);
            }
        }
    }

    fn see(&self, record: Arc<TaskRecord>) -> SeenTask {
        let worker = record.active().and_then(|active| self.view.worker(&active.worker));
        let silent = worker.is_some_and(|worker| !worker.status.is_connected());
        let mut phase = record.phase(silent);
        let mut message = record.message().to_owned();
        if let State::Queued(queued) = &record.state
            && queued.phase == Phase::WaitingCapacity
        {
            match feasible::satisfiable(&record.spec, self.view.each_worker().map(|(worker, _)| &**worker)) {
                Ok(()) => message = self.why_waiting(&record),
                Err(why) => {
                    phase = Some(Phase::Unsatisfiable);
                    message = format!("no worker can run this: {why}");
                }
            }
        } else if silent && let Some(worker) = worker {
            message = format!("worker {} is silent; the task goes elsewhere when its lease has ended", worker.id);
        }
        SeenTask { record, phase, message }
    }

    /// One sentence: what stands against a place now. The same rule places.
    fn why_waiting(&self, record: &TaskRecord) -> String {
        let active = || self.view.each_worker().filter(|(worker, _)| worker.status == WorkerStatus::Active);
        let (mut fitting, mut lacks) = (0usize, Vec::new());
        for (worker, free) in active() {
            match feasible::fits(&record.spec, worker, free) {
                Ok(_) => fitting += 1,
                Err(PlacementRefusal::Lack(lack)) => lacks.push((lack, &worker.id)),
                Err(PlacementRefusal::Stale | PlacementRefusal::WorkerUnavailable | PlacementRefusal::Pinned) => {}
            }
        }
        if fitting > 0 {
            return "there is room for it; it is being placed".into();
        }
        let nearest = lacks.iter().min_by_key(|(lack, _)| lack.need - lack.have.min(lack.need));
        match (nearest, &record.spec.worker_id) {
            (Some((lack, worker)), _) => format!("no worker has room; {worker} comes nearest ({lack} free)"),
            (None, Some(pinned)) => format!("pinned to {pinned}, which takes no work now"),
            (None, None) => "no worker is connected; start one with: cloudai worker start".into(),
        }
    }

    fn see_worker(&self, record: &Arc<WorkerRecord>, free: &Free) -> SeenWorker {
        let held = self.view.held(&record.id).map(|(task, allocation)| (task, allocation.clone())).collect();
        SeenWorker { record: Arc::clone(record), held, free: free.clone() }
    }
}
