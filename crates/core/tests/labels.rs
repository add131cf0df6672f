//! Constraints and preferences over labels: judging, placing and the board agree, also when labels change.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::event::{Event, Heartbeat, LabelOrder, Registration};
use cloudai_core::feasible;
use cloudai_core::ids::{CommandSeq, Session, TaskId, UserId};
use cloudai_core::images::Images;
use cloudai_core::label::Changes;
use cloudai_core::need::Traits;
use cloudai_core::resources::{Capacity, Free, Gpu};
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::strategy::{ALL, Strategy as Placing, View, by_name};
use cloudai_core::testing::{TestCluster, cores, spec, worker_id};
use cloudai_core::worker::{About, WorkerRecord};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const KEYS: [&str; 4] = ["zone", "disk", "os", "gpu.model"];
const VALUES: [&str; 3] = ["x", "y", "z"];

/// A worker of a random cluster: its zone and disk, where it has such labels, its system and its devices.
type Machine = (Option<usize>, Option<usize>, usize, Vec<usize>);
/// A constraint: key, operator, values.
type Part = (usize, usize, Vec<usize>);

fn machines() -> impl Strategy<Value = Vec<Machine>> {
    let label = || proptest::option::of(0..3usize);
    proptest::collection::vec((label(), label(), 0..3usize, proptest::collection::vec(0..3usize, 0..3)), 1..5)
}

fn parts() -> impl Strategy<Value = Vec<Vec<Part>>> {
    let part = (0..4usize, 0..6usize, proptest::collection::vec(0..3usize, 1..3));
    proptest::collection::vec(proptest::collection::vec(part, 0..3), 1..8)
}

fn text((key, operator, values): &Part) -> String {
    let (key, first) = (KEYS[*key], VALUES[values[0]]);
    let list = values.iter().map(|value| VALUES[*value]).collect::<Vec<_>>().join(", ");
    match operator {
        0 => format!("{key} = {first}"),
        1 => format!("{key} != {first}"),
        2 => format!("{key} in ({list})"),
        3 => format!("{key} notin ({list})"),
        4 => format!("exists {key}"),
        _ => format!("!{key}"),
    }
}

/// What is said of a constraint in words, as plainly as can be.
fn holds(worker: &WorkerRecord, (key, operator, values): &Part) -> bool {
    let has: Vec<&str> = match KEYS[*key] {
        "os" => vec![worker.about.os.as_str()],
        "gpu.model" => worker.capacity.gpus.iter().map(|gpu| &*gpu.model).collect(),
        label => worker.labels.get(label).map(String::as_str).into_iter().collect(),
    };
    let first = has.contains(&VALUES[values[0]]);
    let any = values.iter().any(|value| has.contains(&VALUES[*value]));
    match operator {
        0 => first,
        1 => !first,
        2 => any,
        3 => !any,
        4 => !has.is_empty(),
        _ => has.is_empty(),
    }
}

fn name(number: usize) -> String {
    format!("w{number}")
}

fn labels(of: [(&str, Option<usize>); 2]) -> BTreeMap<String, String> {
    let given = of.into_iter().filter_map(|(key, value)| Some((key.to_owned(), VALUES[value?].to_owned())));
    given.collect()
}

fn register(c: &mut TestCluster, name: &str, capacity: Capacity, labels: BTreeMap<String, String>, os: &str) {
    c.ok(Event::Register(Box::new(Registration {
        worker: worker_id(name),
        address: None,
        capacity,
        labels,
        about: About { os: os.into(), ..About::default() },
        held: vec![],
    })));
}

fn cluster(machines: &[Machine], tasks: &[Vec<Part>]) -> (TestCluster, Vec<TaskId>) {
    let mut c = TestCluster::default();
    for (number, (zone, disk, os, gpus)) in machines.iter().enumerate() {
        let gpu = |(id, model): (usize, &usize)| Gpu { id: id.to_string().into(), model: VALUES[*model].into() };
        let capacity = Capacity { gpus: gpus.iter().enumerate().map(gpu).collect(), ..cores(100) };
        // A label that has the name of a fact says nothing.
        let mut told = labels([("zone", *zone), ("disk", *disk)]);
        told.insert("os".into(), "x".into());
        register(&mut c, &name(number), capacity, told, VALUES[*os]);
    }
    let submit = |(number, parts): (u128, &Vec<Part>)| {
        let constraints = Value::List(parts.iter().map(|part| Value::Text(text(part))).collect());
        let fields = [("constraints", constraints), ("allow_pending", Value::Bool(true))];
        c.submit(number, spec(&fields)).unwrap()
    };
    let tasks = (1u128..).zip(tasks).map(submit).collect();
    (c, tasks)
}

/// What a round of a strategy places, and whether that is all that any worker may run.
fn check(c: &TestCluster, round: &[(TaskId, String)], tasks: &[TaskId], parts: &[Vec<Part>]) -> Result<(), String> {
    for (task, parts) in tasks.iter().zip(parts) {
        let may: Vec<&WorkerRecord> = c
            .cluster
            .workers()
            .map(|worker| &**worker)
            .filter(|worker| parts.iter().all(|part| holds(worker, part)))
            .collect();
        let record = c.record(*task);
        let spec = &record.spec;
        for worker in c.cluster.workers() {
            let fits = feasible::fits(spec, worker, &Free::all(&worker.capacity)).is_ok();
            if fits != may.iter().any(|one| one.id == worker.id) {
                return Err(format!("{:?} on {worker:?}: {fits}", spec.constraints));
            }
        }
        let placed = round.iter().find(|(placed, _)| placed == task);
        if placed.is_none() != may.is_empty() {
            return Err(format!("{:?} is placed: {placed:?}", spec.constraints));
        }
        if let Some((_, at)) = placed
            && !may.iter().any(|worker| worker.id.as_str() == at)
        {
            return Err(format!("{:?} is placed on {at}", spec.constraints));
        }
    }
    Ok(())
}

fn round(view: &mut View, strategy: &mut dyn Placing, c: &TestCluster) -> Vec<(TaskId, String)> {
    let round = view.round(strategy, c.now);
    round.into_iter().map(|one| (one.attempt.task, one.worker.to_string())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_task_fits_and_goes_where_a_plain_reading_of_its_constraints_lets_it_also_when_labels_change(
        machines in machines(),
        parts in parts(),
        changes in proptest::collection::vec((0..4usize, 0..2usize, proptest::option::of(0..3usize)), 0..4),
    ) {
        let (mut c, tasks) = cluster(&machines, &parts);
        let mut seen: Vec<(View, Box<dyn Placing>)> =
            ALL.iter().map(|(name, _)| (View::default(), by_name(name).unwrap())).collect();
        for (view, strategy) in &mut seen {
            c.rows.iter().for_each(|row| view.apply(row));
            let round = round(view, &mut **strategy, &c);
            prop_assert_eq!(check(&c, &round, &tasks, &parts), Ok(()), "{}", strategy.name());
        }
        let before = c.rows.len();
        for (worker, key, value) in changes {
            let worker = worker_id(&name(worker % machines.len()));
            let (key, value) = (KEYS[key].to_owned(), value.map(|value| VALUES[value].to_owned()));
            let remove = if value.is_none() { vec![key.clone()] } else { Vec::new() };
            let set = value.into_iter().map(|value| (key.clone(), value)).collect();
            c.ok(Event::SetLabels(LabelOrder { worker, set, remove, by: UserId::local() }));
        }
        // What was proposed is not taken: all of it is placed again, by the labels of now.
        for (view, strategy) in &mut seen {
            c.rows[before..].iter().for_each(|row| view.apply(row));
            let round = round(view, &mut **strategy, &c);
            prop_assert_eq!(check(&c, &round, &tasks, &parts), Ok(()), "{}", strategy.name());
        }
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn worker(c: &mut TestCluster, name: &str, count: u64, labels: &str) {
    register(c, name, cores(count), pairs(labels), "linux");
}

fn constrained(texts: &[&str]) -> Arc<TaskSpec> {
    let list = texts.iter().map(|text| Value::Text((*text).to_owned())).collect();
    spec(&[("constraints", Value::List(list)), ("allow_pending", Value::Bool(true))])
}

fn preferring(wishes: &[(&str, i64)]) -> Arc<TaskSpec> {
    let map = |(expr, weight): &(&str, i64)| {
        let fields = [("expr", Value::Text((*expr).to_owned())), ("weight", Value::Int(*weight))];
        Value::Map(fields.map(|(name, value)| (name.to_owned(), value)).into())
    };
    spec(&[("affinity", Value::List(wishes.iter().map(map).collect()))])
}

#[test]
fn a_label_that_an_operator_sets_lets_a_waiting_task_be_placed_and_one_that_he_takes_away_does_not() {
    for (strategy, _) in ALL {
        let mut c = TestCluster::default();
        worker(&mut c, "w1", 4, "zone=us");
        worker(&mut c, "w2", 4, "");
        let task = c.submit(1, constrained(&["zone = eu"])).unwrap();
        let (mut view, mut placing, mut seen) = (View::default(), by_name(strategy).unwrap(), 0);
        let mut next = |c: &TestCluster| {
            c.rows[seen..].iter().for_each(|row| view.apply(row));
            seen = c.rows.len();
            round(&mut view, &mut *placing, c)
        };
        assert!(next(&c).is_empty(), "{strategy}");
        c.label("w2", &[("zone", "eu")]);
        assert_eq!(next(&c), [(task, "w2".to_owned())], "{strategy}");
        let gone = LabelOrder {
            worker: worker_id("w2"),
            set: BTreeMap::new(),
            remove: vec!["zone".into()],
            by: UserId::local(),
        };
        c.ok(Event::SetLabels(gone));
        assert!(next(&c).is_empty(), "{strategy}");
        c.label("w1", &[("zone", "eu")]);
        // The worker comes again and still tells its own zone.
        worker(&mut c, "w1", 4, "zone=us");
        assert_eq!(next(&c), [(task, "w1".to_owned())], "{strategy}");
        c.place(task, "w1");
    }
}

#[test]
fn of_equal_workers_the_one_that_tells_that_it_has_the_image_is_taken_also_when_all_are_numbered_anew() {
    let mut c = TestCluster::default();
    for name in ["w1", "w2", "w3"] {
        let images = Images::of(if name == "w3" { ["docker.io/library/busybox"] } else { ["a"] });
        c.ok(Event::Register(Box::new(Registration {
            worker: worker_id(name),
            address: None,
            capacity: cores(4),
            labels: BTreeMap::new(),
            about: About { images, ..About::default() },
            held: vec![],
        })));
    }
    let task = c.submit(1, spec(&[])).unwrap();
    let (mut view, mut placing) = (View::default(), by_name("ai").unwrap());
    c.rows.iter().for_each(|row| view.apply(row));
    assert_eq!(round(&mut view, &mut *placing, &c), [(task, "w3".to_owned())]);
    // It is before the others by its name.
    let before = c.rows.len();
    c.worker("w0", cores(4));
    c.rows[before..].iter().for_each(|row| view.apply(row));
    assert_eq!(round(&mut view, &mut *placing, &c), [(task, "w3".to_owned())]);
}

/// A heartbeat of `w1` that tells these images.
fn tell(c: &mut TestCluster, session: Session, images: &[&str]) {
    let (worker, images) = (worker_id("w1"), Some(Images::of(images)));
    let (seen, held) = (CommandSeq(0), Vec::new());
    c.ok(Event::Heartbeat(Heartbeat { worker, session, seen, held, draining: false, unfit: None, images }));
}

#[test]
fn a_task_that_asks_for_an_image_is_placed_once_a_worker_tells_that_it_has_it_and_not_when_it_is_removed() {
    for (strategy, _) in ALL {
        let mut c = TestCluster::default();
        let session = c.worker("w1", cores(4));
        let task = c.submit(1, constrained(&["image = docker.io/library/busybox"])).unwrap();
        let liking = preferring(&[("image = busybox:latest", 30), ("image = a", 7)]);
        let (mut view, mut placing, mut seen) = (View::default(), by_name(strategy).unwrap(), 0);
        let mut next = |c: &TestCluster| {
            c.rows[seen..].iter().for_each(|row| view.apply(row));
            seen = c.rows.len();
            round(&mut view, &mut *placing, c)
        };
        assert!(next(&c).is_empty(), "{strategy}");
        for (images, places) in [(&["a"][..], false), (&["a", "busybox"], true), (&["a"], false), (&["busybox"], true)]
        {
            tell(&mut c, session, images);
            assert_eq!(!next(&c).is_empty(), places, "{strategy} {images:?}");
            let sum = (if places { 30 } else { 0 }) + (if images.contains(&"a") { 7 } else { 0 });
            assert_eq!(liking.liking(Traits::of(&c.worker_record("w1"))), sum, "{images:?}");
            c.now = c.now + Duration::from_secs(30);
        }
        c.place(task, "w1");
    }
}

#[test]
fn of_workers_with_room_the_one_that_is_preferred_most_is_taken_and_no_task_waits_for_it() {
    for (strategy, _) in ALL {
        let mut c = TestCluster::default();
        worker(&mut c, "w1", 8, "disk=hdd");
        worker(&mut c, "w2", 2, "zone=eu");
        worker(&mut c, "w3", 2, "zone=eu disk=ssd");
        let wishes = [("zone = eu", 50), ("disk = ssd", 10), ("disk = hdd", -100)];
        let tasks: Vec<TaskId> = (1..=5).map(|number| c.submit(number, preferring(&wishes)).unwrap()).collect();
        let (mut view, mut placing) = (View::default(), by_name(strategy).unwrap());
        c.rows.iter().for_each(|row| view.apply(row));
        let mut round = round(&mut view, &mut *placing, &c);
        round.sort_unstable();
        let workers: Vec<&str> = round.iter().map(|(_, worker)| worker.as_str()).collect();
        let mut expected = ["w3", "w3", "w2", "w2", "w1"];
        let sorted: BTreeSet<TaskId> = round.iter().map(|(task, _)| *task).collect();
        assert_eq!(sorted, tasks.iter().copied().collect(), "{strategy}: all of them start");
        if !strategy.starts_with("ai") {
            assert_eq!(workers, expected, "{strategy}");
        }
        // The others look at tasks in another order: what they are given is the same.
        let mut workers = workers;
        workers.sort_unstable();
        expected.sort_unstable();
        assert_eq!(workers, expected, "{strategy}");
    }
}

#[test]
fn a_backlog_that_has_preferences_is_worked_off_by_them() {
    for strategy in ["ai", "ai_aggressive", "ai_predictive"] {
        let mut c = TestCluster::default();
        worker(&mut c, "w1", 8, "zone=us");
        worker(&mut c, "w2", 8, "zone=eu");
        let wish = |number: u128| [(if number.is_multiple_of(2) { "zone = eu" } else { "zone = us" }, 50)];
        let tasks: Vec<TaskId> = (1..=16).map(|number| c.submit(number, preferring(&wish(number))).unwrap()).collect();
        let (mut view, mut placing) = (View::default(), by_name(strategy).unwrap());
        c.rows.iter().for_each(|row| view.apply(row));
        let placed: BTreeMap<TaskId, String> = round(&mut view, &mut *placing, &c).into_iter().collect();
        for (number, task) in (1..).zip(tasks) {
            assert_eq!(placed[&task], if number % 2 == 0 { "w2" } else { "w1" }, "{strategy} {number}");
        }
    }
}

#[test]
fn the_weights_of_what_holds_are_summed() {
    let mut c = TestCluster::default();
    worker(&mut c, "w1", 1, "zone=eu disk=ssd");
    let record = c.worker_record("w1");
    let liking = |wishes: &[(&str, i64)]| preferring(wishes).liking(Traits::of(&record));
    assert_eq!(liking(&[("zone = eu", 50), ("disk = hdd", 40), ("os = linux", -20)]), 30);
    assert_eq!(liking(&[]), 0);
    let changes = Changes::from([("zone".to_owned(), None)]);
    assert_eq!(cloudai_core::label::Words(&changes).to_string(), "zone-");
}
