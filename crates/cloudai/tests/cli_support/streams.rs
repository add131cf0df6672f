//! Logs that are followed over lost connections, and files that are checked.

use super::server::{ID, Reply, Server, ended, problem, task};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) fn record(attempt: u32, n: u64, stream: &str, text: &str) -> Value {
    json!({"log": {"attempt": attempt, "n": n, "time": "2026-01-01T00:00:00.000Z", "stream": stream, "text": text}})
}

pub(crate) fn state(kind: &str, status: &str, phase: Option<&str>, attempt: u32) -> Value {
    json!({kind: {"status": status, "phase": phase, "reason": null, "message": "", "attempt": attempt,
        "worker_id": null, "exit_code": null}})
}

/// A master whose task has this log, one row per connection, and ended so.
fn with_log(parts: Vec<(Vec<Value>, bool)>, outcome: Value) -> Server {
    Server::start(move |request, before| {
        if request.method == "POST" {
            Reply::Json(201, task(json!({})))
        } else if request.path.ends_with("/logs") {
            let (lines, cut) = parts[before.min(parts.len() - 1)].clone();
            Reply::Lines { lines, cut }
        } else {
            Reply::Json(200, outcome.clone())
        }
    })
}

#[test]
fn a_log_is_written_byte_by_byte_to_its_streams() {
    let bytes = json!({"log": {"attempt": 1, "n": 2, "time": "2026-01-01T00:00:00.000Z", "stream": "stdout",
        "base64": "AGE="}});
    let lines = vec![record(1, 0, "stdout", "a\n"), record(1, 1, "stderr", "b\n"), bytes];
    let server = with_log(vec![(lines, false)], task(json!({})));
    let ran = server.run(&format!("task logs {ID} --tail 5 --attempt 1"));
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "a\n\0a", "b\n"));
    let asked = || server.asked(&format!("GET /api/v1/tasks/{ID}/logs"));
    assert_eq!(asked()[0].query, "attempt=1&tail=5");
    let ran = server.run(&format!("task logs {ID} --stdout --timestamps"));
    assert_eq!(ran.out, "2026-01-01T00:00:00.000Z a\n2026-01-01T00:00:00.000Z \0a");
    assert_eq!(asked()[1].query, "stream=stdout");
}

#[test]
fn of_a_log_that_was_cut_it_is_said_what_is_not_there() {
    let attempt = |number: u32, cut: Value| {
        json!({"attempt": number, "worker_id": "w1", "status": "failed", "reason": null, "message": "", "exit_code": 1,
            "accepted": number == 2, "assigned_at": "2026-01-01T00:00:00.000Z", "started_at": null, "ended_at": null,
            "log_records": 1, "log_bytes": 2, "log_cut": cut})
    };
    let mut outcome = ended("failed", Some("exit_code"), Some(1));
    outcome["attempt"] = json!(2);
    outcome["attempts"] =
        json!([attempt(1, json!({"records": 7, "bytes": 1024})), attempt(2, json!({"records": 1, "bytes": 5}))]);
    let cut = |number: u32, what: &str| {
        format!("the log of attempt {number} was cut after 2 B (logs.max_bytes): {what} were not kept\n")
    };
    let (first, second) = (cut(1, "7 records, 1 KiB"), cut(2, "1 records, 5 B"));
    let read = |flags: &str, lines: Vec<Value>| {
        with_log(vec![(lines, false)], outcome.clone()).run(&format!("task logs {ID} {flags}"))
    };
    let ran = read("", vec![record(2, 0, "stdout", "b\n")]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err), (0, "b\n", second.clone()));
    let ran = read("--attempt 1 --stderr", Vec::new());
    assert_eq!((ran.code, ran.out.as_str(), ran.err), (0, "", first.clone()));
    let all = vec![record(1, 0, "stdout", "a\n"), record(2, 0, "stdout", "b\n"), state("end", "failed", None, 2)];
    let ran = read("--follow", all);
    assert_eq!((ran.code, ran.out.as_str()), (0, "a\nb\n"), "{}", ran.err);
    assert!(ran.err.contains(&format!("{first}{second}")), "{}", ran.err);
}

#[test]
fn a_followed_log_goes_on_where_the_connection_was_lost() {
    let parts = vec![
        (vec![state("state", "queued", Some("waiting_capacity"), 0)], true),
        (vec![record(1, 0, "stdout", "a\n"), record(1, 1, "stdout", "b\n")], true),
        // One record comes twice, then the next attempt begins.
        (vec![record(1, 1, "stdout", "b\n"), record(1, 2, "stdout", "c\n"), record(2, 0, "stdout", "d\n")], true),
        (vec![state("end", "completed", None, 2)], false),
    ];
    let server = with_log(parts, ended("completed", None, Some(0)));
    let ran = server.run(&format!("monitor {ID} somebody"));
    assert_eq!((ran.code, ran.out.as_str()), (0, "a\nb\nc\nd\n"), "{}", ran.err);
    for said in ["-- waiting_capacity --", "-- attempt 2 --", "7K3M9QZD  completed  exit code 0  41s"] {
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
    }
    let queries: Vec<_> =
        server.asked(&format!("GET /api/v1/tasks/{ID}/logs")).into_iter().map(|one| one.query).collect();
    assert_eq!(queries, ["follow=true", "follow=true", "attempt=1&from=2&follow=true", "attempt=2&from=1&follow=true"]);
}

#[test]
fn logs_exit_0_whatever_the_task_came_to_and_a_followed_submission_does_not() {
    let failed = || ended("failed", Some("exit_code"), Some(5));
    let parts = || vec![(vec![record(1, 0, "stdout", "a\n"), state("end", "failed", None, 1)], false)];
    assert_eq!(with_log(parts(), failed()).run(&format!("task logs {ID} --follow")).code, 0);
    for (flags, code) in [("", 3), ("--propagate-exit", 5)] {
        let ran = with_log(parts(), failed()).run(&format!("task submit busybox --follow {flags}"));
        assert_eq!((ran.code, ran.out.as_str()), (code, "a\n"), "{}", ran.err);
        assert!(ran.err.contains("failed  exit_code 5"), "{}", ran.err);
    }
    let ran = with_log(parts(), ended("completed", None, Some(0))).run("task submit busybox --follow");
    assert_eq!(ran.code, 0);
}

#[test]
fn an_attempt_that_ended_is_not_the_end_of_its_task() {
    let parts = vec![
        (vec![record(1, 0, "stdout", "a\n"), state("end", "queued", Some("backoff"), 1)], false),
        (vec![record(2, 0, "stdout", "b\n"), state("end", "completed", None, 2)], false),
    ];
    let ran = with_log(parts, ended("completed", None, Some(0))).run(&format!("task logs {ID} --follow"));
    assert_eq!((ran.code, ran.out.as_str()), (0, "a\nb\n"), "{}", ran.err);
}

#[test]
fn the_log_of_no_task_is_not_found() {
    let server = Server::start(|_, _| problem(404, "not_found", "no task"));
    assert_eq!(server.run(&format!("task logs {ID} --follow")).code, 5);
    assert_eq!(server.seen().len(), 1, "an answer is not asked for again");
}

/// A master whose task left these files; `sent` is what it really sends for each.
fn with_files(
    files: Vec<(&'static str, &'static str)>,
    sent: impl Fn(&str, usize) -> Reply + Send + 'static,
) -> Server {
    Server::start(move |request, before| match request.path.split_once("/files") {
        Some((_, "")) => {
            let file = |(path, text): &(&str, &str)| json!({"path": path, "size": text.len(), "sha256": hex::encode(Sha256::digest(text.as_bytes()))});
            Reply::Json(200, json!({"items": files.iter().map(file).collect::<Vec<_>>()}))
        }
        Some((_, path)) => sent(path, before),
        None => problem(404, "not_found", "?"),
    })
}

#[test]
fn files_are_fetched_whole_under_their_names() {
    let server = with_files(vec![("model.bin", "abc"), ("a b/log", "")], |path, before| match (path, before) {
        ("/model.bin", 0) => Reply::Lines { lines: Vec::new(), cut: true },
        ("/model.bin", _) => Reply::Bytes(b"abc".to_vec()),
        ("/a%20b/log", _) => Reply::Bytes(Vec::new()),
        _ => problem(404, "not_found", path),
    });
    let ran = server.run(&format!("task download {ID} out"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("out/model.bin  3 B  sha256 ok  0."), "{}", ran.out);
    assert_eq!(std::fs::read_to_string(server.dir().join("out/model.bin")).unwrap(), "abc");
    assert_eq!(std::fs::read_to_string(server.dir().join("out/a b/log")).unwrap(), "");
    let ran = server.run(&format!("task download {ID} one model.bin -o quiet"));
    assert_eq!(ran.out, "one/model.bin\n");
    assert_eq!(server.run(&format!("task download {ID} one nothing")).code, 5);
}

#[test]
fn what_is_in_the_way_of_a_download_is_named_with_what_to_do() {
    let server = with_files(vec![("a/model.bin", "abc")], |_, _| Reply::Bytes(b"abc".to_vec()));
    let dir = server.dir().to_owned();
    std::fs::write(dir.join("file"), "x").unwrap();
    std::fs::create_dir_all(dir.join("folder/a/model.bin")).unwrap();
    std::fs::create_dir(dir.join("half")).unwrap();
    std::fs::write(dir.join("half/a"), "x").unwrap();
    for (to, named) in [("file", "file is"), ("folder", "folder/a/model.bin is"), ("half", "half/a is")] {
        let ran = server.run(&format!("task download {ID} {to}"));
        assert!(ran.code == 7 && ran.err.contains(&format!("{named} in the way")), "{to}: {}", ran.err);
        assert!(ran.err.contains("choose another folder") && !ran.err.contains(".part"), "{to}: {}", ran.err);
    }
}

#[test]
fn a_file_that_is_not_what_was_written_is_thrown_away() {
    let server = with_files(vec![("model.bin", "abc")], |_, _| Reply::Bytes(b"abd".to_vec()));
    let ran = server.run(&format!("task download {ID}"));
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("is not what the task wrote"), "{}", ran.err);
    assert_eq!(std::fs::read_dir(server.dir().join("7K3M9QZD")).unwrap().count(), 0);
}

#[test]
fn a_file_never_lands_outside_the_folder() {
    for path in ["../x", "/x", "a/../../x"] {
        let server = with_files(vec![(path, "abc")], |_, _| Reply::Bytes(b"abc".to_vec()));
        let ran = server.run(&format!("task download {ID} out"));
        assert_eq!((ran.code, server.seen().len()), (1, 1), "{path}: {}", ran.err);
        assert!(!server.dir().join("x").exists() && !server.dir().join("out").exists());
    }
    let server = with_files(vec![("link/x", "abc")], |_, _| Reply::Bytes(b"abc".to_vec()));
    std::fs::create_dir(server.dir().join("out")).unwrap();
    std::os::unix::fs::symlink("..", server.dir().join("out/link")).unwrap();
    let ran = server.run(&format!("task download {ID} out"));
    assert_eq!(ran.code, 7, "{}", ran.err);
    assert!(!server.dir().join("x").exists());
}
