//! Which of the workers with room is taken.

use super::among::Among;
use super::board::{Amounts, Board, Job, Seat};
use super::numbers::STEP;
use super::rules::Seating;

/// How many workers with room are compared at most: exact on small clusters, a sample on large ones
/// (the power of few choices; Mitzenmacher, TPDS'01).
const COMPARED: usize = 64;
/// How many on clusters with more workers than are compared on small ones.
const SAMPLE: usize = 6;

/// How far from the first that has room the others of a sample are looked for: where few have room,
/// to look for more costs a look at all.
const NEAR: usize = 256;

/// Chooses workers; remembers where it was, and for the time of a round what had no room.
#[derive(Clone, Debug)]
pub(super) struct Chooser {
    seating: Seating,
    /// Where the next search begins, for `Turn` and for samples.
    turn: usize,
    round: u64,
    /// By class: of all workers, and of those with more room than before.
    all: Vec<Memo>,
    some: Vec<Memo>,
}

/// What was found for a class in a round, in which room only shrinks: kin that start take some, and make workers near
/// them liked less.
#[derive(Clone, Copy, Debug, Default)]
struct Memo {
    round: u64,
    /// None before this one has room.
    first: usize,
    /// No other has room, and it was not allowed for a job of the class.
    alone: bool,
    /// None that has room is liked more, where jobs of the class have wishes and it was found out.
    liking: Option<i32>,
}

/// What became of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This worker.
    Take(usize),
    /// Those that have room are not allowed for this job; for one of its class they may be.
    Kept,
    /// None has room.
    Full,
}

impl Chooser {
    pub(super) const fn new(seating: Seating) -> Self {
        Self { seating, turn: 0, round: 0, all: Vec::new(), some: Vec::new() }
    }

    /// Another round begins: anything may have room again.
    pub(super) const fn begin_round(&mut self) {
        self.round += 1;
    }

    /// The best of the workers that have room and are allowed. `allowed` refuses few: those of the reservation.
    pub(super) fn choose(
        &mut self,
        board: &Board,
        job: &Job,
        among: &Among<'_>,
        allowed: impl Fn(usize) -> bool,
    ) -> Choice {
        let (round, class) = (self.round, job.class);
        let memo = self.memo(among, class);
        if memo.round != round {
            *memo = Memo { round, ..Memo::default() };
        }
        let Some(first) = among.next(board, class, memo.first) else {
            memo.first = among.len(board);
            return Choice::Full;
        };
        if memo.first != first {
            *memo = Memo { round, first, alone: false, liking: memo.liking };
        }
        let found = if memo.alone {
            Some(first)
        } else if board.has_wishes(class) {
            self.search_liked(board, job, among, first, &allowed)
        } else {
            self.search(board, job, among, first, &allowed)
        };
        match found.filter(|place| allowed(among.worker(*place))) {
            Some(place) => {
                let worker = among.worker(place);
                self.turn = if self.seating == Seating::Turn { worker + 1 } else { self.turn };
                Choice::Take(worker)
            }
            None => {
                // Where others have room, too, each may be allowed for the next.
                self.memo(among, class).alone = among.next(board, class, first + 1).is_none();
                Choice::Kept
            }
        }
    }

    fn memo(&mut self, among: &Among<'_>, class: usize) -> &mut Memo {
        let memos = if among.is_all() { &mut self.all } else { &mut self.some };
        if memos.len() <= class {
            memos.resize(class + 1, Memo::default());
        }
        &mut memos[class]
    }

    /// The place of the best of those that the job likes most, whatever else speaks for others.
    fn search_liked(
        &mut self,
        board: &Board,
        job: &Job,
        among: &Among<'_>,
        first: usize,
        allowed: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let class = job.class;
        let known = self.memo(among, class).liking;
        // Of all with room, and of those that are allowed.
        let (mut of_all, mut most): (Option<i32>, Option<i32>) = (None, None);
        for worker in among.fitting(board, class, first).map(|place| among.worker(place)) {
            let liking = Some(board.liking(class, worker));
            of_all = of_all.max(liking);
            if allowed(worker) {
                most = most.max(liking);
            }
            if most.is_some() && most == known {
                break;
            }
        }
        if most.is_none() || most != known {
            self.memo(among, class).liking = of_all;
        }
        let most = most?;
        self.search(board, job, among, first, |worker| board.liking(class, worker) == most && allowed(worker))
    }

    /// The place of the best, where `first` is the first with room.
    fn search(
        &mut self,
        board: &Board,
        job: &Job,
        among: &Among<'_>,
        first: usize,
        allowed: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let class = job.class;
        let mut room = among.fitting(board, class, first).filter(|place| allowed(among.worker(*place)));
        match self.seating {
            Seating::First => room.next(),
            Seating::Turn => self.around(board, class, among, among.place_of(self.turn), first, &allowed),
            Seating::Best | Seating::Level | Seating::Alike | Seating::Weighed { .. } => {
                if board.seats().len() <= COMPARED {
                    return self.best(board, job, among, room);
                }
                let from = self.sample(among.len(board));
                let first = self.around(board, class, among, from, first, &allowed)?;
                let near = among.fitting(board, class, first).take_while(|place| *place < first + NEAR);
                self.best(board, job, among, near.filter(|place| allowed(among.worker(*place))).take(SAMPLE))
            }
        }
    }

    /// The first allowed place from `from` on, or else from the first with room.
    fn around(
        &self,
        board: &Board,
        class: usize,
        among: &Among<'_>,
        from: usize,
        first: usize,
        allowed: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let before = among.fitting(board, class, first).take_while(|place| *place < from);
        among.fitting(board, class, from.max(first)).chain(before).find(|place| allowed(among.worker(*place)))
    }

    /// Where a sample begins: samples that follow each other begin far apart.
    const fn sample(&mut self, count: usize) -> usize {
        self.turn = self.turn.wrapping_add(STEP);
        self.turn % count
    }

    /// The one that least speaks against; of equal ones the first that has the inputs, then the image, or else the first.
    fn best(&self, board: &Board, job: &Job, among: &Among<'_>, room: impl Iterator<Item = usize>) -> Option<usize> {
        let demand = &board.classes()[job.class].amounts;
        let costs = room.map(|place| {
            let seat = &board.seats()[among.worker(place)];
            (cost(self.seating, seat, demand), seat.lately.lacks(job.image, job.data), place)
        });
        costs.min_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)))).map(|(.., place)| place)
    }
}

/// What speaks against a worker: less is better.
#[must_use]
#[allow(clippy::cast_precision_loss)] // amounts far below 2^53, only compared
pub(super) fn cost(seating: Seating, seat: &Seat, demand: &Amounts) -> f64 {
    // What a worker has none of counts neither for nor against it.
    let parts = |amounts: [u64; 4]| {
        let mut parts = [0.0; 4];
        for kind in 0..4 {
            parts[kind] = if seat.total[kind] > 0 { amounts[kind] as f64 / seat.total[kind] as f64 } else { 0.0 };
        }
        parts
    };
    let left = || parts(std::array::from_fn(|kind| seat.free[kind].saturating_sub(demand[kind])));
    let rest = || left().iter().sum::<f64>();
    let level = || {
        let left = left();
        (0..4).filter(|kind| seat.total[*kind] > 0).map(|kind| 1.0 - left[kind]).fold(0.0, f64::max)
    };
    let alike = || {
        let (free, wanted) = (parts(seat.free), parts(*demand));
        -(0..4).map(|kind| free[kind] * wanted[kind]).sum::<f64>()
    };
    match seating {
        Seating::First | Seating::Turn => 0.0,
        Seating::Best => rest(),
        Seating::Level => level(),
        Seating::Alike => alike(),
        Seating::Weighed { level: of_level, alike: of_alike, best } => {
            let packing = if best == 0.0 { 0.0 } else { best * rest() };
            of_level * level() + of_alike * alike() + packing
        }
    }
}
