//! The problem that strategies solve, in plain numbers: what waits, what is free, what runs until when.
//!
//! The board knows neither ids nor specs. The master's [`View`](super::View) keeps one current from
//! committed rows; the simulator fills one from a trace. Workers, jobs and classes are numbered from
//! 0; a number is used again after its owner is gone. Times are milliseconds; amounts are four
//! numbers of any unit (cpu, memory, storage, gpu), the same for workers and demands.

mod class;
mod index;
mod seat;

pub use class::{Class, Wanted};
pub use seat::{Device, Run, Seat};

use index::Index;

/// Cpu, memory, storage, gpu.
pub type Amounts = [u64; 4];

/// A task as strategies see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// What it asks for: the number of a [`Class`].
    pub class: usize,
    /// When it was submitted.
    pub arrival: u64,
    /// Its place among equals: smaller is earlier.
    pub order: u64,
    /// -100 to 100, higher is more urgent.
    pub priority: i32,
    /// Whose it is, as a number.
    pub user: usize,
    /// How long its user says that it runs; at least 1.
    pub estimate: Option<u64>,
    /// How long tasks like it ran.
    pub predicted: Option<Length>,
    /// When it should have ended.
    pub deadline: Option<u64>,
}

/// How long a job is thought to run, in milliseconds: on average, and at most in nine of ten cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// For orders; at least 1.
    pub mean: u64,
    /// For reservations; at least the mean.
    pub upper: u64,
}

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
}

/// Whether a job waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Nowhere,
    Waits,
    Runs(usize),
}

/// Everything that a placement depends on.
#[derive(Clone, Debug, Default)]
pub struct Board {
    now: u64,
    version: u64,
    seats: Vec<Seat>,
    index: Index,
    jobs: Vec<(Job, Place)>,
    unused: Vec<usize>,
    waiting: usize,
    classes: class::Classes,
    changes: Vec<Change>,
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

    /// Grows with each change: names a state of the board.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    fn note(&mut self, change: Change) {
        self.version += 1;
        self.changes.push(change);
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
        let waiting = (0..self.jobs.len()).filter(|job| self.jobs[*job].1 == Place::Waits);
        self.changes.extend(waiting.map(Change::Waits));
        self.note(Change::Reshaped);
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
        self.seats[worker].runs = before.runs;
        self.index.set(worker, self.seats[worker].indexed());
        if reshaped {
            self.reshaped = true;
            self.note(Change::Reshaped);
        } else if freed {
            self.note(Change::Freed(worker));
        }
    }

    fn index_free(&mut self, worker: usize) -> &Amounts {
        if worker >= self.seats.len() || self.index.len() <= worker {
            self.index.set(worker, [0; 4]);
        }
        self.index.free(worker)
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
        self.waiting += 1;
        self.note(Change::Waits(number));
        number
    }

    fn insert(&mut self, job: Job, place: Place) -> usize {
        self.classes.hold(job.class);
        match self.unused.pop() {
            Some(number) => {
                self.jobs[number] = (job, place);
                number
            }
            None => {
                self.jobs.push((job, place));
                self.jobs.len() - 1
            }
        }
    }

    /// A job runs on a worker since `started`, whatever was known of it; answers its number.
    /// What it holds is in the worker's seat already, or is put there by [`Board::set_seat`].
    pub fn run(&mut self, job: Job, worker: usize, started: u64) -> usize {
        let number = self.insert(job, Place::Runs(worker));
        self.seats[worker].runs.push(Run { job: number, started, devices: Vec::new() });
        number
    }

    /// Starts a job that never waited on a worker that has room for it; answers its number then.
    pub fn start_new(&mut self, job: Job, worker: usize) -> Option<usize> {
        let number = self.insert(job, Place::Waits);
        self.waiting += 1;
        if self.start(number, worker) {
            return Some(number);
        }
        self.waiting -= 1;
        self.forget(number);
        None
    }

    /// A job is thought to run for another time than before. Of one that waits strategies are told
    /// again that it does.
    pub fn set_predicted(&mut self, number: usize, predicted: Length) {
        let (job, place) = &mut self.jobs[number];
        let changed = job.predicted.replace(predicted) != Some(predicted);
        if changed && *place == Place::Waits {
            self.note(Change::Waits(number));
        }
    }

    /// A job runs since another time than was thought.
    pub fn set_started(&mut self, number: usize, started: u64) {
        let Place::Runs(worker) = self.jobs[number].1 else { return };
        let mut runs = self.seats[worker].runs.iter_mut();
        if let Some(run) = runs.find(|run| run.job == number) {
            run.started = started;
        }
    }

    /// A job is no more: it ended, was cancelled, waits for something else. What it held is free again
    /// where `frees`; else the worker's seat is told by [`Board::set_seat`].
    pub fn remove(&mut self, number: usize, frees: bool) {
        let (job, place) = self.jobs[number];
        match place {
            Place::Nowhere => return,
            Place::Waits => {
                self.waiting -= 1;
                self.note(Change::Left(number));
            }
            Place::Runs(worker) => {
                let seat = &mut self.seats[worker];
                if let Some(at) = seat.runs.iter().position(|run| run.job == number) {
                    let run = seat.runs.swap_remove(at);
                    if frees {
                        seat.give_back(self.classes.get(job.class), &run.devices);
                        self.index.set(worker, self.seats[worker].indexed());
                    }
                }
                self.note(Change::Freed(worker));
            }
        }
        self.forget(number);
    }

    fn forget(&mut self, number: usize) {
        let (job, place) = &mut self.jobs[number];
        *place = Place::Nowhere;
        self.classes.release(job.class);
        self.unused.push(number);
    }

    /// Starts a waiting job on a worker that has room for it; answers whether it has. The strategy
    /// that does it is not told of the change.
    pub fn start(&mut self, number: usize, worker: usize) -> bool {
        let (job, place) = self.jobs[number];
        let class = self.classes.get(job.class);
        let seat = &mut self.seats[worker];
        if place != Place::Waits {
            return false;
        }
        let Some(devices) = seat.take(class) else { return false };
        seat.runs.push(Run { job: number, started: self.now, devices });
        self.index.set(worker, seat.indexed());
        self.jobs[number].1 = Place::Runs(worker);
        self.waiting -= 1;
        self.version += 1;
        true
    }

    /// Takes back what [`Board::start`] did: it was refused.
    pub fn take_back(&mut self, number: usize) {
        let (job, place) = self.jobs[number];
        let Place::Runs(worker) = place else { return };
        let seat = &mut self.seats[worker];
        if let Some(at) = seat.runs.iter().position(|run| run.job == number) {
            let run = seat.runs.swap_remove(at);
            seat.give_back(self.classes.get(job.class), &run.devices);
            self.index.set(worker, self.seats[worker].indexed());
            self.note(Change::Freed(worker));
        }
        self.jobs[number].1 = Place::Waits;
        self.waiting += 1;
        self.note(Change::Waits(number));
    }

    /// A job.
    #[must_use]
    pub fn job(&self, number: usize) -> &Job {
        &self.jobs[number].0
    }

    /// The worker of a job that runs.
    #[must_use]
    pub fn runs_on(&self, number: usize) -> Option<usize> {
        match self.jobs[number].1 {
            Place::Runs(worker) => Some(worker),
            Place::Nowhere | Place::Waits => None,
        }
    }

    /// Whether a job waits.
    #[must_use]
    pub fn waits(&self, number: usize) -> bool {
        self.jobs.get(number).is_some_and(|(_, place)| *place == Place::Waits)
    }

    /// How many wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    // What fits.

    /// Whether a worker has room for a class now.
    #[must_use]
    pub fn fits(&self, class: usize, worker: usize) -> bool {
        let class = self.classes.get(class);
        index::covers(self.index.free(worker), &class.amounts) && self.seats[worker].fits(class)
    }

    /// Whether a worker that takes work would have room for a class if nothing ran there.
    #[must_use]
    pub fn could_ever(&self, class: usize, worker: usize) -> bool {
        let seat = &self.seats[worker];
        seat.open && seat.could_ever(self.classes.get(class))
    }

    /// The first worker from `from` on that has room for a class.
    #[must_use]
    pub fn next_fit(&self, class: usize, from: usize) -> Option<usize> {
        let class = self.classes.get(class);
        let mut worker = self.index.next(from, &class.amounts)?;
        while !self.seats[worker].fits(class) {
            worker = self.index.next(worker + 1, &class.amounts)?;
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

/// The larger of both, resource by resource.
#[must_use]
pub fn larger(a: &Amounts, b: &Amounts) -> Amounts {
    index::larger(a, b)
}
