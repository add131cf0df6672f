//! Gangs in a dispatcher: one stands in the line while all of it waits, and starts there as one job does.

use super::{Dispatcher, Started};
use crate::planted::{self, Fault};
use crate::strategy::among::Among;
use crate::strategy::board::Board;
use crate::strategy::seating::Choice;

/// What became of a gang that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Together {
    /// All of it was started.
    Started,
    /// There is no room for all of it.
    Waits,
    /// A round does not start so many more.
    Later,
}

/// Whether jobs of a class start together.
pub(super) fn is_gang(board: &Board, class: usize) -> bool {
    board.classes()[class].gang.is_some() && !planted::is(Fault::SplitGang)
}

impl Dispatcher {
    /// Puts the gang that is a class into the line where it may be placed, else takes it out: one that is not complete
    /// stands in nobody's way.
    pub(super) fn gather(&mut self, board: &Board, class: usize) {
        let ready = board.is_ready(class);
        for job in board.gang_jobs(class).collect::<Vec<_>>() {
            self.let_go(job);
            if ready && let Some((class, key)) = self.told(board, job) {
                self.line.put(job, class, key);
            }
        }
    }

    /// The same of every gang.
    pub(super) fn gather_all(&mut self, board: &Board) {
        let gangs = board.classes().iter().enumerate().filter(|(_, class)| class.gang.is_some());
        gangs.map(|(class, _)| class).for_each(|class| self.gather(board, class));
    }

    /// Starts all of a gang of the line, or nothing of it; `beside` what is kept for another, or where it will.
    pub(super) fn start_gang(
        &mut self,
        board: &mut Board,
        class: usize,
        beside: bool,
        most: usize,
        starts: &mut Vec<Started>,
    ) -> Together {
        let jobs: Vec<usize> = self.line.of_class(class).collect();
        if starts.len() + jobs.len() > most {
            return Together::Later;
        }
        // All of them count as long as the longest.
        let length = |job: &usize| self.rules.source.length(&board.job(*job)).upper;
        let end = board.now().saturating_add(jobs.iter().map(length).max().unwrap_or(0));
        let amounts = board.classes()[class].amounts;
        let kept = self.reservation.as_ref().filter(|_| beside);
        let limit = |worker, most| kept.map_or(most, |kept| kept.room(worker, end, &amounts, most));
        if board.gang_size(class).is_none_or(|size| jobs.len() < size)
            || board.room_together(class, jobs.len(), limit) < jobs.len()
        {
            return Together::Waits;
        }
        let first = starts.len();
        for job in jobs {
            let kept = self.reservation.as_ref().filter(|_| beside);
            let allowed = |worker: usize| kept.is_none_or(|kept| kept.allows(worker, end, &amounts));
            let worker = match self.chooser.choose(board, &board.job(job), &Among::All, allowed) {
                Choice::Take(worker) => Some(worker),
                Choice::Kept | Choice::Full => {
                    (0..board.seats().len()).find(|worker| board.fits(class, *worker) && allowed(*worker))
                }
            };
            match worker {
                Some(worker) if beside => self.take(board, job, (worker, end), starts),
                Some(worker) => self.start(board, job, worker, starts),
                // There is room for all: it was counted.
                None => {
                    starts.drain(first..).for_each(|started| board.take_back(started.job));
                    return Together::Waits;
                }
            }
        }
        starts[first..].iter().for_each(|started| board.gang_is_on(started.worker));
        Together::Started
    }
}
