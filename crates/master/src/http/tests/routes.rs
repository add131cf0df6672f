//! What holds for every route.

use super::*;
use crate::http::table::Access;
use crate::http::{at_the_edge, for_strangers, routes};
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../../../../docs/rest.md");

/// A path that a route takes, parameters filled in.
pub(super) fn filled(path: &str) -> String {
    let id = if path.contains("jobs") {
        cloudai_core::ids::JobId::new(1).to_string()
    } else if path.contains("tasks") {
        TaskId::new(1).to_string()
    } else {
        "w1".into()
    };
    path.replace("{id}", &id)
        .replace("{*path}", "a/b.txt")
        .replace("{sha256}", &"0".repeat(64))
        .replace("{name}", "token")
        .replace("{host}", "ghcr.io")
        .replace("{code}", "none")
}

#[test]
fn the_document_lists_every_route_and_no_other() {
    let calls = DOCUMENT.lines().filter(|line| line.starts_with("| `")).flat_map(|line| {
        let cell = line.split('|').nth(1).unwrap();
        let mut method = String::new();
        let mut calls = Vec::new();
        for quoted in cell.split('`').skip(1).step_by(2) {
            let path = quoted.split_once(' ').map_or(quoted, |(word, path)| {
                method = word.to_owned();
                path
            });
            if path.starts_with('/') {
                calls.push(format!("{method} {}", path.split('?').next().unwrap()));
            }
        }
        calls
    });
    let known = routes().into_iter().map(|route| format!("{} {}", route.method, route.path.replace("{*", "{")));
    assert_eq!(calls.collect::<BTreeSet<_>>(), known.collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn every_route_refuses_a_stranger_before_anything_else() {
    let fake = Fake::start().await;
    let router = at_the_edge(true, for_strangers(fake.handle.clone()));
    for route in routes() {
        let request = json(route.method.clone(), &format!("{}?unknown=1", filled(route.path)), "not json");
        let status = router.clone().oneshot(request).await.unwrap().status();
        let is_open = route.access == Access::Open;
        assert_eq!(status != 401, is_open, "{} {}: {status}", route.method, route.path);
    }
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_every_error_is_a_problem() {
    let fake = Fake::start().await;
    for route in routes() {
        let answer = fake.open(json(route.method.clone(), &filled(route.path), "{}")).await;
        assert!(answer.headers().contains_key("x-request-id"), "{}", route.path);
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        // What a link shows, a person reads in a browser; the body of an answer that goes well may never end.
        if !answer.status().is_success() && route.path != "/login/{code}" {
            Answer::of(answer).await.problem();
        }
    }
}

#[tokio::test]
async fn a_parameter_that_a_call_does_not_take_is_refused() {
    let fake = Fake::start().await;
    for route in routes().into_iter().filter(|route| route.path.starts_with("/api/")) {
        let path = format!("{}?wombat=1", filled(route.path));
        let problem = fake.ask(json(route.method.clone(), &path, r#"{"image":"a"}"#)).await.problem();
        assert_eq!(problem.code, "invalid", "{path}");
        assert!(problem.errors.iter().any(|error| error.path == "wombat"), "{path}: {:?}", problem.errors);
    }
}

#[tokio::test]
async fn an_unknown_call_is_answered_with_the_nearest() {
    let fake = Fake::start().await;
    let answer = fake.get("/api/v1/task").await;
    answer.refused(404, "not_found");
    assert_eq!(answer.problem().next.unwrap(), "did you mean GET or POST /api/v1/tasks?");
    assert!(fake.get("/").await.problem().next.unwrap().contains("docs/rest.md"));
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_answered_with_those_it_takes() {
    let fake = Fake::start().await;
    let answer = fake.ask(json(Method::PUT, "/api/v1/tasks", "{}")).await;
    assert!(answer.refused(405, "method_not_allowed").ends_with("it takes GET and POST"));
    let allowed: BTreeSet<_> = answer.headers["allow"].to_str().unwrap().split(',').map(str::trim).collect();
    assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "POST"]));
}

#[tokio::test]
async fn an_id_that_can_not_be_one_is_not_found() {
    let fake = Fake::start().await;
    for (path, part) in [
        ("/api/v1/tasks/7", "is no task id"),
        ("/api/v1/tasks/%ff/logs", "UTF-8"),
        ("/api/v1/tasks/task-x/files/a", "is no task id"),
        ("/api/v1/workers/a%20b", "is no worker id"),
        ("/telemetry/-", "is no worker id"),
    ] {
        let problem = fake.get(path).await.problem();
        assert!(problem.status == 404 || part == "UTF-8", "{path}");
        assert!(problem.detail.contains(part), "{path}: {}", problem.detail);
    }
}

#[tokio::test]
async fn while_the_store_is_away_reads_go_on_and_writes_say_when_to_come_back() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    fake.health.send_replace(StoreHealth { trouble: Some("the store did not answer".into()) });
    let answer = fake.post("/api/v1/tasks", r#"{"image":"busybox"}"#).await;
    answer.refused(503, "unavailable");
    assert_eq!(answer.headers["retry-after"], "5");
    assert_eq!(fake.get(&format!("/api/v1/tasks/{id}")).await.status, 200);
    let health: serde_json::Value = fake.get("/health").await.json();
    assert_eq!((&health["status"], &health["store"]), (&"degraded".into(), &"the store did not answer".into()));
    assert_eq!(fake.get("/api/v1/cluster").await.json::<dto::Cluster>().store, "the store did not answer");
}
