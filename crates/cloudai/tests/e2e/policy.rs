//! The operator's policy over real processes: whoever submits is told the same, by every command.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const RULES: &str = "[images]\nallow = ['fake:good*']\n[max]\ncpu_cores = 2\n";

/// A file of its own folder, which lives as long as both.
fn policy(rules: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("policy.toml");
    std::fs::write(&file, rules).unwrap();
    (dir, file)
}

/// A cluster of which the master and its worker have this policy.
async fn under(file: &Path) -> Cluster {
    let variables = [("CLOUDAI_POLICY_FILE".to_owned(), file.display().to_string())];
    Plan::new().variables(&variables).worker(fake_worker("w1")).start().await
}

#[tokio::test]
async fn what_a_policy_denies_is_refused_by_rest_and_by_every_command_with_exit_6() {
    let (_dir, file) = policy(RULES);
    let cluster = under(&file).await;
    let bad = json!({"image": "fake:bad", "cpu_cores": 3});
    let answer = cluster.rest.ask("POST", "/api/v1/tasks", Some(&bad)).await;
    assert_eq!((answer.status, answer.text("code")), (403, "policy_denied"), "{answer:?}");
    let paths: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|error| error["path"].clone()).collect();
    assert_eq!(paths, [json!("image"), json!("cpu_cores")]);

    let write = |name: &str, text: &str| std::fs::write(cluster.dir().join(name), text).unwrap();
    write("task.yaml", "image: fake:bad\n");
    write("good.yaml", "image: fake:good\n");
    write("job.yaml", "tasks:\n- {name: a, image: fake:good}\n- {name: b, image: fake:bad}\n");
    write("template.yaml", "params: {n: {type: text}}\ntask: {image: 'fake:${param.n}'}\n");
    let words = ["schedule", "put", "rare", "--cron", "0 0 29 2 *", "--time-zone", "UTC", "--task-file", "task.yaml"];
    for words in [&words[..], &["template", "put", "made", "template.yaml"]] {
        let kept = cluster.run(words).await;
        assert_eq!(kept.code, 0, "{words:?}: {kept:?}");
    }
    for words in [
        &["task", "submit", "fake:bad"][..],
        &["task", "submit", "-f", "task.yaml"],
        &["job", "run", "job.yaml"],
        &["template", "run", "made", "-p", "n=bad"],
        &["schedule", "run", "rare"],
    ] {
        let refused = cluster.run(words).await;
        assert_eq!(refused.code, 6, "{words:?}: {refused:?}");
        for part in ["images.allow", "fake:good*", "cloudai policy show"] {
            assert!(refused.err.contains(part), "{words:?}, {part}: {refused:?}");
        }
    }
    assert_eq!(cluster.rest.get("/api/v1/tasks").await["items"], json!([]), "nothing of it was taken in");
    let ran = cluster.run(&["template", "run", "made", "-p", "n=good1", "--wait"]).await;
    assert_eq!(ran.code, 0, "{ran:?}");

    let shown = cluster.run(&["policy", "show"]).await;
    assert!(shown.code == 0 && shown.out.contains("fake:good*") && shown.out.contains("policy.toml"), "{shown:?}");
    let name = file.to_str().unwrap();
    for (task, code) in [("good.yaml", 0), ("task.yaml", 6), ("job.yaml", 6)] {
        let told = cluster.run(&["policy", "check", name, task]).await;
        assert_eq!(told.code, code, "{task}: {told:?}");
    }
    let told = cluster.run(&["policy", "check", name, "job.yaml"]).await;
    assert!(told.err.contains("tasks[1].image: \"fake:bad\" is denied by images.allow"), "{told:?}");
}

#[tokio::test]
async fn a_policy_that_changes_holds_from_then_on_and_a_broken_one_changes_nothing() {
    let (_dir, file) = policy("");
    let cluster = under(&file).await;
    let submit = async || {
        let answer = cluster.rest.ask("POST", "/api/v1/tasks", Some(&json!({"image": "fake:bad"}))).await;
        answer.status
    };
    let shown = async |what: &str, is_so: fn(&Value) -> bool| {
        let path = "/api/v1/policy";
        until(what, async || Some(cluster.rest.get(path).await).filter(is_so)).await
    };
    assert_eq!(submit().await, 201);
    std::fs::write(&file, RULES).unwrap();
    shown("the new rules are in force", |policy| !policy["rules"]["images"].is_null()).await;
    assert_eq!(submit().await, 403);
    std::fs::write(&file, "[images]\nalow = []\n").unwrap();
    let broken = shown("the broken file was seen", |policy| !policy["problem"].is_null()).await;
    assert!(broken["problem"].as_str().unwrap().contains("did you mean allow?"), "{broken}");
    assert_eq!(broken["rules"]["max"]["cpu_cores"], 2);
    assert_eq!(submit().await, 403, "the rules of before stay in force");
    std::fs::write(&file, "").unwrap();
    shown("no rule is left", |policy| policy["problem"].is_null() && policy["rules"]["images"].is_null()).await;
    assert_eq!(submit().await, 201);
}

/// SPEC 3.2: `policy_denied`. The master has no policy here, its worker has.
#[tokio::test]
async fn a_worker_denies_by_its_own_policy_and_no_other_attempt_follows() {
    let (_dir, file) = policy("[images]\ndeny = ['fake:bad']\n[containers]\nforbid_root = true\n");
    let cluster = Cluster::of(fake_worker("w1").flags(&["--policy", file.to_str().unwrap()])).await;
    let all = json!({"max": 3, "on": ["exit_code", "oom", "worker_lost", "image_pull"]});
    let document = json!({"image": "fake:bad", "user": "1000", "retries": all});
    let id = cluster.rest.submit(document).await;
    let task = cluster.rest.ended(&id).await;
    assert_eq!((&task["status"], &task["reason"]), (&json!("failed"), &json!("policy_denied")), "{task:#}");
    assert_eq!((&task["attempt"], &task["exit_code"]), (&json!(1), &Value::Null), "another try finds the same");
    for part in ["worker w1", "image", "images.deny"] {
        assert!(task["message"].as_str().unwrap().contains(part), "{part}: {task:#}");
    }
    let root = cluster.rest.submit(json!({"image": "fake:good"})).await;
    assert!(cluster.rest.ended(&root).await["message"].as_str().unwrap().contains("containers.forbid_root"));
    let good = cluster.rest.submit(json!({"image": "fake:good", "user": "1000"})).await;
    cluster.rest.completed(&good).await;
    assert!(cluster.journal().iter().all(|mark| mark.task == good), "nothing that was denied was ever begun");
}

#[tokio::test]
async fn a_program_beside_a_task_runs_as_no_user_whom_a_policy_forbids() {
    let (_dir, file) = policy("[containers]\nforbid_root = true\n");
    let of_worker = Cluster::of(fake_worker("w1").flags(&["--policy", file.to_str().unwrap()])).await;
    let of_both = under(&file).await;
    for (cluster, by_worker) in [(&of_worker, true), (&of_both, false)] {
        let lasting = json!({"FAKE_DURATION_MS": "forever"});
        let document = json!({"image": "fake:x", "user": "1000", "kill_after_s": 1, "env": lasting});
        let id = cluster.rest.submit(document).await;
        cluster.rest.running(&id).await;
        let refused = cluster.run(&["task", "exec", &id, "--user", "0", "--", "echo", "a"]).await;
        assert!(refused.code == 6 && refused.err.contains("containers.forbid_root"), "{refused:?}");
        assert_eq!(refused.err.contains("worker w1:"), by_worker, "{refused:?}");
        let ran = cluster.run(&["task", "exec", &id, "--user", "1000", "--", "echo", "a"]).await;
        assert_eq!((ran.code, ran.out.as_str()), (0, "a\n"), "{ran:?}");
    }
}

#[tokio::test]
async fn nobody_starts_without_the_rules_that_were_meant() {
    let cluster = Cluster::start().await;
    let (_dir, file) = policy("[max]\npid = 1\n");
    let file = file.to_str().unwrap();
    for words in [
        &["master", "--no-shell", "--data-dir", "other", "--grpc", ":0", "--http", ":0", "--policy", file][..],
        &["worker", "start", "--id", "w1", "--executor", "fake", "--join-token", cluster.token(), "--policy", file],
        &["policy", "check", file],
    ] {
        let refused = cluster.run(words).await;
        assert!(refused.code == 64 && refused.err.contains("did you mean pids?"), "{words:?}: {refused:?}");
    }
    let absent = cluster.run(&["policy", "check", "absent.toml"]).await;
    assert!(absent.code == 64 && absent.err.contains("absent.toml can not be read"), "{absent:?}");
}
