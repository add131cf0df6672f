//! What users of other systems reported, on real processes: each under the name that it has in the
//! list of such reports. Many others of that list stand beside what they are about.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::link::Link;
use crate::process::until;
use crate::rest::{accepted, end};
use serde_json::{Value, json};

/// The limit of the run does not count the pull, nor the limit of the pull the run.
#[tokio::test]
async fn pull_time_not_run_time() {
    let cluster = Cluster::of(fake_worker("w1").cpus(4.0)).await;
    let task = |pull: u64, run: u64, limit: &str| {
        let env = json!({"FAKE_PULL_MS": pull, "FAKE_DURATION_MS": run});
        json!({"image": "fake:x", "env": env, limit: 1, "kill_after_s": 1})
    };
    let slow_pull = cluster.rest.submit(task(3000, 200, "timeout_s")).await;
    let long_run = cluster.rest.submit(task(0, 3000, "pull_timeout_s")).await;
    let no_pull = cluster.rest.submit(task(600_000, 0, "pull_timeout_s")).await;
    for id in [&slow_pull, &long_run] {
        cluster.rest.completed(id).await;
    }
    let pulled = |task: &Value| task["attempts"][0]["reason"] == "image_pull";
    cluster.rest.task_until(&no_pull, "tried in vain", pulled).await;
    assert_eq!(cluster.run(&["cancel", &no_pull]).await.code, 0);
    cluster.rest.ended(&no_pull).await;
}

/// That the master is not reached for a while fails nothing: what runs goes on, what ended is told later.
#[tokio::test]
async fn transient_rpc_is_not_failure() {
    let mut cluster = Cluster::start().await;
    let link = Link::to(cluster.grpc()).await;
    cluster.add(fake_worker("w1").through(link.address())).await;
    let env = |duration: &str| json!({"FAKE_DURATION_MS": duration, "FAKE_STDOUT": "one\ntwo"});
    let task = |duration: &str| json!({"image": "fake:x", "cpu_cores": 1, "env": env(duration)});
    let ends = cluster.rest.submit(task("1500")).await;
    let lasts = cluster.rest.submit(task("forever")).await;
    for id in [&ends, &lasts] {
        cluster.rest.running(id).await;
    }
    link.cut();
    cluster.worker_until("w1", "inactive").await;
    let over = async || cluster.journal().iter().any(|mark| mark.event == "end").then_some(());
    until("the first has ended, and nobody could be told", over).await;
    until("every call fails", async || (link.refused() > 2).then_some(())).await;
    assert_eq!(end(&cluster.rest.task(&ends).await).0, "running");
    link.mend();
    let first = cluster.rest.completed(&ends).await;
    assert_eq!((accepted(&first), &first["warnings"]), (1, &json!([])), "{first:#}");
    assert_eq!(cluster.rest.log(&ends, "").await, "one\ntwo\n");
    // A start that was told while nobody heard it.
    cluster.worker_until("w1", "active").await;
    link.cut();
    let placed = cluster.rest.submit(task("0")).await;
    cluster.rest.task_until(&placed, "assigned", |task| task["status"] == "pending").await;
    let before = link.refused();
    until("its worker calls in vain", async || (link.refused() > before + 1).then_some(())).await;
    link.mend();
    cluster.rest.completed(&placed).await;
    let task = cluster.rest.task_until(&lasts, "heard of again", |task| task["phase"] == "running").await;
    assert_eq!((end(&task).0, task["attempt"].as_u64()), ("running", Some(1)), "{task:#}");
    assert!(cluster.starts().into_values().all(|starts| starts == 1), "{:?}", cluster.starts());
}

/// What a dead worker held is free once its lease is over: when it comes back it takes a full load.
#[tokio::test]
async fn worker_dead_frees_slots() {
    let mut cluster = Plan::short_lease().worker(fake_worker("w1")).start().await;
    let load = json!({"image": "fake:x", "cpu_cores": 1, "kill_after_s": 1, "env": {"FAKE_DURATION_MS": "forever"}});
    let ids = cluster.rest.submit_all(vec![load; 2]).await;
    for id in &ids {
        cluster.rest.running(id).await;
    }
    cluster.kill_worker("w1");
    for id in &ids {
        cluster.rest.task_until(id, "given up", |task| task["reason"] == "worker_lost").await;
    }
    let worker = cluster.rest.get("/api/v1/workers/w1").await;
    assert_eq!((&worker["tasks"], worker["allocated"]["cpu_cores"].as_f64()), (&json!(0), Some(0.0)), "{worker:#}");
    cluster.restart_worker("w1").await;
    for id in &ids {
        let task = cluster.rest.running(id).await;
        assert_eq!((&task["attempt"], &task["worker_id"]), (&json!(2), &json!("w1")), "{task:#}");
    }
}

/// A task that was collected while its worker was away is told of by the worker that comes back: it
/// is superseded, never run again, and its key is free.
#[tokio::test]
async fn gc_never_reruns() {
    let mut cluster = Plan::new().variables(&[("CLOUDAI_RETENTION_TASKS_MAX".into(), "1".into())]).start().await;
    let link = Link::to(cluster.grpc()).await;
    cluster.add(fake_worker("w1").through(link.address())).await;
    let task = json!({"image": "fake:x", "cpu_cores": 2, "idempotency_key": "k", "env": {"FAKE_DURATION_MS": "1000"}});
    let gone = cluster.rest.submit(task.clone()).await;
    cluster.rest.running(&gone).await;
    link.cut();
    let over = async || cluster.journal().iter().any(|mark| mark.event == "end").then_some(());
    until("it has ended, and nobody could be told", over).await;
    let removed = cluster.run(&["worker", "remove", "w1", "--force", "--yes"]).await;
    assert_eq!(removed.code, 0, "{}", removed.err);
    assert_eq!(cluster.run(&["cancel", &gone]).await.code, 0);
    cluster.rest.ended(&gone).await;
    let later = cluster.rest.submit(json!({"image": "fake:x", "hold": true, "allow_pending": true})).await;
    assert_eq!(cluster.run(&["cancel", &later]).await.code, 0);
    let path = format!("/api/v1/tasks/{gone}");
    until("the earlier one is collected", async || {
        (cluster.rest.ask("GET", &path, None).await.status == 404).then_some(())
    })
    .await;

    let mut again = task;
    again["allow_pending"] = json!(true);
    let fresh = cluster.rest.submit(again).await;
    assert_ne!(fresh, gone, "its key is free");
    link.mend();
    cluster.rest.completed(&fresh).await;
    let told = cluster.rest.ask("GET", &path, None).await;
    assert_eq!(told.status, 404);
    assert!(told.body.to_string().contains("retention.tasks_max"), "{}", told.body);
    let starts = cluster.starts();
    assert_eq!((starts.get(&gone), starts.get(&fresh)), (Some(&1), Some(&1)), "{starts:?}");
    assert!(!cluster.rest.all_tasks().await.iter().any(|task| task["task_id"] == gone.as_str()));
}
