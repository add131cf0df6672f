//! What only the fake executor does: its journal, its failures, its clock.

mod support;

use cloudai_core::task::{Cause, Step, Used};
use cloudai_worker::executor::fake::{FakeExecutor, FakeOptions};
use cloudai_worker::executor::{Executor, Job};
use futures::{StreamExt, stream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{Live, identity, job, run, with};
use tokio::time::timeout;

fn fake(env: &[(&str, &str)]) -> Job {
    let out = std::env::temp_dir();
    with(job(&identity("c", "w1"), "fake:x", &out), |spec| {
        spec.container.env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    })
}

fn executor() -> Arc<dyn Executor> {
    Arc::new(FakeExecutor::new(FakeOptions::default()))
}

#[tokio::test(start_paused = true)]
async fn time_passes_by_the_runtimes_clock() {
    let job = fake(&[("FAKE_DURATION_MS", "3600000"), ("FAKE_PULL_MS", "60000"), ("FAKE_OOM", "1")]);
    let ended = run(&executor(), &job).await;
    assert_eq!(ended.outcome.run, Some(Duration::from_secs(3600)));
    assert_eq!(ended.steps(), [Step::Pulling, Step::Starting, Step::Running]);
    assert!(ended.outcome.oom_killed);
}

#[tokio::test(start_paused = true)]
async fn what_it_took_is_programmed_and_not_known_otherwise() {
    let job = fake(&[("FAKE_MEMORY_BYTES", "1048576"), ("FAKE_CPU_MS", "250"), ("FAKE_PULL_MS", "60000")]);
    let used = run(&executor(), &job).await.outcome.used;
    let expected = Used {
        peak_memory: Some(1 << 20),
        cpu: Some(Duration::from_millis(250)),
        pulled: Some(Duration::from_secs(60)),
    };
    assert_eq!(used, expected);
    assert_eq!(run(&executor(), &fake(&[])).await.outcome.used, Used::default());
}

#[tokio::test(start_paused = true)]
async fn failures_are_programmed() {
    let rows = [
        (("FAKE_FAIL", "pull"), Cause::ImagePull),
        (("FAKE_FAIL", "start"), Cause::StartError),
        (("FAKE_FAIL", "engine"), Cause::EngineError),
        (("FAKE_FAIL", "other"), Cause::StartError),
        (("FAKE_EXIT", "x"), Cause::StartError),
        (("FAKE_MEMORY_BYTES", "much"), Cause::StartError),
        (("FAKE_OUT", "../x=y"), Cause::StartError),
        (("FAKE_PULL_MS", "999999999"), Cause::ImagePull),
    ];
    for (env, cause) in rows {
        let outcome = run(&executor(), &fake(&[env])).await.outcome;
        assert_eq!(outcome.cause, cause, "{env:?}");
        assert!(!outcome.message.is_empty());
    }
    let real = with(fake(&[]), |spec| spec.image = "python:3".into());
    assert_eq!(run(&executor(), &real).await.outcome.cause, Cause::StartError);
}

#[tokio::test(start_paused = true)]
async fn a_grace_is_waited_for_in_full_and_a_limit_too() {
    let mut live = Live::start(&executor(), &fake(&[("FAKE_DURATION_MS", "forever"), ("FAKE_IGNORE_TERM", "1")]));
    live.until_running().await;
    live.wish(Duration::from_secs(10));
    assert_eq!(live.end().await.outcome.run, Some(Duration::from_secs(10)));
    let limited = with(fake(&[("FAKE_DURATION_MS", "forever"), ("FAKE_IGNORE_TERM", "1")]), |spec| {
        spec.limits.run = Some(Duration::from_secs(5));
        spec.limits.kill_after = Duration::from_secs(2);
    });
    let outcome = run(&executor(), &limited).await.outcome;
    assert_eq!((outcome.cause, outcome.run), (Cause::TimedOut, Some(Duration::from_secs(7))));
}

#[tokio::test(start_paused = true)]
async fn it_has_the_images_of_what_it_ran_the_last_first() {
    let executor = executor();
    let used = async |image: &str| {
        let job = with(fake(&[]), |spec| spec.image = image.into());
        run(&executor, &job).await;
    };
    let moved = async || timeout(Duration::from_secs(1), executor.images_moved()).await.is_ok();
    assert!(executor.images().await.unwrap().is_empty() && !moved().await);
    used("fake:a").await;
    used("fake:b").await;
    assert!(moved().await && !moved().await, "told once");
    used("fake:a").await;
    assert!(!moved().await, "it was there");
    assert_eq!(executor.images().await.unwrap(), ["fake:a", "fake:b"]);
    run(&executor, &with(fake(&[("FAKE_FAIL", "pull")]), |spec| spec.image = "fake:c".into())).await;
    assert_eq!(executor.images().await.unwrap().len(), 2, "that one could not be pulled");
}

#[tokio::test]
async fn starts_and_ends_are_journalled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let executor: Arc<dyn Executor> =
        Arc::new(FakeExecutor::new(FakeOptions { journal: Some(path.clone()), ..FakeOptions::default() }));
    let mut job = fake(&[("FAKE_EXIT", "3"), ("FAKE_OUT", "r=1")]);
    job.out_dir = dir.path().to_owned();
    run(&executor, &job).await;
    let lines = std::fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| (line["event"].as_str().unwrap(), line["exit"].as_i64())).collect();
    assert_eq!(events, [("start", None), ("end", Some(3))]);
    assert_eq!(lines[0]["task"], job.attempt.task.to_string());
    assert_eq!((lines[0]["attempt"].as_u64(), lines[0]["worker"].as_str()), (Some(1), Some("w1")));
    assert_eq!((lines[0]["cpu"].as_f64(), lines[0]["mem_gb"].as_f64()), (Some(1.0), Some(0.0625)));
    assert!(lines[0]["t"].as_f64().unwrap() <= lines[1]["t"].as_f64().unwrap());
    assert_eq!(std::fs::read_to_string(dir.path().join("r")).unwrap(), "1");
}

#[tokio::test]
async fn ten_thousand_attempts_cost_little() {
    let executor = executor();
    let begin = Instant::now();
    let one = async |_: u32| {
        let job = fake(&[("FAKE_STDOUT", "hello")]);
        assert_eq!(run(&executor, &job).await.outcome.exit_code, Some(0));
        executor.remove(job.attempt, job.identity.incarnation).await.unwrap();
    };
    stream::iter(0..10_000).for_each_concurrent(64, one).await;
    eprintln!("{:.0} attempts a second", 10_000.0 / begin.elapsed().as_secs_f64());
}
