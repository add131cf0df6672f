//! The reservation of the job that waits at the head: when and where it will start, as far as is known.

use super::board::{Amounts, Board, Run, covers};
use super::rules::Source;

/// Where a job will start at the latest, if everything ends as thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    pub(super) job: usize,
    pub(super) worker: usize,
    /// When.
    pub(super) at: u64,
    /// What is left of the worker then, beside the job.
    pub(super) spare: Amounts,
}

impl Reservation {
    /// The earliest one for a job over these workers.
    pub(super) fn earliest(
        board: &Board,
        source: Source,
        job: usize,
        workers: impl Iterator<Item = usize>,
    ) -> Option<Self> {
        let mut best: Option<Self> = None;
        let mut ends = Vec::new();
        for worker in workers {
            if let Some(found) = on_worker(board, source, job, worker, &mut ends)
                && best.is_none_or(|best| found.at < best.at)
            {
                best = Some(found);
            }
        }
        best
    }

    /// Whether a job of these amounts and this length may start on a worker now.
    pub(super) fn allows(&self, worker: usize, end: u64, amounts: &Amounts) -> bool {
        worker != self.worker || end <= self.at || covers(&self.spare, amounts)
    }

    /// Takes in that a job started on a worker.
    pub(super) fn started(&mut self, worker: usize, end: u64, amounts: &Amounts) {
        if worker == self.worker && end > self.at {
            (0..4).for_each(|kind| self.spare[kind] = self.spare[kind].saturating_sub(amounts[kind]));
        }
    }
}

fn on_worker(
    board: &Board,
    source: Source,
    job: usize,
    worker: usize,
    ends: &mut Vec<(u64, usize)>,
) -> Option<Reservation> {
    let seat = &board.seats()[worker];
    let amounts = board.classes()[board.job(job).class].amounts;
    if !seat.open || !covers(&seat.total, &amounts) {
        return None;
    }
    ends.clear();
    let end = |run: &Run| source.end(&board.job(run.job), run.started, board.now());
    ends.extend(seat.runs.iter().map(|run| (end(run), run.job)));
    ends.sort_unstable();
    let (mut free, mut at) = (seat.free, board.now());
    for (end, run) in ends.iter() {
        if covers(&free, &amounts) && *end > at {
            break;
        }
        let gives = &board.classes()[board.job(*run).class].amounts;
        (0..4).for_each(|kind| free[kind] += gives[kind]);
        at = *end;
    }
    if !covers(&free, &amounts) {
        return None;
    }
    (0..4).for_each(|kind| free[kind] -= amounts[kind]);
    Some(Reservation { job, worker, at, spare: free })
}
