//! The logs of jobs: which are asked for, and how their lines stand beside each other.

use super::server::{JOB, Reply, Server, job, list, problem, task};
use super::streams::{record, state};
use serde_json::{Value, json};

const MAP: &str = "task-01JD000000000000007K3M9QZE";

/// An element of an array that has begun.
fn element(index: u32) -> Value {
    task(json!({
        "id": format!("{MAP}.{index}"), "job_id": JOB, "job_task": "map", "index": index, "status": "completed",
        "phase": null, "attempt": 1
    }))
}

fn waiting() -> Value {
    task(json!({"job_id": JOB, "job_task": "reduce", "phase": "waiting_dependencies"}))
}

fn printed(lines: Vec<Value>) -> Reply {
    Reply::Lines { lines, cut: false }
}

/// A job of which two elements have begun and one task waits.
fn begun() -> Server {
    Server::start(|request, _| match request.path.as_str() {
        path if path.ends_with("/tasks") => Reply::Json(200, list(vec![element(0), element(1), waiting()])),
        path if path.ends_with(".0/logs") => printed(vec![
            record(1, 0, "stdout", "a\n"),
            record(1, 1, "stdout", "10%\r20%\rb"),
            record(1, 2, "stdout", "c\nd"),
        ]),
        path if path.ends_with(".1/logs") => {
            printed(vec![record(1, 0, "stdout", "e\n"), record(1, 1, "stderr", "oh\n")])
        }
        _ => problem(404, "not_found", "?"),
    })
}

#[test]
fn logs_of_a_job_are_printed_task_by_task_each_line_behind_its_name() {
    let server = begun();
    let ran = server.run(&format!("job logs {JOB}"));
    assert_eq!((ran.code, ran.err.as_str()), (0, "map.1 | oh\n"));
    assert_eq!(ran.out, "map.0 | a\nmap.0 | bc\nmap.0 | d\nmap.1 | e\n");
    assert_eq!(server.asked(&format!("GET /api/v1/jobs/{JOB}/tasks"))[0].query, "limit=1000");
    assert_eq!(server.seen().len(), 3, "what has not begun has no log");
    let flags = "--task map --index 0-1 --tail 5 --grep err -i --stream stdout";
    assert_eq!(server.run(&format!("job logs {JOB} {flags}")).code, 0);
    assert_eq!(server.asked(&format!("GET /api/v1/jobs/{JOB}/tasks"))[1].query, "task=map&index=0-1&limit=1000");
    let asked = server.asked(&format!("GET /api/v1/tasks/{MAP}.1/logs"));
    assert_eq!(asked[1].query, "tail=5&grep=%28%3Fi%29err&stream=stdout");
}

#[test]
fn lines_of_logs_say_for_programs_whose_they_are() {
    let ran = begun().run(&format!("job logs {JOB} -o jsonl"));
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let whose: Vec<_> = lines.iter().map(|line| line["task_id"].as_str().unwrap()).collect();
    let ids = [0, 0, 0, 1, 1].map(|index| format!("{MAP}.{index}"));
    assert_eq!((whose, ran.err.as_str()), (ids.iter().map(String::as_str).collect::<Vec<_>>(), ""));
    assert_eq!([&lines[4]["log"]["stream"], &lines[4]["log"]["text"]], ["stderr", "oh\n"]);
}

#[test]
fn a_log_that_is_gone_keeps_nothing_of_the_others_away() {
    let server = Server::start(|request, _| match request.path.as_str() {
        path if path.ends_with("/tasks") => Reply::Json(200, list(vec![element(0), element(1)])),
        path if path.ends_with(".1/logs") => printed(vec![record(1, 0, "stdout", "e\n")]),
        _ => problem(404, "not_found", "it was collected"),
    });
    let ran = server.run(&format!("job logs {JOB}"));
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "map.1 | e\n", "map.0: it was collected\n"));
    let none = Server::always(200, list(vec![waiting()]));
    let ran = none.run(&format!("job logs {JOB}"));
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(ran.err.contains("None of these tasks has begun"), "{}", ran.err);
}

#[test]
fn a_followed_job_is_read_until_it_has_ended_with_what_begins_meanwhile() {
    let server = Server::start(|request, before| {
        let looks_on = request.query.starts_with("status=queued%2Cpending%2Crunning&limit=1");
        match request.path.as_str() {
            // Each look asks twice: whether it goes on, and what has begun.
            path if path.ends_with("/tasks") && looks_on => {
                Reply::Json(200, list(if before == 0 { vec![waiting()] } else { Vec::new() }))
            }
            path if path.ends_with("/tasks") && before == 1 => Reply::Json(200, list(vec![element(0)])),
            path if path.ends_with("/tasks") => Reply::Json(200, list(vec![element(0), element(1)])),
            path if path.ends_with(".0/logs") => printed(vec![
                record(1, 0, "stdout", "a\n"),
                record(2, 0, "stdout", "b"),
                state("end", "completed", None, 2),
            ]),
            path if path.ends_with(".1/logs") => {
                printed(vec![record(1, 0, "stdout", "c\n"), state("end", "completed", None, 1)])
            }
            _ if before == 0 => Reply::Json(200, job(json!({"status": "queued", "message": "waits for room"}))),
            _ => Reply::Json(200, job(json!({"status": "completed"}))),
        }
    });
    let ran = server.run(&format!("job logs {JOB} --follow"));
    assert_eq!((ran.code, ran.out.as_str()), (0, "map.0 | a\nmap.0 | b\nmap.1 | c\n"), "{}", ran.err);
    let said = [
        "7K3M9QZD  queued  nightly  12/22 done  waits for room",
        "map.0: -- attempt 2 --",
        "7K3M9QZD  completed  nightly  12/22 done",
    ];
    assert_eq!(ran.err.lines().collect::<Vec<_>>(), said);
    for index in [0, 1] {
        let asked = server.asked(&format!("GET /api/v1/tasks/{MAP}.{index}/logs"));
        assert_eq!(asked.into_iter().map(|one| one.query).collect::<Vec<_>>(), ["follow=true"]);
    }
    let looks = server.asked(&format!("GET /api/v1/jobs/{JOB}/tasks"));
    assert_eq!(looks[1].query, "status=running%2Ccompleted%2Cfailed%2Ccancelled&limit=1000");
}
