//! The workers among which one is chosen: all, or those that have more room than before.

use super::board::{Amounts, Board, Index};

/// Workers that have more room than before, with an index of their own: what waited can only go there.
#[derive(Clone, Debug, Default)]
pub(super) struct Freed {
    /// By their numbers.
    workers: Vec<usize>,
    index: Index,
}

impl Freed {
    /// These, of which each comes once.
    pub(super) fn of(board: &Board, mut workers: Vec<usize>) -> Self {
        workers.sort_unstable();
        workers.dedup();
        let index = Index::of(workers.iter().map(|worker| *board.free(*worker)).collect());
        Self { workers, index }
    }

    /// More than any of them has, resource by resource.
    pub(super) fn most(&self) -> Amounts {
        self.index.most()
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Something was started on a worker.
    pub(super) fn started(&mut self, board: &Board, worker: usize) {
        if let Ok(place) = self.workers.binary_search(&worker) {
            self.index.set(place, *board.free(worker));
        }
    }
}

/// Workers by their places, which are in the order of their numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Among<'a> {
    /// The place is the number.
    All,
    /// The place is one in a list.
    Freed(&'a Freed),
}

impl Among<'_> {
    pub(super) const fn is_all(&self) -> bool {
        matches!(self, Self::All)
    }

    pub(super) fn len(&self, board: &Board) -> usize {
        match self {
            Self::All => board.seats().len(),
            Self::Freed(freed) => freed.workers.len(),
        }
    }

    pub(super) fn worker(&self, place: usize) -> usize {
        match self {
            Self::All => place,
            Self::Freed(freed) => freed.workers[place],
        }
    }

    /// The place of a worker, or of the next that is here.
    pub(super) fn place_of(&self, worker: usize) -> usize {
        match self {
            Self::All => worker,
            Self::Freed(freed) => freed.workers.partition_point(|known| *known < worker),
        }
    }

    /// The first place from `from` on with room for a class.
    pub(super) fn next(&self, board: &Board, class: usize, from: usize) -> Option<usize> {
        let Self::Freed(freed) = self else { return board.next_fit(class, from) };
        let amounts = &board.classes()[class].amounts;
        let mut place = freed.index.next(from, amounts)?;
        while !board.fits(class, freed.workers[place]) {
            place = freed.index.next(place + 1, amounts)?;
        }
        Some(place)
    }

    /// Every place from `from` on with room for a class.
    pub(super) fn fitting(&self, board: &Board, class: usize, from: usize) -> impl Iterator<Item = usize> {
        let mut next = from;
        std::iter::from_fn(move || {
            let place = self.next(board, class, next)?;
            next = place + 1;
            Some(place)
        })
    }
}
