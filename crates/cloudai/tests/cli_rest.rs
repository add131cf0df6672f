//! The real binary against a master that the test acts: what is asked, what is printed, how it exits.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

#[path = "cli_support/accounts.rs"]
mod accounts;
#[path = "cli_support/advising.rs"]
mod advising;
#[path = "cli_support/events.rs"]
mod events;
#[path = "cli_support/explaining.rs"]
mod explaining;
#[path = "cli_support/history.rs"]
mod history;
#[path = "cli_support/job_files.rs"]
mod job_files;
#[path = "cli_support/job_logs.rs"]
mod job_logs;
#[path = "cli_support/jobs.rs"]
mod jobs;
#[path = "cli_support/jobs_plan.rs"]
mod jobs_plan;
#[path = "cli_support/plans.rs"]
mod plans;
#[path = "cli_support/schedules.rs"]
mod schedules;
#[path = "cli_support/server.rs"]
mod server;
#[path = "cli_support/streams.rs"]
mod streams;
#[path = "cli_support/submitting.rs"]
mod submitting;
#[path = "cli_support/templates.rs"]
mod templates;

use serde_json::{Value, json};
use server::{ID, Reply, Server, ended, list, problem, run_in, task, worker};

#[test]
fn every_problem_has_its_exit_code_and_tells_what_and_next() {
    let rows = [
        (422, "unsatisfiable", 2),
        (404, "not_found", 5),
        (401, "unauthenticated", 6),
        (403, "forbidden", 6),
        (403, "policy_denied", 6),
        (409, "conflict", 7),
        (400, "invalid", 64),
        (413, "too_large", 64),
        (500, "internal", 1),
        (503, "unavailable", 1),
    ];
    for (status, code, exit) in rows {
        let server = Server::start(move |_, _| problem(status, code, "it did not work"));
        let ran = server.run("task submit busybox");
        assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{code}: {}", ran.err);
        assert!(
            ran.err.contains("error: it did not work") && ran.err.contains("next: the next command"),
            "{}",
            ran.err
        );
        let ran = server.run("task submit busybox -o json");
        let told: Value = serde_json::from_str(&ran.err).unwrap();
        assert_eq!((told["code"].as_str(), told["next"].as_str()), (Some(code), Some("the next command")));
    }
}

#[test]
fn without_a_master_the_exit_code_is_8_and_the_help_is_up() {
    let dir = tempfile::tempdir().unwrap();
    // A port that was free a moment ago: nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ran = run_in(dir.path(), &[], &["--addr", &format!(":{port}"), "task", "list"]);
    assert_eq!(ran.code, 8, "{}", ran.err);
    assert!(ran.err.contains("no master at http://127.0.0.1:") && ran.err.contains("cloudai up"), "{}", ran.err);
}

#[test]
fn mistakes_on_the_command_line_exit_64() {
    let dir = tempfile::tempdir().unwrap();
    let rows: [(&[&str], &str); 12] = [
        (&["frobnicate"], "unrecognized"),
        (&["task", "list", "--al"], "--all"),
        (&["task", "lst"], "did you mean list?"),
        (&["task", "submit", "a", "--cpu", "2"], "--cpus"),
        (&["task", "submit", "a", "--mem", "4x"], "is no size"),
        (&["task", "submit", "a", "--timeout", "soon"], "is no time"),
        (&["task", "submit", "a", "b", "c"], "after --"),
        (&["task", "submit"], "image: is missing"),
        (&["task", "info", "7K"], "too short"),
        (&["task", "info", "a/b"], "is no task id"),
        (&["--addr", "http://a:b@x", "task", "list"], "cloudai login"),
        (&[], "Usage"),
    ];
    for (words, said) in rows {
        let ran = run_in(dir.path(), &[], words);
        assert_eq!(ran.code, 64, "{words:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{words:?}: {}", ran.err);
    }
}

#[test]
fn help_and_version_are_answers() {
    let dir = tempfile::tempdir().unwrap();
    let rows: [(&[&str], &str); 6] = [
        (&["--help"], "Exit codes: 0 ok"),
        (&["job", "graph", "--help"], "--format svg > train.svg"),
        (&["task", "submit", "--help"], "python -c"),
        (&["dispatch", "--help"], "worker-1"),
        (&["--version"], "cloudai "),
        (&["version"], "cloudai "),
    ];
    for (words, said) in rows {
        let ran = run_in(dir.path(), &[], words);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{words:?}");
        assert!(ran.out.contains(said), "{words:?}: {}", ran.out);
    }
}

#[test]
fn a_bad_setting_stops_a_master_before_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    type Row = (&'static [(&'static str, &'static str)], &'static [&'static str], &'static str);
    let rows: [Row; 5] = [
        (&[("HTTP_PORT", "x")], &["master"], "HTTP_PORT is \"x\""),
        (&[("MONGO_URI", "mongodb://h")], &["master"], "MongoDB store is still to come"),
        (&[], &["master", "--store", "mongodb"], "MongoDB store is still to come"),
        (&[], &["master", "--insecure", "--http", "0.0.0.0:0"], "--i-know-this-is-insecure"),
        (&[("CLOUDAI_JOIN_TOKEN", "t")], &["worker", "start", "--executor", "oci"], "oci executor is still to come"),
    ];
    for (variables, words, said) in rows {
        let mut all = vec![("HOME", ".")];
        all.extend(variables);
        let ran = run_in(dir.path(), &all, words);
        assert_eq!(ran.code, 64, "{words:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{words:?}: {}", ran.err);
    }
}

#[test]
fn settings_are_shown_with_their_source() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(".env"), "GRPC_PORT=:6000\n").unwrap();
    std::fs::write(dir.path().join("cloudai.toml"), "[master]\nstrategy = \"greedy\"\n").unwrap();
    let variables = [("HOME", "."), ("CLOUDAI_JOIN_TOKEN", "hush"), ("JWT_SECRET", "hush")];
    let ran = run_in(dir.path(), &variables, &["config", "show", "-o", "json"]);
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    let of = |key: &str| shown["items"].as_array().unwrap().iter().find(|one| one["key"] == key).unwrap().clone();
    let at = |key: &str| ["source", "name", "file", "line"].map(|field| of(key)[field].clone());
    assert_eq!(at("master.grpc"), [json!("dotenv"), json!("GRPC_PORT"), json!(".env"), json!(1)]);
    assert_eq!(at("master.strategy"), [json!("file"), json!("master.strategy"), json!("cloudai.toml"), json!(2)]);
    assert_eq!(at("master.http"), [json!("default"), json!(null), json!(null), json!(null)]);
    assert_eq!((&of("worker.join_token")["value"], &of("mongo_uri")["value"]), (&json!("(set)"), &json!(null)));
    assert!(!ran.out.contains("hush"), "{}", ran.out);
    let table = run_in(dir.path(), &variables, &["config", "show"]);
    assert!(table.out.contains("greedy") && table.out.contains("cloudai.toml:2 master.strategy"), "{}", table.out);
    let absolute = |name: &str| format!("{}\n", dir.path().join(name).display());
    let ran = run_in(dir.path(), &variables, &["config", "path", "-o", "quiet"]);
    assert_eq!(ran.out, absolute(".env") + &absolute("cloudai.toml"));
    std::fs::create_dir_all(dir.path().join(".config/cloudai")).unwrap();
    std::fs::write(dir.path().join(".config/cloudai/config.toml"), "").unwrap();
    let ran = run_in(dir.path(), &variables, &["config", "path", "-o", "json"]);
    let places: Value = serde_json::from_str(&ran.out).unwrap();
    let states: Vec<_> = places["items"].as_array().unwrap().iter().map(|place| place["state"].clone()).collect();
    assert_eq!(states, ["read", "read", "hidden"]);
}

#[test]
fn validate_lists_every_problem_with_its_place_and_ends_as_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let home = ("HOME", ".");
    let ran = run_in(dir.path(), &[home], &["config", "validate"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "every setting is right (no file)\n"), "{}", ran.err);
    let toml = "[master]\nstrateggy = \"greedy\"\nhttp = \"eighty\"\nstore = \"mongodb\"\n";
    std::fs::write(dir.path().join("cloudai.toml"), toml).unwrap();
    let variables = [home, ("MONGO_URI", "mongodb://u:hush@h"), ("HTTP_PORT", "8080")];
    let ran = run_in(dir.path(), &variables, &["config", "validate"]);
    assert_eq!(ran.code, 64, "{}", ran.err);
    let expected = [
        "error: cloudai.toml:2: master.strateggy: there is no such setting; did you mean master.strategy?",
        "error: cloudai.toml:3: master.http is \"eighty\": ",
        "error: cloudai.toml:4: master.store is \"mongodb\": the MongoDB store is still to come; master.store: sqlite",
        "error: environment: MONGO_URI: the MongoDB store is still to come",
    ];
    assert_eq!(ran.out.lines().count(), expected.len(), "{}", ran.out);
    for (line, expected) in ran.out.lines().zip(expected) {
        assert!(line.starts_with(expected), "{line}\nis not\n{expected}");
    }
    let ran = run_in(dir.path(), &variables, &["config", "validate", "cloudai.toml", "-o", "json"]);
    let list: Value = serde_json::from_str(&ran.out).unwrap();
    let items = list["items"].as_array().unwrap();
    assert_eq!((ran.code, items.len()), (64, 3), "the file alone: {}", ran.out);
    let http = &items[1];
    let fields = ["severity", "key", "source", "file", "line", "value"].map(|field| http[field].clone());
    let file = json!("cloudai.toml");
    assert_eq!(fields, [json!("error"), json!("master.http"), json!("file"), file, json!(3), json!("eighty")]);
    assert_eq!(run_in(dir.path(), &[home], &["config", "validate", "other.toml"]).code, 64);
    // Who starts with them is told the same.
    let ran = run_in(dir.path(), &variables, &["master"]);
    assert!(ran.code == 64 && ran.err.contains("cloudai.toml:2: master.strateggy"), "{}", ran.err);
    assert!(!ran.err.contains("hush") && ran.err.contains("cloudai config validate\n"), "{}", ran.err);
}

#[test]
fn a_configured_mistake_is_said_once_and_the_hint_names_the_file_that_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let home = ("HOME", ".");
    let file = |text: &str| std::fs::write(dir.path().join("my.toml"), text).unwrap();
    file("[master]\nhttp = \"eighty\"\nstrateggy = \"greedy\"\n");
    let ran = run_in(dir.path(), &[home], &["--config", "my.toml", "master"]);
    assert!(ran.code == 64 && ran.err.contains("next: cloudai config validate --config my.toml\n"), "{}", ran.err);
    let ran = run_in(dir.path(), &[home], &["--config", "my.toml", "config", "show"]);
    assert!(ran.err.contains("2 problem(s): cloudai config validate --config my.toml\n"), "{}", ran.err);
    let ran = run_in(dir.path(), &[home], &["config", "validate", "--config", "my.toml"]);
    let line = "error: my.toml:2: master.http is \"eighty\": it is no address to listen on; \
                master.http: ip:port, localhost:port, :port or a port; port 0 takes a free one\n";
    assert!(ran.code == 64 && ran.out.ends_with(line), "{}", ran.out);
    file("[master]\nhttp = \"eighty\"\n");
    let ran = run_in(dir.path(), &[home], &["--config", "my.toml", "master"]);
    for once in ["eighty", "my.toml:2", "localhost:port"] {
        assert_eq!(ran.err.matches(once).count(), 1, "{once}: {}", ran.err);
    }
}

#[test]
fn a_list_is_active_work_unless_all_is_asked_for() {
    let server = Server::always(200, list(vec![task(json!({"name": "fit"}))]));
    let ran = server.run("task list");
    assert_eq!(ran.code, 0);
    assert!(ran.out.starts_with("ID        STATUS  NAME  REASON            WORKER  CPU   MEM"), "{}", ran.out);
    assert!(ran.out.contains("\n7K3M9QZD  queued  fit   waiting_capacity  -         1  512M"), "{}", ran.out);
    assert!(!ran.out.contains('\u{1b}'), "colours went into a pipe");
    server.run("task list --all --limit 7");
    server.run("list-tasks failed");
    server.run("list-tasks");
    let queries: Vec<_> = server.seen().into_iter().map(|request| request.query).collect();
    assert_eq!(
        queries,
        ["status=queued%2Cpending%2Crunning&limit=50", "limit=7", "status=failed&limit=50", "limit=50"]
    );
}

#[test]
fn a_list_of_many_pages_is_put_together() {
    let server = Server::start(|request, _| {
        let mut page = list(vec![task(json!({})); 1000]);
        if !request.query.contains("cursor=") {
            page["next_cursor"] = "c1".into();
        }
        Reply::Json(200, page)
    });
    let ran = server.run("task list --all --limit 1500 -o quiet");
    assert_eq!(ran.out.lines().count(), 2000);
    let queries: Vec<_> = server.seen().into_iter().map(|request| request.query).collect();
    assert_eq!(queries, ["limit=1000", "limit=500&cursor=c1"]);
}

#[test]
fn data_is_the_answer_of_the_api_in_every_format() {
    let answer = list(vec![task(json!({}))]);
    let server = Server::always(200, answer.clone());
    let json: Value = serde_json::from_str(&server.run("task list --json").out).unwrap();
    assert_eq!(json, answer);
    let line: Value = serde_json::from_str(&server.run("task list -o jsonl").out).unwrap();
    assert_eq!(line, answer["items"][0]);
    let yaml: Value = serde_yaml_ng::from_str(&server.run("task list --output yaml").out).unwrap();
    assert_eq!(yaml, answer);
    assert_eq!(server.run("task list -o quiet").out, format!("{ID}\n"));
}

#[test]
fn a_task_is_found_by_a_part_of_its_id() {
    let server = Server::start(|request, _| match request.path.as_str() {
        "/api/v1/tasks/resolve" => Reply::Json(200, list(vec![task(json!({}))])),
        "/api/v1/tasks" => Reply::Json(200, list(vec![task(json!({}))])),
        _ => Reply::Json(200, task(json!({}))),
    });
    for typed in ["9qzd", "task-01JD", "last", ID, "01JD000000000000007K3M9QZD"] {
        let ran = server.run(&format!("task info {typed} -o quiet"));
        assert_eq!((ran.code, ran.out), (0, format!("{ID}\n")), "{typed}: {}", ran.err);
    }
    assert_eq!(server.asked("GET /api/v1/tasks/resolve")[0].query, "part=9QZD");
}

#[test]
fn a_part_of_several_ids_or_of_none_names_those_that_come_close() {
    let other = "task-01JD000000000000007K3MA001";
    let several = Server::always(200, list(vec![task(json!({"name": "fit"})), task(json!({"id": other}))]));
    let ran = several.run("task info 01JD");
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("\"01JD\" is two tasks") && ran.err.contains("7K3M9QZD fit, 7K3MA001"), "{}", ran.err);
    let none = Server::start(|request, _| match request.path.as_str() {
        "/api/v1/tasks/resolve" => Reply::Json(200, list(Vec::new())),
        _ => Reply::Json(200, list(vec![task(json!({"name": "fit"}))])),
    });
    let ran = none.run("task info 9QZX");
    assert_eq!(ran.code, 5);
    assert!(ran.err.contains("no task \"9QZX\"") && ran.err.contains("close: 7K3M9QZD fit"), "{}", ran.err);
    // The beginning of what lists show is no part by which an id is found.
    let ran = none.run("task wait 7K3M");
    assert_eq!(ran.code, 5);
    assert!(ran.err.contains("close: 7K3M9QZD fit\n  type the last 4 characters"), "{}", ran.err);
}

#[test]
fn waiting_exits_0_3_or_4_or_with_the_containers_code() {
    let rows = [
        (ended("completed", None, Some(0)), "", 0),
        (ended("failed", Some("exit_code"), Some(7)), "", 3),
        (ended("failed", Some("exit_code"), Some(7)), "--propagate-exit", 7),
        (ended("cancelled", Some("user"), None), "--propagate-exit", 3),
        (task(json!({})), "--timeout 0s", 4),
    ];
    for (answer, flags, code) in rows {
        let server = Server::always(200, answer);
        let ran = server.run(&format!("task wait {ID} {flags}"));
        assert_eq!(ran.code, code, "{flags}: {}", ran.err);
    }
}

#[test]
fn waiting_for_several_needs_all_to_complete() {
    let other = "task-01JD000000000000007K3MA001";
    let server = Server::start(move |request, _| match request.path.ends_with("A001") {
        true => Reply::Json(200, ended("completed", None, Some(0))),
        false => Reply::Json(200, ended("failed", Some("oom_killed"), Some(137))),
    });
    let ran = server.run(&format!("task wait {other} {ID}"));
    assert_eq!((ran.code, ran.out.lines().count()), (3, 2), "{}", ran.err);
    assert!(ran.out.contains("failed  oom_killed (exit code 137)  41s"), "{}", ran.out);
    let ran = server.run(&format!("task wait {other} {ID} --json"));
    let all: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
}

#[test]
fn one_cancel_never_asks_and_several_need_a_yes() {
    let server = Server::always(202, ended("cancelled", Some("user"), None));
    let ran = server.run(&format!("cancel {ID}"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(server.seen()[0].line(), format!("POST /api/v1/tasks/{ID}/cancel"));
    let two = format!("task cancel {ID} task-01JD000000000000007K3MA001");
    let ran = server.run(&two);
    assert_eq!((ran.code, server.seen().len()), (64, 1), "{}", ran.err);
    assert!(ran.err.contains("--yes"));
    assert_eq!((server.run(&format!("{two} --yes")).code, server.seen().len()), (0, 3));
}

#[test]
fn tasks_are_held_and_released_one_after_the_other() {
    let held = task(json!({"phase": "held", "message": "held by local"}));
    let server = Server::always(200, held);
    for verb in ["hold", "release"] {
        let ran = server.run(&format!("task {verb} {ID}"));
        assert_eq!((ran.code, ran.out.as_str()), (0, "7K3M9QZD  queued  held  held by local\n"), "{}", ran.err);
        assert_eq!(server.asked(&format!("POST /api/v1/tasks/{ID}/{verb}")).len(), 1);
        let ran = server.run(&format!("task {verb} {ID} task-01JD000000000000007K3MA001 {ID}"));
        assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{}", ran.err);
    }
    let running = problem(409, "conflict", "it waits no more: it is running");
    let Reply::Json(status, body) = running else { return };
    let ran = Server::always(status, body).run(&format!("task hold {ID}"));
    assert!(ran.code == 7 && ran.err.contains("it is running"), "{}", ran.err);
}

#[test]
fn workers_are_listed_registered_and_removed_under_both_words() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "POST" => Reply::Json(201, worker("w4")),
        "DELETE" => Reply::Json(204, Value::Null),
        _ => Reply::Json(200, list(vec![worker("w1")])),
    });
    for words in ["worker list", "workers"] {
        let ran = server.run(words);
        assert!(
            ran.out.contains("WORKER  STATE   CPU    MEM") && ran.out.contains("w1      active  4/4  8G/8G"),
            "{}",
            ran.out
        );
    }
    assert_eq!(server.run("worker list -o quiet").out, "w1\n");
    let wide = server.run("worker list -o wide").out;
    assert!(wide.contains("ENGINE") && wide.contains("docker 27"), "{wide}");
    for words in ["worker register w4 10.0.0.7:1", "register w4 10.0.0.7:1"] {
        assert_eq!(server.run(words).out, "w4  active\n");
        let sent = server.asked("POST /api/v1/workers").pop().unwrap().json();
        assert_eq!(sent, json!({"id": "w4", "address": "10.0.0.7:1"}));
    }
    for words in ["worker remove w4", "unregister w4"] {
        assert_eq!(server.run(words).code, 0);
    }
    assert_eq!(server.asked("DELETE /api/v1/workers/w4").len(), 2);
}

#[test]
fn a_worker_whose_process_runs_is_said_to_come_back() {
    for (status, said) in [("active", true), ("draining", true), ("inactive", false)] {
        let server = Server::start(move |request, _| match request.method.as_str() {
            "DELETE" => Reply::Json(204, Value::Null),
            _ => {
                let mut answer = worker("w1");
                answer["status"] = json!(status);
                Reply::Json(200, answer)
            }
        });
        let ran = server.run("worker remove w1");
        assert_eq!((ran.code, ran.err.contains("joins again")), (0, said), "{status}: {}", ran.err);
    }
}

#[test]
fn an_unknown_worker_is_named_with_those_that_come_close() {
    let server = Server::start(|request, _| match request.method.as_str() {
        "DELETE" => problem(404, "not_found", "no worker gpu-1"),
        _ => Reply::Json(200, list(vec![worker("gpu-01"), worker("cpu-07-far")])),
    });
    let ran = server.run("worker remove gpu-1");
    assert_eq!(ran.code, 5);
    assert!(ran.err.contains("close: gpu-01\n"), "{}", ran.err);
}

#[test]
fn the_token_alone_goes_to_stdout() {
    let server = Server::always(200, json!({"join_token": "cai1-x-y"}));
    assert_eq!(server.run("worker token").out, "cai1-x-y\n");
}

#[test]
fn the_cluster_is_one_line_under_both_words() {
    let amounts = json!({"cpu_cores": 4.0, "memory_gb": 8.0, "storage_gb": 100.0, "gpu_cores": 0.0});
    let cluster = |workers: Value| {
        json!({
            "cluster": "prod", "incarnation": 1, "term": 7, "version": "0.1.0", "strategy": "greedy", "store": "ok",
            "uptime_s": 60, "workers": workers, "tasks": {"queued": 1204, "running": 312},
            "capacity": amounts, "allocated": amounts
        })
    };
    let counts = json!({"total": 41, "active": 39, "states": {"active": 39, "cordoned": 1, "inactive": 1}});
    let server = Server::always(200, cluster(counts));
    for words in ["cluster status", "status"] {
        let ran = server.run(words);
        let workers = "39 active, 1 cordoned, 1 inactive";
        assert_eq!(ran.out, format!("prod  term 7  workers {workers}  queue 1,204  run 312  store ok\n"));
    }
    let older = Server::always(200, cluster(json!({"total": 41, "active": 40})));
    assert!(older.run("status").out.contains("workers 40/41  queue"));
    assert!(server.run("status -o wide").out.contains("strategy  greedy"));
}

#[test]
fn the_queue_keeps_the_masters_order_and_its_places() {
    let other = "task-01JD000000000000007K3MA001";
    let server = Server::always(200, list(vec![task(json!({"id": other, "place": 7})), task(json!({}))]));
    for words in ["queue", "queue list"] {
        let ran = server.run(words);
        let places: Vec<_> = ran.out.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(places, ["7K3MA001", "7K3M9QZD"]);
        let numbers: Vec<_> = ran.out.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(numbers, ["7", "-"], "{}", ran.out);
        assert!(ran.out.contains("1c 512M"), "{}", ran.out);
    }
}

#[test]
fn a_strategy_is_set_with_its_knobs_and_the_current_one_is_marked() {
    let known = json!({
        "current": "ai",
        "items": [{"name": "greedy", "about": "First.", "current": false}, {"name": "ai", "about": "Best.", "current": true}],
        "knobs": [{"name": "patience", "about": "Waits.", "value": 5.0, "default": 20.0, "least": 0.0, "most": 1000.0}]
    });
    let server = Server::always(200, known.clone());
    let ran = server.run("strategy set AI --knob patience=5 --knob fair-share=");
    assert_eq!((ran.code, ran.out.as_str()), (0, "ai places tasks now.\n"), "{}", ran.err);
    let asked = server.asked("PUT /api/v1/strategies/current");
    assert_eq!(asked[0].json(), json!({"name": "ai", "knobs": {"patience": "5", "fair_share": null}}));
    let ran = server.run("strategy list");
    assert_eq!(ran.out, "   STRATEGY  WHAT IT IS GOOD FOR\n   greedy    First.\n*  ai        Best.\n");
    let told: Value = serde_json::from_str(&server.run("strategy list --json").out).unwrap();
    assert_eq!(told, known);
    assert_eq!(server.run("strategy list -o quiet").out, "ai\n");
    assert_eq!(server.run("strategy set ai --knob patience").code, 64);
    for verb in ["list", "set", "predictions"] {
        let help = server.run(&format!("strategy {verb} --help"));
        assert!(help.code == 0 && help.out.contains(&format!("cloudai strategy {verb}")), "{}", help.out);
    }
}

#[test]
fn predictions_are_shown_with_their_accuracy_and_as_they_came() {
    let figures = json!({"closeness": 0.5, "within_upper": 0.9, "log2_error": 1.0});
    let kind = json!({
        "user_id": "local", "image": "a", "command": "sh", "runs": 3, "shortest_s": 1.0, "median_s": 2.0, "longest_s": 3.0,
        "mean_s": 2.0, "upper_s": 3.0, "expert": "recent", "confidence": 50
    });
    let known = json!({"runs": 3, "total": figures, "recent": figures, "kinds": 1, "items": [kind]});
    let server = Server::always(200, known.clone());
    let ran = server.run("strategy predictions --limit 7");
    assert!(ran.code == 0 && ran.out.contains("lately  50 %") && ran.out.contains("2.0s   3.0s"), "{ran:?}");
    assert_eq!(server.seen()[0].query, "limit=7");
    let told: Value = serde_json::from_str(&server.run("strategy predictions --json").out).unwrap();
    assert_eq!(told, known);
}
