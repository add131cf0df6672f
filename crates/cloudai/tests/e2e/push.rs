//! Workers that their master calls: it brings commands to those that asked for it, and finds those that wait for it.

use crate::cluster::{Cluster, WorkerPlan, fake_worker};
use crate::process::{Process, until};
use crate::rest::end;
use serde_json::json;

/// A worker that is brought its commands, on a free port of this machine.
fn push_worker(id: &str) -> WorkerPlan {
    fake_worker(id).flags(&["--delivery", "push", "--listen", "127.0.0.1:0"])
}

/// Begins a task that runs until it is cancelled, and cancels it.
async fn run_and_cancel(cluster: &Cluster) {
    let document = json!({"image": "fake:x", "env": {"FAKE_DURATION_MS": 60_000}, "kill_after_s": 1});
    let id = cluster.rest.submit(document).await;
    cluster.rest.running(&id).await;
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
    let task = cluster.rest.ended(&id).await;
    assert_eq!(end(&task), ("cancelled", "user"), "{task:#}");
}

async fn run(cluster: &Cluster, count: usize) {
    let ids = cluster.rest.submit_all(vec![json!({"image": "fake:x"}); count]).await;
    for id in ids {
        cluster.rest.completed(&id).await;
    }
}

#[tokio::test]
async fn a_worker_by_push_runs_and_stops_tasks_whoever_of_both_starts_again() {
    let mut cluster = Cluster::of(push_worker("w1")).await;
    run(&cluster, 30).await;
    run_and_cancel(&cluster).await;
    // Its next lives listen on other ports.
    cluster.stop_worker("w1").await;
    cluster.restart_worker("w1").await;
    run(&cluster, 3).await;
    cluster.kill_worker("w1");
    cluster.restart_worker("w1").await;
    run_and_cancel(&cluster).await;

    cluster.kill_master();
    cluster.restart_master().await;
    cluster.worker_until("w1", "active").await;
    run(&cluster, 3).await;
    assert!(cluster.starts().values().all(|starts| *starts == 1), "{:?}", cluster.starts());
}

/// Starts a worker that is not told where its master is.
fn begin_waiting(cluster: &Cluster, name: &str, delivery: &str) -> Process {
    let words = ["worker", "start", "--id", "w4", "--executor", "fake", "--delivery", delivery];
    let offer = ["--listen", "127.0.0.1:0", "--cpus", "1", "--mem", "8g", "--disk", "10g", "--data-dir", "waiting"];
    let words: Vec<_> = words.into_iter().chain(offer).map(ToOwned::to_owned).collect();
    let variables = [("CLOUDAI_JOIN_TOKEN".to_owned(), cluster.token().to_owned())];
    Process::start(cluster.dir(), name, &variables, &words)
}

/// Where a worker says that it may be called.
async fn listens(worker: &Process) -> String {
    until("the worker listens", async || {
        let told = worker.err();
        let line = told.lines().find(|line| line.contains("a master may call this worker"))?;
        Some(line.split("address=").nth(1)?.trim().to_owned())
    })
    .await
}

async fn is_called_and_comes_back(delivery: &str) {
    let mut cluster = Cluster::start().await;
    let mut worker = begin_waiting(&cluster, "first", delivery);
    let address = listens(&worker).await;
    until("it waits", async || worker.err().contains("waiting to be called").then_some(())).await;
    let told = cluster.run(&["register", "w4", &address]).await;
    assert_eq!(told.code, 0, "{}", told.err);
    cluster.worker_until("w4", "active").await;
    run(&cluster, 5).await;
    run_and_cancel(&cluster).await;

    cluster.kill_master();
    cluster.restart_master().await;
    cluster.worker_until("w4", "active").await;
    run(&cluster, 2).await;
    // It remembers who called it.
    worker.kill();
    cluster.worker_until("w4", "inactive").await;
    let _worker = begin_waiting(&cluster, "second", delivery);
    cluster.worker_until("w4", "active").await;
    run(&cluster, 2).await;
}

#[tokio::test]
async fn a_worker_that_waits_is_called_and_subscribes() {
    is_called_and_comes_back("subscribe").await;
}

#[tokio::test]
async fn a_worker_that_waits_is_called_and_brought_its_commands() {
    is_called_and_comes_back("push").await;
}

#[tokio::test]
async fn a_worker_that_waits_follows_nobody_who_shows_another_token() {
    let (cluster, stranger) = (Cluster::start().await, Cluster::start().await);
    let worker = begin_waiting(&cluster, "waits", "push");
    let address = listens(&worker).await;
    assert_eq!(stranger.run(&["register", "w4", &address]).await.code, 0);
    until("the stranger is refused", async || stranger.master_err().contains("the join token is not").then_some(()))
        .await;
    assert_eq!(cluster.run(&["register", "w4", &address]).await.code, 0);
    cluster.worker_until("w4", "active").await;
    assert!(!worker.err().contains(stranger.grpc()), "{}", worker.err());
}
