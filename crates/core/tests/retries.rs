//! `retries` of SPEC 3.1 and 3.2: a budget for each cause, waits that grow, and what is never tried again.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::ids::TaskId;
use cloudai_core::resources::Capacity;
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::state::{Phase, Reason, Status};
use cloudai_core::task::{Cause, LogEnd, Outcome, OutputFile};
use cloudai_core::testing::{TestCluster, cores, cores_and_gpus, spec};
use std::time::Duration;

fn text(word: &str) -> Value {
    Value::Text(word.into())
}

fn codes(codes: &[i64]) -> Value {
    Value::Map(vec![("exit_code".into(), Value::List(codes.iter().copied().map(Value::Int).collect()))])
}

fn retries(max: i64, on: Vec<Value>) -> Value {
    Value::Map(vec![("max".into(), Value::Int(max)), ("on".into(), Value::List(on))])
}

fn submitted(policy: Option<Value>) -> (TestCluster, TaskId) {
    let mut c = TestCluster::default();
    let fields: Vec<_> = policy.map(|policy| ("retries", policy)).into_iter().collect();
    let task = c.submit(1, spec(&fields)).unwrap();
    (c, task)
}

/// Runs the next attempt once its wait is over, and ends it so; answers how long it waited.
fn attempt(c: &mut TestCluster, task: TaskId, outcome: Outcome) -> Duration {
    attempt_on(c, task, cores(4), outcome)
}

/// The same on a worker that is not the usual one.
fn attempt_on(c: &mut TestCluster, task: TaskId, w1: Capacity, outcome: Outcome) -> Duration {
    let before = c.now;
    while c.record(task).phase(false) == Some(Phase::Backoff) {
        c.wait(Duration::from_millis(100));
    }
    let waited = c.now.since(before);
    let session = c.worker("w1", w1);
    c.heartbeat("w1", session, 0, Vec::new()).unwrap();
    let attempt = c.place(task, "w1");
    c.end(attempt, outcome).unwrap();
    waited
}

fn of(cause: Cause) -> Outcome {
    Outcome::of(cause, "")
}

fn oom() -> Outcome {
    Outcome { oom_killed: true, ..Outcome::exit(137) }
}

/// How many attempts a task has when each ends like this; all but the last leave it in backoff.
fn attempts(policy: Option<Value>, outcome: &Outcome) -> usize {
    let (mut c, task) = submitted(policy);
    loop {
        attempt(&mut c, task, outcome.clone());
        let record = c.record(task);
        if record.status() == Status::Failed {
            let accepted = |end: &cloudai_core::task::AttemptEnd| end.accepted;
            let taken = record.attempts.iter().filter(|one| one.end.as_ref().is_some_and(accepted)).count();
            assert_eq!(taken, 1, "one attempt is the result");
            let retried = record.attempts.len() > 1;
            assert_eq!(record.finished().unwrap().dead, retried, "dead letters had retries, and used them up");
            return record.attempts.len();
        }
        assert_eq!((record.status(), record.phase(false)), (Status::Queued, Some(Phase::Backoff)));
        assert!(record.attempts.len() < 20);
    }
}

#[test]
fn a_cause_is_tried_again_as_often_as_its_budget_says() {
    let exit = || text("exit_code");
    let rows: Vec<(&str, Option<Value>, Outcome, usize)> = vec![
        ("defaults: worker_lost 3", None, of(Cause::Vanished), 4),
        ("defaults: engine_error counts there", None, of(Cause::EngineError), 4),
        ("defaults: image_pull 3", None, of(Cause::ImagePull), 4),
        ("defaults: all others 0", None, Outcome::exit(1), 1),
        ("defaults: all others 0, memory", None, oom(), 1),
        ("max per named cause", Some(retries(5, vec![text("oom"), text("worker_lost")])), oom(), 6),
        ("max per named cause", Some(retries(5, vec![text("oom"), text("worker_lost")])), of(Cause::Vanished), 6),
        ("unnamed causes keep their defaults", Some(retries(5, vec![text("oom")])), of(Cause::ImagePull), 4),
        ("unnamed causes keep their defaults", Some(retries(5, vec![text("oom")])), Outcome::exit(1), 1),
        ("none for a named one", Some(retries(0, vec![text("image_pull")])), of(Cause::ImagePull), 1),
        ("any code", Some(retries(2, vec![exit()])), Outcome::exit(77), 3),
        ("a listed code", Some(retries(2, vec![codes(&[3, 77])])), Outcome::exit(77), 3),
        ("a code that is not listed", Some(retries(2, vec![codes(&[3, 4])])), Outcome::exit(77), 1),
        ("the kernel's kill is no exit code", Some(retries(2, vec![exit()])), oom(), 1),
        ("137 without it is one", Some(retries(2, vec![codes(&[137])])), Outcome::exit(137), 3),
        ("time limits are never tried again", Some(retries(2, vec![exit()])), of(Cause::TimedOut), 1),
        ("nor refused starts", Some(retries(2, vec![exit()])), of(Cause::StartError), 1),
        ("without `on` the program's own", Some(Value::Map(vec![])), Outcome::exit(1), 4),
        ("without `on` the program's own, memory", Some(Value::Map(vec![])), oom(), 4),
    ];
    for (row, policy, outcome, expected) in rows {
        assert_eq!(attempts(policy, &outcome), expected, "{row}: {outcome:?}");
    }
}

#[test]
fn the_budgets_of_two_causes_are_apart() {
    let (mut c, task) = submitted(Some(retries(2, vec![text("exit_code"), text("oom")])));
    let ends = [Outcome::exit(1), oom(), of(Cause::ImagePull), oom(), Outcome::exit(2), of(Cause::Vanished)];
    for outcome in ends {
        attempt(&mut c, task, outcome);
        assert_eq!(c.record(task).phase(false), Some(Phase::Backoff));
    }
    let spent = c.record(task).spent;
    assert_eq!((spent.exit_code, spent.oom, spent.image_pull, spent.worker_lost), (2, 2, 1, 1));
    attempt(&mut c, task, oom());
    let record = c.record(task);
    assert_eq!((record.status(), record.reason()), (Status::Failed, Some(Reason::OomKilled)));
    let said = format!("(all 2 retries are used up; again with more memory: cloudai task retry {task} --mem 1g)");
    assert!(record.message().ends_with(&said), "{}", record.message());
}

#[test]
fn an_end_by_a_limit_names_the_command_that_raises_it() {
    let told = |cause: Cause, message: &str| Outcome::of(cause, message);
    let rows = [
        (oom(), "more memory", "--mem 1g"),
        (Outcome { message: "killed for its memory".into(), ..oom() }, "killed for its memory; again", "--mem 1g"),
        (told(Cause::TimedOut, ""), "more time", "--timeout 2m"),
        (told(Cause::StorageExceeded, "used 2 GiB"), "used 2 GiB; again with more disk", "--disk 2g"),
    ];
    for (outcome, said, flag) in rows {
        let mut c = TestCluster::default();
        let task = c.submit(1, spec(&[("timeout_s", Value::Int(60))])).unwrap();
        attempt(&mut c, task, outcome);
        let record = c.record(task);
        let (message, command) = (record.message(), format!("cloudai task retry {task} {flag}"));
        assert!(message.contains(said) && message.ends_with(&command), "{message}");
    }
    let (mut c, task) = submitted(None);
    attempt(&mut c, task, Outcome::exit(1));
    assert!(!c.record(task).message().contains("task retry"), "{}", c.record(task).message());
}

#[test]
fn nobody_is_told_to_ask_for_more_than_a_worker_that_could_run_the_task_has() {
    let disk = || Outcome::of(Cause::StorageExceeded, "");
    let gb = |field, amount| (field, Value::Int(amount));
    let (pinned, gpu) = (("worker_id", text("w1")), gb("gpu_cores", 1));
    // w1 has 8 GiB, 40 GiB of disk and a device.
    let rows = [
        ("3 of 8", vec![gb("memory_gb", 3)], None, oom(), "again with more memory", "--mem 6g"),
        ("5 of 8", vec![gb("memory_gb", 5)], None, oom(), "again with all the memory that a worker has", "--mem 8g"),
        ("8 of 8", vec![gb("memory_gb", 8)], None, oom(), "no worker has more memory for it than these 8 GiB", ""),
        ("8 of 16", vec![gb("memory_gb", 8)], Some(8), oom(), "again with more memory", "--mem 16g"),
        ("8 of its 8", vec![gb("memory_gb", 8), pinned], Some(8), oom(), "no worker has more memory", ""),
        ("w2 has no device", vec![gb("memory_gb", 8), gpu], Some(8), oom(), "no worker has more memory", ""),
        (
            "30 of 40",
            vec![gb("storage_gb", 30)],
            None,
            disk(),
            "again with all the disk that a worker has",
            "--disk 40g",
        ),
        ("40 of 40", vec![gb("storage_gb", 40)], None, disk(), "no worker has more disk", ""),
    ];
    for (row, fields, other, outcome, said, flag) in rows {
        let mut c = TestCluster::default();
        c.worker("w1", cores_and_gpus(4, 1));
        other.map(|other| c.worker("w2", cores(other)));
        let task = c.submit(1, spec(&fields)).unwrap();
        attempt_on(&mut c, task, cores_and_gpus(4, 1), outcome);
        let next =
            if flag.is_empty() { "see: cloudai worker list".into() } else { format!("task retry {task} {flag}") };
        let record = c.record(task);
        let message = record.message();
        assert!(message.contains(said) && message.ends_with(&next), "{row}: {message}");
    }
}

#[test]
fn waits_grow_by_the_factor_up_to_the_longest() {
    let Value::Map(mut policy) = retries(4, vec![text("exit_code")]) else { unreachable!() };
    policy.extend([("initial_s", 10), ("factor", 3), ("max_s", 60)].map(|(name, n)| (name.into(), Value::Int(n))));
    let (mut c, task) = submitted(Some(Value::Map(policy)));
    attempt(&mut c, task, Outcome::exit(1));
    for full in [10, 30, 60, 60] {
        let (waited, full) = (attempt(&mut c, task, Outcome::exit(1)), Duration::from_secs(full));
        assert!(waited >= full.mul_f64(0.75) && waited <= full + Duration::from_millis(100), "{full:?}: {waited:?}");
    }
    assert_eq!(c.record(task).status(), Status::Failed);
}

#[test]
fn a_completed_attempt_ends_the_retries() {
    let (mut c, task) = submitted(Some(retries(3, vec![text("exit_code")])));
    attempt(&mut c, task, Outcome::exit(1));
    attempt(&mut c, task, Outcome::exit(0));
    assert_eq!((c.record(task).status(), c.record(task).attempts.len()), (Status::Completed, 2));
}

#[test]
fn only_the_files_of_the_last_attempt_are_the_tasks() {
    let file = |path: &str| OutputFile { path: path.into(), size: 1, sha256: Sha256([0; 32]) };
    let ended = |path| Outcome { outputs: vec![file(path)], log: LogEnd::default(), ..Outcome::exit(1) };
    let (mut c, task) = submitted(Some(retries(1, vec![text("exit_code")])));
    attempt(&mut c, task, ended("first"));
    attempt(&mut c, task, ended("second"));
    let kept = c.rows.iter().filter_map(|row| match row {
        cloudai_core::effect::Row::Outputs(attempt, files) => Some((attempt.number, files[0].path.clone())),
        _ => None,
    });
    assert_eq!(kept.collect::<Vec<_>>(), [(2, "second".to_owned())]);
}

#[test]
fn a_cancelled_or_overdue_task_is_not_tried_again() {
    for cancelled in [true, false] {
        let mut c = TestCluster::default();
        c.worker("w1", cores(4));
        let policy = ("retries", retries(3, vec![text("exit_code")]));
        let task = c.submit(1, spec(&[policy, ("total_timeout_s", Value::Int(10))])).unwrap();
        let attempt = c.place(task, "w1");
        if cancelled {
            c.cancel(task).unwrap();
        } else {
            c.wait(Duration::from_secs(10));
        }
        c.end(attempt, Outcome::exit(1)).unwrap();
        let reason = if cancelled { Reason::ExitCode } else { Reason::TimedOut };
        assert_eq!((c.record(task).status(), c.record(task).reason()), (Status::Failed, Some(reason)));
    }
}

#[test]
fn a_policy_reads_back_as_it_was_written_and_no_worker_is_told_of_it() {
    let policy = |fields: Vec<(&str, Value)>| {
        Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let policies = [
        policy(vec![]),
        policy(vec![("max", Value::Int(0)), ("on", Value::List(vec![text("worker_lost")]))]),
        policy(vec![("on", Value::List(vec![text("oom"), codes(&[1, 255]), text("image_pull")]))]),
        policy(vec![("initial_s", Value::Int(3600)), ("factor", Value::Float(1.25))]),
    ];
    for policy in policies {
        let spec = spec(&[("retries", policy)]);
        assert_eq!(TaskSpec::from_value(&spec.to_value()).as_ref(), Ok(&*spec));
        let Value::Map(told) = spec.for_worker() else { panic!("no map") };
        assert!(told.iter().all(|(name, _)| name != "retries"));
    }
}
