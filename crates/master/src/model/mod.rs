//! The committed state as readers see it: shares the core's records, updated batch by batch.
//!
//! Reading takes a short lock and never waits for the store or the engine. `live.rs` has the lists,
//! `news.rs` says what operators want to see in the log.

mod live;
mod news;
mod orders;

use cloudai_core::effect::Row;
use cloudai_core::event::PlacementRefusal;
use cloudai_core::feasible;
use cloudai_core::ids::{TaskId, WorkerId};
use cloudai_core::queue::Place;
use cloudai_core::resources::{Allocation, Free};
use cloudai_core::rfc3339;
use cloudai_core::state::{Phase, Status};
use cloudai_core::strategy::{Fleet, Seen};
use cloudai_core::task::{State, TaskRecord};
use cloudai_core::worker::{Idle, Unfit, WorkerRecord, WorkerStatus};
use cloudai_store::StoreError;
use cloudai_store::query::TaskQuery;
use live::Live;
use news::News;
use std::collections::{BTreeMap, HashMap, VecDeque};
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
    live: Live,
    /// Those that ended last, and in which order.
    ended: HashMap<TaskId, Arc<TaskRecord>>,
    recent: VecDeque<TaskId>,
    /// How many there are of each status, those that only the store still has included.
    counts: BTreeMap<Status, u64>,
    fleet: Fleet,
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
        let none = Status::ALL.iter().map(|status| (*status, 0));
        let counts = none.chain(ended).collect();
        let mut state = Committed { counts, ..Committed::default() };
        rows.into_iter().for_each(|row| state.apply(&row));
        Self { state: RwLock::new(state), batches: watch::Sender::new(0) }
    }

    /// Takes a committed batch in and wakes who waits.
    pub fn publish(&self, rows: &[Row]) {
        let mut news = Vec::new();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            news.extend(state.news(row));
            state.apply(row);
        }
        drop(state);
        news.into_iter().for_each(News::log);
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
        let state = self.read();
        state.live.get(id).or_else(|| state.ended.get(&id)).cloned()
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
        state.live.queue(after).take(limit).map(|task| state.see(Arc::clone(task))).collect()
    }

    /// The first of a list of live tasks, one more than its limit if there are.
    /// # Errors
    /// [`StoreError::Unsupported`] for a name prefix that matches too many.
    pub fn live(&self, query: &TaskQuery) -> Result<Vec<Arc<TaskRecord>>, StoreError> {
        let state = self.read();
        let seen = query.worker.as_ref().and_then(|worker| state.fleet.get(worker));
        let on_worker: Vec<TaskId> = seen.map(|seen| seen.held().keys().copied().collect()).unwrap_or_default();
        state.live.page(query, &on_worker)
    }

    /// Ids of live tasks that begin or end with a part of their text, newest first.
    #[must_use]
    pub fn live_like(&self, part: &str, limit: usize) -> Vec<TaskId> {
        self.read().live.like(part, limit)
    }

    /// Every worker in the order of the names.
    #[must_use]
    pub fn workers(&self) -> Vec<SeenWorker> {
        let state = self.read();
        state.fleet.each().map(SeenWorker::of).collect()
    }

    /// One worker.
    #[must_use]
    pub fn worker(&self, id: &WorkerId) -> Option<SeenWorker> {
        self.read().fleet.get(id).map(SeenWorker::of)
    }

    /// One worker's record.
    #[must_use]
    pub fn worker_record(&self, id: &WorkerId) -> Option<Arc<WorkerRecord>> {
        self.read().fleet.get(id).map(|seen| Arc::clone(seen.record()))
    }

    /// Every worker with the sum of what its attempts hold.
    #[must_use]
    pub fn loads(&self) -> Vec<(Arc<WorkerRecord>, Allocation)> {
        let load = |seen: &Seen| (Arc::clone(seen.record()), seen.allocated().clone());
        self.read().fleet.each().map(load).collect()
    }

    /// How many tasks there are by status; every status is present.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Status, u64> {
        self.read().counts.clone()
    }
}

impl Committed {
    fn apply(&mut self, row: &Row) {
        self.fleet.apply(row);
        match row {
            Row::Task(task) => self.apply_task(task),
            Row::TaskRemoved(id, status) => self.forget(*id, *status),
            Row::Worker(_) | Row::WorkerRemoved(_) | Row::Outputs(..) => {}
        }
    }

    /// A task that has ended is kept no longer.
    fn forget(&mut self, id: TaskId, status: Status) {
        // Its place among the recent ones is taken when it is the oldest.
        self.ended.remove(&id);
        if let Some(count) = self.counts.get_mut(&status) {
            *count = count.saturating_sub(1);
        }
    }

    fn apply_task(&mut self, task: &Arc<TaskRecord>) {
        let status = task.status();
        let before = self.live.apply(task);
        if let Some(count) = before.and_then(|before| self.counts.get_mut(&before)) {
            *count -= 1;
        }
        if !status.is_final() {
            *self.counts.entry(status).or_default() += 1;
        } else if self.ended.insert(task.id, Arc::clone(task)).is_none() {
            *self.counts.entry(status).or_default() += 1;
            self.recent.push_back(task.id);
            if self.recent.len() > RECENT
                && let Some(oldest) = self.recent.pop_front()
            {
                self.ended.remove(&oldest);
            }
        }
    }

    fn see(&self, record: Arc<TaskRecord>) -> SeenTask {
        let worker = record.active().and_then(|active| self.fleet.get(&active.worker)).map(Seen::record);
        let silent = worker.is_some_and(|worker| !worker.status.is_connected());
        let mut phase = record.phase(silent);
        let mut message = record.message().to_owned();
        if let State::Queued(queued) = &record.state
            && queued.phase == Phase::WaitingCapacity
        {
            match feasible::satisfiable(&record.spec, self.fleet.workers().map(AsRef::as_ref)) {
                Ok(()) => message = self.why_waiting(&record),
                Err(why) => {
                    phase = Some(Phase::Unsatisfiable);
                    message = format!("no worker can run this: {why}");
                }
            }
        } else if let State::Queued(queued) = &record.state
            && queued.phase == Phase::WaitingStartTime
            && let Some(start) = queued.until
        {
            message = format!("it starts no earlier than {}", rfc3339::format(start));
        } else if let Some(worker) = worker.filter(|worker| worker.status == WorkerStatus::Deaf) {
            let (id, next) = (&worker.id, format!("see: cloudai worker info {}", worker.id));
            message = if record.is_stopping() {
                format!("worker {id} does not hear the master: nobody has confirmed the end yet; {next}")
            } else {
                format!("worker {id} does not hear the master; the task goes elsewhere unless {id} holds it; {next}")
            };
        } else if silent && let Some(worker) = worker {
            message = match (record.is_stopping(), record.outlasts_silence()) {
                (true, _) => format!("worker {} is silent: nobody has confirmed the end yet", worker.id),
                (_, true) => format!(
                    "worker {} is silent; the task stays with it (on_disconnect) until it is back, or removed with: cloudai worker remove {0} --force",
                    worker.id
                ),
                (_, false) => {
                    format!("worker {} is silent; the task goes elsewhere when its lease has ended", worker.id)
                }
            };
        }
        SeenTask { record, phase, message }
    }

    /// One sentence: what stands against a place now. The same rule places.
    fn why_waiting(&self, record: &TaskRecord) -> String {
        let (mut fitting, mut lacks, mut away, mut idle) = (0usize, Vec::new(), Vec::new(), BTreeMap::new());
        for seen in self.fleet.each() {
            match feasible::fits(&record.spec, seen.record(), seen.free()) {
                Ok(_) => fitting += 1,
                Err(PlacementRefusal::Lack(lack)) => lacks.push((lack, &seen.record().id)),
                Err(PlacementRefusal::WorkerUnavailable) => {
                    if let Some(why) = seen.record().idle().filter(|why| *why != Idle::Absent) {
                        *idle.entry(why).or_insert(0usize) += 1;
                    }
                    away.extend(seen.record().unfit().map(|why| {
                        let full = seen.free().pick(&record.spec.demand).is_err();
                        (full, &seen.record().id, why)
                    }));
                }
                Err(PlacementRefusal::Stale | PlacementRefusal::Pinned) => {}
            }
        }
        if fitting > 0 {
            return "about to be placed".into();
        }
        // One that has room, or else any when nobody else takes work.
        let away = away
            .into_iter()
            .min_by_key(|(full, worker, _)| (*full, *worker))
            .filter(|(full, ..)| !full || lacks.is_empty());
        if let Some((_, worker, why)) = away {
            return match why {
                Unfit::EngineAway(why) => {
                    format!("the container engine of {worker} does not answer, so it gets no work: {why}")
                }
                Unfit::DiskPressure(why) => format!("{worker} is short of disk, so it gets no work: {why}"),
            };
        }
        let nearest = lacks.iter().min_by_key(|(lack, _)| lack.need - lack.have.min(lack.need));
        match (nearest, &record.spec.worker_id) {
            (Some((lack, worker)), _) if idle.is_empty() => {
                format!("no worker has room; {worker} comes nearest ({lack} free)")
            }
            (Some((lack, worker)), _) => {
                format!("no worker has room; {worker} comes nearest ({lack} free); {} besides", counted(&idle))
            }
            (None, Some(pinned)) => match idle.keys().next() {
                Some(why) => {
                    format!("pinned to {pinned}, which is {}{}", why.word(), next_step(&idle, pinned.as_str()))
                }
                None => format!("pinned to {pinned}, which takes no work now"),
            },
            (None, None) if idle.is_empty() => "no worker is connected; start one with: cloudai worker start".into(),
            (None, None) => format!("no worker takes work: {}{}", counted(&idle), next_step(&idle, "ID")),
        }
    }
}

/// How many workers are kept from work by what, as `2 are draining, 1 is quarantined`.
fn counted(idle: &BTreeMap<Idle, usize>) -> String {
    let part =
        |(why, count): (&Idle, &usize)| format!("{count} {} {}", if *count == 1 { "is" } else { "are" }, why.word());
    idle.iter().map(part).collect::<Vec<_>>().join(", ")
}

/// What an operator can do about it, where there is something.
fn next_step(idle: &BTreeMap<Idle, usize>, worker: &str) -> String {
    if idle.contains_key(&Idle::Deaf) {
        return format!("; see why with: cloudai worker info {worker}");
    }
    if idle.contains_key(&Idle::Quarantined) {
        return format!(", tried again now and then; see why with: cloudai worker info {worker}");
    }
    let ours = idle.contains_key(&Idle::Cordoned) || idle.contains_key(&Idle::Draining);
    if ours { format!("; give it work again with: cloudai worker undrain {worker}") } else { String::new() }
}

impl SeenWorker {
    fn of(seen: &Seen) -> Self {
        let held = seen.held().iter().map(|(task, allocation)| (*task, allocation.clone())).collect();
        Self { record: Arc::clone(seen.record()), held, free: seen.free().clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::task::Outcome;
    use cloudai_core::testing::{TestCluster, cores};

    #[test]
    fn a_task_that_is_kept_no_longer_is_neither_read_nor_counted() {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(4));
        let (gone, stays) = (cluster.task(1), cluster.task(2));
        for task in [gone, stays] {
            let attempt = cluster.place(task, "w1");
            cluster.end(attempt, Outcome::exit(0)).unwrap();
        }
        let model = Model::new(cluster.rows.clone(), BTreeMap::new());
        assert_eq!(model.counts()[&Status::Completed], 2);
        model.publish(&[Row::TaskRemoved(gone, Status::Completed)]);
        assert_eq!(model.counts()[&Status::Completed], 1);
        assert!(model.task(gone).is_none() && model.task(stays).is_some());
    }
}
