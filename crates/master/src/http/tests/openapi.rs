//! The OpenAPI document: what is committed is what is made, it is valid, and real answers are as it says.

use super::routes::filled;
use super::*;
use crate::heartbeats::{Heard, Usage};
use crate::http::openapi::{plain, text};
use crate::http::routes as all_routes;
use crate::http::table::Access;
use crate::principal::Role;
use cloudai_core::event::Heartbeat;
use cloudai_core::ids::CommandSeq;
use cloudai_core::task::Step;
use cloudai_core::testing::{cores, worker_id};
use cloudai_core::time::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn document() -> Value {
    serde_json::from_str(&text(&all_routes())).unwrap()
}

/// Every operation with its path and method.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().clone();
        let path = path.clone();
        methods.into_iter().map(move |(method, operation)| (path.clone(), method, operation)).collect::<Vec<_>>()
    };
    paths.flat_map(of_path).collect()
}

/// What a reference leads to.
fn target<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    document.pointer(reference.strip_prefix('#')?)
}

#[test]
fn the_committed_document_is_what_the_routes_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let fresh = text(&all_routes());
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path, fresh).unwrap();
    } else {
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == fresh, "docs/openapi.json is older than the routes: run `make docs`");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/schemas/Task"), "{found:?}");
    let lost: Vec<_> = found.iter().filter(|reference| target(&document, reference).is_none()).collect();
    assert_eq!(lost, Vec::<&String>::new());
}

#[test]
fn every_route_is_in_it_once_with_all_that_an_operation_needs_and_no_other() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let known: BTreeSet<_> =
        all_routes().iter().map(|route| (plain(route.path), route.method.as_str().to_ascii_lowercase())).collect();
    let operations = operations(&document);
    let told: BTreeSet<_> = operations.iter().map(|(path, method, _)| (path.clone(), method.clone())).collect();
    assert_eq!(told, known);
    let names: BTreeSet<_> =
        operations.iter().map(|(.., operation)| operation["operationId"].clone().to_string()).collect();
    assert_eq!(names.len(), operations.len(), "two calls have one name");
    for (path, method, operation) in &operations {
        let at = format!("{method} {path}");
        let none = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&none);
        let of = |place: &str| -> BTreeSet<&str> {
            let there = parameters.iter().filter(|parameter| parameter["in"] == place);
            there.map(|parameter| parameter["name"].as_str().unwrap()).collect()
        };
        let in_path: BTreeSet<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        assert_eq!(of("path"), in_path, "{at}");
        assert_eq!(parameters.len(), of("path").len() + of("query").len() + of("header").len(), "{at}: one twice");
        assert!(parameters.iter().all(|parameter| parameter["in"] != "path" || parameter["required"] == true), "{at}");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{at}");
        let responses = operation["responses"].as_object().unwrap();
        // What goes well: of a link to sign in by it is that one is sent on.
        assert!(responses.keys().any(|status| status.starts_with(['1', '2', '3'])), "{at}");
        for (status, response) in responses {
            assert!(status == "default" || status.parse::<u16>().is_ok(), "{at}: {status}");
            assert!(
                response["description"].is_string() && response.get("content") != Some(&Value::Null),
                "{at}: {status}"
            );
        }
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)), "{name}");
    }
}

#[test]
fn who_may_make_a_call_is_what_the_table_of_routes_says() {
    let document = document();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(schemes.keys().collect::<Vec<_>>(), ["bearerAuth"]);
    assert_eq!((&schemes["bearerAuth"]["type"], &schemes["bearerAuth"]["scheme"]), (&json!("http"), &json!("bearer")));
    for route in all_routes() {
        let operation = &document["paths"][plain(route.path)][route.method.as_str().to_ascii_lowercase()];
        let (security, role) = match route.access {
            Access::Open => (json!([]), "open"),
            Access::Least(role) => (json!([{ "bearerAuth": [] }]), role.word()),
        };
        let told = (&operation["security"], operation["x-cloudai-role"].as_str());
        assert_eq!(told, (&security, Some(role)), "{} {}", route.method, route.path);
        let is_refused = operation["responses"].get("401").is_some();
        assert!(is_refused || route.access == Access::Open, "{} {}", route.method, route.path);
    }
}

#[tokio::test]
async fn every_parameter_that_a_call_takes_is_in_it_and_no_other() {
    let fake = Fake::start().await;
    let unknown = "z".repeat(60);
    for route in all_routes().into_iter().filter(|route| route.path.starts_with("/api/")) {
        let path = format!("{}?{unknown}=1", filled(route.path));
        let problem = fake.ask(json(route.method.clone(), &path, r#"{"image":"a"}"#)).await.problem();
        let said = problem.errors.iter().find(|error| error.path == unknown).unwrap();
        let taken: BTreeSet<&str> = match said.problem.rsplit_once("it takes ") {
            Some((_, "none")) => BTreeSet::new(),
            Some((_, names)) => names.split(", ").collect(),
            None => panic!("{path}: {}", said.problem),
        };
        assert_eq!(route.doc.query().collect::<BTreeSet<_>>(), taken, "{} {}", route.method, route.path);
    }
}

/// What is wrong with a value by a schema; every field of it must be one that the schema names.
fn wrong(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    let mut open = false;
    let mut found = check(document, schema, value, at, &mut (&mut names, &mut open));
    if let (Value::Object(fields), false) = (value, open) {
        let unnamed = fields.keys().filter(|name| !names.contains(*name));
        found.extend(unnamed.map(|name| format!("{at}.{name} is not in the schema")));
    }
    found
}

/// The names of fields that schemas of one value have, and whether there may be others.
type Named<'a> = (&'a mut BTreeSet<String>, &'a mut bool);

fn check(document: &Value, schema: &Value, value: &Value, at: &str, named: &mut Named<'_>) -> Vec<String> {
    let Some(schema) = schema.as_object() else { return vec![format!("{at}: {schema} is no schema")] };
    let mut found = Vec::new();
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        found.extend(check(document, target(document, reference).unwrap(), value, at, named));
    }
    for part in list(schema, "allOf") {
        found.extend(check(document, part, value, at, named));
    }
    for word in ["anyOf", "oneOf"] {
        let tried: Vec<_> = list(schema, word).map(|one| wrong(document, one, value, at)).collect();
        if let Some(best) = tried.iter().min_by_key(|wrong| wrong.len()) {
            found.extend(best.clone());
            *named.1 = true;
        }
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_of(kind, value)) {
        found.push(format!("{at}: {value} is none of {kinds:?}"));
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|words| !words.contains(value)) {
        found.push(format!("{at}: {value} is not allowed"));
    }
    if let (Some(number), Some(least)) = (value.as_f64(), schema.get("minimum").and_then(Value::as_f64)) {
        found.extend((number < least).then(|| format!("{at}: {number} is less than {least}")));
    }
    match value {
        Value::Array(items) => {
            let schema = schema.get("items").cloned().unwrap_or_else(|| json!({}));
            let each = items.iter().enumerate();
            found.extend(each.flat_map(|(number, item)| wrong(document, &schema, item, &format!("{at}[{number}]"))));
        }
        Value::Object(fields) => found.extend(check_fields(document, schema, fields, at, named)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found
}

fn check_fields(
    document: &Value,
    schema: &Map<String, Value>,
    fields: &Map<String, Value>,
    at: &str,
    named: &mut Named<'_>,
) -> Vec<String> {
    let mut found = Vec::new();
    for name in list(schema, "required").filter_map(Value::as_str) {
        found.extend((!fields.contains_key(name)).then(|| format!("{at}.{name} is missing")));
    }
    let known = schema.get("properties").and_then(Value::as_object);
    for (name, schema) in known.into_iter().flatten() {
        named.0.insert(name.clone());
        found.extend(
            fields.get(name).into_iter().flat_map(|field| wrong(document, schema, field, &format!("{at}.{name}"))),
        );
    }
    match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => {}
        Some(others) => {
            *named.1 = true;
            let others_of = fields.iter().filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
            found.extend(others_of.flat_map(|(name, field)| wrong(document, others, field, &format!("{at}.{name}"))));
        }
        // A schema that names nothing says nothing of what may be there.
        None if known.is_none() && !["$ref", "allOf"].iter().any(|word| schema.contains_key(*word)) => *named.1 = true,
        None => {}
    }
    found
}

fn list<'a>(schema: &'a Map<String, Value>, word: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(word).and_then(Value::as_array).into_iter().flatten()
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// Holds an answer against what the document says of its call, status and type.
fn hold(document: &Value, (method, path): (&str, &str), answer: &Answer) {
    let responses = &document["paths"][path][method]["responses"];
    let status = answer.status.as_u16().to_string();
    let response = responses.get(&status).unwrap_or_else(|| panic!("{method} {path}: {status} is not told"));
    let kind = answer.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
    let schema = &response["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path}: {status} as {kind} is not told");
    let found = wrong(document, schema, &answer.json(), "");
    assert!(found.is_empty(), "{method} {path} {status}:\n{}\n{}", found.join("\n"), answer.text());
}

/// A cluster with something of each kind: tasks that wait, run and ended, a job with an array, a worker that was heard.
async fn busy() -> (Fake, TaskId, String) {
    let fake = Fake::start().await;
    let session = fake.cluster(|cluster| cluster.worker("w1", cores(8))).await;
    let ended = fake.task().await;
    let attempt = fake.cluster(|cluster| cluster.place(ended, "w1")).await;
    fake.cluster(|cluster| cluster.step(attempt, Step::Running)).await.unwrap();
    fake.end(
        attempt,
        0,
        vec![OutputFile { path: "a.txt".into(), size: 1, sha256: cloudai_core::sha256::Sha256([0; 32]) }],
    )
    .await;
    let runs = fake.task().await;
    let attempt = fake.cluster(|cluster| cluster.place(runs, "w1")).await;
    fake.cluster(|cluster| cluster.step(attempt, Step::Running)).await.unwrap();
    let large = r#"{"image":"a","cpu_cores":64,"allow_pending":true,"labels":{"team":"a"}}"#;
    assert_eq!(fake.post("/api/v1/tasks", large).await.status, 201);
    let file = r#"{"name":"j","tasks":[{"name":"a","image":"b","array":3},{"name":"c","image":"b","needs":"a"}]}"#;
    let job: dto::Job = fake.post("/api/v1/jobs", file).await.json();
    let heartbeat = Heartbeat {
        worker: worker_id("w1"),
        session,
        seen: CommandSeq(0),
        held: Vec::new(),
        draining: false,
        unfit: None,
        images: None,
    };
    let usage = Usage { cpu: 12.5, memory: 25.0, gpu: 0.0, storage: 1.0 };
    let heard = Heard { at: Timestamp::from_millis(2_000_000), usage, details: BTreeMap::new() };
    fake.handle.shared.heartbeats.put(heartbeat, heard);
    (fake, ended, job.id)
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let (fake, task, job) = busy().await;
    let document = document();
    let put = |path, body: &str| fake.ask(json(Method::PUT, path, body));
    put("/api/v1/templates/t", r#"{"params":{"n":{"type":"number"}},"task":{"image":"a","args":["${param.n}"]}}"#)
        .await;
    put("/api/v1/schedules/s", r#"{"cron":"@daily","task":{"image":"a"}}"#).await;
    fake.post("/api/v1/workers", r#"{"id":"w2"}"#).await;
    fake.post("/api/v1/workers/w2/cordon?reason=mended", "").await;
    let (task, job) = (task.to_string(), job.as_str());
    let calls = [
        "/health",
        "/telemetry",
        "/telemetry/{worker}",
        "/workers",
        "/api/v1/tasks",
        "/api/v1/tasks/{task}",
        "/api/v1/tasks/{task}/explain",
        "/api/v1/jobs",
        "/api/v1/jobs/{job}",
        "/api/v1/jobs/{job}/tasks",
        "/api/v1/files",
        "/api/v1/templates",
        "/api/v1/templates/t",
        "/api/v1/schedules",
        "/api/v1/schedules/s",
        "/api/v1/secrets",
        "/api/v1/registries",
        "/api/v1/workers",
        "/api/v1/workers/{worker}",
        "/api/v1/cluster",
        "/api/v1/cluster/join-token",
        "/api/v1/queue",
        "/api/v1/strategies",
        "/api/v1/strategies/predictions",
        "/api/v1/advice?name_prefix=a",
        "/api/v1/debug/state",
        "/api/v1/debug/events",
        "/api/openapi.json",
    ];
    for call in calls {
        let path = call.replace("{task}", &task).replace("{job}", job).replace("{worker}", "w1");
        let answer = fake.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let pattern = ["{task}", "{job}", "{worker}"].iter().fold(call.to_owned(), |path, id| path.replace(id, "{id}"));
        let pattern = pattern.replace("/templates/t", "/templates/{name}").replace("/schedules/s", "/schedules/{name}");
        hold(&document, ("get", pattern.split('?').next().unwrap()), &answer);
    }
    for (list, name) in [("tasks", "Task"), ("jobs", "Job"), ("workers", "Worker")] {
        let rows: Value = fake.get(&format!("/api/v1/{list}")).await.json();
        let schema = json!({ "$ref": format!("#/components/schemas/{name}") });
        assert!(!rows["items"].as_array().unwrap().is_empty(), "{list}");
        for row in rows["items"].as_array().unwrap() {
            assert_eq!(wrong(&document, &schema, row, list), Vec::<String>::new());
        }
    }
}

#[tokio::test]
async fn what_is_made_and_what_is_refused_is_as_the_document_says() {
    let (fake, task, job) = busy().await;
    let document = document();
    let (one, of_one) = (format!("/api/v1/tasks/{task}"), "/api/v1/tasks/{id}");
    let calls = [
        ("/api/v1/tasks".to_owned(), "/api/v1/tasks".to_owned(), r#"{"image":"a"}"#),
        ("/api/v1/tasks".into(), "/api/v1/tasks".into(), r#"{"image":"a","array":2}"#),
        ("/api/v1/tasks".into(), "/api/v1/tasks".into(), r#"{"image":7,"wombat":1}"#),
        ("/api/v1/tasks".into(), "/api/v1/tasks".into(), r#"{"image":"a","cpu_cores":64}"#),
        ("/api/v1/tasks/batch".into(), "/api/v1/tasks/batch".into(), r#"{"tasks":[{"image":"a"}]}"#),
        (format!("{one}/cancel"), format!("{of_one}/cancel"), "{}"),
        (format!("{one}/hold"), format!("{of_one}/hold"), "{}"),
        (format!("{one}/retry"), format!("{of_one}/retry"), "{}"),
        ("/api/v1/jobs".into(), "/api/v1/jobs".into(), r#"{"tasks":[{"name":"a","image":"b"}]}"#),
        ("/api/v1/jobs?dry_run=true".into(), "/api/v1/jobs".into(), r#"{"tasks":[{"name":"a","image":"b"}]}"#),
        (format!("/api/v1/jobs/{job}/cancel"), "/api/v1/jobs/{id}/cancel".into(), "{}"),
        ("/api/v1/workers".into(), "/api/v1/workers".into(), r#"{"id":"w9"}"#),
        ("/api/v1/workers/w9/cordon".into(), "/api/v1/workers/{id}/cordon".into(), "{}"),
        ("/api/v1/workers/none/cordon".into(), "/api/v1/workers/{id}/cordon".into(), "{}"),
        ("/api/v1/debug/reconcile".into(), "/api/v1/debug/reconcile".into(), "{}"),
    ];
    for (path, pattern, body) in calls {
        hold(&document, ("post", &pattern), &fake.post(&path, body).await);
    }
    for (path, pattern) in [("/api/v1/tasks/7", of_one), ("/api/v1/tasks?limit=0", "/api/v1/tasks")] {
        hold(&document, ("get", pattern), &fake.get(path).await);
    }
}

#[tokio::test]
async fn answers_about_users_are_as_the_document_says() {
    let fake = Fake::secured(AuthRules::default()).await;
    let root = fake.user("root", Role::Admin).await;
    let document = document();
    let held = async |method: Method, (path, pattern): (&str, &str), body: &str, status: u16| {
        let answer = fake.call(&root, method.clone(), path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        let method = method.as_str().to_ascii_lowercase();
        hold(&document, (method.as_str(), pattern), &answer);
    };
    let same = |path: &'static str| (path, path);
    let login = |password: &str| json!({ "user": "root", "password": password }).to_string();
    let (good, bad) = (login(auth::PASSWORD), login("another one"));
    held(Method::POST, same("/api/v1/auth/login"), &good, 200).await;
    held(Method::POST, same("/api/v1/auth/login"), &bad, 401).await;
    held(Method::POST, same("/api/auth/register"), r#"{"user": "eve", "password": "long enough"}"#, 403).await;
    held(Method::GET, same("/api/v1/auth/whoami"), "", 200).await;
    let (users, of_user) = ("/api/v1/users", "/api/v1/users/{name}");
    held(Method::POST, same(users), r#"{"name": "ann", "role": "user"}"#, 201).await;
    held(Method::POST, same(users), r#"{"name": "ann", "role": "user"}"#, 409).await;
    held(Method::POST, same(users), r#"{"name": "-", "role": "king"}"#, 400).await;
    held(Method::GET, same(users), "", 200).await;
    held(Method::GET, ("/api/v1/users/ann", of_user), "", 200).await;
    held(Method::PATCH, ("/api/v1/users/ann", of_user), r#"{"disabled": true}"#, 200).await;
    held(Method::DELETE, ("/api/v1/users/bob", of_user), "", 404).await;
    let project = ("/api/v1/projects/team", "/api/v1/projects/{name}");
    held(Method::PUT, project, r#"{"members": ["ann"]}"#, 201).await;
    held(Method::PUT, project, r#"{"members": []}"#, 200).await;
    held(Method::GET, same("/api/v1/projects"), "", 200).await;
    held(Method::POST, same("/api/v1/keys"), r#"{"name": "ci", "role": "viewer", "expires_in_s": 60}"#, 201).await;
    held(Method::GET, same("/api/v1/keys"), "", 200).await;
    held(Method::DELETE, ("/api/v1/keys/none", "/api/v1/keys/{id}"), "", 404).await;
    held(Method::GET, same("/api/v1/join-tokens"), "", 409).await;
    let stranger = fake.get("/api/v1/tasks").await;
    hold(&document, ("get", "/api/v1/tasks"), &stranger);
    let link = fake.get("/login/none").await;
    let told = &document["paths"]["/login/{code}"]["get"]["responses"]["410"]["content"]["text/html"];
    assert!(link.status == 410 && told.is_object(), "{}", link.text());
}

#[test]
fn the_check_finds_what_is_not_as_the_schema_says() {
    let document = json!({ "components": { "schemas": { "Part": {
        "type": "object", "required": ["a"], "properties": { "a": { "type": ["string", "null"] } } } } } });
    let part = json!({ "$ref": "#/components/schemas/Part" });
    let numbers = json!({ "type": "array", "items": { "type": "integer", "minimum": 0 } });
    let more = json!({ "type": "object", "properties": { "b": numbers } });
    let both = json!({ "allOf": [part, more] });
    let map = json!({ "type": "object", "additionalProperties": { "type": "number" } });
    for (schema, good) in [(&part, json!({"a": null})), (&both, json!({"a": "x", "b": [1]})), (&map, json!({"x": 1.5}))]
    {
        assert_eq!(wrong(&document, schema, &good, ""), Vec::<String>::new(), "{good}");
    }
    let rows = [
        (&part, json!({})),
        (&part, json!({"a": 1})),
        (&part, json!({"a": "x", "c": 1})),
        (&both, json!({"a": "x", "b": [-1]})),
        (&both, json!({"a": "x", "c": 1})),
        (&map, json!({"x": "y"})),
    ];
    for (schema, bad) in rows {
        assert_eq!(wrong(&document, schema, &bad, "").len(), 1, "{bad}");
    }
}

#[tokio::test]
async fn the_document_and_the_page_are_served_to_everybody() {
    let fake = Fake::start().await;
    let answer = fake.get("/api/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, text(&all_routes())));
    let page = fake.get("/api/docs").await;
    assert_eq!(
        (page.status.as_u16(), &page.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .starts_with("default-src 'none'; script-src 'sha256-")
    );
}
