//! The rules of SPEC 3.3, held against everything that happens: what the master stores and
//! acknowledges, and what really runs on the hosts.

mod jobs;

use crate::lives::Ordered;
use crate::promises::Promises;
use crate::store::{FIRST_LIFE, Rows};
use cloudai_core::cluster::{Cluster, MAX_ROWS, invariants};
use cloudai_core::effect::Row;
use cloudai_core::event::{Part, Placement};
use cloudai_core::ids::{Attempt, Incarnation, JobId, TaskId, WorkerId};
use cloudai_core::preemption::{self, Preemption, SPARED};
use cloudai_core::resources::{Allocation, Capacity, Free, Kind};
use cloudai_core::state::{Phase, Reason, Status};
use cloudai_core::strategy::View;
use cloudai_core::task::{State, Step, TaskRecord};
use cloudai_core::time::Timestamp;
use jobs::Jobs;
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
    runs: BTreeMap<Ordered, Run>,
    running: BTreeSet<Ordered>,
    /// Attempts that the store calls over, and whether their worker's agent was then out of the
    /// master's reach by its own death: the one case in which its container may live on.
    over: BTreeMap<Ordered, bool>,
    /// Workers whose agent died, or that were removed by force, and have not registered since.
    alone: Vec<bool>,
    /// What a worker held when it registered last.
    brought: Vec<BTreeSet<Ordered>>,
    /// Workers whose agent stands still now.
    still: Vec<bool>,
    /// Attempts whose agent stood still beyond the time at which it had to stop them: their
    /// containers were out of everybody's reach, as if it had been dead. And those that run on
    /// without their master (`on_disconnect: keep`) and were given up: by a cancel, by their total
    /// time or with their worker. They are killed at the next contact.
    unattended: BTreeSet<Ordered>,
    /// What a worker held when it came back smaller: it may exceed the worker together with the rest.
    inherited: Vec<BTreeSet<Ordered>>,
    /// The life that each worker registered in last, of its present process.
    lives: Vec<Incarnation>,
    /// The life of the data.
    incarnation: Incarnation,
    /// What is stored of jobs.
    jobs: Jobs,
    promises: Promises,
    /// Those at the time of the backup.
    backup: Promises,
}

impl Check {
    pub(crate) fn new(capacities: Vec<Capacity>) -> Self {
        Self {
            broken: None,
            alone: vec![false; capacities.len()],
            lives: vec![Incarnation(0); capacities.len()],
            brought: vec![BTreeSet::new(); capacities.len()],
            still: vec![false; capacities.len()],
            unattended: BTreeSet::new(),
            inherited: vec![BTreeSet::new(); capacities.len()],
            capacities,
            runs: BTreeMap::new(),
            running: BTreeSet::new(),
            over: BTreeMap::new(),
            incarnation: FIRST_LIFE,
            jobs: Jobs::default(),
            promises: Promises::default(),
            backup: Promises::default(),
        }
    }

    /// Notes a broken rule; the first one counts.
    pub(crate) fn fail(&mut self, rule: String) {
        self.broken.get_or_insert(rule);
    }

    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    pub(crate) const fn runs(&self) -> &BTreeMap<Ordered, Run> {
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

    /// Only what is less important by so much is stopped for another, which waits.
    pub(crate) fn preempted(&mut self, cluster: &Cluster, preemption: &Preemption, margin: u32) {
        let Preemption { for_, victims, .. } = preemption;
        let priority = |task: TaskId| cluster.task(task).map(|task| task.spec.priority);
        let least = priority(for_.task).zip(i32::try_from(margin).ok()).map(|(priority, margin)| priority - margin);
        let waits = cluster.task(for_.task).is_some_and(|task| task.active().is_none());
        let lower = |victim: &Attempt| priority(victim.task).zip(least).is_some_and(|(of, least)| of <= least);
        if margin == 0 || !waits || victims.is_empty() || !victims.iter().all(lower) {
            self.fail(format!("9: tasks are stopped by {preemption:?}, though the margin is {margin}"));
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
        if !store.live_jobs().eq(cluster.jobs()) {
            let (stored, held): (Vec<_>, Vec<_>) = (store.live_jobs().collect(), cluster.jobs().collect());
            self.fail(format!("3.3.1: the cluster knows other jobs than the store: {held:?}, not {stored:?}"));
        }
    }

    /// A master that begins now knows of jobs what the one knows that is there.
    pub(crate) fn restart_knows_jobs(&mut self, fresh: &Cluster, cluster: &Cluster) {
        for job in cluster.jobs() {
            let [new, old] = [fresh, cluster].map(|cluster| format!("{:?}", cluster.job_progress(job.id)));
            if new != old {
                self.fail(format!("6: a master that begins knows of {} only {new}, not {old}", job.id));
            }
        }
    }

    /// What strategies think is free is what the rows leave, less what this round gives away.
    pub(crate) fn mirror_is_true(&mut self, view: &View, given: &[Placement]) {
        for (seat, seen) in view.board().seats().iter().zip(view.fleet().each()) {
            let worker = &seen.record().id;
            let goes = |task: &TaskRecord| given.iter().any(|to| to.attempt.task == task.id && to.worker == *worker);
            let free = Kind::ALL.map(|kind| {
                let asked = |task: &TaskRecord| {
                    let demand = task.spec.demands().nth(view.given(&task.id));
                    demand.map_or(0, |demand| demand.amount(kind))
                };
                let taken = view.records().filter(|task| goes(task)).map(|task| asked(task));
                seen.free().amount(kind).saturating_sub(taken.sum())
            });
            if seat.free != free {
                self.fail(format!("strategies think that {worker} has {:?} free, not {free:?}", seat.free));
            }
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
                Row::Task(_)
                | Row::Worker(_)
                | Row::Outputs(..)
                | Row::TaskRemoved(..)
                | Row::Job(..)
                | Row::JobPlanned(..)
                | Row::JobRemoved(_) => None,
            })
            .collect();
        for index in removed.iter().filter_map(|id| index_of(id)) {
            // An operator who removes a worker takes its attempts away at once.
            self.alone[index] = true;
        }
        for row in rows.iter().copied() {
            match row {
                Row::Task(task) => {
                    if task.version == 1 && self.promises.is_cancelled_waiting(task.id) {
                        self.fail(format!("3.3.7: {} begins after its cancel was acknowledged", task.id));
                    }
                    let before = newer.get(&task.id).copied().or_else(|| store.tasks.get(&task.id));
                    self.task_row(before, task);
                    if before.is_some_and(|before| before.active().is_none()) {
                        let others = store.live().filter(|other| !newer.contains_key(&other.id));
                        self.stands_apart(task, others.chain(newer.values().copied()));
                    }
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
                Row::WorkerRemoved(_)
                | Row::Outputs(..)
                | Row::TaskRemoved(..)
                | Row::Job(..)
                | Row::JobPlanned(..)
                | Row::JobRemoved(_) => {}
            }
        }
        let kept = self.jobs.commit(&rows);
        self.expect(kept);
    }

    fn task_row(&mut self, before: Option<&Arc<TaskRecord>>, task: &TaskRecord) {
        let id = task.id;
        match before {
            None if task.version != 1 => self.fail(format!("3.3.1: {id} begins with version {}", task.version)),
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
        self.runs_as_told(before, task);
        self.drained_for_nothing(before, task);
        for attempt in &task.attempts {
            let key = self.ordered(Attempt { task: id, number: attempt.number });
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

    /// Who is kept off the workers of its kin is not given one on which one of them is.
    fn stands_apart<'a>(&mut self, task: &TaskRecord, others: impl Iterator<Item = &'a Arc<TaskRecord>>) {
        let Some(active) = task.active() else { return };
        if !task.spec.anti_affinity.iter().any(|label| label == "worker.id") || task.spec.name.is_none() {
            return;
        }
        let asks = |other: &TaskRecord| !other.spec.anti_affinity.is_empty() || !other.spec.spread.is_empty();
        let is_kin = |other: &TaskRecord| {
            let same = (other.job, &other.spec.name) == (task.job, &task.spec.name);
            same && asks(other) && (task.job.is_some() || other.owner == task.owner)
        };
        let there = |other: &TaskRecord| other.active().is_some_and(|at| at.worker == active.worker);
        let mut beside = others.filter(|other| other.id != task.id && is_kin(other) && there(other));
        if let Some(other) = beside.next() {
            self.fail(format!("3.1: {} is given to {} beside {}, its kin", task.id, active.worker, other.id));
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

    /// What is called running was started, by order of this life of the data.
    fn runs_as_told(&mut self, before: Option<&Arc<TaskRecord>>, task: &TaskRecord) {
        let running =
            |task: &TaskRecord| task.active().filter(|active| active.step == Step::Running).map(|at| at.number);
        let Some(number) = running(task).filter(|_| before.and_then(|before| running(before)) != running(task)) else {
            return;
        };
        let of = self.ordered(Attempt { task: task.id, number });
        if !self.runs.contains_key(&of) {
            self.fail(format!("3.3.2: {of} is called running and was never started"));
        }
    }

    /// Who loses a place because its worker is emptied, or to another task, loses no retry; the second so often only.
    fn drained_for_nothing(&mut self, before: Option<&Arc<TaskRecord>>, task: &TaskRecord) {
        let Some(before) = before else { return };
        let reason = task.attempts.last().and_then(|attempt| attempt.end.as_ref()).and_then(|end| end.reason);
        let loses = matches!(reason, Some(Reason::Drained | Reason::Preempted));
        if before.active().is_some() && loses && before.spent != task.spent {
            self.fail(format!("14: {} loses its place to others and pays for it with a retry", task.id));
        }
        if preemption::times(task) > SPARED {
            self.fail(format!("9: {} makes room for others {} times", task.id, preemption::times(task)));
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
        let run = run.and_then(|attempt| self.runs.get(&self.ordered(attempt)));
        if !run.is_some_and(|run| run.ended.is_some() && run.code == code) {
            self.fail(format!("3.3.2: {} is {status} with a result that its accepted attempt has not got", task.id));
        } else if code != Some(program) {
            self.fail(format!("3.2: {} is {status} with {code:?} though its program ends with {program}", task.id));
        }
    }

    // What callers were told.

    pub(crate) fn submission_acknowledged(&mut self, store: &Rows, task: TaskId) {
        let kept = self.promises.submission(store, task);
        self.expect(kept);
    }

    pub(crate) fn cancel_acknowledged(&mut self, store: &Rows, task: TaskId) {
        let kept = self.promises.cancel(store, task);
        self.expect(kept);
    }

    pub(crate) fn job_acknowledged(&mut self, store: &Rows, job: JobId) {
        let kept = self.promises.job(store, job);
        self.expect(kept);
    }

    pub(crate) fn job_cancel_acknowledged(&mut self, store: &Rows, job: JobId, part: Option<Part>) {
        let kept = self.promises.cancel_job(store, job, part);
        self.expect(kept);
    }

    pub(crate) fn report_acknowledged(&mut self, store: &Rows, attempt: Attempt) {
        let kept = self.promises.end(store, attempt);
        self.expect(kept);
    }

    /// A machine without power took nothing with it that anybody was told.
    pub(crate) fn power_was_cut(&mut self, store: &Rows) {
        let kept = self.promises.are_kept(store, "a power cut");
        self.expect(kept);
        self.jobs = Jobs::of(store);
    }

    pub(crate) fn finale(&mut self, store: &Rows) {
        let kept = self.promises.finale(store).and_then(|()| self.jobs.finale());
        self.expect(kept);
    }

    fn expect(&mut self, kept: Result<(), String>) {
        if let Err(rule) = kept {
            self.fail(rule);
        }
    }

    /// Whether a task went with a life of the data.
    pub(crate) fn is_lost(&self, task: TaskId) -> bool {
        self.promises.is_lost(task)
    }

    /// The same of a job.
    pub(crate) fn is_lost_job(&self, job: JobId) -> bool {
        self.promises.is_lost_job(job)
    }

    /// The data as they are now are put by.
    pub(crate) fn backed_up(&mut self) {
        self.backup = self.promises.clone();
    }

    /// The backup is put in the place of the data, which begins another life of them.
    pub(crate) fn restored(&mut self, store: &Rows, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.promises.go_back_to(&self.backup, store);
        let kept = self.promises.are_kept(store, "a restore");
        self.expect(kept);
        self.jobs = Jobs::of(store);
    }

    /// An attempt that the present life of the data ordered.
    const fn ordered(&self, attempt: Attempt) -> Ordered {
        Ordered { attempt, incarnation: self.incarnation }
    }

    // The hosts.

    pub(crate) fn agent_crashed(&mut self, worker: usize) {
        self.alone[worker] = true;
    }

    pub(crate) fn agent_registered(&mut self, worker: usize, incarnation: Incarnation, held: BTreeSet<Ordered>) {
        self.alone[worker] = false;
        self.lives[worker] = incarnation;
        self.brought[worker] = held;
    }

    /// A process begins on a host that has so much now, with what its journal tells.
    pub(crate) fn agent_started(&mut self, worker: usize, capacity: &Capacity, held: BTreeSet<Ordered>) {
        let shrank = is_smaller(capacity, &self.capacities[worker]);
        self.still[worker] = false;
        self.lives[worker] = Incarnation(0);
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
    pub(crate) fn agent_goes_on(&mut self, worker: usize, overdue: impl IntoIterator<Item = Ordered>) {
        self.still[worker] = false;
        self.unattended.extend(overdue);
    }

    pub(crate) fn container_started(&mut self, now: Timestamp, worker: usize, of: Ordered, allocation: &Allocation) {
        let run = Run { worker, started: now, ended: None, code: None, allocation: allocation.clone() };
        if self.runs.insert(of, run).is_some() {
            self.fail(format!("3.3.2: a container of {of} starts for the second time"));
        }
        self.running.insert(of);
        if of.incarnation == self.incarnation && self.promises.is_cancelled_waiting(of.attempt.task) {
            self.fail(format!("3.3.7: {of} starts after its cancel was acknowledged while it waited"));
        }
        if of.incarnation == self.incarnation {
            let allowed = self.jobs.may_run(of.attempt.task);
            self.expect(allowed);
        }
        if of.incarnation < self.lives[worker] {
            self.fail(format!("3.3.2: {of} starts though its worker knows of a later life of the cluster"));
        }
        if !self.inherited[worker].contains(&of) {
            self.room(worker, of);
        }
        self.company(worker, of);
    }

    /// A container fits its worker beside all that run there.
    fn room(&mut self, worker: usize, of: Ordered) {
        let mut sum = Allocation::default();
        let others = self.running.iter().filter(|other| **other != of).filter_map(|other| self.runs.get(other));
        others.filter(|run| run.worker == worker).for_each(|run| sum.add(&run.allocation));
        let Some(run) = self.runs.get(&of) else { return };
        if let Err(lack) = Free::left(&self.capacities[worker], &sum).take(&run.allocation) {
            self.fail(format!("3.3.3: the containers on w{worker} exceed it ({lack})"));
        }
    }

    /// No other attempt of the task runs, and this one is not given up, but where an agent is dead.
    /// What another life ordered, this one knows nothing of.
    fn company(&mut self, worker: usize, of: Ordered) {
        let given_up = self.over.get(&of).copied();
        let attended = !self.alone[worker] && !self.unattended.contains(&of);
        let late = match given_up {
            Some(true) => !self.brought[worker].contains(&of),
            Some(false) => true,
            None => false,
        };
        if late && attended {
            self.fail(format!("3.3.4: {of} starts after it was given up, though its agent lives"));
        }
        let same = |other: &&Ordered| other.attempt.task == of.attempt.task && other.incarnation == of.incarnation;
        let others = self.running.iter().filter(|other| same(other) && **other != of);
        let alone = |of: &Ordered| self.over.get(of) == Some(&true) || self.unattended.contains(of);
        let unexcused = others.filter(|other| !alone(other) && !alone(&of)).copied();
        if let Some(other) = unexcused.into_iter().next() {
            self.fail(format!("3.3.4: {of} starts while attempt {} runs under a live agent", other.attempt.number));
        }
    }

    pub(crate) fn container_ended(&mut self, now: Timestamp, of: Ordered, code: Option<i32>) {
        self.running.remove(&of);
        if let Some(run) = self.runs.get_mut(&of) {
            run.ended = Some(now);
            run.code = code;
        }
    }
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
