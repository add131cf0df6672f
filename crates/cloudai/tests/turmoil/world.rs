//! A cluster in one thread: the master, its workers, what they keep, and the time.

use crate::gate::Gate;
use crate::net::{self, Simulated};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::resources::Capacity;
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::state::Status;
use cloudai_core::task::TaskRecord;
use cloudai_core::testing::{cores, worker_id};
use cloudai_core::timing::Timing;
use cloudai_core::worker::WorkerRecord;
use cloudai_master::Rules;
use cloudai_master::choice::Configured;
use cloudai_master::handle::Handle;
use cloudai_master::machine::{Clocks, Machine as MasterMachine, Threads as MasterThreads};
use cloudai_master::opened::{Doors, Opened, Setup};
use cloudai_master::principal::Principal;
use cloudai_store::bulk::BulkStore;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::memory::MemoryStore;
use cloudai_worker::clock::Clock;
use cloudai_worker::executor::fake::FakeOptions;
use cloudai_worker::machine::{Machine, Threads};
use cloudai_worker::volumes::Offers;
use cloudai_worker::{Config, DiskLimits, Engine, StartError, Worker};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use turmoil::{Builder, Sim};

/// How far one step goes; nothing here is timed finer.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// The longest that a message is on its way.
pub(crate) const LATENCY: Duration = Duration::from_millis(20);
/// Longer than anything in these tests takes, in the time of the simulation.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the wall clock shows when a simulation begins, in seconds since the epoch.
const EPOCH: u64 = 1_700_000_000;
/// Each claim is shown under so many seeds of the network.
const SEEDS: u64 = 3;

/// Times that are short, so that a simulation is: a worker stops a task of [`task`] 26 s after the last
/// heartbeat that was answered, and is given up by the master after 33 s of silence.
pub(crate) const TIMING: Timing = Timing {
    heartbeat: Duration::from_secs(2),
    inactive: Duration::from_secs(12),
    lease: Duration::from_secs(30),
    margin: Duration::from_secs(3),
};

/// When a worker stops a task of [`task`], counted from the last heartbeat that was answered.
pub(crate) fn stop_after() -> Duration {
    TIMING.stop_after(Duration::from_secs(1))
}

/// Shows a claim under each seed.
pub(crate) fn over_seeds(claim: impl Fn(u64)) {
    for seed in 0..SEEDS {
        // Shown when the claim does not hold.
        eprintln!("seed {seed}");
        claim(seed);
    }
}

thread_local! {
    /// How far the simulation of this thread is, for what is not asked on one of its hosts.
    static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn boot() -> Duration {
    turmoil::sim_elapsed().unwrap_or_else(|| ELAPSED.get())
}

fn wall() -> Duration {
    Duration::from_secs(EPOCH) + boot()
}

/// What became of a worker's process.
pub(crate) type Ended = Rc<RefCell<BTreeMap<String, Result<(), StartError>>>>;

/// What outlives every process.
#[derive(Clone)]
struct Disks {
    store: Arc<MemoryStore>,
    bulk: Arc<LocalBulk>,
    dir: PathBuf,
}

/// A cluster and its network.
pub(crate) struct World {
    pub(crate) sim: Sim<'static>,
    pub(crate) ends: Ended,
    /// What tells each host's worker to stop.
    stops: BTreeMap<String, CancellationToken>,
    disks: Disks,
    /// Of the master that runs; none while its process is dead.
    handle: Rc<RefCell<Option<Handle>>>,
    /// Whether the master's machine runs its process.
    master_lives: Rc<Cell<bool>>,
    /// Bytes a second of each log that a worker sends which is added now; 0 for any number.
    log_rate: u64,
    _dir: TempDir,
}

impl World {
    /// A master, alone.
    pub(crate) fn new(seed: u64) -> Self {
        Self::timed(seed, TIMING)
    }

    pub(crate) fn timed(seed: u64, timing: Timing) -> Self {
        Self::with(seed, timing, "greedy".into(), 0)
    }

    /// A master that places so, alone.
    pub(crate) fn placed_by(seed: u64, strategy: Configured) -> Self {
        Self::with(seed, TIMING, strategy, 0)
    }

    /// A master that keeps so many bytes of a log at most, alone.
    pub(crate) fn limiting_logs(seed: u64, max_bytes: u64) -> Self {
        Self::with(seed, TIMING, "greedy".into(), max_bytes)
    }

    fn with(seed: u64, timing: Timing, strategy: Configured, max_log_bytes: u64) -> Self {
        ELAPSED.set(Duration::ZERO);
        let dir = tempfile::tempdir().unwrap();
        let bulk = Arc::new(LocalBulk::open(&dir.path().join("bulk")).unwrap());
        let disks = Disks { store: Arc::new(MemoryStore::new()), bulk, dir: dir.path().to_owned() };
        let sim = Builder::new()
            .rng_seed(seed)
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(LATENCY)
            .tcp_capacity(4096)
            .build();
        let master_lives = Rc::new(Cell::new(true));
        let mut world = Self {
            sim,
            ends: Rc::default(),
            stops: BTreeMap::new(),
            disks,
            handle: Rc::default(),
            master_lives,
            log_rate: 0,
            _dir: dir,
        };
        let (disks, handle, lives) = (world.disks.clone(), Rc::clone(&world.handle), Rc::clone(&world.master_lives));
        world.sim.host("master", move || {
            let (disks, strategy, handle, lives) = (disks.clone(), strategy.clone(), Rc::clone(&handle), lives.get());
            let run = run_master(disks, timing, strategy, max_log_bytes, handle);
            async move { if lives { run.await } else { std::future::pending().await } }
        });
        world.until("the master runs", |world| world.handle.borrow().is_some());
        world
    }

    /// Workers that are added from here on send so many bytes of each log in a second.
    pub(crate) fn log_rate(mut self, log_rate: u64) -> Self {
        self.log_rate = log_rate;
        self
    }

    /// Adds workers of eight cores that call the master.
    pub(crate) fn workers(self, names: &[&str]) -> Self {
        self.workers_of(names.iter().map(|name| (*name, cores(8))))
    }

    /// Adds workers that offer so much.
    pub(crate) fn workers_of<'a>(mut self, workers: impl Iterator<Item = (&'a str, Capacity)>) -> Self {
        let mut names = Vec::new();
        for (name, capacity) in workers {
            self.add_on(name, name, "master", capacity);
            names.push(name);
        }
        self.until("every worker is active", |world| names.iter().all(|name| world.worker(name).is_some()));
        self
    }

    /// Adds a worker `w1` that calls the master through a gate.
    pub(crate) fn gated(mut self) -> (Self, Arc<Gate>) {
        let gate = Arc::new(Gate::new(boot));
        let serving = Arc::clone(&gate);
        self.sim.host("gate", move || {
            let gate = Arc::clone(&serving);
            async move { gate.serve(net::channel("master")).await }
        });
        self.add_on("w1", "w1", "gate", cores(8));
        self.until("the worker has subscribed", |_| gate.is_subscribed());
        (self, gate)
    }

    /// What lets workers in.
    pub(crate) fn token(&self) -> String {
        self.handle().join_token(&Principal::local()).to_owned()
    }

    /// A worker's process on a host of another name.
    pub(crate) fn add_named(&mut self, host: &str, name: &str) {
        self.add_on(host, name, "master", cores(8));
    }

    /// A worker's process, which calls a master or a gate.
    fn add_on(&mut self, host: &str, name: &str, calls: &str, capacity: Capacity) {
        let (host, name, calls) = (host.to_owned(), name.to_owned(), calls.to_owned());
        let (token, dir, ended) = (self.token(), self.disks.dir.clone(), Rc::clone(&self.ends));
        let (stop, log_rate) = (CancellationToken::new(), self.log_rate);
        self.stops.insert(host.clone(), stop.clone());
        self.sim.host(host.clone(), move || {
            let config = Config {
                id: worker_id(&name),
                master: Some(net::address(&calls)),
                called: None,
                join_token: token.clone(),
                address: String::new(),
                capacity: capacity.clone(),
                labels: BTreeMap::new(),
                engine: Engine::Fake(FakeOptions { journal: Some(dir.join("journal")), ..FakeOptions::default() }),
                disk: DiskLimits { collect: 100, pressure: 100, ..DiskLimits::default() },
                offers: Offers::default(),
                exec: true,
                policy: tokio::sync::watch::Sender::new(Arc::default()).subscribe(),
                local_inputs: false,
                log_rate,
                data_dir: dir.join(&host),
            };
            let (host, ended, stop) = (host.clone(), Rc::clone(&ended), stop.clone());
            async move {
                let machine = Machine { clock: Clock(boot), dial: Some(Arc::new(Simulated)), threads: Threads::Shared };
                let end = match Worker::prepare_on(machine, config).await {
                    Ok(worker) => worker.run(stop).await,
                    Err(error) => Err(error),
                };
                ended.borrow_mut().insert(host, end);
                Ok(())
            }
        });
    }

    /// Tells a worker to stop in good order.
    pub(crate) fn stop_worker(&self, host: &str) {
        self.stops[host].cancel();
    }

    fn handle(&self) -> Handle {
        self.handle.borrow().clone().unwrap()
    }

    /// How long the simulation has gone on.
    pub(crate) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// One tick.
    pub(crate) fn step(&mut self) {
        self.sim.step().unwrap();
        ELAPSED.set(self.sim.elapsed());
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.step();
        }
    }

    /// Goes on until it is so.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let end = self.now() + PATIENCE;
        while !is_so(self) {
            assert!(self.now() < end, "not within {PATIENCE:?}: {what}\n{}", self.told());
            self.step();
        }
    }

    /// What there is to know when something did not come about.
    fn told(&mut self) -> String {
        let journal = self.journal();
        let ids: BTreeSet<TaskId> = journal.iter().map(|mark| mark.task.parse().unwrap()).collect();
        let tasks: Vec<_> = ids.into_iter().map(|id| self.task(id)).collect();
        let workers: Vec<_> = self.handle().workers(&Principal::local()).into_iter().map(|seen| seen.record).collect();
        format!("{tasks:#?}\n{workers:#?}\n{journal:#?}")
    }

    /// Goes on until the master has answered.
    fn call<T>(&mut self, call: impl Future<Output = T>) -> T {
        let (mut call, mut cx) = (pin!(call), Context::from_waker(Waker::noop()));
        loop {
            if let Poll::Ready(answer) = call.as_mut().poll(&mut cx) {
                return answer;
            }
            self.step();
        }
    }

    pub(crate) fn submit(&mut self, spec: TaskSpec) -> TaskId {
        self.submit_all(vec![spec])[0]
    }

    /// Submits tasks at once.
    pub(crate) fn submit_all(&mut self, specs: Vec<TaskSpec>) -> Vec<TaskId> {
        let handle = self.handle();
        let specs = specs.into_iter().map(Arc::new).collect();
        let accepted = self.call(async move { handle.submit(&Principal::local(), specs).await }).unwrap();
        accepted.into_iter().map(|task| task.id).collect()
    }

    pub(crate) fn cancel(&mut self, task: TaskId) {
        let handle = self.handle();
        self.call(async move { handle.cancel(&Principal::local(), task).await }).unwrap();
    }

    /// A task as the master has it.
    pub(crate) fn task(&mut self, id: TaskId) -> Arc<TaskRecord> {
        let handle = self.handle();
        self.call(async move { handle.task(&Principal::local(), id).await }).unwrap().record
    }

    /// What users are told of a task.
    pub(crate) fn message(&mut self, id: TaskId) -> String {
        let handle = self.handle();
        self.call(async move { handle.task(&Principal::local(), id).await }).unwrap().message
    }

    pub(crate) fn status(&mut self, id: TaskId) -> Status {
        self.task(id).status()
    }

    /// Submits a task and goes on until its container runs.
    pub(crate) fn running(&mut self, spec: TaskSpec) -> TaskId {
        let id = self.submit(spec);
        self.until("the task runs", |world| world.status(id) == Status::Running);
        id
    }

    /// Goes on until a task has ended.
    pub(crate) fn ended(&mut self, id: TaskId) -> Arc<TaskRecord> {
        self.until("the task has ended", |world| world.task(id).finished().is_some());
        self.task(id)
    }

    /// A worker that the master knows and has a session with.
    pub(crate) fn worker(&self, name: &str) -> Option<Arc<WorkerRecord>> {
        let seen = self.handle().worker(&Principal::local(), &worker_id(name))?;
        (seen.record.session.0 > 0).then_some(seen.record)
    }

    /// The session that a worker has now.
    pub(crate) fn session(&self, name: &str) -> u64 {
        self.worker(name).unwrap().session.0
    }

    /// The master's process dies; its machine refuses connections from now on.
    pub(crate) fn kill_master(&mut self) {
        self.begin_master(false);
    }

    /// The master's process begins again, over what it kept.
    pub(crate) fn start_master(&mut self) {
        self.begin_master(true);
        self.until("the master runs", |world| world.handle.borrow().is_some());
    }

    fn begin_master(&mut self, lives: bool) {
        self.sim.crash("master");
        self.handle.borrow_mut().take();
        self.master_lives.set(lives);
        self.sim.bounce("master");
    }

    /// What the master keeps of a file.
    pub(crate) fn file(&self, attempt: Attempt, path: &str) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_, mut reader) = self.disks.bulk.read_file(attempt, path).await.unwrap();
            let mut data = Vec::new();
            reader.read_to_end(&mut data).await.unwrap();
            data
        })
    }

    /// What the master keeps of a log.
    pub(crate) fn log(&self, attempt: Attempt) -> String {
        let bulk = Arc::clone(&self.disks.bulk);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = async move {
            let (mut text, mut next) = (Vec::new(), 0);
            loop {
                let records = bulk.read_log(attempt, next, 1 << 20).await.unwrap();
                if records.is_empty() {
                    return text;
                }
                next += records.len() as u64;
                records.iter().for_each(|record| text.extend_from_slice(&record.data));
            }
        };
        String::from_utf8(runtime.block_on(read)).unwrap()
    }

    /// What the workers' executors have started and ended, in order.
    pub(crate) fn journal(&self) -> Vec<Mark> {
        let text = std::fs::read_to_string(self.disks.dir.join("journal")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How often a task's container was started.
    pub(crate) fn starts(&self, task: TaskId) -> usize {
        self.marks(task, "start").len()
    }

    /// When a task's containers started, or ended.
    pub(crate) fn marks(&self, task: TaskId, event: &str) -> Vec<Mark> {
        let task = task.to_string();
        self.journal().into_iter().filter(|mark| mark.task == task && mark.event == event).collect()
    }
}

/// A line of the executor's journal.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mark {
    pub(crate) task: String,
    pub(crate) attempt: u32,
    pub(crate) event: String,
    /// Seconds of the simulation.
    pub(crate) t: f64,
    pub(crate) worker: String,
}

impl Mark {
    /// When, in the time of the simulation.
    pub(crate) fn at(&self) -> Duration {
        Duration::from_secs_f64(self.t)
    }
}

/// When the master took something in, in the time of the simulation.
pub(crate) fn at(time: cloudai_core::time::Timestamp) -> Duration {
    Duration::from_millis(time.as_millis()) - Duration::from_secs(EPOCH)
}

/// A task that runs so long, or `forever`, on one core, and has a second to end.
pub(crate) fn task(duration: &str) -> TaskSpec {
    task_with(&[("FAKE_DURATION_MS", duration)])
}

/// The same with an environment for the fake executor.
pub(crate) fn task_with(env: &[(&str, &str)]) -> TaskSpec {
    let text = |text: &str| Value::Text(text.to_owned());
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect();
    let fields = [("image", text("fake:x")), ("cpu_cores", Value::Int(1)), ("kill_after_s", Value::Int(1))];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
    TaskSpec::from_value(&Value::Map(fields.chain([("env".to_owned(), Value::Map(env))]).collect())).unwrap()
}

async fn run_master(
    disks: Disks,
    timing: Timing,
    strategy: Configured,
    max_log_bytes: u64,
    handle: Rc<RefCell<Option<Handle>>>,
) -> turmoil::Result {
    let machine = MasterMachine { clocks: Clocks { wall, boot }, threads: MasterThreads::Shared };
    let setup = Setup {
        store: disks.store,
        bulk: disks.bulk,
        strategy,
        fallback: cloudai_master::Fallback::default(),
        timing,
        rules: Rules { max_log_bytes, exec: true, ..Rules::default() },
        security: cloudai_master::Security::Insecure,
        machine,
    };
    let opened = Opened::open(setup).await?;
    *handle.borrow_mut() = Some(opened.handle().clone());
    let doors = Doors { grpc: net::incoming().await?, http: None, grpc_address: None };
    opened.run(doors, CancellationToken::new()).await?;
    Ok(())
}
