//! Calls workers that do not come by themselves: says where this master is, until they register or are removed.
//!
//! Those are workers that an operator named with an address and that never came, and others with an address that were
//! silent for long or did not come back to a master that started again.

use crate::grpc;
use crate::handle::Handle;
use crate::pace::Backoff;
use cloudai_core::ids::WorkerId;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::{debug, info, warn};

/// Between two looks at who is absent.
const LOOK: Duration = Duration::from_millis(500);
/// Calls that are under way at a time: a subnet that drops everything holds that many for as long as a call may take.
const AT_ONCE: usize = 32;
/// Between two calls to one worker, first and at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Calls for as long as it is polled. A master without an address of its own calls nobody.
pub(crate) async fn run(handle: Handle, grpc: Option<SocketAddr>) {
    let Some(grpc) = grpc else { return std::future::pending().await };
    // Whoever was here before comes back within two heartbeats, or does not by itself.
    let mut rounds = Rounds::new(handle.facts().timing.heartbeat * 2);
    let mut calls = JoinSet::new();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(ended) = calls.join_next() => {
                if let Ok((worker, told)) = ended {
                    rounds.ended(&worker, told, Instant::now());
                }
                continue;
            }
            _ = looks.tick() => {}
        }
        rounds.see(absent(&handle), Instant::now());
        for (worker, address) in rounds.due(Instant::now(), AT_ONCE.saturating_sub(calls.len())) {
            calls.spawn(call(handle.clone(), grpc, worker, address));
        }
    }
}

async fn call(handle: Handle, grpc: SocketAddr, worker: WorkerId, address: String) -> (WorkerId, Result<(), String>) {
    let told = match own_address(grpc, &address).await {
        Ok(own) => grpc::announce(&handle, &worker, &address, vec![own.to_string()]).await,
        Err(why) => Err(why),
    };
    (worker, told)
}

/// A worker that should be here, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Absent {
    worker: WorkerId,
    address: String,
    /// It has been here, and may come back by itself.
    was_here: bool,
}

fn absent(handle: &Handle) -> Vec<Absent> {
    let (model, heartbeats) = (&handle.shared.model, &handle.shared.heartbeats);
    let away = model.with_address().into_iter().filter(|record| {
        !(record.removing || record.status.is_heard() && heartbeats.knows(&record.id, record.session))
    });
    let absent = |record: std::sync::Arc<cloudai_core::worker::WorkerRecord>| {
        let address = record.address.clone()?;
        Some(Absent { worker: record.id.clone(), address, was_here: record.connected_at.is_some() })
    };
    away.filter_map(absent).collect()
}

/// Who is called when.
#[derive(Debug)]
struct Rounds {
    /// For those that were here before.
    patience: Duration,
    absent: BTreeMap<WorkerId, Round>,
}

#[derive(Debug)]
struct Round {
    address: String,
    /// The next call; none while one is under way.
    next: Option<Instant>,
    wait: Backoff,
    /// What came of the last call, as the log has it.
    told: Option<Result<(), String>>,
}

impl Rounds {
    fn new(patience: Duration) -> Self {
        Self { patience, absent: BTreeMap::new() }
    }

    /// Notes who is absent now. Whoever is not, or is to be found elsewhere, is called no more as before.
    fn see(&mut self, absent: Vec<Absent>, now: Instant) {
        let mut before = std::mem::take(&mut self.absent);
        for Absent { worker, address, was_here } in absent {
            let round = before.remove(&worker).filter(|round| round.address == address).unwrap_or_else(|| Round {
                address,
                next: Some(if was_here { now + self.patience } else { now }),
                wait: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
                told: None,
            });
            self.absent.insert(worker, round);
        }
    }

    /// Those to call now, at most so many, whoever waits longest first; each is called until it has ended.
    fn due(&mut self, now: Instant, most: usize) -> Vec<(WorkerId, String)> {
        let due = self.absent.iter().filter_map(|(worker, round)| Some((round.next?, worker.clone())));
        let mut due: Vec<_> = due.filter(|(next, _)| *next <= now).collect();
        due.sort();
        due.truncate(most);
        let take = |(_, worker): (Instant, WorkerId)| {
            let round = self.absent.get_mut(&worker)?;
            round.next = None;
            Some((worker, round.address.clone()))
        };
        due.into_iter().filter_map(take).collect()
    }

    /// A call has ended; the next one is later than the one before was.
    fn ended(&mut self, worker: &WorkerId, told: Result<(), String>, now: Instant) {
        let Some(round) = self.absent.get_mut(worker) else { return };
        round.next = Some(now + round.wait.wait());
        let address = round.address.as_str();
        if round.told.as_ref() == Some(&told) {
            debug!(%worker, address, ?told, "worker was called again");
            return;
        }
        match &told {
            Ok(()) => info!(%worker, address, "worker was called, it is to register"),
            Err(why) => warn!(%worker, address, why, "worker was called in vain, it is called again"),
        }
        round.told = Some(told);
    }
}

/// Where a worker reaches this master.
/// # Errors
/// It does not: why, for people.
async fn own_address(grpc: SocketAddr, worker: &str) -> Result<SocketAddr, String> {
    let local = local_ip(worker).await.map_err(|error| format!("there is no way to {worker}: {error}"))?;
    if grpc.ip().is_loopback() && !local.is_loopback() {
        return Err(format!("{worker} is another machine, and this master listens on {grpc}: give it another --grpc"));
    }
    Ok(if grpc.ip().is_unspecified() { SocketAddr::new(local, grpc.port()) } else { grpc })
}

/// The address that this machine has on the way to another; nothing is sent.
async fn local_ip(to: &str) -> std::io::Result<IpAddr> {
    let to = tokio::net::lookup_host(to).await?.next().ok_or(std::io::ErrorKind::NotFound)?;
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(worker: &str, address: &str, was_here: bool) -> Absent {
        Absent { worker: worker.parse().unwrap(), address: address.into(), was_here }
    }

    fn names(due: Vec<(WorkerId, String)>) -> Vec<String> {
        due.into_iter().map(|(worker, address)| format!("{worker} {address}")).collect()
    }

    #[test]
    fn who_never_came_is_called_at_once_and_who_was_here_after_a_while() {
        let (mut rounds, now, patience) = (Rounds::new(Duration::from_secs(10)), Instant::now(), 10);
        let all = || vec![absent("new", "a:1", false), absent("old", "b:1", true)];
        rounds.see(all(), now);
        assert_eq!(names(rounds.due(now, 9)), ["new a:1"]);
        assert_eq!(names(rounds.due(now, 9)), [""; 0], "it is being called");
        let later = now + Duration::from_secs(patience);
        rounds.see(all(), later);
        assert_eq!(names(rounds.due(later, 9)), ["old b:1"]);
    }

    #[test]
    fn calls_come_more_and_more_rarely_until_the_worker_is_here_or_elsewhere() {
        let (mut rounds, mut now) = (Rounds::new(Duration::ZERO), Instant::now());
        let worker = "w".parse().unwrap();
        rounds.see(vec![absent("w", "a:1", false)], now);
        for most in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(names(rounds.due(now, 9)), ["w a:1"]);
            rounds.ended(&worker, Err("nobody is there".into()), now);
            let half = Duration::from_millis(most * 500 - 1);
            assert!(rounds.due(now + half, 9).is_empty(), "at most half of it is taken off");
            now += Duration::from_secs(most);
            rounds.see(vec![absent("w", "a:1", false)], now);
        }
        rounds.see(vec![absent("w", "b:1", false)], now);
        assert_eq!(names(rounds.due(now, 9)), ["w b:1"], "an operator said where it is");
        rounds.see(Vec::new(), now);
        rounds.ended(&worker, Ok(()), now);
        assert!(rounds.due(now + Duration::from_secs(600), 9).is_empty(), "it is here, or removed");
    }

    #[test]
    fn no_more_are_called_at_a_time_than_there_is_room_for_and_each_has_its_turn() {
        let (mut rounds, now) = (Rounds::new(Duration::ZERO), Instant::now());
        rounds.see((0..5).map(|number| absent(&format!("w{number}"), "a:1", false)).collect(), now);
        assert_eq!((rounds.due(now, 2).len(), rounds.due(now, 2).len()), (2, 2));
        assert_eq!(names(rounds.due(now, 2)), ["w4 a:1"]);
    }

    #[tokio::test]
    async fn a_worker_is_told_an_address_at_which_it_reaches_the_master() {
        let own = async |grpc: &str, worker: &str| own_address(grpc.parse().unwrap(), worker).await;
        let here = "127.0.0.1:50051".parse().unwrap();
        assert_eq!(own("127.0.0.1:50051", "127.0.0.1:7").await, Ok(here));
        assert_eq!(own("0.0.0.0:50051", "127.0.0.1:7").await, Ok(here));
        assert_eq!(own("10.0.0.1:50051", "127.0.0.1:7").await, Ok("10.0.0.1:50051".parse().unwrap()));
        assert!(own("127.0.0.1:50051", "nothing").await.unwrap_err().contains("no way to"));
    }
}
