//! Contents in an S3-compatible bucket, from the submission to the download.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::{self, until};
use crate::s3_server::{BUCKET, KEY, S3Server, SECRET};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;

/// What a master needs to know of a server.
pub(crate) fn variables(server: &S3Server) -> Vec<(String, String)> {
    let given = [
        ("CLOUDAI_FILES_S3_URL", format!("s3://{BUCKET}/tests")),
        ("CLOUDAI_FILES_S3_ENDPOINT", server.endpoint()),
        ("CLOUDAI_FILES_S3_ALLOW_HTTP", "true".into()),
        ("AWS_ACCESS_KEY_ID", KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
    ];
    given.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

async fn cluster(server: &S3Server) -> Cluster {
    Plan::new().variables(&variables(server)).worker(fake_worker("w1")).start().await
}

fn sha(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// A task that leaves one small file.
fn leaves(text: &str) -> Value {
    json!({"image": "fake:x", "env": {"FAKE_OUT": format!("result.txt={text}")}})
}

/// Bytes that no compression makes small, of several parts.
fn large() -> Vec<u8> {
    (0..40_000_000_u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0]).collect()
}

/// Submits a task that finds this file, by the command line.
async fn submit(cluster: &Cluster, input: &str) -> process::Ran {
    cluster.run(&["task", "submit", "fake:x", "--input", input, "-o", "quiet"]).await
}

#[tokio::test]
async fn what_tasks_find_and_leave_is_in_the_bucket_and_goes_from_one_to_the_next() {
    let server = S3Server::start();
    let cluster = cluster(&server).await;
    fs::write(cluster.dir().join("in.txt"), "the input").unwrap();
    let ran = submit(&cluster, "in.txt").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    cluster.rest.completed(ran.out.trim()).await;
    assert_eq!(server.contents(), [sha(b"the input")]);
    let first = cluster.rest.submit(leaves("one")).await;
    cluster.rest.completed(&first).await;
    // By the hash, by the file, and by the folder: all of them the worker checks.
    for from in [format!("task:{first}"), format!("task:{first}/result.txt"), format!("blob:{}", sha(b"one"))] {
        let document = json!({"image": "fake:x", "inputs": [{"from": from, "path": "/in"}]});
        cluster.rest.completed(&cluster.rest.submit(document).await).await;
    }
    assert!(server.contents().contains(&sha(b"one")));
    let listed = cluster.run(&["task", "files", &first, "-o", "json"]).await;
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let file = &listed["items"][0];
    let place = format!("s3://{BUCKET}/tests/blobs/{}/{}", &sha(b"one")[..2], sha(b"one"));
    assert_eq!(file, &json!({"path": "result.txt", "size": 3, "sha256": sha(b"one"), "location": place}));
    let got = cluster.run(&["task", "download", &first, "got"]).await;
    assert_eq!(got.code, 0, "{}", got.err);
    assert_eq!(fs::read(cluster.dir().join("got/result.txt")).unwrap(), b"one");
    let tar = cluster.run(&["task", "download", &first, "--tar", "all.tar"]).await;
    assert_eq!(tar.code, 0, "{}", tar.err);
    for (path, code) in [("./result.txt", 0), ("absent", 5)] {
        let to = format!("{code}.zip");
        let zip = cluster.run(&["task", "download", &first, "--zip", &to, path]).await;
        assert!(zip.code == code && cluster.dir().join(&to).exists() == (code == 0), "{zip:?}");
    }
    let on_disk = walk(&cluster.dir().join("state/bulk/blobs"));
    assert!(on_disk.iter().all(|path| path.is_symlink()), "{on_disk:?}");
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_presigned_address_needs_no_master_and_no_key() {
    let server = S3Server::start();
    let mut cluster = cluster(&server).await;
    let id = cluster.rest.submit(leaves("hello")).await;
    cluster.rest.completed(&id).await;
    let path = format!("/api/v1/tasks/{id}/files/result.txt");
    let link = cluster.rest.get(&format!("{path}?presign=true")).await;
    assert!(link["expires_at"].as_str().unwrap().ends_with('Z'), "{link}");
    let printed = cluster.run(&["task", "files", &id, "--links", "-o", "json"]).await;
    let printed: Value = serde_json::from_str(&printed.out).unwrap();
    let printed = printed["items"][0]["url"].as_str().unwrap().to_owned();
    cluster.kill_master();
    for url in [link["url"].as_str().unwrap(), &printed] {
        let answer = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap().get(url).send().await;
        let answer = answer.unwrap();
        let saved_as = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
        assert_eq!((answer.status().as_u16(), saved_as.as_str()), (200, "attachment; filename=\"result.txt\""));
        assert_eq!(answer.bytes().await.unwrap(), "hello");
    }
    // Where the master's own disk has it there is none.
    let plain = Cluster::of(fake_worker("w1")).await;
    let id = plain.rest.submit(leaves("hello")).await;
    plain.rest.completed(&id).await;
    let refused = plain.rest.ask("GET", &format!("/api/v1/tasks/{id}/files/result.txt?presign=true"), None).await;
    assert!(refused.status == 409 && refused.text("detail").contains("disk of the master"), "{refused:?}");
    let listed = plain.rest.get(&format!("/api/v1/tasks/{id}/files")).await;
    let place = listed["items"][0]["location"].as_str().unwrap().to_owned();
    assert_eq!(fs::read(place).unwrap(), b"hello");
}

#[tokio::test]
async fn an_upload_that_a_dying_master_interrupts_is_whole_in_the_end() {
    let server = S3Server::start();
    let mut cluster = cluster(&server).await;
    let data = large();
    fs::write(cluster.dir().join("big"), &data).unwrap();
    server.hold("PUT", "partNumber=2");
    let mut sending = cluster.begin(&["task", "submit", "fake:x", "--input", "big", "-o", "quiet"]);
    server.held().await;
    cluster.kill_master();
    assert_ne!(sending.ended().await, 0, "nothing was acknowledged");
    assert_eq!(server.contents(), [""; 0], "half of it is no object");
    server.release();
    cluster.restart_master().await;
    let ran = submit(&cluster, "big").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    cluster.rest.completed(ran.out.trim()).await;
    assert_eq!(server.contents(), [sha(&data)]);
    let name = server.objects().into_iter().find(|name| name.contains("blobs/")).unwrap();
    assert_eq!(sha(&fs::read(server.file(&name)).unwrap()), sha(&data));
}

#[tokio::test]
async fn a_master_that_is_told_to_stop_does_not_wait_for_its_bucket() {
    let server = S3Server::start();
    let mut cluster = cluster(&server).await;
    fs::write(cluster.dir().join("big"), large()).unwrap();
    server.hold("PUT", "partNumber=2");
    let mut sending = cluster.begin(&["task", "submit", "fake:x", "--input", "big", "-o", "quiet"]);
    server.held().await;
    cluster.stop_master().await;
    assert_ne!(sending.ended().await, 0, "nothing was acknowledged");
    assert!(!cluster.master_err().contains("panicked"), "{}", cluster.master_err());
    server.release();
    cluster.restart_master().await;
    let ran = submit(&cluster, "big").await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    cluster.rest.completed(ran.out.trim()).await;
}

#[tokio::test]
async fn a_bucket_that_is_away_for_a_while_loses_nothing() {
    let mut server = S3Server::start();
    let cluster = cluster(&server).await;
    let before = cluster.rest.submit(leaves("before")).await;
    cluster.rest.completed(&before).await;
    server.away();
    let path = format!("/api/v1/tasks/{before}/files/result.txt");
    let told = cluster.rest.ask("GET", &path, None).await;
    assert_eq!((told.status, told.text("code"), told.retry_after), (503, "unavailable", Some(5)), "{told:?}");
    assert!(told.text("detail").contains(&format!("the bucket s3://{BUCKET}/tests did not answer")), "{told:?}");
    fs::write(cluster.dir().join("in.txt"), "new").unwrap();
    let refused = submit(&cluster, "in.txt").await;
    assert!(refused.code != 0 && refused.err.contains(&format!("s3://{BUCKET}/tests")), "{}", refused.err);
    // What needs no contents goes on, and what a task leaves waits at its worker.
    let plain = cluster.rest.submit(json!({"image": "fake:x"})).await;
    cluster.rest.completed(&plain).await;
    let leaving = cluster.rest.submit(leaves("meanwhile")).await;
    until("the container has ended", async || {
        cluster.journal().iter().any(|mark| mark.task == leaving && mark.event != "start").then_some(())
    })
    .await;
    assert_eq!(cluster.rest.task(&leaving).await["finished_at"], Value::Null, "its file is not kept yet");
    server.again();
    cluster.rest.completed(&leaving).await;
    for (id, text) in [(&before, "before"), (&leaving, "meanwhile")] {
        let got = cluster.run(&["task", "download", id, text]).await;
        assert_eq!(got.code, 0, "{}", got.err);
        assert_eq!(fs::read_to_string(cluster.dir().join(text).join("result.txt")).unwrap(), text);
    }
    assert_eq!(submit(&cluster, "in.txt").await.code, 0);
}

#[tokio::test]
async fn outputs_come_back_with_the_records_when_the_masters_disk_is_lost() {
    let server = S3Server::start();
    let mut cluster = cluster(&server).await;
    let id = cluster.rest.submit(leaves("kept")).await;
    cluster.rest.completed(&id).await;
    assert_eq!(cluster.run(&["cluster", "backup", "now.backup"]).await.code, 0);
    cluster.kill_master();
    let state = cluster.dir().join("state");
    fs::remove_dir_all(&state).unwrap();
    let restored = ["cluster", "restore", "now.backup", "--data-dir", state.to_str().unwrap(), "--yes"];
    let restored = cluster.run(&restored).await;
    assert_eq!(restored.code, 0, "{}", restored.err);
    cluster.restart_master().await;
    let got = cluster.run(&["task", "download", &id, "got"]).await;
    assert_eq!(got.code, 0, "{}", got.err);
    assert_eq!(fs::read_to_string(cluster.dir().join("got/result.txt")).unwrap(), "kept");
    let next = json!({"image": "fake:x", "inputs": [{"from": format!("task:{id}"), "path": "/in"}]});
    cluster.rest.submit(next).await;
}

#[tokio::test]
async fn a_master_does_not_start_on_a_bucket_that_it_can_not_use() {
    let mut server = S3Server::start();
    let dir = tempfile::tempdir().unwrap();
    let words = |data| {
        ["master", "--insecure", "--no-shell", "--print-addresses", "--data-dir", data, "--grpc", ":0", "--http", ":0"]
    };
    let with = |changed: &[(&str, &str)]| {
        let mut all = variables(&server);
        for (name, value) in changed {
            all.retain(|(known, _)| known != name);
            all.extend((!value.is_empty()).then(|| ((*name).to_owned(), (*value).to_owned())));
        }
        all
    };
    let wrong_key = with(&[("AWS_SECRET_ACCESS_KEY", "other")]);
    let half = with(&[("AWS_SECRET_ACCESS_KEY", "")]);
    let plain = with(&[("CLOUDAI_FILES_S3_ALLOW_HTTP", "")]);
    let no_address = with(&[("CLOUDAI_FILES_S3_URL", "s3://a/b")]);
    let place = format!("s3://{BUCKET}/tests");
    let rows = [
        (wrong_key, 1, vec!["files.s3.url", &place, "does not accept the keys", "AWS_SECRET_ACCESS_KEY"]),
        (half, 64, vec!["files.s3.access_key_id is given without files.s3.secret_access_key"]),
        (plain, 64, vec!["files.s3.endpoint", "without encryption", "files.s3.allow_http = true"]),
        (no_address, 64, vec!["CLOUDAI_FILES_S3_URL", "s3://BUCKET/PREFIX"]),
    ];
    for (variables, code, told) in rows {
        let ran = process::run(dir.path(), &variables, &words("state")).await;
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{}", ran.err);
        assert!(told.iter().all(|told| ran.err.contains(told)), "{told:?}: {}", ran.err);
    }
    let endpoint = with(&[]);
    server.away();
    let ran = process::run(dir.path(), &endpoint, &words("state")).await;
    assert!(ran.code == 1 && ran.err.contains(&place) && ran.err.contains("did not answer"), "{}", ran.err);
    server.again();
    // One that another cluster has, and one that this data folder has left.
    let mut cluster = cluster(&server).await;
    let ran = process::run(dir.path(), &endpoint, &words("other")).await;
    assert!(ran.code == 1 && ran.err.contains("another cluster") && ran.err.contains("/owner"), "{}", ran.err);
    cluster.kill_master();
    let ran = process::run(cluster.dir(), &[], &words("state")).await;
    assert!(ran.code == 1 && ran.err.contains(&format!("its contents are in {place}")), "{}", ran.err);
}

#[tokio::test]
async fn secrets_of_a_bucket_are_not_shown() {
    let server = S3Server::start();
    let cluster = cluster(&server).await;
    let shown = process::run(cluster.dir(), &variables(&server), &["config", "show"]).await;
    assert!(shown.out.contains("files.s3.url") && !shown.out.contains(SECRET), "{}", shown.out);
    until("the master has said where it listens", async || (!cluster.master_err().contains(SECRET)).then_some(()))
        .await;
}
