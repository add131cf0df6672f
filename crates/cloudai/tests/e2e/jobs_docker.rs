//! Jobs of real containers.

mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::engine::IMAGE;
    use crate::process::until;
    use serde_json::json;
    use sha2::{Digest, Sha256};

    /// Split, twenty maps of which one fails once, reduce: each finds what those before it left.
    #[tokio::test]
    async fn a_pipeline_hands_its_files_on_and_tries_again_what_failed_once() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let sh = |script: &str| json!(["sh", "-c", script]);
        let split = "mkdir /out/parts; for i in $(seq 0 19); do echo $i > /out/parts/$i; done";
        let map = "[ ${index} = 7 ] && [ $CLOUDAI_ATTEMPT = 1 ] && exit 9; n=$(cat /in/${index}); echo $((n * n)) > /out/square";
        let reduce = "cat /title; ls /in | wc -l; cat /in/*/square | awk '{s+=$1} END {print s}'";
        let title = b"squares\n";
        let hash = hex::encode(Sha256::digest(title));
        let kind = "application/octet-stream";
        let kept = cluster.rest.ask_as("PUT", kind, &format!("/api/v1/blobs/{hash}?size=8"), title.to_vec()).await;
        assert_eq!(kept.status, 201, "{kept:?}");
        let job = json!({
            "name": "squares",
            "defaults": {"image": IMAGE, "pull_policy": "never", "cpu_cores": 0.5, "memory_gb": 0.05, "storage_gb": 0.1},
            "tasks": [
                {"name": "split", "command": sh(split)},
                {"name": "map", "array": "0-19%4", "command": sh(map),
                 "inputs": [{"from": "task:split/parts", "path": "/in"}],
                 "retries": {"max": 2, "on": ["exit_code"], "initial_s": 0.1}},
                {"name": "reduce", "command": sh(reduce), "inputs": [{"from": format!("blob:{hash}"), "path": "/title"}, {"from": "task:map", "path": "/in"}]},
            ],
        });
        let accepted = cluster.rest.ask("POST", "/api/v1/jobs", Some(&job)).await;
        assert_eq!(accepted.status, 201, "{accepted:?}");
        let path = format!("/api/v1/jobs/{}", accepted.text("id"));
        let end = until("the job has ended", async || {
            let now = cluster.rest.ask("GET", &format!("{path}?wait_s=30"), None).await;
            (!now.body["finished_at"].is_null()).then_some(now)
        })
        .await;
        assert_eq!(end.text("status"), "completed", "{end:#?}");
        let seventh = cluster.rest.ask("GET", &format!("{path}/tasks?task=map&index=7"), None).await;
        assert_eq!(seventh.body["items"][0]["attempt"], 2, "{seventh:?}");
        let reduce = end.body["parts"][2]["id"].as_str().unwrap().to_owned();
        let sum: u32 = (0..20).map(|n| n * n).sum();
        assert_eq!(cluster.rest.log(&reduce, "").await, format!("squares\n20\n{sum}\n"));
    }
}
