//! Backups of a running master, and masters that begin again from one.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::{Process, Ran, run, until};
use crate::rest::{Answer, Rest, accepted, end};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

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

fn state(cluster: &Cluster) -> PathBuf {
    cluster.database().parent().unwrap().to_owned()
}

/// The files of a restore that is under way in the data folder.
fn left(cluster: &Cluster) -> Vec<String> {
    let entries = std::fs::read_dir(state(cluster)).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with("restore.")).collect()
}

/// Makes a backup of a running master; answers its bytes.
async fn made(cluster: &Cluster, name: &str) -> Vec<u8> {
    let made = cluster.run(&["cluster", "backup", name]).await;
    assert_eq!(made.code, 0, "{made:?}");
    std::fs::read(cluster.dir().join(name)).unwrap()
}

async fn send(rest: &Rest, backup: &[u8]) -> Answer {
    rest.post_as("application/octet-stream", "/api/v1/cluster/restore", backup.to_vec()).await
}

/// Begins a `POST` whose body does not come; returns when the master waits for it.
fn begin_post(http: &str, path: &str, kind: &str) -> TcpStream {
    let mut stream = TcpStream::connect(http).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {http}\r\nContent-Type: {kind}\r\nContent-Length: 9000\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = [0; 12];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100");
    stream
}

async fn incarnation(rest: &Rest) -> u64 {
    rest.get("/api/v1/cluster").await["incarnation"].as_u64().unwrap()
}

#[tokio::test]
async fn a_backup_comes_into_the_running_master_which_begins_again_with_it() {
    let mut cluster = Cluster::of(fake_worker("w1").cpus(4.0)).await;
    let rest = cluster.rest.clone();
    let done = rest.submit(json!({"image": "fake:x", "env": {"FAKE_STDOUT": "one\ntwo"}})).await;
    let done = rest.completed(&done).await;
    let runs = rest.submit(endless(1, "w1")).await;
    rest.running(&runs).await;
    let before = rest.get("/api/v1/cluster").await;
    made(&cluster, "now.backup").await;
    let lost = rest.submit(endless(1, "w1")).await;
    rest.running(&lost).await;

    let looked = cluster.run(&["cluster", "restore", "now.backup", "--dry-run"]).await;
    assert!(looked.code == 0 && looked.out.contains("tasks (") && looked.out.contains(", 1 worker\n"), "{looked:?}");
    assert!(looked.out.contains("   of 20"), "{looked:?}");
    let looked = cluster.run(&["cluster", "restore", "now.backup", "--dry-run", "--json"]).await;
    let looked: Value = serde_json::from_str(&looked.out).unwrap();
    assert_eq!(
        [&looked["would"], &looked["dry_run"], &looked["holds"]["workers"]],
        [&json!("restore"), &json!(true), &json!(1)]
    );
    let unasked = cluster.run(&["cluster", "restore", "now.backup"]).await;
    assert!(unasked.code == 64 && unasked.err.contains("3 tasks and 1 workers"), "{unasked:?}");
    assert_eq!(incarnation(&rest).await, before["incarnation"], "nothing happened yet");
    // A log that is read live, and an upload that does not go on, end with this life.
    let mut reads = cluster.begin(&["task", "logs", &runs, "--follow"]);
    let stuck = begin_post(cluster.http(), "/api/v1/tasks", "application/json");
    let restored = cluster.run(&["cluster", "restore", "now.backup", "--yes", "--json"]).await;
    assert_eq!(restored.code, 0, "{restored:?}");
    let restored: Value = serde_json::from_str(&restored.out).unwrap();
    drop(stuck);

    let after = rest.get("/api/v1/cluster").await;
    assert_eq!((&after["cluster"], &after["incarnation"]), (&before["cluster"], &restored["incarnation"]), "{after}");
    assert!(after["incarnation"].as_u64() > before["incarnation"].as_u64(), "{after}");
    assert!(after["term"].as_u64() > before["term"].as_u64(), "{after}");
    assert!(PathBuf::from(restored["kept"].as_str().unwrap()).exists(), "{restored}");
    assert_eq!(rest.task(done["id"].as_str().unwrap()).await, done);
    assert_eq!(rest.log(done["id"].as_str().unwrap(), "").await, "one\ntwo\n", "logs stay where they are");
    assert_eq!(rest.ask("GET", &format!("/api/v1/tasks/{lost}"), None).await.status, 404);
    until("what was begun after the backup is stopped", async || {
        cluster.journal().iter().any(|mark| mark.task == lost && mark.event == "end").then_some(())
    })
    .await;
    let again = rest.task_until(&runs, "runs again", |task| task["attempt"] == 2 && task["status"] == "running").await;
    assert_eq!(again["status"], "running");
    let new = rest.submit(json!({"image": "fake:x", "env": {"FAKE_STDOUT": "new"}})).await;
    rest.completed(&new).await;
    assert_eq!(rest.log(&new, "").await, "new\n");
    assert_eq!(cluster.run(&["cancel", &runs]).await.code, 0);
    until("the log that is read ends with its task", async || reads.has_ended()).await;

    // Once more, in the same process: the second life of one backup is another.
    let twice = cluster.run(&["cluster", "restore", "now.backup", "--yes", "--json"]).await;
    assert_eq!(twice.code, 0, "{twice:?}");
    assert!(incarnation(&rest).await > restored["incarnation"].as_u64().unwrap());
    assert_eq!(cluster.master_err().matches("master began again").count(), 2);
    assert_eq!(left(&cluster), [""; 0]);
    cluster.stop_master().await;
}

#[tokio::test]
async fn what_is_no_backup_of_this_cluster_is_refused_by_the_running_master_which_goes_on() {
    let cluster = Cluster::of(fake_worker("w1")).await;
    let good = made(&cluster, "good.backup").await;
    let mut spoilt = good.clone();
    let middle = spoilt.len() / 2;
    spoilt[middle] ^= 1;
    let other = Cluster::start().await;
    let other = made(&other, "other.backup").await;
    let long = vec![b'x'; 48 << 20];
    let rows: [(&[u8], u16, &str, &str); 7] = [
        (&spoilt, 400, "bad_backup", "is damaged: its checksum"),
        (&good[..good.len() - 1], 400, "bad_backup", "is damaged: it has"),
        (&[&good[..], b"x"].concat(), 400, "bad_backup", "is damaged: more than"),
        (b"not a backup at all", 400, "bad_backup", "is no backup of cloudai"),
        (&long, 400, "bad_backup", "is no backup of cloudai"),
        (b"", 400, "bad_backup", "is no backup of cloudai"),
        (&other, 409, "conflict", "the backup is of cluster"),
    ];
    for (bytes, status, code, why) in rows {
        let refused = send(&cluster.rest, bytes).await;
        assert_eq!((refused.status, refused.text("code")), (status, code), "{refused:?}");
        let told = refused.text("detail");
        assert!(told.contains(why) && told.ends_with("nothing was changed"), "{told}");
    }
    let json = cluster.rest.post_bytes("/api/v1/cluster/restore", good.clone()).await;
    assert_eq!(json.status, 415, "{json:?}");
    std::fs::write(cluster.dir().join("spoilt.backup"), &spoilt).unwrap();
    let told = cluster.run(&["cluster", "restore", "spoilt.backup", "--yes"]).await;
    assert!(told.code == 1 && told.err.contains("is damaged: its checksum"), "{told:?}");
    std::fs::write(cluster.dir().join("other.backup"), &other).unwrap();
    let told = cluster.run(&["cluster", "restore", "other.backup", "--yes"]).await;
    assert!(told.code == 7 && told.err.contains("the backup is of cluster"), "{told:?}");

    // One that does not come to its end keeps others out, and leaves nothing when it is given up.
    let kind = "application/octet-stream";
    let mut half = begin_post(cluster.http(), "/api/v1/cluster/restore", kind);
    half.write_all(&good[..4096]).unwrap();
    until("it lies on the disk", async || (!left(&cluster).is_empty()).then_some(())).await;
    let second = send(&cluster.rest, &good).await;
    assert_eq!((second.status, second.text("code")), (409, "conflict"), "{second:?}");
    drop(half);
    until("nothing is left of it", async || left(&cluster).is_empty().then_some(())).await;
    let id = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&id).await;
    assert_eq!(incarnation(&cluster.rest).await, 1, "it is the same life");
}

#[tokio::test]
async fn a_master_that_is_killed_before_it_begins_again_completes_the_restore_at_its_next_start() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let good = made(&cluster, "good.backup").await;
    let lost = cluster.rest.submit(endless(1, "w1")).await;
    cluster.rest.running(&lost).await;
    // It waits for what is under way before it ends.
    let stuck = begin_post(cluster.http(), "/api/v1/tasks", "application/json");
    let answer = send(&cluster.rest, &good).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    cluster.kill_master();
    drop(stuck);
    let waits = !left(&cluster).is_empty();
    cluster.restart_master().await;
    assert_eq!(incarnation(&cluster.rest).await, answer.body["incarnation"], "{answer:?}");
    assert_eq!(cluster.rest.ask("GET", &format!("/api/v1/tasks/{lost}"), None).await.status, 404);
    assert_eq!(cluster.master_err().matches("pending restore was completed").count(), 1);
    assert!(waits || cluster.master_err().contains("master began again"), "it was killed before it could");
    assert_eq!(left(&cluster), [""; 0]);
    cluster.worker_until("w1", "active").await;
    let id = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&id).await;
}

#[tokio::test]
async fn a_master_and_its_workers_in_one_process_begin_again_and_one_in_memory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let words = |words: &str| words.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>();
    let up = "up --insecure --executor fake --data-dir state --grpc :0 --http :0 --print-addresses";
    let mut up = Process::start(dir.path(), "up", &[("CLOUDAI_HEARTBEAT_S".into(), "0.2".into())], &words(up));
    let http = up.printed("http").await["http"].as_str().unwrap().to_owned();
    let rest = Rest::new(&http);
    let told = |http: &str| [("CLOUDAI_ADDR".to_owned(), format!("http://{http}"))];
    let made = run(dir.path(), &told(&http), &["cluster", "backup", "now.backup"]).await;
    assert_eq!(made.code, 0, "{made:?}");
    let restored = run(dir.path(), &told(&http), &["cluster", "restore", "now.backup", "--yes"]).await;
    assert!(restored.code == 0 && restored.out.contains("is restored as it was at"), "{restored:?}");
    assert!(restored.err.contains("next: cloudai status, cloudai task list"), "{restored:?}");
    let small = json!({"image": "fake:x", "cpu_cores": 0.01, "memory_gb": 0.01, "storage_gb": 0});
    let id = rest.submit(small).await;
    rest.completed(&id).await;

    let memory = "master --insecure --store memory --data-dir memory --grpc :0 --http :0 --print-addresses";
    let mut memory = Process::start(dir.path(), "memory", &[], &words(memory));
    let http = memory.printed("http").await["http"].as_str().unwrap().to_owned();
    let refused = run(dir.path(), &told(&http), &["cluster", "restore", "now.backup", "--yes"]).await;
    assert!(refused.code == 64 && refused.err.contains("in memory only"), "{refused:?}");
}
