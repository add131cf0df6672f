//! Masters that die and come back, with fake tasks: what was acknowledged is there, and runs once.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use crate::rest::{accepted, end, ids};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many times the master is killed under load.
const KILLS: usize = 6;
/// Tasks of the load, and how many come at once.
const TASKS: usize = 300;
const AT_ONCE: usize = 10;

/// Submits the load, each part again under its key until it is acknowledged; answers the ids.
async fn load(rest: crate::rest::Rest, submitted: mpsc::Sender<usize>) -> Vec<String> {
    let mut all = Vec::new();
    for part in (0..TASKS).step_by(AT_ONCE) {
        let document = |n: usize| {
            json!({"image": "fake:x", "idempotency_key": format!("load-{n}"), "cpu_cores": 1, "memory_gb": 0.01,
                "env": {"FAKE_DURATION_MS": n % 5 * 20}})
        };
        let batch = json!({"tasks": (part..part + AT_ONCE).map(document).collect::<Vec<_>>()});
        let answer = until("a part of the load is acknowledged", async || {
            let answer = rest.try_ask("POST", "/api/v1/tasks/batch", Some(&batch)).await.ok()?;
            assert!([200, 201, 503].contains(&answer.status), "{answer:?}");
            (answer.status != 503).then_some(answer)
        });
        all.extend(ids(&answer.await.body));
        let _ = submitted.send(part + AT_ONCE).await;
    }
    all
}

async fn kill_again_and_again(cluster: &mut Cluster, mut submitted: mpsc::Receiver<usize>) {
    for kill in 1..=KILLS {
        // Somewhere in the middle of the load, then a moment that nothing is aligned with.
        while submitted.recv().await.is_some_and(|count| count < kill * TASKS / (KILLS + 1)) {}
        let moment = rand::random_range(0..150);
        eprintln!("kill {kill} comes {moment} ms after its mark");
        tokio::time::sleep(Duration::from_millis(moment)).await;
        cluster.kill_master();
        cluster.restart_master().await;
    }
}

#[tokio::test]
async fn a_master_killed_at_random_moments_loses_no_acknowledged_task_and_runs_none_twice() {
    let plan = Plan::new().worker(fake_worker("w1").cpus(4.0)).worker(fake_worker("w2").cpus(4.0));
    let mut cluster = plan.start().await;
    let rest = cluster.rest.clone();
    let (told, submitted) = mpsc::channel(TASKS);
    let (acknowledged, ()) = tokio::join!(load(rest.clone(), told), kill_again_and_again(&mut cluster, submitted));
    assert_eq!(acknowledged.iter().collect::<BTreeSet<_>>().len(), TASKS);
    rest.completed_count(TASKS as u64).await;
    let tasks: BTreeMap<_, _> =
        rest.all_tasks().await.into_iter().map(|task| (task["id"].as_str().unwrap().to_owned(), task)).collect();
    assert_eq!(tasks.len(), TASKS, "what was sent twice was accepted once");
    for id in &acknowledged {
        let task = &tasks[id];
        assert_eq!((end(task), accepted(task), &task["attempt"]), (("completed", ""), 1, &json!(1)), "{task:#}");
    }
    let expected: BTreeMap<_, _> = acknowledged.into_iter().map(|id| (id, 1)).collect();
    assert_eq!(cluster.starts(), expected, "each was begun once");
}

/// What ended while the master was away is told when it is back.
#[tokio::test]
async fn finished_during_failover_is_completed() {
    let mut cluster = Cluster::of(fake_worker("w1").cpus(4.0)).await;
    let env = json!({"FAKE_DURATION_MS": 1000, "FAKE_STDOUT": "one\ntwo", "FAKE_OUT": "f=content", "FAKE_EXIT": 5});
    let id = cluster.rest.submit(json!({"image": "fake:x", "env": env})).await;
    let good = cluster.rest.submit(json!({"image": "fake:x", "env": {"FAKE_DURATION_MS": "1000"}})).await;
    for id in [&id, &good] {
        cluster.rest.running(id).await;
    }
    cluster.kill_master();
    let ends = async || (cluster.journal().iter().filter(|mark| mark.event == "end").count() == 2).then_some(());
    until("both end without a master", ends).await;
    cluster.restart_master().await;
    let task = cluster.rest.ended(&id).await;
    let found = (end(&task), task["exit_code"].as_i64(), task["attempt"].as_u64());
    assert_eq!(found, (("failed", "exit_code"), Some(5), Some(1)), "{task:#}");
    assert_eq!(cluster.rest.log(&id, "").await, "one\ntwo\n");
    assert_eq!(cluster.run(&["task", "download", &id, "got"]).await.code, 0);
    assert_eq!(std::fs::read_to_string(cluster.dir().join("got/f")).unwrap(), "content");
    cluster.rest.completed(&good).await;
    assert!(cluster.starts().into_values().all(|starts| starts == 1));
}

#[tokio::test]
async fn a_restarted_master_knows_everything_that_it_knew() {
    let mut cluster = Cluster::of(fake_worker("w1").cpus(1.0)).await;
    let document = json!({"image": "fake:x", "name": "n", "labels": {"a": "b"}, "env": {"FAKE_EXIT": "3"}});
    let done = cluster.rest.submit(document).await;
    let done = cluster.rest.ended(&done).await;
    let holder = json!({"image": "fake:x", "env": {"FAKE_DURATION_MS": "forever"}, "kill_after_s": 1});
    let holder = cluster.rest.submit(holder).await;
    cluster.rest.running(&holder).await;
    let waits = json!({"image": "fake:x", "priority": 7, "idempotency_key": "k"});
    let id = cluster.rest.submit(waits.clone()).await;
    let (queue, token) = (cluster.rest.get("/api/v1/queue").await, cluster.run(&["worker", "token"]).await.out);
    let mut term = cluster.rest.get("/api/v1/cluster").await["term"].as_u64().unwrap();
    for clean in [true, false] {
        if clean {
            cluster.stop_master().await;
        } else {
            cluster.kill_master();
        }
        cluster.restart_master().await;
        assert_eq!(cluster.rest.task(done["id"].as_str().unwrap()).await, done);
        assert_eq!(cluster.rest.get("/api/v1/queue").await["items"][0]["id"], queue["items"][0]["id"]);
        assert_eq!(cluster.run(&["worker", "token"]).await.out, token);
        let again = cluster.rest.ask("POST", "/api/v1/tasks", Some(&waits)).await;
        assert_eq!((again.status, again.text("id")), (200, id.as_str()));
        let now = cluster.rest.get("/api/v1/cluster").await;
        assert!(now["term"].as_u64().unwrap() > term, "{now}");
        assert_eq!(now["cluster"], Value::from(cluster.name.as_str()));
        term = now["term"].as_u64().unwrap();
        cluster.worker_until("w1", "active").await;
    }
    let task = cluster.rest.task(&holder).await;
    assert_eq!((end(&task).0, task["attempt"].as_u64()), ("running", Some(1)), "{task:#}");
    assert_eq!(cluster.run(&["cancel", &holder]).await.code, 0);
    cluster.rest.completed(&id).await;
}

#[tokio::test]
async fn a_follower_outlives_its_master_and_misses_nothing() {
    let mut cluster = Cluster::start().await;
    let env = json!({"FAKE_DURATION_MS": 200, "FAKE_STDOUT": "one\ntwo"});
    let id = cluster.rest.submit(json!({"image": "fake:x", "env": env})).await;
    let mut following = cluster.begin(&["task", "logs", &id, "--follow"]);
    let mut waiting = cluster.begin(&["task", "wait", &id]);
    until("it follows", async || following.err().contains("waiting_capacity").then_some(())).await;
    cluster.kill_master();
    cluster.restart_master().await;
    cluster.add(fake_worker("w1")).await;
    assert_eq!((following.ended().await, following.out().as_str()), (0, "one\ntwo\n"), "{}", following.err());
    assert_eq!(waiting.ended().await, 0, "{}", waiting.err());
}
