//! What is to be planned: a snapshot of the board.

use super::profile::Profile;
use crate::strategy::board::{Amounts, Board};
use crate::strategy::rules::Source;

/// A job to plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Its number on the board.
    pub(super) job: usize,
    pub(super) amounts: Amounts,
    pub(super) class: usize,
    pub(super) length: u64,
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

/// Of so many usual lengths a backlog is worked off without looking at who starves.
const HOPELESS: f64 = 10.0;

impl Problem {
    /// The board's waiting jobs, in this order.
    #[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53, only compared
    pub(super) fn of(board: &Board, source: Source, jobs: &[usize]) -> Self {
        let mut lengths: Vec<u64> = jobs.iter().map(|job| source.length(&board.job(*job)).mean).collect();
        lengths.sort_unstable();
        let median = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
        let work = |job: &usize| {
            let known = board.job(*job);
            board.classes()[known.class].share * source.length(&known).mean as f64
        };
        // Where the backlog takes many times a usual length most starve whatever is done.
        let hopeless = jobs.iter().map(work).sum::<f64>() > HOPELESS * median as f64;
        let item = |job: &usize| {
            let known = board.job(*job);
            let class = &board.classes()[known.class];
            let length = source.length(&known).mean;
            let patience = (5 * length.max(median)).max(60_000);
            let latest = known.deadline.map_or(u64::MAX, |deadline| deadline.saturating_sub(length));
            // A deadline that can not be met any more is none.
            let latest = if latest < board.now() { u64::MAX } else { latest };
            let patient = if hopeless { u64::MAX } else { known.arrival.saturating_add(patience) };
            let starves = patient.min(latest);
            let (amounts, share) = (class.amounts, class.share);
            Item { job: *job, amounts, class: known.class, length, arrival: known.arrival, starves, share }
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
            (source.end_mean(&job, run.started, now), board.classes()[job.class].amounts)
        })
        .collect();
    ends.sort_unstable();
    Profile::new(now, *board.free(worker), ends.into_iter())
}
