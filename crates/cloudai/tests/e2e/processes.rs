//! Workers that die, hang and leave, with fake tasks: nothing is lost, nothing counts twice.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use crate::rest::{accepted, end};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A task that runs so long.
fn lasting(duration: &str) -> Value {
    json!({"image": "fake:x", "cpu_cores": 1, "kill_after_s": 1, "env": {"FAKE_DURATION_MS": duration}})
}

/// Attempt, worker, reason and whether it counts, of every attempt.
fn attempts(task: &Value) -> Vec<(u64, &str, &str, bool)> {
    let of = |attempt: &'_ Value| attempt["accepted"].as_bool().unwrap();
    let all = task["attempts"].as_array().unwrap().iter();
    all.map(|attempt| {
        let reason = attempt["reason"].as_str().unwrap_or_default();
        (attempt["attempt"].as_u64().unwrap(), attempt["worker_id"].as_str().unwrap(), reason, of(attempt))
    })
    .collect()
}

#[tokio::test]
async fn tasks_of_a_dead_worker_run_elsewhere_after_its_lease() {
    let mut cluster = Plan::short_lease().worker(fake_worker("w1")).start().await;
    let ids = cluster.rest.submit_all(vec![lasting("4000"); 2]).await;
    for id in &ids {
        cluster.rest.running(id).await;
    }
    let begin = std::time::Instant::now();
    cluster.kill_worker("w1");
    cluster.worker_until("w1", "inactive").await;
    let task = cluster.rest.task(&ids[0]).await;
    assert_eq!((end(&task).0, task["phase"].as_str()), ("running", Some("worker_unreachable")), "{task:#}");
    cluster.add(fake_worker("w2")).await;
    for id in &ids {
        let task = cluster.rest.ended(id).await;
        assert_eq!(end(&task).0, "completed", "{task:#}");
        assert_eq!(attempts(&task), [(1, "w1", "worker_lost", false), (2, "w2", "", true)], "{task:#}");
    }
    assert!(begin.elapsed().as_secs_f64() > 13.0, "the lease was not waited for: {:?}", begin.elapsed());
    assert!(cluster.journal().iter().all(|mark| (mark.worker == "w1") == (mark.attempt == 1)));
    assert!(cluster.starts().into_values().all(|starts| starts == 2));
}

#[tokio::test]
async fn what_a_worker_tells_that_hung_too_long_is_superseded() {
    let mut cluster = Plan::short_lease().worker(fake_worker("w1")).start().await;
    let id = cluster.rest.submit(lasting("6000")).await;
    cluster.rest.running(&id).await;
    cluster.worker("w1").signal(Signal::STOP);
    cluster.worker_until("w1", "inactive").await;
    cluster.add(fake_worker("w2")).await;
    let second = |task: &Value| task["attempt"] == 2 && task["status"] == "running";
    cluster.rest.task_until(&id, "running again", second).await;
    cluster.worker("w1").signal(Signal::CONT);
    // Its own container ended while it hung, or is stopped now: either way it comes too late.
    until("the late report is answered", async || {
        cluster.worker("w1").err().contains("report was not needed").then_some(())
    })
    .await;
    assert!(cluster.worker("w1").err().contains("superseded"), "{}", cluster.worker("w1").err());
    let task = cluster.rest.ended(&id).await;
    assert_eq!(end(&task).0, "completed", "{task:#}");
    assert_eq!(attempts(&task), [(1, "w1", "worker_lost", false), (2, "w2", "", true)], "{task:#}");
    // It is a worker like any other again, without manual help.
    cluster.worker_until("w1", "active").await;
    cluster.stop_worker("w2").await;
    let next = cluster.rest.submit(lasting("0")).await;
    assert_eq!(cluster.rest.completed(&next).await["worker_id"], "w1");
}

#[tokio::test]
async fn a_worker_that_hangs_shorter_than_its_lease_keeps_its_tasks() {
    let mut cluster = Plan::short_lease().worker(fake_worker("w1")).start().await;
    let id = cluster.rest.submit(lasting("5000")).await;
    cluster.rest.running(&id).await;
    cluster.worker("w1").signal(Signal::STOP);
    cluster.worker_until("w1", "inactive").await;
    let waits = cluster.rest.submit(lasting("0")).await;
    let task = cluster.rest.task(&waits).await;
    assert_eq!((end(&task).0, task["attempt"].as_u64()), ("queued", Some(0)), "no new work for it: {task:#}");
    cluster.worker("w1").signal(Signal::CONT);
    cluster.worker_until("w1", "active").await;
    let running = cluster.rest.task_until(&id, "running or done", |task| task["phase"] != "worker_unreachable").await;
    assert_eq!(running["attempt"], 1, "{running:#}");
    cluster.rest.completed(&id).await;
    cluster.rest.completed(&waits).await;
}

#[tokio::test]
async fn tasks_of_a_worker_that_leaves_are_drained_to_another_and_nothing_is_counted() {
    let mut cluster = Plan::new().worker(fake_worker("w1")).start().await;
    let running = cluster.rest.submit(lasting("2000")).await;
    let waiting = cluster.rest.submit(json!({"image": "fake:x", "cpu_cores": 2})).await;
    cluster.rest.running(&running).await;
    // Stopped four times, once more than a lost worker may be: leaving is nobody's failure.
    for round in 1..=4 {
        cluster.stop_worker("w1").await;
        let task = cluster.rest.task(&running).await;
        assert_eq!((end(&task), task["attempt"].as_u64()), (("queued", "drained"), Some(round)), "{task:#}");
        assert_eq!(cluster.rest.get("/api/v1/workers/w1").await["status"], "inactive");
        cluster.restart_worker("w1").await;
        cluster.rest.task_until(&running, "running again", |task| task["status"] == "running").await;
    }
    cluster.stop_worker("w1").await;
    cluster.add(fake_worker("w2").cpus(4.0)).await;
    let task = cluster.rest.ended(&running).await;
    assert_eq!((end(&task), accepted(&task)), (("completed", ""), 1), "{task:#}");
    let found = attempts(&task);
    assert!(
        found[..5].iter().all(|attempt| (attempt.1, attempt.2, attempt.3) == ("w1", "drained", false)),
        "{found:?}"
    );
    assert_eq!(found[5..], [(6, "w2", "", true)]);
    assert_eq!(end(&cluster.rest.ended(&waiting).await).0, "completed");
}

#[tokio::test]
async fn a_worker_that_comes_back_without_its_containers_runs_their_tasks_again() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let ids = cluster.rest.submit_all(vec![lasting("1500"); 2]).await;
    for id in &ids {
        cluster.rest.running(id).await;
    }
    cluster.kill_worker("w1");
    cluster.restart_worker("w1").await;
    for id in &ids {
        let task = cluster.rest.ended(id).await;
        assert_eq!(end(&task).0, "completed", "{task:#}");
        assert_eq!(attempts(&task), [(1, "w1", "worker_lost", false), (2, "w1", "", true)], "{task:#}");
    }
}

/// A cancel while the worker is away is kept until it can be done.
#[tokio::test]
async fn cancel_while_worker_down() {
    let mut cluster = Plan::short_lease().worker(fake_worker("w1")).start().await;
    let id = cluster.rest.submit(lasting("forever")).await;
    cluster.rest.running(&id).await;
    cluster.worker("w1").signal(Signal::STOP);
    cluster.worker_until("w1", "inactive").await;
    let answer = cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    cluster.worker("w1").signal(Signal::CONT);
    let task = cluster.rest.ended(&id).await;
    assert_eq!((end(&task), task["exit_code"].as_i64()), (("cancelled", "user"), Some(143)), "{task:#}");
    // And one whose worker never comes back is told apart.
    let id = cluster.rest.submit(lasting("forever")).await;
    cluster.rest.running(&id).await;
    cluster.kill_worker("w1");
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
    let task = cluster.rest.ended(&id).await;
    assert_eq!((end(&task), task["attempt"].as_u64()), (("cancelled", "unconfirmed"), Some(1)), "{task:#}");
}
