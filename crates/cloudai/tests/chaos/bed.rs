//! The processes: started, killed, paused, cut off, and brought back.

use crate::checker::{Demand, Harm, Span};
use crate::clock;
use crate::engine;
use crate::events::Events;
use crate::faults::{Direction, MASTER, WORKERS};
use crate::network::Network;
use crate::process::{Process, until};
use crate::rest::Rest;
use crate::witness::{self, Mark};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The shortest lease that there can be, its margin, and the rest in proportion, in seconds.
const TIMES: [(&str, &str); 4] = [
    ("CLOUDAI_HEARTBEAT_S", "0.2"),
    ("CLOUDAI_WORKER_INACTIVE_S", "2"),
    ("CLOUDAI_WORKER_LEASE_S", "11"),
    ("CLOUDAI_WORKER_LEASE_MARGIN_S", "0.5"),
];
/// A fault is long when the master has given up what it cost: lease and margin, in milliseconds.
pub(crate) const LONG: u64 = 11_500;

/// What the workers are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) executor: &'static str,
    pub(crate) capacity: Demand,
}

/// A master and its workers; everything of it ends with it.
#[derive(Debug)]
pub(crate) struct Bed {
    pub(crate) rest: Rest,
    /// None while it is dead.
    processes: Vec<Option<Process>>,
    fleet: Fleet,
    grpc: String,
    http: String,
    token: String,
    cluster: String,
    network: Option<Network>,
    events: Option<Events>,
    /// Faults that go on: since when, by host and what.
    open: BTreeMap<(usize, u8), f64>,
    harm: Vec<Span>,
    killed: Vec<Mark>,
    /// What happened that nobody did.
    odd: Vec<String>,
    boot: f64,
    dir: Option<TempDir>,
}

/// `master`, `w1`, `w2`, `w3`.
pub(crate) fn name(host: usize) -> String {
    if host == MASTER { "master".into() } else { format!("w{host}") }
}

impl Bed {
    /// Starts the master, the witness, then the workers; all are active when this returns.
    pub(crate) async fn start(fleet: Fleet, network: Option<Network>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = |port: u16| match &network {
            Some(network) => format!("{}:{port}", network.address(MASTER)),
            None => "127.0.0.1:0".into(),
        };
        let (grpc, http) = (address(50051), address(8080));
        let processes = (MASTER..=WORKERS).map(|_| None).collect();
        let mut bed = Self {
            rest: Rest::new(&http),
            processes,
            fleet,
            grpc,
            http,
            token: String::new(),
            cluster: String::new(),
            network,
            events: None,
            open: BTreeMap::new(),
            harm: Vec::new(),
            killed: Vec::new(),
            odd: Vec::new(),
            boot: clock::boot(),
            dir: Some(dir),
        };
        bed.begin().await;
        bed
    }

    async fn begin(&mut self) {
        self.spawn(MASTER);
        let master = self.processes[MASTER].as_mut().unwrap();
        let addresses = master.printed("grpc").await;
        let token = master.printed("join_token").await["join_token"].as_str().unwrap().to_owned();
        let address = |which: &str| addresses[which].as_str().unwrap().to_owned();
        (self.grpc, self.http, self.token) = (address("grpc"), address("http"), token);
        self.rest = Rest::new(&self.http);
        self.rest.get("/api/v1/cluster").await["cluster"].as_str().unwrap().clone_into(&mut self.cluster);
        if self.fleet.executor == "docker" {
            engine::need();
            self.events = Some(Events::of(&self.cluster, self.dir()));
        }
        (1..=WORKERS).for_each(|worker| self.spawn(worker));
        self.all_active().await;
    }

    /// Waits until every worker takes work.
    pub(crate) async fn all_active(&self) {
        until("every worker is active", async || {
            let answer = self.rest.try_ask("GET", "/api/v1/cluster", None).await.ok()?;
            (answer.body["workers"]["active"] == WORKERS).then_some(())
        })
        .await;
    }

    fn dir(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    fn journal(&self) -> PathBuf {
        self.dir().join("fake.journal")
    }

    fn spawn(&mut self, host: usize) {
        let before = self.network.as_ref().map(|network| network.before(host)).unwrap_or_default();
        let (words, name) = (self.words(host), name(host));
        let times = TIMES.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let journal = ("CLOUDAI_FAKE_JOURNAL".to_owned(), self.journal().display().to_string());
        let variables = [times.as_slice(), &[journal]].concat();
        self.processes[host] = Some(Process::start_behind(&before, self.dir(), &name, &variables, &words));
    }

    fn words(&self, host: usize) -> Vec<String> {
        let (id, data) = (name(host), format!("{}.data", name(host)));
        let (grpc, http, token) = (self.grpc.as_str(), self.http.as_str(), self.token.as_str());
        if host == MASTER {
            let words = ["master", "--data-dir", &data, "--grpc", grpc, "--http", http, "--no-shell"];
            let words = words.into_iter().chain(["--print-addresses", "--print-credentials"]);
            // Its network has nobody else in it.
            return words.chain(["--insecure", "--i-know-this-is-insecure"]).map(ToOwned::to_owned).collect();
        }
        let Demand { cpu_milli, memory_mib } = self.fleet.capacity;
        let (cpus, mem) = (format!("{}.{:03}", cpu_milli / 1000, cpu_milli % 1000), format!("{memory_mib}m"));
        let words = ["worker", "start", "--master", grpc, "--join-token", token, "--id", &id, "--data-dir", &data];
        let offer = ["--executor", self.fleet.executor, "--cpus", &cpus, "--mem", &mem, "--disk", "10g"];
        words.into_iter().chain(offer).map(ToOwned::to_owned).collect()
    }

    /// Whether links can be cut.
    pub(crate) const fn has_links(&self) -> bool {
        self.network.is_some()
    }

    /// A process that nobody killed runs.
    fn look_after(&mut self, host: usize) {
        let Some(process) = &mut self.processes[host] else { return };
        if let Some(code) = process.has_ended() {
            let err = process.err();
            let last: Vec<_> = err.lines().rev().take(5).collect();
            self.odd.push(format!("{} ended by itself with {code:?}: {last:#?}", name(host)));
            self.processes[host] = None;
        }
    }

    /// SIGKILL: it is gone when this returns.
    pub(crate) fn kill(&mut self, host: usize) {
        self.look_after(host);
        if let Some(mut process) = self.processes[host].take() {
            process.kill();
        }
        self.since(host, Harm::Killed);
        if host != MASTER && self.fleet.executor == "fake" {
            self.killed.push(Mark::Killed { t: clock::now(), worker: name(host) });
        }
    }

    /// Starts what was killed, on its data.
    pub(crate) fn revive(&mut self, host: usize) {
        self.spawn(host);
        self.until_now(host, Harm::Killed);
    }

    /// SIGSTOP.
    pub(crate) fn pause(&mut self, host: usize) {
        self.look_after(host);
        self.since(host, Harm::Paused);
        self.signal(host, Signal::STOP);
    }

    /// SIGCONT, unless it was killed meanwhile.
    pub(crate) fn go_on(&mut self, host: usize) {
        self.signal(host, Signal::CONT);
        self.until_now(host, Harm::Paused);
    }

    fn signal(&self, host: usize, signal: Signal) {
        if let Some(process) = &self.processes[host] {
            process.signal(signal);
        }
    }

    pub(crate) fn cut(&mut self, worker: usize, direction: Direction) {
        self.since(worker, Harm::Cut);
        self.network.as_mut().unwrap().cut(worker, direction);
    }

    pub(crate) fn heal(&mut self, worker: usize) {
        self.network.as_mut().unwrap().heal(worker);
        self.until_now(worker, Harm::Cut);
    }

    fn since(&mut self, host: usize, what: Harm) {
        self.open.insert((host, what as u8), clock::now());
    }

    fn until_now(&mut self, host: usize, what: Harm) {
        let from = self.open.remove(&(host, what as u8)).unwrap();
        let worker = (host != MASTER).then(|| name(host));
        self.harm.push(Span { what, worker, from, to: clock::now() });
    }

    /// What was done so far; everything is mended.
    pub(crate) fn harm(&self) -> Vec<Span> {
        assert!(self.open.is_empty(), "faults go on: {:?}", self.open);
        self.harm.clone()
    }

    /// What the witnesses told so far.
    pub(crate) fn marks(&self) -> Vec<Mark> {
        let told = match &self.events {
            Some(events) => witness::engine(&events.text(), self.boot),
            None => witness::fake(&std::fs::read_to_string(self.journal()).unwrap_or_default()),
        };
        witness::in_order([told, self.killed.clone()].concat())
    }

    /// To turn times of day into seconds since boot.
    pub(crate) const fn boot(&self) -> f64 {
        self.boot
    }

    /// Ids of containers of this cluster, running or not; the fake executor's are gone with their end.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.events.as_ref().map(|_| engine::containers("cluster", &self.cluster)).unwrap_or_default()
    }

    pub(crate) fn capacities(&self) -> BTreeMap<String, Demand> {
        (1..=WORKERS).map(|worker| (name(worker), self.fleet.capacity)).collect()
    }

    /// Whether containers run on when their worker is killed.
    pub(crate) fn outlive(&self) -> bool {
        self.fleet.executor != "fake"
    }

    /// What happened that nobody did, up to now.
    pub(crate) fn odd(&mut self) -> Vec<String> {
        (MASTER..=WORKERS).for_each(|host| self.look_after(host));
        self.odd.clone()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.processes.clear();
        if self.events.take().is_some() {
            engine::remove_all(&self.cluster);
        }
        if let Some(dir) = self.dir.take()
            && (std::thread::panicking() || std::env::var_os("CHAOS_KEEP").is_some())
        {
            let dir = dir.keep();
            let _ = std::fs::write(dir.join("harm"), format!("{:#?}", self.harm));
            eprintln!("logs, witnesses and what was done are kept in {}", dir.display());
        }
    }
}
