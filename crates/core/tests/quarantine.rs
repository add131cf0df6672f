//! Workers that fail whatever they are given are tried one attempt at a time: SPEC 14.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::duty::{Duty, Probe, Quarantine};
use cloudai_core::event::{Answer, DutyOrder, DutyWish, Event, Placement, Rejected};
use cloudai_core::ids::{Attempt, Session, TaskId, UserId};
use cloudai_core::spec::TaskSpec;
use cloudai_core::strategy::{View, by_name};
use cloudai_core::task::{Cause, Outcome, Step};
use cloudai_core::testing::{TestCluster, cores, held, task_id, worker_id};
use std::sync::Arc;
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;

/// A cluster of one worker that is heard all the time.
struct One {
    c: TestCluster,
    session: Session,
    next: u128,
}

impl One {
    fn new() -> Self {
        let mut c = TestCluster::default();
        let session = c.worker("w1", cores(64));
        Self { c, session, next: 1 }
    }

    fn task(&mut self, image: &str) -> TaskId {
        let number = self.next;
        self.next += 1;
        self.c.submit(number, Arc::new(TaskSpec::of_image(image).unwrap())).unwrap()
    }

    fn given(&mut self, image: &str) -> Attempt {
        let task = self.task(image);
        self.c.place(task, "w1")
    }

    /// An attempt of this image that ends so.
    fn ends(&mut self, image: &str, outcome: Outcome) {
        let attempt = self.given(image);
        self.c.end(attempt, outcome).unwrap();
    }

    /// Fails five times in a row with two images.
    fn quarantined() -> Self {
        let mut one = Self::new();
        (0..5).for_each(|n| one.ends(["a", "b"][n % 2], failed(Cause::EngineError)));
        one
    }

    fn quarantine(&self) -> Option<Quarantine> {
        match &self.c.worker_record("w1").duty {
            Duty::Quarantined(quarantine) => Some(quarantine.clone()),
            Duty::Open => None,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass with a heartbeat every five seconds.
    fn wait(&mut self, time: Duration) {
        for _ in 0..time.as_secs() / 5 {
            self.c.wait(S(5));
            let held = self.held();
            self.c.heartbeat("w1", self.session, u64::MAX, held).unwrap();
        }
    }

    fn held(&self) -> Vec<cloudai_core::event::Held> {
        let here = self.c.cluster.tasks().filter_map(|task| task.active().map(|active| (task, active)));
        let stage = cloudai_core::event::HeldStage::At;
        here.map(|(task, active)| held(task.attempt(), stage(active.step))).collect()
    }

    fn takes(&mut self, task: TaskId) -> bool {
        let attempt = Attempt { task, number: self.c.record(task).number() + 1 };
        let placement = Placement { attempt, worker: worker_id("w1") };
        matches!(self.c.ok(Event::Place(vec![placement])), Answer::Placed { taken: 1, .. })
    }
}

fn failed(cause: Cause) -> Outcome {
    Outcome::of(cause, "the engine said: no space left on device")
}

#[test]
fn five_failures_of_a_worker_in_a_row_over_two_images_quarantine_it_with_the_reason() {
    for cause in [Cause::EngineError, Cause::ImagePull] {
        let mut one = One::new();
        (0..4).for_each(|n| one.ends(["a", "b"][n % 2], failed(cause)));
        assert_eq!(one.quarantine(), None);
        one.ends("a", failed(cause));
        let reason = one.quarantine().unwrap().reason;
        assert_eq!(reason, "5 failures in a row, the last: the engine said: no space left on device");
        let task = one.task("a");
        assert!(!one.takes(task), "{cause:?}");
    }
}

#[test]
fn one_image_alone_quarantines_nobody_until_another_fails_too() {
    let mut one = One::new();
    (0..20).for_each(|_| one.ends("a", failed(Cause::ImagePull)));
    assert_eq!(one.quarantine(), None);
    one.ends("b", failed(Cause::ImagePull));
    assert!(one.quarantine().unwrap().reason.starts_with("21 failures in a row"));
}

#[test]
fn a_program_that_ran_between_failures_begins_the_row_anew() {
    for good in
        [Outcome::exit(0), Outcome::exit(3), Outcome::of(Cause::TimedOut, ""), Outcome::of(Cause::StorageExceeded, "")]
    {
        let mut one = One::new();
        for n in 0..20 {
            one.ends(["a", "b"][n % 2], failed(Cause::EngineError));
            if n % 4 == 3 {
                one.ends("a", good.clone());
            }
        }
        assert_eq!(one.quarantine(), None, "{good:?}");
    }
}

#[test]
fn failures_of_tasks_and_what_was_stopped_neither_count_nor_begin_the_row_anew() {
    let nothing = [
        Cause::ImageAbsent,
        Cause::StartError,
        Cause::InputError,
        Cause::PolicyDenied,
        Cause::OutputError,
        Cause::Stopped,
        Cause::LeaseEnded,
    ];
    let mut one = One::new();
    for cause in nothing {
        (0..10).for_each(|n| one.ends(["a", "b"][n % 2], failed(cause)));
        assert_eq!(one.quarantine(), None, "{cause:?}");
    }
    // The fifth is one too many, whatever came in between.
    for (n, cause) in nothing.into_iter().enumerate().take(5) {
        assert_eq!(one.quarantine(), None);
        one.ends(["a", "b"][n % 2], failed(Cause::EngineError));
        if n < 4 {
            one.ends("a", failed(cause));
        }
    }
    assert!(one.quarantine().is_some());
}

#[test]
fn a_restart_that_ends_all_that_runs_is_one_failure() {
    for cause in [Cause::Vanished, Cause::EngineError] {
        let mut one = One::new();
        let outcome = Outcome { run: Some(S(9)), ..failed(cause) };
        for round in 1..=5 {
            let given: Vec<_> = (0..9).map(|n| one.given(["a", "b"][n % 2])).collect();
            one.c.now = one.c.now + S(1);
            for attempt in given {
                one.c.end(attempt, outcome.clone()).unwrap();
            }
            assert_eq!(one.quarantine().is_some(), round == 5, "{cause:?} {round}");
            one.c.now = one.c.now + S(1);
        }
    }
}

#[test]
fn a_quarantined_worker_is_tried_by_one_attempt_at_a_time_and_less_and_less_often() {
    let mut one = One::quarantined();
    let tasks: Vec<_> = (0..9).map(|_| one.task("c")).collect();
    for (n, (wait, tries)) in [30, 60, 120, 240, 480, 960, 960].into_iter().zip(1..).enumerate() {
        one.wait(S(wait - 5));
        assert!(!one.takes(tasks[n]), "before {wait} s");
        one.wait(S(5));
        assert!(one.takes(tasks[n]), "after {wait} s");
        assert!(!one.takes(tasks[n + 1]), "one at a time");
        let attempt = one.c.record(tasks[n]).attempt();
        one.c.end(attempt, failed(Cause::EngineError)).unwrap();
        let quarantine = one.quarantine().unwrap();
        assert_eq!((quarantine.tries, quarantine.reason.starts_with("a probe failed: ")), (tries, true));
    }
}

#[test]
fn a_probe_whose_program_ends_opens_its_worker() {
    let mut one = One::quarantined();
    one.wait(S(30));
    one.ends("a", Outcome::exit(7));
    assert_eq!(one.quarantine(), None);
    (0..9).for_each(|_| _ = one.given("a"));
}

#[test]
fn a_probe_that_runs_for_a_minute_opens_its_worker() {
    let mut one = One::quarantined();
    one.wait(S(30));
    let attempt = one.given("a");
    one.c.step(attempt, Step::Running).unwrap();
    one.wait(S(55));
    assert!(one.quarantine().is_some());
    one.wait(S(5));
    assert_eq!(one.quarantine(), None);
}

#[test]
fn a_probe_that_tells_nothing_leaves_its_place_to_the_next_one() {
    let mut one = One::quarantined();
    one.wait(S(30));
    let attempt = one.given("a");
    one.c.cancel(attempt.task).unwrap();
    one.c.end(attempt, failed(Cause::Stopped)).unwrap();
    assert!(matches!(one.quarantine(), Some(Quarantine { tries: 0, probe: Probe::Due, .. })));
    one.given("a");
}

#[test]
fn what_began_before_a_quarantine_says_nothing_of_it() {
    let mut one = One::new();
    let (good, bad) = (one.given("a"), one.given("a"));
    (0..5).for_each(|n| one.ends(["a", "b"][n % 2], failed(Cause::EngineError)));
    let quarantine = one.quarantine();
    one.c.end(good, Outcome::exit(0)).unwrap();
    one.c.end(bad, failed(Cause::EngineError)).unwrap();
    assert_eq!(one.quarantine(), quarantine);
}

#[test]
fn a_quarantine_with_its_probe_survives_a_restart_of_the_master_and_ends_after_it() {
    let mut one = One::quarantined();
    one.c = one.c.restarted();
    one.session = one.c.worker("w1", cores(64));
    one.wait(S(30));
    let attempt = one.given("a");
    one.c = one.c.restarted();
    one.session = one.c.register("w1", cores(64), one.held());
    let task = one.task("a");
    assert!(!one.takes(task));
    one.c.end(attempt, Outcome::exit(0)).unwrap();
    assert!(one.takes(task));
}

#[test]
fn a_probe_that_is_lost_with_its_worker_is_followed_by_another() {
    let mut one = One::quarantined();
    one.wait(S(30));
    let attempt = one.given("a");
    one.c.wait(S(300));
    assert_eq!(one.c.end(attempt, Outcome::exit(0)), Err(Rejected::Superseded(attempt)));
    one.session = one.c.worker("w1", cores(64));
    one.given("b");
}

#[test]
fn an_operator_opens_a_quarantined_worker_and_its_row_begins_anew() {
    let mut one = One::quarantined();
    let order = DutyOrder { worker: worker_id("w1"), by: UserId::local(), wish: DutyWish::Open };
    one.c.ok(Event::Duty(order));
    (0..4).for_each(|n| one.ends(["a", "b"][n % 2], failed(Cause::EngineError)));
    assert_eq!(one.quarantine(), None);
    one.ends("a", failed(Cause::EngineError));
    assert!(one.quarantine().is_some());
}

#[test]
fn strategies_propose_one_attempt_for_a_worker_that_is_tried() {
    let mut one = One::quarantined();
    one.wait(S(30));
    (0..9).for_each(|_| _ = one.task("a"));
    let mut view = View::default();
    one.c.rows.iter().for_each(|row| view.apply(row));
    let mut greedy = by_name("greedy").unwrap();
    let placements = view.round(&mut *greedy, one.c.now);
    assert_eq!(placements.len(), 1);
    assert!(one.takes(placements[0].attempt.task));
    let record = one.c.worker_record("w1");
    view.apply(&cloudai_core::effect::Row::Worker(record));
    one.c.rows.iter().rev().take(2).for_each(|row| view.apply(row));
    assert_eq!(view.round(&mut *greedy, one.c.now), []);
    assert!(one.c.cluster.task(task_id(1)).is_some(), "its retries are not used up");
}
