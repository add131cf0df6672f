//! `--dry-run`, and several things in one command.

use super::server::{ID, Reply, Server, ended, list, problem, task, worker};
use serde_json::{Value, json};

const OTHER: &str = "task-01JD000000000000007K3MA001";

/// A cluster in which `OTHER` has failed, `ID` runs on w1, and w2 is cordoned and holds nothing.
fn cluster() -> Server {
    Server::start(|request, _| {
        let mut w1 = worker("w1");
        let mut w2 = worker("w2");
        w2["tasks"] = json!(0);
        w2["duty"] = json!({"state": "cordoned", "since": "2026-01-01T00:00:00.000Z"});
        let running = task(json!({"status": "running", "phase": "running", "worker_id": "w1"}));
        let mut failed = ended("failed", Some("exit_code"), Some(1));
        failed["id"] = json!(OTHER);
        match (request.method.as_str(), request.path.rsplit('/').next().unwrap_or_default()) {
            ("GET", "w1") => Reply::Json(200, w1),
            ("GET", "w2") => Reply::Json(200, w2),
            ("GET", "tasks") => Reply::Json(200, list(vec![running])),
            ("GET", OTHER) => Reply::Json(200, failed),
            ("GET", _) => Reply::Json(200, running),
            ("POST", verb) => {
                w1["duty"] = json!({"state": format!("{verb}ed"), "since": "2026-01-01T00:00:00.000Z"});
                Reply::Json(200, if request.path.contains("/w1/") { w1 } else { w2 })
            }
            _ => Reply::Json(204, Value::Null),
        }
    })
}

#[test]
fn a_dry_run_is_one_json_document_of_what_would_be_done_and_does_nothing() {
    let rows = [
        (format!("task cancel {ID}"), "cancel", ID),
        (format!("task cancel {OTHER}"), "nothing", OTHER),
        (format!("task retry {OTHER}"), "retry", OTHER),
        (format!("task retry {ID}"), "nothing", ID),
        ("worker cordon w1".into(), "cordon", "w1"),
        ("worker drain w1".into(), "drain", "w1"),
        ("worker undrain w1".into(), "nothing", "w1"),
        ("worker undrain w2".into(), "undrain", "w2"),
        ("worker label w1 zone=eu disk-".into(), "label", "w1"),
        ("worker remove w1".into(), "nothing", "w1"),
        ("worker remove w1 --force".into(), "remove", "w1"),
        ("worker remove w2".into(), "remove", "w2"),
    ];
    let server = cluster();
    for (line, would, id) in rows {
        let ran = server.run(&format!("{line} --dry-run -o json"));
        let told: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{line}: {ran:?}"));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{line}");
        assert_eq!(
            [&told["would"], &told["id"], &told["dry_run"]],
            [&json!(would), &json!(id), &json!(true)],
            "{line}"
        );
        assert!(told["status"].is_string() && told["means"].is_string(), "{line}: {told:#}");
        let ran = server.run(&format!("{line} --dry-run"));
        assert!(ran.code == 0 && ran.err.contains("would "), "{line}: {ran:?}");
    }
    let drain: Value = serde_json::from_str(&server.run("worker drain w1 --dry-run -o json").out).unwrap();
    assert_eq!(drain["task_ids"], json!([ID]));
    assert!(server.seen().iter().all(|request| request.method == "GET"), "a dry run did something");
}

#[test]
fn a_dry_run_of_several_lists_them() {
    let server = cluster();
    let ran = server.run(&format!("task cancel {ID} {OTHER} --dry-run -o json"));
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let items = told["items"].as_array().unwrap();
    assert_eq!((&told["dry_run"], items.len()), (&json!(true), 2), "{told:#}");
    assert_eq!([&items[0]["would"], &items[1]["would"]], ["cancel", "nothing"]);
    assert_eq!(server.run(&format!("task cancel {ID} {OTHER} --dry-run -o quiet")).out, format!("{ID}\n"));
    let none = Server::always(200, list(Vec::new()));
    let told: Value = serde_json::from_str(&none.run("task retry --dead --dry-run -o json").out).unwrap();
    assert_eq!(told, json!({"items": [], "dry_run": true}));
    let told: Value = serde_json::from_str(&none.run("task retry --dead -o json").out).unwrap();
    assert_eq!(told, json!({"items": []}));
}

#[test]
fn an_order_takes_several_workers_and_answers_for_each() {
    let server = cluster();
    let ran = server.run("worker cordon w1 w2 w1");
    assert_eq!((ran.code, ran.out.as_str()), (0, "w1  cordoned  1 task on it\nw2  cordoned\n"), "{ran:?}");
    let told: Value = serde_json::from_str(&server.run("worker cordon w1 w2 -o json").out).unwrap();
    assert_eq!([&told["items"][0]["id"], &told["items"][1]["id"]], ["w1", "w2"]);
    let told: Value = serde_json::from_str(&server.run("worker undrain w1 -o json").out).unwrap();
    assert_eq!(told["id"], "w1");
    let ran = server.run("worker drain w1 w2");
    assert!(ran.code == 64 && ran.err.contains("drain w1, w2") && ran.err.contains("--yes"), "{ran:?}");
    assert_eq!(server.run("worker drain w1 w2 --yes").code, 0);
    assert_eq!(server.asked("POST /api/v1/workers/w2/drain").len(), 1);
}

#[test]
fn labels_are_sent_as_they_are_typed_and_what_was_said_before_is_nothing_to_do() {
    let server = Server::start(|request, _| {
        let mut w1 = worker("w1");
        w1["labels"] = json!({"zone": "eu", "rack": "1"});
        w1["operator_labels"] = json!({"disk": null, "zone": "eu"});
        match (request.method.as_str(), request.path.contains("w1")) {
            ("GET" | "PATCH", true) => Reply::Json(200, w1),
            ("GET", _) if request.path.ends_with("/workers") => Reply::Json(200, list(vec![w1])),
            _ => problem(404, "not_found", "there is no such worker"),
        }
    });
    let ran = server.run("worker label w1 zone=eu disk- empty=");
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "w1  rack=1 zone=eu\n", ""), "{ran:?}");
    let asked = server.asked("PATCH /api/v1/workers/w1/labels");
    assert_eq!(asked[0].json(), json!({"set": {"zone": "eu", "empty": ""}, "remove": ["disk"]}));
    let told: Value = serde_json::from_str(&server.run("worker label w1 zone=eu -o json").out).unwrap();
    assert_eq!(told["operator_labels"], json!({"disk": null, "zone": "eu"}));
    let asked = server.asked("PATCH /api/v1/workers/w1/labels").len();
    for (line, would) in [("zone=eu disk-", "nothing"), ("zone=us", "label"), ("rack=1", "label")] {
        let ran = server.run(&format!("worker label w1 {line} --dry-run -o json"));
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&told["would"], &told["id"]), (&json!(would), &json!("w1")), "{line}: {ran:?}");
    }
    let ran = server.run("worker label w1 zone=us disk- --dry-run");
    assert!(ran.err.contains("would label w1 with disk- zone=us; it has none, zone=eu now"), "{ran:?}");
    for (line, code, said) in [
        ("w9 zone=eu", 5, "close: w1"),
        ("w1", 64, "KEY=VALUE"),
        ("w1 zone", 64, "expected KEY=VALUE, or KEY-"),
        ("w1 zone=eu zone-", 64, "the label zone is named twice"),
        ("w1 os=linux", 64, "what the worker is"),
    ] {
        let ran = server.run(&format!("worker label {line}"));
        assert!(ran.code == code && ran.err.contains(said), "{line}: {ran:?}");
    }
    assert_eq!(server.asked("PATCH /api/v1/workers/w1/labels").len(), asked, "nothing else was sent");
}

#[test]
fn one_task_that_is_refused_keeps_nothing_from_the_others() {
    let server = Server::start(|request, _| match request.path.contains(OTHER) {
        true => problem(404, "not_found", "no such task"),
        false => Reply::Json(200, task(json!({"message": "done"}))),
    });
    for (verb, word) in [("cancel", "cancelled"), ("hold", "held"), ("release", "released"), ("retry", "submitted")] {
        let yes = if ["cancel", "retry"].contains(&verb) { "--yes" } else { "" };
        let ran = server.run(&format!("task {verb} {OTHER} {ID} {yes}"));
        assert_eq!((ran.code, ran.out.lines().count()), (5, 1), "{verb}: {ran:?}");
        assert!(ran.out.starts_with("7K3M9QZD  "), "{verb}: {ran:?}");
        let told = format!("error: 1 of 2 could not be {word}");
        assert!(ran.err.contains(&told) && ran.err.contains("7K3MA001: no such task"), "{verb}: {ran:?}");
        let ran = server.run(&format!("task {verb} {OTHER} {ID} {yes} -o json"));
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((told["items"].as_array().unwrap().len(), &told["items"][0]["id"]), (1, &json!(ID)), "{verb}");
        let ran = server.run(&format!("task {verb} {OTHER}"));
        assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{verb}: {ran:?}");
        assert!(ran.err.contains("error: no such task"), "{verb}: {ran:?}");
    }
}

#[test]
fn several_workers_are_removed_and_one_that_is_busy_is_told_of() {
    let server = Server::start(|request, _| match request.line().as_str() {
        "DELETE /api/v1/workers/w1" if request.query.is_empty() => problem(409, "conflict", "w1 holds 1 attempt"),
        "DELETE /api/v1/workers/w1" | "DELETE /api/v1/workers/w2" => Reply::Json(204, Value::Null),
        line => Reply::Json(200, worker(if line.ends_with("w1") { "w1" } else { "w2" })),
    });
    let ran = server.run("worker remove w1 w2 w2");
    assert_eq!((ran.code, ran.out.as_str()), (7, ""), "{ran:?}");
    assert!(ran.err.contains("w2 is removed") && ran.err.contains("w1: w1 holds 1 attempt"), "{ran:?}");
    assert_eq!(server.asked("DELETE /api/v1/workers/w2").len(), 1);
    let ran = server.run("worker remove w1 w2 --force");
    assert!(ran.code == 64 && ran.err.contains("remove 2 workers") && ran.err.contains("w1, w2"), "{ran:?}");
    assert_eq!(server.run("worker remove w1 w2 --force --yes").code, 0);
    let ran = server.run("worker remove w1 w2 --dry-run -o json");
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!([&told["items"][0]["id"], &told["items"][1]["id"]], ["w1", "w2"]);
}

#[test]
fn a_name_that_no_worker_can_have_is_wrong_usage() {
    let server = cluster();
    for verb in ["info", "cordon", "drain", "undrain", "remove", "register"] {
        let ran = server.words(&["worker", verb, "a b"]);
        assert!(ran.code == 64 && ran.err.contains("worker id"), "{verb}: {ran:?}");
    }
    assert!(server.seen().is_empty(), "a name that can not be was asked for");
}

#[test]
fn a_drain_that_waits_returns_once_the_worker_is_empty() {
    let server = Server::start(|request, before| {
        let mut w1 = worker("w1");
        if request.method == "POST" || before > 0 {
            let tasks = i32::from(request.method == "POST" || before < 3);
            let state = if tasks > 0 { "draining" } else { "drained" };
            w1["duty"] = json!({"state": state, "since": "2026-01-01T00:00:00.000Z"});
            w1["tasks"] = json!(tasks);
        }
        match request.path.as_str() {
            "/api/v1/tasks" => Reply::Json(200, list(vec![task(json!({}))])),
            _ => Reply::Json(200, w1),
        }
    });
    let ran = server.run("worker drain w1 --wait");
    assert_eq!((ran.code, ran.out.as_str()), (0, "w1  drained\n"), "{ran:?}");
    assert!(ran.err.contains("w1  draining  1 task on it"), "{ran:?}");
    assert_eq!(server.asked("POST /api/v1/workers/w1/drain")[0].query, "wait=true");
    let open = Server::start(|request, _| match request.path.as_str() {
        "/api/v1/tasks" => Reply::Json(200, list(Vec::new())),
        _ => Reply::Json(200, worker("w1")),
    });
    let ran = open.run("worker drain w1 --wait");
    assert!(ran.code == 7 && ran.err.contains("takes work again"), "{ran:?}");
}

#[test]
fn a_wait_that_is_over_shows_what_goes_on() {
    let server = cluster();
    let ran = server.run(&format!("task wait {ID} --timeout 0s -o json"));
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &told["id"], &told["status"]), (4, &json!(ID), &json!("running")), "{ran:?}");
    let ran = server.run(&format!("task wait {OTHER} {ID} --timeout 0s -o json"));
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, told["items"].as_array().unwrap().len()), (4, 2), "{ran:?}");
}

#[test]
fn a_containers_code_without_its_end_is_refused() {
    let server = cluster();
    for line in ["task submit a --propagate-exit", "dispatch w1 a --propagate-exit"] {
        let ran = server.run(line);
        assert!(ran.code == 64 && ran.err.contains("add --wait or --follow"), "{line}: {ran:?}");
    }
    let ran = server.run(&format!("task wait {ID} {OTHER} --propagate-exit"));
    assert!(ran.code == 64 && ran.err.contains("several tasks"), "{ran:?}");
    assert!(server.seen().is_empty());
}

#[test]
fn a_retry_names_what_it_gets_more_of() {
    let server = Server::always(201, task(json!({"retry_of": OTHER})));
    let line = format!("task retry {OTHER} --mem 2g --timeout 2h --cpus 1.5 --priority 9 --disk 10g");
    let ran = server.run(&line);
    assert_eq!(ran.code, 0, "{ran:?}");
    let sent = server.asked(&format!("POST /api/v1/tasks/{OTHER}/retry"));
    let expected = json!({"memory_gb": 2.0, "timeout_s": 7200, "cpu_cores": 1.5, "priority": 9, "storage_gb": 10.0});
    assert_eq!(sent[0].json(), expected);
    assert_eq!(server.run(&format!("task retry {OTHER}")).code, 0);
    assert_eq!(server.asked(&format!("POST /api/v1/tasks/{OTHER}/retry"))[1].body, b"");
    let before = server.seen().len();
    let ran = server.run(&format!("task retry {OTHER} --mem 1m --priority 500 --timeout 0s"));
    assert_eq!((ran.code, server.seen().len()), (64, before), "{ran:?}");
    for said in
        ["--mem (memory_gb): 0.0009765625 is out of range", "--priority (priority): 500", "--timeout (timeout_s): 0"]
    {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
}
