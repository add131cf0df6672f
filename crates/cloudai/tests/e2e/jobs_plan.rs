//! What would become of a job, by a real master and what its workers do.

use crate::cluster::{Cluster, fake_worker};
use serde_json::{Value, json};

#[tokio::test]
async fn a_job_is_foreseen_by_what_runs_now_and_nothing_is_submitted() {
    let cluster = Cluster::of(fake_worker("w1").cpus(2.0)).await;
    let job = json!({"defaults": {"image": "fake:x", "cpu_cores": 1, "memory_gb": 0.1, "storage_gb": 0}, "tasks": [
        {"name": "map", "array": 4, "estimate_s": 100},
        {"name": "reduce", "needs": ["map"], "estimate_s": 50},
    ]});
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("job.json");
    std::fs::write(&file, job.to_string()).unwrap();
    let ran = cluster.run(&["job", "plan", file.to_str().unwrap(), "-o", "json"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&told["ends_in_s"], &told["at_most_at_once"]), (&json!(250.0), &json!(2)), "{told:#}");
    assert_eq!((&told["critical"], &told["parts"][0]["on"]), (&json!(["map", "reduce"]), &json!(["w1"])), "{told:#}");
    let listed = cluster.rest.ask("GET", "/api/v1/jobs", None).await;
    assert_eq!(listed.body["items"], json!([]));

    let mut large = job;
    large["tasks"][1]["cpu_cores"] = 64.into();
    std::fs::write(&file, large.to_string()).unwrap();
    let ran = cluster.run(&["job", "plan", file.to_str().unwrap()]).await;
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.out.starts_with("reduce can never run: it asks for "), "{}", ran.out);
}
