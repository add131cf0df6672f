//! The REST API as a client of another language sees it: paths, JSON, status codes.

use crate::process::{PATIENCE, until};
use reqwest::Method;
use serde_json::Value;
use std::time::Instant;

/// The words of tasks that ended.
const FINAL: [&str; 3] = ["completed", "failed", "cancelled"];

/// A client of one master.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    http: reqwest::Client,
    base: String,
}

/// An answer; `Null` for a body that is no JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
}

impl Answer {
    /// A text of the body.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_else(|| panic!("no text {field}: {self:?}"))
    }
}

impl Rest {
    pub(crate) fn new(address: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().tls_certs_only([]).no_proxy().timeout(PATIENCE * 2).build().unwrap();
        Self { http, base: format!("http://{address}") }
    }

    /// One request; fails when no whole answer comes.
    pub(crate) async fn try_ask(&self, method: &str, path: &str, body: Option<&Value>) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method.parse::<Method>().unwrap(), format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
        let bytes = response.bytes().await?;
        Ok(Answer { status, retry_after, body: serde_json::from_slice(&bytes).unwrap_or_default() })
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.try_ask(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"))
    }

    /// A `POST` of bytes that are said to be JSON.
    pub(crate) async fn post_bytes(&self, path: &str, bytes: Vec<u8>) -> Answer {
        self.post_as("application/json", path, bytes).await
    }

    /// A `POST` of bytes that are said to be of this type.
    pub(crate) async fn post_as(&self, kind: &str, path: &str, bytes: Vec<u8>) -> Answer {
        self.ask_as("POST", kind, path, bytes).await
    }

    /// A request with bytes that are said to be of this type.
    pub(crate) async fn ask_as(&self, method: &str, kind: &str, path: &str, bytes: Vec<u8>) -> Answer {
        let method = method.parse::<Method>().unwrap();
        let request = self.http.request(method, format!("{}{path}", self.base)).header("Content-Type", kind);
        let response = request.body(bytes).send().await.unwrap();
        let (status, retry_after) = (response.status().as_u16(), retry_after(&response));
        Answer { status, retry_after, body: response.json().await.unwrap_or_default() }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None).await;
        assert_eq!(answer.status, 200, "GET {path}: {answer:?}");
        answer.body
    }

    /// Submits a task, which must be accepted; answers its id.
    pub(crate) async fn submit(&self, document: Value) -> String {
        let answer = self.ask("POST", "/api/v1/tasks", Some(&document)).await;
        assert_eq!(answer.status, 201, "{document}: {answer:?}");
        answer.text("id").to_owned()
    }

    /// Submits a batch, which must be accepted; answers the ids.
    pub(crate) async fn submit_all(&self, documents: Vec<Value>) -> Vec<String> {
        let batch = serde_json::json!({ "tasks": documents });
        let answer = self.ask("POST", "/api/v1/tasks/batch", Some(&batch)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        ids(&answer.body)
    }

    pub(crate) async fn task(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/tasks/{id}")).await
    }

    /// Waits until a task ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let begin = Instant::now();
        loop {
            let task = self.get(&format!("/api/v1/tasks/{id}?wait_s=10")).await;
            if FINAL.contains(&task["status"].as_str().unwrap()) {
                return task;
            }
            assert!(begin.elapsed() < PATIENCE, "{id} does not end: {task:#}");
        }
    }

    /// Waits until a task ended, which must have completed in its first attempt.
    pub(crate) async fn completed(&self, id: &str) -> Value {
        let task = self.ended(id).await;
        assert_eq!((task["status"].as_str(), task["attempt"].as_u64()), (Some("completed"), Some(1)), "{task:#}");
        task
    }

    /// Waits until a task stands as it should.
    pub(crate) async fn task_until(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        until(&format!("{id} {what}"), async || {
            let task = self.task(id).await;
            assert!(begin.elapsed() < PATIENCE, "{id} is never {what}: {task:#}");
            is(&task).then_some(task)
        })
        .await
    }

    pub(crate) async fn running(&self, id: &str) -> Value {
        self.task_until(id, "running", |task| task["status"] == "running").await
    }

    /// The bytes that a task printed, of one stream or both.
    pub(crate) async fn log(&self, id: &str, query: &str) -> String {
        let url = format!("{}/api/v1/tasks/{id}/logs?format=raw{query}", self.base);
        let response = self.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned()
    }

    /// Waits until so many lines of a task's log have come.
    pub(crate) async fn lines(&self, id: &str, count: usize) -> Vec<String> {
        until(&format!("{id} has {count} lines"), async || {
            let lines: Vec<_> = self.log(id, "").await.lines().map(ToOwned::to_owned).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }

    /// Every task, page by page.
    pub(crate) async fn all_tasks(&self) -> Vec<Value> {
        let (mut tasks, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("/api/v1/tasks?limit=1000{cursor}")).await;
            tasks.extend(page["items"].as_array().unwrap().clone());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return tasks,
            }
        }
    }

    /// Waits until so many tasks have ended well.
    pub(crate) async fn completed_count(&self, count: u64) {
        let begin = Instant::now();
        until(&format!("{count} tasks complete"), async || {
            let tasks = self.get("/api/v1/cluster").await["tasks"].clone();
            assert!(begin.elapsed() < PATIENCE, "{count} tasks do not complete: {tasks}");
            (tasks["completed"].as_u64() >= Some(count)).then_some(())
        })
        .await;
    }
}

fn retry_after(response: &reqwest::Response) -> Option<u64> {
    response.headers().get("Retry-After")?.to_str().ok()?.parse().ok()
}

/// The ids of a list.
pub(crate) fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap_or_else(|| panic!("no list: {list}"));
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Status and reason of a task.
pub(crate) fn end(task: &Value) -> (&str, &str) {
    (task["status"].as_str().unwrap(), task["reason"].as_str().unwrap_or_default())
}

/// How many of a task's attempts count as its result.
pub(crate) fn accepted(task: &Value) -> usize {
    task["attempts"].as_array().unwrap().iter().filter(|attempt| attempt["accepted"] == true).count()
}
