//! The log of the real processes: files, rotation, forms, levels.

use crate::process::{self, Process, until};
use crate::rest::Rest;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;

const MASTER: [&str; 9] =
    ["master", "--insecure", "--data-dir", "state", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--no-shell"];

fn words(words: &[&[&str]]) -> Vec<String> {
    words.concat().into_iter().map(ToOwned::to_owned).collect()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

async fn holds(path: &Path, part: &str) {
    until(&format!("{} has {part:?}", path.display()), async || text(path).contains(part).then_some(())).await;
}

#[tokio::test]
async fn a_log_file_is_appended_to_and_opened_again_by_its_name_on_sighup() {
    let dir = tempfile::tempdir().unwrap();
    let (log, rotated) = (dir.path().join("master.log"), dir.path().join("master.log.1"));
    std::fs::write(&log, "of an earlier life\n").unwrap();
    let flags = ["--print-addresses", "--log-file", "master.log"];
    let mut master = Process::start(dir.path(), "master", &[], &words(&[&MASTER, &flags]));
    let http = master.printed("http").await["http"].as_str().unwrap().to_owned();
    holds(&log, "master started").await;
    assert!(text(&log).starts_with("of an earlier life\n"));
    assert!(!text(&log).contains('\u{1b}') && !master.err().contains("master started"), "{}", master.err());

    std::fs::rename(&log, &rotated).unwrap();
    master.signal(Signal::HUP);
    holds(&log, "log file opened again").await;
    // A name that can not be opened leaves the log where it is.
    std::fs::rename(&log, dir.path().join("master.log.2")).unwrap();
    std::fs::create_dir(&log).unwrap();
    master.signal(Signal::HUP);
    holds(&dir.path().join("master.log.2"), "log file could not be opened again").await;
    assert_eq!(Rest::new(&http).get("/api/v1/tasks").await["items"], json!([]), "the master goes on");

    master.signal(Signal::TERM);
    assert_eq!(master.ended().await, 0);
    assert!(text(&dir.path().join("master.log.2")).contains("master stopped"));
    assert!(!text(&rotated).contains("master stopped"));
}

#[tokio::test]
async fn without_a_log_file_sighup_is_a_terminal_that_went_away() {
    let dir = tempfile::tempdir().unwrap();
    let mut master = Process::start(dir.path(), "master", &[], &words(&[&MASTER, &["--print-addresses"]]));
    master.printed("http").await;
    master.signal(Signal::HUP);
    assert_eq!(master.ended().await, 0);
    assert!(master.err().contains("asked to stop"), "{}", master.err());
}

#[tokio::test]
async fn a_log_file_that_can_not_be_written_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let variable = vec![("CLOUDAI_LOG_FILE".to_owned(), "nowhere/master.log".to_owned())];
    for (variables, flags, said) in [
        (vec![], vec!["--log-file", "nowhere/master.log"], ["there is no folder", "next: --log-file: a file"]),
        (variable, vec![], ["nowhere/master.log", "next: CLOUDAI_LOG_FILE: a file"]),
        (vec![], vec!["--log-file", "folder"], ["it is a folder", "next: --log-file: a file"]),
    ] {
        let ran = process::run(dir.path(), &variables, &[&MASTER[..], &flags].concat()).await;
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{}", ran.err);
        assert!(said.iter().all(|said| ran.err.contains(said)), "{}", ran.err);
        assert!(!dir.path().join("state").exists(), "it began to work");
    }
}

#[tokio::test]
async fn a_second_sigterm_ends_a_worker_at_once_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let up = ["up", "--insecure", "--executor", "fake", "--data-dir", "state", "--print-addresses"];
    let mut process = Process::start(dir.path(), "up", &[], &words(&[&up, &["--grpc", ":0", "--http", ":0"]]));
    let rest = Rest::new(process.printed("http").await["http"].as_str().unwrap());
    let slow = json!({"FAKE_DURATION_MS": 1_000_000, "FAKE_IGNORE_TERM": 1});
    let document = json!({"image": "fake:x", "cpu_cores": 0.01, "memory_gb": 0.01, "storage_gb": 0,
        "kill_after_s": 60, "env": slow});
    let task = rest.submit(document).await;
    until("it runs", async || (rest.task(&task).await["status"] == "running").then_some(())).await;
    process.signal(Signal::TERM);
    holds(&dir.path().join("up.err"), "asked to stop").await;
    // Those that come together with the first are one wish.
    let code = until("it ends", async || {
        process.signal(Signal::TERM);
        process.has_ended()
    });
    assert_eq!(code.await, Some(130));
    assert!(process.err().contains("asked to stop again, ended at once: containers live on"), "{}", process.err());
}

/// The lines of a JSON log, each of them whole.
fn events(path: &Path) -> Vec<Value> {
    let log = text(path);
    let lines = log.lines().filter(|line| !line.is_empty());
    let events: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in &events {
        for field in ["timestamp", "level", "target", "message"] {
            assert!(event[field].is_string(), "{field}: {event}");
        }
    }
    events
}

#[tokio::test]
async fn a_json_log_has_one_object_a_line_with_the_fields_of_event_and_spans() {
    let dir = tempfile::tempdir().unwrap();
    let (master_log, worker_log) = (dir.path().join("master.log"), dir.path().join("worker.log"));
    let log = |file| ["--log-format", "json", "--log-file", file, "--log-level"];
    let only = "off,cloudai_master::serve=info";
    let flags = words(&[&MASTER, &["--print-addresses", "--print-credentials"], &log("master.log"), &[only]]);
    let mut master = Process::start(dir.path(), "master", &[], &flags);
    let addresses = master.printed("http").await;
    let token = master.printed("join_token").await["join_token"].as_str().unwrap().to_owned();
    let of = |which: &str| addresses[which].as_str().unwrap().to_owned();
    let join = ["worker", "start", "--master", &of("grpc"), "--join-token", &token, "--id", "w1"];
    let flags = words(&[&join, &["--executor", "fake", "--data-dir", "state"], &log("worker.log"), &["debug"]]);
    let mut worker = Process::start(dir.path(), "worker", &[], &flags);
    let rest = Rest::new(&of("http"));
    let task = rest.submit(json!({"image": "fake:x"})).await;
    rest.completed(&task).await;
    let in_attempt = |event: &Value| {
        let spans = event["spans"].as_array().cloned().unwrap_or_default();
        let span = json!({"name": "attempt", "task": task, "attempt": 1, "worker": "w1"});
        spans.contains(&span)
    };
    until("a line of the attempt", async || events(&worker_log).iter().any(in_attempt).then_some(())).await;
    for process in [&mut worker, &mut master] {
        process.signal(Signal::TERM);
        assert_eq!(process.ended().await, 0);
    }
    let events = events(&master_log);
    let started = events.iter().find(|event| event["message"] == "master started").unwrap();
    assert_eq!(started["http"], of("http"), "fields stand beside the message");
    assert!(events.iter().all(|event| event["target"] == "cloudai_master::serve"), "{events:#?}");
}
