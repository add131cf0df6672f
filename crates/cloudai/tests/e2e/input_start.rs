//! Masters and workers that can not start: each says why and what to do, and disturbs nobody.

use crate::cluster::{Cluster, fake_worker};
use crate::process::{self, Ran};
use serde_json::json;
use std::net::TcpListener;
use std::path::Path;

async fn master(dir: &Path, variables: &[(&str, &str)], words: &[&str]) -> Ran {
    let all = [&["master", "--insecure", "--no-shell", "--print-addresses"], words].concat();
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    process::run(dir, &variables, &all).await
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_flag() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, other) in [("--grpc", "--http"), ("--http", "--grpc")] {
        let ran = master(dir.path(), &[], &["--data-dir", "state", flag, &address, other, "127.0.0.1:0"]).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
        assert!(ran.err.contains(&address) && ran.err.contains(flag) && ran.err.contains("in use"), "{}", ran.err);
    }
}

#[tokio::test]
async fn a_data_directory_has_one_master_and_a_worker_folder_one_worker() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let second = master(cluster.dir(), &[], &["--data-dir", "state", "--grpc", ":0", "--http", ":0"]).await;
    assert_eq!((second.code, second.out.as_str()), (1, ""), "{}", second.err);
    assert!(second.err.contains("another master"), "{}", second.err);
    let (grpc, token) = (cluster.grpc().to_owned(), cluster.token().to_owned());
    let words = ["worker", "start", "--master", &grpc, "--join-token", &token, "--id", "w1", "--executor", "fake"];
    let words: Vec<_> = words.into_iter().chain(["--data-dir", "state"]).collect();
    let twin = cluster.run(&words).await;
    assert_eq!(twin.code, 1, "{}", twin.err);
    assert!(twin.err.contains("in use by another worker"), "{}", twin.err);
    // Those who were there first go on, and the folder is free once its master is gone.
    cluster.rest.completed(&cluster.rest.submit(json!({"image": "fake:x"})).await).await;
    cluster.kill_master();
    cluster.restart_master().await;
}

#[tokio::test]
async fn a_worker_with_a_wrong_token_is_refused_and_told_where_the_right_one_is() {
    let cluster = Cluster::start().await;
    for token in ["cai1-0-00000000000000000000000000000000", "x"] {
        let words = ["worker", "start", "--master", cluster.grpc(), "--join-token", token, "--id", "w1"];
        let words: Vec<_> = words.into_iter().chain(["--executor", "fake", "--data-dir", "other"]).collect();
        let ran = cluster.run(&words).await;
        assert_eq!(ran.code, 6, "{}", ran.err);
        assert!(ran.err.contains("refused") && ran.err.contains("cloudai worker token"), "{}", ran.err);
        assert!(!ran.err.contains(cluster.token()), "the right token is told to a stranger");
    }
    assert_eq!(cluster.rest.get("/api/v1/workers").await["items"], json!([]));
}

#[tokio::test]
async fn a_second_worker_of_a_live_name_is_refused_and_harms_nothing() {
    let mut cluster = Cluster::of(fake_worker("w1")).await;
    let long = cluster.rest.submit(json!({"image": "fake:x", "env": {"FAKE_DURATION_MS": "2000"}})).await;
    cluster.rest.running(&long).await;
    let (grpc, token) = (cluster.grpc().to_owned(), cluster.token().to_owned());
    let words = ["worker", "start", "--master", &grpc, "--join-token", &token, "--id", "w1"];
    let words: Vec<_> = words.into_iter().chain(["--executor", "fake", "--data-dir", "other"]).collect();
    let ran = cluster.run(&words).await;
    assert_eq!((ran.code, ran.out.as_str()), (7, ""), "{}", ran.err);
    assert!(ran.err.contains("w1 is connected") && ran.err.contains("another --id"), "{}", ran.err);
    cluster.rest.completed(&long).await;
    // Once the first has left, its name is free.
    cluster.stop_worker("w1").await;
    let mut second = cluster.begin(&words);
    cluster.worker_until("w1", "active").await;
    second.kill();
}

#[tokio::test]
async fn a_worker_without_an_engine_says_which_it_looked_for() {
    let cluster = Cluster::start().await;
    let words = ["worker", "start", "--master", cluster.grpc(), "--join-token", cluster.token(), "--id", "w1"];
    let words: Vec<_> = words.into_iter().chain(["--executor", "docker", "--data-dir", "other"]).collect();
    let nowhere = "unix:///nonexistent/engine.sock";
    let ran = process::run(cluster.dir(), &[("DOCKER_HOST".into(), nowhere.into())], &words).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains(nowhere), "{}", ran.err);
    let up = ["up", "--insecure", "--data-dir", "up", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];
    let ran = process::run(cluster.dir(), &[("DOCKER_HOST".into(), nowhere.into())], &up).await;
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains(nowhere), "{}", ran.err);
    assert_eq!(cluster.rest.get("/api/v1/workers").await["items"], json!([]), "it was not even registered");
}

#[tokio::test]
async fn times_that_would_let_attempts_overlap_are_refused_with_their_values() {
    let dir = tempfile::tempdir().unwrap();
    let rows = [
        (("CLOUDAI_WORKER_LEASE_S", "15"), "worker_lease_s"),
        (("CLOUDAI_WORKER_INACTIVE_S", "5"), "worker_inactive_s"),
        (("CLOUDAI_HEARTBEAT_S", "0"), "heartbeat"),
        (("CLOUDAI_HEARTBEAT_S", "soon"), "CLOUDAI_HEARTBEAT_S"),
    ];
    for (variable, said) in rows {
        let ran = master(dir.path(), &[variable], &["--data-dir", "state", "--grpc", ":0", "--http", ":0"]).await;
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{variable:?}: {}", ran.err);
        assert!(ran.err.to_lowercase().contains(&said.to_lowercase()), "{variable:?}: {}", ran.err);
    }
}

#[tokio::test]
async fn a_folder_that_can_not_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let ran = master(dir.path(), &[], &["--data-dir", "file/state", "--grpc", ":0", "--http", ":0"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
    assert!(ran.err.contains("file/state"), "{}", ran.err);
}
