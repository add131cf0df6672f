//! Jobs over real processes: graphs, arrays, ends in part, a master that dies in between.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use serde_json::{Value, json};

/// Submits a job; answers it as it was accepted.
async fn submit(cluster: &Cluster, job: &Value) -> Value {
    let accepted = cluster.rest.ask("POST", "/api/v1/jobs", Some(job)).await;
    assert_eq!(accepted.status, 201, "{accepted:?}");
    accepted.body
}

async fn get(cluster: &Cluster, path: &str) -> Value {
    let answer = cluster.rest.ask("GET", path, None).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

fn path(job: &Value) -> String {
    format!("/api/v1/jobs/{}", job["id"].as_str().unwrap())
}

/// The job once it has ended.
async fn ended(cluster: &Cluster, job: &Value) -> Value {
    let path = path(job);
    until("the job has ended", async || {
        let now = get(cluster, &format!("{path}?wait_s=30")).await;
        (!now["finished_at"].is_null()).then_some(now)
    })
    .await
}

async fn post(cluster: &Cluster, path: &str) -> Value {
    let answer = cluster.rest.ask("POST", path, None).await;
    assert!((200..300).contains(&answer.status), "{path}: {answer:?}");
    answer.body
}

#[tokio::test]
async fn a_sweep_of_ten_thousand_runs_while_its_list_stays_short() {
    let cluster = Cluster::of(fake_worker("w1").cpus(100.0)).await;
    let job = submit(
        &cluster,
        &json!({"name": "sweep", "tasks": [{
            "name": "fit", "image": "fake:x", "cpu_cores": 0.1, "memory_gb": 0.01, "storage_gb": 0, "array": "0-9999",
            "env": {"SEED": "${index}"},
        }]}),
    )
    .await;
    assert_eq!((job["tasks"].as_u64(), job["parts"][0]["array"].as_str()), (Some(10_000), Some("0-9999")));
    let listed = get(&cluster, "/api/v1/tasks?limit=1000").await;
    let row = &listed["items"][0];
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "an array is one row: {listed:#}");
    assert_eq!((&row["id"], &row["array"]["total"]), (&job["parts"][0]["id"], &json!(10_000)));
    let end = ended(&cluster, &job).await;
    assert_eq!((end["status"].as_str(), end["counts"]["completed"].as_u64()), (Some("completed"), Some(10_000)));
    let some = get(&cluster, &format!("{}/tasks?task=fit&index=41-42,9999", path(&job))).await;
    let seeds: Vec<_> = some["items"].as_array().unwrap().iter().map(|task| task["index"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [41, 42, 9999]);
    let one = get(&cluster, &format!("/api/v1/tasks/{}", some["items"][1]["id"].as_str().unwrap())).await;
    assert_eq!((one["spec"]["env"]["SEED"].as_str(), one["status"].as_str()), (Some("42"), Some("completed")));
}

#[tokio::test]
async fn a_graph_goes_on_where_it_was_when_its_master_was_killed() {
    let mut cluster = Plan::new().worker(fake_worker("w1").cpus(8.0)).start().await;
    let long = json!({"FAKE_DURATION_MS": "600000"});
    let job = submit(
        &cluster,
        &json!({"name": "flow", "defaults": {"image": "fake:x", "storage_gb": 0}, "tasks": [
            {"name": "split"},
            {"name": "map", "needs": ["split"], "array": "0-3", "cpu_cores": 0.5, "env": long},
            {"name": "reduce", "needs": ["map"]},
            {"name": "clean", "needs": {"task": "reduce", "when": "any"}},
        ]}),
    )
    .await;
    let path = path(&job);
    let running = async || {
        let now = get(&cluster, &path).await;
        (now["counts"]["running"] == 4).then_some(now)
    };
    let now = until("all maps run", running).await;
    assert_eq!(now["parts"][2]["status"], "waiting");
    assert_eq!(now["parts"][2]["message"], "waits for map (0 of 4 have ended)");
    let reduce = now["parts"][2]["id"].as_str().unwrap().to_owned();
    let waits = get(&cluster, &format!("/api/v1/tasks/{reduce}")).await;
    assert_eq!((waits["status"].as_str(), waits["phase"].as_str()), (Some("queued"), Some("waiting_dependencies")));
    cluster.kill_master();
    cluster.restart_master().await;
    let same = get(&cluster, &path).await;
    assert_eq!(same["counts"], now["counts"]);
    // A map is cancelled: what needs them is, too, and the cleaning runs.
    post(&cluster, &format!("{path}/cancel?task=map&index=1-3")).await;
    post(&cluster, &format!("{path}/cancel?task=map&index=0")).await;
    let end = ended(&cluster, &job).await;
    let parts: Vec<_> = end["parts"].as_array().unwrap().iter().map(|part| part["status"].as_str().unwrap()).collect();
    assert_eq!(parts, ["completed", "cancelled", "cancelled", "completed"], "{end:#}");
    assert_eq!(end["status"], "cancelled");
}

#[tokio::test]
async fn what_failed_runs_again_as_a_job_of_its_own() {
    let cluster = Cluster::of(fake_worker("w1").cpus(8.0)).await;
    let job = submit(
        &cluster,
        &json!({"defaults": {"image": "fake:x", "cpu_cores": 0.5, "storage_gb": 0}, "tasks": [
            {"name": "map", "each": [{"code": 0}, {"code": 3}, {"code": 0}], "env": {"FAKE_EXIT": "${item.code}"}},
            {"name": "reduce", "needs": ["map"]},
        ]}),
    )
    .await;
    let end = ended(&cluster, &job).await;
    assert_eq!(end["status"], "failed");
    assert_eq!(end["parts"][0]["message"], "1 of 3 failed: 1 (exit code 3)");
    assert_eq!(end["parts"][1]["message"], "it needs map, which failed");
    assert!(end["message"].as_str().unwrap().contains("map failed, so reduce did not run"), "{end:#}");
    let again = post(&cluster, &format!("{}/retry", path(&job))).await;
    assert_eq!(again["retry_of"], job["id"]);
    let end = ended(&cluster, &again).await;
    assert_eq!((end["counts"]["completed"].as_u64(), end["counts"]["failed"].as_u64()), (Some(2), Some(2)), "{end:#}");
    let tasks = get(&cluster, &format!("{}/tasks?task=map", path(&again))).await;
    let attempts: Vec<_> =
        tasks["items"].as_array().unwrap().iter().map(|task| task["attempt"].as_u64().unwrap()).collect();
    assert_eq!(attempts, [0, 1, 0], "only what failed ran");
    let twice = post(&cluster, &format!("{}/retry", path(&job))).await;
    assert_eq!(twice["id"], again["id"]);
}

#[tokio::test]
async fn a_million_elements_are_one_submission_and_end_with_one_cancel() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let job = submit(
        &cluster,
        &json!({"tasks": [{
            "name": "wide", "image": "fake:x", "array": "0-999999", "storage_gb": 0,
            "env": {"FAKE_DURATION_MS": "600000"},
        }]}),
    )
    .await;
    let last = get(&cluster, &format!("{}/tasks?index=999999&task=wide", path(&job))).await;
    assert_eq!(last["items"][0]["phase"], "waiting_capacity");
    let id = last["items"][0]["id"].as_str().unwrap();
    let one = post(&cluster, &format!("/api/v1/tasks/{id}/cancel")).await;
    assert_eq!((one["status"].as_str(), one["reason"].as_str()), (Some("cancelled"), Some("user")));
    post(&cluster, &format!("{}/cancel", path(&job))).await;
    let end = ended(&cluster, &job).await;
    assert_eq!((end["status"].as_str(), end["counts"]["cancelled"].as_u64()), (Some("cancelled"), Some(1_000_000)));
}

#[tokio::test]
async fn what_is_wrong_with_a_job_is_said_by_its_place_and_nothing_of_it_is_taken() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let fake = |name: &str, more: Value| {
        let mut task = json!({"name": name, "image": "fake:x"});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    };
    let rows = [
        (json!([fake("a", json!({"needs": ["b"]})), fake("b", json!({"needs": ["a"]}))]), 400, "a needs b needs a"),
        (json!([fake("a", json!({})), fake("a", json!({}))]), 400, "tasks[1].name"),
        (json!([fake("a", json!({"cpus": 1}))]), 400, "cpu_cores"),
        (json!([fake("a", json!({})), fake("b", json!({"cpu_cores": 64}))]), 422, "tasks[1]"),
        (json!([fake("a", json!({"inputs": [{"from": "blob:00", "path": "/in"}]}))]), 400, "tasks[0].inputs[0].from"),
    ];
    for (tasks, status, word) in rows {
        let refused = cluster.rest.ask("POST", "/api/v1/jobs", Some(&json!({"tasks": tasks}))).await;
        assert_eq!(refused.status, status, "{refused:?}");
        assert!(refused.body.to_string().contains(word), "{word}: {refused:?}");
    }
    assert_eq!(get(&cluster, "/api/v1/jobs").await["items"], json!([]));
    assert_eq!(cluster.rest.ask("GET", "/api/v1/jobs/job-01ARZ3NDEKTSV4RRFFQ69G5FAV", None).await.status, 404);
}
