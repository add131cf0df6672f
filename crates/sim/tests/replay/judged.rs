//! The metrics are those of an independent referee: schedules of other schedulers with the numbers that it gave them.

use cloudai_sim::replay::{Assignment, Machine, Task, Workload, csv, judge};
use serde_json::Value;
use std::path::{Path, PathBuf};

pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

pub(crate) fn fixture(name: &str) -> Workload {
    let file = |of: &str| data().join(format!("{name}.{of}.csv"));
    csv::read_workload(&file("tasks"), &file("workers")).unwrap()
}

/// Equal to 1e-6, relative or absolute.
fn equal(ours: &Value, theirs: &Value) -> bool {
    match (ours.as_f64(), theirs.as_f64()) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= 1e-6 * theirs.abs().max(1.0),
        _ => ours == theirs,
    }
}

#[test]
fn every_number_is_the_referees() {
    let mut judged = 0;
    for file in std::fs::read_dir(data().join("logs")).unwrap() {
        let log = file.unwrap().path();
        if log.extension().is_none_or(|ending| ending != "csv") {
            continue;
        }
        let name = log.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned();
        let workload = fixture(&name);
        let schedule = csv::read_assignments(&log, &workload).unwrap();
        let ours = serde_json::to_value(judge(&workload, &schedule)).unwrap();
        let text = std::fs::read_to_string(log.with_extension("json")).unwrap();
        let theirs: Value = serde_json::from_str(&text).unwrap();
        let (ours, theirs) = (ours.as_object().unwrap(), theirs.as_object().unwrap());
        let (have, want): (Vec<_>, Vec<_>) = (ours.keys().collect(), theirs.keys().collect());
        assert_eq!(have, want, "{}", log.display());
        for (key, want) in theirs {
            assert!(equal(&ours[key], want), "{}: {key} is {}, the referee says {want}", log.display(), ours[key]);
        }
        judged += 1;
    }
    assert!(judged >= 20, "only {judged} schedules were judged");
}

#[test]
fn a_written_schedule_is_read_as_the_same_numbers() {
    let workload = fixture("small20_1");
    let odd = [0.1 + 0.2, 1.0 / 3.0, 1e-9, 123_456_789.123_456_79, 0.0];
    let schedule: Vec<_> = (0..5)
        .map(|task| Assignment { task, worker: task % 3, start_s: odd[task], end_s: odd[4 - task] * 7.0 })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("assignments.csv");
    let workers: Vec<&str> = workload.workers.iter().map(|worker| worker.id.as_str()).collect();
    std::fs::write(&file, csv::assignments(&workload, &workers, &schedule).unwrap()).unwrap();
    assert_eq!(csv::read_assignments(&file, &workload).unwrap(), schedule);
}

fn two_tasks() -> Workload {
    let task = |id: &str, arrival_s| Task {
        id: id.into(),
        arrival_s,
        demand: [2.0, 1.0, 0.0, 0.0],
        runtime_s: 10.0,
        ..Task::default()
    };
    let worker = Machine { id: "w".into(), capacity: [3.0, 8.0, 0.0, 0.0] };
    Workload { name: "two".into(), tasks: vec![task("a", 0.0), task("b", 5.0)], workers: vec![worker] }
}

fn at(task: usize, start_s: f64) -> Assignment {
    Assignment { task, worker: 0, start_s, end_s: start_s + 10.0 }
}

#[test]
fn a_schedule_that_is_none_is_told_why() {
    let rows: &[(&str, Vec<Assignment>, &str)] = &[
        ("both at once", vec![at(0, 0.0), at(1, 5.0)], "worker w over capacity in cpu at t=5.000: 4 > 3"),
        ("too early", vec![at(0, 4.0), at(1, 4.0)], "task b starts 4 before arrival 5"),
        ("too long", vec![at(0, 0.0), Assignment { end_s: 30.0, ..at(1, 10.0) }], "task b ran 20 s, runtime is 10"),
        ("twice", vec![at(0, 0.0), at(1, 10.0), at(0, 20.0)], "task a assigned more than once"),
        ("not at all", vec![at(0, 0.0)], "1 tasks never run, e.g. b"),
        ("no such worker", vec![at(0, 0.0), Assignment { worker: 7, ..at(1, 10.0) }], "task b: unknown worker 7"),
        ("no such task", vec![at(0, 0.0), at(1, 10.0), at(2, 20.0)], "unknown task 2"),
        ("no time", vec![at(0, 0.0), at(1, f64::NAN)], "task b: bad times"),
    ];
    for (what, schedule, error) in rows {
        let metrics = judge(&two_tasks(), schedule);
        assert!(!metrics.feasible, "{what}");
        assert!(metrics.errors.iter().any(|said| said == error), "{what}: {:?}", metrics.errors);
    }
    let metrics = judge(&two_tasks(), &[at(0, 0.0), at(1, 10.0)]);
    assert_eq!(metrics.errors, Vec::<String>::new());
    assert!((metrics.makespan_s - 20.0).abs() < 1e-9 && (metrics.wait_mean_s - 2.5).abs() < 1e-9);
}
