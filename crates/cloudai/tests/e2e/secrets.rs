//! Stored secrets: they go in, come to the task that names them, and stand nowhere else.

use crate::cluster::{Cluster, Plan, fake_worker};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const VALUE: &str = "correct-horse-battery";
const BYTES: &str = "application/octet-stream";

async fn put(cluster: &Cluster, name: &str, value: &str) {
    let path = format!("/api/v1/secrets/{name}");
    let answer = cluster.rest.ask_as("PUT", BYTES, &path, value.as_bytes().to_vec()).await;
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

/// A task that prints the secret which it is given.
fn prints() -> Value {
    json!({"image": "fake:x", "secrets": [{"name": "token"}], "env": {"FAKE_PRINT_SECRETS": "1"}})
}

/// The files below a folder that hold this text.
fn holding(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_secret_is_listed_without_its_value_replaced_and_removed() {
    let cluster = Cluster::start().await;
    std::fs::write(cluster.dir().join("value"), VALUE).unwrap();
    let kept = cluster.run(&["secret", "put", "token", "--from-file", "value"]).await;
    assert!(kept.code == 0 && kept.out.contains("token  kept, 21 B"), "{kept:?}");
    let list = cluster.run(&["secret", "list"]).await;
    assert!(list.out.contains("token") && list.out.contains("21 B"), "{list:?}");
    put(&cluster, "token", "another-value").await;
    let told = cluster.rest.get("/api/v1/secrets").await;
    assert_eq!((&told["items"][0]["name"], &told["items"][0]["bytes"]), (&json!("token"), &json!(13)), "{told}");
    assert_eq!(told["items"].as_array().unwrap().len(), 1);
    assert_eq!(cluster.run(&["secret", "remove", "token"]).await.code, 0);
    let gone = cluster.run(&["secret", "remove", "token"]).await;
    assert!(gone.code == 5 && gone.err.contains("cloudai secret list"), "{gone:?}");
    for name in ["one", "two"] {
        put(&cluster, name, VALUE).await;
    }
    let words = ["secret", "remove", "one", "absent", "two"];
    let would = cluster.run(&[&words[..], &["--dry-run"]].concat()).await;
    assert!(would.code == 5 && would.out == "one\ntwo\n" && would.err.contains("would remove two"), "{would:?}");
    let would = cluster.run(&["secret", "rotate", "--dry-run"]).await;
    assert!(would.code == 0 && would.err.contains("2 of the secrets yours"), "{would:?}");
    let removed = cluster.run(&words).await;
    assert!(removed.code == 5 && removed.err.contains("two  removed"), "{removed:?}");
    assert!(removed.err.contains("1 of 3 could not be removed") && removed.err.contains("absent: "), "{removed:?}");
    assert!(cluster.run(&["secret", "list", "-o", "quiet"]).await.out.is_empty());
    let piped = cluster.run_with(&["secret", "put", "piped", "--from-file", "-"], VALUE).await;
    assert!(piped.code == 0 && piped.out.contains("piped  kept, 21 B"), "{piped:?}");
    for (path, kind, body, status) in [
        ("/api/v1/secrets/a%20b", BYTES, b"x".to_vec(), 400),
        ("/api/v1/secrets/token", BYTES, Vec::new(), 400),
        ("/api/v1/secrets/token", BYTES, vec![b'x'; (64 << 10) + 1], 413),
        ("/api/v1/secrets/token", "text/plain", b"x".to_vec(), 415),
    ] {
        let answer = cluster.rest.ask_as("PUT", kind, path, body).await;
        assert_eq!(answer.status, status, "{path} {kind}: {answer:?}");
    }
    for words in [&["secret", "put", "token", "--from-file", "absent"][..], &["secret", "put", "token"]] {
        let ran = cluster.run(words).await;
        assert!(ran.code == 64 && !ran.err.is_empty(), "{words:?}: {ran:?}");
    }
}

#[tokio::test]
async fn a_secret_stands_in_no_log_answer_or_file_of_master_and_worker() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    put(&cluster, "token", VALUE).await;
    let id = cluster.rest.submit(prints()).await;
    let task = cluster.rest.completed(&id).await;
    assert_eq!(cluster.rest.log(&id, "").await, "it is ***\n", "{task:#}");
    assert!(!cluster.rest.get("/api/v1/debug/state").await.to_string().contains(VALUE));
    cluster.stop_worker("w1").await;
    cluster.stop_master().await;
    assert_eq!(holding(cluster.dir(), VALUE), [] as [PathBuf; 0]);
    // It is there all the same, for a later master.
    cluster.restart_master().await;
    cluster.restart_worker("w1").await;
    let again = cluster.rest.submit(prints()).await;
    cluster.rest.completed(&again).await;
    assert_eq!(cluster.rest.log(&again, "").await, "it is ***\n");
}

#[tokio::test]
async fn a_task_that_names_what_it_may_not_have_is_refused() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    put(&cluster, "token", VALUE).await;
    let document = json!({"image": "fake:x", "secrets": [
        {"name": "token", "env": "TOKEN"}, {"name": "other"}, {"name": "token", "file": "/a"}]});
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&document)).await;
    let paths: Vec<_> = refused.body["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
    assert_eq!((refused.status, paths), (400, vec![json!("secrets[0].env"), json!("secrets[1].name")]), "{refused:?}");
    assert!(refused.body.to_string().contains("secrets.allow_env"), "{refused:?}");
    let ran = cluster.run(&["task", "submit", "fake:x", "--secret", "other"]).await;
    assert!(ran.code == 64 && ran.err.contains("cloudai secret put other"), "{ran:?}");
}

#[tokio::test]
async fn a_cluster_that_allows_it_gives_a_secret_as_a_variable() {
    let allow = [("CLOUDAI_SECRETS_ALLOW_ENV".to_owned(), "true".to_owned())];
    let cluster = Plan::new().variables(&allow).worker(fake_worker("w1")).start().await;
    put(&cluster, "token", VALUE).await;
    let words = [
        "task",
        "submit",
        "fake:x",
        "--secret-env",
        "TOKEN=token",
        "-e",
        "FAKE_PRINT_SECRETS=1",
        "-o",
        "quiet",
        "--wait",
    ];
    let ran = cluster.run(&words).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(cluster.rest.log(ran.out.trim(), "").await, "it is ***\n");
}

#[tokio::test]
async fn a_task_whose_secret_was_removed_meanwhile_fails_and_names_it() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    put(&cluster, "token", VALUE).await;
    let mut held = prints();
    held["hold"] = json!(true);
    let id = cluster.rest.submit(held).await;
    cluster.rest.ask("DELETE", "/api/v1/secrets/token", None).await;
    cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/release"), None).await;
    let task = cluster.rest.ended(&id).await;
    assert_eq!((&task["reason"], &task["attempt"]), (&json!("input_error"), &json!(1)), "{task:#}");
    assert!(task["message"].as_str().unwrap().contains("cloudai secret put token"), "{task:#}");
}

#[tokio::test]
async fn after_a_new_key_all_secrets_are_there_and_the_old_key_is_not() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    put(&cluster, "token", VALUE).await;
    put(&cluster, "other", "x").await;
    let file = cluster.dir().join("state/secrets.key");
    let keys = || {
        std::fs::read_to_string(&file)
            .unwrap()
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    };
    let before = keys();
    let rotated = cluster.run(&["secret", "rotate"]).await;
    assert!(
        rotated.code == 0 && rotated.out.contains("2 secrets and credentials of registries sealed with a new key"),
        "{rotated:?}"
    );
    let after = keys();
    assert!(before.len() == 1 && after.len() == 1 && before != after);
    cluster.kill_master();
    cluster.restart_master().await;
    let id = cluster.rest.submit(prints()).await;
    cluster.rest.completed(&id).await;
    // Without the key nothing of them can be had, and that is told; no other key is made beside them.
    cluster.stop_master().await;
    std::fs::remove_file(&file).unwrap();
    cluster.restart_master().await;
    assert!(cluster.master_err().contains("stored secrets can not be opened"), "{}", cluster.master_err());
    let id = cluster.rest.submit(prints()).await;
    let task = cluster.rest.ended(&id).await;
    let told = task["message"].as_str().unwrap();
    assert!(told.contains("bring back the file") && told.contains("secrets.key"), "{task:#}");
    std::fs::write(cluster.dir().join("value"), VALUE).unwrap();
    for words in [&["secret", "rotate"][..], &["secret", "put", "third", "--from-file", "value"]] {
        let ran = cluster.run(words).await;
        assert!(ran.code != 0 && ran.err.contains("bring back the file"), "{words:?}: {ran:?}");
    }
    assert!(!file.exists());
    // Whoever gives them up begins anew.
    assert_eq!(cluster.run(&["secret", "remove", "token", "other"]).await.code, 0);
    assert_eq!(cluster.run(&["secret", "put", "third", "--from-file", "value"]).await.code, 0);
}
