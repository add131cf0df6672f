//! The path of a task through real containers.

mod docker {
    use crate::cluster::{Cluster, Plan, docker_worker};
    use crate::engine::{IMAGE, container_of, containers, docker, touch};
    use crate::process::until;
    use crate::rest::end;
    use serde_json::{Value, json};

    /// A small task that runs a shell script.
    pub(crate) fn sh(script: &str) -> Value {
        json!({"image": IMAGE, "command": ["sh", "-c", script], "cpu_cores": 0.25, "memory_gb": 0.0625,
            "storage_gb": 0.1, "pull_policy": "never", "kill_after_s": 1})
    }

    #[tokio::test]
    async fn a_task_prints_live_leaves_files_and_completes() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let script = "echo one; echo err >&2; while [ ! -e /out/go ]; do sleep 0.02; done; rm /out/go; \
                      mkdir -p /out/a/b; echo deep > /out/a/b/c.txt; head -c 100000 /dev/zero > /out/zeros; \
                      echo $CLOUDAI_TASK_ID $CLOUDAI_ATTEMPT $CLOUDAI_WORKER_ID";
        let id = cluster.rest.submit(sh(script)).await;
        let mut following = cluster.begin(&["task", "logs", &id, "--follow"]);
        until("the first line is seen while it runs", async || (following.out() == "one\n").then_some(())).await;
        assert_eq!(end(&cluster.rest.running(&id).await).0, "running");
        touch(&container_of(&id), "/out/go");
        assert_eq!(following.ended().await, 0, "{}", following.err());
        assert_eq!(following.out(), format!("one\n{id} 1 w1\n"));
        assert!(following.err().contains("err\n") && following.err().contains("completed"), "{}", following.err());
        let task = cluster.rest.completed(&id).await;
        assert_eq!((task["exit_code"].as_i64(), &task["warnings"]), (Some(0), &json!([])), "{task:#}");
        assert!(task["started_at"].as_str() < task["finished_at"].as_str(), "{task:#}");
        let ran = cluster.run(&["task", "download", &id, "got"]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        let got = cluster.dir().join("got");
        assert_eq!(std::fs::read_to_string(got.join("a/b/c.txt")).unwrap(), "deep\n");
        assert_eq!(std::fs::read(got.join("zeros")).unwrap(), vec![0; 100_000]);
        let files = cluster.rest.get(&format!("/api/v1/tasks/{id}/files")).await;
        let paths: Vec<_> =
            files["items"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["a/b/c.txt", "zeros"]);
        until("its container is removed", async || containers("task", &id).is_empty().then_some(())).await;
    }

    #[tokio::test]
    async fn what_outputs_name_is_kept_wherever_it_lies_and_nothing_else() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let script = "mkdir -p /data/run/deep /out/b; echo 1 > /data/run/a.csv; echo no > /data/run/a.txt; \
                      echo 2 > /data/run/deep/b.csv; ln -s /etc/passwd /data/run/l.csv; ln /data/run/a.csv /data/run/h.csv; \
                      echo 3 > /out/b/c.csv; echo no > /out/no.txt";
        let words = ["task", "submit", IMAGE, "--pull", "never", "-o", "quiet", "--collect", "**/*.csv"];
        let words =
            [&words[..], &["--collect", "/data/**/*.csv", "--collect", "/nosuch", "--", "sh", "-c", script]].concat();
        let ran = cluster.run(&words).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        let id = ran.out.trim();
        let task = cluster.rest.completed(id).await;
        assert_eq!(task["message"], "", "{task:#}");
        assert_eq!(cluster.run(&["task", "download", id, "got"]).await.code, 0);
        let files = cluster.rest.get(&format!("/api/v1/tasks/{id}/files")).await;
        let paths: Vec<_> =
            files["items"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
        assert_eq!(paths, ["b/c.csv", "data/run/a.csv", "data/run/deep/b.csv", "data/run/h.csv"]);
        let read = |path: &str| std::fs::read_to_string(cluster.dir().join("got").join(path)).unwrap();
        assert_eq!(["b/c.csv", "data/run/h.csv", "data/run/deep/b.csv"].map(read), ["3\n", "1\n", "2\n"]);
        let ran = cluster.run(&["task", "files", id, "-o", "quiet"]).await;
        assert_eq!((ran.code, ran.out.lines().collect::<Vec<_>>()), (0, paths.clone()), "{}", ran.err);
        let ran = cluster.run(&["task", "download", id, "--tar", "all.tar"]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        let all =
            std::process::Command::new("tar").args(["-tf", "all.tar"]).current_dir(cluster.dir()).output().unwrap();
        assert_eq!(String::from_utf8(all.stdout).unwrap().lines().collect::<Vec<_>>(), paths);
        assert_eq!(cluster.run(&["task", "download", id, "--tar", "all.tar"]).await.code, 7, "it replaces nothing");

        let mut nothing = sh("echo 1 > /out/a");
        nothing["outputs"] = json!(["*.csv", "/data/x"]);
        let task = cluster.rest.completed(&cluster.rest.submit(nothing).await).await;
        assert_eq!(task["message"], "it left no file that outputs name (*.csv, /data/x)", "{task:#}");
    }

    /// A cancelled container gets SIGTERM, then its grace, then SIGKILL.
    #[tokio::test]
    async fn cancel_kills_running() {
        let cluster = Cluster::of(docker_worker("w1")).await;
        let polite = sh("trap 'echo bye; exit 0' TERM; echo up; while true; do sleep 0.02; done");
        let stubborn = sh("trap 'echo no' TERM; echo up; while true; do sleep 0.02; done");
        let ids = cluster.rest.submit_all(vec![polite, stubborn]).await;
        for (id, code, last, least) in [(&ids[0], 0, "bye", 0.0), (&ids[1], 137, "no", 1.0)] {
            cluster.rest.lines(id, 1).await;
            let begin = std::time::Instant::now();
            assert_eq!(cluster.run(&["cancel", id]).await.code, 0);
            let task = cluster.rest.ended(id).await;
            assert!(begin.elapsed().as_secs_f64() >= least, "{id} had no grace");
            if code == 0 {
                // The program chose to end well when it was asked: its result counts.
                assert!(["cancelled", "completed"].contains(&end(&task).0), "{task:#}");
            } else {
                assert_eq!((end(&task), task["exit_code"].as_i64()), (("cancelled", "user"), Some(code)), "{task:#}");
            }
            assert_eq!(cluster.rest.log(id, "").await, format!("up\n{last}\n"));
            until("its container is removed", async || containers("task", id).is_empty().then_some(())).await;
        }
    }

    #[tokio::test]
    async fn two_workers_on_one_engine_leave_each_others_containers_alone() {
        let mut cluster = Plan::new().worker(docker_worker("w1")).worker(docker_worker("w2")).start().await;
        let stranger = Cluster::of(docker_worker("w1")).await;
        let pinned = |worker: &str| {
            let mut document = sh("echo up; while [ ! -e /out/go ]; do sleep 0.02; done; echo done");
            document["worker_id"] = worker.into();
            document
        };
        let first = cluster.rest.submit(pinned("w1")).await;
        let second = cluster.rest.submit(pinned("w2")).await;
        let third = stranger.rest.submit(pinned("w1")).await;
        for (cluster, id) in [(&cluster, &first), (&cluster, &second), (&stranger, &third)] {
            cluster.rest.lines(id, 1).await;
        }
        let running =
            |id: &str| (container_of(id), docker(&["inspect", "-f", "{{.State.StartedAt}}", &container_of(id)]));
        let (before, other) = (running(&second), running(&third));
        // A worker that looks around after a crash, and one that clears up as it goes.
        cluster.kill_worker("w1");
        cluster.restart_worker("w1").await;
        cluster.stop_worker("w1").await;
        assert_eq!(containers("task", &first), [] as [String; 0]);
        assert_eq!((running(&second), running(&third)), (before, other));
        for (cluster, id) in [(&cluster, &second), (&stranger, &third)] {
            touch(&container_of(id), "/out/go");
            cluster.rest.completed(id).await;
            assert_eq!(cluster.rest.log(id, "").await, "up\ndone\n");
        }
    }
}

pub(crate) use docker::sh;
