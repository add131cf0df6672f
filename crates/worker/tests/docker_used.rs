//! What containers take of their worker, as the kernel counts it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod support;

mod docker {
    use crate::support::{Engine, Live, run, with};
    use cloudai_core::resources::MIB;
    use cloudai_core::task::{Outcome, Used};
    use cloudai_worker::executor::Job;
    use std::time::Duration;

    /// Keeps 64 MiB in memory, works until the kernel has counted 0.3 s of it, says so, and goes on until it is stopped.
    const HUNGRY: &str = "head -c 67108864 /dev/zero > /held/zeros; \
                          enough() { read -r line < /proc/$$/stat; set -- $line; [ $((${14} + ${15})) -ge 30 ]; }; \
                          until enough; do :; done; echo ready; exec sleep 1000000";
    const LIMIT: u64 = 256 * MIB;

    fn hungry(engine: &Engine) -> Job {
        let mut job = with(engine.sh(HUNGRY), |spec| {
            spec.container.tmpfs.insert("/held".into(), 128 * MIB);
        });
        job.allocation.memory = LIMIT;
        job
    }

    /// What it took at least, and no more than it can have.
    fn check(outcome: &Outcome) {
        let Used { peak_memory, cpu, pulled } = outcome.used;
        let (memory, cpu) = (peak_memory.unwrap(), cpu.unwrap());
        assert!((64 * MIB..=LIMIT).contains(&memory), "{memory}");
        let most = outcome.run.unwrap() * 2 + Duration::from_secs(1);
        assert!(cpu >= Duration::from_millis(250) && cpu <= most, "{cpu:?} of {:?}", outcome.run);
        assert_eq!(pulled, None, "its image was there");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_container_took_is_told_with_its_end() {
        let engine = Engine::new().await;
        let mut live = Live::start(&engine.executor, &hungry(&engine));
        live.until_records(1).await;
        // The wish is what it is looked at for once more.
        live.wish(Duration::from_secs(100));
        check(&live.end().await.outcome);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_it_took_before_it_was_taken_over_counts() {
        let engine = Engine::new().await;
        let mut job = hungry(&engine);
        let mut live = Live::start(&engine.executor, &job);
        live.until_records(1).await;
        live.abandon().await;
        job.resume = true;
        let mut live = Live::start(&engine.executor, &job);
        live.until_records(1).await;
        live.wish(Duration::from_secs(100));
        check(&live.end().await.outcome);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_one_that_was_not_seen_running_nothing_is_made_up() {
        let engine = Engine::new().await;
        let mut job = engine.sh("true");
        let Used { peak_memory, cpu, .. } = run(&engine.executor, &job).await.outcome.used;
        // Perhaps it was over before anybody looked.
        assert!(peak_memory.is_none_or(|bytes| (1..=LIMIT).contains(&bytes)), "{peak_memory:?}");
        assert!(cpu.is_none_or(|cpu| cpu > Duration::ZERO), "{cpu:?}");
        job.resume = true;
        assert_eq!(run(&engine.executor, &job).await.outcome.used, Used::default(), "it had ended before");
        let never = with(engine.sh("true"), |spec| spec.container.user = Some("nosuchuser".into()));
        assert_eq!(run(&engine.executor, &never).await.outcome.used, Used::default());
    }
}
