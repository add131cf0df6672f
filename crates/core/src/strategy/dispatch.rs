//! The dispatcher: rules over a line of waiting jobs, kept current by what changes.
//!
//! A round costs what changed: jobs that waited before are tried on workers that have more room than
//! before, new ones on all, and one look rejects all jobs of a class.

mod gang;

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
use gang::{Together, is_gang};
use std::collections::{BTreeMap, BTreeSet};

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
            Blocked::Passed | Blocked::Reserved => self.reservation.as_ref().map(|reservation| reservation.job),
        }
    }

    /// How many jobs wait that some worker could run.
    pub(super) const fn waiting(&self) -> usize {
        self.line.len()
    }

    /// Whether some of them would rather have one worker than another, may not be beside each other, or take one thing or
    /// else another.
    pub(super) fn has_choices(&self, board: &Board) -> bool {
        self.line.heads().any(|(.., class)| {
            board.has_wishes(class) || board.has_kin(class) || board.has_choice(class) || is_gang(board, class)
        })
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
        let mut more = self.heads(board, most, &mut starts);
        if self.rules.blocked != Blocked::Waits {
            if !more && starts.len() < most {
                self.reserve(board, &mut news);
                more = self.fill(board, &news, most, &mut starts);
            }
            // Of a full round: there may be more that has room.
            self.news.all = more || starts.len() >= most;
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
        let (mut reshaped, mut gangs) = (false, BTreeSet::new());
        let gang = |class: &usize| board.classes()[*class].gang.is_some();
        for change in changes {
            match change {
                Change::Waits(job) => {
                    let class = board.job(job).class;
                    if gang(&class) {
                        gangs.insert(class);
                    } else {
                        self.take_in(board, job);
                    }
                    self.news.jobs.push(job);
                }
                Change::Left(job) => {
                    gangs.extend(self.line.class(job).filter(gang));
                    self.let_go(job);
                    self.news.left = true;
                }
                Change::Freed(worker) => self.news.workers.push(worker),
                Change::Reshaped | Change::Anew => reshaped = true,
            }
        }
        gangs.into_iter().for_each(|class| self.gather(board, class));
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
        let mut gangs = BTreeMap::new();
        for number in board.each_waiting() {
            let class = board.job(number).class;
            let is_gang = board.classes()[class].gang.is_some();
            if is_gang && !*gangs.entry(class).or_insert_with(|| board.is_ready(class)) {
                continue;
            }
            if let Some((class, key)) = self.told(board, number) {
                known.push((number, class, key));
            }
        }
        self.line = Line::of(known);
    }

    /// Takes in that workers came, went, or offer amounts that are not much other than before.
    fn reshape(&mut self, board: &Board) {
        let closed = self.line.heads().filter(|(.., class)| !board.possible(*class));
        let closed = closed.filter(|(.., class)| board.classes()[*class].gang.is_none());
        let closed: Vec<usize> = closed.map(|(.., class)| class).collect();
        let closed = closed.into_iter().flat_map(|class| self.line.of_class(class)).collect::<Vec<_>>();
        let outside = self.outside.iter().copied().filter(|job| board.possible(board.job(*job).class));
        for job in outside.chain(closed).collect::<Vec<_>>() {
            self.take_in(board, job);
        }
        self.gather_all(board);
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
        if !board.possible(job.class) {
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
        let work = board.classes()[board.held(number)].share * std::time::Duration::from_millis(length).as_secs_f64();
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
        self.start(board, job, worker, starts);
        let amounts = board.classes()[board.held(job)].amounts;
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
            if is_gang(board, class) {
                full.insert(class);
                match self.start_gang(board, class, true, most, &mut starts) {
                    Together::Waits if self.reservation.is_none() => {
                        self.reservation = self.earliest(board, job, None, &[]);
                    }
                    Together::Waits | Together::Started => {}
                    Together::Later => self.look_at_all(),
                }
                continue;
            }
            match self.choose(board, job, &Among::All) {
                (Choice::Take(worker), end) => self.take(board, job, (worker, end), &mut starts),
                (Choice::Kept, _) => {}
                (Choice::Full, _) => {
                    full.insert(class);
                    if self.reservation.is_none() {
                        self.reservation = self.earliest(board, job, None, &[]);
                    }
                }
            }
        }
        starts
    }

    /// Starts the first of the line while it has room; answers whether one may have room of which there are too many for
    /// this round.
    fn heads(&mut self, board: &mut Board, most: usize, starts: &mut Vec<Started>) -> bool {
        while starts.len() < most
            && let Some(number) = self.line.first()
        {
            let job = board.job(number);
            if is_gang(board, job.class) {
                match self.start_gang(board, job.class, false, most, starts) {
                    Together::Started => continue,
                    Together::Waits => return false,
                    Together::Later => return true,
                }
            }
            let choice = first_choice(&mut self.chooser, board, &job, &Among::All, |_, _| true);
            let Choice::Take(worker) = choice else { return false };
            self.start(board, number, worker, starts);
        }
        false
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
            let known = before.as_ref().filter(|before| before.job == head);
            self.earliest(board, head, known, &news.workers)
        });
        let same = match (&before, &self.reservation) {
            (Some(before), Some(now)) => before.is_like(now),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !same {
            news.workers.extend(before.iter().chain(&self.reservation).flat_map(Reservation::workers));
        }
    }

    /// The earliest reservation of a job. On large clusters: on a sample of the workers, or, where one
    /// is known, there and on a sample of those that changed since.
    fn earliest(
        &self,
        board: &Board,
        head: usize,
        known: Option<&Reservation>,
        changed: &[usize],
    ) -> Option<Reservation> {
        let (source, count, class) = (self.rules.source, board.seats().len(), board.job(head).class);
        let size = board.gang_size(class).filter(|_| is_gang(board, class));
        // Of what it would take the first that comes earliest.
        let of_chain =
            |of: &dyn Fn(usize) -> Option<Reservation>| board.chain(class).filter_map(of).min_by_key(|found| found.at);
        if let Some(known) = known.filter(|_| count > RESERVABLE) {
            let step = changed.len().div_ceil(CHANGED).max(1);
            let changed: Vec<usize> = changed.iter().copied().step_by(step).chain(known.workers()).collect();
            let changed = || changed.iter().copied();
            let Some(size) = size else {
                return of_chain(&|class| Reservation::earliest(board, source, (head, class), changed()));
            };
            if let Some(found) = Reservation::of_gang(board, source, (head, size), changed()) {
                return Some(found);
            }
        }
        let step = if count.is_multiple_of(STEP) { 1 } else { STEP };
        let able = |class| {
            let spread = (0..count).map(move |at| (head + at * step) % count);
            spread.filter(move |worker| board.could_ever(class, *worker))
        };
        match size {
            None => {
                of_chain(&|class| Reservation::earliest(board, source, (head, class), able(class).take(RESERVABLE)))
            }
            // There are enough for it among so many, as each has room for one.
            Some(size) => Reservation::of_gang(board, source, (head, size), able(class).take(RESERVABLE.max(2 * size))),
        }
    }

    /// Starts whatever may start, in order; answers whether something may have room of which there are too many for this
    /// round.
    fn fill(&mut self, board: &mut Board, news: &News, most: usize, starts: &mut Vec<Started>) -> bool {
        let first = self.reservation.as_ref().map(|reservation| reservation.job);
        // Gangs are looked at once: that for which room is kept was.
        let gang = first.map(|first| board.job(first).class).filter(|class| is_gang(board, *class));
        let (mut seen, mut more): (BTreeSet<usize>, bool) = (gang.into_iter().collect(), false);
        let open = news.workers.iter().copied().filter(|worker| board.seats()[*worker].open);
        let mut freed = Freed::of(board, open.collect());
        let mut candidates = Candidates::of(&self.line, board, news, &freed);
        while starts.len() < most
            && let Some(candidate) = candidates.next(&self.line)
        {
            let job = candidate.job;
            if is_gang(board, candidate.class) {
                let before = starts.len();
                if seen.insert(candidate.class) {
                    more |= self.start_gang(board, candidate.class, true, most, starts) == Together::Later;
                }
                starts[before..].iter().for_each(|start| freed.started(board, start.worker));
                continue;
            }
            if first == Some(job) {
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
        more
    }

    /// A worker for a job, and when it would end there.
    fn choose(&mut self, board: &Board, number: usize, among: &Among<'_>) -> (Choice, u64) {
        let job = board.job(number);
        let end = board.now().saturating_add(self.rules.source.length(&job).upper);
        let reservation = self.reservation.as_ref();
        let allowed = |worker: usize, amounts: &Amounts| {
            reservation.is_none_or(|reservation| reservation.allows(worker, end, amounts))
        };
        (first_choice(&mut self.chooser, board, &job, among, allowed), end)
    }
}

/// A worker for the first of what a job would take that has room anywhere. Room that is kept for another is none;
/// but nothing else is taken there, since what is started takes the first that fits.
fn first_choice(
    chooser: &mut Chooser,
    board: &Board,
    job: &Job,
    among: &Among<'_>,
    allowed: impl Fn(usize, &Amounts) -> bool,
) -> Choice {
    let mut found = Choice::Full;
    let mut refused: Vec<Amounts> = Vec::new();
    for class in board.chain(job.class) {
        let amounts = board.classes()[class].amounts;
        let job = Job { class, ..*job };
        let here = |worker| allowed(worker, &amounts) && refused.iter().all(|before| allowed(worker, before));
        match chooser.choose(board, &job, among, here) {
            Choice::Take(worker) => return Choice::Take(worker),
            Choice::Kept => {
                found = Choice::Kept;
                refused.push(amounts);
            }
            Choice::Full => {}
        }
    }
    found
}

/// Whether a job's patience that was put in still counts: it waits in its turn, and this is its time.
fn counts(rules: &Rules, line: &Line, board: &Board, until: u64, number: usize) -> bool {
    line.key(number).is_some_and(|key| !key.is_promoted()) && rules.patient_until(&board.job(number)) == Some(until)
}
