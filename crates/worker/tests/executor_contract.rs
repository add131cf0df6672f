//! What every executor promises: one suite, run with the fake one and with a real engine.

#![allow(clippy::unwrap_used)] // helpers of tests, too

mod support;

use cloudai_core::images::Images;
use cloudai_core::resources::MIB;
use cloudai_core::spec::ImageRef;
use cloudai_core::task::{Cause, Step};
use cloudai_worker::executor::fake::{FakeExecutor, FakeOptions};
use cloudai_worker::executor::{Executor, Identity, Job};
use std::sync::Arc;
use std::time::Duration;
use support::podman::Podman;
use support::{Engine, Live, identity, run, with};
use tempfile::TempDir;

/// What a program does, in terms that every executor can follow.
#[derive(Clone, Debug, Default)]
struct Script {
    out: Vec<String>,
    err: Vec<String>,
    exit: i32,
    forever: bool,
    ignores_term: bool,
    /// Bytes that it writes to disk after all output.
    fills: u64,
}

/// How an executor is made and told what to run.
trait Bench {
    fn executor(&self) -> &Arc<dyn Executor>;
    fn job(&self, script: &Script) -> Job;
}

struct Fake {
    executor: Arc<dyn Executor>,
    identity: Identity,
    out: TempDir,
}

impl Fake {
    async fn new() -> Self {
        let out = tempfile::tempdir().unwrap();
        Self { executor: Arc::new(FakeExecutor::new(FakeOptions::default())), identity: identity("c", "w"), out }
    }
}

impl Bench for Fake {
    fn executor(&self) -> &Arc<dyn Executor> {
        &self.executor
    }

    fn job(&self, script: &Script) -> Job {
        with(support::job(&self.identity, "fake:contract", self.out.path()), |spec| {
            let mut set = |name: &str, value: String| drop(spec.container.env.insert(name.into(), value));
            set("FAKE_STDOUT", script.out.join("\n"));
            set("FAKE_STDERR", script.err.join("\n"));
            set("FAKE_EXIT", script.exit.to_string());
            set("FAKE_DURATION_MS", if script.forever { "forever" } else { "0" }.into());
            set("FAKE_DISK_BYTES", script.fills.to_string());
            set("FAKE_IGNORE_TERM", u8::from(script.ignores_term).to_string());
        })
    }
}

impl Bench for Engine {
    fn executor(&self) -> &Arc<dyn Executor> {
        &self.executor
    }

    fn job(&self, script: &Script) -> Job {
        let mut lines = Vec::new();
        if script.ignores_term {
            lines.push("trap '' TERM".to_owned());
        }
        lines.extend(script.out.iter().map(|line| format!("echo '{line}'")));
        lines.extend(script.err.iter().map(|line| format!("echo '{line}' >&2")));
        if script.fills > 0 {
            lines.push(format!(
                "head -c {} /dev/zero > /root-fs; head -c {} /dev/zero > /out/f",
                script.fills / 2,
                script.fills / 2
            ));
        }
        lines.push(if script.forever { "exec sleep 1000000".into() } else { format!("exit {}", script.exit) });
        self.sh(&lines.join("\n"))
    }
}

impl Bench for Podman {
    fn executor(&self) -> &Arc<dyn Executor> {
        self.engine.executor()
    }

    fn job(&self, script: &Script) -> Job {
        self.engine.job(script)
    }
}

fn lines(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix} {number}")).collect()
}

/// A program that prints three lines and runs until it is stopped.
fn forever() -> Script {
    Script { out: lines("line", 3), forever: true, ..Script::default() }
}

async fn exit_codes_are_reported_as_they_are(bench: impl Bench) {
    for exit in [0, 1, 3, 125, 126, 127] {
        let ended = run(bench.executor(), &bench.job(&Script { exit, ..Script::default() })).await;
        let outcome = ended.outcome;
        assert_eq!((outcome.cause, outcome.exit_code, outcome.oom_killed), (Cause::Exited, Some(exit), false));
        assert_eq!(outcome.message.is_empty(), exit == 0, "{}", outcome.message);
        assert!(outcome.run.is_some());
    }
}

async fn output_is_complete_and_in_order_per_stream(bench: impl Bench) {
    let script = Script { out: lines("out", 300), err: lines("err", 300), ..Script::default() };
    let ended = run(bench.executor(), &bench.job(&script)).await;
    assert_eq!(ended.stdout(), script.out.join("\n") + "\n");
    assert_eq!(ended.stderr(), script.err.join("\n") + "\n");
    let log = ended.outcome.log;
    assert_eq!((log.records, log.complete), (600, true));
    assert_eq!(log.bytes, (ended.stdout().len() + ended.stderr().len()) as u64);
    assert!(ended.records.iter().all(|record| record.time_ns > 0));
}

async fn steps_come_in_order(bench: impl Bench) {
    let ended = run(bench.executor(), &bench.job(&Script::default())).await;
    assert_eq!(ended.steps(), [Step::Starting, Step::Running]);
}

async fn a_stop_ends_it_within_the_grace(bench: impl Bench) {
    let mut live = Live::start(bench.executor(), &bench.job(&forever()));
    live.until_records(3).await;
    live.wish(Duration::from_secs(100));
    let outcome = live.end().await.outcome;
    assert_eq!((outcome.cause, outcome.exit_code), (Cause::Stopped, Some(143)), "{}", outcome.message);
}

async fn what_ignores_sigterm_is_killed(bench: impl Bench) {
    let script = Script { ignores_term: true, ..forever() };
    let mut live = Live::start(bench.executor(), &bench.job(&script));
    live.until_records(3).await;
    live.wish(Duration::from_secs(1));
    let outcome = live.end().await.outcome;
    assert_eq!((outcome.cause, outcome.exit_code), (Cause::Stopped, Some(137)), "{}", outcome.message);
    assert!(!outcome.oom_killed);
    assert!(outcome.message.contains("killed"), "{}", outcome.message);
}

async fn a_second_stop_shortens_the_grace(bench: impl Bench) {
    let script = Script { ignores_term: true, ..forever() };
    let mut live = Live::start(bench.executor(), &bench.job(&script));
    live.until_records(3).await;
    live.wish(Duration::from_secs(1000));
    tokio::task::yield_now().await;
    live.wish(Duration::ZERO);
    let outcome = live.end().await.outcome;
    assert_eq!((outcome.cause, outcome.exit_code), (Cause::Stopped, Some(137)), "{}", outcome.message);
}

async fn a_stop_before_the_start_makes_no_container(bench: impl Bench) {
    let wish = cloudai_worker::executor::Stop { grace: Duration::ZERO, cause: Cause::LeaseEnded };
    let job = bench.job(&forever());
    let ended = Live::start_with(bench.executor(), &job, Some(wish)).end().await;
    assert_eq!((ended.outcome.cause, ended.outcome.exit_code), (Cause::LeaseEnded, None));
    assert_eq!(ended.steps(), []);
    assert_eq!(bench.executor().existing().await.unwrap(), []);
}

async fn the_run_limit_ends_it(bench: impl Bench) {
    let job = with(bench.job(&forever()), |spec| spec.limits.run = Some(Duration::from_millis(300)));
    let ended = run(bench.executor(), &job).await;
    let outcome = &ended.outcome;
    assert_eq!((outcome.cause, outcome.exit_code), (Cause::TimedOut, Some(143)), "{}", outcome.message);
    assert!(outcome.run.unwrap() >= Duration::from_millis(300));
    assert_eq!(ended.records.len(), 3, "what it wrote before is kept");
}

async fn more_on_disk_than_it_asked_for_ends_it(bench: impl Bench) {
    let within = bench.job(&Script { fills: 16 * MIB, ..Script::default() });
    assert_eq!(run(bench.executor(), &within).await.outcome.cause, Cause::Exited);
    bench.executor().remove(within.attempt, within.identity.incarnation).await.unwrap();
    let ended = run(bench.executor(), &bench.job(&Script { fills: 96 * MIB, ..forever() })).await;
    let outcome = &ended.outcome;
    assert_eq!((outcome.cause, outcome.exit_code), (Cause::StorageExceeded, Some(143)), "{}", outcome.message);
    assert!(outcome.message.contains("MiB of disk") && outcome.message.contains("storage_gb"), "{}", outcome.message);
    assert_eq!(ended.records.len(), 3, "what it printed is kept");
}

async fn a_running_one_is_taken_over_without_repeating_records(bench: impl Bench) {
    let mut job = bench.job(&forever());
    let mut live = Live::start(bench.executor(), &job);
    live.until_running().await;
    live.until_records(2).await;
    live.abandon().await;
    (job.resume, job.skip_records) = (true, tokio::sync::watch::Sender::new(Some(2)).subscribe());
    let mut live = Live::start(bench.executor(), &job);
    live.until_records(1).await;
    live.wish(Duration::from_secs(100));
    let ended = live.end().await;
    assert_eq!((ended.outcome.cause, ended.outcome.exit_code), (Cause::Stopped, Some(143)));
    assert_eq!((ended.steps(), ended.stdout().as_str()), (vec![Step::Running], "line 2\n"));
    assert_eq!((ended.outcome.log.records, ended.outcome.log.complete), (3, true));
}

async fn an_ended_one_is_never_started_again(bench: impl Bench) {
    let script = Script { out: lines("line", 3), exit: 3, ..Script::default() };
    let mut job = bench.job(&script);
    let first = run(bench.executor(), &job).await;
    for resume in [true, false] {
        job.resume = resume;
        // A stop that comes after the end changes nothing about it.
        let wish = cloudai_worker::executor::Stop { grace: Duration::ZERO, cause: Cause::Stopped };
        let again = Live::start_with(bench.executor(), &job, Some(wish)).end().await;
        assert_eq!((again.outcome.cause, again.outcome.exit_code), (Cause::Exited, Some(3)));
        assert_eq!(again.records.len(), first.records.len(), "it ran a second time");
        assert_eq!(again.outcome.run, first.outcome.run);
    }
}

async fn one_that_is_gone_has_vanished(bench: impl Bench) {
    let mut job = bench.job(&forever());
    job.resume = true;
    let ended = run(bench.executor(), &job).await;
    assert_eq!((ended.outcome.cause, ended.outcome.exit_code), (Cause::Vanished, None));
    assert_eq!(bench.executor().existing().await.unwrap(), []);
}

async fn it_stays_until_it_is_removed_and_a_second_removal_is_fine(bench: impl Bench) {
    let job = bench.job(&Script::default());
    run(bench.executor(), &job).await;
    assert_eq!(bench.executor().existing().await.unwrap(), [job.key()]);
    for _ in 0..2 {
        bench.executor().remove(job.attempt, job.identity.incarnation).await.unwrap();
        assert_eq!(bench.executor().existing().await.unwrap(), []);
    }
}

async fn an_image_that_was_used_is_among_those_that_the_engine_has(bench: impl Bench) {
    let job = bench.job(&Script::default());
    run(bench.executor(), &job).await;
    let images = Images::of(bench.executor().images().await.unwrap());
    let image = ImageRef::of(&job.spec.image).normal();
    assert!(images.names().contains(&image), "{image}: {images:?}");
}

async fn existing_lists_only_ones_own(mine: impl Bench, other: impl Bench) {
    let (job, others) = (mine.job(&Script::default()), other.job(&Script::default()));
    tokio::join!(run(mine.executor(), &job), run(other.executor(), &others));
    assert_eq!(mine.executor().existing().await.unwrap(), [job.key()]);
    assert_eq!(other.executor().existing().await.unwrap(), [others.key()]);
}

/// Data that was restored numbers its attempts as before: what its lost future left is another thing.
async fn an_attempt_of_another_life_of_the_data_is_listed_and_removed_by_itself(bench: impl Bench) {
    let before = bench.job(&Script::default());
    let mut after = before.clone();
    after.identity = before.identity.in_life(cloudai_core::ids::Incarnation(2));
    after.out_dir = before.out_dir.with_file_name("after");
    assert_eq!(run(bench.executor(), &before).await.outcome.exit_code, Some(0));
    assert_eq!(run(bench.executor(), &after).await.outcome.exit_code, Some(0));
    assert_eq!(bench.executor().existing().await.unwrap(), [before.key(), after.key()]);
    bench.executor().remove(before.attempt, before.identity.incarnation).await.unwrap();
    assert_eq!(bench.executor().existing().await.unwrap(), [after.key()]);
}

macro_rules! contract {
    ($bench:ty: $($claim:ident)*) => {
        use super::*;
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $claim() {
                super::$claim(<$bench>::new().await).await;
            }
        )*

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn existing_lists_only_ones_own() {
            super::existing_lists_only_ones_own(<$bench>::new().await, <$bench>::new().await).await;
        }
    };
}

macro_rules! contracts {
    ($($name:ident: $bench:ty,)*) => {
        $(mod $name {
            contract!($bench:
                exit_codes_are_reported_as_they_are
                output_is_complete_and_in_order_per_stream
                steps_come_in_order
                a_stop_ends_it_within_the_grace
                what_ignores_sigterm_is_killed
                a_second_stop_shortens_the_grace
                a_stop_before_the_start_makes_no_container
                the_run_limit_ends_it
                more_on_disk_than_it_asked_for_ends_it
                a_running_one_is_taken_over_without_repeating_records
                an_ended_one_is_never_started_again
                one_that_is_gone_has_vanished
                it_stays_until_it_is_removed_and_a_second_removal_is_fine
                an_image_that_was_used_is_among_those_that_the_engine_has
                an_attempt_of_another_life_of_the_data_is_listed_and_removed_by_itself
            );
        })*
    };
}

contracts! {
    fake: Fake,
    docker: Engine,
    // Its name has `docker` in it because it needs an engine of this machine to have its image from.
    docker_podman: Podman,
}
