//! What attempts took and how long they waited: kept with their ends, and what tasks of a name should ask for by it.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::resources::{GIB, MIB};
use cloudai_core::sizing::{LEAST, by_name};
use cloudai_core::spec::Value;
use cloudai_core::task::{Cause, Outcome, Step, TaskRecord, Used};
use cloudai_core::testing::{TestCluster, cores, spec};
use std::sync::Arc;
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;

/// A run of ten seconds that took half a core and so much memory.
fn took(peak_memory: u64) -> Outcome {
    let used = Used { peak_memory: Some(peak_memory), cpu: Some(S(5)), pulled: Some(S(1)) };
    Outcome { run: Some(S(10)), used, ..Outcome::exit(0) }
}

/// A task of this name and 4 GiB that ended so.
fn ended(c: &mut TestCluster, number: u128, name: &str, outcome: Outcome) -> Arc<TaskRecord> {
    let task = c.submit(number, spec(&[("name", Value::Text(name.into())), ("memory_gb", Value::Int(4))])).unwrap();
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    c.end(attempt, outcome).unwrap();
    c.record(task)
}

#[test]
fn an_attempt_keeps_what_it_took_and_how_long_its_task_waited_for_the_place() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    c.wait(S(3));
    c.hold(task).unwrap();
    c.wait(S(4));
    c.release(task).unwrap();
    c.wait(S(2));
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    assert_eq!(c.record(task).attempts[0].waited, Some(S(2)), "while it was held it waited for no place");
    // Its worker stops: that attempt is nobody's failure, and took what it took.
    let stopped = Outcome { exit_code: None, cause: Cause::WorkerStopped, ..took(MIB) };
    c.end(attempt, stopped).unwrap();
    c.wait(S(5));
    let attempt = c.place(task, "w1");
    c.end(attempt, took(2 * MIB)).unwrap();
    let record = c.record(task);
    let kept: Vec<_> = record.attempts.iter().map(|attempt| (attempt.waited, attempt.end.clone().unwrap())).collect();
    for ((waited, end), (expected, peak)) in kept.iter().zip([(S(2), MIB), (S(5), 2 * MIB)]) {
        assert_eq!(*waited, Some(expected));
        assert_eq!((end.run, end.used), (Some(S(10)), took(peak).used));
    }
}

#[test]
fn a_record_of_before_this_was_kept_is_read_and_tells_nothing() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let record = ended(&mut c, 1, "a", took(MIB));
    let mut json = serde_json::to_value(&*record).unwrap();
    let read = |json: &serde_json::Value| serde_json::from_value::<TaskRecord>(json.clone()).unwrap();
    assert_eq!(read(&json), *record);
    let attempt = json["attempts"][0].as_object_mut().unwrap();
    attempt.remove("waited").unwrap();
    let end = attempt["end"].as_object_mut().unwrap();
    for field in ["run", "used"] {
        end.remove(field).unwrap();
    }
    let old = read(&json);
    let end = old.attempts[0].end.as_ref().unwrap();
    assert_eq!((old.attempts[0].waited, end.run, end.used), (None, None, Used::default()));
    assert_eq!(serde_json::to_value(&old).unwrap(), json, "what is not known is not written");
}

#[test]
fn what_tasks_of_a_name_need_is_told_by_those_that_completed_or_were_killed_for_their_memory() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let oom = || Outcome { oom_killed: true, exit_code: Some(137), ..took(4 * GIB) };
    let mut tasks = vec![ended(&mut c, 1, "b", oom())];
    tasks.extend((2..7).map(|number| ended(&mut c, number, "a", took(100 * MIB))));
    // Of these nobody knows what they would have needed.
    tasks.push(ended(&mut c, 7, "a", Outcome { exit_code: Some(1), ..took(GIB) }));
    tasks.push(ended(&mut c, 8, "a", Outcome { cause: Cause::TimedOut, exit_code: Some(143), ..took(GIB) }));
    tasks.reverse();
    let advised = by_name(tasks.iter().map(|task| &**task), 200, 950);
    let names: Vec<_> = advised.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let (a, b) = (&advised[0].1, &advised[1].1);
    assert_eq!((a.attempts, a.measured, a.oom, a.asked_memory), (LEAST, LEAST, 0, 4 * GIB));
    assert_eq!(a.proposed.unwrap().flags(), "--mem 128m --cpus 0.5 --timeout 20s");
    assert_eq!((a.wasted_cpu, a.memory.unwrap().most), (Some(500), 100 * MIB));
    assert_eq!((b.attempts, b.oom, b.proposed), (1, 1, None));
    let advised = by_name(tasks.iter().map(|task| &**task), 2, 950);
    assert_eq!(advised[0].1.attempts, 2, "only the latest count");
}
