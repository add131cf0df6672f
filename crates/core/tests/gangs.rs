//! Gangs: arrays of which all elements start together or not at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![allow(clippy::wildcard_enum_match_arm, reason = "any other answer fails the test")]

use cloudai_core::event::{Answer, Event, NewJob, Placement, PlacementRefusal, Rejected};
use cloudai_core::ids::{Attempt, JobId, TaskId, UserId};
use cloudai_core::job::{Elements, Group, Indexes, JobPlan};
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::state::{Reason, Status};
use cloudai_core::strategy::explain::{Turn, explain};
use cloudai_core::strategy::rules::{Blocked, Rules};
use cloudai_core::strategy::{ALL, Ruled, Strategy, View, by_name};
use cloudai_core::task::{Cause, Outcome, Spent, State, Step};
use cloudai_core::testing::{TestCluster, cores, spec, worker_id};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const JOB: JobId = JobId::new(1 << 64);

/// A cluster and what places in it.
struct Run {
    c: TestCluster,
    view: View,
    seen: usize,
    strategy: Box<dyn Strategy>,
}

fn plan(spec: Arc<TaskSpec>, elements: u32) -> Arc<JobPlan> {
    let elements = Elements { indexes: Indexes::up_to(elements), at_once: None, gang: true, each: Vec::new() };
    let group = Group { name: "gang".into(), spec, elements: Some(elements), needs: Vec::new() };
    Arc::new(JobPlan { name: None, max_fails: None, groups: vec![group] })
}

fn new(id: JobId, spec: Arc<TaskSpec>, elements: u32) -> Event {
    Event::SubmitJob(Box::new(NewJob {
        id,
        owner: UserId::local(),
        plan: plan(spec, elements),
        held: false,
        idempotency_key: None,
        retry_of: None,
        done: Vec::new(),
        ended: BTreeMap::new(),
    }))
}

fn long(seconds: i64) -> Arc<TaskSpec> {
    spec(&[("estimate_s", Value::Int(seconds))])
}

fn member(index: u32) -> TaskId {
    JOB.group(0).element(index)
}

impl Run {
    /// Workers `w0`, `w1`, ... of so many cores.
    fn new(strategy: Box<dyn Strategy>, workers: &[u64]) -> Self {
        let mut c = TestCluster::default();
        for (number, count) in workers.iter().enumerate() {
            c.worker(&format!("w{number}"), cores(*count));
        }
        Self { c, view: View::default(), seen: 0, strategy }
    }

    /// With a gang of four, each of one core and fifty seconds.
    fn of_four(strategy: &str, workers: &[u64]) -> Self {
        let mut run = Self::new(by_name(strategy).unwrap(), workers);
        run.c.ok(new(JOB, long(50), 4));
        run
    }

    fn look(&mut self) {
        self.c.rows[self.seen..].iter().for_each(|row| self.view.apply(row));
        self.seen = self.c.rows.len();
    }

    /// One round, of which all is taken; answers what it started.
    fn round(&mut self) -> Vec<Attempt> {
        self.look();
        let placements = self.view.round(&mut *self.strategy, self.c.now);
        let started: Vec<Attempt> = placements.iter().map(|placement| placement.attempt).collect();
        if !placements.is_empty() {
            let answer = self.c.ok(Event::Place(placements));
            assert_eq!(
                answer,
                Answer::Placed { taken: started.len(), refused: Vec::new() },
                "{}",
                self.strategy.name()
            );
        }
        started
    }

    fn active(&self) -> Vec<Attempt> {
        self.c.cluster.tasks().filter(|task| task.active().is_some()).map(|task| task.attempt()).collect()
    }

    fn end(&mut self, attempt: Attempt) {
        self.c.end(attempt, Outcome::exit(0)).unwrap();
    }

    fn why(&mut self, task: TaskId) -> (String, Turn) {
        self.look();
        let told = explain(&self.view, &self.c.record(task), &*self.strategy, None, self.c.now);
        (told.why.unwrap_or_default(), told.now.unwrap().turn)
    }
}

#[test]
fn every_strategy_starts_a_gang_in_one_round_by_one_event() {
    for (name, _) in ALL {
        let mut run = Run::of_four(name, &[2, 2]);
        assert_eq!(run.round().len(), 4, "{name}");
        let given: Vec<_> = (0..4).map(|index| run.c.record(member(index)).attempts[0].assigned_at).collect();
        assert!(given.iter().all(|at| *at == given[0]));
        let env = run.c.record(member(3)).spec.container.env.clone();
        assert_eq!(env.get("CLOUDAI_GANG_SIZE").map(String::as_str), Some("4"));
        assert_eq!(run.round(), [], "{name}");
    }
}

fn apart(label: &str) -> Arc<TaskSpec> {
    let list = Value::List(vec![Value::Text(label.into())]);
    spec(&[("name", Value::Text("rank".into())), ("anti_affinity", list), ("estimate_s", Value::Int(50))])
}

#[test]
fn members_that_stand_apart_have_a_worker_each_or_none_of_them_starts() {
    for (name, _) in ALL {
        let mut run = Run::new(by_name(name).unwrap(), &[8, 8, 8]);
        run.c.ok(new(JOB, apart("worker.id"), 3));
        let other = run.c.submit(1, spec(&[("cpu_cores", Value::Int(8))])).unwrap();
        let holds = run.c.place(other, "w1");
        assert_eq!(run.round(), [], "{name}: two workers have room for sixteen, and for two of them");
        assert_eq!(run.why(member(0)).0, "its gang of 3 starts together; there is room for 2 now", "{name}");
        run.end(holds);
        assert_eq!(run.round().len(), 3, "{name}");
        let mut on: Vec<_> = (0..3).filter_map(|index| run.c.record(member(index)).worker().cloned()).collect();
        on.sort();
        assert_eq!(on, ["w0", "w1", "w2"].map(worker_id), "{name}");
    }
}

#[test]
fn members_that_stand_apart_by_zone_are_refused_where_there_are_too_few_zones() {
    let mut run = Run::new(by_name("ai").unwrap(), &[8, 8, 8]);
    for (worker, zone) in [("w0", "a"), ("w1", "a"), ("w2", "b")] {
        run.c.label(worker, &[("zone", zone)]);
    }
    let refused = run.c.apply(new(JOB, apart("zone"), 3)).unwrap_err();
    assert!(refused.to_string().contains("could run 2 of it at once"), "{refused}");
    run.c.ok(new(JOB, apart("zone"), 2));
    assert_eq!(run.round().len(), 2);
    // By one event no two of them come together, whoever proposes it.
    let mut run = Run::new(by_name("ai").unwrap(), &[8, 8]);
    run.c.ok(new(JOB, apart("worker.id"), 2));
    let both = |worker: &str| (0..2).map(|index| at(index, worker)).collect::<Vec<_>>();
    let answer = run.c.ok(Event::Place(both("w0")));
    let refused = both("w0").into_iter().map(|placement| (placement, PlacementRefusal::Gang)).collect();
    assert_eq!(answer, Answer::Placed { taken: 0, refused });
}

#[test]
fn a_gang_tries_a_quarantined_worker_whole_where_there_is_no_other() {
    let mut run = Run::new(by_name("ai").unwrap(), &[4]);
    for number in 0..5 {
        let mut made = spec(&[]);
        Arc::make_mut(&mut made).image = if number % 2 == 0 { "a" } else { "b" }.into();
        let task = run.c.submit(number, made).unwrap();
        let attempt = run.c.place(task, "w0");
        run.c.end(attempt, Outcome::of(Cause::EngineError, "no")).unwrap();
        run.c.cancel(task).unwrap();
    }
    assert!(!run.c.worker_record("w0").takes_work());
    run.c.ok(new(JOB, long(50), 4));
    assert_eq!(run.round(), []);
    for _ in 0..12 {
        run.c.wait(Duration::from_secs(5));
        let session = run.c.worker_record("w0").session;
        run.c.heartbeat("w0", session, u64::MAX, Vec::new()).unwrap();
    }
    let started = run.round();
    assert_eq!(started.len(), 4, "one of them alone would be no gang");
    assert!(run.c.worker_record("w0").duty.probe().is_some_and(|probe| started.contains(&probe)));
    started.into_iter().for_each(|attempt| run.end(attempt));
    assert!(run.c.worker_record("w0").duty.is_open());
}

#[test]
fn a_gang_waits_for_a_place_since_all_of_it_does_and_its_time_is_over_for_all_at_once() {
    let mut run = Run::new(by_name("ai").unwrap(), &[4]);
    let limited = spec(&[("queue_timeout_s", Value::Int(10)), ("estimate_s", Value::Int(50))]);
    run.c.ok(new(JOB, limited, 3));
    run.c.hold(member(1)).unwrap();
    run.c.wait(Duration::from_secs(25));
    assert_eq!(run.c.cluster.tasks().count(), 3, "they waited for their gang, not for a place");
    run.c.release(member(1)).unwrap();
    let live = |run: &Run| run.c.cluster.tasks().count();
    run.c.wait(Duration::from_secs(9));
    assert_eq!(live(&run), 3);
    run.c.wait(Duration::from_secs(2));
    assert_eq!(live(&run), 0, "none of them starts without the others");
}

fn at(index: u32, worker: &str) -> Placement {
    Placement { attempt: Attempt { task: member(index), number: 1 }, worker: worker_id(worker) }
}

#[test]
fn no_strategy_starts_a_part_of_a_gang() {
    for (name, _) in ALL {
        let mut run = Run::of_four(name, &[2, 3]);
        let other = run.c.task(1);
        let holds = run.c.place(other, "w0");
        let second = run.c.task(2);
        let also = run.c.place(second, "w1");
        assert_eq!(run.round(), [], "{name}");
        run.end(holds);
        assert_eq!(run.round().len(), 4, "{name}");
        run.end(also);
    }
}

#[test]
fn before_a_gang_that_has_no_room_goes_only_what_does_not_delay_it() {
    let rules = Rules { blocked: Blocked::Reserved, ..Rules::default() };
    let mut run = Run::new(Box::new(Ruled::new("test", rules)), &[2, 2]);
    let first = run.c.submit(1, long(100)).unwrap();
    let runs = run.c.place(first, "w0");
    run.c.ok(new(JOB, long(50), 4));
    assert_eq!(run.round(), [], "three cores are free");
    let too_long = run.c.submit(2, long(500)).unwrap();
    assert_eq!(run.round(), []);
    let short = run.c.submit(3, long(90)).unwrap();
    let started = run.round();
    assert_eq!(started.iter().map(|attempt| attempt.task).collect::<Vec<_>>(), [short]);
    run.end(runs);
    assert_eq!(run.round(), []);
    run.end(started[0]);
    assert_eq!(run.round().len(), 4);
    assert_eq!(run.c.record(too_long).status(), Status::Queued);
}

#[test]
fn the_cluster_takes_all_of_a_gang_or_nothing() {
    let mut run = Run::of_four("greedy", &[2, 2]);
    let placement =
        |index, worker| Placement { attempt: Attempt { task: member(index), number: 1 }, worker: worker_id(worker) };
    let refused = |run: &mut Run, placements: Vec<Placement>| match run.c.ok(Event::Place(placements)) {
        Answer::Placed { taken: 0, refused } => refused.into_iter().map(|(_, why)| why).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let three = vec![placement(0, "w0"), placement(1, "w0"), placement(2, "w1")];
    assert_eq!(refused(&mut run, three.clone()), vec![PlacementRefusal::Gang; 3]);
    let crowded = [three.clone(), vec![placement(3, "w0")]].concat();
    assert_eq!(refused(&mut run, crowded), vec![PlacementRefusal::Gang; 4], "three do not fit there");
    let twice = [three.clone(), vec![placement(2, "w1")]].concat();
    let whys = refused(&mut run, twice);
    assert_eq!(whys.iter().filter(|why| **why == PlacementRefusal::Gang).count(), 3, "{whys:?}");
    assert!(whys.contains(&PlacementRefusal::Stale));
    let other = run.c.task(1);
    let beside = Placement { attempt: Attempt { task: other, number: 1 }, worker: worker_id("w1") };
    let all = [three, vec![placement(3, "w1"), beside]].concat();
    let Answer::Placed { taken: 4, refused } = run.c.ok(Event::Place(all)) else { panic!() };
    assert!(matches!(refused[..], [(_, PlacementRefusal::Lack(_))]), "{refused:?}");
}

#[test]
fn a_gang_that_loses_a_member_is_brought_back_to_the_queue_once_and_starts_together_again() {
    let mut run = Run::of_four("ai", &[2, 2]);
    let first = run.round();
    first.iter().for_each(|attempt| drop(run.c.step(*attempt, Step::Running).unwrap()));
    run.c.end(first[1], Outcome::of(Cause::WorkerStopped, "")).unwrap();
    let mut stopped = run.c.stops();
    stopped.sort_unstable();
    let mut others = [first[0], first[2], first[3]];
    others.sort_unstable();
    assert_eq!(stopped, others);
    let lost = first[1].task.index().unwrap();
    let evicted = run.c.record(first[0].task).evicted().cloned().unwrap();
    assert_eq!((evicted.reason, evicted.by), (Reason::Gang, Some(first[1].task)));
    assert!(evicted.message.contains(&format!("element {lost} of its gang")), "{}", evicted.message);
    for attempt in others {
        assert_eq!(run.round(), [], "not all of it waits");
        run.c.end(attempt, Outcome::of(Cause::Stopped, "")).unwrap();
    }
    let again = run.round();
    assert_eq!((again.len(), run.c.stops().len()), (4, 3));
    assert!(again.iter().all(|attempt| attempt.number == 2 && run.c.record(attempt.task).spent == Spent::default()));
}

#[test]
fn what_ended_leaves_its_gang_and_the_rest_goes_on() {
    let mut run = Run::of_four("greedy", &[4]);
    let all = run.round();
    run.end(all[0]);
    run.c.end(all[1], Outcome::exit(1)).unwrap();
    assert_eq!((run.c.stops(), run.active().len()), (vec![], 2));
    // What is left starts together again where one of it loses its place.
    run.c.end(all[2], Outcome::of(Cause::WorkerStopped, "")).unwrap();
    run.c.end(all[3], Outcome::of(Cause::Stopped, "")).unwrap();
    assert_eq!(run.round().len(), 2);
}

#[test]
fn the_rest_of_a_gang_starts_when_a_waiting_member_is_cancelled() {
    for (name, _) in ALL {
        let mut run = Run::of_four(name, &[4]);
        let other = run.c.task(1);
        let holds = run.c.place(other, "w0");
        assert_eq!(run.round(), [], "{name}");
        run.c.cancel(member(2)).unwrap();
        assert_eq!(run.round().len(), 3, "{name}");
        run.end(holds);
    }
}

#[test]
fn a_held_member_holds_its_gang_and_nobody_else() {
    for (name, _) in ALL {
        let mut run = Run::of_four(name, &[4]);
        run.c.hold(member(1)).unwrap();
        let other = run.c.submit(1, long(50)).unwrap();
        let started = run.round();
        assert_eq!(started.iter().map(|attempt| attempt.task).collect::<Vec<_>>(), [other], "{name}");
        run.end(started[0]);
        assert_eq!(run.round(), [], "{name}");
        run.c.release(member(1)).unwrap();
        assert_eq!(run.round().len(), 4, "{name}");
    }
}

#[test]
fn an_explanation_says_what_a_gang_waits_for() {
    let mut run = Run::of_four("ai", &[4]);
    run.c.hold(member(1)).unwrap();
    let incomplete = "waits for the others of its gang: 1 of 4 is not ready (1 held)";
    assert_eq!(run.why(member(0)), (incomplete.to_owned(), Turn::Gang));
    run.c.release(member(1)).unwrap();
    let other = run.c.task(1);
    let holds = run.c.place(other, "w0");
    let short = "its gang of 4 starts together; there is room for 3 now";
    assert_eq!(run.why(member(0)), (short.to_owned(), Turn::Gang));
    run.end(holds);
    let (why, turn) = run.why(member(3));
    assert!(why.is_empty() && matches!(turn, Turn::Now(_)), "{why} {turn:?}");
    assert_eq!(run.round().len(), 4);
}

#[test]
fn a_gang_for_which_there_is_never_room_is_refused_with_how_many_there_is_room_for() {
    let mut run = Run::new(by_name("ai").unwrap(), &[2, 3]);
    let Err(Rejected::Unsatisfiable { index: 0, message }) = run.c.apply(new(JOB, long(1), 8)) else { panic!() };
    assert!(message.contains("its gang of 8") && message.contains("could run 5 of it at once"), "{message}");
    run.c.ok(new(JOB, long(1), 5));
    assert_eq!(run.round().len(), 5);
}

#[test]
fn a_pinned_gang_starts_together_on_its_worker() {
    let pinned = spec(&[("worker_id", Value::Text("w1".into()))]);
    let mut run = Run::new(by_name("ai").unwrap(), &[4, 3]);
    let other = run.c.task(1);
    let holds = run.c.place(other, "w1");
    run.c.ok(new(JOB, pinned, 3));
    assert_eq!(run.round(), [], "two would fit");
    run.end(holds);
    assert_eq!(run.round().len(), 3);
}

#[test]
fn a_master_that_begins_stops_what_its_predecessor_had_not() {
    let mut run = Run::of_four("ai", &[4]);
    let all = run.round();
    run.c.end(all[0], Outcome::of(Cause::WorkerStopped, "")).unwrap();
    // The records of the others as they were before they were told.
    run.c.rows.retain(|row| !matches!(row, cloudai_core::effect::Row::Task(task) if task.evicted().is_some()));
    let mut c = run.c.restarted();
    c.ok(Event::Tick);
    for attempt in &all[1..] {
        assert!(c.record(attempt.task).evicted().is_some(), "{attempt}");
    }
}

/// What is submitted: cores of each, and how many start together; one starts alone.
type Drawn = (u64, u32, i64);

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    /// Gangs and tasks that each could run alone; those that never could are refused.
    #[test]
    fn gangs_never_block_each_other_for_ever_and_none_starts_in_part(
        workers in proptest::collection::vec(1..5u64, 1..5),
        drawn in proptest::collection::vec((1..4u64, 1..6u32, 1..300i64), 1..14),
        strategy in proptest::sample::select(ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
        ends in proptest::collection::vec(0..64usize, 1..40),
    ) {
        let mut run = Run::new(by_name(strategy).unwrap(), &workers);
        let mut gangs = Vec::new();
        for (number, (count, size, seconds)) in (1_u128..).zip::<Vec<Drawn>>(drawn) {
            let cores = Value::Int(i64::try_from(count).unwrap());
            let spec = spec(&[("cpu_cores", cores), ("memory_gb", Value::Float(0.1)), ("estimate_s", Value::Int(seconds))]);
            let id = JobId::new(number << 64);
            if size == 1 {
                drop(run.c.submit(number, spec));
            } else if run.c.apply(new(id, spec, size)).is_ok() {
                gangs.push((id, size));
            }
        }
        let mut ends = ends.into_iter().cycle();
        loop {
            while !run.round().is_empty() {
                for (gang, size) in &gangs {
                    let members = (0..*size).filter_map(|index| run.c.cluster.task(gang.group(0).element(index)));
                    let members: Vec<_> = members.collect();
                    let waiting = members.iter().filter(|task| matches!(task.state, State::Queued(_))).count();
                    proptest::prop_assert!(waiting == 0 || waiting == members.len(), "{}: {} is split", strategy, gang);
                }
            }
            let active = run.active();
            if active.is_empty() {
                break;
            }
            let attempt = active[ends.next().unwrap_or(0) % active.len()];
            run.end(attempt);
        }
        proptest::prop_assert_eq!(run.c.cluster.tasks().count(), 0, "{}: nothing runs and something waits", strategy);
    }
}
