//! What attempts took, and what tasks of a name should ask for by it.

use super::*;
use cloudai_core::resources::MIB;
use cloudai_core::task::Used;
use cloudai_core::testing::cores;
use dto::advice::{Advice, Spread};
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;

/// Runs a task of this name with two cores and a GiB for ten seconds, of which it takes half a core and so much memory.
async fn ran(fake: &Fake, name: &str, memory: u64) -> TaskId {
    let body = format!(r#"{{"image":"a","name":"{name}","cpu_cores":2,"memory_gb":1}}"#);
    let id: TaskId = fake.post("/api/v1/tasks", &body).await.json::<dto::Task>().id.parse().unwrap();
    let used = Used { peak_memory: Some(memory), cpu: Some(S(5)), pulled: Some(S(3)) };
    let outcome = Outcome { run: Some(S(10)), used, ..Outcome::exit(0) };
    let end = |cluster: &mut TestCluster| {
        cluster.now = cluster.now + S(2);
        let attempt = cluster.place(id, "w1");
        cluster.end(attempt, outcome)
    };
    fake.cluster(end).await.unwrap();
    id
}

#[tokio::test]
async fn an_attempt_tells_what_it_took_where_that_is_known() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    let id = ran(&fake, "a", MIB).await;
    let task: serde_json::Value = fake.get(&format!("/api/v1/tasks/{id}")).await.json();
    let expected =
        serde_json::json!({"peak_memory_bytes": MIB, "cpu_s": 5.0, "queue_s": 2.0, "pull_s": 3.0, "run_s": 10.0});
    assert_eq!(task["attempts"][0]["usage"], expected);
    let runs = fake.task().await;
    fake.cluster(|cluster| cluster.place(runs, "w1")).await;
    let task: serde_json::Value = fake.get(&format!("/api/v1/tasks/{runs}")).await.json();
    assert_eq!(task["attempts"][0]["usage"], serde_json::json!({"queue_s": 0.0}));
}

#[tokio::test]
async fn what_tasks_of_a_name_should_ask_for_is_told_name_by_name() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(4))).await;
    for memory in [900, 200, 200, 200, 200, 100] {
        ran(&fake, "train", memory * MIB).await;
    }
    ran(&fake, "train-x", MIB).await;
    ran(&fake, "other", MIB).await;
    let advice: Advice = fake.get("/api/v1/advice?name_prefix=train&quantile=0.8").await.json();
    assert_eq!((advice.quantile, advice.list.next_cursor), (0.8, None));
    let names: Vec<_> = advice.list.items.iter().map(|of| (of.name.as_str(), of.attempts, of.measured)).collect();
    assert_eq!(names, [("train", 6, 6), ("train-x", 1, 1)]);
    let train = &advice.list.items[0];
    assert_eq!((train.requested.cpu_cores, train.requested.memory_gb), (2.0, 1.0));
    let memory = Spread { p50: 200 * MIB, high: 200 * MIB, max: 900 * MIB };
    assert_eq!(train.peak_memory_bytes, Some(memory));
    assert_eq!(train.cpu_cores, Some(Spread { p50: 0.5, high: 0.5, max: 0.5 }));
    assert_eq!(train.run_s, Some(Spread { p50: 10.0, high: 10.0, max: 10.0 }));
    assert_eq!((train.wasted.cpu, train.oom_killed, train.cpu_bound), (Some(0.75), 0, false));
    let proposed = train.proposed.as_ref().unwrap();
    assert_eq!((proposed.cpu_cores, proposed.memory_gb, proposed.timeout_s), (0.5, 0.234_375, Some(20)));
    assert_eq!(proposed.flags, "--mem 240m --cpus 0.5 --timeout 20s");
    assert_eq!(advice.list.items[1].proposed, None, "one is too few");
    let advice: Advice = fake.get("/api/v1/advice?name_prefix=train&limit=5").await.json();
    let train = &advice.list.items[0];
    assert_eq!((advice.quantile, train.attempts), (0.95, 5));
    assert_eq!(train.peak_memory_bytes.unwrap().max, 200 * MIB, "the latest count");
    let advice: Advice = fake.get("/api/v1/advice?name_prefix=nobody").await.json();
    assert!(advice.list.items.is_empty());
}

#[tokio::test]
async fn advice_without_a_name_or_with_a_wrong_share_is_refused() {
    let fake = Fake::start().await;
    for (query, part) in [
        ("", "name_prefix: is missing"),
        ("?name_prefix=a&quantile=95", "takes 0.5 to 1"),
        ("?name_prefix=a&limit=0", "from 1 to 1000"),
    ] {
        let said = fake.get(&format!("/api/v1/advice{query}")).await.refused(400, "invalid");
        assert!(said.contains(part), "{part}: {said}");
    }
}
