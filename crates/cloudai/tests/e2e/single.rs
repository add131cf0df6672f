//! Task documents that are a job of one task, over real processes: waited for, followed, listed.

use crate::cluster::{Cluster, fake_worker};
use serde_json::{Value, json};

const QUICK: [&str; 6] = ["--cpus", "0.5", "--mem", "100m", "--disk", "0"];

async fn submit(cluster: &Cluster, words: &[&str]) -> crate::process::Ran {
    let words: Vec<&str> = ["task", "submit"].iter().chain(words).chain(&QUICK).copied().collect();
    cluster.run(&words).await
}

#[tokio::test]
async fn a_task_starts_when_what_it_waits_for_has_ended() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let first = submit(&cluster, &["fake:a", "--env", "FAKE_EXIT=3", "-o", "quiet"]).await;
    assert_eq!(first.code, 0, "{first:?}");
    let first = first.out.trim();
    let after = format!("{}:failure", &first[first.len() - 8..]);
    let mended = submit(&cluster, &["fake:b", "--after", &after, "--env", "FAKE_STDOUT=mended", "--follow"]).await;
    assert_eq!((mended.code, mended.out.as_str()), (0, "mended\n"), "{mended:?}");
    let not = submit(&cluster, &["fake:c", "--after", first, "--wait"]).await;
    assert!(not.code == 3 && not.out.contains("failed"), "what it needs failed: {not:?}");
    let held = submit(&cluster, &["fake:d", "--after", &format!("{first}:any"), "--hold", "-o", "json"]).await;
    let held: Value = serde_json::from_str(&held.out).unwrap();
    assert_eq!((&held["status"], &held["phase"]), (&json!("queued"), &json!("held")));
    let job = held["job_id"].as_str().unwrap();
    assert_eq!(cluster.run(&["job", "release", job]).await.code, 0);
    let id = held["id"].as_str().unwrap();
    assert_eq!(cluster.run(&["task", "wait", id]).await.code, 0);
}

#[tokio::test]
async fn what_waits_for_others_is_counted_and_is_the_last() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let first = submit(&cluster, &["fake:a", "--hold", "-o", "quiet"]).await;
    let second = submit(&cluster, &["fake:b", "--after", "last", "-o", "quiet"]).await;
    let third = submit(&cluster, &["fake:c", "--after", "last", "-o", "json"]).await;
    let [first, second] = [&first, &second].map(|ran| ran.out.trim().to_owned());
    let third: Value = serde_json::from_str(&third.out).unwrap();
    let graph = cluster.run(&["job", "graph", third["job_id"].as_str().unwrap()]).await;
    assert!(graph.out.contains(&second[second.len() - 8..]), "the third waits for the second: {graph:?}");
    let queue = cluster.run(&["queue"]).await;
    assert!(queue.err.contains("2 more wait for other tasks of their jobs: cloudai job list"), "{queue:?}");
    assert!(cluster.run(&["cluster", "status"]).await.out.contains("queue 1 (+2 that wait for others)"));
    assert_eq!(cluster.run(&["task", "release", &first]).await.code, 0);
    assert_eq!(cluster.run(&["task", "wait", third["id"].as_str().unwrap()]).await.code, 0);
    assert!(!cluster.run(&["cluster", "status"]).await.out.contains("that wait for others"));
}

#[tokio::test]
async fn an_array_is_submitted_without_a_file_and_is_one_row() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let words =
        ["fake:x", "--name", "fit", "--array", "0-9%4", "--env", "FAKE_STDOUT=at ${index}", "--wait", "-o", "json"];
    let ran = submit(&cluster, &words).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let job: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&job["name"], &job["counts"]["completed"]), (&json!("fit"), &json!(10)));
    let array = job["parts"][0]["id"].as_str().unwrap();
    let list = cluster.run(&["task", "list", "--all"]).await;
    assert!(list.out.contains("completed 10/10") && list.out.lines().count() == 2, "{list:?}");
    let expanded = cluster.run(&["task", "list", "--all", "--expand", "-o", "quiet"]).await;
    assert_eq!(expanded.out.lines().count(), 10, "{expanded:?}");
    assert_eq!(cluster.rest.log(&format!("{array}.7"), "").await, "at 7\n");
    let info = cluster.run(&["task", "info", array]).await;
    assert!(info.out.contains("10 elements: 10 completed") && info.out.contains("cloudai job tasks"), "{info:?}");
    let one = cluster.run(&["task", "list", "--name", "fit", "--all", "-o", "quiet"]).await;
    assert_eq!(one.out.trim(), array);
    let never = cluster.run(&["task", "submit", "fake:x", "--array", "3", "--cpus", "64"]).await;
    assert_eq!(never.code, 2, "{never:?}");
}

#[tokio::test]
async fn a_template_that_names_files_takes_those_of_the_folder_where_it_is_run() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let template = "task:\n  image: fake:x\n  each: {lines: seeds.txt}\n  env: {FAKE_STDOUT: 'seed ${item}'}\n  \
                    inputs: [{from: ./data.csv, path: /in/data.csv}]\n  cpu_cores: 0.5\n";
    for (name, text) in [("t.yaml", template), ("seeds.txt", "7\n8\n"), ("data.csv", "a,b\n")] {
        std::fs::write(cluster.dir().join(name), text).unwrap();
    }
    assert_eq!(cluster.run(&["template", "put", "train", "t.yaml"]).await.code, 0);
    let refused = cluster.rest.ask("POST", "/api/v1/templates/train/run", Some(&json!({}))).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.to_string().contains("cloudai template run train"), "{refused:?}");
    let ran = cluster.run(&["template", "run", "train", "--wait", "-o", "json"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let job: Value = serde_json::from_str(&ran.out).unwrap();
    let array = job["parts"][0]["id"].as_str().unwrap();
    assert_eq!(cluster.rest.log(&format!("{array}.1"), "").await, "seed 8\n");
    let named = json!({"template": "train"});
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&named)).await;
    assert_eq!(refused.status, 400, "{refused:?}");
}
