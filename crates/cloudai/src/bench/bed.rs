//! A cluster of real processes that lives as long as one run.

use super::bound::Bound;
use super::figures::Used;
use super::folder::Folder;
use crate::client::{Client, parse_addr};
use crate::exit::Failure;
use cloudai_master::http::dto::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;
use tokio::time::{Instant, sleep, timeout};

/// For anything that must happen before measuring begins.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the cluster.
const PACE: Duration = Duration::from_millis(10);
/// Of a process's log that a failure shows, in bytes.
const SHOWN: usize = 2000;

/// What a cluster is made of.
#[derive(Clone, Debug)]
pub(crate) struct Make {
    /// How many workers.
    pub(crate) workers: u32,
    /// What each worker offers: words of its command line.
    pub(crate) offer: Vec<String>,
    /// Workers leave in good order: they have things in an engine that must not be left there.
    pub(crate) gently: bool,
}

impl Make {
    /// Workers that only act, with room for so many tasks of [`super::load`] each.
    #[must_use]
    pub(crate) fn fake(workers: u32, slots: u32) -> Self {
        let words = format!("--executor fake --cpus {slots} --mem {}m --disk 1t --gpus 0", slots * 64);
        Self { workers, offer: words.split(' ').map(ToOwned::to_owned).collect(), gently: false }
    }

    /// A worker with all cores of this machine and memory for so many containers of 64 MiB, on
    /// the engine at this address.
    #[must_use]
    pub(crate) fn docker(cores: u64, containers: u64, engine: &str) -> Self {
        let words = format!("--executor docker --cpus {cores} --mem {}m --disk 10g --gpus 0", containers * 64);
        let words = words.split(' ').chain(["--engine", engine]);
        Self { workers: 1, offer: words.map(ToOwned::to_owned).collect(), gently: true }
    }
}

/// A process of this binary; it is gone with this value.
#[derive(Debug)]
struct Process {
    child: Child,
    log: PathBuf,
}

/// The cluster. Its processes are gone before their folder is (fields are dropped in this order).
#[derive(Debug)]
pub(crate) struct Bed {
    client: Client,
    workers: Vec<Process>,
    gently: bool,
    master: Process,
    dir: Folder,
}

/// What all processes of a kind have used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uses {
    /// The master.
    pub(crate) master: Used,
    /// All workers; the peak is the sum of theirs.
    pub(crate) workers: Used,
    /// This process, which is the client.
    pub(crate) client: Used,
}

impl Bed {
    /// Starts a cluster and waits until all its workers are active.
    /// # Errors
    /// What a process said when it could not start.
    pub(super) async fn make(dir: Folder, make: &Make) -> Result<Self, Failure> {
        let (master, told) = start_master(dir.path(), true).await?;
        let mut bed = Self { client: told.client()?, workers: Vec::new(), gently: make.gently, master, dir };
        for number in 1..=make.workers {
            bed.workers.push(bed.start_worker(number, make, &told)?);
        }
        bed.until_active(make.workers).await?;
        Ok(bed)
    }

    /// Where its data lies.
    #[must_use]
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The client of its master.
    #[must_use]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The state of the cluster.
    /// # Errors
    /// The master does not answer.
    pub(crate) async fn look(&self) -> Result<Cluster, Failure> {
        self.client.get(&["api", "v1", "cluster"], &[]).await
    }

    /// What its processes have used so far.
    #[must_use]
    pub(crate) fn uses(&self) -> Uses {
        let of = |process: &Process| Used::of(process.child.id()).unwrap_or_default();
        let mut workers = Used::default();
        for used in self.workers.iter().map(of) {
            workers.cpu += used.cpu;
            workers.peak += used.peak;
            workers.resident += used.resident;
        }
        Uses { master: of(&self.master), workers, client: Used::of(std::process::id()).unwrap_or_default() }
    }

    /// Ends the master as a crash does and starts it again on its data; answers how long it took
    /// until it answered.
    /// # Errors
    /// What it said when it could not start.
    pub(crate) async fn restart_master(&mut self) -> Result<Duration, Failure> {
        self.master.end();
        let began = Instant::now();
        let (master, told) = start_master(self.dir.path(), false).await?;
        self.master = master;
        self.client = told.client()?;
        self.look().await?;
        Ok(began.elapsed())
    }

    /// Ends the workers as a crash does.
    pub(crate) fn end_workers(&mut self) {
        self.workers.clear();
    }

    /// Ends the cluster; gentle workers leave nothing of theirs in the engine.
    /// # Errors
    /// A gentle worker that does not end by itself.
    pub(super) async fn end(mut self) -> Result<(), Failure> {
        for mut worker in self.workers.drain(..).filter(|_| self.gently) {
            worker.stop().await?;
        }
        Ok(())
    }

    fn start_worker(&self, number: u32, make: &Make, told: &Told) -> Result<Process, Failure> {
        let name = format!("w{number}");
        let data = self.dir.path().display().to_string();
        let words = ["worker", "start", "--id", &name, "--master", &told.grpc, "--data-dir", &data];
        let mut command = command(self.dir.path(), &words)?;
        command.args(&make.offer).env("CLOUDAI_JOIN_TOKEN", &told.join_token).stdout(Stdio::null());
        Process::start(self.dir.path(), &name, command)
    }

    async fn until_active(&mut self, workers: u32) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let active = self.look().await?.workers.active;
            if u32::try_from(active) == Ok(workers) {
                return Ok(());
            }
            for worker in &mut self.workers {
                if worker.child.try_wait()?.is_some() {
                    return Err(worker.failed("a worker of the benchmark ended"));
                }
            }
            if began.elapsed() > PATIENCE {
                return Err(self.master.failed(&format!("only {active} of {workers} workers came")));
            }
            sleep(PACE).await;
        }
    }
}

impl Process {
    fn start(dir: &Path, name: &str, mut command: Command) -> Result<Self, Failure> {
        let log = dir.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let child = command.stderr(file).spawn()?;
        Ok(Self { child, log })
    }

    /// Ends it as a crash does: it is gone when this returns.
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Has it stop in good order.
    async fn stop(&mut self) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has ended by itself needs no telling.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                return Err(self.failed("a worker of the benchmark did not stop"));
            }
            sleep(PACE).await;
        }
        Ok(())
    }

    /// A failure with the end of what it told.
    fn failed(&self, what: &str) -> Failure {
        let told = std::fs::read(&self.log).unwrap_or_default();
        let end = String::from_utf8_lossy(&told[told.len().saturating_sub(SHOWN)..]).into_owned();
        Failure::error(what).why(end.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// What a master tells when it starts.
#[derive(Clone, Debug, Default)]
struct Told {
    http: String,
    grpc: String,
    join_token: String,
}

impl Told {
    fn client(&self) -> Result<Client, Failure> {
        Client::new(parse_addr(&self.http).map_err(Failure::error)?)
    }
}

async fn start_master(dir: &Path, first: bool) -> Result<(Process, Told), Failure> {
    let data = dir.display().to_string();
    let words = ["master", "--data-dir", &data, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let mut command = command(dir, &words)?;
    // What is measured is the way of tasks, not that of bytes under TLS.
    command.args(["--insecure", "--no-shell", "--print-addresses", "--print-credentials"]).stdout(Stdio::piped());
    let mut process = Process::start(dir, "master", command)?;
    let told = timeout(PATIENCE, told_by(&mut process, first)).await.ok().flatten();
    match told {
        Some(told) => Ok((process, told)),
        None => Err(process.failed("the master of the benchmark did not start")),
    }
}

/// Reads the addresses that a master prints, and the join token that only its first start prints.
async fn told_by(process: &mut Process, first: bool) -> Option<Told> {
    let mut lines = BufReader::new(ChildStdout::from_std(process.child.stdout.take()?).ok()?).lines();
    let mut told = Told::default();
    while let Ok(Some(line)) = lines.next_line().await {
        let object: serde_json::Value = serde_json::from_str(&line).ok()?;
        let text = |name: &str| object.get(name).and_then(|value| value.as_str()).map(ToOwned::to_owned);
        if let (Some(grpc), Some(http)) = (text("grpc"), text("http")) {
            (told.grpc, told.http) = (grpc, http);
        }
        if let Some(token) = text("join_token") {
            told.join_token = token;
        }
        if !told.http.is_empty() && (!told.join_token.is_empty() || !first) {
            return Some(told);
        }
    }
    None
}

/// This binary with an empty environment: nothing of the user's settings counts.
fn command(dir: &Path, words: &[&str]) -> Result<Command, Failure> {
    let mut command = Bound::command(words)?;
    command.current_dir(dir).env_clear().env("HOME", dir).env("LOG_LEVEL", "warn").stdin(Stdio::null());
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    Ok(command)
}
