//! Inputs from addresses: workers fetch them, check them by their hash, and keep them for the next task.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::https_server::HttpsServer;
use crate::s3_server::{BUCKET, KEY, S3Server, SECRET};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const DATA: &str = "data of the web";
const OTHER: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn hash() -> String {
    hex::encode(Sha256::digest(DATA))
}

fn finds(from: &str) -> Value {
    json!({"image": "fake:x", "inputs": [{"from": from, "path": "/in/x"}]})
}

fn variables(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What a task that ended with an input error says.
async fn input_error(cluster: &Cluster, from: &str) -> String {
    let id = cluster.rest.submit(finds(from)).await;
    let task = cluster.rest.ended(&id).await;
    assert_eq!((&task["status"], &task["reason"]), (&json!("failed"), &json!("input_error")), "{task}");
    task["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_input_from_the_web_is_fetched_once_checked_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let server = HttpsServer::start(dir.path(), DATA).await;
    let trusted = server.certificate.display().to_string();
    let given = variables(&[("SSL_CERT_FILE", &trusted), ("CLOUDAI_LOCAL_INPUTS", "true")]);
    let cluster = Plan::new().variables(&given).worker(fake_worker("w1")).start().await;
    let from = format!("{}/sets/a.csv#sha256={}", server.url, hash());
    let ran = cluster.run(&["task", "submit", "fake:x", "--input", &from, "--wait", "-o", "quiet"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let shown = cluster.rest.task(ran.out.trim()).await;
    assert_eq!(shown["spec"]["inputs"], json!([{"from": from, "path": "/in/a.csv"}]), "{shown}");
    cluster.rest.completed(&cluster.rest.submit(finds(&from)).await).await;
    assert_eq!(server.asked(), 1, "the worker has it");
    let said = input_error(&cluster, &format!("{}/a#sha256={OTHER}", server.url)).await;
    assert!(said.contains("/in/x") && said.contains(&hash()), "{said}");
    let retried = cluster.run(&["task", "retry", ran.out.trim(), "-o", "quiet"]).await;
    assert_eq!(retried.code, 0, "{}", retried.err);
    cluster.rest.completed(retried.out.trim()).await;
}

#[tokio::test]
async fn a_worker_asks_nothing_of_its_own_host_and_trusts_nobody_whom_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let server = HttpsServer::start(dir.path(), DATA).await;
    let cluster = Cluster::of(fake_worker("w1")).await;
    let said = input_error(&cluster, &format!("{}/a#sha256={}", server.url, hash())).await;
    assert!(said.contains("loopback") && said.contains("worker.local_inputs"), "{said}");
    let given = variables(&[("CLOUDAI_LOCAL_INPUTS", "true")]);
    let cluster = Plan::new().variables(&given).worker(fake_worker("w1")).start().await;
    let said = input_error(&cluster, &format!("{}/a#sha256={}", server.url, hash())).await;
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn an_object_of_a_named_bucket_is_an_input_and_no_worker_has_its_keys() {
    let server = S3Server::start();
    server.put("sets/a b.csv", DATA.as_bytes());
    let (bucket, endpoint) = (format!("s3://{BUCKET}/sets"), server.endpoint());
    let given = variables(&[
        ("CLOUDAI_INPUTS_BUCKETS", &bucket),
        ("CLOUDAI_FILES_S3_ENDPOINT", &endpoint),
        ("CLOUDAI_FILES_S3_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("CLOUDAI_LOCAL_INPUTS", "true"),
        ("CLOUDAI_INPUTS_URLS", "https://example.org"),
    ]);
    let cluster = Plan::new().variables(&given).worker(fake_worker("w1")).start().await;
    let from = format!("{bucket}/a%20b.csv#sha256={}", hash());
    let task = cluster.rest.completed(&cluster.rest.submit(finds(&from)).await).await;
    assert!(!task.to_string().contains("X-Amz-Signature"), "{task}");
    let said = input_error(&cluster, &format!("{bucket}/nothing#sha256={OTHER}")).await;
    assert!(said.contains("404") && !said.contains("X-Amz"), "{said}");
    for (from, allowed) in [
        (format!("s3://{BUCKET}/secret/a#sha256={OTHER}"), format!("inputs.buckets: {bucket}")),
        (format!("s3://other/a#sha256={OTHER}"), format!("inputs.buckets: {bucket}")),
        (format!("http://example.org/a#sha256={OTHER}"), "inputs.urls: https://example.org/".into()),
    ] {
        let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&finds(&from))).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["path"]), (400, &json!("inputs[0].from")));
        assert!(refused.body["errors"][0]["problem"].as_str().unwrap().contains(&allowed), "{refused:?}");
    }
}
