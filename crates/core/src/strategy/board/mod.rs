//! The problem that strategies solve, in plain numbers: what waits, what is free, what runs until when.
//!
//! The board knows neither ids nor specs. The master's [`View`](super::View) keeps one current from
//! committed rows; the simulator fills one from a trace. Workers, jobs and classes are numbered from
//! 0; a number is used again after its owner is gone. Times are milliseconds; amounts are four
//! numbers of any unit (cpu, memory, storage, gpu), the same for workers and demands.

mod class;
mod closeness;
mod gangs;
mod index;
mod job;
mod kin;
mod lately;
mod meets;
mod room;
mod seat;
mod wishes;

pub use class::{Class, Wanted};
pub use job::{Job, Length};
pub use kin::Distance;
pub use lately::{Data, Image, Lately};
pub use meets::Meets;
pub(super) use seat::so_many;
pub use seat::{Device, Run, Seat};
pub use wishes::Wish;

use super::rules::Source;
use crate::images::Images;
use closeness::Closeness;
pub(super) use index::Index;
use job::{Kept, Place};

/// Cpu, memory, storage, gpu.
pub type Amounts = [u64; 4];

/// What happened to the board since a strategy looked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A job waits from now on.
    Waits(usize),
    /// A job waits no more: it was started by somebody else or is gone.
    Left(usize),
    /// A worker has more room than before.
    Freed(usize),
    /// A worker came, went, or offers another amount: what could be placed nowhere may be placed now,
    /// and shares of the cluster are others.
    Reshaped,
    /// Everything may be another than before, numbers too; every job that waits is told after it.
    Anew,
}

/// Everything that a placement depends on.
#[derive(Clone, Debug, Default)]
pub struct Board {
    now: u64,
    seats: Vec<Seat>,
    index: Index,
    jobs: Vec<Kept>,
    /// Where a job that runs stands among what runs on its worker.
    run_at: Vec<u32>,
    unused: Vec<usize>,
    waiting: usize,
    classes: class::Classes,
    wishes: wishes::Wishes,
    apart: kin::Apart,
    gangs: gangs::Gangs,
    changes: Vec<Change>,
    /// How true was what users said of lengths, and what was learned.
    closeness: [Closeness; 2],
    /// Shares and what is possible are of workers of before: computed when somebody takes the changes,
    /// once for however many workers.
    reshaped: bool,
}

impl Board {
    /// An empty board at a time.
    #[must_use]
    pub fn new(now: u64) -> Self {
        Self { now, ..Self::default() }
    }

    /// Sets the time, which must not run backward.
    pub fn set_now(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// What changed since the last call of [`Self::take_changes`].
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        if std::mem::take(&mut self.reshaped) {
            self.classes.reshape(&self.seats);
        }
        std::mem::take(&mut self.changes)
    }

    /// Tells everything again, for a strategy that sees the board for the first time.
    pub fn retell(&mut self) {
        self.changes.clear();
        self.changes.push(Change::Anew);
        self.changes.extend((0..self.jobs.len()).filter(|job| self.jobs[*job].waits()).map(Change::Waits));
    }

    /// The jobs that wait.
    pub fn each_waiting(&self) -> impl Iterator<Item = usize> {
        self.jobs.iter().enumerate().filter(|(_, job)| job.waits()).map(|(number, _)| number)
    }

    // Workers.

    /// Puts a worker in, in the place of what the number meant before. What runs there is told by
    /// [`Board::run`].
    pub fn set_seat(&mut self, worker: usize, seat: Seat) {
        while self.seats.len() <= worker {
            self.seats.push(Seat::default());
        }
        let reshaped = self.seats[worker].offers_other(&seat);
        let freed = !index::covers(self.index_free(worker), &seat.indexed());
        let before = std::mem::replace(&mut self.seats[worker], seat);
        let seat = &mut self.seats[worker];
        (seat.runs, seat.lately, seat.meets) = (before.runs, before.lately, before.meets);
        self.index.set(worker, self.seats[worker].indexed());
        if reshaped {
            self.reshaped = true;
            self.changes.push(Change::Reshaped);
        } else if freed {
            self.changes.push(Change::Freed(worker));
        }
    }

    fn index_free(&mut self, worker: usize) -> &Amounts {
        if worker >= self.seats.len() || self.index.len() <= worker {
            self.index.set(worker, [0; 4]);
        }
        self.index.free(worker)
    }

    /// A worker tells which images its engine has. The same as before cost a glance.
    pub fn set_images(&mut self, worker: usize, images: &Images) {
        self.seats[worker].lately.told(images);
    }

    /// Opens or closes a worker for a moment within a round; nobody is told.
    pub(in crate::strategy) fn open(&mut self, worker: usize, open: bool) {
        self.seats[worker].open = open;
        self.index.set(worker, self.seats[worker].indexed());
    }

    /// A gang is whole on a worker: where that takes one only, it takes no more.
    pub(in crate::strategy) fn gang_is_on(&mut self, worker: usize) {
        if self.seats[worker].single {
            self.open(worker, false);
        }
    }

    /// A worker had these images and inputs before it had this number.
    pub fn set_lately(&mut self, worker: usize, lately: Lately) {
        self.seats[worker].lately = lately;
    }

    /// A worker meets these needs from now on.
    pub fn set_meets(&mut self, worker: usize, meets: Meets) {
        if self.seats[worker].meets != meets {
            self.seats[worker].meets = meets;
            self.reshaped = true;
            self.changes.push(Change::Reshaped);
        }
    }

    /// A worker meets a need of which nothing was known before: no job of it waits yet.
    pub fn add_met(&mut self, worker: usize, need: u32) {
        self.seats[worker].meets.insert(need);
    }

    /// All workers, also those that take no work.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The whole of all workers that take work.
    #[must_use]
    pub const fn capacity(&self) -> &Amounts {
        self.classes.capacity()
    }

    // Jobs.

    /// The number of what these amounts are asked for by.
    pub fn class(&mut self, wanted: Wanted) -> usize {
        self.classes.number(wanted, &self.seats)
    }

    /// Puts in what jobs would rather have of a worker; answers the number of that.
    pub fn add_wishes(&mut self, wishes: Vec<Wish>) -> u32 {
        self.wishes.add(wishes)
    }

    /// Whether jobs of a class would rather have one worker than another.
    #[must_use]
    pub fn has_wishes(&self, class: usize) -> bool {
        let class = self.classes.get(class);
        class.wishes.is_some() || class.kin.is_some_and(|asked| self.apart.is_spread(asked))
    }

    /// How much jobs of a class would rather have a worker: more is better, 0 where they have no wishes. It is less the
    /// more kin start near it.
    #[must_use]
    pub fn liking(&self, class: usize, worker: usize) -> i32 {
        let class = self.classes.get(class);
        let liked = class.wishes.map_or(0, |wishes| self.wishes.liking(wishes, &self.seats[worker].meets));
        liked.saturating_sub(class.kin.map_or(0, |asked| self.apart.crowd(asked, worker)))
    }

    /// A class, and those of what its jobs take where it fits nowhere, in order.
    pub fn chain(&self, class: usize) -> impl Iterator<Item = usize> {
        self.classes.chain(class)
    }

    /// Whether jobs of a class take something else where it fits nowhere.
    #[must_use]
    pub fn has_choice(&self, class: usize) -> bool {
        self.classes.get(class).or.is_some()
    }

    /// Whether some worker could ever run a job of a class, whatever of its choice it takes.
    #[must_use]
    pub fn possible(&self, class: usize) -> bool {
        self.chain(class).any(|class| self.classes.get(class).possible)
    }

    // Gangs.

    /// So many members of a gang have not ended: it starts when as many wait. Strategies are told again of those of it
    /// that wait.
    pub fn set_gang(&mut self, number: u32, size: u32) {
        if self.gangs.set(number, size) {
            self.changes.extend(self.gangs.waiting(number).map(Change::Waits));
        }
    }

    /// The jobs that wait of the gang that is this class; none of a class whose jobs start alone.
    pub fn gang_jobs(&self, class: usize) -> impl Iterator<Item = usize> {
        self.classes.get(class).gang.into_iter().flat_map(|gang| self.gangs.waiting(gang))
    }

    /// How many start together with a job of a class, itself among them; none where it starts alone.
    #[must_use]
    pub fn gang_size(&self, class: usize) -> Option<usize> {
        self.classes.get(class).gang.map(|gang| self.gangs.size(gang) as usize)
    }

    /// Whether jobs of a class may be placed as far as they themselves are concerned: some worker could ever run one; of
    /// a gang all wait, and the workers could ever run all at once.
    #[must_use]
    pub fn is_ready(&self, class: usize) -> bool {
        let wanted = self.classes.get(class);
        let Some(gang) = wanted.gang else { return self.possible(class) };
        let size = self.gangs.size(gang) as usize;
        if !self.gangs.is_whole(gang) {
            return false;
        }
        let (mut room, mut apart) = (0, self.domains_of(class));
        (0..self.seats.len()).any(|worker| {
            room += apart.room(worker, self.seats[worker].room_ever(wanted, size - room));
            room >= size
        })
    }

    /// Keeps a class also while no job is of it.
    pub fn keep_class(&mut self, class: usize) {
        self.classes.hold(class);
    }

    /// What is asked for under a number.
    #[must_use]
    pub fn classes(&self) -> &[Class] {
        self.classes.all()
    }

    /// A job waits from now on; answers its number.
    pub fn wait(&mut self, job: Job) -> usize {
        let number = self.insert(job, Place::Waits);
        self.one_more_waits(job.class, number);
        self.changes.push(Change::Waits(number));
        number
    }

    fn one_more_waits(&mut self, class: usize, number: usize) {
        self.waiting += 1;
        if let Some(gang) = self.classes.get(class).gang {
            self.gangs.waits(gang, number);
        }
    }

    fn one_less_waits(&mut self, class: usize, number: usize) {
        self.waiting -= 1;
        if let Some(gang) = self.classes.get(class).gang {
            self.gangs.waits_no_more(gang, number);
        }
    }

    fn insert(&mut self, job: Job, place: Place) -> usize {
        self.classes.hold(job.class);
        match self.unused.pop() {
            Some(number) => {
                self.jobs[number] = Kept::new(&job, place);
                number
            }
            None => {
                self.jobs.push(Kept::new(&job, place));
                self.jobs.len() - 1
            }
        }
    }

    /// A job runs on a worker since `started`, whatever was known of it; answers its number.
    /// What it holds is in the worker's seat already, or is put there by [`Board::set_seat`].
    pub fn run(&mut self, job: Job, worker: usize, started: u64) -> usize {
        let number = self.insert(job, Place::Runs(worker));
        self.add_run(worker, Run { job: number, started, class: job.class, devices: Vec::new() });
        self.seats[worker].lately.used(job.image, job.data);
        number
    }

    /// Starts a job that never waited on a worker that has room for it; answers its number then.
    pub fn start_new(&mut self, job: Job, worker: usize) -> Option<usize> {
        let number = self.insert(job, Place::Waits);
        self.one_more_waits(job.class, number);
        if self.start(number, worker) {
            return Some(number);
        }
        self.one_less_waits(job.class, number);
        self.forget(number);
        None
    }

    /// A job is thought to run for another time than before; so little more or less that nothing would be put
    /// elsewhere for it changes nothing. Of one that waits strategies are told again that it does.
    pub fn set_predicted(&mut self, number: usize, predicted: Length) {
        let kept = &mut self.jobs[number];
        if kept.job().predicted.is_some_and(|before| !before.differs(predicted)) {
            return;
        }
        kept.predict(predicted);
        if kept.place() == Place::Waits {
            self.changes.push(Change::Waits(number));
        }
    }

    /// A job runs since another time than was thought.
    pub fn set_started(&mut self, number: usize, started: u64) {
        let Place::Runs(worker) = self.jobs[number].place() else { return };
        self.seats[worker].runs[self.run_at[number] as usize].started = started;
    }

    fn add_run(&mut self, worker: usize, run: Run) {
        self.enter_kin(run.job, worker);
        if self.run_at.len() <= run.job {
            self.run_at.resize(run.job + 1, 0);
        }
        let runs = &mut self.seats[worker].runs;
        self.run_at[run.job] = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        runs.push(run);
    }

    /// Takes out what runs; it must run there.
    fn take_run(&mut self, worker: usize, number: usize) -> Run {
        self.leave_kin(number, worker);
        let runs = &mut self.seats[worker].runs;
        let at = self.run_at[number] as usize;
        let run = runs.swap_remove(at);
        if let Some(moved) = runs.get(at) {
            self.run_at[moved.job] = self.run_at[number];
        }
        run
    }

    /// A job is no more: it ended, was cancelled, waits for something else. What it held is free again
    /// where `frees`; else the worker's seat is told by [`Board::set_seat`].
    pub fn remove(&mut self, number: usize, frees: bool) {
        let job = self.jobs[number];
        match job.place() {
            Place::Nowhere => return,
            Place::Waits => {
                self.one_less_waits(job.class(), number);
                self.changes.push(Change::Left(number));
            }
            Place::Runs(worker) => {
                let run = self.take_run(worker, number);
                if frees {
                    self.seats[worker].give_back(self.classes.get(run.class), &run.devices);
                    self.index.set(worker, self.seats[worker].indexed());
                }
                self.changes.push(Change::Freed(worker));
            }
        }
        self.forget(number);
    }

    /// A job ran to its end, for so many milliseconds: told before it is removed. `learned` is what would have been
    /// thought of it by what was learned, where the board was not told.
    pub fn ran(&mut self, number: usize, time: u64, learned: Option<Length>) {
        let job = self.jobs[number].job();
        let known = Job { predicted: job.predicted.or(learned), ..job };
        for source in Source::ALL {
            self.closeness[source as usize].note(source.length(&known).mean, time);
        }
    }

    /// How close what this source said of lengths came to the truth lately: the shorter in the longer, 0 to 1; 1 while
    /// nothing is known.
    #[must_use]
    pub fn closeness(&self, source: Source) -> f64 {
        self.closeness[source as usize].mean()
    }

    /// Knows of lengths what another board knew.
    pub const fn learn_from(&mut self, other: &Self) {
        self.closeness = other.closeness;
    }

    fn forget(&mut self, number: usize) {
        let job = &mut self.jobs[number];
        job.put(Place::Nowhere);
        self.classes.release(job.class());
        self.unused.push(number);
    }

    /// Starts a waiting job on a worker that has room for it, or for the first of what else it takes, apart from its
    /// kin; answers whether it has. The strategy that does it is not told of the change.
    pub fn start(&mut self, number: usize, worker: usize) -> bool {
        if self.jobs[number].place() != Place::Waits || !self.stands_apart(self.jobs[number].class(), worker) {
            return false;
        }
        let job = &mut self.jobs[number];
        let (classes, seat) = (&self.classes, &mut self.seats[worker]);
        let Some(class) = classes.chain(job.class()).find(|class| seat.fits(classes.get(*class))) else { return false };
        let Some(devices) = seat.take(classes.get(class)) else { return false };
        let (image, data) = job.fetches();
        seat.lately.used(image, data);
        self.index.set(worker, seat.indexed());
        job.put(Place::Runs(worker));
        let head = job.class();
        self.add_run(worker, Run { job: number, started: self.now, class, devices });
        self.one_less_waits(head, number);
        true
    }

    /// The same where no strategy does it: it is told that the job waits no more.
    pub(in crate::strategy) fn start_unasked(&mut self, number: usize, worker: usize) -> bool {
        let starts = self.start(number, worker);
        if starts {
            self.changes.push(Change::Left(number));
        }
        starts
    }

    /// Takes back what [`Board::start`] did: it was refused.
    pub fn take_back(&mut self, number: usize) {
        let job = &mut self.jobs[number];
        let Place::Runs(worker) = job.place() else { return };
        job.put(Place::Waits);
        let class = job.class();
        let run = self.take_run(worker, number);
        self.seats[worker].give_back(self.classes.get(run.class), &run.devices);
        self.index.set(worker, self.seats[worker].indexed());
        self.changes.push(Change::Freed(worker));
        self.one_more_waits(class, number);
        self.changes.push(Change::Waits(number));
    }

    /// A job.
    #[must_use]
    pub fn job(&self, number: usize) -> Job {
        self.jobs[number].job()
    }

    /// The worker of a job that runs.
    #[must_use]
    pub fn runs_on(&self, number: usize) -> Option<usize> {
        match self.jobs[number].place() {
            Place::Runs(worker) => Some(worker),
            Place::Nowhere | Place::Waits => None,
        }
    }

    /// The class of what a job that runs holds; of any other what it asks for first.
    #[must_use]
    pub fn held(&self, number: usize) -> usize {
        let job = &self.jobs[number];
        match job.place() {
            Place::Runs(worker) => self.seats[worker].runs[self.run_at[number] as usize].class,
            Place::Nowhere | Place::Waits => job.class(),
        }
    }

    /// Whether a job waits.
    #[must_use]
    pub fn waits(&self, number: usize) -> bool {
        self.jobs.get(number).is_some_and(Kept::waits)
    }

    /// How many wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    // What fits.

    /// Whether a worker has room for a class now, apart from kin of it.
    #[must_use]
    pub fn fits(&self, class: usize, worker: usize) -> bool {
        self.has_room(class, worker) && self.stands_apart(class, worker)
    }

    /// The same, wherever kin are.
    pub(super) fn has_room(&self, class: usize, worker: usize) -> bool {
        let class = self.classes.get(class);
        index::covers(self.index.free(worker), &class.amounts) && self.seats[worker].fits(class)
    }

    /// Whether a worker that takes work would have room for a class if nothing ran there.
    #[must_use]
    pub fn could_ever(&self, class: usize, worker: usize) -> bool {
        let seat = &self.seats[worker];
        seat.open && seat.could_ever(self.classes.get(class))
    }

    /// The first worker from `from` on that has room for a class, apart from kin of it.
    #[must_use]
    pub fn next_fit(&self, class: usize, from: usize) -> Option<usize> {
        let wanted = self.classes.get(class);
        let mut worker = self.index.next(from, &wanted.amounts)?;
        while !self.seats[worker].fits(wanted) || !self.stands_apart(class, worker) {
            worker = self.index.next(worker + 1, &wanted.amounts)?;
        }
        Some(worker)
    }

    /// More than any worker has free, resource by resource.
    #[must_use]
    pub fn most_free(&self) -> Amounts {
        self.index.most()
    }

    /// What is free on a worker that takes work; nothing on another.
    #[must_use]
    pub fn free(&self, worker: usize) -> &Amounts {
        self.index.free(worker)
    }
}

/// Whether there is as much of everything.
#[must_use]
pub fn covers(free: &Amounts, demand: &Amounts) -> bool {
    index::covers(free, demand)
}
