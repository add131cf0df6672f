//! Task documents that are a job of one task, and arrays among tasks.

use super::*;
use cloudai_core::testing::cores;
use serde_json::{Value, json};

async fn submit(fake: &Fake, body: &Value) -> Value {
    let answer = fake.post("/api/v1/tasks", &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let task: Value = answer.json();
    assert_eq!(answer.headers["location"], format!("/api/v1/tasks/{}", task["id"].as_str().unwrap()));
    task
}

async fn get(fake: &Fake, path: &str) -> Value {
    let answer = fake.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// The ids of a list, page by page of so many.
async fn walk(fake: &Fake, query: &str, limit: usize) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(fake, &format!("/api/v1/tasks?limit={limit}&{query}{cursor}")).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit);
        ids.extend(items.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn a_task_that_waits_for_another_is_a_job_of_one_and_answered_as_a_task() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let first = submit(&fake, &json!({"image": "a"})).await;
    let second = json!({"image": "a", "name": "My second", "depends_on": [{"task": first["id"], "when": "any"}]});
    let second = submit(&fake, &second).await;
    assert_eq!((&second["status"], &second["phase"]), (&json!("queued"), &json!("waiting_dependencies")));
    assert_eq!((&second["name"], &second["array"]), (&json!("My second"), &Value::Null));
    let id = second["id"].as_str().unwrap();
    let found = get(&fake, &format!("/api/v1/tasks/{id}")).await;
    assert_eq!(found["job_id"], second["job_id"]);
    // It has no record; lists and answers show the end of its id all the same.
    let resolved = get(&fake, &format!("/api/v1/tasks/resolve?part={}", &id[id.len() - 8..])).await;
    assert_eq!((resolved["items"].as_array().map(Vec::len), &resolved["items"][0]["id"]), (Some(1), &json!(id)));
    let job = get(&fake, &format!("/api/v1/jobs/{}", second["job_id"].as_str().unwrap())).await;
    assert_eq!((&job["name"], &job["tasks"], &job["parts"][0]["id"]), (&json!("My second"), &json!(1), &second["id"]));
    let alone = submit(&fake, &json!({"image": "a", "depends_on": [], "array": null})).await;
    assert_eq!(alone["job_id"], Value::Null, "it asks for nothing that a task by itself is not");
}

#[tokio::test]
async fn an_array_is_submitted_once_under_its_key_and_cancelled_by_its_id() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let array = json!({"image": "a", "array": "0-9%2", "idempotency_key": "k"});
    let made = submit(&fake, &array).await;
    assert_eq!((&made["array"]["total"], &made["array"]["queued"]), (&json!(10), &json!(10)));
    let again = fake.post("/api/v1/tasks", &array.to_string()).await;
    assert_eq!((again.status.as_u16(), &again.json::<Value>()["id"]), (200, &made["id"]));
    let other = json!({"image": "b", "array": "0-9%2", "idempotency_key": "k"});
    fake.post("/api/v1/tasks", &other.to_string()).await.refused(409, "conflict");
    let path = format!("/api/v1/tasks/{}", made["id"].as_str().unwrap());
    assert_eq!(get(&fake, &path).await["array"]["total"], 10);
    let cancelled = fake.post(&format!("{path}/cancel"), "").await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text());
    let ended = get(&fake, &format!("{path}?wait_s=10")).await;
    assert_eq!((&ended["status"], &ended["array"]["cancelled"]), (&json!("cancelled"), &json!(10)), "{ended:#}");
    assert_eq!(fake.post(&format!("{path}/cancel"), "").await.status, 200);
    fake.get("/api/v1/tasks/task-01ARZ3NDEKTSV4RRFFQ69G5FAV").await.refused(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_with_such_a_document_is_told_by_its_own_places() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let rows = [
        (json!({"image": "a", "array": {}, "cpu": 1}), 400, vec!["cpu", "array"]),
        (json!({"image": "a", "depends_on": ["other"]}), 400, vec!["depends_on[0]"]),
        (json!({"image": "a", "array": 3, "inputs": [{"from": "task:x", "path": "/x"}]}), 400, vec!["inputs[0].from"]),
        (json!({"image": "a", "array": 3, "cpu_cores": 64}), 422, vec![]),
        (json!({"image": "a", "depends_on": ["task-01ARZ3NDEKTSV4RRFFQ69G5FAV"]}), 404, vec![]),
        (json!({"template": "t", "image": "a"}), 400, vec!["image"]),
        (json!({"template": "t"}), 404, vec![]),
    ];
    for (body, status, paths) in rows {
        let answer = fake.post("/api/v1/tasks", &body.to_string()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let problem = answer.problem();
        let told: Vec<&str> = problem.errors.iter().map(|error| error.path.as_str()).collect();
        assert!(paths.iter().all(|path| told.contains(path)) && paths.len() == told.len(), "{body}: {told:?}");
    }
    let batch = json!({"tasks": [{"image": "a"}, {"image": "a", "array": 3}]});
    let problem = fake.post("/api/v1/tasks/batch", &batch.to_string()).await.problem();
    assert_eq!(problem.errors[0].path, "tasks[1].array");
    assert!(problem.errors[0].problem.contains("submitted by itself"), "{}", problem.errors[0].problem);
    assert!(walk(&fake, "", 10).await.is_empty(), "nothing was accepted");
}

#[tokio::test]
async fn a_document_that_names_a_template_is_what_that_makes() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let template = json!({"params": {"n": {"type": "integer"}}, "task": {"image": "a", "array": "${param.n}"}});
    let put = fake.ask(json(Method::PUT, "/api/v1/templates/sweep", &template.to_string())).await;
    assert_eq!(put.status, 201, "{}", put.text());
    let made = fake.post("/api/v1/tasks", &json!({"template": "sweep", "params": {"n": 7}}).to_string()).await;
    let job: Value = made.json();
    assert_eq!((made.status.as_u16(), &job["tasks"]), (201, &json!(7)), "{job:#}");
    let wrong = fake.post("/api/v1/tasks", &json!({"template": "sweep", "params": {"n": "x"}}).to_string()).await;
    assert_eq!(wrong.problem().errors[0].path, "params.n");
}

#[tokio::test]
async fn an_array_is_one_row_among_tasks_in_the_order_of_their_submission() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let mut ids = Vec::new();
    for body in [
        json!({"image": "a", "name": "train-1"}),
        json!({"image": "a", "name": "train-2", "array": 3}),
        json!({"image": "a", "name": "other"}),
        json!({"image": "a", "name": "train-3", "array": 4, "hold": true}),
        json!({"image": "a", "name": "train-4"}),
    ] {
        ids.push(submit(&fake, &body).await["id"].as_str().unwrap().to_owned());
    }
    let id = |at: usize| ids[at].clone();
    let newest: Vec<_> = ids.iter().rev().cloned().collect();
    for limit in [1, 2, 3, 100] {
        assert_eq!(walk(&fake, "", limit).await, newest, "{limit}");
        assert_eq!(walk(&fake, "sort=created", limit).await, ids, "{limit}");
        assert_eq!(walk(&fake, "name=train-&sort=created", limit).await, [id(0), id(1), id(3), id(4)], "{limit}");
        assert!(walk(&fake, "status=running", limit).await.is_empty());
    }
    let expanded = walk(&fake, "expand=true&name=train-2", 2).await;
    let elements: Vec<_> = (0..3).rev().map(|index| format!("{}.{index}", id(1))).collect();
    assert_eq!(expanded, elements);
    let held = get(&fake, "/api/v1/tasks?name=train-3").await;
    assert_eq!((&held["items"][0]["phase"], &held["items"][0]["array"]["total"]), (&json!("held"), &json!(4)));
    let part = &id(1)[20..];
    let found = get(&fake, &format!("/api/v1/tasks/resolve?part={part}")).await;
    assert!(found["items"].as_array().unwrap().iter().any(|task| task["id"] == ids[1]), "{found:#}");
    // What has ended is read from the store, and stands where it stood.
    for at in [1, 3] {
        let cancelled = fake.post(&format!("/api/v1/tasks/{}/cancel", id(at)), "").await;
        assert_eq!(cancelled.status, 202, "{}", cancelled.text());
        get(&fake, &format!("/api/v1/tasks/{}?wait_s=10", id(at))).await;
    }
    for limit in [1, 2, 3, 100] {
        assert_eq!(walk(&fake, "", limit).await, newest, "{limit}");
        assert_eq!(walk(&fake, "sort=created", limit).await, ids, "{limit}");
        assert_eq!(walk(&fake, "status=cancelled", limit).await, [id(3), id(1)], "{limit}");
        assert!(walk(&fake, "status=failed,completed", limit).await.is_empty());
        assert_eq!(walk(&fake, "status=cancelled&sort=created&name=train-3", limit).await, [id(3)], "{limit}");
    }
}
