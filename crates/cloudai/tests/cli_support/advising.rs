//! `task advise` and what `task info` says of use: what is asked, what is shown.

use super::server::{ID, Server, ended};
use serde_json::{Value, json};

fn told() -> Value {
    let spread = |p50: f64, high: f64, max: f64| json!({"p50": p50, "high": high, "max": max});
    json!({
        "quantile": 0.95,
        "items": [{
            "name": "train", "attempts": 7, "measured": 7, "oom_killed": 0,
            "requested": {"cpu_cores": 2.0, "memory_gb": 4.0},
            "peak_memory_bytes": {"p50": 104_857_600, "high": 104_857_600, "max": 104_857_600},
            "cpu_cores": spread(0.25, 0.5, 0.5), "run_s": spread(20.0, 30.0, 40.0),
            "wasted": {"cpu": 0.75, "memory": 0.975}, "cpu_bound": false,
            "proposed": {"cpu_cores": 0.5, "memory_gb": 0.125, "timeout_s": 60, "flags": "--mem 128m --cpus 0.5 --timeout 1m"}
        }]
    })
}

#[test]
fn advice_is_shown_to_people_with_what_to_type_and_to_programs_as_it_is() {
    let server = Server::always(200, told());
    let ran = server.run("task advise train --last 50 --quantile 0.9");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for part in
        ["train  7 attempts", "100 MiB", "97.5 %", "cloudai task submit IMAGE --mem 128m --cpus 0.5 --timeout 1m"]
    {
        assert!(ran.out.contains(part), "{part:?} is not in\n{}", ran.out);
    }
    assert_eq!(server.asked("GET /api/v1/advice")[0].query, "name_prefix=train&limit=50&quantile=0.9");
    let shown: Value = serde_json::from_str(&server.run("task advise train --json").out).unwrap();
    assert_eq!(shown, told());
    assert_eq!(server.asked("GET /api/v1/advice")[1].query, "name_prefix=train&limit=200&quantile=0.95");
    assert_eq!(server.run("task advise train -o quiet").out, "train\n");
}

#[test]
fn advice_on_a_name_that_no_task_has_is_not_found_and_a_wrong_share_is_a_mistake() {
    let server = Server::always(200, json!({"quantile": 0.95, "items": []}));
    let ran = server.run("task advise nobody");
    assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{}", ran.err);
    assert!(ran.err.contains("\"nobody\"") && ran.err.contains("cloudai task list --all --name nobody"), "{}", ran.err);
    for words in ["task advise train --quantile 95", "task advise train --last 0", "task advise"] {
        assert_eq!(server.run(words).code, 64, "{words}");
    }
}

#[test]
fn the_card_of_a_task_says_what_it_used() {
    let mut task = ended("completed", None, Some(0));
    task["attempts"] = json!([{
        "attempt": 1, "worker_id": "w1", "status": "completed", "reason": null, "message": "", "exit_code": 0,
        "accepted": true, "assigned_at": "2026-01-01T00:00:00.000Z", "started_at": "2026-01-01T00:00:01.000Z",
        "ended_at": "2026-01-01T00:00:42.000Z", "log_records": 1, "log_bytes": 9,
        "usage": {"peak_memory_bytes": 134_217_728, "cpu_s": 20.5, "queue_s": 2.0, "run_s": 41.0}
    }]);
    let server = Server::always(200, task);
    let ran = server.run(&format!("task info {ID}"));
    let line =
        "\n  used      128 MiB of 512 MiB memory at most, 20.5 CPU seconds (50 % of 1 core), waited 2.0s, ran 41s\n";
    assert!(ran.out.contains(line), "{}", ran.out);
}
