//! Where kin run: which domains of workers they have taken, and how many of them are in each.

use super::{Board, Change, Run};
use crate::kin::weighed;
use crate::planted::{self, Fault};
use crate::strategy::numbers::small;
use std::collections::{BTreeMap, BTreeSet};

/// What jobs ask of where their kin run. Keys are labels and facts, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distance {
    /// Whose kin they are, by the number of these kin.
    pub kin: u32,
    /// By which keys no two of them share a domain.
    pub apart: Vec<u32>,
    /// By which keys they would rather not, and how much each of them weighs.
    pub spread: Vec<(u32, i32)>,
}

/// The domains of workers, and where kin run.
#[derive(Clone, Debug, Default)]
pub(super) struct Apart {
    /// By the numbers of a key and of a worker: the number of the worker's domain.
    domains: Vec<Vec<u32>>,
    /// By the number that classes have.
    asked: Vec<Distance>,
    /// By the number of the kin.
    kin: Vec<Group>,
}

/// Jobs that are kin.
#[derive(Clone, Debug, Default)]
struct Group {
    /// How many run on a worker, where any does.
    on: BTreeMap<usize, u32>,
    /// How many run in a domain, by key, where any does; of every key that one of them asks by.
    within: BTreeMap<u32, BTreeMap<u32, u32>>,
    /// The keys by which some are kept apart.
    apart: BTreeSet<u32>,
}

/// Domains that jobs which start together take one after another.
#[derive(Debug)]
pub(in crate::strategy) struct Domains<'a> {
    apart: &'a Apart,
    keys: &'a [u32],
    taken: BTreeSet<(u32, u32)>,
}

impl Domains<'_> {
    /// How many of so many that would fit on a worker may go there, beside those that were let in before: one at the
    /// most where they stand apart. They are taken to go there.
    pub(in crate::strategy) fn room(&mut self, worker: usize, fit: usize) -> usize {
        if self.keys.is_empty() || fit == 0 {
            return fit;
        }
        let domains: Vec<(u32, u32)> = self.keys.iter().map(|key| (*key, self.apart.domain(*key, worker))).collect();
        if domains.iter().any(|domain| self.taken.contains(domain)) {
            return 0;
        }
        self.taken.extend(domains);
        1
    }
}

/// Until when domains are taken, by key.
#[derive(Debug, Default)]
pub(in crate::strategy) struct Until(Vec<(u32, BTreeMap<u32, u64>)>);

impl Apart {
    /// A worker's domain: its own where nothing is known.
    fn domain(&self, key: u32, worker: usize) -> u32 {
        let known = self.domains.get(key as usize).and_then(|domains| domains.get(worker));
        known.copied().unwrap_or_else(|| small(worker))
    }

    fn count(&self, asked: u32, key: u32, worker: usize) -> u32 {
        let group = self.asked.get(asked as usize).and_then(|asked| self.kin.get(asked.kin as usize));
        let within = group.and_then(|group| group.within.get(&key));
        within.and_then(|within| within.get(&self.domain(key, worker))).copied().unwrap_or(0)
    }

    fn distance(&self, asked: u32) -> (&[u32], &[(u32, i32)]) {
        match self.asked.get(asked as usize) {
            Some(Distance { apart, spread, .. }) => (apart, spread),
            None => (&[], &[]),
        }
    }

    /// The domains in which jobs of this kind stand apart.
    pub(super) fn domains_of(&self, asked: Option<u32>) -> Domains<'_> {
        Domains { apart: self, keys: asked.map_or(&[], |asked| self.distance(asked).0), taken: BTreeSet::new() }
    }

    /// Whether jobs of this kind have a kin too near to a worker.
    pub(super) fn is_taken(&self, asked: u32, worker: usize) -> bool {
        self.distance(asked).0.iter().any(|key| self.count(asked, *key, worker) > 0) && !planted::is(Fault::StandBeside)
    }

    /// What the kin that are near a worker weigh against it.
    pub(super) fn crowd(&self, asked: u32, worker: usize) -> i32 {
        let weigh = |(key, weight): &(u32, i32)| weighed(*weight, self.count(asked, *key, worker) as usize);
        self.distance(asked).1.iter().map(weigh).fold(0, i32::saturating_add)
    }

    pub(super) fn is_spread(&self, asked: u32) -> bool {
        !self.distance(asked).1.is_empty()
    }

    /// One of them runs on a worker from now on.
    pub(super) fn enter(&mut self, asked: u32, worker: usize) {
        let Self { domains, asked: all, kin } = self;
        let Some(group) = all.get(asked as usize).and_then(|asked| kin.get_mut(asked.kin as usize)) else { return };
        *group.on.entry(worker).or_insert(0) += 1;
        for (key, within) in &mut group.within {
            *within.entry(domain_of(domains, *key, worker)).or_insert(0) += 1;
        }
    }

    /// One of them runs on a worker no more; answers the workers of domains that are free by that.
    pub(super) fn leave(&mut self, asked: u32, worker: usize) -> BTreeSet<usize> {
        let mut freed = BTreeSet::new();
        let Self { domains, asked: all, kin } = self;
        let Some(group) = all.get(asked as usize).and_then(|asked| kin.get_mut(asked.kin as usize)) else {
            return freed;
        };
        less(&mut group.on, worker);
        for (key, within) in &mut group.within {
            let domain = domain_of(domains, *key, worker);
            if less(within, domain) && group.apart.contains(key) {
                let all = domains.get(*key as usize).into_iter().flatten().enumerate();
                freed.extend(all.filter(|(_, other)| **other == domain).map(|(worker, _)| worker));
            }
        }
        freed
    }

    fn add(&mut self, distance: Distance) -> u32 {
        let kin = distance.kin as usize;
        if self.kin.len() <= kin {
            self.kin.resize(kin + 1, Group::default());
        }
        let spread = distance.spread.iter().map(|(key, _)| *key);
        for key in distance.apart.iter().copied().chain(spread) {
            let within = self.counted(kin, key);
            self.kin[kin].within.insert(key, within);
        }
        self.kin[kin].apart.extend(&distance.apart);
        self.asked.push(distance);
        small(self.asked.len() - 1)
    }

    /// How many of some kin run in each domain of a key.
    fn counted(&self, kin: usize, key: u32) -> BTreeMap<u32, u32> {
        let mut within = BTreeMap::new();
        for (worker, count) in &self.kin[kin].on {
            *within.entry(self.domain(key, *worker)).or_insert(0) += count;
        }
        within
    }

    /// Sets the domains of a key; answers whether it had others before.
    fn set_domains(&mut self, key: u32, domains: Vec<u32>) -> bool {
        let at = key as usize;
        if self.domains.len() <= at {
            self.domains.resize(at + 1, Vec::new());
        }
        if self.domains[at] == domains {
            return false;
        }
        let before = std::mem::replace(&mut self.domains[at], domains);
        for kin in 0..self.kin.len() {
            if self.kin[kin].within.contains_key(&key) {
                let within = self.counted(kin, key);
                self.kin[kin].within.insert(key, within);
            }
        }
        !before.is_empty()
    }
}

fn domain_of(domains: &[Vec<u32>], key: u32, worker: usize) -> u32 {
    domains.get(key as usize).and_then(|domains| domains.get(worker)).copied().unwrap_or_else(|| small(worker))
}

/// Takes one away; answers whether none is left.
fn less<K: Ord>(counts: &mut BTreeMap<K, u32>, of: K) -> bool {
    let Some(count) = counts.get_mut(&of) else { return false };
    *count = count.saturating_sub(1);
    let none = *count == 0;
    if none {
        counts.remove(&of);
    }
    none
}

impl Board {
    /// Puts in what jobs ask of where their kin run; answers the number of that. The domains of its keys are known.
    pub fn add_distance(&mut self, distance: Distance) -> u32 {
        self.apart.add(distance)
    }

    /// The domains of a key, by the numbers of workers.
    pub fn set_domains(&mut self, key: u32, domains: Vec<u32>) {
        if self.apart.set_domains(key, domains) {
            self.changes.push(Change::Reshaped);
        }
    }

    /// Whether jobs of a class ask anything of where their kin run.
    #[must_use]
    pub fn has_kin(&self, class: usize) -> bool {
        self.classes.get(class).kin.is_some()
    }

    /// Whether no kin of a class is too near to a worker.
    #[must_use]
    pub fn stands_apart(&self, class: usize, worker: usize) -> bool {
        !self.classes.get(class).kin.is_some_and(|asked| self.apart.is_taken(asked, worker))
    }

    /// Until when domains are taken by kin of a class, if all of them end as `end` says.
    pub(in crate::strategy) fn taken_until(&self, class: usize, end: impl Fn(&Run) -> u64) -> Until {
        let Some(asked) = self.classes.get(class).kin else { return Until::default() };
        let (Some(distance), (keys, _)) = (self.apart.asked.get(asked as usize), self.apart.distance(asked)) else {
            return Until::default();
        };
        let mut until: Vec<(u32, BTreeMap<u32, u64>)> = keys.iter().map(|key| (*key, BTreeMap::new())).collect();
        let kin = |run: &&Run| {
            let other = self.classes.get(self.jobs[run.job].class()).kin;
            let other = other.and_then(|asked| self.apart.asked.get(asked as usize));
            other.is_some_and(|other| other.kin == distance.kin)
        };
        let workers = self.apart.kin.get(distance.kin as usize).into_iter().flat_map(|group| group.on.keys());
        for worker in workers.filter(|_| !keys.is_empty()) {
            let Some(last) = self.seats[*worker].runs.iter().filter(kin).map(&end).max() else { continue };
            for (key, domains) in &mut until {
                let known = domains.entry(self.apart.domain(*key, *worker)).or_insert(last);
                *known = last.max(*known);
            }
        }
        Until(until)
    }

    /// Until when a worker is too near to kin; 0 where it is not.
    pub(in crate::strategy) fn near_until(&self, until: &Until, worker: usize) -> u64 {
        let of = |(key, domains): &(u32, BTreeMap<u32, u64>)| {
            domains.get(&self.apart.domain(*key, worker)).copied().unwrap_or(0)
        };
        until.0.iter().map(of).max().unwrap_or(0)
    }

    /// A job runs on a worker from now on.
    pub(super) fn enter_kin(&mut self, number: usize, worker: usize) {
        if let Some(asked) = self.classes.get(self.jobs[number].class()).kin {
            self.apart.enter(asked, worker);
        }
    }

    /// A job runs on a worker no more: others of the same domain may be open to its kin by that.
    pub(super) fn leave_kin(&mut self, number: usize, worker: usize) {
        if let Some(asked) = self.classes.get(self.jobs[number].class()).kin {
            let freed = self.apart.leave(asked, worker).into_iter();
            let open = freed.filter(|other| *other != worker && self.seats.get(*other).is_some_and(|seat| seat.open));
            self.changes.extend(open.map(Change::Freed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::board::{Job, Seat, Wanted};
    use proptest::prelude::*;

    /// Whose kin, apart by which labels, spread over which.
    type Asked = (u32, &'static [u32], &'static [(u32, i32)]);

    /// The domains of two keys over six workers.
    const DOMAINS: [[u32; 6]; 2] = [[0, 1, 2, 3, 4, 5], [0, 0, 2, 0, 2, 5]];

    /// A board of six workers of four cores, with two kinds of two kin each.
    fn board() -> (Board, Vec<usize>) {
        let mut board = Board::default();
        (0..6).for_each(|worker| board.set_seat(worker, Seat::plain([4, 4, 4, 0])));
        for (key, domains) in (0..).zip(DOMAINS) {
            board.set_domains(key, domains.to_vec());
        }
        let asked: [Asked; 4] = [(0, &[0], &[]), (0, &[1], &[]), (1, &[1], &[(0, 7)]), (1, &[], &[(1, 50), (0, 1)])];
        let class = |(kin, apart, spread): (u32, &[u32], &[(u32, i32)])| {
            let asked = board.add_distance(Distance { kin, apart: apart.to_vec(), spread: spread.to_vec() });
            board.class(Wanted { amounts: [1, 1, 1, 0], kin: Some(asked), ..Wanted::default() })
        };
        let classes = asked.map(class).to_vec();
        (board, classes)
    }

    /// What is said of a worker must be what is counted from the jobs that run.
    fn check(board: &Board, classes: &[usize], domains: &[Vec<u32>]) -> Result<(), String> {
        for (asker, class) in classes.iter().enumerate() {
            let asked = board.classes()[*class].kin.unwrap();
            let Distance { kin, apart, spread } = board.apart.asked[asked as usize].clone();
            for worker in 0..6 {
                let near = |key: u32| {
                    let of = |at: usize| domains[key as usize][at];
                    let runs = board
                        .seats()
                        .iter()
                        .enumerate()
                        .flat_map(|(at, seat)| seat.runs.iter().map(move |run| (at, run)));
                    let kin_of = |run: &Run| {
                        let asked = board.classes()[board.job(run.job).class].kin.unwrap();
                        board.apart.asked[asked as usize].kin
                    };
                    runs.filter(|(at, run)| of(*at) == of(worker) && kin_of(run) == kin).count()
                };
                let free = apart.iter().all(|key| near(*key) == 0);
                let crowd: i32 = spread.iter().map(|(key, weight)| weighed(*weight, near(*key))).sum();
                let room = board.seats()[worker].free[0] > 0;
                let said = (board.stands_apart(*class, worker), board.liking(*class, worker));
                if said != (free, -crowd) || board.fits(*class, worker) != (free && room) {
                    return Err(format!("kind {asker} on {worker}: {said:?}, not {free} {crowd}"));
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_counted_of_kin_is_what_runs(
            steps in prop::collection::vec((0usize..6, 0usize..4, 0usize..6, prop::array::uniform6(0u32..3)), 1..60),
        ) {
            let (mut board, classes) = board();
            let mut domains: Vec<Vec<u32>> = DOMAINS.iter().map(|domains| domains.to_vec()).collect();
            let mut jobs: Vec<usize> = Vec::new();
            for (step, kind, worker, values) in steps {
                let job = Job::plain(classes[kind], 1000);
                match step {
                    0 => jobs.push(board.run(job, worker, 0)),
                    1 => jobs.push(board.wait(job)),
                    2 => jobs.extend(board.start_new(job, worker)),
                    3 => {
                        // The first of each value stands for it.
                        let first = |value: &u32| values.iter().position(|other| other == value).unwrap();
                        domains[1] = values.iter().map(|value| small(first(value))).collect();
                        board.set_domains(1, domains[1].clone());
                    }
                    4 if !jobs.is_empty() => {
                        let job = jobs[worker % jobs.len()];
                        let may = board.waits(job) && board.fits(board.job(job).class, kind);
                        prop_assert_eq!(board.start(job, kind), may);
                    }
                    5 if !jobs.is_empty() && kind == 0 => board.take_back(jobs[worker % jobs.len()]),
                    _ if !jobs.is_empty() => board.remove(jobs.remove(worker % jobs.len()), true),
                    _ => {}
                }
                prop_assert_eq!(check(&board, &classes, &domains), Ok(()));
                for class in &classes {
                    let first = (0..6).find(|worker| board.fits(*class, *worker));
                    prop_assert_eq!(board.next_fit(*class, 0), first);
                }
            }
        }
    }

    #[test]
    fn the_end_of_the_last_kin_of_a_domain_is_told_of_all_its_workers() {
        let (mut board, classes) = board();
        let plain = board.class(Wanted { amounts: [1, 1, 1, 0], ..Wanted::default() });
        let first = board.start_new(Job::plain(classes[3], 1000), 0).unwrap();
        let second = board.run(Job::plain(classes[2], 1000), 3, 0);
        let other = board.start_new(Job::plain(plain, 1000), 0).unwrap();
        board.set_seat(1, Seat { open: false, ..Seat::plain([4, 4, 4, 0]) });
        board.take_changes();
        board.remove(first, true);
        board.remove(other, true);
        assert_eq!(board.take_changes(), [Change::Freed(0), Change::Freed(0)], "another of them runs in the domain");
        board.remove(second, true);
        assert_eq!(board.take_changes(), [Change::Freed(0), Change::Freed(3)], "one that is closed is not told");
    }

    #[test]
    fn kin_that_run_before_anybody_asks_by_a_key_are_counted() {
        let (mut board, classes) = board();
        board.run(Job::plain(classes[0], 1000), 3, 0);
        board.set_domains(2, vec![0, 0, 0, 1, 1, 1]);
        let asked = board.add_distance(Distance { kin: 0, apart: vec![2], spread: vec![] });
        let class = board.class(Wanted { amounts: [1, 1, 1, 0], kin: Some(asked), ..Wanted::default() });
        assert_eq!((0..6).filter(|worker| board.fits(class, *worker)).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
