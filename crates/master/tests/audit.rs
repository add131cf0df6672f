//! What a master does while nobody can write down what is done.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod support;

use cloudai_store::Store;
use cloudai_store::audit::AuditQuery;
use std::time::Duration;
use support::{PATIENCE, Running, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const TASKS: &str = "/api/v1/tasks";
const TASK: &str = r#"{"image":"busybox"}"#;

async fn get(master: &Running, path: &str) -> String {
    let mut stream = TcpStream::connect(master.http).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", master.http);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("no answer").unwrap();
    text
}

/// Waits until the master says this of its readiness.
async fn ready_until(master: &Running, part: &str) {
    let looking = async {
        while !get(master, "/readyz").await.contains(part) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("the master did not say so");
}

#[tokio::test]
async fn a_change_is_answered_when_its_row_is_on_disk_and_none_is_begun_while_no_row_can_be_written() {
    let master = Running::start().await;
    assert_eq!(post(&master, TASKS, TASK).await, 201);
    master.store.set_no_audit(true);
    // It is done, and its caller waits.
    let mut first = Box::pin(post(&master, TASKS, TASK));
    tokio::select! {
        status = &mut first => panic!("it was answered {status} before its row was written"),
        () = ready_until(&master, "audit: the audit log can not be written") => {}
    }
    assert_eq!(post(&master, TASKS, TASK).await, 503);
    assert!(get(&master, "/health").await.contains("degraded"));
    let list = get(&master, TASKS).await;
    assert_eq!(list.matches(r#""status":"queued""#).count(), 2, "looking goes on, and the third was not begun: {list}");
    master.store.set_no_audit(false);
    assert_eq!(tokio::time::timeout(PATIENCE, first).await.expect("never answered"), 201);
    ready_until(&master, "200 OK").await;
    assert_eq!(post(&master, TASKS, TASK).await, 201);
    let verdict = get(&master, "/api/v1/audit/verify").await;
    assert!(verdict.contains(r#""whole":true"#), "{verdict}");
    master.stop().await;
}

#[tokio::test]
async fn a_batch_is_one_row_and_what_is_refused_alike_is_one_with_a_count() {
    let master = Running::start().await;
    let batch = format!(r#"{{"tasks":[{}]}}"#, [TASK; 1000].join(","));
    assert_eq!(post(&master, "/api/v1/tasks/batch", &batch).await, 201);
    for _ in 0..20 {
        assert_eq!(post(&master, TASKS, r#"{"imag":"busybox"}"#).await, 400);
    }
    let rows = async |action: &str| {
        let query = AuditQuery { action: Some(action.to_owned()), limit: 100, ..AuditQuery::default() };
        master.store.audit(&query).await.unwrap().items
    };
    let batches = rows("POST /api/v1/tasks/batch").await;
    assert_eq!(batches.len(), 1);
    let body: serde_json::Value = serde_json::from_str(&batches[0].body).unwrap();
    assert_eq!((&body["details"]["tasks"], &body["details"]["new"]), (&1000.into(), &1000.into()));
    assert!(batches[0].object.as_ref().unwrap().starts_with("task-"));
    let counted = async {
        loop {
            let mut refused = rows(TASKS_ACTION).await;
            refused.retain(|row| row.action == TASKS_ACTION);
            let counts: u64 = refused
                .iter()
                .map(|row| serde_json::from_str::<serde_json::Value>(&row.body).unwrap()["count"].as_u64().unwrap_or(1))
                .sum();
            if counts == 20 {
                break refused.len();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let rows = tokio::time::timeout(PATIENCE, counted).await.expect("the refusals were not written");
    assert!(rows < 20, "twenty refusals are {rows} rows");
    master.stop().await;
}

const TASKS_ACTION: &str = "POST /api/v1/tasks";
