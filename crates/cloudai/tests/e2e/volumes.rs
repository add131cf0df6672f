//! Folders of hosts: who may see them, where such tasks run, and what is said when they can not.

use crate::cluster::{Cluster, Plan, fake_worker};
use serde_json::{Value, json};

fn sees(path: &str) -> Value {
    json!({"image": "fake:x", "volumes": [{"host_path": path, "container_path": "/data"}]})
}

#[tokio::test]
async fn a_task_runs_only_where_what_it_sees_is_offered() {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("a")).unwrap();
    let (folder, inside) = (data.path().to_str().unwrap(), data.path().join("a"));
    let offering = fake_worker("w2").flags(&["--allow-path", &format!("{folder}:ro"), "--allow-volume", "scratch"]);
    let mut cluster = Plan::new().worker(fake_worker("w1")).worker(offering).start().await;
    for _ in 0..4 {
        let id = cluster.rest.submit(sees(inside.to_str().unwrap())).await;
        assert_eq!(cluster.rest.completed(&id).await["worker_id"], "w2");
    }
    let info = cluster.run(&["worker", "info", "w2"]).await;
    assert!(info.out.contains(&format!("offers    {folder}:ro scratch")), "{info:?}");
    // Nobody offers it to be written to.
    let words = ["task", "submit", "fake:x", "--volume", &format!("{folder}:/data:rw")];
    let refused = cluster.run(&words).await;
    let why = format!(
        "host path {folder} to be written to, which no worker offers; start a worker with --allow-path {folder}"
    );
    assert!(refused.code == 2 && refused.err.contains(&why), "{refused:?}");
    // One that may wait says why, and goes as soon as somebody does.
    let waits = cluster.run(&[&words[..], &["--allow-pending", "-o", "quiet"]].concat()).await;
    let id = waits.out.trim().to_owned();
    let told = cluster.run(&["task", "explain", &id]).await;
    assert!(told.out.contains(&why) && told.out.contains("does not offer host path"), "{told:?}");
    cluster.add(fake_worker("w3").flags(&["--allow-path", folder])).await;
    assert_eq!(cluster.rest.completed(&id).await["worker_id"], "w3");
}

#[tokio::test]
async fn a_folder_that_is_not_there_or_leads_elsewhere_ends_the_attempt_before_anything_runs() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    std::os::unix::fs::symlink("/etc", data.path().join("link")).unwrap();
    let cluster = Cluster::of(fake_worker("w1").flags(&["--allow-path", folder])).await;
    for (name, why) in [("absent", "No such file"), ("link", "leads to /etc by a link")] {
        let id = cluster.rest.submit(sees(&format!("{folder}/{name}"))).await;
        let task = cluster.rest.ended(&id).await;
        assert_eq!((&task["status"], &task["reason"]), (&json!("failed"), &json!("input_error")), "{task:#}");
        assert!(task["message"].as_str().unwrap().contains(why), "{task:#}");
        assert_eq!(task["attempt"], 1, "another try finds the same");
    }
}

#[tokio::test]
async fn a_worker_that_comes_back_without_its_offer_gets_no_more_of_such_tasks() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_str().unwrap();
    let mut cluster = Cluster::of(fake_worker("w1").flags(&["--allow-path", folder])).await;
    let first = cluster.rest.submit(sees(folder)).await;
    cluster.rest.completed(&first).await;
    cluster.stop_worker("w1").await;
    cluster.add(fake_worker("w1")).await;
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&sees(folder))).await;
    assert!(refused.status == 422 || refused.status == 409, "{refused:?}");
    assert!(refused.text("detail").contains("which no worker offers"), "{refused:?}");
}

#[tokio::test]
async fn an_offer_that_makes_no_sense_is_refused_at_the_start_of_the_worker() {
    let cluster = Cluster::start().await;
    for (flags, why) in [
        (["--allow-path", "data"], "no absolute path"),
        (["--allow-path", "/"], "is the whole host"),
        (["--allow-path", "/data/../etc"], "without empty parts"),
        (["--allow-volume", "/data"], "--allow-path"),
        (["--allow-volume", "x=smb://host/a"], "is no file server's folder"),
    ] {
        let words = [&["worker", "start", "--id", "w1", "--join-token", cluster.token()][..], &flags].concat();
        let ran = cluster.run(&words).await;
        assert!(ran.code == 64 && ran.err.contains(why) && ran.err.contains(flags[0]), "{flags:?}: {ran:?}");
    }
}
