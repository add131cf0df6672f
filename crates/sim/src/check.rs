//! The rules of SPEC 3.3, held against everything that happens: what the master stores and
//! acknowledges, and what really runs on the hosts.

use crate::store::Store;
use cloudai_core::cluster::{Cluster, MAX_ROWS, invariants};
use cloudai_core::effect::{Effect, Row};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::resources::{Allocation, Capacity, Free};
use cloudai_core::state::{Reason, Status};
use cloudai_core::task::{State, TaskRecord};
use cloudai_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One container's run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) worker: usize,
    pub(crate) started: Timestamp,
    pub(crate) ended: Option<Timestamp>,
    code: Option<i32>,
    allocation: Allocation,
}

/// What was seen so far, and the first rule that was broken.
#[derive(Debug)]
pub(crate) struct Check {
    broken: Option<String>,
    capacities: Vec<Capacity>,
    runs: BTreeMap<Attempt, Run>,
    running: BTreeSet<Attempt>,
    /// Attempts that the store calls over, and whether their worker's agent was then out of the
    /// master's reach by its own death: the one case in which its container may live on.
    over: BTreeMap<Attempt, bool>,
    /// Workers whose agent died and has not registered since.
    alone: Vec<bool>,
    acknowledged: BTreeSet<TaskId>,
    /// Tasks whose cancel was acknowledged before they had ended.
    cancelled: BTreeSet<TaskId>,
    /// Tasks that were waiting when their cancel was acknowledged: they never run.
    cancelled_waiting: BTreeSet<TaskId>,
}

impl Check {
    pub(crate) fn new(capacities: Vec<Capacity>) -> Self {
        Self {
            broken: None,
            alone: vec![false; capacities.len()],
            capacities,
            runs: BTreeMap::new(),
            running: BTreeSet::new(),
            over: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            cancelled: BTreeSet::new(),
            cancelled_waiting: BTreeSet::new(),
        }
    }

    /// Notes a broken rule; the first one counts.
    pub(crate) fn fail(&mut self, rule: String) {
        self.broken.get_or_insert(rule);
    }

    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    pub(crate) const fn runs(&self) -> &BTreeMap<Attempt, Run> {
        &self.runs
    }

    // The cluster in memory.

    pub(crate) fn invariants(&mut self, cluster: &Cluster) {
        if let Some(rule) = invariants::check(cluster).into_iter().next() {
            self.fail(rule);
        }
    }

    pub(crate) fn effects_are_few(&mut self, effects: &[Effect]) {
        let rows = effects.iter().filter(|effect| matches!(effect, Effect::Save(_))).count();
        // One placement or loss may add a second row to the last one that was allowed.
        if rows > MAX_ROWS + 1 {
            self.fail(format!("one event yields {rows} rows"));
        }
    }

    pub(crate) fn deadline_is_ahead(&mut self, of: &str, due: Option<Timestamp>, now: Timestamp) {
        if due.is_some_and(|due| due <= now) {
            self.fail(format!("the next deadline of the {of} is not after now"));
        }
    }

    /// With no batch under way, what the cluster holds is what the store holds.
    pub(crate) fn memory_is_stored(&mut self, store: &Store, cluster: &Cluster) {
        let task = store.live().zip(cluster.tasks()).find(|(stored, held)| stored != held).map(|(_, task)| task.id);
        // A new master shows workers as unheard until they register; it stores that with the first change.
        let mut workers = store.workers.values().zip(cluster.workers());
        let worker = workers.find(|(stored, held)| (&stored.id, stored.version) != (&held.id, held.version));
        let worker = worker.map(|(_, worker)| &worker.id);
        let counts =
            store.live().count() == cluster.tasks().count() && store.workers.len() == cluster.workers().count();
        if task.is_some() || worker.is_some() || !counts {
            self.fail(format!("3.3.1: the cluster knows other records than the store: {task:?} {worker:?}"));
        }
    }

    // The store.

    /// Rows about to become durable, in order.
    pub(crate) fn committing(&mut self, store: &Store, rows: &[Row]) {
        let mut newer: BTreeMap<TaskId, &Arc<TaskRecord>> = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for row in rows {
            match row {
                Row::Task(task) => {
                    let before = newer.get(&task.id).copied().or_else(|| store.tasks.get(&task.id));
                    self.task_row(before, task);
                    if let Some(key) = &task.spec.idempotency_key {
                        let key = (task.owner.clone(), Arc::clone(key));
                        let first = store.keys.get(&key).copied().or_else(|| keys.get(&key).copied());
                        if first.is_some_and(|first| first != task.id) {
                            self.fail(format!("3.3.1: {} has the idempotency key of another task", task.id));
                        }
                        keys.insert(key, task.id);
                    }
                    newer.insert(task.id, task);
                }
                Row::Worker(worker) => {
                    if store.workers.get(&worker.id).is_some_and(|before| before.version >= worker.version) {
                        self.fail(format!("the version of {} does not grow", worker.id));
                    }
                }
                Row::WorkerRemoved(_) | Row::Outputs(..) => {}
            }
        }
    }

    fn task_row(&mut self, before: Option<&Arc<TaskRecord>>, task: &TaskRecord) {
        let id = task.id;
        match before {
            None if task.version != 1 => self.fail(format!("{id} begins with version {}", task.version)),
            Some(before) if before.finished().is_some() => self.fail(format!("3.2: {id} changes after its end")),
            Some(before) if !before.status().may_become(task.status()) => {
                self.fail(format!("3.2: {id} goes from {} to {}", before.status(), task.status()));
            }
            Some(before) if task.version != before.version + 1 => {
                self.fail(format!("{id} goes from version {} to {}", before.version, task.version));
            }
            Some(before) if before.order != task.order || before.attempts.len() > task.attempts.len() => {
                self.fail(format!("{id} forgets its order or its attempts"));
            }
            None | Some(_) => {}
        }
        for attempt in &task.attempts {
            let key = Attempt { task: id, number: attempt.number };
            if attempt.end.is_some() && !self.over.contains_key(&key) {
                let worker = self.runs.get(&key).map(|run| run.worker);
                let excused =
                    worker.map_or_else(|| self.is_alone(attempt.worker.as_str()), |worker| self.alone[worker]);
                self.over.insert(key, excused);
            }
        }
        if let State::Finished(end) = &task.state {
            self.result_is_true(task, end.status, end.reason, end.exit_code);
        }
    }

    fn is_alone(&self, name: &str) -> bool {
        let index = name.trim_start_matches('w').parse::<usize>().ok();
        index.and_then(|index| self.alone.get(index).copied()).unwrap_or(false)
    }

    /// What is stored as a result happened, in the attempt that is called accepted.
    fn result_is_true(&mut self, task: &TaskRecord, status: Status, reason: Option<Reason>, code: Option<i32>) {
        let accepted: Vec<_> =
            task.attempts.iter().filter(|attempt| attempt.end.as_ref().is_some_and(|end| end.accepted)).collect();
        if accepted.len() > 1 {
            self.fail(format!("3.3.2: {} has {} accepted attempts", task.id, accepted.len()));
        }
        let by_itself = status == Status::Completed || reason == Some(Reason::ExitCode);
        if !by_itself {
            return;
        }
        let program = crate::workload::Program::of(&task.spec).exit_code;
        let run = accepted.first().map(|attempt| Attempt { task: task.id, number: attempt.number });
        let run = run.and_then(|attempt| self.runs.get(&attempt));
        if !run.is_some_and(|run| run.ended.is_some() && run.code == code) {
            self.fail(format!("3.3.2: {} is {status} with a result that its accepted attempt has not got", task.id));
        } else if code != Some(program) {
            self.fail(format!("3.2: {} is {status} with {code:?} though its program ends with {program}", task.id));
        }
    }

    // What callers were told.

    pub(crate) fn submission_acknowledged(&mut self, store: &Store, task: TaskId) {
        if store.tasks.contains_key(&task) {
            self.acknowledged.insert(task);
        } else {
            self.fail(format!("3.3.1: {task} was acknowledged and is not stored"));
        }
    }

    pub(crate) fn cancel_acknowledged(&mut self, store: &Store, task: TaskId) {
        let Some(record) = store.tasks.get(&task) else {
            return self.fail(format!("3.3.1: {task} was cancelled and is not stored"));
        };
        match &record.state {
            State::Finished(end) if end.status == Status::Cancelled && record.attempts.is_empty() => {
                self.cancelled_waiting.insert(task);
            }
            State::Finished(_) => {}
            State::Active(_) if record.cancel.is_some() => {
                self.cancelled.insert(task);
            }
            State::Queued(_) | State::Active(_) => {
                self.fail(format!("3.3.7: the cancel of {task} was acknowledged and is not stored"));
            }
        }
    }

    /// A worker is told that an end was taken: the attempt is over in the store.
    pub(crate) fn report_acknowledged(&mut self, store: &Store, attempt: Attempt) {
        let record = store.tasks.get(&attempt.task);
        let over = record
            .is_some_and(|task| task.attempts.iter().any(|one| one.number == attempt.number && one.end.is_some()));
        if !over {
            self.fail(format!("3.3.2: the end of {attempt} was acknowledged and is not stored"));
        }
    }

    // The hosts.

    pub(crate) fn agent_crashed(&mut self, worker: usize) {
        self.alone[worker] = true;
    }

    pub(crate) fn agent_registered(&mut self, worker: usize) {
        self.alone[worker] = false;
    }

    pub(crate) fn container_started(
        &mut self,
        now: Timestamp,
        worker: usize,
        attempt: Attempt,
        allocation: &Allocation,
    ) {
        let run = Run { worker, started: now, ended: None, code: None, allocation: allocation.clone() };
        if self.runs.insert(attempt, run).is_some() {
            self.fail(format!("3.3.2: a container of {attempt} starts for the second time"));
        }
        self.running.insert(attempt);
        if self.cancelled_waiting.contains(&attempt.task) {
            self.fail(format!("3.3.7: {attempt} starts after its cancel was acknowledged while it waited"));
        }
        self.room(worker);
        self.company(worker, attempt);
    }

    /// The containers that run on a worker fit it together.
    fn room(&mut self, worker: usize) {
        let mut free = Free::all(&self.capacities[worker]);
        let here = self.running.iter().filter_map(|attempt| self.runs.get(attempt)).filter(|run| run.worker == worker);
        let lack = here.filter_map(|run| free.take(&run.allocation).err()).next();
        if let Some(lack) = lack {
            self.fail(format!("3.3.3: the containers on w{worker} exceed it ({lack})"));
        }
    }

    /// No other attempt of the task runs, and this one is not given up, but where an agent is dead.
    fn company(&mut self, worker: usize, attempt: Attempt) {
        let given_up = self.over.get(&attempt).copied();
        if given_up == Some(false) && !self.alone[worker] {
            self.fail(format!("3.3.4: {attempt} starts after it was given up, though its agent lives"));
        }
        let others = self.running.iter().filter(|other| other.task == attempt.task && **other != attempt);
        let unexcused = others.filter(|other| self.over.get(other) != Some(&true) && given_up != Some(true)).copied();
        if let Some(other) = unexcused.into_iter().next() {
            self.fail(format!("3.3.4: {attempt} starts while attempt {} runs under a live agent", other.number));
        }
    }

    pub(crate) fn container_ended(&mut self, now: Timestamp, attempt: Attempt, code: Option<i32>) {
        self.running.remove(&attempt);
        if let Some(run) = self.runs.get_mut(&attempt) {
            run.ended = Some(now);
            run.code = code;
        }
    }

    // The end of a run.

    /// Every acknowledged task is there, every cancelled one ended by it unless its own end was first.
    pub(crate) fn finale(&mut self, store: &Store) {
        for id in &self.acknowledged {
            if !store.tasks.contains_key(id) {
                self.broken.get_or_insert_with(|| format!("3.3.1: {id} was acknowledged and is lost"));
            }
        }
        for id in &self.cancelled {
            let end = store.tasks.get(id).and_then(|task| task.finished());
            let own = |reason: Option<Reason>| {
                matches!(reason, None | Some(Reason::ExitCode | Reason::TimedOut | Reason::StartError))
            };
            if !end.is_some_and(|end| end.status == Status::Cancelled || own(end.reason)) {
                self.broken.get_or_insert_with(|| format!("3.3.7: {id} was cancelled and ended as {end:?}"));
            }
        }
    }
}
