//! The path of a task through a cluster of fake workers: placed, run once, ended, told.

use crate::cluster::{Cluster, Mark, Plan, fake_worker};
use crate::rest::{accepted, end};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A task that runs until it is stopped.
fn endless(cpu: f64) -> Value {
    json!({"image": "fake:x", "cpu_cores": cpu, "kill_after_s": 1, "env": {"FAKE_DURATION_MS": "forever"}})
}

#[tokio::test]
async fn a_thousand_tasks_in_one_batch_each_run_once_and_complete() {
    let cluster = Plan::new().worker(fake_worker("w1").cpus(8.0)).worker(fake_worker("w2").cpus(8.0)).start().await;
    let ids = cluster.rest.submit_all(vec![json!({"image": "fake:x", "memory_gb": 0.01}); 1000]).await;
    cluster.rest.completed_count(1000).await;
    let tasks = cluster.rest.all_tasks().await;
    assert_eq!(tasks.len(), 1000);
    for task in &tasks {
        assert_eq!((end(task), task["attempt"].as_u64(), accepted(task)), (("completed", ""), Some(1), 1), "{task:#}");
    }
    let starts = cluster.starts();
    let expected: BTreeMap<_, _> = ids.into_iter().map(|id| (id, 1)).collect();
    assert_eq!(starts, expected, "each was begun once");
    let workers: std::collections::BTreeSet<_> = cluster.journal().into_iter().map(|mark| mark.worker).collect();
    assert_eq!(workers.len(), 2, "both workers had a share");
}

/// The most that each worker ever held at once, in cores and GB.
fn peaks(journal: &[Mark]) -> BTreeMap<String, (f64, f64)> {
    let (mut held, mut peaks) = (BTreeMap::<String, (f64, f64)>::new(), BTreeMap::<String, (f64, f64)>::new());
    for mark in journal {
        let sign = if mark.event == "start" { 1.0 } else { -1.0 };
        let now = held.entry(mark.worker.clone()).or_default();
        *now = (now.0 + sign * mark.cpu, now.1 + sign * mark.mem_gb);
        let peak = peaks.entry(mark.worker.clone()).or_default();
        *peak = (peak.0.max(now.0), peak.1.max(now.1));
    }
    peaks
}

#[tokio::test]
async fn no_worker_ever_holds_more_than_it_offers() {
    for strategy in ["round_robin", "greedy"] {
        let plan = Plan::new().strategy(strategy).worker(fake_worker("w1").cpus(2.0).mem("8g"));
        let cluster = plan.worker(fake_worker("w2").cpus(3.0).mem("2g")).start().await;
        // By turns the cores and the memory are what is short.
        let document = |n: u32| {
            let (cpu, memory) = (f64::from(n % 7 + 1) * 0.25, f64::from(n % 5 + 1) * 0.4);
            let env = json!({"FAKE_DURATION_MS": n % 4 * 10});
            json!({"image": "fake:x", "cpu_cores": cpu, "memory_gb": memory, "storage_gb": 0, "env": env})
        };
        cluster.rest.submit_all((0..200).map(document).collect()).await;
        cluster.rest.completed_count(200).await;
        let peaks = peaks(&cluster.journal());
        for (worker, cores, memory) in [("w1", 2.0, 8.0), ("w2", 3.0, 2.0)] {
            let (cpu, mem) = peaks[worker];
            assert!(cpu <= cores + 1e-6 && mem <= memory + 1e-6, "{strategy}: {worker} held {cpu} cores, {mem} GB");
            assert!(cpu > cores / 2.0, "{strategy}: {worker} was never busy: {cpu} cores");
        }
    }
}

#[tokio::test]
async fn higher_priorities_go_first_and_equal_ones_in_the_order_of_submission() {
    for strategy in ["round_robin_skip", "greedy_skip", "ai"] {
        let cluster = Plan::new().strategy(strategy).worker(fake_worker("w1").cpus(1.0)).start().await;
        let first = cluster.rest.submit(endless(1.0)).await;
        cluster.rest.running(&first).await;
        let priorities = [0, 5, -100, 5, 100, 0];
        let document = |priority: &i32| json!({"image": "fake:x", "priority": priority});
        let ids = cluster.rest.submit_all(priorities.iter().map(document).collect()).await;
        let expected: Vec<_> = [4, 1, 3, 0, 5, 2].map(|place| ids[place].clone()).to_vec();
        let queue = cluster.rest.get("/api/v1/queue").await;
        assert_eq!(crate::rest::ids(&queue), expected, "{strategy}: the queue");
        assert_eq!(cluster.run(&["task", "cancel", &first]).await.code, 0);
        cluster.rest.completed_count(6).await;
        let begun = cluster.journal().into_iter().filter(|mark| mark.event == "start").map(|mark| mark.task);
        assert_eq!(begun.skip(1).collect::<Vec<_>>(), expected, "{strategy}: the starts");
    }
}

#[tokio::test]
async fn dispatch_pins_a_task_to_its_worker_also_when_another_is_free() {
    let plan = Plan::new().worker(fake_worker("w1").cpus(4.0)).worker(fake_worker("w2").cpus(1.0));
    let cluster = plan.start().await;
    for _ in 0..3 {
        let ran = cluster.run(&["dispatch", "w2", "fake:x", "--wait", "--json"]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        let task: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(task["worker_id"], "w2");
    }
    let holder = cluster.rest.submit(json!({"image": "fake:x", "worker_id": "w2", "kill_after_s": 1,
        "env": {"FAKE_DURATION_MS": "forever"}}));
    let holder = holder.await;
    cluster.rest.running(&holder).await;
    let pinned = cluster.rest.submit(json!({"image": "fake:x", "worker_id": "w2"})).await;
    let free = cluster.rest.submit(json!({"image": "fake:x"})).await;
    assert_eq!(cluster.rest.completed(&free).await["worker_id"], "w1");
    let waits = cluster.rest.task(&pinned).await;
    assert_eq!((end(&waits).0, waits["phase"].as_str()), ("queued", Some("waiting_capacity")), "{waits:#}");
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{holder}/cancel"), None).await;
    assert_eq!(cluster.rest.completed(&pinned).await["worker_id"], "w2");
}

#[tokio::test]
async fn a_cancelled_task_that_waited_never_starts() {
    let cluster = Cluster::of(fake_worker("w1").cpus(1.0)).await;
    let holder = cluster.rest.submit(endless(1.0)).await;
    cluster.rest.running(&holder).await;
    let waits = cluster.rest.submit(json!({"image": "fake:x"})).await;
    let ran = cluster.run(&["cancel", &waits]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let task = cluster.rest.task(&waits).await;
    assert_eq!((end(&task), task["attempt"].as_u64()), (("cancelled", "user"), Some(0)), "{task:#}");
    let again = cluster.rest.ask("POST", &format!("/api/v1/tasks/{waits}/cancel"), None).await;
    assert_eq!((again.status, again.text("status")), (200, "cancelled"), "{again:?}");
    // The room that it waited for comes, and is another's.
    let next = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{holder}/cancel"), None).await;
    cluster.rest.completed(&next).await;
    assert!(!cluster.starts().contains_key(&waits));
}

#[tokio::test]
async fn a_cancelled_task_that_runs_ends_by_term_or_after_its_grace_by_kill() {
    let cluster = Cluster::of(fake_worker("w1").cpus(4.0)).await;
    let polite = cluster.rest.submit(endless(1.0)).await;
    let mut document = endless(1.0);
    document["env"]["FAKE_IGNORE_TERM"] = "1".into();
    let stubborn = cluster.rest.submit(document).await;
    for (id, code) in [(&polite, 143), (&stubborn, 137)] {
        cluster.rest.running(id).await;
        let asked = boot_seconds();
        let answer = cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
        assert_eq!((answer.status, &answer.body["phase"]), (202, &json!("cancelling")), "{answer:?}");
        let task = cluster.rest.ended(id).await;
        assert_eq!((end(&task), task["exit_code"].as_i64()), (("cancelled", "user"), Some(code)), "{task:#}");
        let ended = cluster.journal().into_iter().find(|mark| mark.task == *id && mark.event == "end").unwrap();
        assert_eq!((ended.exit.map(i64::from), ended.attempt), (Some(code), 1));
        let took = ended.t - asked;
        assert!((took >= 1.0) == (code == 137) && took < 10.0, "{code} came after {took} s");
        // Cancelled once more, it stays as it is.
        let again = cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
        assert_eq!((again.status, again.body["version"].as_u64()), (200, task["version"].as_u64()), "{again:?}");
    }
    let worker = cluster.rest.get("/api/v1/workers/w1").await;
    assert_eq!((worker["tasks"].as_u64(), worker["allocated"]["cpu_cores"].as_f64()), (Some(0), Some(0.0)));
}

/// The clock of the fake journal.
fn boot_seconds() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    std::time::Duration::try_from(now).unwrap().as_secs_f64()
}

#[tokio::test]
async fn one_idempotency_key_makes_one_task() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let submit = ["task", "submit", "fake:x", "--idempotency-key", "k1", "-o", "quiet"];
    let first = cluster.run(&submit).await;
    let second = cluster.run(&submit).await;
    assert_eq!((first.code, second.code, &first.out), (0, 0, &second.out), "{}", second.err);
    assert!(second.err.contains("used before"), "{}", second.err);
    let other = cluster.run(&["task", "submit", "fake:y", "--idempotency-key", "k1"]).await;
    assert_eq!(other.code, 7, "{}", other.err);
    let document = json!({"image": "fake:x", "idempotency_key": "k1"});
    let third = cluster.rest.ask("POST", "/api/v1/tasks", Some(&document)).await;
    assert_eq!((third.status, third.text("id")), (200, first.out.trim()));
    let batch = json!({"tasks": [document, {"image": "fake:z", "idempotency_key": "k2"}]});
    for fresh in [true, false] {
        let answer = cluster.rest.ask("POST", "/api/v1/tasks/batch", Some(&batch)).await;
        assert_eq!(answer.status, if fresh { 201 } else { 200 }, "{answer:?}");
        assert_eq!(
            (&answer.body["items"][0]["fresh"], &answer.body["items"][1]["fresh"]),
            (&json!(false), &json!(fresh))
        );
    }
    cluster.rest.completed_count(2).await;
    assert_eq!(cluster.starts().into_values().collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn waiting_tells_by_its_exit_code_what_became_of_a_task() {
    let cluster = Cluster::of(fake_worker("w1").cpus(8.0)).await;
    let good = cluster.rest.submit(json!({"image": "fake:x"})).await;
    let bad = cluster.rest.submit(json!({"image": "fake:x", "env": {"FAKE_EXIT": "7"}})).await;
    let long = cluster.rest.submit(endless(1.0)).await;
    let rows: [(&[&str], i32); 8] = [
        (&["task", "wait", &good], 0),
        (&["task", "wait", &bad], 3),
        (&["task", "wait", &bad, "--propagate-exit"], 7),
        (&["task", "wait", &good, &bad], 3),
        (&["task", "wait", &long, "--timeout", "0.2s"], 4),
        (&["task", "submit", "fake:x", "--wait"], 0),
        (&["task", "submit", "fake:x", "--env", "FAKE_EXIT=9", "--follow", "--propagate-exit"], 9),
        (&["task", "submit", "fake:x", "--env", "FAKE_DURATION_MS=forever", "--wait", "--wait-timeout", "0.2s"], 4),
    ];
    for (words, code) in rows {
        let ran = cluster.run(words).await;
        assert_eq!(ran.code, code, "{words:?}: {}{}", ran.out, ran.err);
    }
    let waiting = cluster.begin(&["task", "wait", &long]);
    cluster.run(&["cancel", &long]).await;
    let mut waiting = waiting;
    assert_eq!(waiting.ended().await, 3, "{}", waiting.err());
    let task = cluster.rest.task(&bad).await;
    assert_eq!((end(&task), task["exit_code"].as_i64()), (("failed", "exit_code"), Some(7)), "{task:#}");
    assert!(task["message"].as_str().unwrap().contains("exit code 7"), "{task:#}");
}

#[tokio::test]
async fn what_ended_is_told_alike_by_every_command_and_route() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let env = ["--env", "FAKE_STDOUT=out", "--env", "FAKE_STDERR=err", "--env", "FAKE_OUT=f.txt=content"];
    let words: Vec<_> = ["task", "submit", "fake:x", "--name", "told", "-o", "quiet"].into_iter().chain(env).collect();
    let id = cluster.run(&words).await.out.trim().to_owned();
    cluster.rest.completed(&id).await;
    for typed in [&id, &id[id.len() - 8..], "last"] {
        let ran = cluster.run(&["task", "info", typed, "--json"]).await;
        let task: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(task["id"], id, "{typed}");
    }
    let logs = cluster.run(&["task", "logs", &id]).await;
    assert_eq!((logs.code, logs.out.as_str(), logs.err.as_str()), (0, "out\n", "err\n"));
    assert_eq!(cluster.rest.log(&id, "&stream=stderr").await, "err\n");
    let listed = cluster.run(&["list-tasks", "completed", "-o", "quiet"]).await;
    assert_eq!(listed.out.trim(), id);
    assert_eq!(cluster.run(&["task", "list", "-o", "quiet"]).await.out, "", "a list is active work");
    assert_eq!(cluster.run(&["task", "download", &id, "got"]).await.code, 0);
    let status = cluster.run(&["cluster", "status", "--json"]).await;
    let status: Value = serde_json::from_str(&status.out).unwrap();
    assert_eq!((&status["tasks"]["completed"], &status["workers"]["active"]), (&json!(1), &json!(1)));
}
