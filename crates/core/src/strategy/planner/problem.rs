//! What is to be planned: a snapshot of the board.

use super::Planning;
use super::profile::Profile;
use crate::strategy::board::{Amounts, Board};
use crate::strategy::rules::Source;

/// A job to plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Its number on the board.
    pub(super) job: usize,
    /// Who has the number now.
    pub(super) order: u64,
    pub(super) amounts: Amounts,
    pub(super) class: usize,
    pub(super) length: u64,
    /// What must follow it takes so long; 0 where that does not count.
    pub(super) tail: u64,
    /// When it was submitted.
    pub(super) arrival: u64,
    /// Waiting beyond this is starving, or misses its deadline.
    pub(super) starves: u64,
    /// Its part of the cluster, 0 to 1.
    pub(super) share: f64,
}

/// Jobs and workers of a plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Problem {
    pub(super) now: u64,
    pub(super) items: Vec<Item>,
    /// What each worker will have free; nothing of one that takes no work.
    pub(super) profiles: Vec<Profile>,
    /// The workers that could ever run each class.
    pub(super) able: Vec<Vec<usize>>,
}

/// A backlog that takes so many usual lengths is worked off without looking at who starves: it would double the
/// time that it takes.
const LONG: f64 = 8.0;

/// What counts as starving in a backlog. Decided when its first plan is made: what is left of it later tells less and
/// less of what was usual in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Starving {
    /// The median length.
    usual: u64,
    /// Whether nobody starves, however long he waits.
    careless: bool,
}

impl Starving {
    #[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53, only compared
    pub(super) fn of(board: &Board, source: Source, jobs: &[usize]) -> Self {
        let mut lengths: Vec<u64> = jobs.iter().map(|job| source.length(&board.job(*job)).mean).collect();
        lengths.sort_unstable();
        let usual = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
        let careless = horizon(board, source, jobs.iter().copied()) > LONG * usual as f64;
        Self { usual, careless }
    }

    /// Since when a job of this length starves.
    fn since(self, arrival: u64, length: u64) -> u64 {
        if self.careless { u64::MAX } else { arrival.saturating_add((5 * length.max(self.usual)).max(60_000)) }
    }
}

/// How long these jobs take at least, in milliseconds.
#[allow(clippy::cast_precision_loss)] // amounts and times far below 2^53 each
pub(in crate::strategy) fn horizon(board: &Board, source: Source, jobs: impl Iterator<Item = usize>) -> f64 {
    let mut work = [0.0; 4];
    for number in jobs {
        let job = board.job(number);
        let length = source.length(&job).mean as f64;
        let amounts = &board.classes()[job.class].amounts;
        (0..4).for_each(|kind| work[kind] += amounts[kind] as f64 * length);
    }
    let capacity = board.capacity();
    let needs = |kind: usize| if capacity[kind] == 0 { 0.0 } else { work[kind] / capacity[kind] as f64 };
    (0..4).map(needs).fold(0.0, f64::max)
}

impl Item {
    /// How long it and what must follow it take: its upward rank.
    pub(super) const fn rank(&self) -> u64 {
        self.length.saturating_add(self.tail)
    }
}

impl Problem {
    /// The board's waiting jobs, in this order.
    pub(super) fn of(board: &Board, planning: &Planning, jobs: &[usize], starving: Starving) -> Self {
        let source = planning.source;
        let item = |job: &usize| {
            let known = board.job(*job);
            let class = &board.classes()[known.class];
            let length = source.length(&known).mean;
            let latest = known.deadline.map_or(u64::MAX, |deadline| deadline.saturating_sub(length));
            // A deadline that can not be met any more is none.
            let latest = if latest < board.now() { u64::MAX } else { latest };
            let starves = starving.since(known.arrival, length).min(latest);
            let (amounts, share) = (class.amounts, class.share);
            let (order, arrival) = (known.order, known.arrival);
            let tail = if planning.tails { known.tail } else { 0 };
            Item { job: *job, order, amounts, class: known.class, length, tail, arrival, starves, share }
        };
        let items: Vec<Item> = jobs.iter().map(item).collect();
        let profiles = (0..board.seats().len()).map(|worker| profile(board, source, worker)).collect();
        let mut able = vec![Vec::new(); board.classes().len()];
        for item in &items {
            if able[item.class].is_empty() {
                let could = |worker: &usize| board.could_ever(item.class, *worker);
                able[item.class] = (0..board.seats().len()).filter(could).collect();
            }
        }
        Self { now: board.now(), items, profiles, able }
    }
}

fn profile(board: &Board, source: Source, worker: usize) -> Profile {
    let seat = &board.seats()[worker];
    let now = board.now();
    let mut ends: Vec<(u64, Amounts)> = seat
        .runs
        .iter()
        .map(|run| {
            let job = board.job(run.job);
            (source.end_mean(&job, run.started, now), board.classes()[run.class].amounts)
        })
        .collect();
    ends.sort_unstable();
    Profile::new(now, *board.free(worker), ends.into_iter())
}
