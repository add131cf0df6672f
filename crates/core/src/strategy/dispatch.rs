//! The dispatcher: rules over a line of waiting jobs, kept current by what changes.
//!
//! A round costs what changed: jobs that waited before are tried on workers that have more room than
//! before, new ones on all, and one look rejects all jobs of a class.

use super::board::{Amounts, Board, Change, covers, larger};
use super::line::{Key, Line};
use super::reserve::Reservation;
use super::rules::{Blocked, Order, Rules};
use super::seating::Chooser;
use super::shares::Shares;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// How many jobs of a class are looked at in a round behind one that has room and may not start.
const LOOKS: usize = 1000;
/// On how many workers at most a reservation is looked for.
const RESERVABLE: usize = 128;

/// A start that a round decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Which job.
    pub job: usize,
    /// Where.
    pub worker: usize,
}

/// A dispatcher.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    rules: Rules,
    line: Line,
    chooser: Chooser,
    /// When jobs will have waited too long.
    patience: BTreeSet<(u64, usize)>,
    patient_until: Vec<u64>,
    reservation: Option<Reservation>,
    /// Jobs that no worker could ever run.
    outside: BTreeSet<usize>,
    shares: Shares,
}

/// What a round has to look at.
#[derive(Debug, Default)]
pub(super) struct News {
    jobs: Vec<usize>,
    workers: BTreeSet<usize>,
    all: bool,
}

impl News {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.workers.is_empty() && !self.all
    }
}

impl Dispatcher {
    /// One that saw nothing yet: the board must tell everything again.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            line: Line::default(),
            chooser: Chooser::new(rules.seating),
            patience: BTreeSet::new(),
            patient_until: Vec::new(),
            reservation: None,
            outside: BTreeSet::new(),
            shares: Shares::new(rules.fair_share),
        }
    }

    /// Its rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// One round: starts what it can, at most so many.
    pub fn round(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        let news = self.listen(board);
        self.go(board, news, most)
    }

    /// How many jobs wait that some worker could run.
    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// These jobs, in order.
    pub(super) fn jobs(&self) -> impl Iterator<Item = usize> {
        self.line.jobs()
    }

    /// Takes in what changed.
    pub(super) fn listen(&mut self, board: &mut Board) -> News {
        let mut news = self.hear(board);
        self.lose_patience(board, &mut news);
        news
    }

    /// Starts what it can, at most so many.
    pub(super) fn go(&mut self, board: &mut Board, mut news: News, most: usize) -> Vec<Started> {
        let mut starts = Vec::new();
        match self.rules.blocked {
            Blocked::Waits => self.heads(board, most, &mut starts),
            Blocked::Passed | Blocked::Reserved => {
                self.heads(board, most, &mut starts);
                self.reserve(board, &mut news);
                self.fill(board, &news, most, &mut starts);
            }
        }
        starts
    }

    fn hear(&mut self, board: &mut Board) -> News {
        let mut news = News::default();
        for change in board.take_changes() {
            match change {
                Change::Waits(job) => {
                    self.take_in(board, job);
                    news.jobs.push(job);
                }
                Change::Left(job) => self.let_go(job),
                Change::Freed(worker) => drop(news.workers.insert(worker)),
                Change::Reshaped => news.all = true,
            }
        }
        if news.all {
            let known: Vec<usize> = self.line.jobs().chain(self.outside.iter().copied()).collect();
            for job in known {
                if !board.waits(job) {
                    self.let_go(job); // everything was numbered anew: this number means nothing now
                    continue;
                }
                let key = self.line.key(job).filter(|key| key.is_promoted());
                self.take_in(board, job);
                if let Some(key) = key.filter(|_| self.line.key(job).is_some()) {
                    self.line.put(job, board.job(job).class, key);
                }
            }
        }
        news.jobs.retain(|job| self.line.key(*job).is_some());
        news
    }

    fn take_in(&mut self, board: &Board, number: usize) {
        self.let_go(number);
        let job = board.job(number);
        if !board.classes()[job.class].possible {
            self.outside.insert(number);
            return;
        }
        self.shares.waits(job.user, number);
        self.line.put(number, job.class, self.key(board, number));
        if let Some(until) = self.rules.patient_until(job) {
            if self.patient_until.len() <= number {
                self.patient_until.resize(number + 1, 0);
            }
            self.patient_until[number] = until;
            self.patience.insert((until, number));
        }
    }

    fn key(&self, board: &Board, number: usize) -> Key {
        let job = board.job(number);
        Key::of(self.rules.size(board, job) * self.shares.factor(job.user), job.order)
    }

    /// A job of the line was started, here or by a plan.
    pub(super) fn started(&mut self, board: &Board, number: usize) {
        self.let_go(number);
        let job = board.job(number);
        let length = self.rules.source.length(job).mean;
        let work = board.classes()[job.class].share * std::time::Duration::from_millis(length).as_secs_f64();
        let Some(user) = self.shares.given(job.user, work, board.now()) else { return };
        let others: Vec<usize> = self.shares.of(user).collect();
        for other in others {
            if self.line.key(other).is_some_and(|key| !key.is_promoted()) {
                self.line.put(other, board.job(other).class, self.key(board, other));
            }
        }
    }

    fn let_go(&mut self, job: usize) {
        self.shares.leaves(job);
        self.line.remove(job);
        self.outside.remove(&job);
        if let Some(until) = self.patient_until.get(job) {
            self.patience.remove(&(*until, job));
        }
    }

    /// Puts jobs that waited too long before all others.
    fn lose_patience(&mut self, board: &Board, news: &mut News) {
        while let Some((until, job)) = self.patience.first().copied().filter(|(until, _)| *until <= board.now()) {
            self.patience.remove(&(until, job));
            let known = board.job(job);
            self.line.put(job, known.class, Key::promoted(until, known.order));
            news.jobs.push(job);
        }
    }

    fn start(&mut self, board: &mut Board, job: usize, worker: usize, starts: &mut Vec<Started>) {
        if board.start(job, worker) {
            self.started(board, job);
            starts.push(Started { job, worker });
        } else {
            self.let_go(job); // it waits no more: never look at it again, or a round would not end
        }
    }

    /// Starts the first of the line while it has room.
    fn heads(&mut self, board: &mut Board, most: usize, starts: &mut Vec<Started>) {
        while starts.len() < most
            && let Some(job) = self.line.first()
            && let Some(worker) = self.chooser.of_all(board, board.job(job).class, |_| true)
        {
            self.start(board, job, worker, starts);
        }
    }

    /// Renews the reservation of the head, where one is kept; workers whose part in it changed are
    /// looked at again.
    fn reserve(&mut self, board: &Board, news: &mut News) {
        // Where everything is new its worker's number may mean another, or none.
        let before = self.reservation.take().filter(|_| !news.all);
        let waited_too_long = |head: &usize| self.line.key(*head).is_some_and(|key| key.is_promoted());
        let keeps_room = |head: &usize| self.rules.blocked == Blocked::Reserved || waited_too_long(head);
        let head = self.line.first().filter(keeps_room);
        self.reservation = head.and_then(|head| {
            let known = before.filter(|before| before.job == head);
            self.earliest(board, head, known.map(|known| news.workers.iter().copied().chain([known.worker])))
        });
        let part = |reservation: &Reservation| (reservation.job, reservation.worker, reservation.at);
        if before.as_ref().map(part) != self.reservation.as_ref().map(part) {
            news.workers.extend(before.iter().chain(&self.reservation).map(|reservation| reservation.worker));
        }
    }

    /// The earliest reservation of a job. On large clusters: on a sample of the workers, or on those
    /// that changed since it was found.
    fn earliest(
        &self,
        board: &Board,
        head: usize,
        changed: Option<impl Iterator<Item = usize>>,
    ) -> Option<Reservation> {
        let (source, count) = (self.rules.source, board.seats().len());
        if let Some(changed) = changed.filter(|_| count > RESERVABLE) {
            return Reservation::earliest(board, source, head, changed);
        }
        let step = count.div_ceil(RESERVABLE).max(1);
        let sample = Reservation::earliest(board, source, head, (head % step..count).step_by(step));
        sample.or_else(|| (step > 1).then(|| Reservation::earliest(board, source, head, 0..count)).flatten())
    }

    /// Starts whatever may start, in order.
    fn fill(&mut self, board: &mut Board, news: &News, most: usize, starts: &mut Vec<Started>) {
        let workers: Vec<usize> = news.workers.iter().copied().filter(|worker| board.seats()[*worker].open).collect();
        let mut candidates = Candidates::of(&self.line, board, news, &workers);
        while starts.len() < most
            && let Some(candidate) = candidates.next(&self.line, board)
        {
            let job = candidate.job;
            if self.reservation.is_some_and(|reservation| reservation.job == job) {
                candidates.go_on(&self.line, candidate);
                continue;
            }
            let Some((worker, end)) = self.worker_for(board, job, (!candidate.everywhere).then_some(&workers[..]))
            else {
                if self.has_room(board, job, (!candidate.everywhere).then_some(&workers[..])) {
                    candidates.go_on(&self.line, candidate);
                }
                continue;
            };
            let amounts = board.classes()[board.job(job).class].amounts;
            self.start(board, job, worker, starts);
            if let Some(reservation) = &mut self.reservation {
                reservation.started(worker, end, &amounts);
            }
            candidates.go_on(&self.line, Candidate { looks: 0, ..candidate });
        }
    }

    /// A worker for a job and when it would end there.
    fn worker_for(&mut self, board: &Board, number: usize, workers: Option<&[usize]>) -> Option<(usize, u64)> {
        let job = board.job(number);
        let end = board.now().saturating_add(self.rules.source.length(job).upper);
        let amounts = &board.classes()[job.class].amounts;
        let reservation = self.reservation;
        let allowed = |worker| reservation.is_none_or(|reservation| reservation.allows(worker, end, amounts));
        let worker = match workers {
            Some(workers) => self.chooser.of_some(board, job.class, workers, allowed),
            None => self.chooser.of_all(board, job.class, allowed),
        };
        worker.map(|worker| (worker, end))
    }

    fn has_room(&self, board: &Board, job: usize, workers: Option<&[usize]>) -> bool {
        let class = board.job(job).class;
        self.reservation.is_some()
            && match workers {
                Some(workers) => workers.iter().any(|worker| board.fits(class, *worker)),
                None => board.next_fit(class, 0).is_some(),
            }
    }
}

/// A job to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    key: Key,
    job: usize,
    /// A new one, which may go anywhere; else the first that is left of its class.
    everywhere: bool,
    class: usize,
    looks: usize,
}

/// The jobs to look at in order.
#[derive(Debug)]
struct Candidates {
    heap: BinaryHeap<Reverse<Candidate>>,
    workers: Option<Vec<usize>>,
}

impl Candidates {
    fn of(line: &Line, board: &Board, news: &News, workers: &[usize]) -> Self {
        let mut heap = Vec::new();
        let everywhere = news.all;
        if !everywhere {
            let new = news.jobs.iter().filter_map(|job| Some((*job, line.key(*job)?)));
            let candidate =
                |(job, key)| Candidate { key, job, everywhere: true, class: board.job(job).class, looks: 0 };
            heap.extend(new.map(candidate).map(Reverse));
        }
        let most = if everywhere { board.most_free() } else { most_free(board, workers) };
        if everywhere || !workers.is_empty() {
            for class in line.active() {
                if covers(&most, &board.classes()[*class].amounts)
                    && let Some((key, job)) = line.of_class(*class, None)
                {
                    heap.push(Reverse(Candidate { key, job, everywhere: false, class: *class, looks: 0 }));
                }
            }
        }
        Self { heap: heap.into(), workers: (!everywhere).then(|| workers.to_vec()) }
    }

    fn next(&mut self, line: &Line, board: &Board) -> Option<Candidate> {
        loop {
            let Reverse(candidate) = self.heap.pop()?;
            if line.key(candidate.job) != Some(candidate.key) {
                self.go_on(line, candidate); // started as a new one meanwhile
                continue;
            }
            let everywhere = candidate.everywhere || self.workers.is_none();
            let room = match &self.workers {
                Some(workers) if !everywhere => workers.iter().any(|worker| board.fits(candidate.class, *worker)),
                Some(_) | None => board.next_fit(candidate.class, 0).is_some(),
            };
            if room {
                return Some(Candidate { everywhere, ..candidate });
            }
        }
    }

    /// Goes on to the next of the class.
    fn go_on(&mut self, line: &Line, candidate: Candidate) {
        let single = candidate.everywhere && self.workers.is_some();
        if single || candidate.looks > LOOKS {
            return;
        }
        if let Some((key, job)) = line.of_class(candidate.class, Some((candidate.key, candidate.job))) {
            self.heap.push(Reverse(Candidate { key, job, looks: candidate.looks + 1, ..candidate }));
        }
    }
}

fn most_free(board: &Board, workers: &[usize]) -> Amounts {
    workers.iter().fold([0; 4], |most, worker| larger(&most, board.free(*worker)))
}

/// First come, first served: what the naive baselines do.
impl Default for Rules {
    fn default() -> Self {
        Self {
            order: Order::Submitted,
            seating: super::rules::Seating::First,
            blocked: Blocked::Waits,
            source: super::rules::Source::Estimate,
            patience: 0.0,
            slack: 0.0,
            fair_share: 0.0,
            patience_floor: 0,
            urgency: 0.0,
        }
    }
}
