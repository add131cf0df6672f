//! What the executor tests share: jobs, running attempts, an engine and ways to disturb it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // tests: each binary uses its part

pub mod podman;
pub mod proxy;
pub mod registry;

use cloudai_core::ids::{Attempt, Incarnation, TaskId};
use cloudai_core::resources::{Allocation, MIB};
use cloudai_core::spec::{PullPolicy, TaskSpec};
use cloudai_core::task::{Cause, Outcome, Step};
use cloudai_worker::executor::docker::{DockerExecutor, DockerOptions};
use cloudai_worker::executor::fences::Fences;
use cloudai_worker::executor::login::NoLogins;
use cloudai_worker::executor::{Executor, Identity, Job, JobIo, LogRecord, Progress, Stop, Teller};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// The image of all container tests; made by `scripts/images.sh`.
pub const IMAGE: &str = "cloudai/busybox:latest";

/// Between two looks at the disk that a container takes: soon, and little work for the others.
pub const MEASURE: Duration = Duration::from_secs(1);

/// A number that no other test process uses.
pub fn unique() -> u128 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    (nanos << 40) | (u128::from(std::process::id()) << 16) | u128::from(COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn identity(cluster: &str, worker: &str) -> Identity {
    Identity { cluster: cluster.into(), incarnation: Incarnation(1), worker: worker.parse().unwrap() }
}

/// A job of the smallest size; the caller changes what its test is about.
pub fn job(identity: &Identity, image: &str, out_dir: &Path) -> Job {
    let mut spec = TaskSpec::of_image(image).unwrap();
    spec.container.pull_policy = PullPolicy::Never;
    Job {
        attempt: Attempt { task: TaskId::new(unique()), number: 1 },
        identity: identity.clone(),
        job: None,
        spec: Arc::new(spec),
        allocation: Allocation { cpu_milli: 1000, memory: 64 * MIB, storage: 64 * MIB, gpus: Vec::new() },
        out_dir: out_dir.to_owned(),
        inputs: Vec::new(),
        volumes: Vec::new(),
        secrets: Vec::new(),
        fences: Fences::default(),
        logins: Arc::new(NoLogins),
        resume: false,
        skip_records: watch::Sender::new(Some(0)).subscribe(),
    }
}

/// Changes a job's spec.
pub fn with(mut job: Job, change: impl FnOnce(&mut TaskSpec)) -> Job {
    change(Arc::make_mut(&mut job.spec));
    job
}

/// An attempt that runs.
pub struct Live {
    pub stop: watch::Sender<Option<Stop>>,
    steps: mpsc::Receiver<(Attempt, Progress)>,
    logs: mpsc::Receiver<LogRecord>,
    outcome: JoinHandle<Outcome>,
    pub told: Vec<Progress>,
    pub records: Vec<LogRecord>,
}

/// An attempt that ended.
pub struct Ended {
    pub outcome: Outcome,
    pub told: Vec<Progress>,
    pub records: Vec<LogRecord>,
}

impl Live {
    pub fn start(executor: &Arc<dyn Executor>, job: &Job) -> Self {
        Self::start_with(executor, job, None)
    }

    pub fn start_with(executor: &Arc<dyn Executor>, job: &Job, wish: Option<Stop>) -> Self {
        let (steps_tx, steps) = mpsc::channel(64);
        let (logs_tx, logs) = mpsc::channel(256);
        let (stop, stop_rx) = watch::channel(wish);
        let (executor, job) = (executor.clone(), job.clone());
        let io = JobIo { steps: Teller::new(job.attempt, steps_tx), logs: logs_tx, stop: stop_rx };
        let outcome = tokio::spawn(async move { executor.run(&job, io).await });
        Self { stop, steps, logs, outcome, told: Vec::new(), records: Vec::new() }
    }

    /// Waits until it said this.
    pub async fn until(&mut self, progress: &Progress) {
        while !self.told.contains(progress) {
            let told = self.steps.recv().await.map(|(_, told)| told);
            self.told.push(told.unwrap_or_else(|| panic!("never said {progress:?}: {:?}", self.told)));
        }
    }

    pub async fn until_running(&mut self) {
        self.until(&Progress::Step(Step::Running)).await;
    }

    /// Waits until so many records came.
    pub async fn until_records(&mut self, count: usize) {
        while self.records.len() < count {
            let record = self.logs.recv().await;
            self.records.push(record.unwrap_or_else(|| panic!("ended after {} records", self.records.len())));
        }
    }

    pub fn wish(&self, grace: Duration) {
        self.stop.send_replace(Some(Stop { grace, cause: Cause::Stopped }));
    }

    /// Waits for the end, taking everything that comes.
    pub async fn end(mut self) -> Ended {
        loop {
            tokio::select! {
                Some((_, told)) = self.steps.recv() => self.told.push(told),
                Some(record) = self.logs.recv() => self.records.push(record),
                else => break,
            }
        }
        Ended { outcome: self.outcome.await.unwrap(), told: self.told, records: self.records }
    }

    /// The worker's process is gone: nobody watches the container any more.
    pub async fn abandon(self) {
        self.outcome.abort();
        assert!(self.outcome.await.is_err_and(|error| error.is_cancelled()));
    }
}

impl Ended {
    pub fn steps(&self) -> Vec<Step> {
        let step = |told: &Progress| match told {
            Progress::Step(step) => Some(*step),
            Progress::Detail(_) => None,
        };
        self.told.iter().filter_map(step).collect()
    }

    /// One stream's bytes.
    pub fn stream(&self, stderr: bool) -> Vec<u8> {
        self.records.iter().filter(|record| record.stderr == stderr).flat_map(|record| record.data.to_vec()).collect()
    }

    pub fn stdout(&self) -> String {
        String::from_utf8(self.stream(false)).unwrap()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8(self.stream(true)).unwrap()
    }
}

/// Runs a job to its end.
pub async fn run(executor: &Arc<dyn Executor>, job: &Job) -> Ended {
    Live::start(executor, job).end().await
}

/// The engine of this machine, with a cluster of its own; its containers go with it.
pub struct Engine {
    pub executor: Arc<dyn Executor>,
    pub identity: Identity,
    pub out: TempDir,
}

impl Engine {
    pub async fn new() -> Self {
        let options = DockerOptions { measure: MEASURE, ..DockerOptions::from_env() };
        Self::of(identity(&format!("test-{:x}", unique()), "w1"), &options).await
    }

    pub async fn of(identity: Identity, options: &DockerOptions) -> Self {
        let help = "container tests need an engine and its images: run scripts/engine.sh start and scripts/images.sh";
        let executor = DockerExecutor::connect(identity.clone(), options).unwrap_or_else(|why| panic!("{why}; {help}"));
        executor.engine().await.unwrap_or_else(|why| panic!("{why}; {help}"));
        Self { executor: Arc::new(executor), identity, out: tempfile::tempdir().unwrap() }
    }

    /// A job that runs a shell script.
    pub fn sh(&self, script: &str) -> Job {
        let words = ["sh", "-c", script].map(ToOwned::to_owned).to_vec();
        with(job(&self.identity, IMAGE, self.out.path()), |spec| spec.container.command = words)
    }

    /// Runs a shell script to its end.
    pub async fn run_sh(&self, script: &str) -> Ended {
        run(&self.executor, &self.sh(script)).await
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let executor = self.executor.clone();
        let clean = async move {
            for (attempt, incarnation) in executor.existing().await.unwrap_or_default() {
                if let Err(why) = executor.remove(attempt, incarnation).await {
                    eprintln!("{attempt} was not removed: {why}");
                }
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || runtime.block_on(clean)).join().unwrap();
    }
}

/// Asks the engine's own command line.
pub fn docker(args: &[&str]) -> String {
    let output = std::process::Command::new("docker").args(args).output().expect("the docker command runs");
    assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
