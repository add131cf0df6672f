//! What users of other systems reported, each as a claim under the name that it has in the list of
//! such reports. Those that need a container engine or real processes stand there, by the same rule.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::event::{Answer, Event, HeldStage, Placement, PlacementRefusal, Rejected, Removal};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::spec::DEFAULT_RETRIES;
use cloudai_core::state::{Reason, Status, Warning};
use cloudai_core::task::{Outcome, Step};
use cloudai_core::testing::{TestCluster, cores, held, worker_id};
use std::time::Duration;

/// Silence after which a worker's attempts are given up, and a backoff is surely over (SPEC 3.3.4).
const LOST: Duration = Duration::from_secs(131);
const BACKOFF: Duration = Duration::from_secs(120);

fn propose(c: &mut TestCluster, task: TaskId, number: u32, worker: &str) -> Answer {
    c.ok(Event::Place(vec![Placement { attempt: Attempt { task, number }, worker: worker_id(worker) }]))
}

#[test]
fn disconnect_counts_to_limit() {
    let mut c = TestCluster::default();
    let task = c.task(1);
    for lost in 1..=DEFAULT_RETRIES + 1 {
        c.worker("w1", cores(4));
        let attempt = c.place(task, "w1");
        c.step(attempt, Step::Running).unwrap();
        c.wait(LOST);
        let record = c.record(task);
        assert_eq!(record.reason(), Some(Reason::WorkerLost), "loss {lost}");
        if lost <= DEFAULT_RETRIES {
            assert_eq!((record.status(), record.spent.worker_lost), (Status::Queued, lost));
            c.wait(BACKOFF);
        }
    }
    let record = c.record(task);
    let end = record.finished().unwrap();
    assert_eq!((end.status, record.spent.worker_lost, record.attempts.len()), (Status::Failed, DEFAULT_RETRIES, 4));
    assert!(end.message.contains("retries are used up"), "{}", end.message);
    assert_eq!(end.warnings, [Warning::LogIncomplete], "nobody has the rest of its log");
}

#[test]
fn worker_dead_frees_slots() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(2));
    c.worker("w2", cores(2));
    let tasks = [c.task(1), c.task(2)];
    for task in tasks {
        c.place(task, "w1");
    }
    let third = c.task(3);
    assert!(matches!(propose(&mut c, third, 1, "w1"), Answer::Placed { taken: 0, .. }), "it is full");
    c.wait(LOST + BACKOFF);
    c.worker("w1", cores(2));
    for task in tasks {
        c.place(task, "w1");
    }
    assert_eq!(tasks.map(|task| c.record(task).attempt().number), [2, 2], "all of its room was free again");
}

#[test]
fn assign_to_gone_worker_requeues() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let (before, after) = (c.task(1), c.task(2));
    c.place(before, "w1");
    c.ok(Event::Remove(Removal { worker: worker_id("w1"), force: true }));
    assert_eq!(c.record(before).status(), Status::Queued, "what was placed there goes elsewhere");
    // A strategy that has not heard of it yet.
    let refused = propose(&mut c, after, 1, "w1");
    assert!(
        matches!(&refused, Answer::Placed { taken: 0, refused } if refused[0].1 == PlacementRefusal::WorkerUnavailable),
        "{refused:?}"
    );
    assert_eq!(c.record(after).status(), Status::Queued);
    c.wait(BACKOFF);
    c.worker("w2", cores(4));
    c.place(before, "w2");
    c.place(after, "w2");
}

#[test]
fn zombie_purged_once() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    c.wait(LOST);
    let (rows, spent) = (c.rows.len(), c.record(task).spent);
    c.wait(Duration::from_secs(600));
    assert_eq!(c.rows.len(), rows, "that it stays away is no news");
    // Its worker comes back with it: it is stopped, its end is nobody's, and it is counted no more.
    let session = c.register("w1", cores(4), vec![held(attempt, HeldStage::At(Step::Running))]);
    assert_eq!(c.stops(), [attempt]);
    assert_eq!(c.end(attempt, Outcome::exit(0)), Err(Rejected::Superseded(attempt)));
    c.heartbeat("w1", session, 1, vec![]).unwrap();
    let record = c.record(task);
    assert_eq!((record.status(), record.spent, record.attempts.len()), (Status::Queued, spent, 1));
}
