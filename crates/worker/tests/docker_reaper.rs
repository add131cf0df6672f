//! Containers that nobody holds, on a real engine.

mod support;

mod docker {
    use crate::support::{Engine, Live, docker};
    use cloudai_worker::reaper::Reaper;
    use std::collections::BTreeSet;
    use std::future::ready;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_container_that_no_agent_holds_is_found_and_removed_and_no_other() {
        let (ours, others) = (Engine::new().await, Engine::new().await);
        let start = async |engine: &Engine| {
            let job = engine.sh("echo up; exec sleep 1000000");
            let mut live = Live::start(&engine.executor, &job);
            live.until_records(1).await;
            live.abandon().await;
            (job.attempt, job.identity.incarnation)
        };
        let (held, left) = (start(&ours).await, start(&ours).await);
        let foreign = start(&others).await;
        let mut reaper = Reaper::new(Arc::clone(&ours.executor), Duration::ZERO);
        let holds = || ready(Some(BTreeSet::from([held])));
        assert_eq!(reaper.look(holds()).await.unwrap(), [], "it was seen this moment");
        assert_eq!(reaper.look(holds()).await.unwrap(), [left]);
        ours.executor.remove(left.0, left.1).await.unwrap();
        assert_eq!(reaper.look(holds()).await.unwrap(), [], "it is gone, and is told no more");
        assert_eq!(ours.executor.existing().await.unwrap(), [held]);
        assert_eq!(others.executor.existing().await.unwrap(), [foreign]);
        for engine in [&ours, &others] {
            let label = format!("label=cloudai.cluster={}", engine.identity.cluster);
            assert_eq!(docker(&["ps", "-q", "--filter", &label]).lines().count(), 1, "it runs on");
        }
    }
}
