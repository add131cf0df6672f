//! Backups of a running master, and masters that begin again from one.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::{Ran, until};
use crate::rest::{accepted, end};
use serde_json::{Value, json};

fn endless(cpus: u64, worker: &str) -> Value {
    json!({"image": "fake:x", "cpu_cores": cpus, "worker_id": worker, "kill_after_s": 1,
        "env": {"FAKE_DURATION_MS": "forever"}})
}

/// Restores while the master does not run; it must be possible.
async fn restore(cluster: &Cluster, file: &str) -> Value {
    let told = try_restore(cluster, file).await;
    assert_eq!(told.code, 0, "{told:?}");
    serde_json::from_str(&told.out).unwrap()
}

async fn try_restore(cluster: &Cluster, file: &str) -> Ran {
    let state = cluster.database().parent().unwrap().display().to_string();
    cluster.run(&["cluster", "restore", file, "--data-dir", &state, "--yes", "--json"]).await
}

#[tokio::test]
async fn a_restored_cluster_is_as_it_was_and_its_workers_come_back_and_drop_the_lost_future() {
    let plan = Plan::new().worker(fake_worker("w1").cpus(4.0)).worker(fake_worker("w2").cpus(4.0));
    let mut cluster = plan.start().await;
    let rest = cluster.rest.clone();
    let done = json!({"image": "fake:x", "idempotency_key": "k", "env": {"FAKE_STDOUT": "one\ntwo", "FAKE_EXIT": 3}});
    let done = rest.submit(done).await;
    let done = rest.ended(&done).await;
    let runs = rest.submit(endless(4, "w1")).await;
    rest.running(&runs).await;
    let waits = rest.submit(endless(4, "w1")).await;
    let before = rest.get("/api/v1/cluster").await;
    let made = cluster.run(&["cluster", "backup", "now.backup", "--json"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let manifest: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!((&manifest["cluster"], &manifest["term"]), (&before["cluster"], &before["term"]), "{manifest}");

    // The future that will be lost: one task is cancelled, another takes its place, one is new.
    assert_eq!(cluster.run(&["cancel", &runs]).await.code, 0);
    rest.running(&waits).await;
    let lost = rest.submit(endless(1, "w2")).await;
    rest.running(&lost).await;
    let busy = try_restore(&cluster, "now.backup").await;
    assert!(busy.code == 7 && busy.err.contains("in use"), "{busy:?}");
    cluster.stop_master().await;
    let restored = restore(&cluster, "now.backup").await;
    cluster.restart_master().await;
    for worker in ["w1", "w2"] {
        cluster.worker_until(worker, "active").await;
    }

    let after = rest.get("/api/v1/cluster").await;
    assert_eq!((&after["cluster"], &after["incarnation"]), (&before["cluster"], &restored["incarnation"]), "{after}");
    assert!(after["incarnation"].as_u64() > before["incarnation"].as_u64(), "{after}");
    assert!(after["term"].as_u64() > restored["term"].as_u64(), "{after}");
    assert_eq!(rest.task(done["id"].as_str().unwrap()).await, done);
    assert_eq!(rest.log(done["id"].as_str().unwrap(), "").await, "one\ntwo\n", "logs stay where they are");
    assert_eq!(rest.ask("GET", &format!("/api/v1/tasks/{lost}"), None).await.status, 404);
    // One ran when the backup was made, and its container went with the future: it runs in another
    // attempt. The other waited then, and waits again.
    let twice = |id: &String| cluster.starts().get(id) == Some(&2);
    let both = [&runs, &waits];
    let begun = async || both.into_iter().find(|id| twice(id));
    let first = until("one of the two is begun again", begun).await;
    assert_eq!(cluster.run(&["cancel", first]).await.code, 0);
    until("the other one is begun again", async || both.iter().all(|id| twice(id)).then_some(())).await;
    assert_eq!(rest.task(&runs).await["attempt"], 2);
    let folders = cluster.dir().join("state/workers/w2/attempts");
    until("nothing of the lost task is left", async || {
        let left = std::fs::read_dir(&folders).into_iter().flatten().flatten();
        let ended = cluster.journal().iter().any(|mark| mark.task == lost && mark.event == "end");
        (ended && !left.into_iter().any(|folder| folder.file_name().to_string_lossy().contains(&lost))).then_some(())
    })
    .await;
    let new = rest.submit(json!({"image": "fake:x", "env": {"FAKE_STDOUT": "new"}})).await;
    let new = rest.completed(&new).await;
    assert_eq!(accepted(&new), 1);
    let known = rest.ask("POST", "/api/v1/tasks", Some(&json!({"image": "fake:x", "idempotency_key": "k"}))).await;
    assert_eq!(known.status, 409, "its key is known: {known:?}");
    assert_eq!(rest.all_tasks().await.len(), 4);
}

#[tokio::test]
async fn a_wrong_or_damaged_file_is_refused_and_the_data_stays() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let id = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&id).await;
    assert_eq!(cluster.run(&["cluster", "backup", "good.backup"]).await.code, 0);
    let twice = cluster.run(&["cluster", "backup", "good.backup"]).await;
    assert!(twice.code == 7 && twice.err.contains("is there already"), "{twice:?}");
    cluster.stop_master().await;
    let in_dir = |name: &str| cluster.dir().join(name);
    let good = std::fs::read(in_dir("good.backup")).unwrap();
    let mut spoilt = good.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 1;
    std::fs::write(in_dir("spoilt.backup"), &spoilt).unwrap();
    std::fs::write(in_dir("cut.backup"), &good[..good.len() - 1]).unwrap();
    std::fs::write(in_dir("text.backup"), "not a backup at all").unwrap();
    let cases = [
        ("spoilt.backup", "is damaged: its checksum"),
        ("cut.backup", "is damaged: it has"),
        ("text.backup", "is no backup of cloudai"),
        ("absent.backup", "can not be read"),
    ];
    for (file, why) in cases {
        let told = try_restore(&cluster, file).await;
        assert!(told.code == 1 && told.err.contains(why), "{file}: {told:?}");
    }
    let state = cluster.database().parent().unwrap().display().to_string();
    let unasked = cluster.run(&["cluster", "restore", "good.backup", "--data-dir", &state]).await;
    assert!(unasked.code == 64 && unasked.err.contains("--yes"), "{unasked:?}");
    cluster.restart_master().await;
    assert_eq!(end(&cluster.rest.task(&id).await).0, "completed");
    assert_eq!(cluster.rest.get("/api/v1/cluster").await["incarnation"], 1, "it is the same life");
}
