//! A store that does not answer: another program holds the lock of the database.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use crate::rest::{accepted, end};
use rusqlite::Connection;
use serde_json::json;
use std::time::{Duration, Instant};

/// Longer than the lease and margin of [`Plan::short_lease`]: a worker that went unheard by it is lost.
const HELD: Duration = Duration::from_secs(15);

/// Whether the master says that its store does not answer.
pub(crate) async fn is_degraded(cluster: &Cluster) -> bool {
    cluster.rest.get("/health").await["status"] == "degraded"
}

#[tokio::test]
async fn a_store_that_stalls_longer_than_a_lease_loses_no_task_and_no_worker() {
    let cluster = Plan::short_lease().worker(fake_worker("w1").cpus(8.0)).start().await;
    let env = |duration: &str| json!({"FAKE_DURATION_MS": duration, "FAKE_STDOUT": "one\ntwo"});
    let task = |duration: &str| json!({"image": "fake:x", "kill_after_s": 1, "env": env(duration)});
    let ends = cluster.rest.submit(task("3000")).await;
    let lasts = cluster.rest.submit(task("30000")).await;
    for id in [&ends, &lasts] {
        cluster.rest.running(id).await;
    }

    let other = Connection::open(cluster.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begin = Instant::now();
    let (rest, document) = (cluster.rest.clone(), task("0"));
    let kept = tokio::spawn(async move { rest.submit(document).await });
    until("the master says that its store does not answer", async || is_degraded(&cluster).await.then_some(())).await;
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&task("0"))).await;
    assert_eq!((refused.status, refused.text("code")), (503, "unavailable"), "{refused:?}");
    assert!(refused.retry_after.is_some_and(|seconds| seconds > 0), "{refused:?}");
    let cancel = cluster.rest.ask("POST", &format!("/api/v1/tasks/{lasts}/cancel"), None).await;
    assert_eq!(cancel.status, 503, "{cancel:?}");
    until("the first task has ended", async || cluster.journal().iter().any(|mark| mark.event == "end").then_some(()))
        .await;
    assert_eq!(end(&cluster.rest.task(&ends).await).0, "running", "its end can not be stored, so nobody is told");
    until("the lease would be over", async || (begin.elapsed() > HELD).then_some(())).await;
    assert!(!kept.is_finished(), "nothing is acknowledged that is not stored");
    other.execute_batch("ROLLBACK").unwrap();

    let kept = kept.await.unwrap();
    for id in [&ends, &lasts, &kept] {
        let task = cluster.rest.ended(id).await;
        assert_eq!((end(&task).0, &task["attempt"], accepted(&task)), ("completed", &json!(1), 1), "{task:#}");
        assert_eq!(cluster.rest.log(id, "").await, "one\ntwo\n");
    }
    assert_eq!(cluster.rest.all_tasks().await.len(), 3, "what was refused is not there");
    assert!(cluster.starts().into_values().all(|starts| starts == 1), "{:?}", cluster.starts());
    assert_eq!(cluster.sessions("w1"), 1, "its heartbeats were answered all the time");
    assert!(!is_degraded(&cluster).await);
}
