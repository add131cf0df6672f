//! With nothing wrong and exact run times the world is a scheduler's simulator: makespans of a
//! small workload, computed by hand.

use cloudai_core::ids::WorkerId;
use cloudai_core::resources::{Capacity, Demand, GIB};
use cloudai_core::state::Status;
use cloudai_sim::workload::Workload;
use cloudai_sim::world::{Summary, World};

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
