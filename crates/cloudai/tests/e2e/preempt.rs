//! More important tasks that take the place of others, where an operator wants that.

use crate::cluster::{Plan, fake_worker};
use serde_json::{Value, json};

/// A task that asks for all cores of a worker and runs so long.
fn task(priority: i32, duration: &str) -> Value {
    json!({"image": "fake:x", "cpu_cores": 2, "memory_gb": 0.01, "kill_after_s": 1, "priority": priority,
        "env": {"FAKE_DURATION_MS": duration}})
}

#[tokio::test]
async fn a_task_that_made_room_for_a_more_important_one_says_so_and_completes_later() {
    let cluster = Plan::new().worker(fake_worker("w1")).start().await;
    let wrong = cluster.run(&["strategy", "set", "ai", "--knob", "preemption=201"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("a whole number from 0 to 200"), "{wrong:?}");
    let set = cluster.run(&["strategy", "set", "ai", "--knob", "preemption=10"]).await;
    assert_eq!(set.code, 0, "{set:?}");

    let low = cluster.rest.submit(task(0, "5000")).await;
    cluster.rest.running(&low).await;
    // Not important enough.
    let equal = cluster.rest.submit(task(9, "0")).await;
    let urgent = cluster.rest.submit(task(80, "500")).await;
    let made_room = |task: &Value| task["attempts"][0]["reason"] == "preempted";
    let shown = cluster.rest.task_until(&low, "makes room", made_room).await;
    assert_eq!(shown["attempts"][0]["status"], "cancelled", "{shown:#}");
    assert_eq!(cluster.rest.completed(&urgent).await["attempt"], 1);
    cluster.rest.completed(&equal).await;
    let last = cluster.rest.ended(&low).await;
    assert_eq!((last["status"].as_str(), last["attempt"].as_u64()), (Some("completed"), Some(2)), "{last:#}");

    let info = cluster.run(&["task", "info", &low]).await;
    let said = format!("task {urgent} of priority 80 took its place");
    assert!(info.out.contains("preempted") && info.out.contains(&said), "{info:?}");
}
