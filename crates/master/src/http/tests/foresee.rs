//! What would become of a job.

use super::explain::with_strategy;
use super::*;
use cloudai_core::testing::cores;
use serde_json::{Value, json};

#[tokio::test]
async fn tasks_of_other_jobs_are_counted_and_what_is_held_is_told() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(1))).await;
    with_strategy(&fake, "greedy").await;
    let job = r#"{"name": "one", "image": "a", "cpu_cores": 1, "estimate_s": 10}"#;
    let plan = format!(r#"{{"tasks": [{job}]}}"#);
    let foreseen = async || -> Value { fake.post("/api/v1/jobs?dry_run=true", &plan).await.json() };
    let before = foreseen().await;
    assert_eq!((&before["ends_in_s"], &before["not_counted"]["held"]), (&json!(10.0), &json!(0)), "{before:#}");
    for other in [
        r#"{"hold": true, "tasks": [{"name": "held", "image": "a", "array": 5}]}"#,
        r#"{"defaults": {"image": "a"}, "tasks": [
            {"name": "a", "estimate_s": 100}, {"name": "b", "needs": ["a"], "estimate_s": 50}]}"#,
    ] {
        assert_eq!(fake.post("/api/v1/jobs", other).await.status, 201);
    }
    assert_eq!(fake.post("/api/v1/tasks", r#"{"image": "a", "hold": true}"#).await.status, 201);
    let after = foreseen().await;
    assert_eq!((&after["ends_in_s"], &after["not_counted"]["held"]), (&json!(160.0), &json!(6)), "{after:#}");
}

#[tokio::test]
async fn a_job_is_foreseen_and_what_never_could_run_is_told_and_not_refused() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    with_strategy(&fake, "greedy").await;
    let job = r#"{"defaults": {"image": "a", "cpu_cores": 1}, "idempotency_key": "k", "tasks": [
        {"name": "split", "estimate_s": 10, "inputs": [{"from": "BLOB", "path": "/in"}]},
        {"name": "map", "needs": ["split"], "array": 8, "estimate_s": 20},
        {"name": "large", "cpu_cores": 64}]}"#;
    let job = job.replace("BLOB", &format!("blob:{}", "0".repeat(64)));
    let answer = fake.post("/api/v1/jobs?dry_run=true", &job).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told: Value = answer.json();
    let part = |number: usize, field: &str| told["parts"][number][field].clone();
    assert_eq!((&told["tasks"], &told["levels"], &told["ends_in_s"]), (&json!(10), &json!(2), &Value::Null));
    assert_eq!((part(1, "first_start_s"), part(1, "last_end_s")), (json!(10.0), json!(50.0)), "{told:#}");
    assert_eq!((part(1, "workers_able"), part(1, "workers_now"), part(1, "on")), (json!(1), json!(1), json!(["w1"])));
    assert_eq!((part(2, "workers_able"), part(2, "first_start_s")), (json!(0), Value::Null));
    assert!(part(2, "never").as_str().unwrap().contains("the largest worker offers"), "{told:#}");
    assert!(told["assumed"].as_str().unwrap().contains("greedy places"));
    let listed: Value = fake.get("/api/v1/jobs").await.json();
    assert_eq!(listed["items"], json!([]));
    let wrong = fake.post("/api/v1/jobs?dry_run=true", r#"{"tasks": [{"name": "a", "imag": "a"}]}"#).await;
    assert_eq!(wrong.status, 400);
}
