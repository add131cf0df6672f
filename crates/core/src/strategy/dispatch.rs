//! The dispatcher: rules over a line of waiting jobs, kept current by what changes.
//!
//! A round costs what changed: jobs that waited before are tried on workers that have more room than
//! before, new ones on all, and one look rejects all jobs of a class.

use super::among::{Among, Freed};
use super::board::{Amounts, Board, Change, Job};
use super::candidates::Candidates;
use super::line::{Key, Line};
use super::numbers::{STEP, differ};
use super::patience::Patience;
use super::reserve::Reservation;
use super::rules::{Blocked, Rules};
use super::seating::{Choice, Chooser};
use super::shares::Shares;
use std::collections::BTreeSet;

/// On how many workers at most a reservation is looked for.
const RESERVABLE: usize = 128;
/// On how many of those that changed it is looked for again, where there are more.
const CHANGED: usize = 32;

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
    patience: Patience,
    reservation: Option<Reservation>,
    /// Jobs that no worker could ever run.
    outside: BTreeSet<usize>,
    shares: Shares,
    /// Users whose share is another after a start.
    moved: BTreeSet<usize>,
    /// What the keys in the line were made with.
    capacity: Amounts,
    /// What the next round has to look at.
    news: News,
}

/// What a round has to look at.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    pub(super) jobs: Vec<usize>,
    pub(super) workers: Vec<usize>,
    /// A job left: room may have been kept for it.
    left: bool,
    pub(super) all: bool,
}

impl News {
    fn everything() -> Self {
        Self { all: true, ..Self::default() }
    }

    const fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.workers.is_empty() && !self.left && !self.all
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
            patience: Patience::default(),
            reservation: None,
            outside: BTreeSet::new(),
            shares: Shares::new(rules.fair_share),
            moved: BTreeSet::new(),
            capacity: [0; 4],
            news: News::default(),
        }
    }

    /// Its rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// One round: starts what it can, at most so many.
    pub fn round(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        self.listen(board);
        self.go(board, most)
    }

    /// The job that others wait behind since the last round.
    pub(super) fn ahead(&self) -> Option<usize> {
        match self.rules.blocked {
            Blocked::Waits => self.line.first(),
            Blocked::Passed | Blocked::Reserved => self.reservation.map(|reservation| reservation.job),
        }
    }

    /// How many jobs wait that some worker could run.
    pub(super) const fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Whether some of them would rather have one worker than another.
    pub(super) fn has_wishes(&self, board: &Board) -> bool {
        self.line.heads().any(|(.., class)| board.has_wishes(class))
    }

    /// These jobs, in no order.
    pub(super) fn each(&self) -> impl Iterator<Item = usize> {
        self.line.each()
    }

    /// These jobs behind a place, or all, in order.
    pub(super) fn rising(&self, after: Option<Key>) -> impl Iterator<Item = (Key, usize)> {
        self.line.rising(after)
    }

    /// Takes in what changed: the next round looks at it.
    pub(super) fn listen(&mut self, board: &mut Board) {
        self.hear(board);
        self.lose_patience(board);
    }

    /// Whether something changed that no round looked at.
    pub(super) const fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Somebody else decides about what changed.
    pub(super) fn skip_news(&mut self) {
        self.news = News::default();
    }

    /// The next round looks at everything: somebody else decided so far.
    pub(super) fn look_at_all(&mut self) {
        self.news = News::everything();
    }

    /// Starts what it can, at most so many.
    pub(super) fn go(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        let mut news = std::mem::take(&mut self.news);
        let mut starts = Vec::new();
        self.chooser.begin_round();
        self.heads(board, most, &mut starts);
        if self.rules.blocked != Blocked::Waits {
            if starts.len() < most {
                self.reserve(board, &mut news);
                self.fill(board, &news, most, &mut starts);
            }
            // Of a full round: there may be more that has room.
            self.news.all = starts.len() >= most;
        }
        starts
    }

    fn hear(&mut self, board: &mut Board) {
        let changes = board.take_changes();
        if changes.first() == Some(&Change::Anew)
            || (0..4).any(|kind| differ(self.capacity[kind], board.capacity()[kind]))
        {
            self.begin_anew(board);
            return self.look_at_all();
        }
        let mut reshaped = false;
        for change in changes {
            match change {
                Change::Waits(job) => {
                    self.take_in(board, job);
                    self.news.jobs.push(job);
                }
                Change::Left(job) => {
                    self.let_go(job);
                    self.news.left = true;
                }
                Change::Freed(worker) => self.news.workers.push(worker),
                Change::Reshaped | Change::Anew => reshaped = true,
            }
        }
        self.put_elsewhere(board);
        if reshaped {
            self.reshape(board);
            return self.look_at_all();
        }
        self.news.jobs.retain(|job| self.line.key(*job).is_some());
    }

    /// Takes in every job that waits, and none else.
    fn begin_anew(&mut self, board: &Board) {
        self.capacity = *board.capacity();
        self.outside.clear();
        self.moved.clear();
        self.patience = Patience::default();
        self.reservation = None;
        self.shares.forget_jobs();
        let mut known = Vec::with_capacity(board.waiting());
        for number in board.each_waiting() {
            if let Some((class, key)) = self.told(board, number) {
                known.push((number, class, key));
            }
        }
        self.line = Line::of(known);
    }

    /// Takes in that workers came, went, or offer amounts that are not much other than before.
    fn reshape(&mut self, board: &Board) {
        let closed = self.line.heads().filter(|(.., class)| !board.classes()[*class].possible);
        let closed: Vec<usize> = closed.map(|(.., class)| class).collect();
        let closed = closed.into_iter().flat_map(|class| self.line.of_class(class)).collect::<Vec<_>>();
        let outside = self.outside.iter().copied().filter(|job| board.classes()[board.job(*job).class].possible);
        for job in outside.chain(closed).collect::<Vec<_>>() {
            self.take_in(board, job);
        }
    }

    fn take_in(&mut self, board: &Board, number: usize) {
        self.let_go(number);
        if let Some((class, key)) = self.told(board, number) {
            self.line.put(number, class, key);
        }
    }

    /// Notes a job everywhere but in the line; answers where in the line, if anywhere.
    fn told(&mut self, board: &Board, number: usize) -> Option<(usize, Key)> {
        let job = board.job(number);
        if !board.classes()[job.class].possible {
            self.outside.insert(number);
            return None;
        }
        self.shares.waits(job.user, number);
        if let Some(until) = self.rules.patient_until(&job) {
            self.patience.put(until, number);
        }
        Some((job.class, self.key(board, &job)))
    }

    fn key(&self, board: &Board, job: &Job) -> Key {
        Key::of(self.rules.size(board, job) * self.shares.factor(job.user), job.order)
    }

    /// A job of the line was started, here or by a plan.
    pub(super) fn started(&mut self, board: &Board, number: usize) {
        self.let_go(number);
        let job = board.job(number);
        let length = self.rules.source.length(&job).mean;
        let work = board.classes()[job.class].share * std::time::Duration::from_millis(length).as_secs_f64();
        self.moved.extend(self.shares.given(job.user, work, board.now()));
    }

    /// Puts the jobs of users whose share is another elsewhere: between rounds, since in one whoever went to a place
    /// that was looked at already would not be looked at.
    fn put_elsewhere(&mut self, board: &Board) {
        for user in std::mem::take(&mut self.moved) {
            for number in self.shares.of(user).collect::<Vec<_>>() {
                let Some(before) = self.line.key(number).filter(|key| !key.is_promoted()) else { continue };
                let job = board.job(number);
                let key = self.key(board, &job);
                if key != before {
                    self.line.put(number, job.class, key);
                }
            }
        }
    }

    fn let_go(&mut self, job: usize) {
        if self.line.remove(job) {
            self.shares.leaves(job);
        } else {
            self.outside.remove(&job);
        }
    }

    /// Puts jobs that waited too long before all others.
    fn lose_patience(&mut self, board: &Board) {
        while let Some((until, number)) = self.patience.take_over(board.now()) {
            if counts(&self.rules, &self.line, board, until, number) {
                let job = board.job(number);
                self.line.put(number, job.class, Key::promoted(until, job.order));
                self.news.jobs.push(number);
            }
        }
        if self.patience.swollen(self.line.len()) {
            let (rules, line) = (&self.rules, &self.line);
            self.patience.sweep(|until, number| counts(rules, line, board, until, number));
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

    /// Starts a job beside what is kept for another.
    fn take(&mut self, board: &mut Board, job: usize, (worker, end): (usize, u64), starts: &mut Vec<Started>) {
        let amounts = board.classes()[board.job(job).class].amounts;
        self.start(board, job, worker, starts);
        if let Some(reservation) = &mut self.reservation {
            reservation.started(worker, end, &amounts);
        }
    }

    /// Starts what has room of these waiting jobs, in this order, at most so many; room is kept for the first that has
    /// none.
    pub(super) fn follow(
        &mut self,
        board: &mut Board,
        order: impl Iterator<Item = usize>,
        most: usize,
    ) -> Vec<Started> {
        self.skip_news();
        self.chooser.begin_round();
        self.reservation = None;
        let (mut starts, mut full) = (Vec::new(), BTreeSet::new());
        for job in order {
            let class = board.job(job).class;
            if full.contains(&class) {
                continue;
            }
            if starts.len() >= most {
                self.look_at_all();
                break;
            }
            match self.choose(board, job, &Among::All) {
                (Choice::Take(worker), end) => self.take(board, job, (worker, end), &mut starts),
                (Choice::Kept, _) => {}
                (Choice::Full, _) => {
                    full.insert(class);
                    self.reservation = self.reservation.or_else(|| self.earliest(board, job, None, &[]));
                }
            }
        }
        starts
    }

    /// Starts the first of the line while it has room.
    fn heads(&mut self, board: &mut Board, most: usize, starts: &mut Vec<Started>) {
        while starts.len() < most
            && let Some(job) = self.line.first()
            && let Choice::Take(worker) = self.chooser.choose(board, &board.job(job), &Among::All, |_| true)
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
            self.earliest(board, head, known, &news.workers)
        });
        let part = |reservation: &Reservation| (reservation.job, reservation.worker, reservation.at);
        if before.as_ref().map(part) != self.reservation.as_ref().map(part) {
            news.workers.extend(before.iter().chain(&self.reservation).map(|reservation| reservation.worker));
        }
    }

    /// The earliest reservation of a job. On large clusters: on a sample of the workers, or, where one
    /// is known, there and on a sample of those that changed since.
    fn earliest(
        &self,
        board: &Board,
        head: usize,
        known: Option<Reservation>,
        changed: &[usize],
    ) -> Option<Reservation> {
        let (source, count) = (self.rules.source, board.seats().len());
        if let Some(known) = known.filter(|_| count > RESERVABLE) {
            let step = changed.len().div_ceil(CHANGED).max(1);
            let changed = changed.iter().copied().step_by(step).chain([known.worker]);
            return Reservation::earliest(board, source, head, changed);
        }
        let class = board.job(head).class;
        let step = if count.is_multiple_of(STEP) { 1 } else { STEP };
        let spread = (0..count).map(|at| (head + at * step) % count);
        let sample = spread.filter(|worker| board.could_ever(class, *worker)).take(RESERVABLE);
        Reservation::earliest(board, source, head, sample)
    }

    /// Starts whatever may start, in order.
    fn fill(&mut self, board: &mut Board, news: &News, most: usize, starts: &mut Vec<Started>) {
        let open = news.workers.iter().copied().filter(|worker| board.seats()[*worker].open);
        let mut freed = Freed::of(board, open.collect());
        let mut candidates = Candidates::of(&self.line, board, news, &freed);
        while starts.len() < most
            && let Some(candidate) = candidates.next(&self.line)
        {
            let job = candidate.job;
            if self.reservation.is_some_and(|reservation| reservation.job == job) {
                candidates.go_on(&self.line, candidate);
                continue;
            }
            let among = if candidate.everywhere { Among::All } else { Among::Freed(&freed) };
            match self.choose(board, job, &among) {
                (Choice::Take(worker), end) => {
                    self.take(board, job, (worker, end), starts);
                    freed.started(board, worker);
                    candidates.go_on_afresh(&self.line, candidate);
                }
                (Choice::Kept, _) => candidates.go_on(&self.line, candidate),
                (Choice::Full, _) => {}
            }
        }
    }

    /// A worker for a job, and when it would end there.
    fn choose(&mut self, board: &Board, number: usize, among: &Among<'_>) -> (Choice, u64) {
        let job = board.job(number);
        let end = board.now().saturating_add(self.rules.source.length(&job).upper);
        let amounts = &board.classes()[job.class].amounts;
        let reservation = self.reservation;
        let allowed = |worker| reservation.is_none_or(|reservation| reservation.allows(worker, end, amounts));
        (self.chooser.choose(board, &job, among, allowed), end)
    }
}

/// Whether a job's patience that was put in still counts: it waits in its turn, and this is its time.
fn counts(rules: &Rules, line: &Line, board: &Board, until: u64, number: usize) -> bool {
    line.key(number).is_some_and(|key| !key.is_promoted()) && rules.patient_until(&board.job(number)) == Some(until)
}
