//! Templates: kept by their versions, filled, and what comes of them.

use super::*;
use crate::templates::MAX_TEMPLATE;

const PATH: &str = "/api/v1/templates/train";
const TRAIN: &str = r#"{
    "description": "Trains.",
    "params": {"lr": {"type": "number", "min": 0}, "tag": {"type": "text", "default": "v1"}},
    "task": {"image": "train:${param.tag}", "args": ["--lr=${param.lr}"], "labels": {"team": "a"}}
}"#;

async fn put(fake: &Fake, path: &str, body: &str) -> Answer {
    fake.ask(json(Method::PUT, path, body)).await
}

async fn delete(fake: &Fake, path: &str) -> Answer {
    fake.ask(Request::delete(path).body(Body::empty()).unwrap()).await
}

/// What a document is answered with when it is put, as status and version.
async fn version(fake: &Fake, body: &str) -> (u16, u32) {
    let answer = put(fake, PATH, body).await;
    (answer.status.as_u16(), answer.json::<dto::Template>().version)
}

#[tokio::test]
async fn a_template_is_kept_by_its_versions_listed_shown_and_removed() {
    let fake = Fake::start().await;
    assert_eq!(version(&fake, TRAIN).await, (201, 1));
    assert_eq!(version(&fake, TRAIN).await, (200, 1));
    assert_eq!(
        version(&fake, r#"{"description": "Two.", "job": {"tasks": [{"name": "a", "image": "b"}]}}"#).await,
        (201, 2)
    );
    let list: dto::List<dto::Template> = fake.get("/api/v1/templates").await.json();
    let latest = &list.items[0];
    assert_eq!((list.items.len(), latest.name.as_str(), latest.version), (1, "train", 2));
    assert_eq!((latest.kind.as_str(), latest.params.len(), latest.document.is_none()), ("job", 0, true));
    let first: dto::Template = fake.get(&format!("{PATH}?version=1")).await.json();
    assert_eq!((first.kind.as_str(), first.description.as_deref()), ("task", Some("Trains.")));
    assert_eq!(first.params, ["lr", "tag"]);
    assert_eq!(first.versions.iter().map(|version| version.version).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(first.document.unwrap(), serde_json::from_str::<serde_json::Value>(TRAIN).unwrap());
    let absent = fake.get(&format!("{PATH}?version=7")).await;
    assert!(absent.refused(404, "not_found").contains("no version 7: it has 1 to 2"));
    assert_eq!(delete(&fake, PATH).await.status, 204);
    delete(&fake, PATH).await.refused(404, "not_found");
    fake.get(PATH).await.refused(404, "not_found");
}

#[tokio::test]
async fn what_is_wrong_with_a_template_is_told_before_it_is_kept() {
    let fake = Fake::start().await;
    let params = r#""params": {"a": {"type": "text"}}"#;
    let text = "x".repeat(MAX_TEMPLATE);
    let long = format!(r#"{{{params}, "task": {{"image": "${{param.a}}", "args": ["{text}"]}}}}"#);
    let rows = [
        (r#"{"task": {"image": "${param.a}"}}"#, 400, Some("task.image")),
        (r#"{"task": {"image": "a", "cpu_cores": 0}}"#, 400, Some("task.cpu_cores")),
        (r#"{"name": "other", "task": {"image": "a"}}"#, 400, Some("name")),
        (&long, 413, None),
    ];
    for (body, status, path) in rows {
        let problem = put(&fake, PATH, body).await.problem();
        assert_eq!((problem.status, problem.errors.first().map(|error| error.path.as_str())), (status, path));
    }
    assert!(fake.get("/api/v1/templates").await.json::<dto::List<dto::Template>>().items.is_empty());
    put(&fake, "/api/v1/templates/a%20b", r#"{"task": {"image": "a"}}"#).await.refused(400, "invalid");
}

#[tokio::test]
async fn a_run_fills_the_template_and_answers_with_the_task_that_says_where_it_comes_from() {
    let fake = Fake::start().await;
    put(&fake, PATH, TRAIN).await;
    let run = async |body: &str| fake.post(&format!("{PATH}/run"), body).await;
    for (body, path) in [
        ("{}", "params.lr"),
        (r#"{"params": {"lr": -1}}"#, "params.lr"),
        (r#"{"params": {"lr": 1, "lrr": 2}}"#, "params.lrr"),
        (r#"{"params": {"lr": 1, "tag": "A B"}}"#, "image"),
        (r#"{"parms": {}}"#, "parms"),
    ] {
        let problem = run(body).await.problem();
        assert_eq!((problem.status, problem.errors[0].path.as_str()), (400, path), "{body}");
    }
    let answer = run(r#"{"params": {"lr": "0.5", "tag": "v2"}}"#).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let task: dto::Task = answer.json();
    assert_eq!((task.image.as_str(), &task.spec.as_ref().unwrap()["args"][0]), ("train:v2", &"--lr=0.5".into()));
    let labels = [("cloudai.template", "train"), ("cloudai.template.version", "1"), ("team", "a")];
    assert_eq!(task.labels, BTreeMap::from(labels.map(|(name, value)| (name.to_owned(), value.to_owned()))));
    assert!(answer.headers["location"].to_str().unwrap().ends_with(&task.id));
    let absent = fake.post(&format!("{PATH}/run?version=2"), r#"{"params": {"lr": 1}}"#).await;
    assert!(absent.refused(404, "not_found").contains("no version 2: it has 1"));
    fake.post("/api/v1/templates/absent/run", "").await.refused(404, "not_found");
}

#[tokio::test]
async fn a_run_that_is_repeated_under_its_key_makes_nothing_new() {
    let fake = Fake::start().await;
    put(&fake, PATH, TRAIN).await;
    let run = async |lr: &str| {
        let body = format!(r#"{{"params": {{"lr": {lr}}}}}"#);
        let mut request = json(Method::POST, &format!("{PATH}/run"), &body);
        request.headers_mut().insert("idempotency-key", "k".parse().unwrap());
        fake.ask(request).await
    };
    let (first, again, other) = (run("1").await, run("1").await, run("2").await);
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!(first.json::<dto::Task>().id, again.json::<dto::Task>().id);
    other.refused(409, "conflict");
}

#[tokio::test]
async fn what_names_files_of_somebodys_machine_is_kept_and_run_by_the_command_line_alone() {
    let fake = Fake::start().await;
    let template = r#"{"task": {"image": "a", "inputs": [{"from": "./data", "path": "/d"}], "workdir": "src"}}"#;
    assert_eq!(put(&fake, PATH, template).await.status, 201);
    let refused = fake.post(&format!("{PATH}/run"), "{}").await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    let errors = refused.problem().errors;
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["inputs[0].from", "workdir"]);
    assert!(errors[0].problem.contains("cloudai template run train"), "{}", errors[0].problem);
    let wrong = r#"{"task": {"image": "a", "cpu_cores": 0, "workdir": "src"}}"#;
    let problem = put(&fake, PATH, wrong).await.problem();
    assert_eq!(problem.errors.iter().map(|error| error.path.as_str()).collect::<Vec<_>>(), ["task.cpu_cores"]);
}
