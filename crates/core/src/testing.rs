//! Builders for tests of every crate. They build through `apply`, so an impossible state can not
//! be made; a test names only what it is about.

#![allow(clippy::wildcard_enum_match_arm, reason = "any other answer fails the test")]

use crate::cluster::{Cluster, Start, invariants};
use crate::effect::{Applied, Command, Dispatch, Effect, Row};
use crate::event::{
    Answer, Cancel, EndReport, Event, Heartbeat, Held, HeldStage, LabelOrder, NewTask, Placement, Registration,
    Rejected,
};
use crate::ids::{Attempt, CommandSeq, Incarnation, JobId, Session, TaskId, UserId, WorkerId};
use crate::job::{JobRecord, StoredJobs};
use crate::resources::{Capacity, GIB, Gpu};
use crate::spec::{TaskSpec, Value};
use crate::task::{Outcome, Step, TaskRecord};
use crate::time::Timestamp;
use crate::timing::Timing;
use crate::worker::{About, WorkerRecord};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// When every test begins.
pub const START: Timestamp = Timestamp::from_millis(1_000_000);

/// The id of the task that a test calls by this number.
#[must_use]
pub fn task_id(number: u128) -> TaskId {
    TaskId::new(number)
}

/// A worker's name.
///
/// # Panics
/// When the text is no name.
#[must_use]
pub fn worker_id(name: &str) -> WorkerId {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// A spec of one core and half a GiB, with more fields as a JSON-like list.
///
/// # Panics
/// When a field is wrong.
#[must_use]
pub fn spec(fields: &[(&str, Value)]) -> Arc<TaskSpec> {
    let mut document = vec![("image".to_owned(), Value::Text("busybox".into()))];
    document.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    Arc::new(TaskSpec::from_value(&Value::Map(document)).unwrap_or_else(|error| panic!("{error}")))
}

/// A capacity of so many cores, 2 GiB of memory and 10 of disk for each.
#[must_use]
pub fn cores(count: u64) -> Capacity {
    Capacity { cpu_milli: count * 1000, memory: count * 2 * GIB, storage: count * 10 * GIB, gpus: Vec::new() }
}

/// The same with devices `gpu0`, `gpu1`, ... of the model `a100`.
#[must_use]
pub fn cores_and_gpus(count: u64, gpus: u64) -> Capacity {
    let gpu = |i| Gpu { id: format!("gpu{i}").into(), model: "a100".into() };
    Capacity { gpus: (0..gpus).map(gpu).collect(), ..cores(count) }
}

/// A cluster in a test: its clock is a field, its rows and dispatches are kept.
#[derive(Debug)]
pub struct TestCluster {
    /// The real thing.
    pub cluster: Cluster,
    /// The time of the next event.
    pub now: Timestamp,
    /// Every row so far.
    pub rows: Vec<Row>,
    /// Every command so far.
    pub sent: Vec<Dispatch>,
}

/// An attempt that a worker holds, of the only life of the test's data.
#[must_use]
pub const fn held(attempt: Attempt, stage: HeldStage) -> Held {
    Held { attempt, incarnation: Incarnation(1), stage }
}

impl Default for TestCluster {
    fn default() -> Self {
        let start = Start { incarnation: Incarnation(1), ..Start::default() };
        Self { cluster: Cluster::new(Timing::default(), start, START), now: START, rows: vec![], sent: vec![] }
    }
}

impl TestCluster {
    /// Applies an event and checks every rule afterwards.
    ///
    /// # Errors
    /// The cluster's rejection.
    /// # Panics
    /// When a rule is broken, or a rejected event changed something.
    pub fn apply(&mut self, event: Event) -> Result<Answer, Rejected> {
        let before = format!("{:?}", self.cluster);
        let applied = self.cluster.apply(self.now, event.clone());
        if applied.is_err() {
            assert_eq!(before, format!("{:?}", self.cluster), "a rejected event changed something: {event:?}");
        }
        let Applied { answer, effects } = applied?;
        for effect in effects {
            match effect {
                Effect::Save(row) => self.rows.push(row),
                Effect::Send(dispatch) => self.sent.push(dispatch),
            }
        }
        let broken = invariants::check(&self.cluster);
        assert!(broken.is_empty(), "after {event:?}: {broken:?}");
        Ok(answer)
    }

    /// Applies an event that must be taken.
    ///
    /// # Panics
    /// When it is rejected.
    pub fn ok(&mut self, event: Event) -> Answer {
        self.apply(event.clone()).unwrap_or_else(|rejected| panic!("{event:?}: {rejected}"))
    }

    /// Lets time pass, ticking whenever a deadline comes.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.cluster.next_deadline(self.now).filter(|at| *at <= end) {
            self.now = at;
            self.ok(Event::Tick);
        }
        self.now = end;
    }

    /// Registers a worker; answers its session.
    ///
    /// # Panics
    /// When the answer is no session.
    pub fn worker(&mut self, name: &str, capacity: Capacity) -> Session {
        self.register(name, capacity, vec![])
    }

    /// Registers a worker that holds attempts.
    ///
    /// # Panics
    /// When the answer is no session.
    pub fn register(&mut self, name: &str, capacity: Capacity, held: Vec<Held>) -> Session {
        let registration = Registration {
            worker: worker_id(name),
            address: None,
            capacity,
            labels: BTreeMap::new(),
            about: About::default(),
            held,
        };
        match self.ok(Event::Register(Box::new(registration))) {
            Answer::Registered(session) => session,
            other => panic!("{other:?}"),
        }
    }

    /// Submits one task of the user `local`.
    ///
    /// # Errors
    /// The cluster's rejection.
    pub fn submit(&mut self, number: u128, spec: Arc<TaskSpec>) -> Result<TaskId, Rejected> {
        let task = NewTask {
            id: task_id(number),
            owner: UserId::local(),
            job: None,
            depends_on: Vec::new(),
            retry_of: None,
            spec,
        };
        match self.apply(Event::Submit(vec![task]))? {
            Answer::Submitted(tasks) => Ok(tasks[0].id),
            other => panic!("{other:?}"),
        }
    }

    /// Submits a small task that must be taken.
    ///
    /// # Panics
    /// When it is rejected.
    pub fn task(&mut self, number: u128) -> TaskId {
        self.submit(number, spec(&[])).unwrap_or_else(|rejected| panic!("{rejected}"))
    }

    /// Places the next attempt of a task.
    ///
    /// # Panics
    /// When it is refused.
    pub fn place(&mut self, task: TaskId, worker: &str) -> Attempt {
        let attempt = Attempt { task, number: self.record(task).number() + 1 };
        let placement = Placement { attempt, worker: worker_id(worker) };
        match self.ok(Event::Place(vec![placement])) {
            Answer::Placed { taken: 1, .. } => attempt,
            other => panic!("{other:?}"),
        }
    }

    /// Reports a step of an attempt.
    ///
    /// # Errors
    /// The cluster's rejection.
    pub fn step(&mut self, attempt: Attempt, step: Step) -> Result<Answer, Rejected> {
        self.apply(Event::Progress(held(attempt, HeldStage::At(step))))
    }

    /// Reports the end of an attempt.
    ///
    /// # Errors
    /// The cluster's rejection.
    pub fn end(&mut self, attempt: Attempt, outcome: Outcome) -> Result<Answer, Rejected> {
        self.apply(Event::Ended(EndReport { attempt, incarnation: Incarnation(1), outcome: Arc::new(outcome) }))
    }

    /// Cancels a task.
    ///
    /// # Errors
    /// The cluster's rejection.
    pub fn cancel(&mut self, task: TaskId) -> Result<Answer, Rejected> {
        self.apply(Event::Cancel(Cancel { task, by: UserId::local() }))
    }

    /// Holds a task.
    ///
    /// # Errors
    /// The cluster's rejection.
    pub fn hold(&mut self, task: TaskId) -> Result<Answer, Rejected> {
        self.apply(Event::Hold(task, UserId::local()))
    }

    /// Releases a task.
    ///
    /// # Errors
    /// The cluster's rejection.
    pub fn release(&mut self, task: TaskId) -> Result<Answer, Rejected> {
        self.apply(Event::Release(task))
    }

    /// An operator gives a worker labels.
    ///
    /// # Panics
    /// When it is rejected.
    pub fn label(&mut self, name: &str, labels: &[(&str, &str)]) {
        let set = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let order = LabelOrder { worker: worker_id(name), set, remove: Vec::new(), by: UserId::local() };
        self.ok(Event::SetLabels(order));
    }

    /// A worker's heartbeat.
    ///
    /// # Errors
    /// The cluster's rejection.
    pub fn heartbeat(&mut self, name: &str, session: Session, seen: u64, held: Vec<Held>) -> Result<Answer, Rejected> {
        let (worker, seen) = (worker_id(name), CommandSeq(seen));
        let heartbeat = Heartbeat { worker, session, seen, held, draining: false, unfit: None, images: None };
        self.apply(Event::Heartbeat(heartbeat))
    }

    /// The newest stored version of a task.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn record(&self, id: TaskId) -> Arc<TaskRecord> {
        let row = |row: &Row| match row {
            Row::Task(task) if task.id == id => Some(Arc::clone(task)),
            Row::Task(_)
            | Row::Worker(_)
            | Row::WorkerRemoved(_)
            | Row::Outputs(..)
            | Row::TaskRemoved(..)
            | Row::Job(..)
            | Row::JobPlanned(..)
            | Row::JobRemoved(_) => None,
        };
        self.rows.iter().rev().find_map(row).unwrap_or_else(|| panic!("no row of {id}"))
    }

    /// The newest stored version of a worker.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn worker_record(&self, name: &str) -> Arc<WorkerRecord> {
        let row = |row: &Row| match row {
            Row::Worker(worker) if worker.id.as_str() == name => Some(Arc::clone(worker)),
            Row::Task(_)
            | Row::Worker(_)
            | Row::WorkerRemoved(_)
            | Row::Outputs(..)
            | Row::TaskRemoved(..)
            | Row::Job(..)
            | Row::JobPlanned(..)
            | Row::JobRemoved(_) => None,
        };
        self.rows.iter().rev().find_map(row).unwrap_or_else(|| panic!("no row of {name}"))
    }

    /// The starts sent so far.
    #[must_use]
    pub fn starts(&self) -> Vec<Attempt> {
        let start = |dispatch: &Dispatch| match &dispatch.command {
            Command::Start(order) => Some(order.attempt),
            Command::Stop(_) | Command::Ping => None,
        };
        self.sent.iter().filter_map(start).collect()
    }

    /// The stops sent so far.
    #[must_use]
    pub fn stops(&self) -> Vec<Attempt> {
        let stop = |dispatch: &Dispatch| match &dispatch.command {
            Command::Stop(order) => Some(order.attempt),
            Command::Start(_) | Command::Ping => None,
        };
        self.sent.iter().filter_map(stop).collect()
    }

    /// The newest stored version of a job.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn job_record(&self, id: JobId) -> Arc<JobRecord> {
        let mut stored = StoredJobs::default();
        self.rows.iter().for_each(|row| stored.apply(row));
        stored.records.remove(&id).unwrap_or_else(|| panic!("no row of {id}"))
    }

    /// Ends this master's life and begins another from what was stored.
    #[must_use]
    pub fn restarted(self) -> Self {
        let mut tasks: BTreeMap<TaskId, Arc<TaskRecord>> = BTreeMap::new();
        let mut workers: BTreeMap<WorkerId, Arc<WorkerRecord>> = BTreeMap::new();
        let mut jobs = StoredJobs::default();
        for row in &self.rows {
            jobs.apply(row);
            match row {
                Row::Task(task) => drop(tasks.insert(task.id, Arc::clone(task))),
                Row::Worker(worker) => drop(workers.insert(worker.id.clone(), Arc::clone(worker))),
                Row::WorkerRemoved(id) => drop(workers.remove(id)),
                Row::TaskRemoved(id, _) => drop(tasks.remove(id)),
                Row::Outputs(..) | Row::Job(..) | Row::JobPlanned(..) | Row::JobRemoved(_) => {}
            }
        }
        let last_order = tasks.values().map(|task| task.order).max().unwrap_or(0).max(jobs.last_order());
        let jobs = jobs.live(&tasks);
        tasks.retain(|_, task| task.finished().is_none());
        let start = Start {
            incarnation: Incarnation(1),
            last_order,
            tasks: tasks.into_values().collect(),
            jobs,
            workers: workers.into_values().collect(),
        };
        Self { cluster: Cluster::new(Timing::default(), start, self.now), ..self }
    }
}
