//! A look into a running master.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::{self, Ran, until};
use serde_json::{Value, json};

const PLANTED: &str = "plainly-planted-secret";

/// A worker that runs a task with a secret in its environment, and a task that waits.
async fn busy() -> (Cluster, String) {
    let cluster = Plan::new().worker(fake_worker("w1")).start().await;
    let env = json!({"FAKE_DURATION_MS": "forever", "PASSWORD": PLANTED});
    let task = json!({"image": "fake:x", "cpu_cores": 2, "kill_after_s": 1, "env": env, "command": ["sh", PLANTED]});
    let runs = cluster.rest.submit(task.clone()).await;
    cluster.rest.running(&runs).await;
    cluster.rest.submit(task).await;
    (cluster, runs)
}

fn json_of(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

#[tokio::test]
async fn the_state_of_the_core_tells_who_holds_what_and_what_workers_told() {
    let (cluster, runs) = busy().await;
    let told = async || {
        let state = json_of(&cluster.run(&["debug", "state", "--limit", "1"]).await);
        let worker = state["workers"]["first"][0].clone();
        (worker["told"]["held"] == 1).then_some((state, worker))
    };
    let (state, worker) = until("the worker has told that it runs", told).await;
    assert_eq!((&state["tasks"]["total"], state["tasks"]["first"].as_array().unwrap().len()), (&json!(2), 1));
    assert_eq!((&worker["id"], &worker["linked"], &worker["held"]["total"]), (&json!("w1"), &json!(true), &json!(1)));
    assert_eq!(worker["held"]["first"][0]["task"], runs.as_str(), "{worker:#}");
    assert_eq!((&worker["free"]["cpu_milli"], &worker["sum"]["cpu_milli"]), (&json!(0), &json!(2000)));
    let alias = cluster.run(&["internal-state"]).await;
    assert_eq!(json_of(&alias)["workers"]["total"], 1);
    assert!(!alias.out.contains(PLANTED));
}

#[tokio::test]
async fn where_nothing_is_wrong_a_comparison_says_so_and_changes_nothing() {
    let (cluster, runs) = busy().await;
    for words in [&["debug", "reconcile", "--dry-run"][..], &["debug", "reconcile"], &["fix-resources"]] {
        let ran = cluster.run(words).await;
        assert!(ran.code == 0 && ran.out.starts_with("Nothing is wrong: the books of 1 worker"), "{ran:?}");
    }
    let found = json_of(&cluster.run(&["debug", "reconcile", "--dry-run", "--json"]).await);
    assert_eq!((&found["dry_run"], &found["differences"]), (&json!(true), &json!([])));
    assert_eq!(cluster.rest.running(&runs).await["attempt"], 1);
}

#[tokio::test]
async fn a_bundle_has_what_helps_and_none_of_the_secrets() {
    let (cluster, runs) = busy().await;
    let log = cluster.dir().join("some.log");
    let lines =
        format!("a worker showed {}\nengine at tcp://bob:{PLANTED}@127.0.0.1:2375\nall is well\n", cluster.token());
    std::fs::write(&log, lines).unwrap();
    let variables = [
        ("CLOUDAI_ADDR", format!("http://{}", cluster.http())),
        ("CLOUDAI_JOIN_TOKEN", cluster.token().to_owned()),
        ("DOCKER_HOST", format!("tcp://bob:{PLANTED}@127.0.0.1:2375")),
        ("CLOUDAI_LOG_FILE", log.display().to_string()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value));
    let made = process::run(cluster.dir(), &variables, &["debug", "bundle", "b.tar.gz", "--json"]).await;
    assert_eq!(json_of(&made)["missing"], json!([]), "{made:?}");
    let again = process::run(cluster.dir(), &variables, &["debug", "bundle", "b.tar.gz"]).await;
    assert!(again.code == 7 && again.err.contains("is there already"), "{again:?}");

    let unpacked = std::process::Command::new("tar").args(["-xzf", "b.tar.gz"]).current_dir(cluster.dir()).status();
    assert!(unpacked.unwrap().success());
    let folder = cluster.dir().join("cloudai-debug");
    let mut names = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        for secret in [PLANTED, cluster.token(), "fake:x"] {
            assert!(!text.contains(secret), "{:?} has {secret}:\n{text}", file.file_name());
        }
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort_unstable();
    assert_eq!(names, ["cluster.json", "config.json", "events.jsonl", "log.txt", "state.json", "versions.json"]);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert!(read("log.txt").ends_with("all is well\n") && read("state.json").contains(&runs));
    let events = read("events.jsonl");
    for kind in ["register", "submit", "place", "progress"] {
        assert!(events.contains(&format!("\"kind\":\"{kind}\"")), "{kind}: {events}");
    }
    assert!(read("config.json").contains("127.0.0.1:2375"), "what is no secret stays");
}
