//! A cluster of a test: one master and its workers as processes, in a folder that goes with it.

use crate::engine;
use crate::process::{self, Process, Ran, until};
use crate::rest::Rest;
use rustix::process::Signal;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// What a cluster is started with: the boring rest has short times.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    lease_s: f64,
    strategy: &'static str,
    workers: Vec<WorkerPlan>,
    master_dir: PathBuf,
    variables: Vec<(String, String)>,
    data: Option<PathBuf>,
}

/// A worker that is to be started.
#[derive(Clone, Debug)]
pub(crate) struct WorkerPlan {
    id: String,
    executor: &'static str,
    cpus: f64,
    mem: &'static str,
    engine: Option<String>,
    master: Option<String>,
    /// Other flags.
    flags: Vec<String>,
}

/// A worker that only acts; two cores.
pub(crate) fn fake_worker(id: &str) -> WorkerPlan {
    WorkerPlan { id: id.into(), executor: "fake", cpus: 2.0, mem: "64g", engine: None, master: None, flags: Vec::new() }
}

/// A worker on this machine's engine; one core, which every machine has.
pub(crate) fn docker_worker(id: &str) -> WorkerPlan {
    WorkerPlan {
        id: id.into(),
        executor: "docker",
        cpus: 1.0,
        mem: "2g",
        engine: None,
        master: None,
        flags: Vec::new(),
    }
}

impl WorkerPlan {
    /// Cores that it offers.
    pub(crate) fn cpus(self, cpus: f64) -> Self {
        Self { cpus, ..self }
    }

    /// Where its engine is, `unix://PATH`; not the machine's own.
    pub(crate) fn engine(self, address: &str) -> Self {
        Self { engine: Some(address.to_owned()), ..self }
    }

    /// Where it calls its master, `ip:port`; not the master's own address.
    pub(crate) fn through(self, address: &str) -> Self {
        Self { master: Some(address.to_owned()), ..self }
    }

    /// More flags of `worker start`.
    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Memory that it offers, as `8g`.
    pub(crate) fn mem(self, mem: &'static str) -> Self {
        Self { mem, ..self }
    }
}

/// Half a second: what the master waits longer for a lost worker.
const MARGIN_S: f64 = 0.5;

impl Plan {
    /// A lease so long that no test comes to its end.
    pub(crate) fn new() -> Self {
        let (master_dir, variables) = ("state".into(), Vec::new());
        Self { lease_s: 90.0, strategy: "round_robin", workers: Vec::new(), master_dir, variables, data: None }
    }

    /// The shortest lease that leaves a worker on a busy machine time to renew it: a lost worker's
    /// tasks run elsewhere 13.5 s after its last heartbeat.
    ///
    /// Tasks with a `kill_after_s` of 10 are stopped after 2.5 s without a master: give them less.
    pub(crate) fn short_lease() -> Self {
        Self { lease_s: 13.0, ..Self::new() }
    }

    pub(crate) fn strategy(self, strategy: &'static str) -> Self {
        Self { strategy, ..self }
    }

    /// Another folder for the master's state.
    pub(crate) fn master_dir(self, dir: &Path) -> Self {
        Self { master_dir: dir.to_owned(), ..self }
    }

    /// Begins with a copy of this folder as the data of master and workers.
    pub(crate) fn data(self, folder: &Path) -> Self {
        Self { data: Some(folder.to_owned()), ..self }
    }

    /// Variables for master and workers.
    pub(crate) fn variables(self, variables: &[(String, String)]) -> Self {
        Self { variables: variables.to_vec(), ..self }
    }

    pub(crate) fn worker(mut self, worker: WorkerPlan) -> Self {
        self.workers.push(worker);
        self
    }

    /// Starts the master, then the workers; all are active when this returns.
    pub(crate) async fn start(self) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        if let Some(data) = &self.data {
            crate::released::copy(data, &dir.path().join("state"));
        }
        let variables = [
            ("CLOUDAI_HEARTBEAT_S", "0.2".to_owned()),
            ("CLOUDAI_WORKER_INACTIVE_S", "2".into()),
            ("CLOUDAI_WORKER_LEASE_S", self.lease_s.to_string()),
            ("CLOUDAI_WORKER_LEASE_MARGIN_S", MARGIN_S.to_string()),
        ];
        let given = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let variables = [given, self.variables.clone()].concat();
        let mut master = start_master(dir.path(), &variables, &self.master_dir, self.strategy, ["127.0.0.1:0"; 2]);
        let addresses = master.printed("grpc").await;
        let address = |which: &str| addresses[which].as_str().unwrap().to_owned();
        let (grpc, http) = (address("grpc"), address("http"));
        // It is printed by the start that made the data.
        let token = match self.data {
            None => master.printed("join_token").await,
            Some(_) => Rest::new(&http).get("/api/v1/cluster/join-token").await,
        };
        let token = token["join_token"].as_str().unwrap().to_owned();
        let mut cluster = Cluster {
            rest: Rest::new(&http),
            name: String::new(),
            workers: BTreeMap::new(),
            plans: BTreeMap::new(),
            master,
            variables,
            worker_variables: self.variables,
            master_dir: self.master_dir,
            strategy: self.strategy,
            grpc,
            http,
            token,
            dir,
        };
        let told = cluster.rest.get("/api/v1/cluster").await;
        told["cluster"].as_str().unwrap().clone_into(&mut cluster.name);
        for worker in self.workers {
            cluster.add(worker).await;
        }
        cluster
    }
}

fn start_master(
    dir: &Path,
    variables: &[(String, String)],
    state: &Path,
    strategy: &str,
    [grpc, http]: [&str; 2],
) -> Process {
    let state = state.to_str().unwrap();
    let words = ["master", "--data-dir", state, "--grpc", grpc, "--http", http, "--strategy", strategy];
    let flags = ["--insecure", "--no-shell", "--print-addresses", "--print-credentials"];
    let words: Vec<_> = words.into_iter().chain(flags).map(ToOwned::to_owned).collect();
    Process::start(dir, "master", variables, &words)
}

/// A running cluster; every process and container of it ends with it.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Its REST API.
    pub(crate) rest: Rest,
    /// Its id, as containers carry it.
    pub(crate) name: String,
    workers: BTreeMap<String, Process>,
    plans: BTreeMap<String, WorkerPlan>,
    master: Process,
    variables: Vec<(String, String)>,
    worker_variables: Vec<(String, String)>,
    master_dir: PathBuf,
    strategy: &'static str,
    grpc: String,
    http: String,
    token: String,
    dir: TempDir,
}

impl Cluster {
    /// A master without workers.
    pub(crate) async fn start() -> Self {
        Plan::new().start().await
    }

    /// A master with one worker.
    pub(crate) async fn of(worker: WorkerPlan) -> Self {
        Plan::new().worker(worker).start().await
    }

    /// Starts a worker and waits until it is active.
    pub(crate) async fn add(&mut self, plan: WorkerPlan) {
        if plan.executor == "docker" {
            engine::need();
        }
        let id = plan.id.clone();
        self.plans.insert(id.clone(), plan);
        let before = self.sessions(&id);
        self.spawn(&id);
        let what = format!("{id} is registered");
        until(&what, async || (self.sessions(&id) > before).then_some(())).await;
        self.worker_until(&id, "active").await;
    }

    /// Starts a worker again that is not running.
    pub(crate) async fn restart_worker(&mut self, id: &str) {
        let plan = self.plans[id].clone();
        self.add(plan).await;
    }

    /// Starts a worker again, and waits for nothing.
    pub(crate) fn begin_worker(&mut self, id: &str) {
        self.spawn(id);
    }

    fn spawn(&mut self, id: &str) {
        let runs = self.workers.get_mut(id).is_some_and(|earlier| earlier.has_ended().is_none());
        assert!(!runs, "{id} still runs: it holds its folder against another life of it");
        let plan = &self.plans[id];
        let (master, token, cpus) =
            (plan.master.as_ref().unwrap_or(&self.grpc), self.token.as_str(), plan.cpus.to_string());
        let words = ["worker", "start", "--master", master, "--join-token", token, "--id", id];
        // What is real is no more than the machine has.
        let disk = if plan.executor == "docker" { "10g" } else { "100g" };
        let offer = ["--executor", plan.executor, "--cpus", &cpus, "--mem", plan.mem, "--disk", disk];
        let engine = plan.engine.iter().flat_map(|address| ["--engine", address.as_str()]);
        let words = words.into_iter().chain(offer).chain(["--data-dir", "state"]).chain(engine);
        let words = words.chain(plan.flags.iter().map(String::as_str)).map(ToOwned::to_owned);
        let words: Vec<_> = words.collect();
        let journal = self.journal_path().display().to_string();
        let variables = [vec![("CLOUDAI_FAKE_JOURNAL".into(), journal)], self.worker_variables.clone()].concat();
        let worker = Process::start(self.dir(), id, &variables, &words);
        self.workers.insert(id.to_owned(), worker);
    }

    /// How often a worker said that it was registered.
    pub(crate) fn sessions(&self, id: &str) -> usize {
        self.workers.get(id).map_or(0, |worker| worker.err().matches("registered").count())
    }

    /// The folder of this test.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the master hears users, `ip:port`.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// Where the master hears workers, `ip:port`.
    pub(crate) fn grpc(&self) -> &str {
        &self.grpc
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn worker(&mut self, id: &str) -> &mut Process {
        self.workers.get_mut(id).unwrap()
    }

    /// SIGKILL for a worker; it can be started again.
    pub(crate) fn kill_worker(&mut self, id: &str) {
        self.worker(id).kill();
    }

    /// SIGTERM for a worker, which must end well.
    pub(crate) async fn stop_worker(&mut self, id: &str) {
        let worker = self.worker(id);
        worker.signal(Signal::TERM);
        assert_eq!(worker.ended().await, 0, "{id}");
    }

    /// Waits until a worker is shown so.
    pub(crate) async fn worker_until(&self, id: &str, status: &str) {
        let path = format!("/api/v1/workers/{id}");
        let what = format!("{id} is {status}");
        until(&what, async || {
            let answer = self.rest.ask("GET", &path, None).await;
            (answer.body["status"] == status).then_some(())
        })
        .await;
    }

    /// What the master told on stderr so far.
    pub(crate) fn master_err(&self) -> String {
        self.master.err()
    }

    /// The master's process.
    pub(crate) fn master_pid(&self) -> u32 {
        self.master.pid()
    }

    /// The database of the master.
    pub(crate) fn database(&self) -> PathBuf {
        self.dir().join(&self.master_dir).join("cloudai.db")
    }

    /// SIGKILL for the master.
    pub(crate) fn kill_master(&mut self) {
        self.master.kill();
    }

    /// SIGTERM for the master, which must end well.
    pub(crate) async fn stop_master(&mut self) {
        self.master.signal(Signal::TERM);
        assert_eq!(self.master.ended().await, 0, "the master");
    }

    /// Starts the master again, on the same addresses and state.
    pub(crate) async fn restart_master(&mut self) {
        assert!(self.master.has_ended().is_some(), "the master still runs");
        let addresses = [self.grpc.as_str(), self.http.as_str()];
        self.master = start_master(self.dir.path(), &self.variables, &self.master_dir, self.strategy, addresses);
        self.master.printed("grpc").await;
    }

    /// Runs a command against this cluster, to its end.
    pub(crate) async fn run(&self, words: &[&str]) -> Ran {
        process::run(self.dir(), &[("CLOUDAI_ADDR".into(), format!("http://{}", self.http))], words).await
    }

    /// The same with something to read on standard input.
    pub(crate) async fn run_with(&self, words: &[&str], input: impl Into<Vec<u8>>) -> Ran {
        let variables = [("CLOUDAI_ADDR".into(), format!("http://{}", self.http))];
        process::run_with(self.dir(), &variables, words, input.into()).await
    }

    /// Starts a command against this cluster.
    pub(crate) fn begin(&self, words: &[&str]) -> Process {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("command-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let variables = [("CLOUDAI_ADDR".to_owned(), format!("http://{}", self.http))];
        let words: Vec<_> = words.iter().map(ToString::to_string).collect();
        Process::start(self.dir(), &name, &variables, &words)
    }

    fn journal_path(&self) -> PathBuf {
        self.dir().join("fake.journal")
    }

    /// What the fake workers began and ended, in the order in which they wrote it down.
    pub(crate) fn journal(&self) -> Vec<Mark> {
        let text = std::fs::read_to_string(self.journal_path()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How often each task was begun.
    pub(crate) fn starts(&self) -> BTreeMap<String, usize> {
        let mut starts = BTreeMap::new();
        for mark in self.journal().into_iter().filter(|mark| mark.event == "start") {
            *starts.entry(mark.task).or_default() += 1;
        }
        starts
    }
}

/// A line of the fake journal.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mark {
    pub(crate) task: String,
    pub(crate) attempt: u32,
    pub(crate) event: String,
    pub(crate) t: f64,
    pub(crate) worker: String,
    pub(crate) cpu: f64,
    pub(crate) mem_gb: f64,
    pub(crate) exit: Option<i32>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.workers.clear();
        self.master.kill();
        if self.plans.values().any(|plan| plan.executor == "docker") {
            engine::remove_all(&self.name);
        }
    }
}
