//! With nothing wrong and exact run times the world is a scheduler's simulator: makespans of a
//! small workload, computed by hand.

use cloudai_core::ids::WorkerId;
use cloudai_core::job::{Elements, Group, Indexes, JobPlan, Need, On};
use cloudai_core::resources::{Capacity, Demand, GIB};
use cloudai_core::spec::TaskSpec;
use cloudai_core::state::Status;
use cloudai_core::task::DependsWhen;
use cloudai_sim::workload::{JobArrival, Program, Workload};
use cloudai_sim::world::{Summary, World};
use std::sync::Arc;

/// When the tasks arrive: long after the workers.
const ARRIVAL: u64 = 10_000;

fn cores(cores: u64) -> Capacity {
    Capacity { cpu_milli: cores * 1000, memory: 64 * GIB, storage: 64 * GIB, gpus: Vec::new() }
}

fn name(name: &str) -> WorkerId {
    name.parse().expect("a name")
}

/// Workers of 4 and 2 cores; tasks of 1 core for 2 s, 1 core for 8 s and 4 cores for 3 s.
fn three_tasks(strategy: &str) -> Summary {
    let mut workload = Workload::new().worker(name("w0"), cores(4)).worker(name("w1"), cores(2));
    for (cpus, runtime) in [(1, 2000), (1, 8000), (4, 3000)] {
        let demand = Demand { cpu_milli: cpus * 1000, memory: GIB, ..Demand::default() };
        workload = workload.task(ARRIVAL, demand, runtime).expect("a spec");
    }
    World::batch(workload, strategy).expect("a strategy").run().expect("no rule is broken")
}

/// Worker, start and end of each task in the order of submission, from their arrival on.
fn schedule(summary: &Summary) -> Vec<(&str, u64, u64)> {
    summary
        .runs
        .iter()
        .map(|run| (run.worker.as_str(), run.start - ARRIVAL, run.end.expect("all ended") - ARRIVAL))
        .collect()
}

#[test]
fn greedy_fills_the_first_worker_and_makes_the_large_task_wait() {
    let summary = three_tasks("greedy");
    assert_eq!(schedule(&summary), [("w0", 0, 2000), ("w0", 0, 8000), ("w0", 8000, 11_000)]);
    assert_eq!(summary.makespan() - ARRIVAL, 11_000);
    assert_eq!(summary.ends[&Status::Completed], 3);
}

#[test]
fn round_robin_spreads_and_lets_the_large_task_in_earlier() {
    let summary = three_tasks("round_robin");
    assert_eq!(schedule(&summary), [("w0", 0, 2000), ("w1", 0, 8000), ("w0", 2000, 5000)]);
    assert_eq!(summary.makespan() - ARRIVAL, 8000);
}

/// One task of a core for so many milliseconds, or an array of them, that needs the success of another group.
fn group(name: &str, runtime: u64, elements: Option<Elements>, needs: Option<u32>) -> Group {
    let mut spec = TaskSpec::of_image("fake:batch").expect("a spec");
    spec.demand = Demand { cpu_milli: 1000, memory: GIB, ..Demand::default() };
    Program { duration: runtime, exit_code: 0, ignores_term: false, cannot_start: false }.put(&mut spec);
    let needs = needs.map(|group| Need { on: On::Group(group), when: DependsWhen::Success });
    Group { name: name.into(), spec: Arc::new(spec), elements, needs: needs.into_iter().collect() }
}

#[test]
fn a_job_runs_in_the_order_of_its_needs_and_no_more_of_an_array_at_once_than_may() {
    let map = Elements { indexes: Indexes::up_to(4), at_once: Some(2), gang: false, each: Vec::new() };
    let groups = vec![
        group("reduce", 500, None, Some(1)),
        group("map", 2000, Some(map), Some(2)),
        group("split", 1000, None, None),
    ];
    let plan = Arc::new(JobPlan { name: None, max_fails: None, groups });
    let mut workload = Workload::new().worker(name("w0"), cores(4));
    let (after, deeds) = (Vec::new(), Vec::new());
    workload.jobs.push(JobArrival { at: ARRIVAL, plan, key: None, held: false, after, deeds });
    let summary = World::batch(workload, "greedy").expect("a strategy").run().expect("no rule is broken");
    let (first, second) = (("w0", 1000, 3000), ("w0", 3000, 5000));
    // In the order of the plan.
    assert_eq!(schedule(&summary), [("w0", 5000, 5500), first, first, second, second, ("w0", 0, 1000)]);
}

#[test]
fn a_batch_without_faults_never_repeats_an_attempt() {
    for (name, _) in cloudai_core::strategy::ALL {
        assert!(three_tasks(name).runs.iter().all(|run| run.attempt.number == 1), "{name}");
    }
}

#[test]
fn a_strategy_that_does_not_exist_makes_no_world() {
    assert!(World::batch(Workload::new(), "oracle").is_none());
}
