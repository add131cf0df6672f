//! Which of the workers with room is taken.

use super::board::{Amounts, Board, Seat};
use super::rules::Seating;

/// How many workers with room are compared at most: exact on small clusters, a sample on large ones
/// (the power of few choices; Mitzenmacher, TPDS'01).
const COMPARED: usize = 64;
/// How many on clusters with more workers than are compared on small ones.
const SAMPLE: usize = 6;

/// How far from the first that has room the others of a sample are looked for: where few have room,
/// to look for more costs a look at all.
const NEAR: usize = 256;

/// Chooses workers; remembers where it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chooser {
    seating: Seating,
    /// Where the next search begins, for `Turn` and for samples.
    turn: usize,
}

impl Chooser {
    pub(super) const fn new(seating: Seating) -> Self {
        Self { seating, turn: 0 }
    }

    /// The best of all workers with room.
    pub(super) fn of_all(&mut self, board: &Board, class: usize, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let workers = board.seats().len();
        match self.seating {
            Seating::First => fitting(board, class, 0).find(|worker| allowed(*worker)),
            Seating::Turn => {
                let from = if self.turn < workers { self.turn } else { 0 };
                let around = fitting(board, class, from).chain(fitting(board, class, 0).take_while(|w| *w < from));
                let found = around.into_iter().find(|worker| allowed(*worker));
                self.turn = found.map_or(self.turn, |worker| worker + 1);
                found
            }
            Seating::Best | Seating::Level | Seating::Alike | Seating::Weighed { .. } if workers <= COMPARED => {
                self.best(board, class, fitting(board, class, 0).filter(|worker| allowed(*worker)))
            }
            Seating::Best | Seating::Level | Seating::Alike | Seating::Weighed { .. } => {
                let from = self.sample(workers);
                let around = fitting(board, class, from).chain(fitting(board, class, 0).take_while(|w| *w < from));
                let first = around.into_iter().find(|worker| allowed(*worker))?;
                let near = fitting(board, class, first).take_while(|worker| *worker < first + NEAR);
                self.best(board, class, near.filter(|worker| allowed(*worker)).take(SAMPLE))
            }
        }
    }

    /// The best of these workers that have room.
    pub(super) fn of_some(
        &mut self,
        board: &Board,
        class: usize,
        workers: &[usize],
        allowed: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut room = workers.iter().copied().filter(|worker| board.fits(class, *worker) && allowed(*worker));
        match self.seating {
            Seating::First => room.min(),
            Seating::Turn => {
                let turn = self.turn;
                let found = room.min_by_key(|worker| (*worker < turn, *worker));
                self.turn = found.map_or(turn, |worker| worker + 1);
                found
            }
            Seating::Best | Seating::Level | Seating::Alike | Seating::Weighed { .. } => {
                self.best(board, class, &mut room)
            }
        }
    }

    /// Where a sample begins: samples that follow each other begin far apart.
    fn sample(&mut self, workers: usize) -> usize {
        self.turn = (self.turn + 7919) % workers;
        self.turn
    }

    fn best(&self, board: &Board, class: usize, room: impl Iterator<Item = usize>) -> Option<usize> {
        let demand = &board.classes()[class].amounts;
        let cost = |worker: usize| cost(self.seating, &board.seats()[worker], demand);
        let costs = room.map(|worker| (cost(worker), worker));
        costs.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).map(|(_, worker)| worker)
    }
}

fn fitting(board: &Board, class: usize, from: usize) -> impl Iterator<Item = usize> {
    let mut next = from;
    std::iter::from_fn(move || {
        let worker = board.next_fit(class, next)?;
        next = worker + 1;
        Some(worker)
    })
}

/// What speaks against a worker: less is better.
#[must_use]
#[allow(clippy::cast_precision_loss)] // amounts far below 2^53, only compared
pub(super) fn cost(seating: Seating, seat: &Seat, demand: &Amounts) -> f64 {
    let part = |amount: u64, kind: usize| amount as f64 / seat.total[kind] as f64;
    let kinds = (0..4).filter(|kind| seat.total[*kind] > 0);
    let left = |kind: usize| part(seat.free[kind].saturating_sub(demand[kind]), kind);
    let rest = || kinds.clone().map(left).sum::<f64>();
    let level = || kinds.clone().map(|kind| 1.0 - left(kind)).fold(0.0, f64::max);
    let alike = || -kinds.clone().map(|kind| part(seat.free[kind], kind) * part(demand[kind], kind)).sum::<f64>();
    match seating {
        Seating::First | Seating::Turn => 0.0,
        Seating::Best => rest(),
        Seating::Level => level(),
        Seating::Alike => alike(),
        Seating::Weighed { level: of_level, alike: of_alike, best } => {
            of_level * level() + of_alike * alike() + best * rest()
        }
    }
}
