//! Two who edit the same, and lists of which only some fields are wanted.

use super::*;
use cloudai_core::testing::cores;
use serde_json::{Value, json};

/// `PUT` under a condition.
async fn put_if(fake: &Fake, path: &str, body: &Value, condition: (&'static str, &str)) -> Answer {
    let mut request = json(Method::PUT, path, &body.to_string());
    request.headers_mut().insert(condition.0, condition.1.parse().unwrap());
    fake.ask(request).await
}

fn tag(answer: &Answer) -> String {
    answer.headers["etag"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_edits_what_somebody_else_has_changed_is_told_and_nothing_is_lost() {
    let fake = Fake::start().await;
    let template = |image: &str| json!({ "task": { "image": image } });
    let schedule = |image: &str| json!({ "cron": "@daily", "task": { "image": image } });
    type Made<'a> = &'a dyn Fn(&str) -> Value;
    let rows: [(&str, Made<'_>); 2] = [("/api/v1/templates/t", &template), ("/api/v1/schedules/s", &schedule)];
    for (path, document) in rows {
        put_if(&fake, path, &document("a"), ("if-match", "*")).await.refused(412, "precondition_failed");
        let made = put_if(&fake, path, &document("a"), ("if-none-match", "*")).await;
        assert_eq!(made.status, 201, "{path}: {}", made.text());
        put_if(&fake, path, &document("b"), ("if-none-match", "*")).await.refused(412, "precondition_failed");
        let seen = tag(&fake.get(path).await);
        assert_eq!(seen, tag(&made), "{path}");
        let first = put_if(&fake, path, &document("b"), ("if-match", &seen)).await;
        assert!(first.status.is_success() && tag(&first) != seen, "{path}: {}", first.text());
        let second = put_if(&fake, path, &document("c"), ("if-match", &seen)).await;
        second.refused(412, "precondition_failed");
        assert!(second.problem().next.unwrap().contains("ETag"), "{path}");
        assert_eq!(tag(&fake.get(path).await), tag(&first), "{path}");
        let both = put_if(&fake, path, &document("c"), ("if-none-match", "\"x\"")).await;
        both.refused(400, "invalid");
    }
}

#[tokio::test]
async fn a_list_has_only_the_fields_that_are_asked_for() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let task = fake.task().await;
    fake.post("/api/v1/jobs", r#"{"tasks":[{"name":"a","image":"b"}]}"#).await;
    let rows: Value = fake.get("/api/v1/tasks?fields=id,status&sort=created&limit=1").await.json();
    assert_eq!(rows["items"], json!([{ "id": task.to_string(), "status": "queued" }]));
    assert!(rows["next_cursor"].is_string());
    let rows: Value = fake.get("/api/v1/workers?fields=id").await.json();
    assert_eq!(rows, json!({ "items": [{ "id": "w1" }] }));
    let rows: Value = fake.get("/api/v1/jobs?fields=status").await.json();
    assert_eq!(rows, json!({ "items": [{ "status": "queued" }] }));
    for path in ["tasks", "jobs", "workers"] {
        let answer = fake.get(&format!("/api/v1/{path}?fields=id,statsu")).await;
        assert!(answer.refused(400, "invalid").contains("did you mean status?"), "{path}");
    }
}

#[tokio::test]
async fn the_paths_of_the_first_system_answer_as_those_of_this_one() {
    let fake = Fake::start().await;
    let made = fake.post("/api/tasks", r#"{"image":"busybox"}"#).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let task: dto::Task = made.json();
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let both = [
        (format!("/api/tasks/{}", task.id), format!("/api/v1/tasks/{}", task.id)),
        ("/api/tasks".into(), "/api/v1/tasks".into()),
        ("/api/workers".into(), "/api/v1/workers".into()),
        ("/api/workers/w1".into(), "/api/v1/workers/w1".into()),
        ("/api/files".into(), "/api/v1/files".into()),
    ];
    for (old, new) in both {
        let (old, new): (Value, Value) = (fake.get(&old).await.json(), fake.get(&new).await.json());
        assert_eq!(old, new);
    }
    let request = Request::delete(format!("/api/tasks/{}", task.id)).body(Body::empty()).unwrap();
    assert_eq!(fake.ask(request).await.json::<dto::Task>().status, "cancelled");
}
