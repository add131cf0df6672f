//! One strategy on one workload.

use super::clock::{Clock, Event};
use super::oracle::Oracle;
use super::workload::{Machine, Task, Workload};
use cloudai_core::strategy::board::{Amounts, Board, Data, Image, Job, Seat, Wanted};
use cloudai_core::strategy::rules::Source;
use cloudai_core::strategy::{EXTERNAL, Knobs, Started, make, place};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Which run times a strategy is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtimes {
    /// The true ones, before they are known.
    Exact,
    /// What users said; of a task of which they say nothing, what was learned from tasks that ended before.
    #[default]
    Estimate,
    /// What was learned from tasks that ended before, for every strategy.
    Predicted,
}

/// Where and when a task ran. Times are seconds of the trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assignment {
    /// Its place in [`Workload::tasks`].
    pub task: usize,
    /// Its place in [`Workload::workers`].
    pub worker: usize,
    /// When it started.
    pub start_s: f64,
    /// When it ended.
    pub end_s: f64,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Replay {
    /// One of `cloudai_core::strategy::ALL`.
    pub strategy: String,
    /// What it is told of run times.
    pub runtimes: Runtimes,
    /// The strategy's knobs, and the seed of the random moves by which plans are improved.
    pub knobs: Knobs,
}

/// Why there is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// No such strategy.
    #[error("no strategy is called {0}")]
    NoSuchStrategy(String),
    /// Larger than every worker.
    #[error("task {task} fits no worker: {why}")]
    Unsatisfiable {
        /// Its id.
        task: String,
        /// What it asks for and the most there is.
        why: String,
    },
}

impl Runtimes {
    /// As users ask for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Estimate => "estimate",
            Self::Predicted => "predicted",
        }
    }
}

impl Replay {
    /// All that the schedule depends on beside the workload, by name: the strategy, `runtimes`, `seed`, every knob.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, Value)> {
        let first = [
            ("strategy", self.strategy.as_str().into()),
            ("runtimes", self.runtimes.word().into()),
            ("seed", self.knobs.seed.into()),
        ];
        let knobs = self.knobs.each().map(|(knob, value)| (knob.name, value.into()));
        first.into_iter().chain(knobs).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The schedule that the strategy makes, in the order of the workload's tasks.
    /// # Errors
    /// [`ReplayError`].
    pub fn run(&self, workload: &Workload) -> Result<Vec<Assignment>, ReplayError> {
        let strategy = make(&self.strategy, &self.knobs).filter(|strategy| strategy.name() != EXTERNAL);
        let mut strategy = strategy.ok_or_else(|| ReplayError::NoSuchStrategy(self.strategy.clone()))?;
        // Where a user says nothing, what was learned counts for every strategy.
        let silent = || workload.tasks.iter().any(|task| task.estimate_s.is_none());
        let predicts = match self.runtimes {
            Runtimes::Exact => false,
            Runtimes::Estimate => strategy.source() == Source::Predicted || silent(),
            Runtimes::Predicted => true,
        };
        let mut stage = Stage::new(workload, self.runtimes)?;
        stage.oracle = predicts.then(|| Oracle::new(workload, self.knobs.upper_permille()));
        while let Some(now) = stage.clock.next_instant() {
            stage.board.set_now(now);
            stage.happen(workload, now);
            loop {
                let starts = place(&mut *strategy, &mut stage.board, usize::MAX);
                if starts.is_empty() {
                    break;
                }
                stage.start(workload, &starts, now);
            }
        }
        Ok(stage.assignments)
    }
}

impl Serialize for Replay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.settings())
    }
}

/// A schedule in the making.
#[derive(Debug)]
struct Stage {
    board: Board,
    clock: Clock,
    /// What each task is told to be.
    jobs: Vec<Job>,
    /// The task of each of the board's jobs, and the other way round.
    tasks: Vec<usize>,
    numbers: Vec<usize>,
    assignments: Vec<Assignment>,
    oracle: Option<Oracle>,
}

impl Stage {
    fn new(workload: &Workload, runtimes: Runtimes) -> Result<Self, ReplayError> {
        let mut board = Board::default();
        for (number, machine) in workload.workers.iter().enumerate() {
            board.set_seat(number, Seat::plain(machine.capacity.map(|amount| micro(amount, f64::floor))));
        }
        let mut users = BTreeMap::new();
        let mut clock = Clock::default();
        let mut jobs = Vec::with_capacity(workload.tasks.len());
        for (number, task) in workload.tasks.iter().enumerate() {
            let amounts: Amounts = task.demand.map(|amount| micro(amount, f64::ceil));
            let class = board.class(Wanted { amounts, ..Wanted::default() });
            board.keep_class(class);
            if !board.classes()[class].possible {
                return Err(unsatisfiable(workload, task));
            }
            let next = users.len();
            let user = *users.entry(task.user.as_str()).or_insert(next);
            let arrival = millis(task.arrival_s);
            jobs.push(job(task, runtimes, class, user, number as u64));
            clock.add(arrival, Event::Arrives(number));
        }
        let count = workload.tasks.len();
        let nowhere = Assignment { task: 0, worker: 0, start_s: f64::NAN, end_s: f64::NAN };
        Ok(Self {
            board,
            clock,
            jobs,
            tasks: Vec::new(),
            numbers: vec![0; count],
            assignments: vec![nowhere; count],
            oracle: None,
        })
    }

    /// Everything of an instant: ends first, then arrivals.
    fn happen(&mut self, workload: &Workload, now: u64) {
        while let Some(event) = self.clock.take(now) {
            match event {
                Event::Ends(task) => {
                    let ran = millis(workload.tasks[task].runtime_s).max(1);
                    self.board.ran(self.numbers[task], ran, None);
                    self.board.remove(self.numbers[task], true);
                    if let Some(oracle) = &mut self.oracle {
                        oracle.ended(task, ran);
                        for (task, length) in oracle.think_again(task) {
                            self.board.set_predicted(self.numbers[task], length);
                        }
                    }
                }
                Event::Arrives(task) => {
                    if let Some(oracle) = &mut self.oracle {
                        self.jobs[task].predicted = oracle.arrived(task);
                    }
                    let number = self.board.wait(self.jobs[task]);
                    self.numbers[task] = number;
                    if self.tasks.len() <= number {
                        self.tasks.resize(number + 1, 0);
                    }
                    self.tasks[number] = task;
                }
            }
        }
    }

    fn start(&mut self, workload: &Workload, starts: &[Started], now: u64) {
        for Started { job, worker } in starts {
            let task = self.tasks[*job];
            if let Some(oracle) = &mut self.oracle {
                oracle.started(task);
            }
            let runtime_s = workload.tasks[task].runtime_s;
            let start_s = seconds(now).max(workload.tasks[task].arrival_s);
            self.assignments[task] = Assignment { task, worker: *worker, start_s, end_s: start_s + runtime_s };
            self.clock.add(now + millis(runtime_s), Event::Ends(task));
        }
    }
}

fn job(task: &Task, runtimes: Runtimes, class: usize, user: usize, order: u64) -> Job {
    let said = match runtimes {
        Runtimes::Exact => Some(task.runtime_s),
        Runtimes::Estimate => task.estimate_s,
        Runtimes::Predicted => None,
    };
    Job {
        class,
        arrival: millis(task.arrival_s),
        order,
        priority: task.priority,
        user,
        estimate: said.map(|said| millis(said).max(1)),
        image: Image::of(&task.image),
        data: Data::default(),
        predicted: None,
        deadline: task.deadline_s.map(millis),
        tail: 0,
    }
}

fn unsatisfiable(workload: &Workload, task: &Task) -> ReplayError {
    let most = |kind: usize| workload.workers.iter().map(|worker| worker.capacity[kind]).fold(0.0, f64::max);
    let words = ["cpu", "GB of memory", "GB of storage", "gpu"];
    let over = (0..4).filter(|kind| task.demand[*kind] > most(*kind));
    let over: Vec<String> =
        over.map(|kind| format!("{} {} of {} at most", task.demand[kind], words[kind], most(kind))).collect();
    let why = if over.is_empty() { "no worker has enough of everything at once".into() } else { over.join(", ") };
    ReplayError::Unsatisfiable { task: task.id.clone(), why }
}

/// Whether a worker could run a task if nothing else ran there.
#[must_use]
pub fn could_ever(task: &Task, machine: &Machine) -> bool {
    let mut both = task.demand.into_iter().zip(machine.capacity);
    both.all(|(demand, capacity)| micro(demand, f64::ceil) <= micro(capacity, f64::floor))
}

/// Amounts are counted in millionths, so that fractions of a core or GB add up; what is nearly whole is not rounded up
/// or down.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative, far below 2^64
pub fn micro(amount: f64, round: fn(f64) -> f64) -> u64 {
    let scaled = amount * 1e6;
    let near = scaled.round();
    if (scaled - near).abs() < 1e-3 { near as u64 } else { round(scaled) as u64 }
}

/// Whole milliseconds, never fewer than it is.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // not negative, far below 2^64
pub(super) fn millis(seconds: f64) -> u64 {
    micro(seconds / 1e3, f64::ceil)
}

#[allow(clippy::cast_precision_loss)] // far below 2^53
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1e3
}
