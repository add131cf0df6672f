//! Images that a worker's engine really has: shown, and asked for.

mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::engine::{IMAGE, docker};
    use serde_json::json;

    /// A name of an image that goes with the test.
    struct Tag(String);

    impl Drop for Tag {
        fn drop(&mut self) {
            docker(&["image", "rm", "--no-prune", &self.0]);
        }
    }

    #[tokio::test]
    async fn an_image_that_was_made_on_a_workers_host_is_shown_and_can_be_asked_for_and_no_other_can() {
        let made = Tag(format!("cloudai/test-images:{}", std::process::id()));
        docker(&["tag", IMAGE, &made.0]);
        let cluster = Cluster::of(docker_worker("w1")).await;
        let worker = cluster.rest.get("/api/v1/workers/w1").await;
        let images: Vec<&str> = worker["images"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
        assert!(images.contains(&made.0.as_str()) && images.contains(&"cloudai/hello:latest"), "{images:?}");
        let listed = cluster.rest.get("/api/v1/workers").await;
        assert!(listed["items"][0].get("images").is_none(), "{listed:#}");
        let info = cluster.run(&["worker", "info", "w1"]).await;
        assert!(info.out.contains(&format!("  images    {} (", images.len())), "{info:?}");

        // Any spelling of its name will do.
        let constraint = format!("image = docker.io/{}", made.0);
        let task = json!({"image": made.0, "pull_policy": "never", "command": ["true"], "constraints": [constraint]});
        let id = cluster.rest.submit(task).await;
        assert_eq!(cluster.rest.completed(&id).await["worker_id"], "w1");
        let asking = |constraint| {
            [
                "task",
                "submit",
                IMAGE,
                "--pull",
                "never",
                "-o",
                "quiet",
                "--wait",
                "--constraint",
                constraint,
                "--",
                "true",
            ]
        };
        let ran = cluster.run(&asking("image = cloudai/hello")).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        let refused = cluster.run(&asking("image = nosuch:1")).await;
        let why = "no worker meets image = nosuch:1: the nearest is w1, which has image = ";
        let how = "; pull it there with: docker pull nosuch:1";
        assert!(refused.code == 2 && refused.err.contains(why) && refused.err.contains(how), "{refused:?}");
    }
}
