//! Workers that are emptied, kept from work and tried again, with fake tasks.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use crate::rest::{accepted, end};
use serde_json::{Value, json};
use std::path::Path;

/// A task of one core that runs so long, on the image `fake:NAME`.
fn task(name: &str, duration: &str) -> Value {
    json!({"image": format!("fake:{name}"), "cpu_cores": 1, "memory_gb": 0.01, "kill_after_s": 1,
        "env": {"FAKE_DURATION_MS": duration}})
}

async fn worker(cluster: &Cluster, id: &str) -> Value {
    cluster.rest.get(&format!("/api/v1/workers/{id}")).await
}

async fn duty_until(cluster: &Cluster, id: &str, state: Option<&str>) -> Value {
    let what = format!("the duty of {id} is {state:?}");
    until(&what, async || {
        let worker = worker(cluster, id).await;
        (worker["duty"]["state"].as_str() == state).then_some(worker)
    })
    .await
}

/// The workers of a cluster whose hosts a test may break: files in this folder say how.
fn hosts(dir: &Path) -> Plan {
    Plan::new().variables(&[("CLOUDAI_FAKE_HOST".into(), dir.display().to_string())])
}

fn attempt(task: &Value, number: usize) -> (&str, &str) {
    let attempt = &task["attempts"][number - 1];
    (attempt["worker_id"].as_str().unwrap(), attempt["reason"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn at_the_deadline_of_a_drain_tasks_run_elsewhere_and_lose_no_retry() {
    let mut cluster = Plan::new().worker(fake_worker("w1")).start().await;
    let mut once = task("x", "forever");
    once["retries"] = json!({"max": 1, "on": ["worker_lost"]});
    let id = cluster.rest.submit(once).await;
    cluster.rest.running(&id).await;
    let asked = cluster.run(&["worker", "drain", "w1", "--deadline", "1s"]).await;
    assert!(asked.code == 64 && asked.err.contains("--yes"), "{asked:?}");
    let told = cluster.run(&["worker", "drain", "w1", "--dry-run"]).await;
    assert!(
        told.code == 0 && told.err.contains("after 10m") && told.out.trim_end().ends_with(&id[id.len() - 8..]),
        "{told:?}"
    );
    assert_eq!(worker(&cluster, "w1").await["duty"], Value::Null, "nothing was done so far");
    let drained = cluster.run(&["worker", "drain", "w1", "--deadline", "1s", "--reason", "new disk", "--yes"]).await;
    assert!(drained.code == 0 && drained.out.contains("draining"), "{drained:?}");
    let waits = cluster.rest.task_until(&id, "drained", |task| task["reason"] == "drained").await;
    assert_eq!((end(&waits).0, waits["phase"].as_str()), ("queued", Some("waiting_capacity")), "{waits:#}");
    assert!(waits["message"].as_str().unwrap().contains("1 is drained; give it work again"), "{waits:#}");
    duty_until(&cluster, "w1", Some("drained")).await;
    let listed = cluster.run(&["worker", "list"]).await;
    assert!(listed.out.contains("drained") && listed.err.contains("drained by local: new disk"), "{listed:?}");
    let shown = cluster.run(&["worker", "info", "w1"]).await;
    assert!(shown.code == 0 && shown.out.contains("cloudai worker undrain w1"), "{shown:?}");
    cluster.add(fake_worker("w2")).await;
    let task = cluster.rest.running(&id).await;
    assert_eq!((attempt(&task, 1), attempt(&task, 2)), (("w1", "drained"), ("w2", "")), "{task:#}");
    // Drained as often as it may be: its one retry is not used up.
    assert_eq!(cluster.run(&["worker", "uncordon", "w1"]).await.code, 0);
    assert_eq!(cluster.run(&["worker", "drain", "w2", "--deadline", "0", "--yes"]).await.code, 0);
    let again = |task: &Value| task["attempt"] == 3 && task["status"] == "running";
    let task = cluster.rest.task_until(&id, "running again", again).await;
    assert_eq!((attempt(&task, 2), attempt(&task, 3)), (("w2", "drained"), ("w1", "")), "{task:#}");
}

#[tokio::test]
async fn a_drain_and_its_deadline_survive_a_killed_master_and_a_restarted_worker() {
    let mut cluster = Plan::new().worker(fake_worker("w1")).start().await;
    let id = cluster.rest.submit(task("x", "forever")).await;
    cluster.rest.running(&id).await;
    let drained = cluster.rest.ask("POST", "/api/v1/workers/w1/drain?deadline_s=5&reason=move", None).await;
    assert_eq!((drained.status, drained.text("id")), (200, "w1"), "{drained:?}");
    cluster.kill_master();
    cluster.restart_master().await;
    assert_eq!(worker(&cluster, "w1").await["duty"]["reason"], "move");
    let task = cluster.rest.task_until(&id, "drained", |task| task["reason"] == "drained").await;
    assert_eq!(attempt(&task, 1), ("w1", "drained"), "{task:#}");
    cluster.kill_worker("w1");
    cluster.restart_worker("w1").await;
    cluster.worker_until("w1", "active").await;
    duty_until(&cluster, "w1", Some("drained")).await;
    assert_eq!(cluster.run(&["worker", "undrain", "w1"]).await.code, 0);
    cluster.rest.running(&id).await;
}

#[tokio::test]
async fn a_drain_that_waits_and_a_cordon_let_what_runs_end() {
    let cluster = Plan::new().worker(fake_worker("w1")).worker(fake_worker("w2")).start().await;
    let pinned = |worker: &str, duration: &str| {
        let mut document = task("x", duration);
        document["worker_id"] = json!(worker);
        document
    };
    let (one, other) =
        (cluster.rest.submit(pinned("w1", "1500")).await, cluster.rest.submit(pinned("w2", "1500")).await);
    cluster.rest.running(&one).await;
    cluster.rest.running(&other).await;
    assert_eq!(cluster.run(&["worker", "drain", "w1", "--wait"]).await.code, 0);
    assert_eq!(cluster.run(&["worker", "cordon", "w2", "--reason", "look"]).await.code, 0);
    let late = cluster.rest.submit(pinned("w2", "0")).await;
    for id in [&one, &other] {
        assert_eq!(cluster.rest.completed(id).await["attempt"], 1);
    }
    let waits = cluster.rest.task(&late).await;
    assert!(waits["message"].as_str().unwrap().contains("pinned to w2, which is cordoned"), "{waits:#}");
    let unknown = cluster.run(&["worker", "cordon", "w9"]).await;
    assert!(unknown.code == 5 && unknown.err.contains("close: w1, w2"), "{unknown:?}");
    assert_eq!(cluster.run(&["worker", "undrain", "w2"]).await.code, 0);
    cluster.rest.completed(&late).await;
}

#[tokio::test]
async fn a_worker_that_fails_everything_is_quarantined_and_opened_again_when_it_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("w1.broken");
    std::fs::write(&broken, "").unwrap();
    let mut cluster = hosts(dir.path()).worker(fake_worker("w1")).start().await;
    let named = |n: usize| task(if n.is_multiple_of(2) { "a" } else { "b" }, "0");
    let tasks = cluster.rest.submit_all((0..12).map(named).collect()).await;
    let quarantined = duty_until(&cluster, "w1", Some("quarantined")).await;
    let reason = quarantined["duty"]["reason"].as_str().unwrap();
    assert!(reason.contains("the engine failed: its host is broken"), "{reason}");
    let waits =
        |task: &Value| task["message"].as_str().is_some_and(|why| why.contains("1 is quarantined, tried again"));
    cluster.rest.task_until(&tasks[11], "told why it waits", waits).await;
    cluster.add(fake_worker("w2")).await;
    for id in &tasks {
        let task = cluster.rest.ended(id).await;
        assert_eq!(
            (end(&task).0, accepted(&task), task["worker_id"].as_str()),
            ("completed", 1, Some("w2")),
            "{task:#}"
        );
    }
    std::fs::remove_file(&broken).unwrap();
    let mut pinned = task("a", "0");
    pinned["worker_id"] = json!("w1");
    let probe = cluster.rest.submit(pinned).await;
    assert_eq!(cluster.rest.completed(&probe).await["worker_id"], "w1");
    assert_eq!(duty_until(&cluster, "w1", None).await["status"], "active");
}

#[tokio::test]
async fn a_worker_whose_disk_is_full_takes_no_work_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = hosts(dir.path()).worker(fake_worker("w1")).start().await;
    std::fs::write(dir.path().join("w1.disk"), "100").unwrap();
    cluster.worker_until("w1", "disk_pressure").await;
    let why = worker(&cluster, "w1").await["disk_pressure"].as_str().unwrap().to_owned();
    assert!(why.contains("100 % full"), "{why}");
    let listed = cluster.run(&["worker", "list"]).await;
    assert!(listed.out.contains("disk_pressure") && listed.err.contains(&why), "{listed:?}");
    let id = cluster.rest.submit(task("x", "0")).await;
    let waits = cluster.rest.task(&id).await;
    assert!(waits["message"].as_str().unwrap().starts_with("w1 is short of disk, so it gets no work"), "{waits:#}");
    std::fs::write(dir.path().join("w1.disk"), "50").unwrap();
    cluster.rest.completed(&id).await;
}
