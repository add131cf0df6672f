//! What real containers see of their host.

mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::engine::{IMAGE, docker};
    use serde_json::json;
    use std::fs;

    /// A volume of the engine that goes with the test.
    struct Volume(String);

    impl Drop for Volume {
        fn drop(&mut self) {
            docker(&["volume", "rm", "-f", &self.0]);
        }
    }

    #[tokio::test]
    async fn a_container_reads_an_offered_folder_and_writes_only_where_that_was_said() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().to_str().unwrap();
        fs::create_dir(data.path().join("in")).unwrap();
        fs::create_dir(data.path().join("results")).unwrap();
        fs::write(data.path().join("in/a"), "of the host\n").unwrap();
        let cluster = Cluster::of(docker_worker("w1").flags(&["--allow-path", folder])).await;
        let script = "cat /in/a; touch /in/b 2>/dev/null || echo read-only; echo made > /results/x";
        let volumes = [format!("{folder}/in:/in"), format!("{folder}/results:/results:rw")];
        let words = ["task", "submit", IMAGE, "--pull", "never", "-o", "quiet", "--wait", "--user", "0"];
        let words = [&words[..], &["-v", &volumes[0], "-v", &volumes[1], "--", "sh", "-c", script]].concat();
        let ran = cluster.run(&words).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(cluster.rest.log(ran.out.trim(), "").await, "of the host\nread-only\n");
        assert_eq!(fs::read_to_string(data.path().join("results/x")).unwrap(), "made\n");
    }

    #[tokio::test]
    async fn a_volume_of_the_engine_outlives_the_tasks_that_use_it() {
        let volume = Volume(format!("cloudai-test-{}", std::process::id()));
        let cluster = Cluster::of(docker_worker("w1").flags(&["--allow-volume", &volume.0])).await;
        let task = |script: &str, read_only: bool| {
            json!({"image": IMAGE, "pull_policy": "never", "command": ["sh", "-c", script],
                   "volumes": [{"volume": volume.0, "container_path": "/s", "read_only": read_only}]})
        };
        let first = cluster.rest.submit(task("echo kept > /s/a", false)).await;
        cluster.rest.completed(&first).await;
        let second = cluster.rest.submit(task("cat /s/a; touch /s/b 2>/dev/null || echo read-only", true)).await;
        cluster.rest.completed(&second).await;
        assert_eq!(cluster.rest.log(&second, "").await, "kept\nread-only\n");
    }

    /// No file server answers here: that it is asked, and what is said, is all that can be seen.
    #[tokio::test]
    async fn a_file_server_that_does_not_answer_is_the_workers_failure_and_named() {
        let volume = Volume(format!("cloudai-test-nfs-{}", std::process::id()));
        let offer = format!("{}=nfs://127.0.0.1/export?vers=4&soft&timeo=1&retrans=1", volume.0);
        let cluster = Cluster::of(docker_worker("w1").flags(&["--allow-volume", &offer])).await;
        let id = cluster
            .rest
            .submit(json!({"image": IMAGE, "pull_policy": "never", "command": ["true"],
                           "volumes": [{"volume": volume.0, "container_path": "/s"}]}))
            .await;
        let failed = |task: &serde_json::Value| task["attempts"][0]["reason"] == "engine_error";
        let task = cluster.rest.task_until(&id, "the first attempt has failed", failed).await;
        let told = docker(&["volume", "inspect", "-f", "{{json .Options}}", &volume.0]);
        let options: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(options["device"], ":/export", "{task:#}");
        assert_eq!(options["o"], "addr=127.0.0.1,rw,vers=4,soft,timeo=1,retrans=1");
    }
}
