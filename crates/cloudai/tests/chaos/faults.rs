//! What is broken when, drawn from a seed alone: the same seed gives the same schedule.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ops::RangeInclusive;

/// The host of the master; the workers are 1, 2, 3.
pub(crate) const MASTER: usize = 0;
/// How many workers there are.
pub(crate) const WORKERS: usize = 3;

/// What does not come through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Both,
    ToMaster,
    ToWorker,
}

/// What is done to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SIGKILL; started again on its data at the end.
    Kill,
    /// SIGSTOP; SIGCONT at the end.
    Pause,
    /// SIGSTOP, and SIGKILL at half of the time.
    PauseAndKill,
    /// The link between a worker and the master.
    Cut(Direction),
}

/// A fault and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Milliseconds since the storm began.
    pub(crate) at: u64,
    /// Milliseconds until it is mended.
    pub(crate) lasts: u64,
    pub(crate) host: usize,
    pub(crate) kind: Kind,
}

/// How often and for how long, in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// Between two faults of the same worker or link.
    pub(crate) gap: RangeInclusive<u64>,
    /// Between two faults of the first worker's process: where a lease ends because of a cut, what
    /// ran must be stopped by a worker that nobody else disturbs.
    pub(crate) spared_gap: RangeInclusive<u64>,
    /// Between two faults of the master: a new one grants every worker a new lease, so that none
    /// would ever end.
    pub(crate) master_gap: RangeInclusive<u64>,
    /// Most faults.
    pub(crate) short: RangeInclusive<u64>,
    /// Some: longer than a lease.
    pub(crate) long: RangeInclusive<u64>,
    /// Of a hundred faults.
    pub(crate) long_percent: u32,
    /// What comes first, whatever the seed is.
    pub(crate) opening: Vec<Fault>,
}

/// The faults of one process or of one link, one after the other; those of several overlap.
#[derive(Debug)]
struct Lane {
    host: usize,
    link: bool,
    rng: StdRng,
    next: Fault,
}

/// All faults in the order of their times, without an end.
#[derive(Debug)]
pub(crate) struct Schedule {
    pace: Pace,
    lanes: Vec<Lane>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, pace: Pace, links: bool) -> Self {
        let processes = (MASTER..=WORKERS).map(|host| (host, false));
        let links = (1..=WORKERS).filter(|_| links).map(|host| (host, true));
        let lanes = processes.chain(links).enumerate();
        let lanes = lanes.map(|(at, (host, link))| Lane::new(seed, at as u64, host, link, &pace)).collect();
        Self { pace, lanes }
    }
}

impl Iterator for Schedule {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        let first = self.lanes.iter_mut().min_by_key(|lane| lane.next.at)?;
        let fault = first.next;
        first.next = first.draw(&self.pace, fault.at + fault.lasts);
        Some(fault)
    }
}

impl Lane {
    fn new(seed: u64, number: u64, host: usize, link: bool, pace: &Pace) -> Self {
        let rng = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let next = Fault { at: 0, lasts: 0, host, kind: Kind::Kill };
        let mut lane = Self { host, link, rng, next };
        let ours = |fault: &&Fault| fault.host == host && matches!(fault.kind, Kind::Cut(_)) == link;
        lane.next = pace.opening.iter().find(ours).copied().unwrap_or_else(|| lane.draw(pace, 0));
        lane
    }

    fn draw(&mut self, pace: &Pace, from: u64) -> Fault {
        let gap = match (self.link, self.host) {
            (false, MASTER) => &pace.master_gap,
            (false, 1) => &pace.spared_gap,
            _ => &pace.gap,
        };
        let at = from + self.rng.random_range(gap.clone());
        let long = self.rng.random_range(0..100) < pace.long_percent;
        let lasts = self.rng.random_range(if long { pace.long.clone() } else { pace.short.clone() });
        let kind = match (self.link, self.rng.random_range(0..10)) {
            (true, 0..=1) => Kind::Cut(Direction::ToMaster),
            (true, 2..=3) => Kind::Cut(Direction::ToWorker),
            (true, _) => Kind::Cut(Direction::Both),
            (false, 0..=5) => Kind::Kill,
            (false, 6..=8) => Kind::Pause,
            (false, _) => Kind::PauseAndKill,
        };
        Fault { at, lasts, host: self.host, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        let (gap, master_gap, short, long) = (100..=900, 100..=2000, 10..=500, 12_000..=13_000);
        Pace { spared_gap: gap.clone(), gap, master_gap, short, long, long_percent: 10, opening: Vec::new() }
    }

    fn faults(seed: u64, links: bool) -> Vec<Fault> {
        Schedule::new(seed, pace(), links).take(500).collect()
    }

    #[test]
    fn a_seed_gives_its_schedule_again_and_another_seed_another() {
        assert_eq!(faults(7, true), faults(7, true));
        assert_ne!(faults(7, true), faults(8, true));
    }

    #[test]
    fn faults_come_in_order_and_those_of_one_process_or_link_never_overlap() {
        let all = faults(1, true);
        assert!(all.is_sorted_by_key(|fault| fault.at));
        let lane = |fault: &Fault| (fault.host, matches!(fault.kind, Kind::Cut(_)));
        for (at, fault) in all.iter().enumerate() {
            let next = all[at + 1..].iter().find(|next| lane(next) == lane(fault));
            assert!(next.is_none_or(|next| next.at > fault.at + fault.lasts), "{fault:?} {next:?}");
        }
        let overlap = all.windows(2).any(|pair| pair[0].at + pair[0].lasts > pair[1].at);
        assert!(overlap, "those of several do");
    }

    #[test]
    fn every_kind_happens_to_everybody_and_links_only_where_there_are_some() {
        let all = faults(2, true);
        for host in MASTER..=WORKERS {
            for kind in [Kind::Kill, Kind::Pause, Kind::PauseAndKill] {
                assert!(all.iter().any(|fault| (fault.host, fault.kind) == (host, kind)), "{host} {kind:?}");
            }
            for direction in [Direction::Both, Direction::ToMaster, Direction::ToWorker] {
                let cut = all.iter().any(|fault| (fault.host, fault.kind) == (host, Kind::Cut(direction)));
                assert_eq!(cut, host != MASTER, "{host} {direction:?}");
            }
        }
        assert!(all.iter().any(|fault| fault.lasts >= 12_000) && all.iter().any(|fault| fault.lasts <= 500));
        assert!(faults(2, false).iter().all(|fault| !matches!(fault.kind, Kind::Cut(_))));
    }

    #[test]
    fn what_comes_first_comes_first_in_its_lane() {
        let first = Fault { at: 300, lasts: 12_300, host: 3, kind: Kind::Pause };
        let schedule = Schedule::new(9, Pace { opening: vec![first], ..pace() }, true);
        let of_it: Vec<_> =
            schedule.take(500).filter(|fault| fault.host == 3 && !matches!(fault.kind, Kind::Cut(_))).collect();
        assert_eq!(of_it[0], first);
        assert!(of_it[1].at > 12_600, "{:?}", of_it[1]);
    }
}
