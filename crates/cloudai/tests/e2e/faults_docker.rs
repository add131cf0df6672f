//! Images, programs and limits that fail in real containers: the state, the reason and the sentence of each.

mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::engine::IMAGE;
    use crate::path_docker::sh;
    use crate::rest::{accepted, end};
    use serde_json::{Value, json};
    use sha2::{Digest, Sha256};

    fn message(task: &Value) -> &str {
        task["message"].as_str().unwrap()
    }

    #[tokio::test]
    async fn an_unknown_image_fails_as_image_pull_after_its_retries() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let nowhere = "127.0.0.1:1/nosuch:1";
        let task =
            |policy: &str| json!({"image": nowhere, "pull_policy": policy, "cpu_cores": 0.1, "memory_gb": 0.0625});
        let ids = cluster.rest.submit_all(vec![task("missing"), task("never")]).await;
        for id in &ids {
            let waits = cluster.rest.task_until(id, "in backoff", |task| task["phase"] == "backoff").await;
            assert_eq!(end(&waits), ("queued", "image_pull"), "{waits:#}");
        }
        for (id, said) in ids.iter().zip([nowhere, "pull_policy is never"]) {
            let ended = cluster.rest.ended(id).await;
            assert_eq!((end(&ended), ended["attempt"].as_u64()), (("failed", "image_pull"), Some(4)), "{ended:#}");
            assert!(message(&ended).contains(said) && ended["exit_code"].is_null(), "{ended:#}");
            assert_eq!((accepted(&ended), ended["started_at"].is_null()), (1, true), "{ended:#}");
        }
    }

    #[tokio::test]
    async fn exit_codes_are_told_as_they_are_and_never_taken_for_oom() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let codes = [1, 125, 126, 127, 137];
        let ids = cluster.rest.submit_all(codes.iter().map(|code| sh(&format!("exit {code}"))).collect()).await;
        for (id, code) in ids.iter().zip(codes) {
            let task = cluster.rest.ended(id).await;
            let found = (end(&task), task["exit_code"].as_i64(), task["oom_killed"].as_bool());
            assert_eq!(found, (("failed", "exit_code"), Some(code), Some(false)), "{task:#}");
            assert_eq!((task["attempt"].as_u64(), &task["warnings"]), (Some(1), &json!([])), "{task:#}");
            assert!(message(&task).contains(&code.to_string()), "{task:#}");
            let ran = cluster.run(&["task", "wait", id, "--propagate-exit"]).await;
            assert_eq!(i64::from(ran.code), code);
        }
    }

    #[tokio::test]
    async fn a_program_that_can_not_be_begun_says_whose_fault_it_is() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let of = |fields: Value| {
            let mut document = sh("true");
            fields.as_object().unwrap().iter().for_each(|(name, value)| document[name] = value.clone());
            document
        };
        let rows = [
            (json!({"command": ["nosuch", "x"]}), "exit_code", 127, "nosuch is not in the image"),
            (json!({"command": ["/etc/passwd"]}), "exit_code", 126, "can not be executed"),
            (json!({"command": ["sh", "-c", "nosuch"]}), "exit_code", 127, "not in the image"),
            (json!({"user": "nosuchuser"}), "start_error", 125, "nosuchuser"),
        ];
        for (fields, reason, code, said) in rows {
            let task = cluster.rest.ended(&cluster.rest.submit(of(fields.clone())).await).await;
            let found = (end(&task), task["exit_code"].as_i64());
            assert_eq!(found, (("failed", reason), Some(code)), "{fields}: {task:#}");
            assert!(message(&task).contains(said), "{fields}: {task:#}");
        }
    }

    /// The task of a script of which the kernel kills a process for its memory.
    ///
    /// A busy engine on cgroup v1 now and then loses the kernel's notice, which is not ours to
    /// mend: one of ten runs has to be told.
    async fn oom(cluster: &Cluster, script: &str, code: i64) -> Value {
        for _ in 0..10 {
            let task = cluster.rest.ended(&cluster.rest.submit(sh(script)).await).await;
            assert_eq!(task["exit_code"].as_i64(), Some(code), "{task:#}");
            if task["oom_killed"] == true {
                return task;
            }
        }
        panic!("the engine never told of an out-of-memory kill");
    }

    #[tokio::test]
    async fn oom_of_the_program_fails_it_and_oom_of_a_child_is_a_warning() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let task = oom(&cluster, "exec tail -c 199999999 /dev/zero", 137).await;
        assert_eq!((end(&task), &task["warnings"]), (("failed", "oom_killed"), &json!([])), "{task:#}");
        assert!(message(&task).contains("64 MiB") && message(&task).contains("memory_gb"), "{task:#}");
        let child = "head -c 200000000 /dev/zero | tail -c 199999999 >/dev/null; exit 0";
        let task = oom(&cluster, child, 0).await;
        assert_eq!((end(&task), &task["warnings"]), (("completed", ""), &json!(["oom_killed"])), "{task:#}");
        assert!(message(&task).contains("raise memory_gb"), "{task:#}");
    }

    #[tokio::test]
    async fn a_container_of_a_few_milliseconds_loses_no_line() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let script = |n: usize| sh(&format!("echo first {n}; echo err {n} >&2; echo last {n}"));
        let ids = cluster.rest.submit_all((0..20).map(script).collect()).await;
        for (n, id) in ids.iter().enumerate() {
            let task = cluster.rest.completed(id).await;
            assert_eq!(task["warnings"], json!([]), "{task:#}");
            assert_eq!(cluster.rest.log(id, "&stream=stdout").await, format!("first {n}\nlast {n}\n"));
            assert_eq!(cluster.rest.log(id, "&stream=stderr").await, format!("err {n}\n"));
        }
    }

    #[tokio::test]
    async fn a_hundred_megabytes_of_output_come_back_whole() {
        const SCRIPT: &str = "yes 123456789012345678901234567890123456789012345678901234567890123 | head -n 1600000";
        let cluster = Cluster::of(docker_worker("w1")).await;
        let mut document = sh(SCRIPT);
        document["cpu_cores"] = 1.into();
        document["storage_gb"] = 1.into();
        let id = cluster.rest.submit(document).await;
        let task = cluster.rest.completed(&id).await;
        assert_eq!(
            (&task["warnings"], &task["attempts"][0]["log_records"]),
            (&json!([]), &json!(1_600_000)),
            "{task:#}"
        );
        let ran = cluster.run(&["task", "logs", &id]).await;
        assert_eq!((ran.code, ran.bytes.len()), (0, 102_400_000), "{}", ran.err);
        let mut expected = Sha256::new();
        let line = "123456789012345678901234567890123456789012345678901234567890123\n";
        (0..1_600_000).for_each(|_| expected.update(line));
        assert_eq!(hex::encode(Sha256::digest(&ran.bytes)), hex::encode(expected.finalize()));
    }

    #[tokio::test]
    async fn a_task_that_takes_more_disk_than_it_asked_for_is_stopped_and_says_of_what() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let mut document =
            sh("echo up; head -c 90000000 /dev/zero > /filled; head -c 40000000 /dev/zero > /out/f; exec sleep 1000");
        document["storage_gb"] = json!(0.1);
        let id = cluster.rest.submit(document).await;
        let task = cluster.rest.ended(&id).await;
        assert_eq!((end(&task), task["attempt"].as_u64()), (("failed", "storage_exceeded"), Some(1)), "{task:#}");
        for words in ["of disk, more than its storage_gb of 102.4 MiB", "root file system", "/out", "raise storage_gb"]
        {
            assert!(message(&task).contains(words), "{words}: {task:#}");
        }
        assert_eq!(cluster.rest.log(&id, "").await, "up\n");
    }

    #[tokio::test]
    async fn a_task_that_runs_too_long_is_stopped_and_says_so() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let mut document = sh("echo up; exec sleep 1000");
        document["timeout_s"] = json!(1.5);
        let id = cluster.rest.submit(document).await;
        let task = cluster.rest.ended(&id).await;
        assert_eq!((end(&task), task["attempt"].as_u64()), (("failed", "timed_out"), Some(1)), "{task:#}");
        assert!(message(&task).contains("1.5 s") && message(&task).contains("timeout_s"), "{task:#}");
        assert_eq!(cluster.rest.log(&id, "").await, "up\n");
        assert!(crate::engine::docker(&["images", "--quiet", IMAGE]).lines().count() == 1, "its image stays");
    }
}
