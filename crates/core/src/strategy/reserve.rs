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
    let (seat, class) = (&board.seats()[worker], board.job(job).class);
    if !board.could_ever(class, worker) {
        return None;
    }
    let amounts = board.classes()[class].amounts;
    ends.clear();
    let end = |run: &Run| source.end(&board.job(run.job), run.started, board.now());
    ends.extend(seat.runs.iter().map(|run| (end(run), run.job)));
    ends.sort_unstable();
    let (mut free, mut at) = (seat.free, board.now());
    // Devices count as they are now; which of them an end frees is not known of every job.
    let mut has_room = board.fits(class, worker);
    for (end, run) in ends.iter() {
        if has_room && *end > at {
            break;
        }
        let gives = &board.classes()[board.job(*run).class].amounts;
        (0..4).for_each(|kind| free[kind] += gives[kind]);
        at = *end;
        has_room = covers(&free, &amounts);
    }
    if !has_room {
        return None;
    }
    (0..4).for_each(|kind| free[kind] -= amounts[kind]);
    Some(Reservation { job, worker, at, spare: free })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::board::{Device, Job, Seat, Wanted};

    fn job(class: usize, seconds: u64) -> Job {
        Job::plain(class, seconds * 1000)
    }

    /// Workers with two GPUs each of these models.
    fn board(models: [u32; 2]) -> Board {
        let mut board = Board::default();
        for (worker, model) in models.into_iter().enumerate() {
            let devices = vec![Device { model, left: 1000 }; 2];
            board.set_seat(worker, Seat { devices, ..Seat::plain([4, 4, 4, 2000]) });
        }
        board
    }

    #[test]
    fn no_room_is_kept_where_the_devices_are_of_another_model() {
        let mut board = board([0, 1]);
        let class = board.class(Wanted { amounts: [1, 1, 1, 2000], model: Some(1), needs: None, wishes: None });
        board.start_new(job(class, 10), 1).unwrap();
        let head = board.wait(job(class, 5));
        let found = Reservation::earliest(&board, Source::Estimate, head, 0..2).unwrap();
        assert_eq!((found.worker, found.at), (1, 10_000), "the idle one has other devices");
    }

    #[test]
    fn parts_of_devices_are_no_whole_ones() {
        let mut board = board([1, 1]);
        let whole = board.class(Wanted { amounts: [1, 1, 1, 1000], model: None, needs: None, wishes: None });
        let most = board.class(Wanted { amounts: [1, 1, 1, 600], model: None, needs: None, wishes: None });
        let half = board.class(Wanted { amounts: [1, 1, 1, 500], model: None, needs: None, wishes: None });
        board.start_new(job(whole, 60), 1).unwrap();
        board.start_new(job(half, 20), 1).unwrap();
        board.start_new(job(most, 40), 0).unwrap();
        board.start_new(job(half, 30), 0).unwrap();
        let head = board.wait(job(whole, 5));
        // 900 of the first worker's 2,000 are left, of neither device all.
        let found = Reservation::earliest(&board, Source::Estimate, head, 0..2).unwrap();
        assert_eq!((found.worker, found.at), (1, 20_000));
        board.remove(2, true);
        assert_eq!(Reservation::earliest(&board, Source::Estimate, head, 0..1).unwrap().at, 0, "one is whole again");
    }
}
