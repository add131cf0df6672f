//! A Docker engine of a test's own, which it may stop, kill and start again.

use crate::engine::{self, IMAGE};
use crate::process::until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A running engine with the test's image; its containers and its data go with it.
#[derive(Debug)]
pub(crate) struct Dockerd {
    dir: TempDir,
    live_restore: bool,
    child: Child,
}

impl Dockerd {
    /// Starts one whose containers end with it.
    pub(crate) async fn start() -> Self {
        Self::of(false).await
    }

    /// Starts one whose containers outlive it.
    pub(crate) async fn with_live_restore() -> Self {
        Self::of(true).await
    }

    async fn of(live_restore: bool) -> Self {
        engine::need();
        let dir = tempfile::tempdir().unwrap();
        let child = spawn(dir.path(), live_restore);
        let engine = Self { dir, live_restore, child };
        engine.answers().await;
        let image = engine.dir.path().join("image.tar").display().to_string();
        engine::docker(&["save", "--output", &image, IMAGE]);
        engine.docker(&["load", "--quiet", "--input", &image]);
        engine
    }

    /// Where it is reached, `unix://PATH`.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.dir.path().join("docker.sock").display())
    }

    /// Asks it; it must answer.
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        engine::docker(&[&["--host", &self.address()], words].concat())
    }

    /// The id of the only container of a task.
    pub(crate) fn container_of(&self, task: &str) -> String {
        let label = format!("label=cloudai.task={task}");
        let ids = self.docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]);
        assert_eq!(ids.lines().count(), 1, "{task} has the containers {ids:?}");
        ids
    }

    /// SIGTERM; it is gone when this returns.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.gone().await;
    }

    /// SIGKILL; it is gone when this returns, its containers may be not.
    pub(crate) async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.gone().await;
        // Its containerd ends with it. What it had no time to remove keeps the next one out, also
        // when the process is only a name that nobody has asked for yet.
        let exec = self.dir.path().join("exec/containerd/containerd.pid");
        if let Ok(pid) = std::fs::read_to_string(&exec) {
            until("its containerd is gone", async || (!lives(pid.trim())).then_some(())).await;
        }
        for file in [exec, self.dir.path().join("docker.pid")] {
            let _ = std::fs::remove_file(file);
        }
    }

    /// Starts it again on its data; it answers when this returns.
    pub(crate) async fn start_again(&mut self) {
        self.child = spawn(self.dir.path(), self.live_restore);
        self.answers().await;
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        // It may be gone already when a test failed.
        let _ = kill_process(pid, signal);
    }

    async fn gone(&mut self) {
        until("the engine is gone", async || self.child.try_wait().unwrap()).await;
    }

    async fn answers(&self) {
        until("the engine answers", async || {
            let words = ["--host", &self.address(), "info"];
            let asked = Command::new("docker").args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
            asked.unwrap().success().then_some(())
        })
        .await;
    }
}

/// Whether a process runs; one that ended and was not waited for does not.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Ends what an engine that is gone left running: its shims and the first processes of its containers.
fn end_leftovers(dir: &Path) {
    let mark = format!("{}/exec/", dir.display());
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let name = process.file_name().to_string_lossy().into_owned();
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        if !command.contains("containerd-shim") || !command.contains(&mark) {
            continue;
        }
        let children = process.path().join("task").join(&name).join("children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for pid in children.split_whitespace().chain([name.as_str()]) {
            let pid = pid.parse().ok().and_then(Pid::from_raw);
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

/// Takes away what is still mounted in a folder, so that it can be removed.
fn unmount(dir: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let prefix = format!("{}/", dir.display());
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|point| point.starts_with(&prefix));
    for point in points.collect::<Vec<_>>().into_iter().rev() {
        let _ = Command::new("umount").args(["--lazy", point]).output();
    }
}

fn spawn(dir: &Path, live_restore: bool) -> Child {
    let at = |name: &str| dir.join(name);
    let log = OpenOptions::new().create(true).append(true).open(at("dockerd.log")).unwrap();
    // In a network of its own: an engine without a bridge removes `docker0`, which is another's.
    let mut command = Command::new("unshare");
    command.arg("--net").arg(program());
    command.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("exec"));
    command.arg("--pidfile").arg(at("docker.pid")).arg("--host").arg(format!("unix://{}", at("docker.sock").display()));
    command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--shutdown-timeout=5"]);
    // Its own corner of a containerd that it may share with the machine's engine.
    let corner = dir.file_name().unwrap().to_string_lossy().trim_start_matches('.').to_lowercase();
    command.arg(format!("--containerd-namespace={corner}"));
    command.arg(format!("--containerd-plugins-namespace={corner}-plugins"));
    if live_restore {
        command.arg("--live-restore");
    }
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().expect("unshare of util-linux runs")
}

/// It is often not in the path of a user.
fn program() -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/sbin"]);
    let found = folders.map(|folder| Path::new(folder).join("dockerd")).find(|path| path.exists());
    found.unwrap_or_else(|| "dockerd".into())
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        let host = self.address();
        let listed = Command::new("docker").args(["--host", &host, "ps", "--all", "--quiet"]).output();
        let ids = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
        if !ids.trim().is_empty() {
            let _ =
                Command::new("docker").args(["--host", &host, "rm", "--force"]).args(ids.split_whitespace()).output();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("dockerd.log")).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(20).collect();
            eprintln!("---- the end of what dockerd told ----");
            last.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        self.signal(Signal::TERM);
        let _ = self.child.wait();
        end_leftovers(self.dir.path());
        unmount(self.dir.path());
    }
}
