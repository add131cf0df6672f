//! The reference's routes, to the letter.

use super::*;
use crate::heartbeats::{Heard, Usage};
use cloudai_core::event::Heartbeat;
use cloudai_core::ids::CommandSeq;
use cloudai_core::task::Step;
use cloudai_core::testing::{cores_and_gpus, worker_id};
use cloudai_core::time::Timestamp;
use serde_json::{Value, json};

/// A worker that runs a task of 2 cores, 4 GiB and a GPU, and was heard at 1731677400.
async fn busy() -> (Fake, TaskId) {
    let fake = Fake::start().await;
    let body = r#"{"image":"a","cpu_cores":2,"memory_gb":4,"gpu_cores":1}"#;
    let id: TaskId = fake.post("/api/v1/tasks", body).await.json::<dto::Task>().id.parse().unwrap();
    let session = fake
        .cluster(|cluster| {
            let session = cluster.worker("worker-1", cores_and_gpus(8, 1));
            let attempt = cluster.place(id, "worker-1");
            cluster.step(attempt, Step::Running).unwrap();
            session
        })
        .await;
    let heartbeat = Heartbeat {
        worker: worker_id("worker-1"),
        session,
        seen: CommandSeq(0),
        held: Vec::new(),
        draining: false,
        unfit: None,
        images: None,
    };
    let usage = Usage { cpu: 45.2, memory: 62.1, gpu: 78.3, storage: 10.0 };
    let heard = Heard { at: Timestamp::from_millis(1_731_677_400_999), usage, details: BTreeMap::new() };
    fake.handle.shared.heartbeats.put(heartbeat, heard);
    (fake, id)
}

#[tokio::test]
async fn telemetry_is_a_map_of_workers() {
    let (fake, id) = busy().await;
    let expected = json!({
        "worker_id": "worker-1",
        "cpu_usage": 45.2,
        "memory_usage": 62.1,
        "gpu_usage": 78.3,
        "running_tasks": [{
            "task_id": id.to_string(),
            "cpu_allocated": 2.0,
            "memory_allocated": 4096.0,
            "gpu_allocated": 1.0,
            "status": "running"
        }],
        "last_update": 1_731_677_400,
        "is_active": true
    });
    assert_eq!(fake.get("/telemetry").await.json::<Value>(), json!({ "worker-1": expected.clone() }));
    assert_eq!(fake.get("/telemetry/worker-1").await.json::<Value>(), expected);
    fake.get("/telemetry/worker-2").await.refused(404, "not_found");
}

#[tokio::test]
async fn workers_are_a_map_in_short() {
    let (fake, _) = busy().await;
    let expected = json!({ "worker-1": {
        "worker_id": "worker-1",
        "is_active": true,
        "running_tasks_count": 1,
        "last_update": 1_731_677_400
    }});
    assert_eq!(fake.get("/workers").await.json::<Value>(), expected);
}

#[tokio::test]
async fn health_has_the_references_five_fields() {
    let (fake, _) = busy().await;
    fake.post("/api/v1/workers", r#"{"id":"worker-2"}"#).await;
    let mut health: Value = fake.get("/health").await.json();
    assert!(health["time"].take().as_u64().is_some_and(|time| time > 1_700_000_000));
    let expected = json!({ "status": "healthy", "time": null, "active_clients": 0, "workers": 2, "active_workers": 1 });
    assert_eq!(health, expected);
}
