//! Workers that are heard and hear nothing: SPEC 3.3.4.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::effect::Command;
use cloudai_core::event::{Answer, DutyOrder, DutyWish, Event, Held, HeldStage, Placement, PlacementRefusal};
use cloudai_core::ids::{Attempt, Session, TaskId, UserId};
use cloudai_core::spec::Value;
use cloudai_core::state::{Reason, Status};
use cloudai_core::task::{Outcome, Spent, Step};
use cloudai_core::testing::{TestCluster, cores, held, spec, worker_id};
use cloudai_core::worker::WorkerStatus;
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;
/// Between heartbeats.
const BEAT: Duration = Duration::from_secs(5);

fn at(attempt: Attempt, step: Step) -> Held {
    held(attempt, HeldStage::At(step))
}

fn status(c: &TestCluster) -> WorkerStatus {
    c.worker_record("w1").status
}

fn gives_nothing(c: &mut TestCluster, task: TaskId) -> bool {
    let attempt = Attempt { task, number: c.record(task).number() + 1 };
    match c.ok(Event::Place(vec![Placement { attempt, worker: worker_id("w1") }])) {
        Answer::Placed { taken: 0, refused } => refused[0].1 == PlacementRefusal::WorkerUnavailable,
        other => panic!("{other:?}"),
    }
}

/// Heartbeats that all tell the same, for so long.
fn beats(c: &mut TestCluster, session: Session, seen: u64, held: &[Held], time: Duration) {
    let end = c.now + time;
    while c.now < end {
        c.wait(BEAT);
        // One that is refused tells the worker that its session is over.
        let _ = c.heartbeat("w1", session, seen, held.to_vec());
    }
}

/// A worker that runs a task, was given a second one, and has not taken that in for 30 s.
fn deaf() -> (TestCluster, Session, Attempt, Attempt) {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let (runs, waits) = (c.task(1), c.task(2));
    let running = c.place(runs, "w1");
    c.heartbeat("w1", session, 1, vec![at(running, Step::Running)]).unwrap();
    let unbegun = c.place(waits, "w1");
    beats(&mut c, session, 1, &[at(running, Step::Running)], S(25));
    assert_eq!(status(&c), WorkerStatus::Active, "it may still be on its way");
    beats(&mut c, session, 1, &[at(running, Step::Running)], S(5));
    assert_eq!(status(&c), WorkerStatus::Deaf);
    (c, session, running, unbegun)
}

#[test]
fn a_worker_that_takes_no_command_in_for_30_s_is_deaf_and_gets_nothing_new() {
    let (mut c, session, ..) = deaf();
    let other = c.task(3);
    assert!(gives_nothing(&mut c, other));
    assert!(c.heartbeat("w1", session, 2, vec![]).is_err(), "its session is over: what it was sent is void");
}

#[test]
fn what_a_worker_that_hears_nothing_at_all_never_began_goes_back_after_its_lease_and_costs_no_retry() {
    let (mut c, session, running, unbegun) = deaf();
    beats(&mut c, session, 1, &[at(running, Step::Running)], S(125));
    assert_eq!(c.record(unbegun.task).status(), Status::Pending, "it may begin it as long as it has a lease");
    beats(&mut c, session, 1, &[at(running, Step::Running)], S(5));
    let record = c.record(unbegun.task);
    assert_eq!(
        (record.status(), record.reason(), record.spent),
        (Status::Queued, Some(Reason::Drained), Spent::default())
    );
    assert!(record.attempts[0].end.as_ref().unwrap().message.contains("does not hear the master"), "{record:#?}");
    let record = c.record(running.task);
    assert_eq!((record.reason(), record.spent.worker_lost), (Some(Reason::WorkerLost), 1), "that one it had begun");
    assert!(gives_nothing(&mut c, unbegun.task), "it has not been heard to hear");
}

#[test]
fn a_deaf_worker_that_registers_again_gives_back_at_once_what_it_does_not_hold() {
    let (mut c, _, running, unbegun) = deaf();
    let held = vec![at(running, Step::Running)];
    let session = c.register("w1", cores(4), held.clone());
    c.ok(Event::Subscribed(worker_id("w1"), session));
    assert_eq!(c.record(unbegun.task).status(), Status::Pending, "a registration may be late");
    let starts = c.starts().len();
    c.heartbeat("w1", session, 0, held.clone()).unwrap();
    let record = c.record(unbegun.task);
    assert_eq!((record.status(), record.spent), (Status::Queued, Spent::default()));
    assert_eq!((status(&c), c.starts().len()), (WorkerStatus::Deaf, starts), "it was asked, not given");
    assert!(gives_nothing(&mut c, unbegun.task));
    c.heartbeat("w1", session, 1, held).unwrap();
    assert_eq!((status(&c), c.record(running.task).status()), (WorkerStatus::Active, Status::Running));
    c.place(unbegun.task, "w1");
}

#[test]
fn a_worker_that_hears_again_is_sent_what_it_missed() {
    let (mut c, _, running, unbegun) = deaf();
    let held = vec![at(running, Step::Running)];
    let session = c.register("w1", cores(4), held.clone());
    c.ok(Event::Subscribed(worker_id("w1"), session));
    c.heartbeat("w1", session, 1, held).unwrap();
    assert_eq!((status(&c), c.starts().last()), (WorkerStatus::Active, Some(&unbegun)));
    assert_eq!(c.record(unbegun.task).number(), 1);
}

#[test]
fn a_start_that_came_late_after_all_stays_with_its_deaf_worker() {
    let (mut c, _, running, late) = deaf();
    let held = vec![at(running, Step::Running), at(late, Step::Running)];
    let session = c.register("w1", cores(4), held.clone());
    beats(&mut c, session, 0, &held, S(300));
    assert_eq!((c.record(late.task).status(), c.record(late.task).number()), (Status::Running, 1));
    assert_eq!(status(&c), WorkerStatus::Deaf, "it runs what it has, and is given nothing");
    c.end(late, Outcome::exit(0)).unwrap();
    assert_eq!(c.record(late.task).status(), Status::Completed);
}

/// It waits there for room: nothing of it has begun, and it begins by itself.
#[test]
fn what_a_deaf_worker_holds_is_not_taken_back_though_it_has_not_begun() {
    let (mut c, _, running, waits) = deaf();
    let held = vec![at(running, Step::Running), at(waits, Step::Assigned)];
    let session = c.register("w1", cores(4), held.clone());
    beats(&mut c, session, 0, &held, S(300));
    assert_eq!((status(&c), c.record(waits.task).status()), (WorkerStatus::Deaf, Status::Pending));
    // Nor is what the registration brought, when the heartbeats after it are lost.
    let (mut c, _, running, waits) = deaf();
    c.wait(S(60));
    c.register("w1", cores(4), vec![at(running, Step::Running), at(waits, Step::Assigned)]);
    c.wait(S(80));
    assert_eq!(c.record(waits.task).status(), Status::Pending);
}

#[test]
fn a_deaf_worker_that_falls_silent_is_inactive() {
    let (mut c, ..) = deaf();
    c.wait(S(131));
    assert_eq!(status(&c), WorkerStatus::Inactive, "it is not even heard");
    let (c, ..) = deaf();
    let mut c = c.restarted();
    c.wait(S(1000));
    assert_eq!(c.cluster.workers().next().unwrap().status, WorkerStatus::Inactive);
}

#[test]
fn a_drain_that_is_taken_back_leaves_a_deaf_worker_deaf() {
    let (mut c, _, running, _) = deaf();
    c.register("w1", cores(4), vec![at(running, Step::Running)]);
    let order = |wish| Event::Duty(DutyOrder { worker: worker_id("w1"), by: UserId::local(), wish });
    c.ok(order(DutyWish::Drain { reason: String::new(), deadline: Some(Duration::ZERO) }));
    c.ok(Event::Tick);
    c.ok(order(DutyWish::Open));
    assert_eq!(status(&c), WorkerStatus::Deaf);
    c.register("w1", cores(4), vec![at(running, Step::Running)]);
    let other = c.task(3);
    assert!(gives_nothing(&mut c, other));
}

#[test]
fn a_registration_that_was_answered_late_because_the_master_stood_still_makes_nobody_deaf() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    c.now = c.now + S(15);
    c.ok(Event::Paused(S(15)));
    c.worker("w1", cores(4));
    assert_eq!(status(&c), WorkerStatus::Active);
}

#[test]
fn what_is_to_be_kept_stays_with_a_worker_that_hears_nothing_until_it_is_back() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.submit(1, spec(&[("on_disconnect", Value::Text("keep".into()))])).unwrap();
    let attempt = c.place(task, "w1");
    beats(&mut c, session, 0, &[], S(1000));
    assert_eq!(c.record(task).status(), Status::Pending, "it may run on without its lease");
    let starts = c.starts().len();
    let session = c.register("w1", cores(4), vec![]);
    c.heartbeat("w1", session, 0, vec![]).unwrap();
    assert_eq!((c.record(task).status(), &c.starts()[starts..]), (Status::Pending, [attempt].as_slice()), "sent again");
}

#[test]
fn a_cancelled_task_that_a_deaf_worker_never_began_is_cancelled_at_its_next_heartbeat() {
    let (mut c, _, running, unbegun) = deaf();
    c.cancel(unbegun.task).unwrap();
    let session = c.register("w1", cores(4), vec![at(running, Step::Running)]);
    c.heartbeat("w1", session, 0, vec![at(running, Step::Running)]).unwrap();
    let record = c.record(unbegun.task);
    assert_eq!((record.status(), record.reason()), (Status::Cancelled, Some(Reason::User)));
}

/// Behind a proxy that loses every answer a worker can not even learn of its session.
#[test]
fn a_worker_that_hears_no_answer_to_its_registrations_gives_back_what_it_was_given() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    for _ in 0..9 {
        c.wait(S(15));
        c.worker("w1", cores(4));
        assert_eq!(status(&c), WorkerStatus::Deaf);
    }
    assert_eq!(c.record(task).status(), Status::Pending, "the answer to its first may have come");
    c.wait(S(15));
    let record = c.record(task);
    assert_eq!((record.status(), record.number(), record.spent), (Status::Queued, 1, Spent::default()));
    c.worker("w1", cores(4));
    assert!(gives_nothing(&mut c, task));
    assert_eq!(c.starts(), [attempt], "nothing else was sent");
}

#[test]
fn a_registration_that_is_repeated_at_once_makes_nobody_deaf() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    c.wait(S(9));
    c.worker("w1", cores(4));
    assert_eq!(status(&c), WorkerStatus::Active);
}

fn pings(c: &TestCluster) -> usize {
    c.sent.iter().filter(|dispatch| dispatch.command == Command::Ping).count()
}

#[test]
fn a_worker_whose_last_command_was_lost_is_asked_before_it_is_called_deaf() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.heartbeat("w1", session, 1, vec![at(attempt, Step::Running)]).unwrap();
    c.cancel(task).unwrap();
    c.end(attempt, Outcome::exit(0)).unwrap();
    // The stop was lost, and nobody needs it any more.
    assert_eq!(pings(&c), 0);
    beats(&mut c, session, 1, &[], S(15));
    assert_eq!(pings(&c), 1);
    beats(&mut c, session, 3, &[], S(300));
    assert_eq!((status(&c), pings(&c)), (WorkerStatus::Active, 1));
}

#[test]
fn silence_and_pauses_of_the_master_make_nobody_deaf() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    c.place(task, "w1");
    c.wait(S(40));
    c.heartbeat("w1", session, 0, vec![]).unwrap();
    assert_eq!(status(&c), WorkerStatus::Active, "what it was sent was lost with its heartbeats");
    c.now = c.now + S(40);
    c.ok(Event::Paused(S(40)));
    c.heartbeat("w1", session, 0, vec![]).unwrap();
    assert_eq!(status(&c), WorkerStatus::Active);
}

#[test]
fn a_new_master_asks_a_deaf_worker_anew() {
    let (c, _, running, unbegun) = deaf();
    let mut c = c.restarted();
    assert_eq!(c.cluster.workers().next().unwrap().status, WorkerStatus::Inactive, "nobody has heard it yet");
    let session = c.register("w1", cores(4), vec![at(running, Step::Running)]);
    c.heartbeat("w1", session, 0, vec![at(running, Step::Running)]).unwrap();
    assert_eq!((status(&c), c.starts().last()), (WorkerStatus::Active, Some(&unbegun)));
}

#[test]
fn while_the_master_stands_still_a_deaf_worker_may_still_begin_what_it_was_given() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    c.place(task, "w1");
    c.wait(S(15));
    c.worker("w1", cores(4));
    assert_eq!(status(&c), WorkerStatus::Deaf);
    // Heartbeats were answered meanwhile, from what was stored before.
    c.now = c.now + S(120);
    c.ok(Event::Paused(S(120)));
    for _ in 0..8 {
        c.wait(S(15));
        c.worker("w1", cores(4));
    }
    assert_eq!(c.record(task).status(), Status::Pending);
    c.wait(S(10));
    assert_eq!(c.record(task).status(), Status::Queued);
}
