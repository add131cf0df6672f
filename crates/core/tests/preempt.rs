//! More important tasks take the place of the least important ones, where that is wanted, and never in a loop.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::effect::Row;
use cloudai_core::event::{Answer, Event, Placement, PlacementRefusal};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::preemption::{self, Preemption, PreemptionRefusal, SPARED};
use cloudai_core::spec::Value;
use cloudai_core::state::{Reason, Status};
use cloudai_core::strategy::explain::explain;
use cloudai_core::strategy::{ALL, Knobs, Strategy, View, make};
use cloudai_core::task::{Cause, Outcome, Step};
use cloudai_core::testing::{TestCluster, cores, spec, worker_id};
use proptest::prelude::{ProptestConfig, prop, prop_assert, proptest};
use std::sync::Arc;
use std::time::Duration;

/// By how much a task must be more important here.
const MARGIN: u32 = 10;

/// A cluster, what places in it, and workers that stop what they are told to.
struct Scene {
    c: TestCluster,
    view: View,
    strategy: Box<dyn Strategy>,
    seen: usize,
    confirmed: usize,
    preemptions: Vec<Preemption>,
}

impl Scene {
    fn new(workers: &[(&str, u64)]) -> Self {
        Self::with("greedy_skip", MARGIN, workers)
    }

    fn with(strategy: &str, preemption: u32, workers: &[(&str, u64)]) -> Self {
        let knobs = Knobs { preemption, planner_evaluations: 100, ..Knobs::default() };
        let (mut c, mut view) = (TestCluster::default(), View::default());
        view.set_knobs(&knobs);
        for (name, count) in workers {
            c.worker(name, cores(*count));
        }
        let strategy = make(strategy, &knobs).unwrap();
        Self { c, view, strategy, seen: 0, confirmed: 0, preemptions: Vec::new() }
    }

    fn submit_with(&mut self, number: u128, priority: i64, count: i64, pin: Option<&str>) -> TaskId {
        let mut spec = spec(&[("priority", Value::Int(priority)), ("cpu_cores", Value::Int(count))]);
        let fields = Arc::make_mut(&mut spec);
        fields.allow_pending = true;
        fields.worker_id = pin.map(worker_id);
        self.c.submit(number, spec).unwrap()
    }

    fn submit(&mut self, number: u128, priority: i64, count: i64) -> TaskId {
        self.submit_with(number, priority, count, None)
    }

    /// Submits a task and lets it run on a worker, since a second after what was before.
    fn run(&mut self, number: u128, priority: i64, count: i64, worker: &str) -> TaskId {
        let id = self.submit(number, priority, count);
        self.c.now = self.c.now + Duration::from_secs(1);
        let attempt = self.c.place(id, worker);
        self.c.step(attempt, Step::Running).unwrap();
        id
    }

    fn look(&mut self) {
        self.c.rows[self.seen..].iter().for_each(|row| self.view.apply(row));
        self.seen = self.c.rows.len();
    }

    /// Rounds until nothing more is found.
    fn rounds(&mut self) {
        loop {
            self.look();
            let placements = self.view.round(&mut *self.strategy, self.c.now);
            if !placements.is_empty() {
                let answer = self.c.ok(Event::Place(placements));
                assert!(matches!(answer, Answer::Placed { ref refused, .. } if refused.is_empty()), "{answer:?}");
                continue;
            }
            let preemptions = self.view.preempt(self.c.now);
            if preemptions.is_empty() {
                return;
            }
            for preemption in preemptions {
                let answer = self.c.ok(Event::Preempt(preemption.clone()));
                assert_eq!(answer, Answer::Preempted { refused: None }, "{preemption:?}");
                self.preemptions.push(preemption);
            }
        }
    }

    /// Workers end what they were told to stop.
    fn confirm(&mut self) {
        let stops = self.c.stops();
        for attempt in &stops[self.confirmed..] {
            self.c.end(*attempt, Outcome::of(Cause::Stopped, "")).unwrap();
        }
        self.confirmed = stops.len();
    }

    fn end(&mut self, task: TaskId) {
        let attempt = self.c.record(task).attempt();
        self.c.end(attempt, Outcome::exit(0)).unwrap();
    }

    /// Where a task is, or its status.
    fn place(&self, task: TaskId) -> String {
        let record = self.c.record(task);
        record.active().map_or_else(|| record.status().to_string(), |active| active.worker.to_string())
    }
}

#[test]
fn a_more_important_task_takes_the_place_of_the_least_important() {
    let mut s = Scene::new(&[("w1", 2), ("w2", 2)]);
    let others = [s.run(1, 0, 1, "w1"), s.run(2, 1, 1, "w2"), s.run(3, 2, 1, "w2")];
    let least = s.run(4, -5, 1, "w1");
    let urgent = s.submit(5, 80, 1);
    s.rounds();
    assert_eq!(s.c.stops(), [Attempt { task: least, number: 1 }]);
    assert_eq!(s.c.record(least).evicted().and_then(|evict| evict.by), Some(urgent));
    assert_eq!(s.place(urgent), "queued", "the room is not there yet");

    let told = |s: &Scene| explain(&s.view, &s.c.record(urgent), &*s.strategy, None, s.c.now).sentence();
    assert_eq!(told(&s), "waits: room is being made for it on w1: 1 task is being stopped");

    s.confirm();
    s.rounds();
    assert_eq!((s.place(urgent), s.place(least)), ("w1".into(), "queued".into()));
    assert!(others.iter().all(|other| s.place(*other) != "queued"));
    let record = s.c.record(least);
    assert_eq!(record.reason(), Some(Reason::Preempted));
    assert_eq!(record.spent, cloudai_core::task::Spent::default(), "it pays for it with no retry");
    let end = record.attempts[0].end.clone().unwrap();
    assert_eq!((end.reason, end.accepted), (Some(Reason::Preempted), false));
    assert_eq!(end.message, format!("task {urgent} of priority 80 took its place"));
}

#[test]
fn of_equals_what_began_last_makes_room_and_where_fewer_have_to_go() {
    let mut s = Scene::new(&[("w1", 2), ("w2", 2)]);
    s.run(1, 0, 2, "w1");
    let (_, last) = (s.run(2, 0, 1, "w2"), s.run(3, 0, 1, "w2"));
    s.submit(4, 50, 1);
    s.rounds();
    assert_eq!(s.c.stops(), [Attempt { task: last, number: 1 }]);
    // Of two workers that would have to be emptied the one on which one task runs.
    let mut s = Scene::new(&[("w1", 2), ("w2", 2)]);
    s.run(1, 0, 1, "w1");
    s.run(2, 0, 1, "w1");
    let alone = s.run(3, 0, 2, "w2");
    s.submit(4, 50, 2);
    s.rounds();
    assert_eq!(s.c.stops(), [Attempt { task: alone, number: 1 }]);
}

#[test]
fn nothing_is_preempted_where_it_would_not_help() {
    // The only worker that is large enough runs what is as important.
    let mut s = Scene::new(&[("w1", 2), ("w2", 4)]);
    s.run(1, -50, 2, "w1");
    s.run(2, 50, 2, "w2");
    s.run(3, -50, 1, "w2");
    s.submit(4, 50, 3);
    s.rounds();
    assert_eq!(
        (s.preemptions.len(), s.c.stops()),
        (0, vec![]),
        "with all that is less important gone it lacks one core"
    );
    // It may go to one worker alone.
    s.submit_with(5, 50, 3, Some("w1"));
    s.rounds();
    assert_eq!(s.c.stops(), []);
    // That one it may have.
    let pinned = s.submit_with(6, 50, 2, Some("w1"));
    s.rounds();
    assert_eq!(s.preemptions.len(), 1);
    s.confirm();
    s.rounds();
    assert_eq!(s.place(pinned), "w1");
}

#[test]
fn nobody_is_stopped_for_a_task_that_will_have_room_without_it() {
    let mut s = Scene::new(&[("w1", 1), ("w2", 1)]);
    let (cancelled, low) = (s.run(1, 0, 1, "w1"), s.run(2, -50, 1, "w2"));
    s.c.cancel(cancelled).unwrap();
    let urgent = s.submit(3, 50, 1);
    s.rounds();
    assert_eq!(s.preemptions, [], "w1 is about to be free");
    s.confirm();
    s.rounds();
    assert_eq!((s.place(urgent), s.place(low)), ("w1".into(), "w2".into()));
}

#[test]
fn equal_priority_preempts_nobody() {
    let mut s = Scene::new(&[("w1", 1)]);
    let low = s.run(1, 0, 1, "w1");
    for (number, priority) in [(2, 0), (3, i64::from(MARGIN) - 1)] {
        s.submit(number, priority, 1);
        s.rounds();
        assert_eq!(s.c.stops(), [], "{priority}");
    }
    s.submit(4, MARGIN.into(), 1);
    s.rounds();
    assert_eq!(s.c.stops(), [Attempt { task: low, number: 1 }]);
}

#[test]
fn off_by_default() {
    assert_eq!(Knobs::default().preemption, 0);
    let mut s = Scene::with("greedy_skip", Knobs::default().preemption, &[("w1", 1)]);
    s.run(1, -100, 1, "w1");
    s.submit(2, 100, 1);
    s.rounds();
    assert_eq!(s.c.stops(), []);
    // It is set while the cluster runs, and taken back.
    s.view.set_knobs(&Knobs { preemption: 200, ..Knobs::default() });
    assert_eq!(s.view.preempt(s.c.now).len(), 1);
    s.view.set_knobs(&Knobs::default());
    assert_eq!(s.view.preempt(s.c.now), []);
}

/// Preemption storms: what had to make room took it again, and was stopped again.
#[test]
fn no_preempt_loop() {
    for (strategy, _) in ALL {
        let mut s = Scene::with(strategy, MARGIN, &[("w1", 2)]);
        let low = s.run(1, -50, 1, "w1");
        let urgent = s.submit(2, 50, 2);
        s.rounds();
        assert_eq!(s.preemptions.len(), 1, "{strategy}");
        // One core is free, and stays so: it is a part of the room that is being made.
        let late = s.submit(3, 40, 1);
        s.rounds();
        assert_eq!(s.place(late), "queued", "{strategy}");
        s.confirm();
        s.rounds();
        let places = [urgent, low, late].map(|task| s.place(task));
        assert_eq!(places, ["w1", "queued", "queued"], "{strategy}");
        s.end(urgent);
        s.rounds();
        assert_eq!((s.place(low), s.place(late)), ("w1".into(), "w1".into()), "{strategy}");
        s.end(low);
        assert_eq!(s.c.record(low).status(), Status::Completed);
        assert_eq!(s.preemptions.len(), 1, "{strategy}");
    }
}

#[test]
fn a_worker_is_open_again_when_nobody_waits_for_its_room_any_more() {
    let mut s = Scene::new(&[("w1", 1), ("w2", 1)]);
    let (low, other) = (s.run(1, -50, 1, "w1"), s.run(2, 0, 1, "w2"));
    let urgent = s.submit(3, 50, 1);
    s.rounds();
    s.c.cancel(urgent).unwrap();
    s.confirm();
    s.rounds();
    assert_eq!(s.place(low), "w1", "who was to have the room has gone");
    // It has got a place elsewhere meanwhile.
    let urgent = s.submit(4, 50, 1);
    s.rounds();
    s.end(other);
    s.rounds();
    assert_eq!(s.place(urgent), "w2");
    s.confirm();
    s.rounds();
    assert_eq!(s.place(low), "w1");
}

#[test]
fn a_claim_that_comes_to_nothing_is_over() {
    let mut s = Scene::new(&[("w1", 2)]);
    let low = s.run(1, -50, 2, "w1");
    let urgent = s.submit(2, 50, 2);
    s.rounds();
    // The worker comes back smaller: nothing that was done for it helps.
    let attempt = s.c.record(low).attempt();
    s.c.end(attempt, Outcome::of(Cause::Stopped, "")).unwrap();
    s.c.worker("w1", cores(1));
    let small = s.submit(3, 0, 1);
    s.rounds();
    assert_eq!((s.place(urgent), s.place(small)), ("queued".into(), "w1".into()));
}

#[test]
fn a_claim_whose_place_is_refused_is_over() {
    let mut s = Scene::new(&[("w1", 1)]);
    let low = s.run(1, -50, 1, "w1");
    let urgent = s.submit(2, 50, 1);
    s.rounds();
    s.confirm();
    s.look();
    let place = Placement { attempt: Attempt { task: urgent, number: 1 }, worker: worker_id("w1") };
    assert_eq!(s.view.round(&mut *s.strategy, s.c.now), std::slice::from_ref(&place));
    // Nothing came of it: from here on the strategy decides, by its own order.
    assert_eq!(s.view.round(&mut *s.strategy, s.c.now), [place]);
    s.c.place(low, "w1");
    s.look();
    assert_eq!(s.view.round(&mut *s.strategy, s.c.now), []);
    assert_eq!(s.view.preempt(s.c.now).len(), 1, "it may look for another");
}

#[test]
fn who_made_room_often_enough_is_spared() {
    let mut s = Scene::new(&[("w1", 1)]);
    let low = s.run(1, -50, 1, "w1");
    for number in 0..SPARED {
        let urgent = s.submit(2 + number as u128, 50, 1);
        s.rounds();
        s.confirm();
        s.rounds();
        assert_eq!((s.place(urgent), preemption::times(&s.c.record(low))), ("w1".into(), number + 1));
        s.end(urgent);
        s.rounds();
        assert_eq!(s.place(low), "w1");
    }
    let urgent = s.submit(90, 100, 1);
    s.rounds();
    assert_eq!((s.place(urgent), s.place(low)), ("queued".into(), "w1".into()));
    let for_ = Attempt { task: urgent, number: 1 };
    let victims = vec![s.c.record(low).attempt()];
    let answer = s.c.ok(Event::Preempt(Preemption { for_, worker: worker_id("w1"), victims, margin: 1 }));
    assert_eq!(answer, Answer::Preempted { refused: Some(PreemptionRefusal::Spared(low)) });
}

#[test]
fn a_proposal_that_is_stale_or_names_equals_stops_nobody() {
    let mut s = Scene::new(&[("w1", 2), ("w2", 1)]);
    let (low, equal) = (s.run(1, 0, 1, "w1"), s.run(2, 50, 1, "w1"));
    let elsewhere = s.run(3, -50, 1, "w2");
    let urgent = s.submit(4, 50, 1);
    let of = |task| Attempt { task, number: 1 };
    let good = || Preemption { for_: of(urgent), worker: worker_id("w1"), victims: vec![of(low)], margin: 50 };
    let wrong = |change: &dyn Fn(&mut Preemption)| {
        let mut preemption = good();
        change(&mut preemption);
        preemption
    };
    let stale = || PreemptionRefusal::Stale;
    let rows = [
        (wrong(&|one| one.for_.number = 2), stale()),
        (wrong(&|one| one.for_ = of(low)), stale()),
        (wrong(&|one| one.victims[0].number = 2), stale()),
        (wrong(&|one| one.victims = vec![of(elsewhere)]), stale()),
        (wrong(&|one| one.victims = vec![of(low); 2]), stale()),
        (wrong(&|one| one.victims = vec![of(urgent)]), stale()),
        (wrong(&|one| one.victims.push(of(equal))), PreemptionRefusal::NotLower(equal)),
        (wrong(&|one| one.margin = 51), PreemptionRefusal::NotLower(low)),
        (wrong(&|one| one.margin = 0), PreemptionRefusal::NotLower(low)),
        (wrong(&|one| one.worker = worker_id("w3")), PreemptionRefusal::Useless(PlacementRefusal::WorkerUnavailable)),
    ];
    for (preemption, why) in rows {
        let before = s.c.rows.len();
        let answer = s.c.ok(Event::Preempt(preemption.clone()));
        assert_eq!(answer, Answer::Preempted { refused: Some(why) }, "{preemption:?}");
        assert_eq!((s.c.stops(), s.c.rows.len()), (vec![], before), "{preemption:?}");
    }
    let none = s.c.ok(Event::Preempt(wrong(&|one| one.victims.clear())));
    let lacks = |answer: &Answer| {
        matches!(answer, Answer::Preempted { refused: Some(PreemptionRefusal::Useless(PlacementRefusal::Lack(_))) })
    };
    assert!(lacks(&none), "{none:?}");

    assert_eq!(s.c.ok(Event::Preempt(good())), Answer::Preempted { refused: None });
    assert_eq!(s.c.ok(Event::Preempt(good())), Answer::Preempted { refused: Some(stale()) }, "it is being stopped");
    s.confirm();
    let needless = Answer::Preempted { refused: Some(PreemptionRefusal::Needless) };
    assert_eq!(s.c.ok(Event::Preempt(wrong(&|one| one.victims = vec![of(equal)]))), needless, "it has room now");
}

#[test]
fn a_program_that_ended_before_its_stop_came_keeps_its_end() {
    let mut s = Scene::new(&[("w1", 1)]);
    let low = s.run(1, -50, 1, "w1");
    let urgent = s.submit(2, 50, 1);
    s.rounds();
    s.end(low);
    s.rounds();
    assert_eq!((s.c.record(low).status(), s.place(urgent)), (Status::Completed, "w1".into()));
}

#[test]
fn a_master_that_starts_again_knows_for_whom_tasks_are_being_stopped() {
    let mut s = Scene::new(&[("w1", 1)]);
    let low = s.run(1, -50, 1, "w1");
    let urgent = s.submit(2, 50, 1);
    s.rounds();
    // All that it knows is what is stored.
    let mut view = View::default();
    view.set_knobs(&Knobs { preemption: MARGIN, ..Knobs::default() });
    view.apply(&Row::Worker(s.c.worker_record("w1")));
    for task in [low, urgent] {
        view.apply(&Row::Task(s.c.record(task)));
    }
    s.strategy = make("greedy_skip", &Knobs::default()).unwrap();
    assert_eq!(view.round(&mut *s.strategy, s.c.now), []);
    assert_eq!(view.preempt(s.c.now), [], "room is being made already");
    s.view = view;
    s.seen = s.c.rows.len();
    s.confirm();
    s.look();
    let next = s.view.round(&mut *s.strategy, s.c.now);
    assert_eq!(next, [Placement { attempt: Attempt { task: urgent, number: 1 }, worker: worker_id("w1") }]);
    assert_eq!(s.place(low), "queued");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn preemptions_are_bounded_and_everything_ends_whatever_comes(
        strategy in 0..ALL.len(),
        margin in 1u32..30,
        steps in prop::collection::vec((0u8..6, 1i64..5, -30i64..31, 0usize..3), 1..40),
    ) {
        let mut s = Scene::with(ALL[strategy].0, margin, &[("w1", 4), ("w2", 4), ("w3", 4)]);
        let mut tasks = Vec::new();
        for (what, count, priority, pick) in steps {
            s.c.now = s.c.now + Duration::from_secs(1);
            match what {
                0..=2 => {
                    let pin = [None, None, Some("w2")][pick];
                    tasks.push(s.submit_with(1 + tasks.len() as u128, priority, count, pin));
                }
                3 => s.confirm(),
                4 => {
                    let running = tasks.iter().copied().filter(|task| s.c.record(*task).evicted().is_none());
                    let running: Vec<TaskId> = running.filter(|task| s.c.record(*task).active().is_some()).collect();
                    if let Some(task) = running.get(pick) {
                        s.end(*task);
                    }
                }
                _ => s.rounds(),
            }
        }
        for _ in 0..=4 * tasks.len() {
            s.c.now = s.c.now + Duration::from_secs(1);
            s.rounds();
            s.confirm();
            s.rounds();
            if let Some(task) = tasks.iter().find(|task| s.c.record(**task).active().is_some()) {
                let stopping = s.c.record(*task).evicted().is_some();
                if !stopping {
                    s.end(*task);
                }
            }
        }
        for task in &tasks {
            let record = s.c.record(*task);
            prop_assert!(record.status() == Status::Completed, "{record:#?}");
            prop_assert!(preemption::times(&record) <= SPARED);
        }
        for preemption in &s.preemptions {
            let priority = |task: TaskId| s.c.record(task).spec.priority;
            for victim in &preemption.victims {
                let least = priority(preemption.for_.task) - i32::try_from(margin).unwrap();
                prop_assert!(priority(victim.task) <= least, "{preemption:?}");
            }
        }
    }
}
