//! A network for a master and its workers: a namespace each, joined by a bridge in one more, whose
//! links can be cut in either direction.
//!
//! A namespace has no name: it lives as long as a process that does nothing, which ends with the
//! test, however that ends. So nothing has to be removed from the machine.

use crate::faults::Direction;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

/// The first three numbers of every address; nobody outside of the namespaces sees them.
const NET: &str = "10.77.0";

/// A namespace: the process that holds it.
#[derive(Debug)]
struct Namespace(Child);

impl Namespace {
    fn make() -> Result<Self, String> {
        // It ends when its input does.
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "echo made; exec cat >/dev/null"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("unshare does not run: {error}"))?;
        let mut said = String::new();
        let _ = BufReader::new(child.stdout.take().unwrap()).read_line(&mut said);
        if said.trim() == "made" {
            return Ok(Self(child));
        }
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    fn file(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    /// Runs a command in it, which must succeed.
    fn run(&self, words: &str) -> Result<(), String> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file())).args(words.split(' '));
        let output = command.output().map_err(|error| format!("nsenter does not run: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        output.status.success().then_some(()).ok_or_else(|| format!("{words}: {}", said.trim()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The namespaces; host 0 is the master's.
#[derive(Debug)]
pub(crate) struct Network {
    hub: Namespace,
    hosts: Vec<Namespace>,
    cuts: Vec<Option<Direction>>,
}

impl Network {
    /// A bridge and so many hosts.
    /// # Errors
    /// Why this machine has none: usually that this is not root.
    pub(crate) fn make(hosts: usize) -> Result<Self, String> {
        let hub = Namespace::make()?;
        for words in ["ip link set lo up", "ip link add br0 type bridge", "ip link set br0 up"] {
            hub.run(words)?;
        }
        hub.run(&format!("ip addr add {NET}.1/24 dev br0"))?;
        let mut network = Self { hub, hosts: Vec::new(), cuts: vec![None; hosts] };
        for host in 0..hosts {
            network.join(host)?;
        }
        Ok(network)
    }

    fn join(&mut self, host: usize) -> Result<(), String> {
        let fresh = Namespace::make()?;
        self.hub.run(&format!("ip link add h{host} type veth peer name eth0 netns {}", fresh.0.id()))?;
        self.hub.run(&format!("ip link set h{host} master br0 up"))?;
        fresh.run("ip link set lo up")?;
        fresh.run(&format!("ip addr add {}/24 dev eth0", self.address(host)))?;
        fresh.run("ip link set eth0 up")?;
        // That links can be cut is found out now.
        fresh.run("iptables -w -L INPUT -n")?;
        self.hosts.push(fresh);
        Ok(())
    }

    /// Moves this thread to the bridge, from where it reaches every host over links that are never cut.
    pub(crate) fn enter(&self) {
        let file = std::fs::File::open(self.hub.file()).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    #[allow(clippy::unused_self, reason = "only who has a network has addresses")]
    pub(crate) fn address(&self, host: usize) -> String {
        format!("{NET}.{}", host + 2)
    }

    /// The words behind which a program runs on a host.
    pub(crate) fn before(&self, host: usize) -> Vec<String> {
        vec!["nsenter".into(), format!("--net={}", self.hosts[host].file())]
    }

    /// Drops what a worker and the master send each other, from now on.
    pub(crate) fn cut(&mut self, worker: usize, direction: Direction) {
        self.heal(worker);
        self.cuts[worker] = Some(direction);
        self.rule("-A", worker, direction);
    }

    /// Lets everything pass again.
    pub(crate) fn heal(&mut self, worker: usize) {
        if let Some(direction) = self.cuts[worker].take() {
            self.rule("-D", worker, direction);
        }
    }

    /// At the receiver: who sends is told nothing.
    fn rule(&self, what: &str, worker: usize, direction: Direction) {
        let drop = |at: usize, from: usize| {
            let words = format!("iptables -w {what} INPUT -s {} -j DROP", self.address(from));
            self.hosts[at].run(&words).unwrap();
        };
        if direction != Direction::ToWorker {
            drop(0, worker);
        }
        if direction != Direction::ToMaster {
            drop(worker, 0);
        }
    }
}
