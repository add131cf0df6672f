//! Tasks with several requests, of which the first that fits anywhere is taken: placed, explained, run again.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use cloudai_core::effect::{Command, Dispatch};
use cloudai_core::event::{Answer, Event};
use cloudai_core::feasible;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::resources::{Capacity, Free};
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::strategy::explain::{Explanation, Looked, Turn, explain};
use cloudai_core::strategy::{ALL, Strategy, View, by_name};
use cloudai_core::task::Outcome;
use cloudai_core::testing::{TestCluster, cores, cores_and_gpus, spec, worker_id};
use std::sync::Arc;

/// A spec of requests, each of so many cores and whole GPUs.
fn either(requests: &[(i64, i64)]) -> Arc<TaskSpec> {
    let request = |(cpus, gpus): &(i64, i64)| {
        Value::Map(vec![("cpu_cores".into(), Value::Int(*cpus)), ("gpu_cores".into(), Value::Int(*gpus))])
    };
    spec(&[("requests", Value::List(requests.iter().map(request).collect()))])
}

/// A cluster with the strategy that places.
struct Placing {
    c: TestCluster,
    view: View,
    seen: usize,
    strategy: Box<dyn Strategy>,
}

impl Placing {
    fn with(strategy: &str, workers: &[(&str, Capacity)]) -> Self {
        let mut c = TestCluster::default();
        for (name, capacity) in workers {
            c.worker(name, capacity.clone());
        }
        Self { c, view: View::default(), seen: 0, strategy: by_name(strategy).unwrap() }
    }

    fn hear(&mut self) {
        self.c.rows[self.seen..].iter().for_each(|row| self.view.apply(row));
        self.seen = self.c.rows.len();
    }

    /// Lets the strategy place what it can; answers who went where.
    fn place(&mut self) -> Vec<(TaskId, String)> {
        let mut placed = Vec::new();
        loop {
            self.hear();
            let round = self.view.round(&mut *self.strategy, self.c.now);
            if round.is_empty() {
                return placed;
            }
            placed.extend(round.iter().map(|one| (one.attempt.task, one.worker.to_string())));
            let count = round.len();
            let answer = self.c.ok(Event::Place(round));
            assert!(matches!(answer, Answer::Placed { taken, .. } if taken == count), "{answer:?}");
        }
    }

    fn submit(&mut self, number: u128, requests: &[(i64, i64)]) -> TaskId {
        self.c.submit(number, either(requests)).unwrap()
    }

    fn told(&mut self, task: TaskId) -> Explanation {
        self.hear();
        explain(&self.view, &self.c.record(task), &*self.strategy, None, self.c.now)
    }

    fn end(&mut self, task: TaskId) {
        let attempt = Attempt { task, number: self.c.record(task).number() };
        self.c.end(attempt, Outcome::exit(0)).unwrap();
    }

    /// Which request a task was given, and what it holds: thousandths of a core and of GPUs.
    fn given(&self, task: TaskId) -> (u8, u64, u64) {
        let record = self.c.record(task);
        let held = &record.active().unwrap().allocation;
        (record.request(), held.cpu_milli, held.gpus.iter().map(|(_, milli)| milli).sum())
    }
}

fn named(task: TaskId, worker: &str) -> (TaskId, String) {
    (task, worker.to_owned())
}

#[test]
fn the_first_request_that_fits_anywhere_is_taken_then_the_second_and_the_first_again_when_room_comes() {
    for (strategy, _) in ALL {
        // The worker that only the second fits comes first.
        let mut p = Placing::with(strategy, &[("w1", cores(8)), ("w2", cores_and_gpus(2, 1))]);
        let choice = [(1, 1), (8, 0)];
        let tasks = [1, 2, 3].map(|number| p.submit(number, &choice));
        assert_eq!(p.place(), [named(tasks[0], "w2"), named(tasks[1], "w1")], "{strategy}");
        assert_eq!((p.given(tasks[0]), p.given(tasks[1])), ((0, 1000, 1000), (1, 8000, 0)), "{strategy}");
        p.end(tasks[0]);
        assert_eq!(p.place(), [named(tasks[2], "w2")], "{strategy}");
        assert_eq!(p.given(tasks[2]), (0, 1000, 1000), "{strategy}");
        p.end(tasks[1]);
        let last = p.submit(4, &choice);
        assert_eq!(p.place(), [named(last, "w1")], "{strategy}: what is given back is what was taken");
        assert_eq!(p.given(last), (1, 8000, 0), "{strategy}");
    }
}

#[test]
fn a_worker_is_told_of_the_request_that_it_was_given_and_of_no_other() {
    let mut p = Placing::with("greedy", &[("w1", cores_and_gpus(8, 1))]);
    let (first, second) = (p.submit(1, &[(1, 1), (2, 0)]), p.submit(2, &[(1, 1), (2, 0)]));
    p.place();
    let start = |sent: &Dispatch| match &sent.command {
        Command::Start(order) => Some((order.attempt.task, Arc::clone(&order.spec))),
        Command::Stop(_) | Command::Ping => None,
    };
    let orders: Vec<_> = p.c.sent.iter().filter_map(start).collect();
    let of = |task: TaskId| orders.iter().find(|(id, _)| *id == task).map(|(_, spec)| Arc::clone(spec)).unwrap();
    let record = p.c.record(second);
    assert_eq!(*of(first), *p.c.record(first).spec);
    let told = of(second);
    assert_eq!((&told.demand, told.alternatives.len()), (record.demand(), 0));
    assert_eq!(told.demand.cpu_milli, 2000);
    assert_eq!(record.spec.demand.gpu_milli, 1000, "the task keeps all of its requests");
    // A master that begins anew knows it still, and so do the attempts of a task that has ended.
    p.end(second);
    assert_eq!((p.c.record(second).request(), p.c.record(second).demand().cpu_milli), (1, 2000));
    let c = p.c.restarted();
    assert_eq!(c.cluster.task(first).map(|task| task.request()), Some(0));
}

#[test]
fn a_pinned_task_takes_the_first_of_its_requests_that_fits_there() {
    let mut p = Placing::with("ai", &[("w1", cores_and_gpus(4, 1)), ("w2", cores_and_gpus(4, 1))]);
    let mut pinned = TaskSpec::clone(&either(&[(1, 1), (2, 0)]));
    pinned.worker_id = Some(worker_id("w1"));
    let pinned = Arc::new(pinned);
    let tasks = [1, 2].map(|number| p.c.submit(number, Arc::clone(&pinned)).unwrap());
    assert_eq!(p.place(), tasks.map(|task| named(task, "w1")));
    assert_eq!((p.given(tasks[0]).0, p.given(tasks[1]).0), (0, 1));
}

#[test]
fn what_is_given_instead_of_what_was_proposed_is_what_strategies_go_by() {
    let mut p = Placing::with("greedy", &[("w1", cores_and_gpus(8, 1))]);
    let holds = p.submit(1, &[(1, 1), (2, 0)]);
    p.place();
    let late = p.submit(2, &[(1, 1), (2, 0)]);
    p.hear();
    let round = p.view.round(&mut *p.strategy, p.c.now);
    assert_eq!((round.len(), p.view.given(&late)), (1, 1), "the device is held");
    // It is given back before the proposal is looked at.
    p.end(holds);
    p.c.ok(Event::Place(round));
    assert_eq!(p.given(late), (0, 1000, 1000));
    p.hear();
    assert_eq!(p.view.given(&late), 0);
    let next = p.submit(3, &[(1, 1), (7, 0)]);
    assert_eq!(p.place(), [named(next, "w1")]);
    assert_eq!(p.given(next), (1, 7000, 0));
}

#[test]
fn a_task_is_refused_only_if_none_of_its_requests_ever_fits_and_told_so() {
    let mut p = Placing::with("greedy", &[("w1", cores(8))]);
    let refused = p.c.submit(1, either(&[(1, 1), (16, 0)])).unwrap_err().to_string();
    assert_eq!(
        refused,
        "no worker can run this: none of its 2 requests fits any worker: the first asks for 1 gpu, the largest worker \
         offers 0 gpu"
    );
    p.c.task(2);
    p.place();
    let task = p.submit(3, &[(1, 1), (8, 0)]);
    let why = p.told(task).why;
    let said = "no worker has room for any of its 2 requests; w1 comes nearest (cpu: needs 8, has 7 free)";
    assert_eq!(why.as_deref(), Some(said));
}

#[test]
fn an_explanation_tells_of_each_worker_the_request_that_fits_or_could() {
    let mut p = Placing::with("greedy", &[("w1", cores(4)), ("w2", cores_and_gpus(2, 1))]);
    let gpu = p.submit(1, &[(1, 1), (8, 0)]);
    p.place();
    let large = p.submit(2, &[(3, 0), (4, 0)]);
    p.place();
    assert_eq!((p.given(gpu).0, p.given(large).0), (0, 0));
    let task = p.submit(3, &[(1, 1), (4, 0)]);
    let told = p.told(task);
    assert_eq!(told.now.map(|outlook| outlook.turn), Some(Turn::NoRoom));
    let against = |looked: &Looked| {
        let texts: Vec<_> = looked.against.iter().map(ToString::to_string).collect();
        (looked.worker.to_string(), looked.ever, texts.join("; "))
    };
    let mut workers: Vec<_> = told.workers.iter().map(against).collect();
    workers.sort();
    assert_eq!(
        workers,
        [
            ("w1".to_owned(), true, "cpu need 4 free 1 of 4".to_owned()),
            ("w2".to_owned(), true, "gpu need 1 free 0 of 1".to_owned()),
        ]
    );
    let changes: Vec<_> = told.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changes, ["with 1 cpu or less in its request 2 it fits w1"]);
}

#[test]
fn what_fits_a_worker_is_what_is_given_there() {
    let capacity = cores_and_gpus(4, 1);
    let mut c = TestCluster::default();
    c.worker("w1", capacity.clone());
    let worker = c.worker_record("w1");
    for (requests, expected) in [
        (&[(1, 1), (2, 0)][..], Ok(0)),
        (&[(8, 0), (2, 0)], Ok(1)),
        (&[(8, 0), (1, 2), (4, 1)], Ok(2)),
        (&[(8, 0), (1, 2)], Err(())),
    ] {
        let spec = either(requests);
        let fit = feasible::fits(&spec, &worker, &Free::all(&capacity));
        assert_eq!(fit.as_ref().map(|fit| fit.request).map_err(|_| ()), expected, "{requests:?}");
        assert_eq!(feasible::could_ever(&spec, &worker).is_ok(), expected.is_ok(), "{requests:?}");
        if let Ok(fit) = fit {
            assert_eq!(Free::all(&capacity).pick(spec.request(fit.request)), Ok(fit.allocation));
        }
    }
}
