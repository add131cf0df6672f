//! Engines that are stopped, that die and that come back while tasks run in them.

mod docker {
    use crate::cluster::{Cluster, docker_worker};
    use crate::dockerd::Dockerd;
    use crate::path_docker::sh;
    use crate::rest::{accepted, end};
    use serde_json::json;

    /// The first attempt runs until it is ended, and ends well when it is asked to; the second is done.
    const POLITE: &str = "trap 'exit 0' TERM; echo attempt $CLOUDAI_ATTEMPT; \
                          [ $CLOUDAI_ATTEMPT = 1 ] || exit 0; while true; do sleep 0.02; done";
    /// The same, but it takes no notice.
    const DEAF: &str = "trap '' TERM; echo attempt $CLOUDAI_ATTEMPT; [ $CLOUDAI_ATTEMPT = 1 ] || exit 0; \
                        while true; do sleep 0.02; done";

    async fn cluster(engine: &Dockerd) -> Cluster {
        Cluster::of(docker_worker("w1").engine(&engine.address())).await
    }

    /// Runs two tasks, lets the engine go away and come back, and asks that both are done by a
    /// second attempt, which nobody's failure made necessary, under the same worker.
    async fn restarted(stop: impl AsyncFnOnce(&mut Dockerd)) {
        let mut engine = Dockerd::start().await;
        let mut cluster = cluster(&engine).await;
        let ids = cluster.rest.submit_all(vec![sh(POLITE), sh(DEAF)]).await;
        for id in &ids {
            cluster.rest.lines(id, 1).await;
        }
        stop(&mut engine).await;
        engine.start_again().await;
        for id in &ids {
            let task = cluster.rest.ended(id).await;
            assert_eq!((end(&task), task["attempt"].as_u64()), (("completed", ""), Some(2)), "{task:#}");
            assert_eq!((accepted(&task), &task["attempts"][0]["reason"]), (1, &json!("engine_error")), "{task:#}");
            assert_eq!(cluster.rest.log(id, "").await, "attempt 2\n");
            assert_eq!(cluster.rest.log(id, "&attempt=1").await, "attempt 1\n");
        }
        let worker = cluster.worker("w1");
        assert_eq!(worker.has_ended(), None, "the worker lives on");
        assert!(worker.err().contains("engine did not answer"), "it says so");
    }

    #[tokio::test]
    async fn an_engine_restarted_under_a_task_costs_a_retry_not_the_task() {
        restarted(async |engine| engine.stop().await).await;
    }

    #[tokio::test]
    async fn an_engine_that_dies_under_a_task_costs_a_retry_not_the_task() {
        restarted(async |engine| engine.kill().await).await;
    }

    #[tokio::test]
    async fn a_worker_whose_engine_is_away_is_given_no_work_and_keeps_what_runs() {
        let mut engine = Dockerd::with_live_restore().await;
        let mut cluster = cluster(&engine).await;
        let runs = cluster.rest.submit(sh("echo up; while [ ! -e /out/go ]; do sleep 0.02; done")).await;
        cluster.rest.lines(&runs, 1).await;
        engine.stop().await;
        cluster.worker_until("w1", "engine_away").await;
        let worker = cluster.rest.get("/api/v1/workers/w1").await;
        let why = worker["engine_away"].as_str().unwrap();
        assert!(why.contains("no container engine answers at unix://") && why.contains("start it with"), "{worker:#}");
        let shown = cluster.run(&["worker", "list"]).await;
        assert!(shown.out.contains("engine_away") && shown.err.contains(why), "{shown:?}");

        let waits = cluster.rest.submit(sh("true")).await;
        let reason = format!("the container engine of w1 does not answer, so it gets no work: {why}");
        let task = cluster.rest.task_until(&waits, "waiting", |task| task["message"] == reason.as_str()).await;
        assert_eq!((task["status"].as_str(), task["attempt"].as_u64()), (Some("queued"), Some(0)), "{task:#}");
        // A master that starts anew learns it from the registration.
        cluster.kill_master();
        cluster.restart_master().await;
        cluster.worker_until("w1", "engine_away").await;
        let task = cluster.rest.task(&waits).await;
        assert_eq!((task["attempt"].as_u64(), task["message"].as_str()), (Some(0), Some(reason.as_str())), "{task:#}");
        assert_eq!(cluster.rest.task(&runs).await["status"], "running");

        engine.start_again().await;
        cluster.rest.completed(&waits).await;
        engine.docker(&["exec", &engine.container_of(&runs), "touch", "/out/go"]);
        cluster.rest.completed(&runs).await;
        cluster.worker_until("w1", "active").await;
    }

    #[tokio::test]
    async fn a_container_that_outlives_its_engine_is_attended_to_its_end() {
        let mut engine = Dockerd::with_live_restore().await;
        let cluster = cluster(&engine).await;
        let id =
            cluster.rest.submit(sh("echo up; while [ ! -e /out/go ]; do sleep 0.02; done; echo done; exit 3")).await;
        cluster.rest.lines(&id, 1).await;
        let container = engine.container_of(&id);
        for _ in 0..2 {
            engine.stop().await;
            engine.start_again().await;
            assert_eq!(engine.container_of(&id), container);
        }
        engine.docker(&["exec", &container, "touch", "/out/go"]);
        let task = cluster.rest.ended(&id).await;
        assert_eq!((end(&task), task["exit_code"].as_i64()), (("failed", "exit_code"), Some(3)), "{task:#}");
        assert_eq!((task["attempt"].as_u64(), &task["warnings"]), (Some(1), &json!([])), "{task:#}");
        assert_eq!(cluster.rest.log(&id, "").await, "up\ndone\n");
    }
}
