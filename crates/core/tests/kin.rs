//! Kin of tasks under every strategy: never beside each other, rather spread.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::event::{Answer, Event, Registration};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::strategy::explain::{self, Looked, Turn};
use cloudai_core::strategy::{ALL, Strategy as Placing, View, by_name};
use cloudai_core::task::Outcome;
use cloudai_core::testing::{TestCluster, cores, spec, worker_id};
use cloudai_core::worker::About;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

fn worker(c: &mut TestCluster, name: &str, count: u64, zone: &str) {
    let labels = if zone.is_empty() { BTreeMap::new() } else { BTreeMap::from([("zone".into(), zone.into())]) };
    c.ok(Event::Register(Box::new(Registration {
        worker: worker_id(name),
        address: None,
        capacity: cores(count),
        labels,
        about: About::default(),
        held: vec![],
    })));
}

fn named(name: &str, apart: &[&str], spread: &[&str], more: &[(&str, Value)]) -> Arc<TaskSpec> {
    let texts = |list: &[&str]| Value::List(list.iter().map(|text| Value::Text((*text).to_owned())).collect());
    let mut fields = vec![
        ("name", Value::Text(name.into())),
        ("anti_affinity", texts(apart)),
        ("spread", texts(spread)),
        ("estimate_s", Value::Int(60)),
    ];
    fields.extend(more.iter().cloned());
    spec(&fields)
}

/// A strategy that places on a cluster, round by round.
struct Rounds {
    c: TestCluster,
    view: View,
    strategy: Box<dyn Placing>,
    seen: usize,
}

impl Rounds {
    fn of(c: TestCluster, strategy: &str) -> Self {
        Self { c, view: View::default(), strategy: by_name(strategy).unwrap(), seen: 0 }
    }

    fn listen(&mut self) {
        self.c.rows[self.seen..].iter().for_each(|row| self.view.apply(row));
        self.seen = self.c.rows.len();
    }

    /// A round, and what was placed by it: all that it proposes is taken.
    fn round(&mut self) -> Vec<(Attempt, String)> {
        self.listen();
        let round = self.view.round(&mut *self.strategy, self.c.now);
        let placed = round.iter().map(|one| (one.attempt, one.worker.to_string())).collect();
        let answer = self.c.ok(Event::Place(round));
        assert!(matches!(&answer, Answer::Placed { refused, .. } if refused.is_empty()), "{answer:?}");
        placed
    }

    /// Rounds until nothing more starts.
    fn rounds(&mut self) -> Vec<(Attempt, String)> {
        let mut placed = Vec::new();
        loop {
            let round = self.round();
            if round.is_empty() {
                return placed;
            }
            placed.extend(round);
            self.c.now = self.c.now + Duration::from_millis(1);
        }
    }

    fn end(&mut self, attempt: Attempt) {
        self.c.end(attempt, Outcome::exit(0)).unwrap();
        self.c.now = self.c.now + Duration::from_secs(1);
    }
}

fn strategies() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(name, _)| *name)
}

#[test]
fn kin_start_on_different_workers_and_the_next_when_one_has_ended() {
    for strategy in strategies() {
        let mut c = TestCluster::default();
        (1..=3).for_each(|number| worker(&mut c, &format!("w{number}"), 64, ""));
        let apart = named("a", &["worker.id"], &[], &[]);
        for number in 1..=12 {
            c.submit(number, Arc::clone(&apart)).unwrap();
        }
        let mut rounds = Rounds::of(c, strategy);
        let mut running = rounds.rounds();
        let mut done = running.len();
        while let Some((attempt, worker)) = running.pop() {
            let used: BTreeSet<&str> = running.iter().map(|(_, other)| other.as_str()).chain([&*worker]).collect();
            assert_eq!(
                (used.len(), running.len() + 1),
                (3.min(12 - done + running.len() + 1), used.len()),
                "{strategy}"
            );
            rounds.end(attempt);
            let next = rounds.rounds();
            assert_eq!(next.len(), usize::from(done < 12), "{strategy}: {next:?}");
            assert!(next.iter().all(|(_, at)| *at == worker), "{strategy}: the others are taken");
            done += next.len();
            running = next.into_iter().chain(running).collect();
        }
        assert_eq!(done, 12, "{strategy}");
    }
}

#[test]
fn the_end_of_a_kin_opens_every_worker_of_its_zone() {
    for strategy in strategies() {
        let mut c = TestCluster::default();
        for (name, zone) in [("w1", "eu"), ("w2", "eu"), ("w3", "eu")] {
            worker(&mut c, name, 4, zone);
        }
        let small = named("a", &["zone"], &[], &[("worker_id", Value::Text("w1".into()))]);
        let first = c.submit(1, small).unwrap();
        let large = named("b", &[], &[], &[("cpu_cores", Value::Int(3)), ("worker_id", Value::Text("w1".into()))]);
        c.submit(2, large).unwrap();
        let mut rounds = Rounds::of(c, strategy);
        assert_eq!(rounds.rounds().len(), 2, "{strategy}");
        let second = rounds.c.submit(3, named("a", &["zone"], &[], &[("cpu_cores", Value::Int(2))])).unwrap();
        assert_eq!(rounds.rounds(), [], "{strategy}");
        rounds.end(Attempt { task: first, number: 1 });
        let next = rounds.rounds();
        assert_eq!(next.len(), 1, "{strategy}");
        assert!(next[0].0.task == second && next[0].1 != "w1", "{strategy}: {next:?}");
    }
}

#[test]
fn a_pinned_task_waits_for_its_kin_too_and_holds_up_nobody_elsewhere() {
    for strategy in strategies() {
        let mut c = TestCluster::default();
        worker(&mut c, "w1", 8, "eu");
        worker(&mut c, "w2", 8, "us");
        let pinned = |to: &str| named("a", &["zone"], &[], &[("worker_id", Value::Text(to.into()))]);
        let tasks: Vec<TaskId> =
            (1..).zip(["w1", "w1", "w2"]).map(|(number, to)| c.submit(number, pinned(to)).unwrap()).collect();
        let mut rounds = Rounds::of(c, strategy);
        let placed: Vec<TaskId> = rounds.rounds().into_iter().map(|(attempt, _)| attempt.task).collect();
        assert_eq!(placed, [tasks[0], tasks[2]], "{strategy}");
        rounds.end(Attempt { task: tasks[0], number: 1 });
        assert_eq!(rounds.rounds(), [(Attempt { task: tasks[1], number: 1 }, "w1".to_owned())], "{strategy}");
    }
}

#[test]
fn tasks_that_are_spread_fill_zones_of_different_sizes_evenly_and_wait_for_nothing() {
    for strategy in strategies() {
        let mut c = TestCluster::default();
        for (name, zone) in [("w1", "a"), ("w2", "a"), ("w3", "a"), ("w4", "b"), ("w5", "b"), ("w6", "c")] {
            worker(&mut c, name, 4, zone);
        }
        let zones = BTreeMap::from([("w1", 'a'), ("w2", 'a'), ("w3", 'a'), ("w4", 'b'), ("w5", 'b'), ("w6", 'c')]);
        let spread = named("a", &[], &["zone"], &[]);
        for number in 1..=9 {
            c.submit(number, Arc::clone(&spread)).unwrap();
        }
        let mut rounds = Rounds::of(c, strategy);
        let mut count: BTreeMap<char, usize> = BTreeMap::new();
        for (_, worker) in rounds.rounds() {
            *count.entry(zones[worker.as_str()]).or_insert(0) += 1;
        }
        assert_eq!(count, BTreeMap::from([('a', 3), ('b', 3), ('c', 3)]), "{strategy}");
        for number in 10..=24 {
            rounds.c.submit(number, Arc::clone(&spread)).unwrap();
        }
        assert_eq!(rounds.rounds().len(), 15, "{strategy}: all that have room start");
    }
}

#[test]
fn a_label_that_changes_parts_kin_or_brings_them_together() {
    for strategy in strategies() {
        let mut c = TestCluster::default();
        worker(&mut c, "w1", 8, "eu");
        worker(&mut c, "w2", 8, "eu");
        let apart = named("a", &["zone"], &[], &[]);
        let tasks: Vec<TaskId> = (1..=4).map(|number| c.submit(number, Arc::clone(&apart)).unwrap()).collect();
        let mut rounds = Rounds::of(c, strategy);
        let first = rounds.rounds();
        assert_eq!(first.len(), 1, "{strategy}");
        let other = if first[0].1 == "w1" { "w2" } else { "w1" };
        rounds.c.label(other, &[("zone", "us")]);
        let second = rounds.rounds();
        assert_eq!(second.iter().map(|(_, at)| at.as_str()).collect::<Vec<_>>(), [other], "{strategy}");
        rounds.c.label(other, &[("zone", "eu")]);
        rounds.end(first[0].0);
        assert_eq!(rounds.rounds(), [], "{strategy}: the other one is in the zone now");
        rounds.end(second[0].0);
        assert_eq!(rounds.rounds().len(), 1, "{strategy}");
        // Numbered anew, what runs still counts.
        worker(&mut rounds.c, "w0", 8, "eu");
        assert_eq!(rounds.rounds(), [], "{strategy}");
        worker(&mut rounds.c, "w9", 8, "as");
        assert_eq!(rounds.rounds().len(), 1, "{strategy}: {tasks:?}");
    }
}

#[test]
fn what_is_refused_is_placed_again() {
    for strategy in strategies() {
        let mut c = TestCluster::default();
        worker(&mut c, "w1", 8, "eu");
        worker(&mut c, "w2", 8, "eu");
        let apart = named("a", &["zone"], &[], &[]);
        for number in 1..=2 {
            c.submit(number, Arc::clone(&apart)).unwrap();
        }
        let mut rounds = Rounds::of(c, strategy);
        rounds.listen();
        let first = rounds.view.round(&mut *rounds.strategy, rounds.c.now);
        let again = rounds.view.round(&mut *rounds.strategy, rounds.c.now);
        assert_eq!((first.len(), again.len()), (1, 1), "{strategy}: none was taken");
    }
}

#[test]
fn explain_says_which_workers_are_too_near_and_when_that_ends() {
    let mut c = TestCluster::default();
    worker(&mut c, "w1", 8, "eu");
    worker(&mut c, "w2", 8, "eu");
    let apart = named("a", &["zone"], &[], &[]);
    let tasks: Vec<TaskId> = (1..=2).map(|number| c.submit(number, Arc::clone(&apart)).unwrap()).collect();
    c.place(tasks[0], "w1");
    let mut rounds = Rounds::of(c, "greedy");
    assert_eq!(rounds.rounds(), []);
    let record = rounds.c.record(tasks[1]);
    let told = explain::explain(&rounds.view, &record, &*rounds.strategy, None, rounds.c.now);
    assert!(told.workers.iter().all(|looked| looked.word() == "beside_kin" && looked.ever), "{told:?}");
    assert_eq!(told.workers[0].against[0].to_string(), "a task of the same name runs on a worker with zone = eu");
    assert_eq!(told.now.unwrap().turn, Turn::NoRoom);
    assert_eq!((told.changes, told.scores), (vec![], vec![]));
    let start = told.start.unwrap();
    assert_eq!((start.after, start.at > rounds.c.now, start.guessed), (Some(tasks[0]), true, false));
    assert!(!told.workers.iter().any(Looked::fits) && told.why.is_some());
}
