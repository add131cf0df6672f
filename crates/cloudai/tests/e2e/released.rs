//! Data folders that released versions left: every later version goes on with them.
//!
//! `tests/fixtures/VERSION/state` is the data folder of a master with that of its worker `w1`,
//! `expected.json` what its REST API told of all tasks, of one log and of one file. A folder is
//! made once, by `make fixtures` of the version that is released, and never changed.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn name(task: &Value) -> &str {
    task["name"].as_str().unwrap()
}

/// All tasks by name, each as one is shown that is asked for alone.
async fn whole(cluster: &Cluster) -> Value {
    let mut tasks = serde_json::Map::new();
    for task in cluster.rest.all_tasks().await {
        let whole = cluster.rest.task(task["id"].as_str().unwrap()).await;
        tasks.insert(name(&task).to_owned(), whole);
    }
    Value::Object(tasks)
}

/// Tasks in every state, and a worker that is killed in the middle of its work.
#[tokio::test]
#[ignore = "makes the fixture of a version that is released: make fixtures"]
async fn make_the_fixture_of_this_version() {
    let folder = fixtures().join(env!("CARGO_PKG_VERSION"));
    assert!(!folder.exists(), "{} is there: what was released never changes", folder.display());
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let rest = cluster.rest.clone();
    let lines: Vec<String> =
        (0..2000).map(|line| format!("line {line} of a log that is long enough to be sealed")).collect();
    let done = json!({"image": "fake:x", "name": "done", "priority": 7, "labels": {"k": "v"}, "idempotency_key": "key",
        "env": {"FAKE_STDOUT": lines.join("\n"), "FAKE_STDERR": "warned", "FAKE_OUT": "b.txt=kept"}});
    let failing =
        json!({"image": "fake:x", "name": "failed", "timeout_s": 60, "env": {"FAKE_EXIT": 3, "FAKE_STDOUT": "x"}});
    let dead = json!({"image": "fake:x", "name": "dead", "env": {"FAKE_EXIT": 4},
        "retries": {"max": 1, "on": ["exit_code"], "initial_s": 0.1}});
    for task in [done, failing, dead] {
        let id = rest.submit(task).await;
        rest.ended(&id).await;
    }
    let failed = rest.all_tasks().await.into_iter().find(|task| name(task) == "failed").unwrap();
    let again = rest.ask("POST", &format!("/api/v1/tasks/{}/retry", failed["id"].as_str().unwrap()), None).await;
    rest.ended(again.text("id")).await;
    let endless = |name: &str| {
        json!({"image": "fake:x", "name": name, "kill_after_s": 1, "cpu_cores": 2,
        "total_timeout_s": 31_536_000, "env": {"FAKE_DURATION_MS": "forever"}})
    };
    let runs = rest.submit(endless("runs")).await;
    rest.running(&runs).await;
    let waits = rest.submit(endless("waits")).await;
    rest.submit(json!({"image": "fake:x", "name": "held", "hold": true})).await;
    rest.submit(json!({"image": "fake:x", "name": "later", "not_before": "2990-01-31T08:00:00Z"})).await;
    let cancelled = rest.submit(json!({"image": "fake:x", "name": "cancelled", "hold": true})).await;
    assert_eq!(cluster.run(&["cancel", &cancelled]).await.code, 0);
    rest.task_until(&waits, "waits for a place", |task| task["phase"] == "waiting_capacity").await;
    let expected = serde_json::to_string_pretty(&whole(&cluster).await).unwrap();
    cluster.kill_worker("w1");
    cluster.stop_master().await;
    copy(&cluster.dir().join("state"), &folder.join("state"));
    std::fs::write(folder.join("expected.json"), expected + "\n").unwrap();
}

#[tokio::test]
async fn every_version_reads_the_data_of_every_released_one() {
    let mut versions: Vec<_> = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    assert!(!versions.is_empty());
    for folder in versions {
        goes_on_with(&folder).await;
    }
}

async fn goes_on_with(folder: &Path) {
    let expected: Value = serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
    let cluster = Plan::new().data(&folder.join("state")).worker(fake_worker("w1")).start().await;
    let rest = cluster.rest.clone();
    let told = whole(&cluster).await;
    for (name, before) in expected.as_object().unwrap() {
        let now = &told[name];
        let live = matches!(before["status"].as_str(), Some("running" | "queued"));
        // A later version may tell more of a task; what this one told of it holds.
        let fixed = ["id", "name", "image", "user_id", "priority", "resources", "labels", "created_at", "spec"];
        for (field, value) in before.as_object().unwrap() {
            if !live || fixed.contains(&field.as_str()) {
                assert_eq!(&now[field], value, "{}: {field} of {name}", folder.display());
            }
        }
    }
    let id = |name: &str| expected[name]["id"].as_str().unwrap().to_owned();
    assert_eq!(told["held"]["phase"], "held");
    assert_eq!(told["later"]["phase"], "waiting_start_time");
    let log = rest.log(&id("done"), "").await;
    assert!(log.starts_with("line 0 of") && log.contains("\nline 1999 of"), "{} bytes", log.len());
    let file = cluster.run(&["task", "download", &id("done"), "got"]).await;
    assert_eq!(file.code, 0, "{file:?}");
    assert_eq!(std::fs::read_to_string(cluster.dir().join("got/b.txt")).unwrap(), "kept");
    let dead = rest.get("/api/v1/tasks?dead=true").await;
    assert_eq!(dead["items"].as_array().unwrap().len(), 1, "{dead}");
    let same = json!({"image": "fake:x", "name": "other", "idempotency_key": "key"});
    assert_eq!(rest.ask("POST", "/api/v1/tasks", Some(&same)).await.status, 409, "the key is known");
    // The worker is the one it was: it tells of what it had begun, which went down with it.
    rest.task_until(&id("runs"), "is known to be lost", |task| task["attempts"][0]["reason"] == "worker_lost").await;
    rest.task_until(&id("waits"), "has its place", |task| task["attempt"] == 1).await;
    until("the same worker is there", async || {
        let workers = rest.get("/api/v1/workers").await;
        (workers["items"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    for name in ["runs", "waits", "held", "later"] {
        assert_eq!(cluster.run(&["cancel", &id(name)]).await.code, 0);
        rest.ended(&id(name)).await;
    }
}

/// A folder with all that is in it, but for what belongs to a process: locks and sockets.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() && entry.file_name() != "lock" {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
