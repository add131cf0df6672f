//! What kin keep each other from, and where they would rather be.

use super::*;
use crate::event::{Answer, Event, NewTask, Placement, Registration};
use crate::ids::{Attempt, TaskId};
use crate::spec::{TaskSpec, Value};
use crate::task::Outcome;
use crate::testing::{TestCluster, cores, spec, task_id, worker_id};
use crate::worker::About;
use std::sync::Arc;

fn texts(list: &[&str]) -> Value {
    Value::List(list.iter().map(|text| Value::Text((*text).to_owned())).collect())
}

/// A task of this name that is apart by these labels, and spread over those.
fn named(name: &str, apart: &[&str], spread: &[&str]) -> Arc<TaskSpec> {
    spec(&[("name", Value::Text(name.into())), ("anti_affinity", texts(apart)), ("spread", texts(spread))])
}

fn worker(c: &mut TestCluster, name: &str, labels: &str) {
    let pairs = labels.split_whitespace().filter_map(|pair| pair.split_once('='));
    c.ok(Event::Register(Box::new(Registration {
        worker: worker_id(name),
        address: None,
        capacity: cores(8),
        labels: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        about: About::default(),
        held: vec![],
    })));
}

/// Four workers: two of a zone, one of another, one of none.
fn cluster() -> TestCluster {
    let mut c = TestCluster::default();
    for (name, labels) in [("w1", "zone=eu"), ("w2", "zone=eu"), ("w3", "zone=us"), ("w4", "")] {
        worker(&mut c, name, labels);
    }
    c
}

/// What the cluster answers to a placement of the next attempt of a task.
fn refusal(c: &mut TestCluster, task: TaskId, worker: &str) -> Option<PlacementRefusal> {
    let attempt = Attempt { task, number: c.record(task).number() + 1 };
    let answer = c.ok(Event::Place(vec![Placement { attempt, worker: worker_id(worker) }]));
    let Answer::Placed { refused, .. } = answer else { panic!("{answer:?}") };
    refused.into_iter().next().map(|(_, why)| why)
}

fn zone(value: Option<&str>) -> PlacementRefusal {
    PlacementRefusal::Beside(Beside { label: "zone".into(), value: value.map(ToOwned::to_owned) })
}

#[test]
fn a_placement_beside_a_kin_is_refused_until_that_has_ended() {
    let mut c = cluster();
    let tasks: Vec<TaskId> = (1..=4).map(|number| c.submit(number, named("a", &["zone"], &[])).unwrap()).collect();
    let first = c.place(tasks[0], "w1");
    for worker in ["w1", "w2"] {
        assert_eq!(refusal(&mut c, tasks[1], worker), Some(zone(Some("eu"))), "{worker}");
    }
    c.place(tasks[1], "w4");
    assert_eq!(refusal(&mut c, tasks[2], "w4"), Some(zone(None)), "it stands for itself");
    c.place(tasks[2], "w3");
    c.end(first, Outcome::exit(0)).unwrap();
    assert_eq!(refusal(&mut c, tasks[3], "w2"), None);
}

#[test]
fn two_kin_in_one_proposal_are_refused_and_what_was_placed_counts_after_a_restart() {
    let mut c = cluster();
    let tasks: Vec<TaskId> = (1..=3).map(|number| c.submit(number, named("a", &["worker.id"], &[])).unwrap()).collect();
    let to_w1 = |task: &TaskId| Placement { attempt: Attempt { task: *task, number: 1 }, worker: worker_id("w1") };
    let answer = c.ok(Event::Place(tasks.iter().take(2).map(to_w1).collect()));
    assert!(matches!(&answer, Answer::Placed { taken: 1, refused } if refused.len() == 1), "{answer:?}");
    let mut c = c.restarted();
    for (name, labels) in [("w1", "zone=eu"), ("w2", "zone=eu")] {
        worker(&mut c, name, labels);
    }
    let beside = Beside { label: "worker.id".into(), value: Some("w1".into()) };
    assert_eq!(refusal(&mut c, tasks[2], "w1"), Some(PlacementRefusal::Beside(beside)));
    assert_eq!(refusal(&mut c, tasks[2], "w2"), None);
}

#[test]
fn kin_are_of_one_name_and_one_owner_and_ask_for_it() {
    let mut c = cluster();
    let first = c.submit(1, named("a", &["worker.id"], &[])).unwrap();
    c.place(first, "w1");
    let nameless = spec(&[("anti_affinity", texts(&["worker.id"]))]);
    let careless = spec(&[("name", Value::Text("a".into()))]);
    for (number, other) in [(2, named("b", &["worker.id"], &[])), (3, nameless), (4, careless)] {
        let other = c.submit(number, other).unwrap();
        assert_eq!(refusal(&mut c, other, "w1"), None, "{number}");
    }
    let strange = NewTask {
        id: task_id(5),
        owner: "somebody".parse().unwrap(),
        job: None,
        depends_on: Vec::new(),
        retry_of: None,
        spec: named("a", &["worker.id"], &[]),
    };
    c.ok(Event::Submit(vec![strange]));
    assert_eq!(refusal(&mut c, task_id(5), "w1"), None, "of another owner");
    let spread = c.submit(6, named("a", &[], &["zone"])).unwrap();
    assert_eq!(refusal(&mut c, spread, "w1"), None, "it asks to be spread, no more");
    let last = c.submit(7, named("a", &["worker.id"], &[])).unwrap();
    assert!(refusal(&mut c, last, "w1").is_some());
    assert_eq!(refusal(&mut c, last, "w2"), None);
}

#[test]
fn labels_of_now_count_and_a_label_that_changes_moves_nobody() {
    let mut c = cluster();
    let tasks: Vec<TaskId> = (1..=3).map(|number| c.submit(number, named("a", &["zone"], &[])).unwrap()).collect();
    c.place(tasks[0], "w1");
    c.place(tasks[1], "w3");
    c.label("w3", &[("zone", "eu")]);
    assert_eq!(c.stops(), []);
    assert_eq!(refusal(&mut c, tasks[2], "w2"), Some(zone(Some("eu"))));
    c.label("w2", &[("zone", "us")]);
    assert_eq!(refusal(&mut c, tasks[2], "w2"), None);
}

#[test]
fn who_waits_for_kin_is_told_so() {
    let mut c = TestCluster::default();
    worker(&mut c, "w1", "zone=eu");
    let tasks: Vec<TaskId> = (1..=2).map(|number| c.submit(number, named("a", &["zone"], &[])).unwrap()).collect();
    c.place(tasks[0], "w1");
    let why = |c: &TestCluster| c.cluster.why_waiting(&c.record(tasks[1]));
    let said = "w1 has room, but a task of the same name runs on a worker with zone = eu (anti_affinity)";
    assert_eq!(why(&c), said);
    worker(&mut c, "w2", "zone=eu");
    assert_eq!(why(&c), format!("{said}; one other is as near"));
    worker(&mut c, "w3", "");
    assert_eq!(why(&c), "a place had just become free");
}

#[test]
fn kin_near_a_worker_weigh_against_it() {
    let mut c = cluster();
    let over = Value::Map(vec![("label".into(), Value::Text("zone".into())), ("weight".into(), Value::Int(7))]);
    let wish = Value::Map(vec![("expr".into(), Value::Text("zone = eu".into())), ("weight".into(), Value::Int(10))]);
    let fields = [
        ("name", Value::Text("a".into())),
        ("spread", Value::List(vec![over, Value::Text("worker.id".into())])),
        ("affinity", Value::List(vec![wish])),
    ];
    let tasks: Vec<TaskId> = (1..=3).map(|number| c.submit(number, spec(&fields)).unwrap()).collect();
    c.place(tasks[0], "w1");
    c.place(tasks[1], "w2");
    let mut fleet = crate::strategy::Fleet::default();
    c.rows.iter().for_each(|row| fleet.apply(row));
    let waits = c.record(tasks[2]);
    let liking: Vec<i32> = fleet.workers().map(|worker| fleet.liking(&waits, worker)).collect();
    assert_eq!(liking, [10 - 14 - 50, 10 - 14 - 50, 0, 0]);
}
