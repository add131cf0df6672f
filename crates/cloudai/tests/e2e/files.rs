//! All files of a user, and how many bytes of them there may be.

use crate::cluster::{Cluster, Plan, fake_worker};
use serde_json::{Value, json};

/// A task that leaves one small file and ends with this code.
fn leaves(name: &str, text: &str, code: u8) -> Value {
    json!({"image": "fake:x", "name": name, "env": {"FAKE_OUT": format!("{name}.txt={text}"), "FAKE_EXIT": code.to_string()}})
}

async fn cluster(limits: &[(&str, &str)]) -> Cluster {
    let variables: Vec<_> = limits.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Plan::new().variables(&variables).worker(fake_worker("w1")).start().await
}

#[tokio::test]
async fn the_files_of_all_tasks_are_listed_in_every_form_with_their_sum() {
    let cluster = cluster(&[]).await;
    let none = cluster.run(&["files"]).await;
    assert_eq!((none.code, none.out.as_str(), none.err.trim()), (0, "", "No files."));
    let mut ids = Vec::new();
    for (name, text) in [("old", "one"), ("new", "three")] {
        ids.push(cluster.rest.submit(leaves(name, text, 0)).await);
        cluster.rest.completed(ids.last().unwrap()).await;
    }
    let listed = cluster.run(&["files"]).await;
    let rows: Vec<_> = listed.out.lines().map(|line| line.split_whitespace().last().unwrap_or_default()).collect();
    assert_eq!((listed.code, rows), (0, vec!["PATH", "new.txt", "old.txt"]), "{}", listed.err);
    assert_eq!(listed.err.trim(), "2 files, 8 B.");
    let first = cluster.run(&["files", "--limit", "1"]).await;
    assert!(first.err.contains("The first 1 of 2 files, 8 B; more: --limit N"), "{}", first.err);
    let quiet = cluster.run(&["files", "local", "-o", "quiet"]).await;
    assert_eq!(quiet.out, format!("{}/new.txt\n{}/old.txt\n", ids[1], ids[0]));
    let one = cluster.run(&["files", "--task", &ids[0], "-o", "json"]).await;
    let one: Value = serde_json::from_str(&one.out).unwrap();
    assert_eq!((&one["files"], &one["bytes"]), (&json!(1), &json!(3)), "with the sum");
    let file = &one["items"][0];
    assert_eq!((&file["task_id"], &file["task_name"], &file["size"]), (&json!(ids[0]), &json!("old"), &json!(3)));
    let place = file["location"].as_str().unwrap();
    assert_eq!(std::fs::read(place).unwrap(), b"one");
    let wide = cluster.run(&["files", "-o", "wide"]).await;
    assert!(wide.out.contains(place) && wide.out.contains(&ids[1]), "{}", wide.out);
    assert_eq!(cluster.run(&["files", "-o", "jsonl"]).await.out.lines().count(), 2);
    let other = cluster.run(&["files", "ann"]).await;
    assert_eq!((other.code, other.out.as_str()), (0, ""), "{}", other.err);
    assert_eq!(cluster.run(&["files", "-", "-o", "json"]).await.code, 64);
}

#[tokio::test]
async fn whoever_has_too_much_is_told_in_the_task_what_the_limit_is_and_keeps_the_outcome() {
    let mut cluster = cluster(&[("CLOUDAI_FILES_MAX_USER", "10b"), ("CLOUDAI_FILES_MAX_TASK", "8b")]).await;
    let kept = cluster.rest.submit(leaves("kept", "123456", 0)).await;
    cluster.rest.completed(&kept).await;
    let large = cluster.rest.submit(leaves("large", "123456789", 3)).await;
    let large = cluster.rest.ended(&large).await;
    let told = (large["reason"].as_str(), large["exit_code"].as_i64());
    assert_eq!(told, (Some("exit_code"), Some(3)), "{large:#}");
    assert!(large["message"].as_str().unwrap().contains("files.max_task allows 8 B"), "{large:#}");

    // Also after the master has begun anew.
    for restarted in [false, true] {
        let more = cluster.rest.submit(leaves("more", "12345", 0)).await;
        let ended = cluster.rest.ended(&more).await;
        let told = (ended["status"].as_str(), ended["reason"].as_str(), ended["exit_code"].as_i64());
        assert_eq!(told, (Some("failed"), Some("output_error"), Some(0)), "{ended:#}");
        let info = cluster.run(&["task", "info", &more]).await;
        let shown = info.out.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["local has 6 B of files, kept", "files.max_user allows 10 B", "retention.tasks_max"] {
            assert!(shown.contains(part), "{part}: {}", info.out);
        }
        assert_eq!(cluster.run(&["task", "files", &more]).await.out, "", "nothing of it is kept");
        if !restarted {
            cluster.kill_master();
            cluster.restart_master().await;
            cluster.worker_until("w1", "active").await;
        }
    }
    let fits = cluster.rest.submit(leaves("fits", "1234", 0)).await;
    cluster.rest.completed(&fits).await;
}
