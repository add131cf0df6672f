//! `task explain`: what is asked, what is shown.

use super::server::{ID, Reply, Server, list, problem, task};
use serde_json::{Value, json};

fn told() -> Value {
    let amounts = |cpu: f64| json!({"cpu_cores": cpu, "memory_gb": 8.0, "storage_gb": 100.0, "gpu_cores": 0.0});
    let against =
        json!({"code": "short_of_cpu", "message": "cpu need 4 free 1 of 4", "need": 4.0, "free": 1.0, "total": 4.0});
    json!({
        "id": ID, "status": "queued", "phase": "waiting_capacity", "standing": "waits", "strategy": "greedy",
        "message": "waits: no worker has room", "needs": amounts(4.0), "place": 1, "of": 2,
        "workers": [{"id": "w1", "fits": false, "ever": true, "against": [against], "free": amounts(1.0), "total": amounts(4.0)}],
        "counts": {"short_of_cpu": 1},
        "changes": [{"kind": "ask", "message": "with 1 cpu or less it fits w1", "worker_id": "w1", "at_most": {"cpu_cores": 1.0}}],
        "other": {"strategy": "ai", "turn": "no_room", "message": "ai lets it wait: no worker has room", "before": [], "starts": 0}
    })
}

fn master() -> Server {
    Server::start(|request, _| match request.path.rsplit('/').next() {
        Some("resolve") => Reply::Json(200, list(vec![task(json!({}))])),
        _ if request.query.contains("tetris") => {
            problem(400, "invalid", "strategy: is no strategy: allowed are greedy, ai")
        }
        _ => Reply::Json(200, told()),
    })
}

#[test]
fn a_task_is_explained_to_people_worker_by_worker_and_to_programs_as_it_is() {
    let server = master();
    let ran = server.run("task explain 7K3M --strategy ai");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for part in
        ["place 1 of 2", "cpu need 4 free 1 of 4", "ask for cpu 1", "with 1 cpu or less it fits w1", "ai lets it wait"]
    {
        assert!(ran.out.contains(part), "{part:?} is not in\n{}", ran.out);
    }
    let asked = server.asked(&format!("GET /api/v1/tasks/{ID}/explain"));
    assert_eq!(asked[0].query, "strategy=ai");
    let ran = server.run("task explain 7K3M --json");
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&shown["id"], &shown["changes"][0]["at_most"]["cpu_cores"]), (&json!(ID), &json!(1.0)));
}

#[test]
fn a_strategy_that_is_none_is_a_mistake_and_the_allowed_ones_are_named() {
    let ran = master().run("task explain 7K3M --strategy tetris");
    assert_eq!(ran.code, 64, "{}", ran.err);
    assert!(ran.err.contains("allowed are greedy, ai"), "{}", ran.err);
}
