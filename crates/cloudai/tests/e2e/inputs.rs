//! What tasks find: held from the submission on, sent once, fetched whole.

use crate::cluster::{Cluster, fake_worker};
use crate::process::until;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

const BYTES: &str = "application/octet-stream";

fn sha(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// A task that finds this at `/in`.
fn finds(from: &str) -> Value {
    json!({"image": "fake:x", "inputs": [{"from": from, "path": "/in"}]})
}

/// All files below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] }).collect()
}

#[tokio::test]
async fn a_content_is_sent_in_pieces_checked_and_named_by_a_task() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let data = vec![7; 100_000];
    let hash = sha(&data);
    let put = async |offset: usize, part: &[u8]| {
        let path = format!("/api/v1/blobs/{hash}?size=100000&offset={offset}");
        cluster.rest.ask_as("PUT", BYTES, &path, part.to_vec()).await
    };
    let first = put(0, &data[..40_000]).await;
    assert_eq!((first.status, &first.body["bytes"], &first.body["whole"]), (202, &json!(40_000), &json!(false)));
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&finds(&format!("blob:{hash}")))).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.body["errors"][0]["path"], "inputs[0].from", "{refused:?}");
    let gap = put(50_000, &data[50_000..]).await;
    assert!(gap.status == 409 && gap.text("detail").contains("40000"), "{gap:?}");
    let kept = cluster.rest.ask("POST", "/api/v1/blobs/kept", Some(&json!({"sha256": [hash]}))).await;
    assert_eq!(kept.body["items"], json!([{"sha256": hash, "bytes": 40_000, "whole": false}]));
    assert_eq!(put(40_000, &data[40_000..]).await.status, 201);
    let id = cluster.rest.submit(finds(&format!("blob:{hash}"))).await;
    cluster.rest.completed(&id).await;
    // Another content under this name.
    let wrong = sha(b"other");
    let path = format!("/api/v1/blobs/{wrong}?size=3");
    let damaged = cluster.rest.ask_as("PUT", BYTES, &path, b"bad".to_vec()).await;
    assert!(damaged.status == 400 && damaged.text("next").contains("offset=0"), "{damaged:?}");
    for (method, path, kind, status) in [
        ("PUT", format!("/api/v1/blobs/{hash}"), BYTES, 400),
        ("PUT", "/api/v1/blobs/12?size=1".to_owned(), BYTES, 400),
        ("PUT", format!("/api/v1/blobs/{wrong}?size=1"), BYTES, 400),
        ("PUT", format!("/api/v1/blobs/{wrong}?size=3"), "text/plain", 415),
        ("POST", "/api/v1/blobs".to_owned(), BYTES, 400),
    ] {
        let answer = cluster.rest.ask_as(method, kind, &path, b"bad".to_vec()).await;
        assert_eq!(answer.status, status, "{method} {path} {kind}: {answer:?}");
    }
}

#[tokio::test]
async fn a_task_of_which_one_input_is_missing_is_refused_with_all_that_are() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let several = cluster.rest.ask_as("POST", BYTES, "/api/v1/blobs", b"2\nhi".to_vec()).await;
    assert_eq!((several.status, several.body["items"][0]["sha256"].as_str()), (201, Some(sha(b"hi").as_str())));
    let other = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&other).await;
    let input = |from: String, path: &str| json!({"from": from, "path": path});
    let document = json!({"image": "fake:x", "inputs": [
        input(format!("blob:{}", sha(b"hi")), "/a"),
        input(format!("blob:{}", sha(b"never")), "/b"),
        input(format!("task:{other}"), "/c"),
        input("task:task-00000000000000000000000007".into(), "/d"),
        input(format!("tree:{}", sha(b"hi")), "/e"),
    ]});
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&document)).await;
    let told: Vec<_> = refused.body["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
    assert_eq!(told, ["inputs[1].from", "inputs[2].from", "inputs[3].from"], "{refused:?}");
    // What is no list of a folder is seen when it is to be held.
    let tree = cluster.rest.ask("POST", "/api/v1/tasks", Some(&finds(&format!("tree:{}", sha(b"hi"))))).await;
    assert!(tree.status == 400 && tree.text("detail").contains("line 1 of the list"), "{tree:?}");
    let good = finds(&format!("blob:{}", sha(b"hi")));
    let batch = json!({"tasks": [good, finds(&format!("blob:{}", sha(b"never")))]});
    let refused = cluster.rest.ask("POST", "/api/v1/tasks/batch", Some(&batch)).await;
    assert_eq!(refused.body["errors"][0]["path"], "tasks[1].inputs[0].from", "{refused:?}");
    assert_eq!(cluster.rest.all_tasks().await.len(), 1);
    let held = files(&cluster.dir().join("state/bulk/held"));
    assert_eq!(held, [] as [PathBuf; 0], "nothing is held for what was refused");
}

#[tokio::test]
async fn a_key_that_was_used_is_answered_though_the_source_is_gone() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    cluster.rest.ask_as("POST", BYTES, "/api/v1/blobs", b"2\nhi".to_vec()).await;
    let mut document = finds(&format!("blob:{}", sha(b"hi")));
    document["idempotency_key"] = json!("k");
    document["hold"] = json!(true);
    let id = cluster.rest.submit(document.clone()).await;
    std::fs::remove_dir_all(cluster.dir().join("state/bulk/blobs")).unwrap();
    let again = cluster.rest.ask("POST", "/api/v1/tasks", Some(&document)).await;
    assert_eq!((again.status, again.text("id")), (200, id.as_str()), "{again:?}");
    // What it holds is there still, and the one that runs it again finds it too.
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/release"), None).await;
    cluster.rest.completed(&id).await;
    let retried = cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/retry"), None).await;
    assert_eq!(retried.status, 201, "{retried:?}");
    cluster.rest.completed(retried.text("id")).await;
}

/// Submits a task with a large input; answers its id once some of that has come to the worker, and how much.
async fn fetching(cluster: &Cluster) -> (String, u64) {
    std::fs::write(cluster.dir().join("big"), vec![1; 400_000_000]).unwrap();
    let ran = cluster.run(&["task", "submit", "fake:x", "--input", "big", "--hold", "-o", "quiet"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let id = ran.out.trim().to_owned();
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/release"), None).await;
    let came = async || came(cluster.dir()).filter(|came| *came > 1_000_000);
    let came = until("some of it has come", came).await;
    (id, came)
}

/// Bytes of a content that a worker fetches.
fn came(dir: &Path) -> Option<u64> {
    let is_part = |path: &PathBuf| {
        path.to_string_lossy().contains("/inputs/") && path.extension().is_some_and(|end| end == "part")
    };
    let parts = files(dir).into_iter().filter(is_part);
    parts.filter_map(|path| path.metadata().ok()).map(|part| part.len()).max()
}

#[tokio::test]
async fn a_task_whose_inputs_are_fetched_when_the_master_dies_completes_in_its_first_attempt() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let (id, before) = fetching(&cluster).await;
    cluster.kill_master();
    assert!(came(cluster.dir()).is_some_and(|came| came >= before), "what came stays");
    cluster.restart_master().await;
    let task = cluster.rest.completed(&id).await;
    assert_eq!(task["attempt"], 1, "{task:#}");
}

#[tokio::test]
async fn a_worker_that_dies_while_it_fetches_goes_on_with_the_same_attempt() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let (id, before) = fetching(&cluster).await;
    cluster.kill_worker("w1");
    assert!(came(cluster.dir()).is_some_and(|came| came >= before), "what came stays");
    cluster.restart_worker("w1").await;
    let task = cluster.rest.completed(&id).await;
    assert_eq!((&task["attempt"], task["attempts"].as_array().unwrap().len()), (&json!(1), 1), "{task:#}");
}

#[tokio::test]
async fn an_input_that_two_tasks_wait_for_comes_to_the_one_when_the_other_is_cancelled() {
    let cluster = Cluster::of(fake_worker("w1").cpus(4.0)).await;
    let from = format!("blob:{}", sha(&vec![1; 400_000_000]));
    let (first, _) = fetching(&cluster).await;
    let second = cluster.rest.submit(finds(&from)).await;
    cluster.rest.task_until(&second, "placed", |task| task["worker_id"] == "w1").await;
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{first}/cancel"), None).await;
    let task = cluster.rest.completed(&second).await;
    assert_eq!(task["attempt"], 1, "{task:#}");
    assert_eq!(came(cluster.dir()), None, "all of it came");
}

#[tokio::test]
async fn copies_of_inputs_that_are_larger_than_a_tasks_disk_are_its_own_fault() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let body = [b"2000000\n".as_slice(), &vec![7; 2_000_000]].concat();
    cluster.rest.ask_as("POST", BYTES, "/api/v1/blobs", body).await;
    for (writable, storage_gb, reason) in [(true, 0.001, "storage_exceeded"), (true, 0.01, ""), (false, 0.001, "")] {
        let mut document = finds(&format!("blob:{}", sha(&vec![7; 2_000_000])));
        document["inputs"][0]["writable"] = json!(writable);
        document["storage_gb"] = json!(storage_gb);
        let id = cluster.rest.submit(document).await;
        let task = cluster.rest.ended(&id).await;
        assert_eq!((task["reason"].as_str().unwrap_or_default(), &task["attempt"]), (reason, &json!(1)), "{task:#}");
    }
}

#[tokio::test]
async fn a_worker_that_can_not_keep_inputs_fails_no_task_for_good() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    cluster.rest.ask_as("POST", BYTES, "/api/v1/blobs", b"2\nhi".to_vec()).await;
    let cache = inputs_dir(cluster.dir()).unwrap();
    std::fs::remove_dir(&cache).unwrap();
    std::fs::write(&cache, "").unwrap();
    let id = cluster.rest.submit(finds(&format!("blob:{}", sha(b"hi")))).await;
    let tried = |task: &Value| task["attempts"][0]["reason"] == "engine_error";
    let task = cluster.rest.task_until(&id, "tried", tried).await;
    assert!(task["attempts"][0]["message"].as_str().unwrap().contains("the worker can not keep it"), "{task:#}");
    std::fs::remove_file(&cache).unwrap();
    std::fs::create_dir(&cache).unwrap();
    let task = cluster.rest.ended(&id).await;
    assert_eq!(task["status"], "completed", "{task:#}");
}

/// The folder of a worker's cache.
fn inputs_dir(dir: &Path) -> Option<PathBuf> {
    let below = std::fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    let folders: Vec<_> = below.filter(|path| path.is_dir()).collect();
    let found = folders.iter().find(|path| path.ends_with("inputs")).cloned();
    found.or_else(|| folders.iter().find_map(|folder| inputs_dir(folder)))
}

#[tokio::test]
async fn inputs_that_the_master_lost_are_an_input_error_that_is_not_tried_again() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    cluster.rest.ask_as("POST", BYTES, "/api/v1/blobs", b"2\nhi".to_vec()).await;
    let mut document = finds(&format!("blob:{}", sha(b"hi")));
    document["hold"] = json!(true);
    let id = cluster.rest.submit(document).await;
    std::fs::remove_dir_all(cluster.dir().join("state/bulk/held")).unwrap();
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/release"), None).await;
    let task = cluster.rest.ended(&id).await;
    assert_eq!((&task["reason"], &task["attempt"]), (&json!("input_error"), &json!(1)), "{task:#}");
    assert!(task["message"].as_str().unwrap().contains("does not keep"), "{task:#}");
}
