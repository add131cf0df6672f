//! What tasks took of their worker, and what the next should ask for by it.

use crate::cluster::{Cluster, fake_worker};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// A fifth of a second with two cores and a GiB, of which it takes so much.
fn hungry(name: &str, memory: u64) -> Value {
    let env = json!({"FAKE_DURATION_MS": 200, "FAKE_PULL_MS": 50, "FAKE_MEMORY_BYTES": memory, "FAKE_CPU_MS": 60});
    json!({"image": "fake:x", "name": name, "cpu_cores": 2, "memory_gb": 1, "env": env})
}

#[tokio::test]
async fn what_tasks_took_is_kept_and_says_what_the_next_should_ask_for() {
    let mut cluster = Cluster::of(fake_worker("w1").cpus(8.0)).await;
    let ids = cluster.rest.submit_all((0..6).map(|_| hungry("train", 100 * MIB)).collect()).await;
    cluster.rest.submit(hungry("train-once", MIB)).await;
    cluster.rest.completed_count(7).await;
    let task = cluster.rest.task(&ids[0]).await;
    let mut usage = task["attempts"][0]["usage"].clone();
    assert!(usage["queue_s"].take().as_f64().unwrap() >= 0.0, "{task:#}");
    let expected =
        json!({"peak_memory_bytes": 100 * MIB, "cpu_s": 0.06, "queue_s": null, "pull_s": 0.05, "run_s": 0.2});
    assert_eq!(usage, expected);
    let card = cluster.run(&["task", "info", &ids[0]]).await;
    let line = "100 MiB of 1 GiB memory at most, 0.06 CPU seconds (15 % of 2 cores), pulled in 0.0s, waited ";
    assert!(card.out.contains(line), "{}", card.out);

    let before = cluster.run(&["task", "advise", "train", "--json"]).await;
    let advice: Value = serde_json::from_str(&before.out).unwrap();
    let names: Vec<_> = advice["items"].as_array().unwrap().iter().map(|of| &of["name"]).collect();
    assert_eq!(names, ["train", "train-once"]);
    let train = &advice["items"][0];
    assert_eq!((train["attempts"].as_u64(), train["measured"].as_u64()), (Some(6), Some(6)), "{train:#}");
    assert_eq!(train["wasted"]["cpu"], json!(0.85), "{train:#}");
    let flags = "--mem 128m --cpus 0.3 --timeout 1s";
    assert_eq!(train["proposed"]["flags"], flags, "{train:#}");
    assert_eq!(advice["items"][1]["proposed"], Value::Null, "one is too few");
    let shown = cluster.run(&["task", "advise", "train"]).await;
    assert!(shown.out.contains(flags) && shown.out.contains("too few to advise"), "{}", shown.out);
    let nobody = cluster.run(&["task", "advise", "nobody"]).await;
    assert_eq!(nobody.code, 5, "{}", nobody.err);

    let words = ["task", "submit", "fake:x", "-o", "quiet"].into_iter().chain(flags.split(' ')).collect::<Vec<_>>();
    let next = cluster.run(&words).await;
    assert_eq!(next.code, 0, "{}", next.err);
    let next = cluster.rest.completed(next.out.trim()).await;
    assert_eq!(next["resources"]["cpu_cores"], json!(0.3), "{next:#}");
    cluster.stop_master().await;
    cluster.restart_master().await;
    assert_eq!(cluster.run(&["task", "advise", "train", "--json"]).await.out, before.out, "it is stored");
}

#[tokio::test]
async fn an_attempt_that_was_killed_for_its_memory_asks_for_more() {
    let cluster = Cluster::of(fake_worker("w1").cpus(8.0)).await;
    let mut killed = hungry("greedy", 1024 * MIB);
    killed["env"]["FAKE_OOM"] = "1".into();
    killed["env"]["FAKE_EXIT"] = 137.into();
    let ids = cluster.rest.submit_all(vec![killed; 5]).await;
    for id in &ids {
        assert_eq!(cluster.rest.ended(id).await["reason"], "oom_killed");
    }
    let advice = cluster.rest.get("/api/v1/advice?name_prefix=greedy").await;
    let greedy = &advice["items"][0];
    assert_eq!((greedy["oom_killed"].as_u64(), greedy["attempts"].as_u64()), (Some(5), Some(5)), "{greedy:#}");
    assert_eq!(greedy["proposed"]["flags"], "--mem 1536m --cpus 0.3", "how long it would run nobody knows");
}
