//! Records for the conformance suites: a test names only what it is about.

#![allow(dead_code, unreachable_pub, reason = "each test binary is a crate that uses a part of it")]

use cloudai_core::effect::Row;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::resources::Allocation;
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::TaskSpec;
use cloudai_core::state::{Phase, Reason, Status};
use cloudai_core::task::{
    Active, AttemptEnd, AttemptRecord, Finished, LogEnd, OutputFile, Queued, Spent, State, Step, TaskRecord, Used,
};
use cloudai_core::time::Timestamp;
use cloudai_core::worker::{About, WorkerRecord, WorkerStatus};
use std::sync::Arc;
use std::time::Duration;

pub fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The id of the `n`th task: rising with `n`, with endings that differ.
pub fn id(n: u64) -> TaskId {
    TaskId::new((u128::from(n) << 64) | u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

pub fn attempt(n: u64, number: u32) -> Attempt {
    Attempt { task: id(n), number }
}

/// A task that waits, the `n`th submission.
pub struct Task(pub TaskRecord);

pub fn task(n: u64) -> Task {
    let queued = Queued {
        phase: Phase::WaitingCapacity,
        since: at(n),
        until: None,
        reason: None,
        message: "no worker has 4 cpu free".into(),
    };
    Task(TaskRecord {
        id: id(n),
        owner: "ann".parse().unwrap(),
        job: None,
        depends_on: Vec::new(),
        spec: Arc::new(TaskSpec::of_image("busybox:1").unwrap()),
        version: 1,
        order: n,
        created_at: at(n),
        started_at: None,
        finished_at: None,
        state: State::Queued(queued),
        attempts: Vec::new(),
        spent: Spent::default(),
        cancel: None,
        overdue: None,
        retry_of: None,
    })
}

impl Task {
    pub fn with(mut self, change: impl FnOnce(&mut TaskRecord)) -> Self {
        change(&mut self.0);
        self
    }

    fn spec(mut self, change: impl FnOnce(&mut TaskSpec)) -> Self {
        change(Arc::make_mut(&mut self.0.spec));
        self
    }

    pub fn owner(self, owner: &str) -> Self {
        self.with(|task| task.owner = owner.parse().unwrap())
    }

    pub fn named(self, name: &str) -> Self {
        self.spec(|spec| spec.name = Some(name.into()))
    }

    pub fn key(self, key: &str) -> Self {
        self.spec(|spec| spec.idempotency_key = Some(key.into()))
    }

    pub fn element(self, index: u32) -> Self {
        self.with(|task| task.id = task.id.element(index))
    }

    /// One more attempt, on this worker; a new version.
    pub fn on(self, worker: &str, step: Step) -> Self {
        self.with(|task| {
            let number = task.number() + 1;
            let worker: cloudai_core::ids::WorkerId = worker.parse().unwrap();
            task.version += 1;
            task.attempts.push(AttemptRecord {
                number,
                worker: worker.clone(),
                request: 0,
                assigned_at: at(100),
                waited: Some(Duration::from_millis(1500)),
                started_at: None,
                ended_at: None,
                end: None,
            });
            task.state = State::Active(Active { number, worker, step, allocation: Allocation::default(), evict: None });
        })
    }

    /// Its end; a new version.
    pub fn ended(self, status: Status) -> Self {
        let failed = status == Status::Failed;
        let (reason, exit_code) = if failed { (Some(Reason::ExitCode), Some(3)) } else { (None, Some(0)) };
        self.with(|task| {
            task.version += 1;
            task.finished_at = Some(at(200));
            if let Some(last) = task.attempts.last_mut() {
                last.ended_at = Some(at(200));
                let (message, log) = (String::new(), LogEnd { records: 1, bytes: 2, complete: true, cut: None });
                let millis = |count| Some(Duration::from_millis(count));
                let used = Used { peak_memory: Some(1 << 20), cpu: millis(12), pulled: millis(345) };
                let run = millis(6789);
                last.end = Some(AttemptEnd { status, reason, exit_code, accepted: true, message, log, run, used });
            }
            let (message, warnings) = ("it ended".into(), Vec::new());
            let end = Finished { status, reason, exit_code, oom_killed: false, dead: false, message, warnings };
            task.state = State::Finished(end);
        })
    }

    /// Its end as a dead letter; a new version.
    pub fn dead(self) -> Self {
        self.ended(Status::Failed).with(|task| {
            if let State::Finished(end) = &mut task.state {
                end.dead = true;
            }
        })
    }

    /// The status word by the shortest way there.
    pub fn in_status(self, status: Status, worker: &str) -> Self {
        match status {
            Status::Queued => self,
            Status::Pending => self.on(worker, Step::Pulling),
            Status::Running => self.on(worker, Step::Running),
            Status::Completed | Status::Failed | Status::Cancelled => self.on(worker, Step::Running).ended(status),
        }
    }

    pub fn record(self) -> Arc<TaskRecord> {
        Arc::new(self.0)
    }

    pub fn row(self) -> Row {
        Row::Task(self.record())
    }
}

pub fn worker(name: &str, version: u64) -> Arc<WorkerRecord> {
    Arc::new(WorkerRecord {
        id: name.parse().unwrap(),
        version,
        address: Some("127.0.0.1:50052".into()),
        status: WorkerStatus::Active,
        session: Default::default(),
        capacity: Default::default(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        operator_labels: [("zone".to_owned(), Some("a".to_owned())), ("disk".to_owned(), None)].into(),
        about: About::default(),
        registered_at: at(1),
        connected_at: Some(at(2)),
        last_seen: None,
        duty: Default::default(),
        removing: false,
    })
}

pub fn file(path: &str) -> OutputFile {
    OutputFile { path: path.into(), size: path.len() as u64, sha256: Sha256([0; 32]) }
}

pub fn outputs(attempt: Attempt, paths: &[&str]) -> Row {
    Row::Outputs(attempt, paths.iter().map(|path| file(path)).collect())
}
