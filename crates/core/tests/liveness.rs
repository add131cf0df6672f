//! Workers that fall silent, come back, restart: SPEC 3.3.4 and the reconciliation by heartbeats.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::cluster::MAX_ROWS;
use cloudai_core::effect::Row;
use cloudai_core::event::{
    Answer, Event, Heartbeat, Held, HeldStage, NewTask, Placement, PlacementRefusal, Registration, Rejected, Removal,
};
use cloudai_core::ids::{Attempt, CommandSeq, Session, TaskId, UserId};
use cloudai_core::resources::Capacity;
use cloudai_core::spec::Value;
use cloudai_core::state::{Phase, Reason, Status, Warning};
use cloudai_core::task::{Cause, Outcome, Step};
use cloudai_core::testing::{TestCluster, cores, held, spec, task_id, worker_id};
use cloudai_core::worker::{About, Unfit, WorkerStatus};
use std::collections::BTreeMap;
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;

fn at(attempt: Attempt, step: Step) -> Held {
    held(attempt, HeldStage::At(step))
}

#[test]
fn a_silent_worker_gets_no_work_after_30_s_and_loses_its_attempts_after_130_s() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let (running, waiting) = (c.task(1), c.task(2));
    let attempt = c.place(running, "w1");
    c.step(attempt, Step::Running).unwrap();
    c.wait(S(29));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Active);
    c.wait(S(1));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Inactive);
    let next = Attempt { task: waiting, number: 1 };
    let refused = c.ok(Event::Place(vec![Placement { attempt: next, worker: worker_id("w1") }]));
    assert!(
        matches!(refused, Answer::Placed { taken: 0, ref refused } if refused[0].1 == PlacementRefusal::WorkerUnavailable)
    );
    c.wait(S(99));
    assert_eq!(c.record(running).status(), Status::Running, "its lease and the margin are not over");
    c.wait(S(1));
    let record = c.record(running);
    assert_eq!((record.status(), record.reason()), (Status::Queued, Some(Reason::WorkerLost)));
    assert_eq!(c.end(attempt, Outcome::exit(0)), Err(Rejected::Superseded(attempt)));
}

#[test]
fn a_worker_that_is_heard_again_in_time_keeps_its_attempts() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.wait(S(100));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Inactive);
    c.heartbeat("w1", session, 1, vec![at(attempt, Step::Running)]).unwrap();
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Active);
    c.wait(S(29));
    assert_eq!(c.record(task).status(), Status::Running);
}

#[test]
fn a_cancelled_task_of_a_lost_worker_is_unconfirmed_and_killed_at_next_contact() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.cancel(task).unwrap();
    c.wait(S(130));
    let record = c.record(task);
    assert_eq!((record.status(), record.reason()), (Status::Cancelled, Some(Reason::Unconfirmed)));
    assert_eq!(record.finished().unwrap().warnings, [Warning::LogIncomplete]);
    let before = c.stops().len();
    c.register("w1", cores(4), vec![at(attempt, Step::Running)]);
    assert_eq!(c.stops()[before..], [attempt]);
}

/// A task that outlasts its worker's silence, running on w1 for longer than a lease without it.
fn kept() -> (TestCluster, Attempt) {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let keep = [("on_disconnect", Value::Text("keep".into())), ("total_timeout_s", Value::Int(3600))];
    let task = c.submit(1, spec(&keep)).unwrap();
    let (attempt, other) = (c.place(task, "w1"), c.task(2));
    c.place(other, "w1");
    c.step(attempt, Step::Running).unwrap();
    c.wait(S(1000));
    assert_eq!(c.record(other).reason(), Some(Reason::WorkerLost));
    assert_eq!(c.record(task).phase(true), Some(Phase::WorkerUnreachable));
    (c, attempt)
}

#[test]
fn what_is_to_be_kept_stays_with_its_silent_worker_until_that_is_back() {
    let (c, attempt) = kept();
    let mut c = c.restarted();
    c.wait(S(1000));
    let stops = c.stops().len();
    c.register("w1", cores(4), vec![at(attempt, Step::Running)]);
    assert_eq!((c.stops().len(), c.record(attempt.task).status()), (stops, Status::Running));
    c.end(attempt, Outcome::exit(0)).unwrap();
    let record = c.record(attempt.task);
    assert_eq!((record.status(), record.attempts.len()), (Status::Completed, 1));
}

#[test]
fn what_is_to_be_kept_ends_unconfirmed_when_somebody_wants_it_ended() {
    let (mut c, attempt) = kept();
    c.cancel(attempt.task).unwrap();
    assert_eq!(c.record(attempt.task).phase(true), Some(Phase::Cancelling));
    c.wait(S(1));
    let record = c.record(attempt.task);
    assert_eq!((record.status(), record.reason()), (Status::Cancelled, Some(Reason::Unconfirmed)));
    let stops = c.stops().len();
    c.register("w1", cores(4), vec![at(attempt, Step::Running)]);
    assert_eq!(c.stops()[stops..], [attempt], "killed at the next contact");
}

#[test]
fn what_is_to_be_kept_ends_with_its_total_time_or_its_worker() {
    let (mut c, attempt) = kept();
    c.wait(S(2600));
    let record = c.record(attempt.task);
    assert_eq!((record.status(), record.reason()), (Status::Failed, Some(Reason::TimedOut)));
    let (mut c, attempt) = kept();
    c.ok(Event::Remove(Removal { worker: worker_id("w1"), force: true }));
    let record = c.record(attempt.task);
    assert_eq!((record.status(), record.reason()), (Status::Queued, Some(Reason::WorkerLost)));
}

#[test]
fn a_lost_worker_must_register_again_before_it_is_heard() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    c.place(task, "w1");
    c.wait(S(130));
    assert_eq!(c.heartbeat("w1", session, 1, vec![]), Err(Rejected::StaleSession));
    let session = c.worker("w1", cores(4));
    c.heartbeat("w1", session, 0, vec![]).unwrap();
}

#[test]
fn a_start_that_got_lost_is_sent_again_and_costs_no_attempt() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.heartbeat("w1", session, 0, vec![]).unwrap();
    assert_eq!(c.starts(), [attempt], "it may still be on its way");
    c.wait(S(5));
    c.heartbeat("w1", session, 0, vec![]).unwrap();
    assert_eq!(c.starts(), [attempt, attempt]);
    assert_eq!(c.record(task).number(), 1);
    assert!(c.sent[1].seq > c.sent[0].seq);
}

#[test]
fn a_running_attempt_that_its_worker_no_longer_holds_is_given_up() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.heartbeat("w1", session, 1, vec![at(attempt, Step::Running)]).unwrap();
    c.heartbeat("w1", session, 1, vec![]).unwrap();
    assert_eq!(c.record(task).reason(), Some(Reason::WorkerLost));
}

#[test]
fn an_attempt_that_ended_and_is_still_reported_is_no_loss() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    c.heartbeat("w1", session, 1, vec![held(attempt, HeldStage::Ended)]).unwrap();
    assert_eq!(c.record(task).status(), Status::Running);
}

#[test]
fn a_lost_stop_is_repeated_while_the_attempt_runs() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.cancel(task).unwrap();
    c.heartbeat("w1", session, 1, vec![at(attempt, Step::Running)]).unwrap();
    assert_eq!(c.stops(), [attempt, attempt]);
    c.heartbeat("w1", session, 3, vec![held(attempt, HeldStage::Stopping)]).unwrap();
    assert_eq!(c.stops().len(), 2, "it is being stopped");
}

#[test]
fn an_attempt_that_no_master_knows_is_stopped() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let ghost = Attempt { task: task_id(99), number: 1 };
    c.heartbeat("w1", session, 0, vec![at(ghost, Step::Running)]).unwrap();
    assert_eq!(c.stops(), [ghost]);
}

#[test]
fn a_worker_that_reconnects_is_sent_every_unconfirmed_start_at_once() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let (first, second) = (c.task(1), c.task(2));
    let (first, second) = (c.place(first, "w1"), c.place(second, "w1"));
    c.step(first, Step::Running).unwrap();
    let session = c.register("w1", cores(4), vec![at(first, Step::Running)]);
    let before = c.starts().len();
    c.ok(Event::Subscribed(worker_id("w1"), session));
    assert_eq!(c.starts()[before..], [second]);
}

#[test]
fn a_restarted_master_waits_a_whole_lease_and_adopts_what_runs() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.step(attempt, Step::Running).unwrap();
    c.wait(S(25));
    let mut c = c.restarted();
    c.wait(S(129));
    assert_eq!(c.record(task).status(), Status::Running);
    c.register("w1", cores(4), vec![at(attempt, Step::Running)]);
    c.wait(S(20));
    c.end(attempt, Outcome::exit(0)).unwrap();
    assert_eq!(c.record(task).status(), Status::Completed);
}

/// A worker with more attempts than one event may give up.
fn crowded() -> (TestCluster, Vec<TaskId>) {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let small =
        spec(&[("cpu_cores", Value::Float(0.001)), ("memory_gb", Value::Float(0.006)), ("storage_gb", Value::Int(0))]);
    let tasks: Vec<_> = (0..1300).map(|number| c.submit(number, small.clone()).unwrap()).collect();
    for task in &tasks {
        c.place(*task, "w1");
    }
    (c, tasks)
}

#[test]
fn a_worker_that_was_lost_with_more_attempts_than_fit_one_event_is_given_up_in_slices() {
    let (mut c, tasks) = crowded();
    let before = c.rows.len();
    c.now = c.now + S(130);
    c.ok(Event::Tick);
    assert!(c.rows.len() - before <= MAX_ROWS);
    c.wait(S(1));
    assert!(tasks.iter().all(|task| c.record(*task).active().is_none()));
}

#[test]
fn a_removal_by_force_that_the_master_did_not_survive_goes_on_in_its_next_life() {
    let (mut c, tasks) = crowded();
    c.ok(Event::Remove(Removal { worker: worker_id("w1"), force: true }));
    let given_up = |c: &TestCluster| tasks.iter().filter(|task| c.record(**task).active().is_none()).count();
    assert!((1..tasks.len()).contains(&given_up(&c)), "the first slice");
    let mut c = c.restarted();
    c.wait(S(1));
    assert_eq!(given_up(&c), tasks.len());
    let is_out = |row: &Row| matches!(row, Row::WorkerRemoved(id) if *id == worker_id("w1"));
    assert!(c.rows.iter().any(is_out), "then the worker is out");
}

#[test]
fn a_late_registration_gives_nothing_up() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.heartbeat("w1", session, 1, vec![at(attempt, Step::Running)]).unwrap();
    c.register("w1", cores(4), vec![]);
    assert_eq!(c.record(task).status(), Status::Running, "its list may be older than the attempt");
}

#[test]
fn a_pause_of_the_master_is_nobodys_silence() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    c.place(task, "w1");
    c.now = c.now + S(500);
    c.ok(Event::Paused(S(500)));
    c.ok(Event::Tick);
    assert_eq!(c.record(task).phase(false), Some(Phase::Assigned));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Active);
}

#[test]
fn pauses_in_a_row_keep_a_dead_worker_no_longer_than_one_does() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    c.place(task, "w1");
    for _ in 0..100 {
        c.now = c.now + S(3);
        c.ok(Event::Paused(S(3)));
    }
    c.wait(S(30));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Inactive);
    c.wait(S(100));
    assert_eq!(c.record(task).reason(), Some(Reason::WorkerLost), "lease and margin after the last pause");
}

#[test]
fn a_worker_that_leaves_in_good_order_takes_nothing_with_it() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.end(attempt, Outcome::of(Cause::WorkerStopped, "")).unwrap();
    c.ok(Event::Leave(worker_id("w1"), session));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Inactive);
    let record = c.record(task);
    assert_eq!((record.phase(false), record.spent.worker_lost), (Some(Phase::WaitingCapacity), 0));
}

#[test]
fn a_worker_that_says_it_leaves_gets_no_new_work_and_gives_back_what_it_never_began() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let (runs, never) = (c.task(1), c.task(2));
    let (running, lost) = (c.place(runs, "w1"), c.place(never, "w1"));
    let held = vec![at(running, Step::Running)];
    let heartbeat = Heartbeat {
        worker: worker_id("w1"),
        session,
        seen: CommandSeq(1),
        held,
        draining: true,
        unfit: None,
        images: None,
    };
    c.ok(Event::Heartbeat(heartbeat.clone()));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Draining);
    assert_eq!(c.record(runs).phase(false), Some(Phase::Running));
    let record = c.record(never);
    assert_eq!((record.phase(false), record.reason()), (Some(Phase::WaitingCapacity), Some(Reason::Drained)));
    assert_eq!(record.spent.worker_lost, 0);
    let next = Attempt { number: lost.number + 1, ..lost };
    let refused = c.ok(Event::Place(vec![Placement { attempt: next, worker: worker_id("w1") }]));
    assert!(matches!(refused, Answer::Placed { taken: 0, .. }));
    c.end(running, Outcome::of(Cause::WorkerStopped, "")).unwrap();
    c.ok(Event::Heartbeat(Heartbeat { held: Vec::new(), ..heartbeat }));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Draining);
    c.ok(Event::Leave(worker_id("w1"), session));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Inactive);
    c.worker("w1", cores(4));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Active);
}

/// What a worker says that holds one running attempt, or none.
fn beat(session: Session, running: Option<Attempt>, away: Option<&str>) -> Heartbeat {
    let held = running.map(|attempt| at(attempt, Step::Running)).into_iter().collect();
    let (worker, unfit) = (worker_id("w1"), away.map(|why| Unfit::EngineAway(why.into())));
    Heartbeat { worker, session, seen: CommandSeq(1), held, draining: false, unfit, images: None }
}

#[test]
fn a_worker_whose_engine_is_away_gets_no_work_and_keeps_what_it_has() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let (runs, waits) = (c.task(1), c.task(2));
    let attempt = c.place(runs, "w1");
    c.ok(Event::Heartbeat(beat(session, Some(attempt), Some("connection refused"))));
    let record = c.worker_record("w1");
    assert_eq!((record.status, record.unfit().map(Unfit::why)), (WorkerStatus::EngineAway, Some("connection refused")));
    let next = Placement { attempt: Attempt { task: waits, number: 1 }, worker: worker_id("w1") };
    let refused = c.ok(Event::Place(vec![next.clone()]));
    assert!(
        matches!(refused, Answer::Placed { taken: 0, ref refused } if refused[0].1 == PlacementRefusal::WorkerUnavailable)
    );
    let rows = c.rows.len();
    for _ in 0..60 {
        c.wait(S(5));
        c.ok(Event::Heartbeat(beat(session, Some(attempt), Some("connection refused"))));
    }
    assert_eq!(c.record(runs).status(), Status::Running, "it is heard of: what runs there runs");
    assert_eq!(c.rows.len(), rows, "an outage that lasts costs nothing");
    c.ok(Event::Heartbeat(beat(session, Some(attempt), None)));
    assert_eq!(
        (c.worker_record("w1").status, c.worker_record("w1").unfit().map(Unfit::why)),
        (WorkerStatus::Active, None)
    );
    assert!(matches!(c.ok(Event::Place(vec![next])), Answer::Placed { taken: 1, .. }));
}

#[test]
fn a_master_that_starts_anew_learns_from_the_registration_that_an_engine_is_away() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    c.ok(Event::Heartbeat(beat(session, None, Some("refused"))));
    let mut c = c.restarted();
    let registration = |away: Option<&str>| Registration {
        worker: worker_id("w1"),
        address: None,
        capacity: cores(4),
        labels: BTreeMap::new(),
        about: About { unfit: away.map(|why| Unfit::EngineAway(why.into())), ..About::default() },
        held: Vec::new(),
    };
    c.ok(Event::Register(Box::new(registration(Some("refused")))));
    assert_eq!(c.worker_record("w1").unfit().map(Unfit::why), Some("refused"));
    c.ok(Event::Register(Box::new(registration(None))));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Active);
}

#[test]
fn a_worker_that_is_silent_while_its_engine_is_away_is_lost_as_any_other_and_tells_again() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let task = c.task(1);
    let attempt = c.place(task, "w1");
    c.ok(Event::Heartbeat(beat(session, Some(attempt), Some("refused"))));
    c.wait(S(30));
    assert_eq!(
        (c.worker_record("w1").status, c.worker_record("w1").unfit().map(Unfit::why)),
        (WorkerStatus::Inactive, None)
    );
    c.ok(Event::Heartbeat(beat(session, Some(attempt), Some("refused"))));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::EngineAway);
    c.wait(S(130));
    assert_eq!(c.record(task).reason(), Some(Reason::WorkerLost));
}

#[test]
fn a_worker_whose_disk_is_full_gets_no_work_until_it_has_room_again() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    let waits = c.task(1);
    let next = Placement { attempt: Attempt { task: waits, number: 1 }, worker: worker_id("w1") };
    let full = Some(Unfit::DiskPressure("97 % used".into()));
    c.ok(Event::Heartbeat(Heartbeat { unfit: full.clone(), ..beat(session, None, None) }));
    let record = c.worker_record("w1");
    assert_eq!((record.status, record.unfit()), (WorkerStatus::DiskPressure, full.as_ref()));
    assert!(matches!(c.ok(Event::Place(vec![next.clone()])), Answer::Placed { taken: 0, .. }));
    c.ok(Event::Heartbeat(beat(session, None, Some("refused"))));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::EngineAway);
    c.ok(Event::Heartbeat(beat(session, None, None)));
    assert!(matches!(c.ok(Event::Place(vec![next])), Answer::Placed { taken: 1, .. }));
}

#[test]
fn a_worker_that_leaves_is_draining_whatever_its_engine_does() {
    let mut c = TestCluster::default();
    let session = c.worker("w1", cores(4));
    c.ok(Event::Heartbeat(Heartbeat { draining: true, ..beat(session, None, Some("refused")) }));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Draining);
    c.ok(Event::Heartbeat(beat(session, None, None)));
    assert_eq!(c.worker_record("w1").status, WorkerStatus::Draining);
}

#[test]
fn a_worker_with_thousands_of_attempts_is_removed_a_thousand_rows_at_a_time() {
    let mut c = TestCluster::default();
    c.worker("w1", Capacity { cpu_milli: 10_000_000, memory: 1 << 50, storage: 1 << 50, gpus: Vec::new() });
    let tasks: Vec<_> = (0..2500).map(task_id).collect();
    for part in tasks.chunks(MAX_ROWS) {
        let new = |id: &TaskId| NewTask {
            id: *id,
            owner: UserId::local(),
            job: None,
            depends_on: Vec::new(),
            retry_of: None,
            spec: spec(&[]),
        };
        c.ok(Event::Submit(part.iter().map(new).collect()));
        let place = |task: &TaskId| Placement { attempt: Attempt { task: *task, number: 1 }, worker: worker_id("w1") };
        c.ok(Event::Place(part.iter().map(place).collect()));
    }
    let mut rows = c.rows.len();
    c.ok(Event::Remove(Removal { worker: worker_id("w1"), force: true }));
    let mut events = 1;
    loop {
        assert!(c.rows.len() - rows <= MAX_ROWS, "{} rows", c.rows.len() - rows);
        rows = c.rows.len();
        if matches!(c.rows.last(), Some(Row::WorkerRemoved(_))) {
            break;
        }
        assert!(c.cluster.next_deadline(c.now).is_some());
        c.ok(Event::Tick);
        events += 1;
    }
    assert_eq!(events, 3);
    assert!(tasks.iter().all(|task| c.record(*task).reason() == Some(Reason::WorkerLost)));
}

#[test]
fn a_name_belongs_to_one_data_folder_until_its_worker_left_or_fell_silent() {
    let come = |c: &mut TestCluster, instance: &str| {
        let about = About { instance: instance.into(), ..About::default() };
        let registration = Registration {
            worker: worker_id("w1"),
            address: None,
            capacity: cores(4),
            labels: BTreeMap::new(),
            about,
            held: Vec::new(),
        };
        match c.apply(Event::Register(Box::new(registration))) {
            Ok(Answer::Registered(session)) => Ok(session),
            other => Err(other),
        }
    };
    let refused = Err(Err(Rejected::WorkerLive(worker_id("w1"))));
    let mut c = TestCluster::default();
    come(&mut c, "a").unwrap();
    let session = come(&mut c, "a").expect("the same one starts again");
    assert_eq!(come(&mut c, "b"), refused);
    c.ok(Event::Leave(worker_id("w1"), session));
    come(&mut c, "b").expect("the first has left");
    c.wait(S(29));
    assert_eq!(come(&mut c, "a"), refused);
    c.wait(S(1));
    come(&mut c, "a").expect("the second was silent for 30 s");
}

#[test]
fn a_busy_worker_is_removed_only_by_force() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let task = c.task(1);
    c.place(task, "w1");
    let removal = |force| Event::Remove(Removal { worker: worker_id("w1"), force });
    assert!(matches!(c.apply(removal(false)), Err(Rejected::WorkerBusy { attempts: 1, .. })));
    c.ok(removal(true));
    assert_eq!(c.record(task).reason(), Some(Reason::WorkerLost));
    assert!(matches!(c.apply(removal(true)), Err(Rejected::NoSuchWorker(_))));
}

#[test]
fn a_worker_that_was_removed_never_has_an_earlier_session_again() {
    let mut c = TestCluster::default();
    let first = c.worker("w1", cores(4));
    let second = c.worker("w1", cores(4));
    c.ok(Event::Remove(Removal { worker: worker_id("w1"), force: false }));
    c.wait(S(1));
    let third = c.worker("w1", cores(4));
    assert!(
        third != first && third != second,
        "{first} {second} {third}: what is late of one would count in the other"
    );
    assert_eq!(c.heartbeat("w1", first, 0, vec![]), Err(Rejected::StaleSession));
}

#[test]
fn a_worker_that_comes_back_smaller_keeps_what_it_holds_and_gets_nothing_more_of_that() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let (one, two, three) = (c.task(1), c.task(2), c.task(3));
    let (first, second) = (c.place(one, "w1"), c.place(two, "w1"));
    c.wait(S(1));
    let held = [first, second].map(|attempt| at(attempt, Step::Running));
    let session = c.register("w1", cores(1), held.to_vec());
    c.heartbeat("w1", session, 0, held.to_vec()).unwrap();
    assert_eq!((c.record(one).status(), c.record(two).status()), (Status::Running, Status::Running));
    let third = Attempt { task: three, number: 1 };
    let place = || Event::Place(vec![Placement { attempt: third, worker: worker_id("w1") }]);
    for ends in [Some(first), Some(second), None] {
        let answer = c.ok(place());
        let taken = matches!(answer, Answer::Placed { taken: 1, .. });
        assert_eq!(taken, ends.is_none(), "one core has room for one task: {answer:?}");
        if let Some(attempt) = ends {
            c.end(attempt, Outcome::exit(0)).unwrap();
        }
    }
}
