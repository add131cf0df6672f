//! Every strategy on every workload of the tests (SPEC 5).

use crate::judged::{data, fixture};
use cloudai_core::strategy::{ALL, Knobs};
use cloudai_sim::replay::metrics::judge;
use cloudai_sim::replay::{Assignment, Machine, Replay, Runtimes, Task, Workload};

/// The workloads of up to 700 tasks.
fn workloads() -> Vec<Workload> {
    let mut names: Vec<String> = std::fs::read_dir(data())
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".tasks.csv")?.to_owned()))
        .collect();
    names.sort();
    let all: Vec<Workload> =
        names.iter().map(|name| fixture(name)).filter(|workload| workload.tasks.len() <= 700).collect();
    assert!(all.len() >= 20, "the workloads are there: {}", all.len());
    all
}

/// Planning little, so that the tests are quick.
fn run(workload: &Workload, name: &str, runtimes: Runtimes) -> Vec<Assignment> {
    let knobs = Knobs { planner_evaluations: 100, ..Knobs::default() };
    Replay { strategy: name.into(), runtimes, knobs }.run(workload).unwrap()
}

#[test]
fn every_strategy_makes_a_schedule_of_every_workload_and_the_same_one_again() {
    for workload in workloads() {
        for (name, _) in ALL {
            let first = run(&workload, name, Runtimes::Estimate);
            let judged = judge(&workload, &first);
            assert!(judged.feasible, "{name} on {}: {:?}", workload.name, judged.errors);
            if workload.tasks.len() <= 300 {
                assert_eq!(run(&workload, name, Runtimes::Estimate), first, "{name} on {}", workload.name);
            }
        }
    }
}

#[test]
fn no_strategy_knows_a_run_time_that_it_was_not_told() {
    for workload in workloads().into_iter().filter(|workload| workload.name.starts_with("appc")) {
        let mut other = workload.clone();
        other.tasks.iter_mut().for_each(|task| task.runtime_s = task.runtime_s * 0.5 + 1.0);
        for (name, _) in ALL {
            for runtimes in [Runtimes::Estimate, Runtimes::Predicted] {
                let (one, two) = (run(&workload, name, runtimes), run(&other, name, runtimes));
                let ended = |all: &[Assignment]| all.iter().map(|one| one.end_s).fold(f64::INFINITY, f64::min);
                let before = ended(&one).min(ended(&two));
                let begun = |all: &[Assignment]| {
                    let early = all.iter().filter(|one| one.start_s < before);
                    early.map(|one| (one.task, one.worker)).collect::<Vec<_>>()
                };
                assert_eq!(begun(&one), begun(&two), "{name} on {}: until the first end", workload.name);
            }
        }
    }
}

#[test]
fn the_ai_strategies_wait_less_than_strict_order_on_average() {
    let workloads = workloads();
    let wait = |name: &str| -> f64 {
        workloads.iter().map(|workload| judge(workload, &run(workload, name, Runtimes::Estimate)).wait_mean_s).sum()
    };
    let strict = wait("greedy");
    for name in ["ai", "ai_multi_objective", "ai_predictive", "ai_load_balanced"] {
        assert!(wait(name) < strict * 0.75, "{name}: {} of {strict}", wait(name));
    }
}

/// Long and short tasks in turn, which differ by their image alone: some one after the other, then many at once.
fn of_two_images() -> Workload {
    let task = |at: usize| Task {
        id: at.to_string(),
        arrival_s: if at < 20 { at as f64 * 200.0 } else { 4_000.0 },
        demand: [1.0, 0.0, 0.0, 0.0],
        runtime_s: [100.0, 1.0][at % 2],
        image: ["train", "look"][at % 2].into(),
        ..Task::default()
    };
    let workers = vec![Machine { id: "w".into(), capacity: [1.0, 0.0, 0.0, 0.0] }];
    Workload { name: "two".into(), tasks: (0..40).map(task).collect(), workers }
}

#[test]
fn strategies_are_told_what_users_said_and_else_what_was_learned_of_the_image() {
    let mut workload = of_two_images();
    let wait = |workload: &Workload, runtimes| judge(workload, &run(workload, "ai", runtimes)).wait_mean_s;
    let learned = wait(&workload, Runtimes::Estimate);
    workload.tasks.iter_mut().for_each(|task| task.estimate_s = Some(101.0 - task.runtime_s));
    assert!(2.0 * learned < wait(&workload, Runtimes::Estimate), "short ones went first; users are believed");
}

#[test]
fn another_seed_draws_another_plan_of_the_same_tasks() {
    let workload = workloads().into_iter().find(|workload| workload.name == "appcA1").unwrap();
    let knobs = |seed| Knobs { planner_evaluations: 100, seed, ..Knobs::default() };
    let replay = |seed| Replay { strategy: "ai_aggressive".into(), runtimes: Runtimes::Exact, knobs: knobs(seed) };
    let run = |seed| replay(seed).run(&workload).unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_schedule_of_half_a_year_in_milliseconds_is_as_feasible_as_a_short_one() {
    let machine = Machine { id: "w".into(), capacity: [1.0; 4] };
    let task = |number: u32| Task {
        id: number.to_string(),
        arrival_s: f64::from(number) * 40_000.003,
        demand: [1.0, 0.5, 0.5, 0.0],
        runtime_s: 50_000.0 + f64::from(number % 997) / 1000.0,
        ..Task::default()
    };
    let workload = Workload { name: "long".into(), tasks: (0..400).map(task).collect(), workers: vec![machine] };
    let judged = judge(&workload, &run(&workload, "greedy", Runtimes::Estimate));
    assert!(judged.makespan_s > 1.5e7 && judged.feasible, "{:?}", judged.errors);
}
