//! The REST API of a whole master over a socket, as any client in any language sees it.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod support;

use cloudai_master::http::dto;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use support::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One request on a connection of its own.
async fn ask(http: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(http).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_task_lives_from_its_submission_to_its_cancel() {
    let master = Running::start().await;
    let submit = async || {
        ask(master.http, "POST", "/api/v1/tasks", &format!("{JSON}Idempotency-Key: k\r\n"), r#"{"image":"busybox"}"#)
            .await
    };
    let first = submit().await;
    assert_eq!(first.status, 201, "{first:?}");
    let task: dto::Task = first.json();
    let path = format!("/api/v1/tasks/{}", task.id);
    assert!(first.head.contains(&format!("location: {}", path.to_ascii_lowercase())));
    let seen: dto::Task = ask(master.http, "GET", &path, "", "").await.json();
    assert_eq!((seen.status.as_str(), seen.phase.as_deref()), ("queued", Some("waiting_capacity")));
    assert!(seen.message.contains("cloudai worker start"), "{}", seen.message);
    assert_eq!(ask(master.http, "POST", &format!("{path}/cancel"), "", "").await.status, 202);
    let ended: dto::Task = ask(master.http, "GET", &format!("{path}?wait_s=10"), "", "").await.json();
    assert_eq!((ended.status.as_str(), ended.reason.as_deref()), ("cancelled", Some("user")));
    // The key outlives the task.
    let again = submit().await;
    assert_eq!((again.status, again.json::<dto::Task>().id), (200, task.id));
    let logs = ask(master.http, "GET", &format!("{path}/logs?follow=true"), "", "").await;
    assert!(logs.body.contains(r#"{"end":{"status":"cancelled""#), "{logs:?}");
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_sent_by_many_at_once_makes_one_task() {
    let master = Running::start().await;
    let http = master.http;
    let mut clients = JoinSet::new();
    for _ in 0..32 {
        let headers = format!("{JSON}Idempotency-Key: same\r\n");
        clients.spawn(async move { ask(http, "POST", "/api/v1/tasks", &headers, r#"{"image":"busybox"}"#).await });
    }
    let answers = clients.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 31);
    let list: dto::List<dto::Task> = ask(http, "GET", "/api/v1/tasks", "", "").await.json();
    assert_eq!(list.items.len(), 1);
    master.stop().await;
}

#[tokio::test]
async fn what_is_no_request_of_ours_is_answered_and_the_master_goes_on() {
    let master = Running::start().await;
    let large = "1".repeat(70_000);
    for (method, path, headers, body, status) in [
        ("GET", "/nowhere", "", "", 404),
        ("PATCH", "/api/v1/cluster", "", "", 405),
        ("POST", "/api/v1/tasks", JSON, "{", 400),
        ("POST", "/api/v1/tasks", "", "{}", 415),
        ("POST", "/api/v1/workers", JSON, large.as_str(), 413),
        ("GET", "/api/v1/tasks?limit=x", "", "", 400),
        ("GET", "/livez", "", "", 200),
    ] {
        let answer = ask(master.http, method, path, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.head.contains("x-request-id: "), "{answer:?}");
        if status != 200 {
            assert!(answer.head.contains("content-type: application/problem+json"), "{answer:?}");
            assert_eq!(answer.json::<dto::Problem>().status, status);
        }
    }
    master.stop().await;
}

#[tokio::test]
async fn a_commit_that_hangs_is_told_to_everybody_and_what_came_meanwhile_is_not_done_later() {
    let master = Running::start().await;
    let submit = async || ask(master.http, "POST", "/api/v1/tasks", JSON, r#"{"image":"busybox"}"#).await;
    let held_up = master.store.hold().await;
    let meanwhile = async {
        let mut ready = ask(master.http, "GET", "/readyz", "", "").await;
        while ready.status == 200 {
            ready = ask(master.http, "GET", "/readyz", "", "").await;
        }
        assert!(ready.body.contains("a commit has been under way for more than a second"), "{ready:?}");
        let refused = submit().await;
        assert!(refused.status == 503 && refused.body.contains("nothing was changed"), "{refused:?}");
        drop(held_up);
    };
    let (first, ()) = tokio::join!(submit(), meanwhile);
    assert_eq!(first.status, 201, "it was in the commit that hung: {first:?}");
    let second = submit().await;
    assert_eq!(second.status, 201, "{second:?}");
    assert_eq!(ask(master.http, "GET", "/readyz", "", "").await.status, 200);
    let page: dto::List<dto::Task> = ask(master.http, "GET", "/api/v1/tasks", "", "").await.json();
    assert_eq!(page.items.len(), 2, "the one that was refused was never made");
    master.stop().await;
}

#[tokio::test]
async fn a_strategy_is_switched_while_tasks_wait_and_run_times_are_told() {
    let master = Running::start().await;
    let list = async || ask(master.http, "GET", "/api/v1/strategies", "", "").await.json::<dto::Strategies>();
    let set = async |body: &str| ask(master.http, "PUT", "/api/v1/strategies/current", JSON, body).await;
    assert_eq!(ask(master.http, "POST", "/api/v1/tasks", JSON, r#"{"image":"a"}"#).await.status, 201);
    let before = list().await;
    assert_eq!(before.current, "greedy");
    assert!(before.items.iter().all(|strategy| strategy.about.ends_with('.')), "{before:?}");
    let answer = set(r#"{"name":"balanced_skip","knobs":{"patience":7}}"#).await;
    assert_eq!((answer.status, answer.json::<dto::Strategies>().current.as_str()), (200, "balanced_skip"));
    let after = list().await;
    let current: Vec<_> = after.items.iter().filter(|strategy| strategy.current).map(|one| one.name.as_str()).collect();
    assert_eq!(current, ["balanced_skip"]);
    let patience = after.knobs.iter().find(|knob| knob.name == "patience").unwrap();
    assert_eq!((patience.value, patience.most), (7.0, 1000.0));
    let cluster: dto::Cluster = ask(master.http, "GET", "/api/v1/cluster", "", "").await.json();
    assert_eq!(cluster.strategy, "balanced_skip");
    let wrong = set(r#"{"name":"best","knobs":{"patience":-7}}"#).await;
    let problem: dto::Problem = wrong.json();
    assert_eq!((wrong.status, problem.errors.len()), (400, 2), "{problem:?}");
    master.store.set_away(true);
    assert_eq!(set(r#"{"name":"greedy"}"#).await.status, 503);
    master.store.set_away(false);
    assert_eq!(list().await.current, "balanced_skip");
    let known = ask(master.http, "GET", "/api/v1/strategies/predictions?limit=5", "", "").await;
    let known: dto::Predictions = known.json();
    assert_eq!((known.runs, known.kinds, known.list.items.len()), (0, 0, 0));
    master.stop().await;
}
