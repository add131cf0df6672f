//! What is run: workers, tasks and jobs with their arrivals, and the program in each container.

mod jobs;
mod kin;

pub use jobs::{Deed, JobArrival};

use crate::context::START;
use crate::rng::Rng;
use cloudai_core::ids::WorkerId;
use cloudai_core::resources::{Capacity, Demand, GIB, Gpu, MIB, WHOLE};
use cloudai_core::spec::{NotBefore, OnDisconnect, Retries, RetryOn, SpecError, TaskSpec};
use cloudai_core::time::millis;
use std::sync::Arc;
use std::time::Duration;

/// The variables by which a task's environment programs its container.
const DURATION: &str = "FAKE_DURATION_MS";
const EXIT: &str = "FAKE_EXIT";
const IGNORE_TERM: &str = "FAKE_IGNORE_TERM";
const CANNOT_START: &str = "FAKE_START_ERROR";

/// The longest time for all of a task, in milliseconds.
const LONGEST_TOTAL: u64 = 600_000;
/// The longest wait for a start time, in milliseconds.
pub(crate) const LONGEST_DELAY: u64 = 200_000;

/// Workers and tasks of a run.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// Names and capacities.
    pub workers: Vec<(WorkerId, Capacity)>,
    /// In any order.
    pub tasks: Vec<Arrival>,
    /// In any order.
    pub jobs: Vec<JobArrival>,
}

/// A task that somebody will submit.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Milliseconds from the start.
    pub at: u64,
    /// What.
    pub spec: Arc<TaskSpec>,
    /// When the user cancels it, in milliseconds after it was acknowledged.
    pub cancel_after: Option<u64>,
    /// When users hold it and let it go.
    pub hold: Option<Hold>,
}

/// A time in which users keep a task from being placed. Only of a task with a total time, which ends
/// one whose release comes before a hold that was long on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// In milliseconds after it was acknowledged; none when it is submitted so.
    pub after: Option<u64>,
    /// In milliseconds after it was acknowledged.
    pub release: u64,
}

/// What the program in a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Milliseconds until it ends by itself.
    pub duration: u64,
    /// Its code.
    pub exit_code: i32,
    /// Whether only SIGKILL ends it.
    pub ignores_term: bool,
    /// Whether the engine refuses to start it.
    pub cannot_start: bool,
}

impl Program {
    /// The program of a task; one that says nothing ends at once with code 0.
    #[must_use]
    pub fn of(spec: &TaskSpec) -> Self {
        let number = |name: &str| spec.container.env.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Self {
            duration: number(DURATION),
            exit_code: i32::try_from(number(EXIT)).unwrap_or(0),
            ignores_term: number(IGNORE_TERM) == 1,
            cannot_start: number(CANNOT_START) == 1,
        }
    }

    /// Writes the program into a task's environment.
    pub fn put(self, spec: &mut TaskSpec) {
        let flag = |on: bool| u64::from(on).to_string();
        let env = &mut spec.container.env;
        env.insert(DURATION.into(), self.duration.to_string());
        env.insert(EXIT.into(), self.exit_code.to_string());
        env.insert(IGNORE_TERM.into(), flag(self.ignores_term));
        env.insert(CANNOT_START.into(), flag(self.cannot_start));
    }
}

impl Workload {
    /// A workload of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a worker.
    #[must_use]
    pub fn worker(mut self, id: WorkerId, capacity: Capacity) -> Self {
        self.workers.push((id, capacity));
        self
    }

    /// Adds a task that arrives at `at` ms and runs for exactly `runtime` ms.
    /// # Errors
    /// None for the image that is used; the signature is that of the spec's reader.
    pub fn task(mut self, at: u64, demand: Demand, runtime: u64) -> Result<Self, SpecError> {
        let mut spec = TaskSpec::of_image("fake:batch")?;
        spec.demand = demand;
        spec.allow_pending = true;
        Program { duration: runtime, exit_code: 0, ignores_term: false, cannot_start: false }.put(&mut spec);
        self.tasks.push(Arrival { at, spec: Arc::new(spec), cancel_after: None, hold: None });
        Ok(self)
    }

    /// The longest that a pull may take, in milliseconds.
    pub(crate) fn longest_pull(&self) -> u64 {
        self.specs().map(|(spec, _)| millis(spec.limits.pull)).max().unwrap_or(0)
    }

    /// What tasks run, those of jobs among them, each with the number of tasks that run it.
    pub(crate) fn specs(&self) -> impl Iterator<Item = (&TaskSpec, u64)> {
        let alone = self.tasks.iter().map(|arrival| (&*arrival.spec, 1));
        let groups = self.jobs.iter().flat_map(|job| &job.plan.groups);
        alone.chain(groups.map(|group| (&*group.spec, u64::from(group.count()))))
    }

    /// The workload of a seed: 3 to 8 workers, 30 to 80 tasks within so many milliseconds.
    /// # Errors
    /// None for the names and images that are used.
    pub fn draw(rng: &mut Rng, horizon: u64) -> Result<Self, SpecError> {
        let mut workload = Self::new();
        for index in 0..rng.between((3, 8)) {
            if let Ok(id) = format!("w{index}").parse() {
                workload.workers.push((id, capacity(rng)));
            }
        }
        for index in 0..rng.between((30, 80)) {
            let mut spec = spec(rng, &workload.workers, index)?;
            let hold = times(rng, &mut spec);
            let spec = Arc::new(spec);
            let cancel_after = rng.chance(200).then(|| rng.between((0, 200_000)));
            workload.tasks.push(Arrival { at: rng.below(horizon * 8 / 10), spec, cancel_after, hold });
        }
        Ok(workload)
    }
}

impl Workload {
    /// Lets tasks come in four crowds within the horizon, each as important as it happens: so some come whose place
    /// others have.
    pub(crate) fn crowd(&mut self, rng: &mut Rng, horizon: u64) {
        for arrival in &mut self.tasks {
            arrival.at = rng.below(4) * horizon / 5 + rng.below(60_000);
            Arc::make_mut(&mut arrival.spec).priority = i32::try_from(rng.below(201)).unwrap_or(0) - 100;
        }
    }
}

fn capacity(rng: &mut Rng) -> Capacity {
    let gpus = if rng.chance(300) { rng.between((1, 4)) } else { 0 };
    let model: Arc<str> = if rng.chance(500) { "a100".into() } else { "t4".into() };
    Capacity {
        cpu_milli: rng.between((1, 16)) * WHOLE,
        memory: rng.between((1, 64)) * GIB,
        storage: rng.between((10, 100)) * GIB,
        gpus: (0..gpus).map(|gpu| Gpu { id: gpu.to_string().into(), model: Arc::clone(&model) }).collect(),
    }
}

/// A task that some worker can run.
fn spec(rng: &mut Rng, workers: &[(WorkerId, Capacity)], index: u64) -> Result<TaskSpec, SpecError> {
    let mut spec = TaskSpec::of_image(["fake:faults", "fake:more"][rng.index(2)])?;
    if let Some((id, capacity)) = workers.get(rng.index(workers.len())) {
        spec.demand = demand(rng, capacity);
        spec.worker_id = rng.chance(100).then(|| id.clone());
    }
    spec.allow_pending = true;
    spec.priority = if rng.chance(300) { i32::try_from(rng.below(201)).unwrap_or(0) - 100 } else { 0 };
    spec.idempotency_key = rng.chance(700).then(|| format!("key-{index}").into());
    spec.limits.kill_after = Duration::from_secs([0, 1, 10, 10, 10, 60][rng.index(6)]);
    spec.limits.pull = Duration::from_secs([15, 30, 60, 120][rng.index(4)]);
    spec.limits.run = rng.chance(100).then(|| Duration::from_millis(rng.between((1, 300_000))));
    let duration = match rng.below(4) {
        0 => rng.between((0, 50)),
        1 => rng.between((1000, 600_000)),
        _ => rng.between((1000, 120_000)),
    };
    if let Some((_, capacity)) = workers.get(rng.index(workers.len()))
        && rng.chance(200)
    {
        let others = (0..rng.between((1, 2))).map(|_| demand(rng, capacity)).filter(|other| *other != spec.demand);
        spec.alternatives = others.collect();
        spec.alternatives.dedup();
    }
    let exit_code = if rng.chance(150) { i32::try_from(rng.between((1, 127))).unwrap_or(1) } else { 0 };
    Program { duration, exit_code, ignores_term: rng.chance(150), cannot_start: rng.chance(20) }.put(&mut spec);
    Ok(spec)
}

/// Limits and delays of a task beyond those of its attempts.
fn times(rng: &mut Rng, spec: &mut TaskSpec) -> Option<Hold> {
    let retries_of_it = rng.chance(300).then(|| retries(rng));
    let mut some = |per_mille, most| {
        let drawn = Duration::from_millis(rng.between((1, most)));
        rng.chance(per_mille).then_some(drawn)
    };
    spec.limits.queue = some(100, 200_000);
    spec.limits.total = some(200, LONGEST_TOTAL);
    spec.retries = retries_of_it;
    spec.not_before = some(100, LONGEST_DELAY).map(NotBefore::After);
    if rng.chance(50) {
        spec.not_before = Some(NotBefore::At(START + Duration::from_millis(rng.below(LONGEST_DELAY))));
    }
    if rng.chance(150) {
        spec.on_disconnect = OnDisconnect::Keep;
    }
    if spec.limits.total.is_none() || !rng.chance(400) {
        return None;
    }
    spec.hold = rng.chance(500);
    let after = (!spec.hold).then(|| rng.between((0, 60_000)));
    Some(Hold { after, release: rng.between((0, 200_000)) })
}

fn retries(rng: &mut Rng) -> Retries {
    let on = RetryOn {
        worker_lost: rng.chance(500),
        image_pull: rng.chance(500),
        any_exit: rng.chance(500),
        ..RetryOn::default()
    };
    let max = u32::try_from(rng.below(4)).unwrap_or(0);
    Retries { max, on, initial: Duration::from_millis(rng.below(10_000)), ..Retries::DEFAULT }
}

fn demand(rng: &mut Rng, capacity: &Capacity) -> Demand {
    let mut part = |whole: u64| {
        let most = if rng.chance(150) { whole } else { whole / 2 };
        rng.between((1, most.max(1)))
    };
    let (cpu_milli, memory, storage) =
        (part(capacity.cpu_milli), part(capacity.memory / MIB) * MIB, part(capacity.storage / GIB) * GIB);
    let devices = capacity.gpus.len() as u64;
    let gpu_milli = match rng.below(3) {
        _ if devices == 0 => 0,
        0 => 0,
        1 => rng.between((1, WHOLE - 1)),
        _ => rng.between((1, devices)) * WHOLE,
    };
    let gpu_model = capacity.gpus.first().filter(|_| gpu_milli > 0).map(|gpu| Arc::clone(&gpu.model));
    Demand { cpu_milli, memory, storage, gpu_milli, gpu_model }
}
