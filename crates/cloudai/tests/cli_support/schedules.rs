//! Schedules on the command line: which document is put, what is told of one.

use super::server::{ID, Reply, Server, list, problem, task};
use serde_json::{Value, json};

fn schedule(fields: Value) -> Value {
    let mut schedule = json!({
        "name": "nightly", "description": null, "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "overlap": "skip",
        "catch_up": "last", "paused": false, "what": "template", "template": {"name": "train", "version": 2},
        "next": ["2099-01-01T01:30:00.000Z", "2099-01-02T01:30:00.000Z"], "waiting": [],
        "last": {"time": "2026-01-01T01:30:00.000Z", "submitted_at": "2026-01-01T01:30:00.050Z", "task_id": ID, "status": "completed"},
        "last_error": null, "runs": 7, "skipped": 1, "created_at": "2026-01-01T00:00:00.000Z",
        "updated_at": "2026-01-01T00:00:00.000Z",
    });
    for (name, value) in fields.as_object().unwrap() {
        schedule[name] = value.clone();
    }
    schedule
}

fn keeping() -> Server {
    Server::start(|request, _| match (request.method.as_str(), request.path.as_str()) {
        ("DELETE", _) => Reply::Json(204, Value::Null),
        ("GET", "/api/v1/schedules") => Reply::Json(200, list(vec![schedule(json!({}))])),
        ("GET", "/api/v1/schedules/absent") => problem(404, "not_found", "there is no schedule absent"),
        ("POST", "/api/v1/schedules/nightly/run") => Reply::Json(201, task(json!({}))),
        ("POST", "/api/v1/schedules/nightly/pause") => Reply::Json(200, schedule(json!({"paused": true, "next": []}))),
        _ => Reply::Json(200, schedule(json!({}))),
    })
}

/// The document that a command line puts.
fn put(server: &Server, words: &[&str]) -> Value {
    let before = server.asked("PUT /api/v1/schedules/nightly").len();
    let ran = server.words(&[&["schedule", "put", "nightly"][..], words].concat());
    assert_eq!(ran.code, 0, "{words:?}: {}", ran.err);
    server.asked("PUT /api/v1/schedules/nightly")[before].json()
}

#[test]
fn a_schedule_is_put_from_flags_or_from_a_file_with_all_fields() {
    let server = keeping();
    let words = ["--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--overlap", "queue", "--catch-up", "all"];
    let template = ["--paused", "--template", "train", "--version", "2", "-p", "lr=0.1", "--param", "epochs=3"];
    let expected = json!({
        "cron": "30 2 * * *", "time_zone": "Europe/Berlin", "overlap": "queue", "catch_up": "all", "paused": true,
        "template": {"name": "train", "version": 2, "params": {"lr": "0.1", "epochs": "3"}},
    });
    assert_eq!(put(&server, &[&words[..], &template].concat()), expected);
    let of_task = json!({"cron": "@daily", "task": {"image": "a", "env": {"A": "1"}}});
    std::fs::write(server.dir().join("task.yaml"), "image: a\nenv: {A: \"1\"}\n").unwrap();
    assert_eq!(put(&server, &["--cron", "@daily", "--task-file", "task.yaml"]), of_task);
    std::fs::write(server.dir().join("whole.json"), of_task.to_string()).unwrap();
    assert_eq!(put(&server, &["whole.json"]), of_task);
    std::fs::write(server.dir().join("job.toml"), "[[task]]\nname = \"a\"\nimage = \"b\"\n").unwrap();
    let of_job = json!({"cron": "@daily", "job": {"task": [{"name": "a", "image": "b"}]}});
    assert_eq!(put(&server, &["--cron", "@daily", "--file", "job.toml"]), of_job);
}

#[test]
fn what_can_be_no_schedule_is_refused_before_anything_is_sent() {
    let server = keeping();
    std::fs::write(server.dir().join("data.csv"), "1").unwrap();
    let inputs = "image: a\ninputs: [{from: ./data.csv, path: /in/data.csv}]\n";
    std::fs::write(server.dir().join("local.yaml"), inputs).unwrap();
    for (words, part) in [
        (&["--cron", "@daily"][..], "add --template NAME"),
        (&["--template", "train"][..], "--cron"),
        (&["--cron", "@daily", "--template", "train", "--overlap", "wait"][..], "skip, queue, replace"),
        (&["--cron", "@daily", "-p", "lr=1", "--task-file", "local.yaml"][..], "--template"),
        (&["local.yaml", "--cron", "@daily"][..], "--cron"),
        (&["--cron", "@daily", "--task-file", "local.yaml"][..], "keeps them for a day"),
        (&["--cron", "@daily", "--file", "absent.toml"][..], "can not be read"),
    ] {
        let ran = server.words(&[&["schedule", "put", "nightly"][..], words].concat());
        assert!(ran.code == 64 && ran.err.contains(part), "{words:?}: {}", ran.err);
    }
    assert!(server.asked("PUT /api/v1/schedules/nightly").is_empty());
}

#[test]
fn schedules_are_listed_shown_paused_run_and_removed() {
    let server = keeping();
    let ran = server.run("schedule list");
    for part in ["SCHEDULE", "30 2 * * *", "Europe/Berlin", "template train version 2", "7K3M9QZD completed"] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert_eq!(server.run("schedule list -o quiet").out, "nightly\n");
    let ran = server.run("schedule show nightly");
    for part in
        ["comes     2099-01-01 01:30:00Z", "last: of what the master missed", "7, 1 times left out", "for 2026-01-01"]
    {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    let shown: Value = serde_json::from_str(&server.run("schedule show nightly --json").out).unwrap();
    assert_eq!(shown, schedule(json!({})));
    assert_eq!(server.run("schedule show absent").code, 5);
    assert!(server.run("schedule pause nightly").out.ends_with("  paused\n"));
    assert!(server.run("schedule resume nightly").out.contains("  in "));
    let ran = server.run("schedule run nightly");
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "7K3M9QZD  queued  waiting_capacity  waits for a place\n"),
        "{}",
        ran.err
    );
    assert!(server.asked("POST /api/v1/schedules/nightly/run")[0].key.is_some());
    let ran = server.run("schedule remove nightly --dry-run");
    assert!(ran.code == 0 && ran.err.contains("what it made goes on"), "{}", ran.err);
    let ran = server.run("schedule remove nightly other");
    assert!(ran.code == 0 && ran.err.contains("nightly  removed\nother  removed"), "{}", ran.err);
}

#[test]
fn a_schedule_tells_why_nothing_came_of_its_last_time() {
    let error = json!({"time": "2026-01-01T01:30:00.000Z", "at": "2026-01-01T01:30:00.000Z",
        "message": "no template train is stored", "again": false});
    let server = Server::always(200, schedule(json!({"last_error": error, "last": null, "next": []})));
    let ran = server.run("schedule show nightly");
    for part in ["never", "error     no template train is stored", "not tried again"] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}
