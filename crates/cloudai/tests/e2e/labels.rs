//! Labels of workers: tasks that ask for them, tasks that would rather have them, operators who change them.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use serde_json::{Value, json};

fn asking(constraint: &str) -> Value {
    json!({"image": "fake:x", "constraints": [constraint]})
}

#[tokio::test]
async fn a_label_that_is_set_while_the_cluster_runs_lets_a_task_go_there_and_outlasts_the_worker() {
    let labelled = |id: &str, label: &str| fake_worker(id).flags(&["--label", label]);
    let mut cluster = Plan::new().worker(labelled("w1", "zone=us")).worker(labelled("w2", "zone=us")).start().await;
    let refused = cluster.run(&["task", "submit", "fake:x", "--constraint", "zone = eu"]).await;
    let why = "no worker meets zone = eu: the nearest is w1, which has zone = us; set it with: \
               cloudai worker label w1 zone=eu";
    assert!(refused.code == 2 && refused.err.contains(why), "{refused:?}");
    let words = ["task", "submit", "fake:x", "--constraint", "zone = eu", "--allow-pending", "-o", "quiet"];
    let id = cluster.run(&words).await.out.trim().to_owned();
    let told = cluster.run(&["task", "explain", &id]).await;
    assert!(told.out.contains(why) && told.out.contains("does not meet zone = eu"), "{told:?}");

    let set = cluster.run(&["worker", "label", "w2", "zone=eu", "disk=ssd"]).await;
    assert_eq!((set.code, set.out.as_str()), (0, "w2  disk=ssd zone=eu\n"), "{set:?}");
    assert_eq!(cluster.rest.completed(&id).await["worker_id"], "w2");

    // It starts again and tells its own zone, the master starts again and has what was said.
    cluster.stop_worker("w2").await;
    cluster.restart_worker("w2").await;
    cluster.stop_master().await;
    cluster.restart_master().await;
    cluster.worker_until("w2", "active").await;
    for _ in 0..4 {
        let id = cluster.rest.submit(asking("zone = eu")).await;
        assert_eq!(cluster.rest.completed(&id).await["worker_id"], "w2");
    }
    let info = cluster.run(&["worker", "info", "w2"]).await;
    assert!(info.out.contains("  labels    disk=ssd zone=eu\n"), "{info:?}");
    assert!(info.out.contains("  relabeled disk=ssd zone=eu  (worker label)"), "{info:?}");
    assert_eq!(cluster.run(&["worker", "label", "w2", "zone-"]).await.out, "w2  disk=ssd\n");
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&asking("exists zone"))).await;
    assert_eq!(refused.status, 201, "w1 has one still: {refused:?}");
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&asking("zone = eu"))).await;
    assert_eq!(refused.status, 422, "{refused:?}");
}

#[tokio::test]
async fn a_worker_that_is_preferred_is_taken_while_it_has_room() {
    let disk = fake_worker("w2").flags(&["--label", "disk=ssd"]);
    let cluster = Plan::new().worker(fake_worker("w1")).worker(disk).start().await;
    let task = || {
        json!({"image": "fake:x", "cpu_cores": 1, "affinity": [{"expr": "disk = ssd"}],
        "env": {"FAKE_DURATION_MS": "forever"}, "kill_after_s": 0})
    };
    let ids = cluster.rest.submit_all((0..3).map(|_| task()).collect()).await;
    let mut workers = Vec::new();
    for id in &ids {
        workers.push(cluster.rest.running(id).await["worker_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(workers, ["w2", "w2", "w1"], "two cores there, and nobody waits for a third");
}

#[tokio::test]
async fn an_image_that_a_worker_came_by_is_told_and_can_be_asked_for() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&asking("image = fake:x"))).await;
    let told = refused.body.to_string();
    assert!(refused.status == 422 && told.contains("the nearest is w1, which has no image"), "{refused:?}");
    let id = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&id).await;
    until("w1 tells the image", async || {
        let worker = cluster.rest.get("/api/v1/workers/w1").await;
        (worker["images"] == json!(["fake:x"])).then_some(())
    })
    .await;
    let id = cluster.rest.submit(asking("image = docker.io/library/fake:x")).await;
    cluster.rest.completed(&id).await;
    let info = cluster.run(&["worker", "info", "w1"]).await;
    assert!(info.out.contains("  images    1 (fake:x)\n"), "{info:?}");
}
