//! Logs that are followed while the task waits, runs and ends.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use serde_json::json;

#[tokio::test]
async fn a_log_is_followed_from_before_the_start_to_the_end() {
    let mut cluster = Cluster::start().await;
    let env = json!({"FAKE_DURATION_MS": 300, "FAKE_STDOUT": "one\ntwo\nthree", "FAKE_STDERR": "four", "FAKE_EXIT": 3});
    let id = cluster.rest.submit(json!({"image": "fake:x", "env": env})).await;
    let mut following = cluster.begin(&["task", "logs", &id, "--follow"]);
    until("the follower is told what it waits for", async || {
        following.err().contains("waiting_capacity").then_some(())
    })
    .await;
    let mut submitting = cluster.begin(&["task", "submit", "fake:x", "--env", "FAKE_STDOUT=five", "--follow"]);
    until("both wait", async || submitting.err().contains("waiting_capacity").then_some(())).await;
    assert!(submitting.err().contains("no worker is connected"), "it waits without a reason: {}", submitting.err());
    cluster.add(fake_worker("w1")).await;
    assert_eq!(following.ended().await, 0, "{}", following.err());
    assert_eq!(following.out(), "one\ntwo\nthree\n");
    let told = following.err();
    assert!(told.contains("four\n") && told.contains("exit_code"), "{told}");
    assert_eq!((submitting.ended().await, submitting.out().as_str()), (0, "five\n"), "{}", submitting.err());
}

#[tokio::test]
async fn a_follower_of_a_cancelled_task_is_let_go() {
    let cluster = Cluster::start().await;
    let id = cluster.rest.submit(json!({"image": "fake:x"})).await;
    let mut following = cluster.begin(&["monitor", &id]);
    until("it waits", async || following.err().contains("waiting_capacity").then_some(())).await;
    assert_eq!(cluster.run(&["cancel", &id]).await.code, 0);
    assert_eq!((following.ended().await, following.out().as_str()), (0, ""), "{}", following.err());
    assert!(following.err().contains("cancelled"), "{}", following.err());
}

#[tokio::test]
async fn of_a_log_only_what_is_looked_for_is_printed() {
    let mut cluster = Cluster::start().await;
    cluster.add(fake_worker("w1")).await;
    let env = json!({"FAKE_STDOUT": "one\nTwo\nthree", "FAKE_STDERR": "two too"});
    let id = cluster.rest.submit(json!({"image": "fake:x", "env": env})).await;
    assert_eq!(cluster.run(&["task", "wait", &id]).await.code, 0);
    let logs = async |words: &[&str]| cluster.run(&[&["task", "logs", &id], words].concat()).await;
    let ran = logs(&["--grep", "^two", "-i"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "Two\n"), "{}", ran.err);
    assert!(ran.err.contains("two too\n"), "{}", ran.err);
    assert_eq!(logs(&["--stream", "stdout", "--grep", "t", "--tail", "1"]).await.out, "three\n");
    assert_eq!(logs(&["--stdout", "--since", "1h"]).await.out, "one\nTwo\nthree\n");
    assert_eq!(logs(&["--since", "2126-01-01"]).await.out, "");
    let refused = logs(&["--grep", "("]).await;
    assert!(refused.code != 0 && refused.err.contains("unclosed group"), "{}", refused.err);
    let refused = logs(&["-i"]).await;
    assert!(refused.code == 64 && refused.err.contains("--grep"), "{}", refused.err);
}

#[tokio::test]
async fn a_log_over_the_limit_keeps_its_beginning_and_says_what_was_cut() {
    let limit = [("CLOUDAI_LOGS_MAX_BYTES".to_owned(), "10b".to_owned())];
    let mut cluster = Plan::new().variables(&limit).worker(fake_worker("w1")).start().await;
    let submit = async |text: &str| cluster.rest.submit(json!({"image": "fake:x", "env": {"FAKE_STDOUT": text}})).await;
    let (long, fits) = (submit("one\ntwo\nthree\nx").await, submit("one\nthree").await);
    let task = cluster.rest.completed(&long).await;
    let attempt = &task["attempts"][0];
    assert_eq!(task["warnings"], json!(["log_incomplete"]), "{task:#}");
    assert_eq!((&attempt["log_records"], &attempt["log_bytes"]), (&json!(2), &json!(8)));
    assert_eq!(attempt["log_cut"], json!({"records": 2, "bytes": 8}));
    assert_eq!(cluster.rest.log(&long, "").await, "one\ntwo\n");

    let said = "the log was cut after 8 B (logs.max_bytes): 2 records, 8 B were not kept\n";
    let ran = cluster.run(&["task", "logs", &long]).await;
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "one\ntwo\n", said));
    let ran = cluster.run(&["task", "logs", &long, "--follow", "--tail", "1"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "two\n"), "{}", ran.err);
    assert!(ran.err.contains(said), "{}", ran.err);
    let ran = cluster.run(&["task", "logs", &long, "--follow", "-o", "jsonl"]).await;
    assert!(ran.out.lines().last().unwrap().contains(r#""log_cut":{"records":2,"bytes":8}"#), "{}", ran.out);
    let info = cluster.run(&["task", "info", &long]).await.out;
    assert!(info.contains("log_incomplete") && info.contains("2 records cut (logs.max_bytes)"), "{info}");

    // The limit to the byte is no reason to cut.
    let task = cluster.rest.completed(&fits).await;
    assert_eq!((&task["warnings"], &task["attempts"][0]["log_cut"]), (&json!([]), &json!(null)), "{task:#}");
    assert_eq!(cluster.run(&["task", "logs", &fits]).await.err, "");
    // What was said of it is on disk.
    cluster.stop_master().await;
    cluster.restart_master().await;
    assert_eq!(cluster.run(&["task", "logs", &long]).await.err, said);
}
