//! What workers tell of another life of the cluster's data, and what a life does not say again.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::cluster::{Cluster, Start};
use cloudai_core::event::{Event, Heartbeat, Held, HeldStage, Rejected};
use cloudai_core::ids::{Attempt, CommandSeq, Incarnation, Session};
use cloudai_core::state::Status;
use cloudai_core::task::Step;
use cloudai_core::testing::{TestCluster, cores, held, worker_id};
use cloudai_core::timing::Timing;
use std::time::Duration;

/// The attempt of the same number that another life of the data ordered, and that runs.
fn of_another_life(attempt: Attempt) -> Held {
    Held { incarnation: Incarnation(7), ..held(attempt, HeldStage::At(Step::Running)) }
}

/// A task that is assigned to `w1` and of which its worker has told nothing yet.
fn assigned() -> (TestCluster, Session, Attempt) {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    (c, session, attempt)
}

fn beat(session: Session, seen: u64, held: Vec<Held>) -> Event {
    let (worker, seen) = (worker_id("w1"), CommandSeq(seen));
    Event::Heartbeat(Heartbeat { worker, session, seen, held, draining: false, unfit: None, images: None })
}

#[test]
fn a_step_of_another_lifes_attempt_is_refused_though_the_number_is_the_same() {
    let (mut c, _, attempt) = assigned();
    assert_eq!(c.apply(Event::Progress(of_another_life(attempt))), Err(Rejected::WrongIncarnation));
    assert_eq!(c.record(attempt.task).active().unwrap().step, Step::Assigned);
    c.ok(Event::Progress(held(attempt, HeldStage::At(Step::Running))));
    assert_eq!(c.record(attempt.task).status(), Status::Running);
}

#[test]
fn what_a_registration_tells_of_another_life_is_neither_taken_for_the_own_nor_stopped() {
    let (mut c, _, attempt) = assigned();
    c.sent.clear();
    c.register("w1", cores(4), vec![of_another_life(attempt)]);
    assert_eq!(c.record(attempt.task).active().unwrap().step, Step::Assigned);
    assert!(c.sent.is_empty(), "a stop would end the master's own of this number: {:?}", c.sent);
}

#[test]
fn a_heartbeat_that_holds_another_lifes_attempt_lacks_the_masters_own() {
    let (mut c, session, attempt) = assigned();
    c.ok(beat(session, 1, vec![held(attempt, HeldStage::At(Step::Running))]));
    c.ok(beat(session, 1, vec![of_another_life(attempt)]));
    assert!(c.record(attempt.task).active().is_none(), "its own has vanished");
}

#[test]
fn a_session_of_the_lost_future_is_not_given_again() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let backup = c.cluster.workers().cloned().collect();
    c.wait(Duration::from_secs(1));
    let lost = c.worker("w1", cores(4));
    c.wait(Duration::from_secs(1));
    let start = Start { incarnation: Incarnation(2), workers: backup, ..Start::default() };
    c.cluster = Cluster::new(Timing::default(), start, c.now);
    assert!(c.worker("w1", cores(4)) > lost);
}
