//! Which tasks become part of a workload, with which times, and how their real schedule is judged.

use super::*;
use cloudai_sim::replay::{csv, judge, written};
use serde_json::{Value, json};

const WORKER: &str = "w1";

fn worker(id: &str, cores: f64) -> Worker {
    let amounts = json!({"cpu_cores": cores, "memory_gb": cores * 2.0, "storage_gb": 10.0 * cores, "gpu_cores": 0.0});
    let json = json!({
        "id": id, "status": "active", "address": null, "capacity": amounts, "allocated": amounts, "available": amounts,
        "gpus": [], "tasks": 0, "labels": {}, "version": "0.1.0", "executor": "fake", "engine": "", "last_seen": null,
        "registered_at": at(0)
    });
    serde_json::from_value(json).unwrap()
}

/// A moment of the API, so many seconds after midnight.
fn at(second: u32) -> String {
    format!("2026-01-31T00:{:02}:{:02}.250Z", second / 60, second % 60)
}

/// A task that was submitted at a second of the day.
fn task(created: u32, fields: Value) -> Task {
    let mut task = json!({
        "id": format!("task-{created}"), "name": null, "image": "busybox", "user_id": "ann", "job_id": null,
        "status": "completed", "phase": null, "reason": null, "message": "", "attempt": 1, "exit_code": 0,
        "oom_killed": false, "warnings": [], "worker_id": WORKER, "priority": 0,
        "resources": {"cpu_cores": 1.0, "memory_gb": 0.5, "storage_gb": 1.0, "gpu_cores": 0.0}, "labels": {},
        "created_at": at(created), "started_at": null, "finished_at": at(created), "version": 4, "attempts": []
    });
    for (name, value) in fields.as_object().unwrap() {
        task[name] = value.clone();
    }
    serde_json::from_value(task).unwrap()
}

fn attempt(worker: &str, from: Option<u32>, to: Option<u32>, accepted: bool) -> Value {
    json!({
        "attempt": 1, "worker_id": worker, "status": "completed", "reason": null, "message": "", "exit_code": 0,
        "accepted": accepted, "assigned_at": at(0), "started_at": from.map(at), "ended_at": to.map(at),
        "log_records": null, "log_bytes": null
    })
}

/// A task that ran once, on `w1`.
fn ran(created: u32, from: u32, to: u32) -> Task {
    task(created, json!({"attempts": [attempt(WORKER, Some(from), Some(to), true)]}))
}

/// The history of these tasks, the oldest first, on a worker with two cores.
fn past(tasks: &[Task]) -> Past {
    let mut past = Past::on(&[worker(WORKER, 2.0)]);
    assert!(tasks.iter().rev().all(|task| past.take(task, usize::MAX)));
    past
}

#[test]
fn a_task_keeps_what_it_asked_for_and_its_times_count_from_the_first_arrival() {
    let fields = json!({
        "attempts": [attempt(WORKER, Some(30), Some(42), true)], "priority": 7, "estimate_s": 20.5, "due_at": at(70),
        "resources": {"cpu_cores": 1.5, "memory_gb": 0.25, "storage_gb": 3.0, "gpu_cores": 0.0}
    });
    let (workload, actual, begin) = past(&[ran(10, 11, 12), task(20, fields)]).finish().unwrap();
    assert_eq!(begin, moment(&at(10)).unwrap());
    let expected = replay::Task {
        id: "task-20".into(),
        arrival_s: 10.0,
        demand: [1.5, 0.25, 3.0, 0.0],
        runtime_s: 12.0,
        estimate_s: Some(20.5),
        priority: 7,
        deadline_s: Some(60.0),
        user: "ann".into(),
        image: "busybox".into(),
    };
    assert_eq!(workload.tasks[1], expected);
    assert_eq!(workload.workers, [Machine { id: WORKER.into(), capacity: [2.0, 4.0, 20.0, 0.0] }]);
    assert_eq!(actual.outcome.assignments[1], Assignment { task: 1, worker: 0, start_s: 20.0, end_s: 32.0 });
    assert_eq!((actual.outcome.metrics.wait_mean_s, actual.times_only), (5.5, None));
}

#[test]
fn a_start_time_counts_as_the_arrival() {
    let fields = json!({"attempts": [attempt(WORKER, Some(63), Some(64), true)], "not_before": at(60)});
    let (workload, actual, _) = past(&[ran(10, 11, 12), task(20, fields)]).finish().unwrap();
    assert_eq!(workload.tasks[1].arrival_s, 50.0);
    assert_eq!(actual.outcome.metrics.wait_max_s, 3.0);
}

#[test]
fn the_attempt_that_decided_counts_or_the_last_that_ran() {
    let [lost, won] = [attempt("w2", Some(5), Some(9), false), attempt(WORKER, Some(20), Some(27), true)];
    let never = attempt(WORKER, None, Some(30), true);
    let rows = [
        (json!([lost, won]), Some((WORKER, 7.0))),
        (json!([lost, never]), Some(("w2", 4.0))),
        (json!([won, lost]), Some((WORKER, 7.0))),
        (json!([never]), None),
        (json!([attempt(WORKER, Some(5), None, true)]), None),
        (json!([]), None),
    ];
    for (attempts, expected) in rows {
        let found = past(&[task(1, json!({"attempts": attempts}))]).finish();
        let found = found.map(|(workload, actual, _)| {
            let place = actual.outcome.assignments[0].worker;
            (actual.workers[place].clone(), workload.tasks[0].runtime_s)
        });
        assert_eq!(found, expected.map(|(worker, run)| (worker.to_owned(), run)), "{attempts}");
    }
}

#[test]
fn what_can_not_be_replayed_is_counted_by_the_reason() {
    let once = json!([attempt(WORKER, Some(5), Some(9), true)]);
    let large = json!({"cpu_cores": 3.0, "memory_gb": 0.5, "storage_gb": 1.0, "gpu_cores": 0.0});
    let tasks = [
        task(1, json!({"attempts": once})),
        task(2, json!({"attempts": once, "status": "failed", "reason": "timed_out"})),
        task(3, json!({"attempts": once, "status": "cancelled"})),
        task(4, json!({"status": "cancelled"})),
        task(5, json!({"status": "queued", "finished_at": null})),
        task(6, json!({"attempts": once, "resources": large})),
    ];
    let past = past(&tasks);
    let counts = Counts { completed: 1, failed: 1, cancelled: 1, never_ran: 1, live: 1, too_large: 1 };
    assert_eq!((past.counts(), past.counts().replayed()), (&counts, 3));
    assert!(Past::on(&[worker(WORKER, 2.0)]).finish().is_none());
}

#[test]
fn only_one_that_would_be_replayed_is_beyond_the_limit() {
    let mut past = past(&[ran(3, 3, 4)]);
    assert!(past.take(&task(2, json!({"status": "cancelled"})), 1), "it is not replayed");
    assert!(!past.take(&ran(1, 1, 2), 1));
    assert_eq!((past.counts().replayed(), past.counts().never_ran), (1, 1));
}

#[test]
fn amounts_are_kept_as_people_typed_them() {
    // Bytes, as the API tells them in GiB.
    let demand = json!({"cpu_cores": 1.001, "memory_gb": 0.299_999_999_813, "storage_gb": 1.0, "gpu_cores": 0.0});
    let (workload, ..) =
        past(&[task(1, json!({"attempts": [attempt(WORKER, Some(5), Some(9), true)], "resources": demand}))])
            .finish()
            .unwrap();
    assert_eq!(workload.tasks[0].demand, [1.001, 0.3, 1.0, 0.0]);
}

#[test]
fn of_a_schedule_on_workers_that_are_gone_only_times_are_judged() {
    let elsewhere = task(2, json!({"attempts": [attempt("gone", Some(5), Some(9), true)]}));
    let (_, actual, _) = past(&[ran(1, 1, 4), elsewhere]).finish().unwrap();
    assert!(actual.times_only.as_deref().unwrap().contains("gone since (gone)"), "{:?}", actual.times_only);
    assert_eq!(actual.workers, [WORKER, "gone"]);
    let numbers = serde_json::to_value(&actual.outcome.metrics).unwrap();
    assert_eq!((numbers["makespan_s"].as_f64(), numbers["times_only"].as_bool()), (Some(8.0), Some(true)));
    for of_workers in ["workers", "util_cpu", "util_main", "load_std", "lower_bound", "gap"] {
        assert_eq!(numbers.get(of_workers), None, "{of_workers}");
    }
}

#[test]
fn of_a_schedule_on_a_worker_that_has_shrunk_only_times_are_judged() {
    let (_, actual, _) = past(&[ran(1, 1, 9), ran(2, 2, 9), ran(3, 3, 9)]).finish().unwrap();
    assert!(
        actual.times_only.as_deref().unwrap().contains("the workers of now do not allow ("),
        "{:?}",
        actual.times_only
    );
    assert_eq!(actual.outcome.metrics.wait_max_s, 0.0);
}

#[test]
fn amounts_of_odd_bytes_fit_where_they_ran() {
    let mut machine = worker(WORKER, 2.0);
    machine.capacity.memory_gb = 1.0 / 3.0;
    let resources = json!({"cpu_cores": 2.0, "memory_gb": 1.0 / 3.0, "storage_gb": 1.0, "gpu_cores": 0.0});
    let mut past = Past::on(&[machine]);
    let odd = task(1, json!({"attempts": [attempt(WORKER, Some(5), Some(9), true)], "resources": resources}));
    assert!(past.take(&odd, 1) && past.counts().replayed() == 1);
    assert_eq!(past.finish().unwrap().1.times_only, None);
}

#[test]
fn a_history_that_is_kept_is_read_as_the_same_workload_with_the_same_numbers() {
    let fields = json!({
        "attempts": [attempt(WORKER, Some(31), Some(42), true)], "estimate_s": 0.1, "due_at": at(40), "user_id": "b,\"c"
    });
    let (workload, actual, _) = past(&[ran(10, 11, 32), task(20, fields), ran(25, 32, 33)]).finish().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let [tasks, workers] = written::write_workload(&workload, &dir.path().join("new/kept")).unwrap();
    let read = csv::read_workload(&tasks, &workers).unwrap();
    assert_eq!(read, Workload { name: "kept".into(), ..workload });
    assert_eq!(judge(&read, &actual.outcome.assignments), actual.outcome.metrics);
}
