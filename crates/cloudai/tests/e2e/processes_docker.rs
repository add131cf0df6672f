//! Workers and masters that die and leave while real containers run.

mod docker {
    use crate::cluster::{Cluster, Plan, docker_worker};
    use crate::engine::{container_of, containers, docker, touch};
    use crate::path_docker::sh;
    use crate::process::until;
    use crate::rest::{accepted, end};
    use serde_json::{Value, json};

    /// Counts until it is told to end, then says how far it came.
    const COUNTING: &str = "n=0; while [ ! -e /out/go ]; do n=$((n+1)); echo $n; sleep 0.02; done; echo end $n";

    /// Lines that the engine has of a container.
    fn printed(container: &str) -> usize {
        docker(&["logs", container]).lines().count()
    }

    /// Waits until a container printed so much more, whoever may read it.
    async fn goes_on(container: &str) {
        let before = printed(container);
        until("the container goes on", async || (printed(container) > before + 20).then_some(())).await;
    }

    /// Every number once, in order, and the last line: nothing lost, nothing repeated.
    async fn assert_whole(cluster: &Cluster, task: &str) {
        let log = cluster.rest.log(task, "").await;
        let lines: Vec<_> = log.lines().collect();
        let count = lines.len() - 1;
        let expected = (1..=count).map(|n| n.to_string()).chain([format!("end {count}")]);
        assert_eq!(lines, expected.collect::<Vec<_>>());
    }

    fn first_and_only(task: &Value) {
        let found = (end(task), task["attempts"].as_array().unwrap().len(), accepted(task));
        assert_eq!(found, (("completed", ""), 1, 1), "{task:#}");
        assert_eq!(task["warnings"], json!([]), "{task:#}");
    }

    /// A killed worker that comes back adopts its running container.
    #[tokio::test]
    async fn agent_restart_adopts() {
        let mut cluster = Cluster::of(docker_worker("w1")).await;
        let id = cluster.rest.submit(sh(COUNTING)).await;
        cluster.rest.lines(&id, 3).await;
        let container = container_of(&id);
        for _ in 0..2 {
            cluster.kill_worker("w1");
            goes_on(&container).await;
            cluster.restart_worker("w1").await;
            let count = printed(&container);
            cluster.rest.lines(&id, count).await;
        }
        assert_eq!(container_of(&id), container);
        touch(&container, "/out/go");
        first_and_only(&cluster.rest.ended(&id).await);
        assert_whole(&cluster, &id).await;
        until("its container is removed", async || containers("task", &id).is_empty().then_some(())).await;
    }

    #[tokio::test]
    async fn what_ended_while_its_worker_was_dead_is_reported_with_log_and_files() {
        let mut cluster = Cluster::of(docker_worker("w1")).await;
        let id = cluster.rest.submit(sh(&format!("{COUNTING}; mv /out/go /out/kept"))).await;
        cluster.rest.lines(&id, 3).await;
        let container = container_of(&id);
        cluster.kill_worker("w1");
        goes_on(&container).await;
        touch(&container, "/out/go");
        docker(&["wait", &container]);
        cluster.restart_worker("w1").await;
        first_and_only(&cluster.rest.ended(&id).await);
        assert_whole(&cluster, &id).await;
        let files = cluster.rest.get(&format!("/api/v1/tasks/{id}/files")).await;
        assert_eq!(files["items"][0]["path"], "kept", "{files}");
    }

    /// Containers run on while the master is restarted, stopped or killed.
    #[tokio::test]
    async fn scheduler_blip_does_not_kill_worker() {
        let mut cluster = Cluster::of(docker_worker("w1")).await;
        let id = cluster.rest.submit(sh(COUNTING)).await;
        cluster.rest.lines(&id, 3).await;
        let container = container_of(&id);
        for clean in [true, false] {
            if clean {
                cluster.stop_master().await;
            } else {
                cluster.kill_master();
            }
            goes_on(&container).await;
            cluster.restart_master().await;
            cluster.worker_until("w1", "active").await;
            let count = printed(&container);
            cluster.rest.lines(&id, count).await;
        }
        assert_eq!(container_of(&id), container);
        let task = cluster.rest.task(&id).await;
        assert_eq!((end(&task).0, task["attempt"].as_u64()), ("running", Some(1)), "{task:#}");
        touch(&container, "/out/go");
        first_and_only(&cluster.rest.ended(&id).await);
        assert_whole(&cluster, &id).await;
    }

    #[tokio::test]
    async fn a_worker_that_comes_back_to_no_master_keeps_its_lease_and_stops_in_time() {
        let mut cluster = Plan::short_lease().worker(docker_worker("w1")).start().await;
        let id = cluster.rest.submit(sh("trap 'exit 0' TERM; echo up; while true; do sleep 0.02; done")).await;
        cluster.rest.lines(&id, 1).await;
        let container = container_of(&id);
        cluster.kill_worker("w1");
        cluster.kill_master();
        cluster.begin_worker("w1");
        let running = || docker(&["inspect", "-f", "{{.State.Running}}", &container]) == "true";
        until("its lease stops it", async || (!running()).then_some(())).await;
        cluster.restart_master().await;
        let task = cluster.rest.task_until(&id, "taken back", |task| task["attempt"] == 2).await;
        assert_eq!((accepted(&task), &task["attempts"][0]["reason"]), (0, &json!("worker_lost")), "{task:#}");
        assert_eq!(cluster.run(&["cancel", &id]).await.code, 0);
        cluster.rest.ended(&id).await;
    }

    #[tokio::test]
    async fn a_worker_that_leaves_stops_its_containers_and_others_do_its_tasks() {
        let mut cluster = Cluster::of(docker_worker("w1")).await;
        let id =
            cluster.rest.submit(sh("echo attempt $CLOUDAI_ATTEMPT; [ $CLOUDAI_ATTEMPT = 2 ] || exec sleep 1000")).await;
        let stubborn = cluster.rest.submit(sh("trap '' TERM; echo up; [ $CLOUDAI_ATTEMPT = 2 ] || sleep 1000")).await;
        for id in [&id, &stubborn] {
            cluster.rest.lines(id, 1).await;
        }
        cluster.stop_worker("w1").await;
        assert_eq!(containers("cluster", &cluster.name), [] as [String; 0], "nothing is left on the engine");
        for id in [&id, &stubborn] {
            let task = cluster.rest.task(id).await;
            assert_eq!((end(&task), task["attempt"].as_u64()), (("queued", "drained"), Some(1)), "{task:#}");
        }
        cluster.add(docker_worker("w2")).await;
        for id in [&id, &stubborn] {
            let task = cluster.rest.ended(id).await;
            assert_eq!(
                (end(&task), accepted(&task), &task["worker_id"]),
                (("completed", ""), 1, &json!("w2")),
                "{task:#}"
            );
            assert_eq!((&task["attempts"][0]["reason"], &task["attempt"]), (&json!("drained"), &json!(2)), "{task:#}");
        }
        assert_eq!(cluster.rest.log(&id, "&attempt=1").await, "attempt 1\n");
        assert_eq!(cluster.rest.log(&id, "").await, "attempt 2\n");
    }

    #[tokio::test]
    async fn a_dead_workers_task_runs_elsewhere_and_its_old_container_is_removed_when_it_returns() {
        let mut cluster = Plan::short_lease().worker(docker_worker("w1")).start().await;
        let id =
            cluster.rest.submit(sh("[ $CLOUDAI_ATTEMPT = 1 ] && echo first && exec sleep 1000; echo second")).await;
        cluster.rest.lines(&id, 1).await;
        let container = container_of(&id);
        cluster.kill_worker("w1");
        cluster.add(docker_worker("w2")).await;
        let task = cluster.rest.ended(&id).await;
        assert_eq!((end(&task), accepted(&task), &task["worker_id"]), (("completed", ""), 1, &json!("w2")), "{task:#}");
        assert_eq!(task["attempts"][0]["reason"], "worker_lost", "{task:#}");
        assert_eq!(docker(&["inspect", "-f", "{{.State.Running}}", &container]), "true", "nobody was there to stop it");
        cluster.restart_worker("w1").await;
        until("the old container is removed", async || containers("task", &id).is_empty().then_some(())).await;
        let after = cluster.rest.task(&id).await;
        assert_eq!((&after["version"], end(&after).0), (&task["version"], "completed"), "{after:#}");
        assert_eq!(cluster.rest.log(&id, "").await, "second\n");
    }

    /// A cluster with a short lease, a task, and its container, whose worker was killed.
    async fn left_alone() -> (Cluster, String, String) {
        let mut cluster = Plan::short_lease().worker(docker_worker("w1")).start().await;
        let mut counting = sh(COUNTING);
        counting["kill_after_s"] = json!(1);
        let id = cluster.rest.submit(counting).await;
        cluster.rest.lines(&id, 3).await;
        let container = container_of(&id);
        cluster.kill_worker("w1");
        (cluster, id, container)
    }

    /// A task of a dead worker that is cancelled ends unconfirmed; its container, which goes on by
    /// itself, is killed as soon as the worker is back, and nothing of it is reported again.
    #[tokio::test]
    async fn a_container_whose_cancel_nobody_confirmed_is_killed_at_the_next_contact() {
        let (mut cluster, id, container) = left_alone().await;
        cluster.rest.ask("POST", &format!("/api/v1/tasks/{id}/cancel"), None).await;
        let task = cluster.rest.ended(&id).await;
        assert_eq!(
            (end(&task), &task["warnings"]),
            (("cancelled", "unconfirmed"), &json!(["log_incomplete"])),
            "{task:#}"
        );
        goes_on(&container).await;
        cluster.restart_worker("w1").await;
        until("its container is gone", async || containers("task", &id).is_empty().then_some(())).await;
        assert_eq!(cluster.rest.task(&id).await, task, "what has ended never changes");
    }

    /// With both of them dead for longer than a lease the container goes on, and is adopted.
    #[tokio::test]
    async fn a_master_that_was_away_for_longer_than_a_lease_waits_a_lease_for_its_workers() {
        let (mut cluster, id, container) = left_alone().await;
        cluster.kill_master();
        let begin = std::time::Instant::now();
        until("a lease and its margin are over", async || {
            (begin.elapsed() > std::time::Duration::from_secs(14)).then_some(())
        })
        .await;
        cluster.restart_master().await;
        cluster.rest.task_until(&id, "runs as far as is known", |task| task["status"] == "running").await;
        cluster.restart_worker("w1").await;
        touch(&container, "/out/go");
        first_and_only(&cluster.rest.ended(&id).await);
        assert_whole(&cluster, &id).await;
    }
}
