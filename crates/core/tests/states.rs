//! The transitions of SPEC 3.2, row by row, and what they mean for the task's result.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::event::Rejected;
use cloudai_core::ids::Attempt;
use cloudai_core::spec::Value;
use cloudai_core::state::{Phase, Reason, Status, Warning};
use cloudai_core::task::{Cause, LogEnd, Outcome, Step};
use cloudai_core::testing::{TestCluster, cores, spec, task_id};
use std::time::Duration;

const RAN: Option<Duration> = Some(Duration::from_secs(3));

fn whole() -> LogEnd {
    LogEnd { records: 1, bytes: 2, complete: true, cut: None }
}

/// A container that ran and whose log is whole.
fn ran(outcome: Outcome) -> Outcome {
    Outcome { run: RAN, log: whole(), ..outcome }
}

fn running() -> (TestCluster, Attempt) {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    (c, attempt)
}

#[test]
fn every_outcome_of_an_attempt_ends_as_the_table_says() {
    let of = |cause| ran(Outcome::of(cause, ""));
    let oom = |code| ran(Outcome { oom_killed: true, ..Outcome::exit(code) });
    use Status::{Completed, Failed, Queued};
    let rows: Vec<(&str, Outcome, Status, Option<Reason>)> = vec![
        ("exit 0", ran(Outcome::exit(0)), Completed, None),
        ("exit 1", ran(Outcome::exit(1)), Failed, Some(Reason::ExitCode)),
        ("exit 127 of a started container is the program's", ran(Outcome::exit(127)), Failed, Some(Reason::ExitCode)),
        ("137 is not OOM", ran(Outcome::exit(137)), Failed, Some(Reason::ExitCode)),
        ("137 with the kernel's word is OOM", oom(137), Failed, Some(Reason::OomKilled)),
        ("a child may be OOM-killed and the container still exit 0", oom(0), Completed, None),
        ("OOM of a child is no reason for exit 3", oom(3), Failed, Some(Reason::ExitCode)),
        ("timeout_s", of(Cause::TimedOut), Failed, Some(Reason::TimedOut)),
        ("the engine refuses to create or start", of(Cause::StartError), Failed, Some(Reason::StartError)),
        ("inputs not brought", of(Cause::InputError), Failed, Some(Reason::InputError)),
        ("outputs lost", of(Cause::OutputError), Failed, Some(Reason::OutputError)),
        ("denied by the worker's policy: never retried", of(Cause::PolicyDenied), Failed, Some(Reason::PolicyDenied)),
        ("too much written", of(Cause::StorageExceeded), Failed, Some(Reason::StorageExceeded)),
        ("pulls are tried again", of(Cause::ImagePull), Queued, Some(Reason::ImagePull)),
        ("engine errors count as lost workers", of(Cause::EngineError), Queued, Some(Reason::EngineError)),
        ("the worker's lease ended", of(Cause::LeaseEnded), Queued, Some(Reason::WorkerLost)),
        ("the container is gone", of(Cause::Vanished), Queued, Some(Reason::WorkerLost)),
        ("the worker was stopped: uncounted", of(Cause::WorkerStopped), Queued, Some(Reason::Drained)),
    ];
    for (row, outcome, status, reason) in rows {
        let (mut c, attempt) = running();
        c.end(attempt, outcome).unwrap();
        let task = c.record(attempt.task);
        assert_eq!((task.status(), task.reason()), (status, reason), "{row}");
        let accepted = task.attempts[0].end.as_ref().map(|end| end.accepted);
        assert_eq!(accepted, Some(status != Queued), "{row}");
        assert!(status == Completed || !task.message().is_empty(), "{row}: a failure says what happened");
    }
}

#[test]
fn warnings_stand_beside_the_end_and_make_no_failure() {
    let cut = LogEnd { complete: false, ..whole() };
    let rows = [
        (ran(Outcome::exit(0)), vec![]),
        (ran(Outcome { oom_killed: true, ..Outcome::exit(0) }), vec![Warning::OomKilled]),
        (Outcome { log: cut, ..ran(Outcome::exit(0)) }, vec![Warning::LogIncomplete]),
        (ran(Outcome { outputs_lost: true, ..Outcome::exit(0) }), vec![Warning::OutputsIncomplete]),
    ];
    for (outcome, warnings) in rows {
        let (mut c, attempt) = running();
        c.end(attempt, outcome).unwrap();
        let task = c.record(attempt.task);
        assert_eq!(task.status(), Status::Completed);
        assert_eq!(task.finished().unwrap().warnings, warnings);
    }
}

#[test]
fn a_task_walks_through_its_phases() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    assert_eq!(c.record(task).phase(false), Some(Phase::WaitingCapacity));
    let attempt = c.place(task, "w1");
    let steps = [
        (Step::Assigned, Status::Pending, Phase::Assigned),
        (Step::Pulling, Status::Pending, Phase::Pulling),
        (Step::Starting, Status::Pending, Phase::Starting),
        (Step::Running, Status::Running, Phase::Running),
    ];
    for (step, status, phase) in steps {
        c.step(attempt, step).unwrap();
        let record = c.record(task);
        assert_eq!((record.status(), record.phase(false)), (status, Some(phase)));
        assert_eq!(record.phase(true), Some(Phase::WorkerUnreachable));
    }
    c.step(attempt, Step::Pulling).unwrap();
    assert_eq!(c.record(task).status(), Status::Running, "an older step is old news");
}

#[test]
fn a_report_from_an_old_attempt_changes_nothing() {
    let (mut c, first) = running();
    c.end(first, Outcome::of(Cause::Vanished, "")).unwrap();
    c.wait(Duration::from_secs(2));
    let second = c.place(first.task, "w1");
    assert_eq!(c.end(first, Outcome::exit(0)), Err(Rejected::Superseded(first)));
    assert_eq!(c.step(first, Step::Running), Err(Rejected::Superseded(first)));
    c.end(second, Outcome::exit(1)).unwrap();
    assert_eq!(c.record(first.task).status(), Status::Failed);
}

#[test]
fn a_terminal_state_never_changes() {
    let (mut c, attempt) = running();
    c.end(attempt, Outcome::exit(0)).unwrap();
    let before = c.record(attempt.task);
    assert_eq!(c.end(attempt, Outcome::exit(1)), Err(Rejected::Superseded(attempt)));
    assert_eq!(c.cancel(attempt.task), Err(Rejected::NoSuchTask(attempt.task)));
    assert_eq!(c.record(attempt.task), before);
}

#[test]
fn pulls_are_tried_four_times_with_growing_waits_then_failed() {
    let (mut c, mut attempt) = running();
    for number in 1..=3 {
        let before = c.now;
        c.end(attempt, Outcome::of(Cause::ImagePull, "no such image")).unwrap();
        let record = c.record(attempt.task);
        assert_eq!(record.phase(false), Some(Phase::Backoff));
        assert!(record.message().contains(&format!("retry {number} of 3")), "{}", record.message());
        while c.record(attempt.task).phase(false) == Some(Phase::Backoff) {
            c.wait(Duration::from_millis(100));
        }
        let waited = c.now.since(before);
        let full = Duration::from_secs(1 << (number - 1));
        assert!(waited >= full.mul_f64(0.75) && waited <= full + Duration::from_millis(100), "{number}: {waited:?}");
        attempt = c.place(attempt.task, "w1");
    }
    c.end(attempt, Outcome::of(Cause::ImagePull, "no such image")).unwrap();
    let record = c.record(attempt.task);
    assert_eq!((record.status(), record.reason()), (Status::Failed, Some(Reason::ImagePull)));
    assert_eq!(record.attempts.len(), 4);
}

#[test]
fn a_queued_task_that_is_cancelled_never_starts() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    c.cancel(task).unwrap();
    let record = c.record(task);
    assert_eq!((record.status(), record.reason()), (Status::Cancelled, Some(Reason::User)));
    assert!(c.starts().is_empty() && c.stops().is_empty());
}

#[test]
fn a_running_task_is_cancelling_until_its_worker_confirms() {
    let (mut c, attempt) = running();
    c.cancel(attempt.task).unwrap();
    assert_eq!(c.record(attempt.task).phase(false), Some(Phase::Cancelling));
    assert_eq!(c.stops(), [attempt]);
    c.cancel(attempt.task).unwrap();
    c.end(attempt, ran(Outcome { exit_code: Some(143), ..Outcome::of(Cause::Stopped, "") })).unwrap();
    let record = c.record(attempt.task);
    assert_eq!((record.status(), record.reason()), (Status::Cancelled, Some(Reason::User)));
}

#[test]
fn a_task_that_completed_before_the_stop_reached_it_is_completed() {
    let (mut c, attempt) = running();
    c.cancel(attempt.task).unwrap();
    c.end(attempt, ran(Outcome::exit(0))).unwrap();
    assert_eq!(c.record(attempt.task).status(), Status::Completed);
}

#[test]
fn a_start_that_was_never_heard_of_is_told_by_the_end() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.wait(Duration::from_secs(10));
    c.end(attempt, ran(Outcome::exit(0))).unwrap();
    let record = c.record(task);
    assert_eq!(record.finished_at.unwrap().since(record.started_at.unwrap()), RAN.unwrap());
}

#[test]
fn the_same_idempotency_key_makes_one_task() {
    let mut c = TestCluster::default();
    let keyed = |name: &str| spec(&[("idempotency_key", Value::Text("k".into())), ("name", Value::Text(name.into()))]);
    assert_eq!(c.submit(1, keyed("a")), Ok(task_id(1)));
    assert_eq!(c.submit(2, keyed("a")), Ok(task_id(1)));
    assert_eq!(c.submit(3, keyed("b")), Err(Rejected::KeyReused(task_id(1))));
    c.cancel(task_id(1)).unwrap();
    assert_eq!(c.submit(4, keyed("a")), Ok(task_id(1)), "also after its end");
}

/// What no worker could ever run is said at submit; that all are busy is not.
#[test]
fn unsatisfiable_flagged_busy_is_not() {
    let mut c = TestCluster::default();
    let large = || spec(&[("cpu_cores", Value::Int(8))]);
    c.submit(1, large()).expect("with no worker registered tasks wait");
    c.worker("w1", cores(4));
    let refused = c.submit(2, large()).unwrap_err();
    assert_eq!(refused.to_string(), "no worker can run this: it asks for 8 cpu, the largest worker offers 4 cpu");
    let pending = spec(&[("cpu_cores", Value::Int(8)), ("allow_pending", Value::Bool(true))]);
    c.submit(3, pending).expect("allow_pending");
    let all = || spec(&[("cpu_cores", Value::Int(4))]);
    let first = c.submit(4, all()).unwrap();
    c.place(first, "w1");
    c.submit(5, all()).expect("one that merely waits is accepted");
    let pinned = spec(&[("worker_id", Value::Text("nobody".into()))]);
    assert!(c.submit(6, pinned).unwrap_err().to_string().contains("worker nobody is not known"));
}
