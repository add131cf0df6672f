//! A cluster that is only thought of: the real state machine, and the real mirror of what it commits.

use super::Round;
use crate::exit::Failure;
use cloudai_core::cluster::{Cluster, Start};
use cloudai_core::effect::{Effect, Row};
use cloudai_core::event::{Answer, EndReport, Event, NewTask, Placement, Registration};
use cloudai_core::ids::{Attempt, Incarnation, TaskId, UserId};
use cloudai_core::resources::{Capacity, Demand, GIB, Gpu};
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::strategy::rules::Source;
use cloudai_core::strategy::{Board, Key, Started, Strategy, Thinking, Thought, View};
use cloudai_core::task::Outcome;
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use cloudai_core::worker::About;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const START: Timestamp = Timestamp::from_millis(1_000_000_000);
const LIFE: Incarnation = Incarnation(1);
/// Users, and different documents of tasks.
const USERS: u32 = 200;
const SPECS: usize = 4096;
/// Submitted in one event at most.
const BATCH: usize = 1000;
/// Between two rounds.
const PACE: Duration = Duration::from_millis(100);

/// Everything.
#[derive(Debug)]
pub(super) struct World {
    cluster: Cluster,
    view: View,
    strategy: Timed,
    now: Timestamp,
    random: SmallRng,
    specs: Vec<Arc<TaskSpec>>,
    users: Vec<UserId>,
    tasks: u128,
    waiting: usize,
    running: Vec<Attempt>,
    rows: Vec<Row>,
    /// Rows that were mirrored, and how long that took.
    mirrored: (u64, Duration),
}

impl World {
    /// Workers of five kinds, and nothing to do.
    pub(super) fn new(inner: Box<dyn Strategy>, workers: u32) -> Result<Self, Failure> {
        let mut random = SmallRng::seed_from_u64(1);
        let start = Start { incarnation: LIFE, ..Start::default() };
        let bare = TaskSpec::from_value(&Value::Map(vec![("image".into(), Value::Text("busybox".into()))]))
            .map_err(|error| Failure::error(error.to_string()))?;
        let specs = (0..SPECS).map(|_| Arc::new(spec(&bare, &mut random))).collect();
        let users = (0..USERS).map(|user| format!("user{user}").parse());
        let mut world = Self {
            cluster: Cluster::new(Timing::default(), start, START),
            view: View::default(),
            strategy: Timed { inner, took: Duration::ZERO },
            now: START,
            random,
            specs,
            users: users.collect::<Result<_, _>>().map_err(|_| Failure::error("no name of a user"))?,
            tasks: 0,
            waiting: 0,
            running: Vec::new(),
            rows: Vec::new(),
            mirrored: (0, Duration::ZERO),
        };
        for number in 0..workers {
            world.apply(Event::Register(Box::new(worker(number)?)))?;
        }
        Ok(world)
    }

    fn apply(&mut self, event: Event) -> Result<Answer, Failure> {
        let applied = self.cluster.apply(self.now, event).map_err(|rejected| Failure::error(rejected.to_string()))?;
        self.rows.extend(applied.effects.into_iter().filter_map(|effect| match effect {
            Effect::Save(row) => Some(row),
            Effect::Send(_) => None,
        }));
        Ok(applied.answer)
    }

    /// Submits tasks so that more wait, a batch at most; answers whether so many do.
    pub(super) fn wait_for(&mut self, tasks: usize) -> Result<bool, Failure> {
        let count = tasks.saturating_sub(self.waiting).min(BATCH);
        let batch = (0..count).map(|_| self.task()).collect();
        self.apply(Event::Submit(batch))?;
        self.waiting += count;
        Ok(self.waiting >= tasks)
    }

    fn task(&mut self) -> NewTask {
        self.tasks += 1;
        NewTask {
            id: TaskId::new(self.tasks),
            owner: self.users[self.random.random_range(0..self.users.len())].clone(),
            job: None,
            depends_on: Vec::new(),
            retry_of: None,
            spec: Arc::clone(&self.specs[self.random.random_range(0..self.specs.len())]),
        }
    }

    /// Lets so many tasks end.
    pub(super) fn end(&mut self, count: usize) -> Result<(), Failure> {
        for _ in 0..count.min(self.running.len()) {
            let place = self.random.random_range(0..self.running.len());
            let attempt = self.running.swap_remove(place);
            let run = Some(Duration::from_millis(self.random.random_range(1_000..300_000)));
            let outcome = Arc::new(Outcome { run, ..Outcome::exit(0) });
            self.apply(Event::Ended(EndReport { attempt, incarnation: LIFE, outcome }))?;
        }
        Ok(())
    }

    /// One round, with what the placing thread thinks about beside it, and what it proposes is taken.
    pub(super) fn round(&mut self) -> Result<Round, Failure> {
        self.now = self.now + PACE;
        let rows = std::mem::take(&mut self.rows);
        let began = Instant::now();
        rows.iter().for_each(|row| self.view.apply(row));
        self.mirrored.0 += rows.len() as u64;
        self.mirrored.1 += began.elapsed();
        let began = Instant::now();
        let placements = self.view.round(&mut self.strategy, self.now);
        let whole = began.elapsed();
        let placed = u32::try_from(placements.len()).unwrap_or(u32::MAX);
        self.take(placements)?;
        Ok(Round { thought: self.strategy.took, whole, placed })
    }

    fn take(&mut self, placements: Vec<Placement>) -> Result<(), Failure> {
        self.waiting -= placements.len();
        self.running.extend(placements.iter().map(|placement| placement.attempt));
        match self.apply(Event::Place(placements))? {
            Answer::Placed { refused, .. } if refused.is_empty() => Ok(()),
            other => Err(Failure::error(format!("a placement was refused: {other:?}"))),
        }
    }

    /// A round in which everything is looked at, as after a change of the strategy.
    pub(super) fn everything_again(&mut self) -> Result<Round, Failure> {
        self.view.retell();
        self.round()
    }

    /// How many rows were mirrored, and how long it took.
    pub(super) const fn mirrored(&self) -> (u64, Duration) {
        self.mirrored
    }
}

/// A worker of one of five kinds.
fn worker(number: u32) -> Result<Registration, Failure> {
    let kinds = [(16, 64, 400, 0), (32, 128, 800, 0), (16, 64, 400, 2), (64, 256, 1000, 4), (8, 64, 200, 0)];
    let (cores, memory, storage, gpus) = kinds[number as usize % kinds.len()];
    let gpu = |gpu| Gpu { id: format!("gpu{gpu}").into(), model: "a100".into() };
    let capacity = Capacity {
        cpu_milli: cores * 1000,
        memory: memory * GIB,
        storage: storage * GIB,
        gpus: (0..gpus).map(gpu).collect(),
    };
    Ok(Registration {
        worker: format!("w{number:05}").parse().map_err(|_| Failure::error("no name of a worker"))?,
        address: None,
        capacity,
        labels: BTreeMap::new(),
        about: About::default(),
        held: Vec::new(),
    })
}

/// A task of one of four kinds: small, with many cores, with much memory, with GPUs.
fn spec(bare: &TaskSpec, random: &mut SmallRng) -> TaskSpec {
    let mut one_of = |choices: &[u64]| choices[random.random_range(0..choices.len())];
    let (cpu_milli, memory, gpu_milli) = match one_of(&[0, 0, 0, 1, 1, 2, 3]) {
        0 => (one_of(&[500, 1000, 2000]), one_of(&[1, 2]), 0),
        1 => (one_of(&[4000, 6000, 8000]), one_of(&[2, 4, 8]), 0),
        2 => (one_of(&[1000, 2000, 4000]), one_of(&[12, 16, 20, 24]), 0),
        _ => (one_of(&[2000, 4000, 6000]), one_of(&[8, 12, 16]), one_of(&[500, 1000, 2000])),
    };
    let storage = one_of(&[1, 2, 5, 10, 20]) * GIB;
    let demand = Demand { cpu_milli, memory: memory * GIB, storage, gpu_milli, ..bare.demand.clone() };
    let estimate = Some(Duration::from_millis(random.random_range(1_000..300_000)));
    TaskSpec { demand, estimate, ..bare.clone() }
}

/// A strategy, and how long it thought last.
#[derive(Debug)]
struct Timed {
    inner: Box<dyn Strategy>,
    took: Duration,
}

impl Strategy for Timed {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn source(&self) -> Source {
        self.inner.source()
    }

    fn hear(&mut self, board: &mut Board) {
        self.inner.hear(board);
    }

    fn line(&self, board: &Board, after: Option<Key>, most: usize) -> Vec<(Key, usize)> {
        self.inner.line(board, after, most)
    }

    fn copy(&self) -> Box<dyn Strategy> {
        self.inner.copy()
    }

    fn place(&mut self, board: &mut Board, most: usize) -> Vec<Started> {
        let began = Instant::now();
        let started = self.inner.place(board, most);
        self.took = began.elapsed();
        started
    }

    fn thinking(&mut self) -> Option<Thinking> {
        self.inner.thinking()
    }

    fn heed(&mut self, thought: Thought) {
        self.inner.heed(thought);
    }
}
