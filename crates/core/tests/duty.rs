//! Workers that operators keep from work, empty and open again: SPEC 14.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::duty::Duty;
use cloudai_core::event::{
    Answer, DutyOrder, DutyWish, Event, Held, HeldStage, Placement, PlacementRefusal, Rejected, Removal,
};
use cloudai_core::ids::{Attempt, TaskId, UserId};
use cloudai_core::state::{Phase, Reason, Status};
use cloudai_core::task::{Cause, Outcome, Spent, Step};
use cloudai_core::testing::{TestCluster, cores, worker_id};
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;

fn order(c: &mut TestCluster, worker: &str, wish: DutyWish) -> Result<Answer, Rejected> {
    c.apply(Event::Duty(DutyOrder { worker: worker_id(worker), by: UserId::local(), wish }))
}

fn cordon(c: &mut TestCluster, worker: &str) {
    order(c, worker, DutyWish::Cordon { reason: "new disk".into() }).unwrap();
}

fn drain(c: &mut TestCluster, worker: &str, deadline: Option<Duration>) {
    order(c, worker, DutyWish::Drain { reason: String::new(), deadline }).unwrap();
}

fn is_refused(c: &mut TestCluster, task: TaskId, worker: &str) -> bool {
    let attempt = Attempt { task, number: 1 };
    match c.ok(Event::Place(vec![Placement { attempt, worker: worker_id(worker) }])) {
        Answer::Placed { taken: 0, refused } => refused[0].1 == PlacementRefusal::WorkerUnavailable,
        other => panic!("{other:?}"),
    }
}

fn held(attempt: Attempt, step: Step) -> Vec<Held> {
    vec![cloudai_core::testing::held(attempt, HeldStage::At(step))]
}

fn stopped() -> Outcome {
    Outcome { run: Some(S(1)), ..Outcome::of(Cause::Stopped, "ended after SIGTERM") }
}

#[test]
fn a_cordoned_worker_gets_nothing_new_and_ends_what_it_runs() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let (running, waiting) = (c.task(1), c.task(2));
    let attempt = c.place(running, "w1");
    c.step(attempt, Step::Running).unwrap();
    cordon(&mut c, "w1");
    assert!(is_refused(&mut c, waiting, "w1"));
    assert_eq!(c.stops(), []);
    c.end(attempt, Outcome::exit(0)).unwrap();
    assert_eq!(c.record(running).status(), Status::Completed);
    order(&mut c, "w1", DutyWish::Open).unwrap();
    c.place(waiting, "w1");
}

#[test]
fn a_duty_survives_registrations_silence_and_a_restart_of_the_master_but_not_the_removal_of_its_worker() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    cordon(&mut c, "w1");
    let rows = c.rows.len();
    cordon(&mut c, "w1");
    assert_eq!(c.rows.len(), rows, "the same order again changes nothing");
    c.wait(S(300));
    let mut c = c.restarted();
    c.worker("w1", cores(4));
    let task = c.task(1);
    assert!(is_refused(&mut c, task, "w1"));
    assert!(matches!(&c.worker_record("w1").duty, Duty::Cordoned(cordon) if cordon.reason == "new disk"));
    c.ok(Event::Remove(Removal { worker: worker_id("w1"), force: false }));
    c.worker("w1", cores(4));
    c.place(task, "w1");
}

#[test]
fn at_the_deadline_of_a_drain_what_runs_is_stopped_and_queued_again_uncounted() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    drain(&mut c, "w1", Some(S(20)));
    c.wait(S(19));
    assert_eq!(c.stops(), []);
    c.wait(S(1));
    assert_eq!(c.stops(), [attempt]);
    assert_eq!(c.worker_record("w1").duty.word(true), "draining");
    c.end(attempt, stopped()).unwrap();
    let record = c.record(task);
    assert_eq!((record.status(), record.reason()), (Status::Queued, Some(Reason::Drained)));
    assert_eq!((record.phase(false), record.spent), (Some(Phase::WaitingCapacity), Spent::default()));
    let said = &record.attempts[0].end.as_ref().unwrap().message;
    assert_eq!(said, "its worker was stopped or drained (ended after SIGTERM)");
    assert_eq!(c.worker_record("w1").duty.word(false), "drained");
    let next = c.cluster.next_deadline(c.now).map(|at| at.since(c.now));
    assert!(next.is_none_or(|wait| wait >= S(1)), "a deadline that has come is not waited for again");
}

#[test]
fn a_stop_of_a_drain_that_is_lost_is_repeated_until_the_attempt_has_ended() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let (task, late) = (c.task(1), c.task(2));
    let (attempt, unheard) = (c.place(task, "w1"), c.place(late, "w1"));
    c.step(attempt, Step::Running).unwrap();
    drain(&mut c, "w1", Some(S(0)));
    assert_eq!(c.stops(), [attempt, unheard], "a deadline of nothing has come at once");
    c.now = c.now + S(5);
    let starts = c.starts().len();
    c.heartbeat("w1", session, 0, held(attempt, Step::Running)).unwrap();
    assert_eq!(c.stops()[2..], [attempt, unheard]);
    c.ok(Event::Subscribed(worker_id("w1"), session));
    assert_eq!(c.stops()[4..], [attempt, unheard]);
    assert_eq!(c.starts().len(), starts, "what is to end is not begun any more");
    let mut c = c.restarted();
    c.register("w1", cores(4), held(attempt, Step::Running));
    assert_eq!(c.stops()[6..], [attempt], "the order outlives the master");
}

#[test]
fn the_deadline_of_a_drain_comes_also_after_a_restart_of_the_master() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    drain(&mut c, "w1", Some(S(40)));
    c.now = c.now + S(20);
    let mut c = c.restarted();
    let session = c.register("w1", cores(4), held(attempt, Step::Running));
    c.wait(S(19));
    c.heartbeat("w1", session, 0, held(attempt, Step::Running)).unwrap();
    assert_eq!(c.stops(), []);
    c.wait(S(1));
    assert_eq!(c.stops(), [attempt]);
}

#[test]
fn a_drain_without_a_deadline_waits_for_what_runs() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    drain(&mut c, "w1", None);
    for _ in 0..100 {
        c.wait(S(20));
        c.heartbeat("w1", session, 1, held(attempt, Step::Running)).unwrap();
    }
    assert_eq!(c.stops(), []);
    c.end(attempt, Outcome::exit(0)).unwrap();
    assert_eq!(c.record(task).status(), Status::Completed);
}

#[test]
fn a_drain_that_is_ended_before_its_deadline_stops_nothing() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let (task, waiting) = (c.task(1), c.task(2));
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    drain(&mut c, "w1", Some(S(20)));
    c.wait(S(10));
    order(&mut c, "w1", DutyWish::Open).unwrap();
    c.wait(S(15));
    c.heartbeat("w1", session, 1, held(attempt, Step::Running)).unwrap();
    c.place(waiting, "w1");
    assert_eq!(c.stops(), []);
    assert_eq!(order(&mut c, "w2", DutyWish::Open), Err(Rejected::NoSuchWorker(worker_id("w2"))));
}

#[test]
fn a_drain_that_is_ended_after_its_deadline_takes_back_the_stops_that_a_silent_worker_has_not_heard() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    drain(&mut c, "w1", Some(S(40)));
    c.wait(S(60));
    assert_eq!(c.stops(), [attempt]);
    order(&mut c, "w1", DutyWish::Open).unwrap();
    assert_eq!(c.heartbeat("w1", session, 1, held(attempt, Step::Running)), Err(Rejected::StaleSession));
    let session = c.register("w1", cores(4), held(attempt, Step::Running));
    c.ok(Event::Subscribed(worker_id("w1"), session));
    c.heartbeat("w1", session, 0, held(attempt, Step::Running)).unwrap();
    assert_eq!((c.stops(), c.record(task).status()), (vec![attempt], Status::Running));
}

#[test]
fn a_reason_stays_until_another_is_given() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    cordon(&mut c, "w1");
    let reason = |c: &TestCluster| c.worker_record("w1").duty.cordon().unwrap().reason.clone();
    let silent = || DutyWish::Cordon { reason: String::new() };
    order(&mut c, "w1", silent()).unwrap();
    assert_eq!(reason(&c), "new disk");
    drain(&mut c, "w1", None);
    assert_eq!(reason(&c), "new disk", "it is emptied for the same");
    order(&mut c, "w1", DutyWish::Cordon { reason: "sold".into() }).unwrap();
    assert_eq!(reason(&c), "sold");
    order(&mut c, "w1", DutyWish::Open).unwrap();
    order(&mut c, "w1", silent()).unwrap();
    assert_eq!(reason(&c), "", "what was opened since has none");
}
