//! What people read of jobs.

use super::*;
use crate::render::Format;
use serde_json::{Value, json};

fn with(mut all: Value, fields: &Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

fn counts(queued: u64, running: u64, completed: u64, failed: u64, cancelled: u64) -> Value {
    json!({"queued": queued, "pending": 0, "running": running, "completed": completed, "failed": failed,
        "cancelled": cancelled})
}

/// A job of 22 tasks, of which 12 have completed.
fn job(fields: &Value) -> Job {
    let job = json!({
        "id": "job-01JD000000000000007K3M9QZD", "name": "nightly", "user_id": "ann", "status": "running", "message": "",
        "tasks": 22, "groups": 3, "counts": counts(4, 6, 12, 0, 0), "max_fails": null, "retry_of": null, "held_by": null,
        "created_at": "2026-01-01T00:00:00.000Z", "started_at": "2026-01-01T00:01:00.000Z", "finished_at": null,
        "version": 7
    });
    serde_json::from_value(with(job, fields)).unwrap()
}

fn failed() -> Value {
    json!({"status": "failed", "counts": counts(0, 0, 18, 3, 1), "message": "map failed",
        "finished_at": "2026-01-01T00:13:04.000Z"})
}

fn part(name: &str, level: u32, fields: &Value) -> Value {
    let part = json!({
        "name": name, "id": "task-01JD000000000000007K3M9QZE", "image": "a", "array": null, "at_once": null, "tasks": 1,
        "status": "completed", "message": "", "counts": counts(0, 0, 1, 0, 0), "needs": [], "level": level
    });
    with(part, fields)
}

/// Its parts, in the order of a file that begins with the last.
fn pipeline() -> Value {
    let needs = |task: &str| json!([{"task": task, "when": "success"}]);
    let reduce = json!({"status": "waiting", "message": "waits for map", "counts": counts(1, 0, 0, 0, 0), "needs": needs("map")});
    let map = json!({"status": "running", "array": "0-19", "tasks": 20, "counts": counts(3, 6, 11, 0, 0), "needs": needs("split")});
    json!([part("reduce", 2, &reduce), part("split", 0, &json!({})), part("map", 1, &map)])
}

fn screen(terminal: bool, format: Format) -> Screen {
    Screen { format, format_given: true, terminal, messages_terminal: false, width: None, colour: false }
}

fn now() -> Timestamp {
    "2026-01-01T00:06:12Z".parse().unwrap()
}

#[test]
fn a_list_says_how_much_of_each_job_is_done() {
    let jobs = [job(&json!({}))];
    let expected = "\
ID        STATUS   NAME      DONE  FAILED    AGE   TOOK
7K3M9QZD  running  nightly  12/22       0  6m12s  5m12s";
    assert_eq!(list(&jobs, now(), &screen(false, Format::Table)), expected);
    assert!(list(&jobs, now(), &screen(true, Format::Table)).contains("7K3M9QZD  > running  nightly"));
    let wide = list(&[job(&failed())], now(), &screen(false, Format::Wide));
    assert!(wide.contains("STEPS") && wide.ends_with("map failed"), "{wide}");
}

#[test]
fn an_outcome_is_one_line_with_what_failed_and_how_long_it_took() {
    let line = |fields: &Value| outcome(&job(fields), &screen(false, Format::Table));
    assert_eq!(line(&json!({})), "7K3M9QZD  running  nightly  12/22 done");
    assert_eq!(line(&failed()), "7K3M9QZD  failed  nightly  18/22 done  3 failed  12m04s  map failed");
    assert_eq!(line(&json!({"name": null, "status": "held"})), "7K3M9QZD  held  12/22 done");
    assert_eq!(
        accepted(&job(&json!({}))),
        "job-01JD000000000000007K3M9QZD accepted: 22 tasks in 3 steps; see: cloudai job info 7K3M9QZD"
    );
}

#[test]
fn the_story_of_a_job_begins_with_now_and_next_and_goes_on_in_the_order_of_the_graph() {
    let shown = card(&job(&json!({"parts": pipeline()})), now(), &screen(false, Format::Table));
    let expected = "\
nightly  7K3M9QZD  running  by ann  runs for 5m12s
  now       12 of 22 tasks completed, 6 running, 4 waiting
  next      cloudai job logs 7K3M9QZD --follow
            cloudai job wait 7K3M9QZD
            cloudai job cancel 7K3M9QZD
  id        job-01JD000000000000007K3M9QZD
  created   2026-01-01 00:00:00Z (6m12s ago)
  started   2026-01-01 00:01:00Z (5m12s ago)

  STATUS     TASK          DONE  NEEDS  WHY
  completed  split          1/1  -
  running    map     x20  11/20  split  6 running, 3 waiting
  waiting    reduce         0/1  map    waits for map";
    assert_eq!(shown, expected);
    let shown = card(&job(&json!({"parts": pipeline()})), now(), &screen(true, Format::Wide));
    assert!(shown.contains("> running    map") && shown.contains("0-19") && shown.contains("7K3M9QZE"), "{shown}");
}

#[test]
fn the_story_of_an_ended_job_says_why_it_ended_so() {
    let shown = |fields: &Value| card(&job(fields), now(), &screen(false, Format::Table));
    let failed = with(failed(), &json!({"finished_at": "2026-01-01T00:06:00.000Z", "max_fails": 2}));
    let card = shown(&failed);
    for line in [
        "nightly  7K3M9QZD  failed  by ann  took 5m00s, ended 12s ago",
        "  outcome   18 of 22 tasks completed, 3 failed, 1 cancelled",
        "  why       map failed",
        "  max fails what is left is cancelled when more than 2 failed",
    ] {
        assert!(card.lines().any(|found| found == line), "{line:?} is not in\n{card}");
    }
    let rows = [
        (json!({"status": "completed", "counts": counts(0, 0, 22, 0, 0)}), "all 22 tasks completed"),
        (json!({"status": "completed", "counts": counts(0, 0, 21, 0, 1)}), "21 of 22 tasks completed, 1 not needed"),
        (
            json!({"status": "held", "counts": counts(22, 0, 0, 0, 0)}),
            "nothing of it starts until it is released: 0 of 22 tasks completed, 22 waiting",
        ),
        (
            json!({"status": "cancelling", "counts": counts(0, 2, 12, 0, 8)}),
            "what is left is being stopped: 12 of 22 tasks completed, 2 running, 8 cancelled",
        ),
    ];
    for (fields, sentence) in rows {
        let card = shown(&fields);
        assert!(card.contains(&format!("  now       {sentence}\n")), "{sentence:?} is not in\n{card}");
    }
}

#[test]
fn the_next_commands_fit_the_state() {
    let of = |fields: Value| next(&job(&fields)).join(" | ").replace("cloudai ", "").replace("7K3M9QZD", "ID");
    let mut broken = failed();
    broken["parts"] = json!([
        part("report", 1, &json!({"status": "skipped"})),
        part("late", 1, &json!({"status": "failed"})),
        part("map", 0, &json!({"status": "failed"}))
    ]);
    let rows = [
        (json!({"status": "held"}), "job release ID | job cancel ID"),
        (json!({"status": "queued"}), "queue | job cancel ID"),
        (json!({}), "job logs ID --follow | job wait ID | job cancel ID"),
        (
            json!({"counts": counts(4, 6, 11, 1, 0)}),
            "job tasks ID --status failed | job logs ID --follow | job cancel ID",
        ),
        (json!({"status": "cancelling"}), "job wait ID"),
        (json!({"status": "completed"}), "job logs ID"),
        (broken, "job logs ID --task map | job tasks ID --status failed | job retry ID"),
        (failed(), "job tasks ID --status failed | job retry ID"),
        (json!({"status": "cancelled"}), "job retry ID | job logs ID"),
    ];
    for (fields, expected) in rows {
        assert_eq!(of(fields.clone()), expected, "{fields}");
    }
}

#[test]
fn of_very_many_parts_those_that_need_somebody_are_shown() {
    let bad = json!({"status": "failed", "message": "exit code 1"});
    let fields = |place: u32| if place == 70 { bad.clone() } else { json!({}) };
    let parts: Vec<Value> = (0..101).map(|place| part(&format!("p{place}"), place, &fields(place))).collect();
    let job = job(&json!({ "parts": parts }));
    let shown = card(&job, now(), &screen(false, Format::Table));
    assert!(shown.contains("failed     p70") && shown.contains("p38 ") && !shown.contains("p39 "), "{shown}");
    assert!(shown.ends_with("\n  and 61 more: 61 completed; all of them: add -o wide"), "{shown}");
    let shown = card(&job, now(), &screen(false, Format::Wide));
    assert!(shown.contains("p100") && !shown.contains("more:"), "{shown}");
}

#[test]
fn a_part_says_what_it_needs_and_on_which_end() {
    let need = |task: &str, when: &str| JobNeed { task: task.into(), when: when.into() };
    assert_eq!(needs(&[]), "-");
    assert_eq!(needs(&[need("a", "success"), need("b", "failure"), need("c", "any")]), "a, b fails, c ends");
    let many = [need("task-01JD000000000000007K3M9QZD", "success"), need("b", "any"), need("c", "success")];
    let many: Vec<JobNeed> = many.into_iter().chain([need("d", "any"), need("e", "any")]).collect();
    assert_eq!(needs(&many), "7K3M9QZD, b ends, c and 2 more");
    let some = part("map", 0, &json!({"array": "0-9", "tasks": 10, "at_once": 4, "counts": counts(0, 2, 7, 1, 0)}));
    let some: JobPart = serde_json::from_value(some).unwrap();
    assert_eq!((size(&some).as_str(), why(&some).as_str()), ("x10, 4 at once", "1 failed, 2 running"));
}

#[test]
fn progress_counts_what_has_ended_and_names_what_failed() {
    let job = |fields: &Value| job(&with(json!({"counts": counts(2, 6, 12, 2, 0)}), fields));
    let bar = "nightly [############--------] 63 %  12/22 done  2 failed  6 running";
    assert_eq!(progress(&job(&json!({})), true), bar);
    assert_eq!(progress(&job(&json!({})), false), "7K3M9QZD  running  12/22 done  2 failed  6 running");
    let full = job(&json!({"name": "x".repeat(80), "counts": counts(0, 0, 22, 0, 0)}));
    assert!(progress(&full, true).starts_with(&format!("{} [{}] 100 %", "x".repeat(20), "#".repeat(20))));
}

fn task(fields: &Value) -> Task {
    let task = json!({
        "id": "task-01JD000000000000007K3M9QZE", "name": null, "image": "busybox", "user_id": "ann", "job_id": null,
        "status": "queued", "phase": "waiting_dependencies", "reason": null, "message": "waits for map", "attempt": 0,
        "exit_code": null, "oom_killed": false, "warnings": [], "worker_id": null, "priority": 0,
        "resources": {"cpu_cores": 1.0, "memory_gb": 0.5, "storage_gb": 1.0, "gpu_cores": 0.0},
        "labels": {}, "created_at": "2026-01-01T00:00:00.000Z", "started_at": null, "finished_at": null,
        "version": 1, "attempts": []
    });
    serde_json::from_value(with(task, fields)).unwrap()
}

#[test]
fn tasks_are_listed_by_their_names_in_the_job() {
    let element = task(&json!({
        "id": "task-01JD000000000000007K3M9QZF.7", "job_task": "map", "index": 7, "status": "running",
        "phase": "running", "worker_id": "w1", "attempt": 1, "started_at": "2026-01-01T00:05:00.000Z"
    }));
    let single = task(&json!({"job_task": "reduce"}));
    let words =
        |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    let expected = [
        "ID STATUS TASK INDEX REASON WORKER CPU MEM TOOK",
        "7K3M9QZF.7 running map 7 - w1 1 512M 1m12s",
        "7K3M9QZE queued reduce - waiting_dependencies - 1 512M -",
    ];
    let shown = tasks(&[element.clone(), single.clone()], now(), &screen(false, Format::Table));
    assert_eq!(words(&shown), expected);
    assert!(!tasks(std::slice::from_ref(&single), now(), &screen(false, Format::Table)).contains("INDEX"));
    assert!(tasks(std::slice::from_ref(&single), now(), &screen(false, Format::Wide)).ends_with("waits for map"));
    assert_eq!([called(&element), called(&single), called(&task(&json!({})))], ["map.7", "reduce", "7K3M9QZE"]);
}
