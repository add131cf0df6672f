//! The rules of SPEC 3.3, held against everything that happens: what the master stores and
//! acknowledges, and what really runs on the hosts.

use crate::store::Rows;
use cloudai_core::cluster::{Cluster, MAX_ROWS, invariants};
use cloudai_core::effect::Row;
use cloudai_core::ids::{Attempt, TaskId, WorkerId};
use cloudai_core::resources::{Allocation, Capacity, Free};
use cloudai_core::state::{Phase, Reason, Status};
use cloudai_core::task::{State, Step, TaskRecord};
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
    /// Workers whose agent died, or that were removed by force, and have not registered since.
    alone: Vec<bool>,
    /// What a worker held when it registered last.
    brought: Vec<BTreeSet<Attempt>>,
    /// Workers whose agent stands still now.
    still: Vec<bool>,
    /// Attempts whose agent stood still beyond the time at which it had to stop them: their
    /// containers were out of everybody's reach, as if it had been dead. And those that run on
    /// without their master (`on_disconnect: keep`) and were given up: by a cancel, by their total
    /// time or with their worker. They are killed at the next contact.
    unattended: BTreeSet<Attempt>,
    /// What a worker held when it came back smaller: it may exceed the worker together with the rest.
    inherited: Vec<BTreeSet<Attempt>>,
    acknowledged: BTreeSet<TaskId>,
    /// Attempts whose end was acknowledged.
    taken: BTreeSet<Attempt>,
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
            brought: vec![BTreeSet::new(); capacities.len()],
            still: vec![false; capacities.len()],
            unattended: BTreeSet::new(),
            inherited: vec![BTreeSet::new(); capacities.len()],
            capacities,
            runs: BTreeMap::new(),
            running: BTreeSet::new(),
            over: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            taken: BTreeSet::new(),
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

    pub(crate) fn changes_are_few(&mut self, changes: &[(Row, usize)]) {
        // One placement or loss may add a second row to the last one that was allowed.
        if changes.len() > MAX_ROWS + 1 {
            self.fail(format!("one event yields {} rows", changes.len()));
        }
    }

    /// Nothing is given to a worker that takes no work.
    pub(crate) fn placed_on_active(&mut self, changes: &[(Row, usize)], idle: &BTreeSet<WorkerId>) {
        for (row, _) in changes {
            if let Row::Task(task) = row
                && let Some(active) = task.active()
                && active.step == Step::Assigned
                && idle.contains(&active.worker)
            {
                self.fail(format!("3.3.4: {} is given to {}, which takes no work", task.id, active.worker));
            }
        }
    }

    pub(crate) fn deadline_is_ahead(&mut self, of: &str, due: Option<Timestamp>, now: Timestamp) {
        if due.is_some_and(|due| due <= now) {
            self.fail(format!("the next deadline of the {of} is not after now"));
        }
    }

    /// With no batch under way, what the cluster holds is what the store holds.
    pub(crate) fn memory_is_stored(&mut self, store: &Rows, cluster: &Cluster) {
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
    pub(crate) fn committing<'a>(&mut self, store: &Rows, rows: impl Iterator<Item = &'a Row>) {
        let mut newer: BTreeMap<TaskId, &Arc<TaskRecord>> = BTreeMap::new();
        let mut keys = BTreeMap::new();
        let rows: Vec<_> = rows.collect();
        let removed: BTreeSet<_> = rows
            .iter()
            .filter_map(|row| match row {
                Row::WorkerRemoved(id) => Some(id),
                Row::Task(_) | Row::Worker(_) | Row::Outputs(..) | Row::TaskRemoved(..) => None,
            })
            .collect();
        for index in removed.iter().filter_map(|id| index_of(id)) {
            // An operator who removes a worker takes its attempts away at once.
            self.alone[index] = true;
        }
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
                    let before = store.workers.get(&worker.id).filter(|_| !removed.contains(&worker.id));
                    if before.is_some_and(|before| before.version >= worker.version) {
                        self.fail(format!("the version of {} does not grow", worker.id));
                    }
                }
                Row::WorkerRemoved(_) | Row::Outputs(..) | Row::TaskRemoved(..) => {}
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
                self.fail(format!("3.3.1: {id} goes from version {} to {}", before.version, task.version));
            }
            Some(before) if before.order != task.order || before.attempts.len() > task.attempts.len() => {
                self.fail(format!("{id} forgets its order or its attempts"));
            }
            None | Some(_) => {}
        }
        self.waited_as_asked(before, task);
        self.drained_for_nothing(before, task);
        for attempt in &task.attempts {
            let key = Attempt { task: id, number: attempt.number };
            if attempt.end.is_some() && !self.over.contains_key(&key) {
                let excused = index_of(&attempt.worker).is_some_and(|index| self.alone[index] || self.still[index]);
                self.over.insert(key, excused);
                if !task.spec.on_disconnect.is_stop() {
                    self.unattended.insert(key);
                }
            }
        }
        if let State::Finished(end) = &task.state {
            self.result_is_true(task, end.status, end.reason, end.exit_code);
        }
    }

    /// A place is given only to what may be placed, and not before its time.
    fn waited_as_asked(&mut self, before: Option<&Arc<TaskRecord>>, task: &TaskRecord) {
        let Some(State::Queued(queued)) = before.map(|before| &before.state) else { return };
        let Some(given) = task.active().and_then(|_| task.attempts.last()) else { return };
        if queued.phase != Phase::WaitingCapacity {
            self.fail(format!("3.1: {} is placed while it is {}", task.id, queued.phase));
        }
        if task.starts_at().is_some_and(|at| given.assigned_at < at) {
            self.fail(format!("3.1: {} is placed before its time", task.id));
        }
    }

    /// Who loses a place because its worker is emptied loses no retry.
    fn drained_for_nothing(&mut self, before: Option<&Arc<TaskRecord>>, task: &TaskRecord) {
        let Some(before) = before else { return };
        let drained = task.attempts.last().and_then(|attempt| attempt.end.as_ref()).and_then(|end| end.reason);
        if before.active().is_some() && drained == Some(Reason::Drained) && before.spent != task.spent {
            self.fail(format!("14: {} is drained and pays for it with a retry", task.id));
        }
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

    pub(crate) fn submission_acknowledged(&mut self, store: &Rows, task: TaskId) {
        if store.tasks.contains_key(&task) {
            self.acknowledged.insert(task);
        } else {
            self.fail(format!("3.3.1: {task} was acknowledged and is not stored"));
        }
    }

    pub(crate) fn cancel_acknowledged(&mut self, store: &Rows, task: TaskId) {
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
    pub(crate) fn report_acknowledged(&mut self, store: &Rows, attempt: Attempt) {
        if is_over(store, attempt) {
            self.taken.insert(attempt);
        } else {
            self.fail(format!("3.3.2: the end of {attempt} was acknowledged and is not stored"));
        }
    }

    /// A machine without power took nothing with it that anybody was told.
    pub(crate) fn power_was_cut(&mut self, store: &Rows) {
        let task = self.acknowledged.iter().find(|id| !store.tasks.contains_key(id));
        let asked = |task: &TaskRecord| task.cancel.is_some() || task.finished().is_some();
        let mut cancels = self.cancelled.iter().chain(&self.cancelled_waiting);
        let cancel = cancels.find(|id| !store.tasks.get(id).is_some_and(|task| asked(task)));
        let end = self.taken.iter().find(|attempt| !is_over(store, **attempt));
        if task.is_some() || cancel.is_some() || end.is_some() {
            let (end, what) = (end.map(|attempt| attempt.task), "was acknowledged, and a power cut took it");
            self.fail(format!("3.3.1: task {task:?}, cancel of {cancel:?} or end of {end:?} {what}"));
        }
    }

    // The hosts.

    pub(crate) fn agent_crashed(&mut self, worker: usize) {
        self.alone[worker] = true;
    }

    pub(crate) fn agent_registered(&mut self, worker: usize, held: BTreeSet<Attempt>) {
        self.alone[worker] = false;
        self.brought[worker] = held;
    }

    /// A process begins on a host that has so much now, with what its journal tells.
    pub(crate) fn agent_started(&mut self, worker: usize, capacity: &Capacity, held: BTreeSet<Attempt>) {
        let shrank = is_smaller(capacity, &self.capacities[worker]);
        self.still[worker] = false;
        self.capacities[worker] = capacity.clone();
        self.inherited[worker].retain(|attempt| held.contains(attempt));
        if shrank {
            self.inherited[worker].extend(held);
        }
    }

    pub(crate) fn agent_stands_still(&mut self, worker: usize) {
        self.still[worker] = true;
    }

    /// It goes on, and was to have stopped these before.
    pub(crate) fn agent_goes_on(&mut self, worker: usize, overdue: impl IntoIterator<Item = Attempt>) {
        self.still[worker] = false;
        self.unattended.extend(overdue);
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
        if !self.inherited[worker].contains(&attempt) {
            self.room(worker, attempt);
        }
        self.company(worker, attempt);
    }

    /// A container fits its worker beside all that run there.
    fn room(&mut self, worker: usize, attempt: Attempt) {
        let mut sum = Allocation::default();
        let others = self.running.iter().filter(|other| **other != attempt).filter_map(|other| self.runs.get(other));
        others.filter(|run| run.worker == worker).for_each(|run| sum.add(&run.allocation));
        let Some(run) = self.runs.get(&attempt) else { return };
        if let Err(lack) = Free::left(&self.capacities[worker], &sum).take(&run.allocation) {
            self.fail(format!("3.3.3: the containers on w{worker} exceed it ({lack})"));
        }
    }

    /// No other attempt of the task runs, and this one is not given up, but where an agent is dead.
    fn company(&mut self, worker: usize, attempt: Attempt) {
        let given_up = self.over.get(&attempt).copied();
        let attended = !self.alone[worker] && !self.unattended.contains(&attempt);
        let late = match given_up {
            Some(true) => !self.brought[worker].contains(&attempt),
            Some(false) => true,
            None => false,
        };
        if late && attended {
            self.fail(format!("3.3.4: {attempt} starts after it was given up, though its agent lives"));
        }
        let others = self.running.iter().filter(|other| other.task == attempt.task && **other != attempt);
        let alone = |attempt: &Attempt| self.over.get(attempt) == Some(&true) || self.unattended.contains(attempt);
        let unexcused = others.filter(|other| !alone(other) && !alone(&attempt)).copied();
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
    pub(crate) fn finale(&mut self, store: &Rows) {
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

/// Whether the store calls an attempt over.
fn is_over(store: &Rows, attempt: Attempt) -> bool {
    let ended =
        |task: &Arc<TaskRecord>| task.attempts.iter().any(|one| one.number == attempt.number && one.end.is_some());
    store.tasks.get(&attempt.task).is_some_and(ended)
}

/// Which worker has this name.
fn index_of(id: &WorkerId) -> Option<usize> {
    id.as_str().strip_prefix('w')?.parse().ok()
}

/// Whether something of the one is missing in the other.
fn is_smaller(now: &Capacity, before: &Capacity) -> bool {
    now.cpu_milli < before.cpu_milli
        || now.memory < before.memory
        || now.storage < before.storage
        || before.gpus.iter().any(|gpu| !now.gpus.contains(gpu))
}
