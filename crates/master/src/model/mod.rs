//! The committed state as readers see it: shares the core's records, updated batch by batch.
//!
//! Reading takes a short lock and never waits for the store or the engine. `live.rs` has the lists,
//! `news.rs` says what operators want to see in the log, `changes.rs` what those who follow are told.

mod changes;
mod jobs;
mod live;
mod news;
mod orders;

use crate::feed::Feed;
use cloudai_core::effect::Row;
use cloudai_core::ids::{TaskId, WorkerId};
use cloudai_core::queue::Place;
use cloudai_core::resources::{Allocation, Free};
use cloudai_core::rfc3339;
use cloudai_core::state::{Phase, Status};
use cloudai_core::strategy::{Ahead, Fleet, Planned, Seen};
use cloudai_core::task::{State, Step, TaskRecord};
use cloudai_core::time::Timestamp;
use cloudai_core::waiting::{self, Candidate};
use cloudai_core::worker::{WorkerRecord, WorkerStatus};
use cloudai_store::StoreError;
use cloudai_store::query::TaskQuery;
use jobs::Jobs;
pub(crate) use jobs::{Living, arrays_of, wants_array};
pub use jobs::{SeenJob, array_status, is_of_job};
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
    /// What changed last.
    feed: Feed,
}

#[derive(Debug, Default)]
struct Committed {
    live: Live,
    jobs: Jobs,
    /// Those that ended last, and in which order.
    ended: HashMap<TaskId, Arc<TaskRecord>>,
    recent: VecDeque<TaskId>,
    /// How many there are of each status, those that only the store still has included.
    counts: BTreeMap<Status, u64>,
    fleet: Fleet,
    /// What goes before what waits, by the strategy's last round.
    ahead: Arc<Ahead>,
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
    /// Its place in the strategy's plan, while it waits for that.
    pub planned: Option<Planned>,
}

/// A worker with its load.
#[derive(Clone, Debug)]
pub struct SeenWorker {
    /// The record.
    pub record: Arc<WorkerRecord>,
    /// What its attempts hold, by task.
    pub held: Vec<(TaskId, Allocation)>,
    /// How many of these stay with it however long it is silent (`on_disconnect: keep`).
    pub lasting: usize,
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
        Self { state: RwLock::new(state), batches: watch::Sender::new(0), feed: Feed::default() }
    }

    /// The same, of which so many changes are kept.
    #[cfg(test)]
    pub(crate) fn keeping(self, changes: usize) -> Self {
        Self { feed: Feed::keeping(changes), ..self }
    }

    /// What changed last.
    pub(crate) const fn feed(&self) -> &Feed {
        &self.feed
    }

    /// Takes a batch in that was committed at this time, and wakes who waits.
    pub fn publish(&self, at: Timestamp, rows: &[Row]) {
        let (mut news, mut changes) = (Vec::new(), Vec::new());
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            news.extend(state.news(row));
            changes.extend(state.change(row));
            state.apply(row);
        }
        drop(state);
        news.into_iter().for_each(News::log);
        // Behind the state: who is told of a change and looks sees it.
        self.feed.add(at, changes);
        self.batches.send_modify(|batches| *batches += 1);
    }

    /// What goes before what waits from now on.
    pub(crate) fn set_ahead(&self, ahead: Arc<Ahead>) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).ahead = ahead;
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

    /// Queued tasks that wait for something else than a place, by priority, at most `limit`, behind a place or from
    /// the start.
    #[must_use]
    pub fn aside(&self, after: Option<Place>, limit: usize) -> Vec<(Place, TaskId)> {
        let state = self.read();
        state.live.aside(after).take(limit).map(|task| (Place::of(task), task.id)).collect()
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
        state.fleet.each().map(|seen| state.see_worker(seen)).collect()
    }

    /// One worker.
    #[must_use]
    pub fn worker(&self, id: &WorkerId) -> Option<SeenWorker> {
        let state = self.read();
        state.fleet.get(id).map(|seen| state.see_worker(seen))
    }

    /// One worker's record.
    #[must_use]
    pub fn worker_record(&self, id: &WorkerId) -> Option<Arc<WorkerRecord>> {
        self.read().fleet.get(id).map(|seen| Arc::clone(seen.record()))
    }

    /// Workers of which it is known where they can be reached.
    pub(crate) fn with_address(&self) -> Vec<Arc<WorkerRecord>> {
        let state = self.read();
        let records = state.fleet.each().map(Seen::record);
        records.filter(|record| record.address.is_some()).map(Arc::clone).collect()
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
        self.jobs.apply(row);
        match row {
            Row::Task(task) => self.apply_task(task),
            Row::TaskRemoved(id, status) => self.forget(*id, *status),
            Row::Worker(_)
            | Row::WorkerRemoved(_)
            | Row::Outputs(..)
            | Row::Job(..)
            | Row::JobPlanned(..)
            | Row::JobRemoved(_) => {}
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

    fn see_worker(&self, seen: &Seen) -> SeenWorker {
        let held = seen.held().iter().map(|(task, allocation)| (*task, allocation.clone())).collect();
        let lasts = |task: &&TaskId| self.live.get(**task).is_some_and(|task| task.outlasts_silence());
        let lasting = seen.held().keys().filter(lasts).count();
        SeenWorker { record: Arc::clone(seen.record()), held, lasting, free: seen.free().clone() }
    }

    fn see(&self, record: Arc<TaskRecord>) -> SeenTask {
        let worker = record.active().and_then(|active| self.fleet.get(&active.worker)).map(Seen::record);
        let silent = worker.is_some_and(|worker| is_out_of_reach(&record, worker));
        let mut phase = record.phase(silent);
        let mut message = record.message().to_owned();
        let mut planned = None;
        if let State::Queued(queued) = &record.state
            && queued.phase == Phase::WaitingCapacity
        {
            match self.why_waiting(&record) {
                Ok(why) => {
                    message = why;
                    planned = self.ahead.planned.get(&record.id).cloned();
                }
                Err(why) => {
                    phase = Some(Phase::Unsatisfiable);
                    message = why;
                }
            }
        } else if let State::Queued(queued) = &record.state
            && queued.phase == Phase::WaitingStartTime
            && let Some(start) = queued.until
        {
            message = format!("it starts no earlier than {}", rfc3339::format(start));
        } else if let Some(worker) = worker.filter(|_| silent) {
            message = out_of_reach(&record, worker);
        }
        SeenTask { record, phase, message, planned }
    }

    /// One sentence: what stands against a place now, or that no worker can ever give one.
    fn why_waiting(&self, record: &TaskRecord) -> Result<String, String> {
        let why = self.against(record)?;
        let waits = || self.planned(record).or_else(|| self.behind(record));
        Ok(why.or_else(waits).unwrap_or_else(|| "about to be placed".into()))
    }

    /// Of a task that has room: for which worker it is planned.
    fn planned(&self, record: &TaskRecord) -> Option<String> {
        let planned = self.ahead.planned.get(&record.id)?;
        Some(format!("planned for {}: the room that there is now is kept for others", planned.worker))
    }

    /// Which task goes before one that has room, and why that waits.
    fn behind(&self, record: &TaskRecord) -> Option<String> {
        let first = self.ahead.before(record.id, record.spec.worker_id.as_ref())?;
        let waits = |first: &&Arc<TaskRecord>| matches!(first.state, State::Queued(_));
        let against = self.against(self.live.get(first).filter(waits)?).ok().flatten()?;
        Some(format!("behind {first}, which goes first: {against}"))
    }

    /// What workers have against a task; an error where none could ever run it.
    fn against(&self, record: &TaskRecord) -> Result<Option<String>, String> {
        let candidates = self.fleet.each().map(|seen| Candidate {
            record: seen.record(),
            free: seen.free(),
            holds: !seen.held().is_empty(),
            beside: self.fleet.beside(record, seen.record()),
        });
        let gang = self.gang_waits(record);
        waiting::why(&record.spec, candidates).map(|why| gang.or(why))
    }
}

/// Whether nobody knows how a task fares, or what is asked of it is not heard: of one that runs on a worker
/// which is heard, and hears nothing, all else is known.
fn is_out_of_reach(record: &TaskRecord, worker: &WorkerRecord) -> bool {
    let begun = record.active().is_some_and(|active| active.step != Step::Assigned);
    let tells = worker.status == WorkerStatus::Deaf && begun && !record.is_stopping();
    !worker.status.is_connected() && !tells
}

/// What becomes of a task that its worker's silence, or deafness, keeps from its user.
fn out_of_reach(record: &TaskRecord, worker: &WorkerRecord) -> String {
    let (id, next) = (&worker.id, format!("see: cloudai worker info {}", worker.id));
    let is = if worker.status == WorkerStatus::Deaf { "does not hear the master" } else { "is silent" };
    if record.is_stopping() {
        return format!("worker {id} {is}: nobody has confirmed the end yet; {next}");
    }
    if record.outlasts_silence() {
        return format!(
            "worker {id} {is}; the task stays with it (on_disconnect) until it is back, or removed with: cloudai worker remove {id} --force"
        );
    }
    if record.spec.worker_id.is_some() {
        return format!(
            "worker {id} {is}; when its lease has ended the task waits for it, for it is pinned there; {next}"
        );
    }
    format!("worker {id} {is}; the task goes elsewhere when its lease has ended; {next}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::spec::Value;
    use cloudai_core::task::Outcome;
    use cloudai_core::testing::{TestCluster, cores, spec, worker_id};

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
        model.publish(cluster.now, &[Row::TaskRemoved(gone, Status::Completed)]);
        assert_eq!(model.counts()[&Status::Completed], 1);
        assert!(model.task(gone).is_none() && model.task(stays).is_some());
    }

    #[test]
    fn a_task_with_room_is_told_behind_which_it_waits_and_why_that_does() {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(4));
        let runs = cluster.submit(1, spec(&[("cpu_cores", Value::Int(3))])).unwrap();
        cluster.place(runs, "w1");
        let large = cluster.submit(2, spec(&[("cpu_cores", Value::Int(2))])).unwrap();
        let small = cluster.task(3);
        let pin = ("worker_id", Value::Text("w1".into()));
        let pinned_before = cluster.submit(4, spec(&[pin.clone(), ("cpu_cores", Value::Int(4))])).unwrap();
        let pinned = cluster.submit(5, spec(&[pin])).unwrap();
        let model = Model::new(cluster.rows.clone(), BTreeMap::new());
        let message = |task| model.see(cluster.record(task)).message;
        assert_eq!(message(small), "about to be placed");
        let set = |ahead: Ahead| model.set_ahead(Arc::new(ahead));
        set(Ahead { first: Some(large), ..Ahead::default() });
        let why = "no worker has room; w1 comes nearest (cpu: needs 2, has 1 free)";
        assert_eq!(message(large), why);
        assert_eq!(message(small), format!("behind {large}, which goes first: {why}"));
        assert_eq!(message(pinned), "about to be placed", "pinned to a worker it goes before others");
        set(Ahead { first: Some(runs), ..Ahead::default() });
        assert_eq!(message(small), "about to be placed", "that waits no more");
        set(Ahead { pinned: BTreeMap::from([(worker_id("w1"), pinned_before)]), ..Ahead::default() });
        let why = message(pinned_before);
        assert!(why.contains("needs 4"), "{why}");
        assert_eq!(message(pinned), format!("behind {pinned_before}, which goes first: {why}"));
        assert_eq!(message(small), "about to be placed");
        let planned = Planned { worker: worker_id("w1"), at: cluster.now };
        set(Ahead { planned: BTreeMap::from([(small, planned.clone())]), ..Ahead::default() });
        let seen = model.see(cluster.record(small));
        assert_eq!(seen.planned, Some(planned));
        assert_eq!(seen.message, "planned for w1: the room that there is now is kept for others");
    }

    #[test]
    fn of_a_silent_worker_a_pinned_task_is_not_said_to_go_elsewhere() {
        let mut cluster = TestCluster::default();
        cluster.worker("w1", cores(4));
        let free = cluster.task(1);
        let pinned = cluster.submit(2, spec(&[("worker_id", Value::Text("w1".into()))])).unwrap();
        for task in [free, pinned] {
            cluster.place(task, "w1");
        }
        cluster.wait(std::time::Duration::from_secs(60));
        let model = Model::new(cluster.rows.clone(), BTreeMap::new());
        let message = |task| model.see(cluster.record(task)).message;
        assert_eq!(
            message(free),
            "worker w1 is silent; the task goes elsewhere when its lease has ended; see: cloudai worker info w1"
        );
        assert_eq!(
            message(pinned),
            "worker w1 is silent; when its lease has ended the task waits for it, for it is pinned there; see: cloudai \
             worker info w1"
        );
    }
}
