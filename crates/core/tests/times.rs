//! Times at which tasks move by themselves, and holds: `not_before`, `hold`, `queue_timeout_s` and
//! `total_timeout_s` of SPEC 3.1.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::event::{Answer, Event, HeldStage, Placement, PlacementRefusal, Rejected};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::rfc3339;
use cloudai_core::spec::Value;
use cloudai_core::state::{Phase, Reason, Status, Warning};
use cloudai_core::task::{Cause, Outcome, Step};
use cloudai_core::testing::{START, TestCluster, cores, spec, worker_id};
use cloudai_core::time::Timestamp;
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;

/// A cluster with one worker and one task that was submitted with these fields.
fn submitted(fields: &[(&str, Value)]) -> (TestCluster, TaskId) {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.submit(1, spec(fields)).unwrap();
    (c, task)
}

fn seconds(field: &'static str, count: i64) -> (&'static str, Value) {
    (field, Value::Int(count))
}

fn held() -> (&'static str, Value) {
    ("hold", Value::Bool(true))
}

/// Places the next attempt; the worker comes anew, for it may have been silent for long.
fn place(c: &mut TestCluster, task: TaskId) -> Attempt {
    let session = c.worker("w1", cores(4));
    c.heartbeat("w1", session, 0, Vec::new()).unwrap();
    c.place(task, "w1")
}

fn phase(c: &TestCluster, task: TaskId) -> Option<Phase> {
    c.record(task).phase(false)
}

fn end(c: &TestCluster, task: TaskId) -> (Status, Option<Reason>) {
    (c.record(task).status(), c.record(task).reason())
}

fn refused(c: &mut TestCluster, task: TaskId) -> bool {
    let attempt = Attempt { task, number: c.record(task).number() + 1 };
    let placement = Placement { attempt, worker: worker_id("w1") };
    match c.ok(Event::Place(vec![placement])) {
        Answer::Placed { taken: 0, refused } => refused[0].1 == PlacementRefusal::Stale,
        _ => false,
    }
}

#[test]
fn a_task_is_not_placed_before_its_start_time() {
    let at = rfc3339::format(START + S(60));
    for not_before in [Value::Int(60), Value::Text(at)] {
        let (mut c, task) = submitted(&[("not_before", not_before)]);
        assert_eq!(phase(&c, task), Some(Phase::WaitingStartTime));
        assert!(refused(&mut c, task));
        c.wait(Duration::from_millis(59_999));
        assert_eq!(phase(&c, task), Some(Phase::WaitingStartTime));
        c.wait(Duration::from_millis(1));
        assert_eq!(phase(&c, task), Some(Phase::WaitingCapacity));
        place(&mut c, task);
    }
}

#[test]
fn a_start_time_that_is_past_means_now() {
    for not_before in [Value::Int(0), Value::Text("1970-01-01T00:00:00Z".into()), Value::Text(rfc3339::format(START))] {
        let (mut c, task) = submitted(&[("not_before", not_before)]);
        assert_eq!(phase(&c, task), Some(Phase::WaitingCapacity));
        place(&mut c, task);
    }
}

#[test]
fn a_start_time_that_came_while_the_master_was_away_is_kept() {
    let (mut c, task) = submitted(&[seconds("not_before", 60)]);
    c.now = c.now + S(30);
    let mut c = c.restarted();
    c.wait(S(29));
    assert_eq!(phase(&c, task), Some(Phase::WaitingStartTime));
    c.now = c.now + S(100);
    let mut c = c.restarted();
    c.wait(S(1));
    assert_eq!(phase(&c, task), Some(Phase::WaitingCapacity));
}

#[test]
fn a_held_task_is_not_placed_until_it_is_released() {
    let (mut c, task) = submitted(&[held()]);
    assert_eq!(phase(&c, task), Some(Phase::Held));
    assert!(c.record(task).message().contains(&format!("cloudai task release {task}")), "{}", c.record(task).message());
    c.wait(S(1000));
    assert!(refused(&mut c, task));
    c = c.restarted();
    assert!(refused(&mut c, task), "also by the next master");
    c.release(task).unwrap();
    assert_eq!((phase(&c, task), c.record(task).message()), (Some(Phase::WaitingCapacity), ""));
    place(&mut c, task);
}

#[test]
fn a_waiting_task_is_held_and_one_with_a_worker_is_not() {
    let (mut c, task) = submitted(&[]);
    c.hold(task).unwrap();
    let version = c.record(task).version;
    c.hold(task).unwrap();
    assert_eq!((phase(&c, task), c.record(task).version), (Some(Phase::Held), version), "twice is once");
    c.release(task).unwrap();
    let version = c.record(task).version;
    c.release(task).unwrap();
    assert_eq!(c.record(task).version, version, "a release of what nobody holds changes nothing");
    let attempt = place(&mut c, task);
    assert_eq!(c.hold(task), Err(Rejected::NotWaiting(task, Status::Pending)));
    c.step(attempt, Step::Running).unwrap();
    assert_eq!(c.hold(task), Err(Rejected::NotWaiting(task, Status::Running)));
    c.release(task).unwrap();
    c.end(attempt, Outcome::exit(0)).unwrap();
    assert_eq!(c.hold(task), Err(Rejected::NoSuchTask(task)));
    assert_eq!(c.release(task), Err(Rejected::NoSuchTask(task)));
}

#[test]
fn a_release_ends_a_backoff_and_no_start_time() {
    let (mut c, task) = submitted(&[seconds("not_before", 60)]);
    c.hold(task).unwrap();
    c.wait(S(30));
    c.release(task).unwrap();
    assert_eq!(phase(&c, task), Some(Phase::WaitingStartTime));
    c.hold(task).unwrap();
    c.wait(S(30));
    assert_eq!(phase(&c, task), Some(Phase::Held), "its start time passes and it stays held");
    c.release(task).unwrap();
    let attempt = place(&mut c, task);
    c.end(attempt, Outcome::of(Cause::ImagePull, "")).unwrap();
    assert_eq!(phase(&c, task), Some(Phase::Backoff));
    c.hold(task).unwrap();
    c.wait(S(600));
    assert_eq!(phase(&c, task), Some(Phase::Held));
    c.release(task).unwrap();
    assert_eq!((phase(&c, task), c.record(task).reason()), (Some(Phase::WaitingCapacity), Some(Reason::ImagePull)));
}

#[test]
fn a_held_task_can_be_cancelled() {
    let (mut c, task) = submitted(&[held(), seconds("total_timeout_s", 60)]);
    c.cancel(task).unwrap();
    assert_eq!(end(&c, task), (Status::Cancelled, Some(Reason::User)));
}

#[test]
fn a_task_that_waits_too_long_for_a_place_has_failed() {
    let (mut c, task) = submitted(&[seconds("queue_timeout_s", 60)]);
    c.wait(Duration::from_millis(59_999));
    assert_eq!(c.record(task).status(), Status::Queued);
    c.wait(Duration::from_millis(1));
    assert_eq!(end(&c, task), (Status::Failed, Some(Reason::QueueTimeout)));
    assert!(c.record(task).message().contains("queue_timeout_s") && c.record(task).attempts.is_empty());
}

#[test]
fn the_queue_time_runs_only_while_a_task_may_be_placed_and_anew_each_time() {
    let (mut c, task) = submitted(&[seconds("queue_timeout_s", 60), seconds("not_before", 100)]);
    c.wait(S(100));
    c.wait(S(59));
    c.hold(task).unwrap();
    c.wait(S(1000));
    c.release(task).unwrap();
    c.wait(S(59));
    let attempt = place(&mut c, task);
    c.step(attempt, Step::Running).unwrap();
    c.wait(S(100));
    assert_eq!(c.record(task).status(), Status::Running, "no limit of its run");
    c.end(attempt, Outcome::of(Cause::WorkerStopped, "")).unwrap();
    c.wait(S(59));
    assert_eq!(c.record(task).status(), Status::Queued);
    c.wait(S(1));
    assert_eq!(end(&c, task), (Status::Failed, Some(Reason::QueueTimeout)));
}

#[test]
fn a_task_whose_total_time_is_over_has_failed_wherever_it_waits() {
    type Row = (&'static str, Vec<(&'static str, Value)>, fn(&mut TestCluster, TaskId));
    let rows: [Row; 4] = [
        ("for a place", vec![], |_, _| {}),
        ("for its start time", vec![seconds("not_before", 5000)], |_, _| {}),
        ("held", vec![held()], |_, _| {}),
        ("in backoff", vec![], |c, task| {
            for _ in 0..3 {
                let attempt = place(c, task);
                c.end(attempt, Outcome::of(Cause::ImagePull, "")).unwrap();
                if c.record(task).spent.image_pull < 3 {
                    c.wait(S(4));
                }
            }
            let rest = (START + S(10)).since(c.now) - Duration::from_millis(1);
            c.wait(rest);
            assert_eq!(phase(c, task), Some(Phase::Backoff));
        }),
    ];
    for (row, mut fields, wait) in rows {
        fields.push(seconds("total_timeout_s", 10));
        let (mut c, task) = submitted(&fields);
        wait(&mut c, task);
        let rest = (START + S(10)).since(c.now);
        c.wait(rest - Duration::from_millis(1));
        assert_eq!(c.record(task).status(), Status::Queued, "{row}");
        c.wait(Duration::from_millis(1));
        assert_eq!(end(&c, task), (Status::Failed, Some(Reason::TimedOut)), "{row}");
        assert!(c.record(task).message().contains("--total-timeout"), "{row}: {}", c.record(task).message());
    }
}

/// A task of 60 s in all that runs on w1 when they are over.
fn overdue() -> (TestCluster, Attempt) {
    let (mut c, task) = submitted(&[seconds("total_timeout_s", 60)]);
    let attempt = place(&mut c, task);
    c.step(attempt, Step::Running).unwrap();
    c.wait(S(60));
    (c, attempt)
}

#[test]
fn a_running_task_whose_total_time_is_over_is_stopped_and_has_timed_out() {
    let (mut c, attempt) = overdue();
    let record = c.record(attempt.task);
    assert_eq!((record.status(), record.phase(false)), (Status::Running, Some(Phase::Cancelling)));
    assert!(record.message().contains("total_timeout_s"));
    assert_eq!(c.stops(), [attempt]);
    c.end(attempt, Outcome { exit_code: Some(143), ..Outcome::of(Cause::Stopped, "") }).unwrap();
    assert_eq!(end(&c, attempt.task), (Status::Failed, Some(Reason::TimedOut)));
    assert_eq!(c.record(attempt.task).attempts[0].end.as_ref().map(|end| end.accepted), Some(true));
}

#[test]
fn what_ends_an_overdue_attempt_decides_its_result() {
    let of = |cause| Outcome::of(cause, "");
    let rows = [
        (Outcome::exit(0), (Status::Completed, None)),
        (Outcome::exit(3), (Status::Failed, Some(Reason::TimedOut))),
        (of(Cause::LeaseEnded), (Status::Failed, Some(Reason::TimedOut))),
        (of(Cause::WorkerStopped), (Status::Failed, Some(Reason::TimedOut))),
        (of(Cause::Vanished), (Status::Failed, Some(Reason::TimedOut))),
        (of(Cause::ImagePull), (Status::Failed, Some(Reason::TimedOut))),
        (of(Cause::EngineError), (Status::Failed, Some(Reason::TimedOut))),
    ];
    for (outcome, expected) in rows {
        let (mut c, attempt) = overdue();
        c.end(attempt, outcome.clone()).unwrap();
        assert_eq!(end(&c, attempt.task), expected, "{outcome:?}");
    }
    let (mut c, attempt) = overdue();
    c.cancel(attempt.task).unwrap();
    c.end(attempt, of(Cause::Stopped)).unwrap();
    assert_eq!(end(&c, attempt.task), (Status::Cancelled, Some(Reason::User)), "a user's word counts more");
}

#[test]
fn the_stop_of_an_overdue_attempt_is_repeated_until_it_is_heard() {
    let (c, attempt) = overdue();
    let mut c = c.restarted();
    let held = vec![cloudai_core::testing::held(attempt, HeldStage::At(Step::Running))];
    let before = c.stops().len();
    let session = c.register("w1", cores(4), held.clone());
    c.heartbeat("w1", session, 0, held).unwrap();
    assert!(c.stops()[before..].iter().all(|stopped| *stopped == attempt) && c.stops().len() > before);
    let starts = c.starts().len();
    c.ok(Event::Subscribed(worker_id("w1"), session));
    c.heartbeat("w1", session, 99, vec![]).unwrap();
    assert_eq!(c.starts().len(), starts, "it is never started again");
}

#[test]
fn an_overdue_task_of_a_lost_worker_has_timed_out_and_is_not_tried_again() {
    let (mut c, attempt) = overdue();
    c.wait(S(130));
    let record = c.record(attempt.task);
    assert_eq!((record.status(), record.reason()), (Status::Failed, Some(Reason::TimedOut)));
    assert_eq!(record.finished().unwrap().warnings, [Warning::LogIncomplete]);
    let said = "nobody has confirmed the end: its worker was silent for longer than its lease; should its container";
    assert!(record.message().contains(said), "{}", record.message());
}

#[test]
fn the_total_time_goes_on_from_one_attempt_to_the_next() {
    let (mut c, task) = submitted(&[seconds("total_timeout_s", 60)]);
    for _ in 0..2 {
        let attempt = place(&mut c, task);
        c.wait(S(20));
        c.end(attempt, Outcome::of(Cause::WorkerStopped, "")).unwrap();
    }
    let attempt = place(&mut c, task);
    c.wait(Duration::from_millis(19_999));
    assert!(c.stops().is_empty());
    c.wait(Duration::from_millis(1));
    assert_eq!(c.stops(), [attempt]);
}

#[test]
fn the_end_of_the_total_time_among_retries_is_a_timeout_that_names_both() {
    let exit = Value::List(vec![Value::Text("exit_code".into())]);
    let retries = Value::Map(vec![("max".into(), Value::Int(9)), ("on".into(), exit)]);
    // Between two attempts.
    let (mut c, task) = submitted(&[seconds("total_timeout_s", 60), ("retries", retries.clone())]);
    c.wait(S(50));
    let attempt = place(&mut c, task);
    c.end(attempt, Outcome::exit(1)).unwrap();
    assert_eq!(phase(&c, task), Some(Phase::Backoff));
    c.wait(S(10));
    let message = |c: &TestCluster| c.record(task).message().to_owned();
    let advice = |task: TaskId| format!("again with more time: cloudai task retry {task} --total-timeout 2m");
    assert_eq!(end(&c, task), (Status::Failed, Some(Reason::TimedOut)));
    let said = "its total_timeout_s of 60 s was over after 1 attempt, which ended with exit code 1";
    assert_eq!(message(&c), format!("{said}; {}", advice(task)));
    // While the last one was being stopped it failed by itself.
    let (mut c, task) = submitted(&[seconds("total_timeout_s", 60), ("retries", retries)]);
    for _ in 0..2 {
        let attempt = place(&mut c, task);
        c.end(attempt, Outcome::exit(7)).unwrap();
        c.wait(S(29));
    }
    let attempt = place(&mut c, task);
    c.wait(S(2));
    c.end(attempt, Outcome::exit(1)).unwrap();
    let record = c.record(task);
    assert_eq!((record.status(), record.reason()), (Status::Failed, Some(Reason::TimedOut)));
    assert_eq!(record.finished().unwrap().exit_code, Some(1));
    let said = "its total_timeout_s of 60 s was over after 3 attempts, the last ended with exit code 1";
    assert_eq!(record.message(), format!("{said}; {}", advice(task)));
}

#[test]
fn the_end_of_a_wait_says_what_it_waited_for() {
    let fields = [seconds("queue_timeout_s", 60), ("cpu_cores", Value::Int(3))];
    let (mut c, task) = submitted(&fields);
    let session = c.worker("w1", cores(4));
    let other = c.submit(2, spec(&[("cpu_cores", Value::Int(2))])).unwrap();
    let attempt = c.place(other, "w1");
    for _ in 0..6 {
        c.wait(S(10));
        let held = vec![cloudai_core::testing::held(attempt, HeldStage::At(Step::Running))];
        c.heartbeat("w1", session, 1, held).unwrap();
    }
    assert_eq!(end(&c, task), (Status::Failed, Some(Reason::QueueTimeout)));
    let said = "it waited for a place longer than its queue_timeout_s of 60 s: no worker has room; w1 comes nearest \
                (cpu: needs 3, has 2 free); to wait longer: cloudai task retry";
    assert_eq!(c.record(task).message(), format!("{said} {task} --queue-timeout 2m"));
}

#[test]
fn a_worker_is_not_told_what_only_the_master_decides_by() {
    let text = rfc3339::format(Timestamp::from_millis(5));
    let fields = [
        held(),
        seconds("queue_timeout_s", 1),
        seconds("total_timeout_s", 2),
        ("not_before", Value::Text(text.clone())),
        ("deadline", Value::Text(text)),
        seconds("estimate_s", 4),
        seconds("timeout_s", 3),
    ];
    let Value::Map(told) = spec(&fields).for_worker() else { panic!("no map") };
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"timeout_s"));
    for name in ["hold", "queue_timeout_s", "total_timeout_s", "not_before", "estimate_s", "deadline"] {
        assert!(!names.contains(&name), "{name}");
    }
}
