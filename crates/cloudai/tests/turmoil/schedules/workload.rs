//! Workloads that are placed alike whatever a message takes: so far apart is what happens in their schedules.

use crate::world::{LATENCY, TICK};
use cloudai_sim::replay::{Assignment, Machine, Task, Workload};
use cloudai_sim::rng::Rng;
use std::time::Duration;

/// What a task may take longer than it runs, from its place to the news of its end: two messages, and a tick before
/// each of them is sent, before it is seen, and before the run is seen to be over.
const LONGEST: Duration = LATENCY.saturating_mul(2).saturating_add(TICK.saturating_mul(5));
/// Between two things that happen in a schedule: about what nine tasks that follow each other are delayed by.
const APART_S: f64 = 0.6;
/// Seconds are sums of milliseconds.
pub(super) const ROUNDING_S: f64 = 1e-6;
/// Workloads that are tried at most.
const TRIES: u64 = 50;
/// Draws of delays under which a workload is placed alike.
const DRAWS: u64 = 3;

/// Cores of the workers; each has 2 GB of memory and 10 GB of disk for a core.
const CORES: [u32; 5] = [4, 8, 8, 6, 16];

/// When tasks come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrivals {
    /// One after the other, a little faster than they can be run.
    Stream,
    /// All at once, of each third one nobody says how long it runs.
    Backlog,
}

/// What is added to the arrivals and the run times of a workload.
#[derive(Clone, Copy, Debug)]
pub(super) enum Delays {
    None,
    /// What the network can add at most.
    Longest,
    /// Something in between, for each another.
    Drawn(u64),
}

/// A workload that a schedule-maker places alike under all [`Delays`].
pub(super) fn steady(arrivals: Arrivals, place: impl Fn(&Workload) -> Vec<Assignment>) -> Workload {
    let mut workloads = (0..TRIES).map(|seed| apart(draw(seed, arrivals), &place));
    workloads.find(|workload| is_steady(workload, &place)).expect("none of the workloads is placed alike")
}

fn draw(seed: u64, arrivals: Arrivals) -> Workload {
    let mut rng = Rng::new(seed);
    let (count, between) = match arrivals {
        Arrivals::Stream => (60, (600, 2_800)),
        Arrivals::Backlog => (40, (0, 0)),
    };
    let mut at = 0;
    let tasks = (0..count).map(|number| {
        at += rng.between(between);
        let runtime = rng.between((4_000, 40_000));
        let cores = small(rng.between((1, 6)));
        // In a stream nobody runs longer than was said: what then may start is found out by looking now and then,
        // which the master does oftener than the simulator. Of a backlog it plays no part.
        let is_silent = arrivals == Arrivals::Backlog && number % 3 == 0;
        let said = seconds(runtime * rng.between((2, 4))).ceil() + 10.0;
        Task {
            id: format!("t{number}"),
            arrival_s: seconds(at),
            demand: [cores, small(rng.between((1, 12))), 1.0, 0.0],
            runtime_s: seconds(runtime),
            estimate_s: (!is_silent).then_some(said),
            priority: i32::try_from(rng.between((0, 20))).unwrap() - 10,
            ..Task::default()
        }
    });
    let tasks = tasks.collect();
    let machine = |(number, cores): (usize, &u32)| {
        let cores = f64::from(*cores);
        Machine { id: format!("w{number}"), capacity: [cores, 2.0 * cores, 10.0 * cores, 0.0] }
    };
    Workload { name: format!("{arrivals:?} {seed}"), tasks, workers: CORES.iter().enumerate().map(machine).collect() }
}

/// Lengthens runs until no two things of the schedule happen close to each other. Nothing knows how long a run is
/// before its end: a change leaves all that was before as it is.
fn apart(mut workload: Workload, place: impl Fn(&Workload) -> Vec<Assignment>) -> Workload {
    loop {
        let assignments = place(&workload);
        let mut arrivals: Vec<f64> = workload.tasks.iter().map(|task| task.arrival_s).collect();
        arrivals.dedup();
        let ends = assignments.iter().map(|one| (one.end_s, Some(one.task)));
        let mut events: Vec<(f64, Option<usize>)> = arrivals.into_iter().map(|at| (at, None)).chain(ends).collect();
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        let close = events.windows(2).find(|pair| pair[1].0 - pair[0].0 < APART_S - ROUNDING_S);
        let Some(&[(first, earlier), (second, later)]) = close else { return workload };
        let (task, other) = match (later, earlier) {
            (Some(task), _) => (task, first),
            (None, Some(task)) => (task, second),
            (None, None) => unreachable!("arrivals are drawn apart"),
        };
        workload.tasks[task].runtime_s = other + APART_S - assignments[task].start_s;
        let Task { runtime_s, estimate_s, .. } = &workload.tasks[task];
        assert!(estimate_s.is_none_or(|said| *runtime_s < said));
    }
}

fn is_steady(workload: &Workload, place: impl Fn(&Workload) -> Vec<Assignment>) -> bool {
    let placed = |delays| in_order(&place(&delayed(workload, delays)));
    let expected = placed(Delays::None);
    let delays = (0..DRAWS).map(Delays::Drawn).chain([Delays::Longest]);
    delays.into_iter().all(|delays| placed(delays) == expected)
}

/// Tasks in the order of their starts, with their workers.
fn in_order(assignments: &[Assignment]) -> Vec<(usize, usize)> {
    let mut order: Vec<&Assignment> = assignments.iter().collect();
    order.sort_by(|a, b| a.start_s.total_cmp(&b.start_s).then(a.task.cmp(&b.task)));
    order.into_iter().map(|one| (one.task, one.worker)).collect()
}

/// The workload as a master sees it that hears of everything so late.
pub(super) fn delayed(workload: &Workload, delays: Delays) -> Workload {
    let mut rng = match delays {
        Delays::Drawn(seed) => Rng::new(seed),
        Delays::None | Delays::Longest => Rng::new(0),
    };
    let mut delay = || match delays {
        Delays::None => 0.0,
        Delays::Longest => LONGEST.as_secs_f64(),
        Delays::Drawn(_) => seconds(rng.below(u64::try_from(LONGEST.as_millis()).unwrap())),
    };
    let mut delayed = workload.clone();
    // What is submitted at once comes at once.
    for together in delayed.tasks.chunk_by_mut(|one, next| one.arrival_s == next.arrival_s) {
        let later = delay();
        together.iter_mut().for_each(|task| task.arrival_s += later);
    }
    delayed.tasks.iter_mut().for_each(|task| task.runtime_s += delay());
    delayed
}

fn seconds(millis: u64) -> f64 {
    Duration::from_millis(millis).as_secs_f64()
}

fn small(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap())
}
