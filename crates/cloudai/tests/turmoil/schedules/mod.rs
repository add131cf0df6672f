//! A cluster places as the simulator says: the same strategy, knobs and workload, on each of them.
//!
//! The simulator's cluster hears of everything at once, the real one after the messages in between. So the workloads
//! are such that no delay which this network has changes a decision (`workload`), and what is shown of every task is:
//! it runs on the simulator's worker, and starts no earlier than there, and no later than there were every message
//! as slow as the network lets one be.

mod cluster;
mod workload;

use cloudai_core::strategy::ALL;
use cloudai_core::strategy::knobs::Knobs;
use cloudai_sim::replay::{Assignment, Metrics, Replay, Runtimes, Workload, judge};
use workload::{Arrivals, Delays, delayed, steady};

/// What is held against the simulator as a whole: of a plan that is improved by random moves every millisecond changes
/// much.
const AS_GOOD: [&str; 3] = ["ai", "ai_aggressive", "ai_predictive"];

/// A number of a schedule.
type Number = fn(&Metrics) -> f64;

/// What plans are made for.
const GOALS: [(&str, Number); 2] =
    [("makespan", |metrics| metrics.makespan_s), ("mean wait", |metrics| metrics.wait_mean_s)];

/// What places, here and there.
#[derive(Clone, Copy, Debug)]
struct Placer {
    name: &'static str,
    knobs: Knobs,
}

impl Placer {
    fn of(name: &'static str) -> Self {
        Self { name, knobs: Knobs::default() }
    }

    /// One that improves a plan by so many random moves.
    fn with_moves(name: &'static str, moves: u32) -> Self {
        Self { name, knobs: Knobs { planner_evaluations: moves, ..Knobs::default() } }
    }

    /// The simulator's schedule.
    fn simulated(&self, workload: &Workload) -> Vec<Assignment> {
        Replay { strategy: self.name.into(), runtimes: Runtimes::Estimate, knobs: self.knobs }.run(workload).unwrap()
    }

    /// The schedule of a real cluster.
    fn real(&self, seed: u64, workload: &Workload) -> Vec<Assignment> {
        cluster::run(seed, self.name, self.knobs, workload)
    }
}

/// Where a cluster's schedule is not the simulator's, for people.
fn differences(workload: &Workload, real: &[Assignment], simulator: Placer) -> Vec<String> {
    let [soonest, latest] =
        [Delays::None, Delays::Longest].map(|delays| simulator.simulated(&delayed(workload, delays)));
    let each = real.iter().zip(soonest.iter().zip(&latest));
    let differ = each.filter_map(|(real, (soonest, latest))| {
        let same = real.worker == soonest.worker
            && real.start_s >= soonest.start_s - workload::ROUNDING_S
            && real.start_s <= latest.start_s + workload::ROUNDING_S;
        let said = format!("{soonest:?}, at {:.3} at the latest", latest.start_s);
        (!same).then(|| format!("the cluster: {real:?}\n  simulator: {said}"))
    });
    differ.collect()
}

/// Shows that a cluster follows the simulator task for task.
fn follows(seed: u64, placer: Placer, arrivals: Arrivals) {
    let workload = steady(arrivals, |workload| placer.simulated(workload));
    let real = placer.real(seed, &workload);
    let differ = differences(&workload, &real, placer);
    let (name, count) = (placer.name, workload.tasks.len());
    assert!(differ.is_empty(), "{name}: {} of {count} tasks differ\n{}", differ.len(), differ.join("\n"));
}

fn stream_follows(chosen: impl Fn(&str) -> bool) {
    for (seed, (name, _)) in (0..).zip(ALL).filter(|(_, (name, _))| chosen(name)) {
        follows(seed, Placer::with_moves(name, 1_000), Arrivals::Stream);
    }
}

#[test]
fn a_cluster_places_a_stream_as_the_simulator_does_by_every_baseline() {
    stream_follows(|name| !name.starts_with("ai"));
}

#[test]
fn a_cluster_places_a_stream_as_the_simulator_does_by_other_strategies() {
    stream_follows(|name| name.starts_with("ai"));
}

#[test]
fn a_cluster_places_a_backlog_as_the_simulator_does() {
    for (seed, (name, _)) in (0..).zip(ALL) {
        follows(seed, Placer::with_moves(name, 0), Arrivals::Backlog);
    }
}

#[test]
fn a_cluster_that_places_by_another_strategy_is_noticed() {
    let [simulated, real] = ["greedy", "balanced"].map(Placer::of);
    let workload = steady(Arrivals::Stream, |workload| simulated.simulated(workload));
    assert!(!differences(&workload, &real.real(0, &workload), simulated).is_empty());
}

#[test]
fn a_planned_backlog_is_as_good_on_a_cluster_as_in_the_simulator() {
    for (seed, name) in (0..).zip(AS_GOOD) {
        let placer = Placer::with_moves(name, 2_000);
        let workload = steady(Arrivals::Backlog, |workload| Placer::of("greedy").simulated(workload));
        let simulated = |delays| {
            let workload = delayed(&workload, delays);
            judge(&workload, &placer.simulated(&workload))
        };
        let here: Vec<Metrics> = (0..8).map(Delays::Drawn).chain([Delays::None]).map(simulated).collect();
        let there = judge(&workload, &placer.real(seed, &workload));
        assert!(there.feasible, "{name}: {:?}", there.errors);
        for (what, of) in GOALS {
            let worst = here.iter().map(of).fold(0.0, f64::max);
            assert!(of(&there) <= 1.1 * worst, "{name}: {what} {} s, in the simulator at most {worst} s", of(&there));
        }
    }
}
