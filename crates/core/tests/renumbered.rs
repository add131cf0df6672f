//! What a view thinks of a cluster follows the rows: as workers join, and as proposals come to nothing.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use cloudai_core::effect::Row;
use cloudai_core::ids::TaskId;
use cloudai_core::strategy::{ALL, Knobs, Strategy, View};
use cloudai_core::testing::{TestCluster, cores};

/// A cluster with one worker, and a view that is told its rows before each round.
struct Seen {
    name: &'static str,
    cluster: TestCluster,
    told: usize,
    view: View,
    strategy: Box<dyn Strategy>,
}

impl Seen {
    /// One for each strategy.
    fn each(cores_of_w1: u64) -> impl Iterator<Item = Self> {
        ALL.iter().map(move |(name, make)| {
            let mut cluster = TestCluster::default();
            cluster.worker("w1", cores(cores_of_w1));
            Self { name, cluster, told: 0, view: View::default(), strategy: make(&Knobs::default()) }
        })
    }

    fn round(&mut self) -> Vec<TaskId> {
        self.cluster.rows[self.told..].iter().for_each(|row| self.view.apply(row));
        self.told = self.cluster.rows.len();
        let placed = self.view.round(&mut *self.strategy, self.cluster.now);
        placed.into_iter().map(|placement| placement.attempt.task).collect()
    }
}

#[test]
fn a_worker_that_joins_after_waiting_tasks_have_gone_gets_those_that_are_left() {
    for mut seen in Seen::each(1) {
        let tasks: Vec<_> = (1..=20).map(|number| seen.cluster.task(number)).collect();
        seen.cluster.place(tasks[19], "w1");
        assert_eq!(seen.round(), [], "{}: the worker is full", seen.name);
        for task in &tasks[..17] {
            seen.cluster.cancel(*task).unwrap();
        }
        assert_eq!(seen.round(), [], "{}", seen.name);
        seen.cluster.worker("w0", cores(2));
        assert_eq!(seen.round(), tasks[17..19], "{}", seen.name);
    }
}

#[test]
fn room_of_a_refused_start_is_given_back_once() {
    for mut seen in Seen::each(2) {
        let tasks: Vec<_> = (1..=3).map(|number| seen.cluster.task(number)).collect();
        assert_eq!(seen.round().len(), 2, "{}", seen.name);
        // The master took neither; the worker's row comes again all the same.
        let row = Row::Worker(seen.cluster.worker_record("w1"));
        seen.cluster.rows.push(row);
        assert_eq!(seen.round().len(), 2, "{}: two cores are two", seen.name);
        // It took one of them.
        seen.cluster.place(tasks[0], "w1");
        assert_eq!(seen.round().len(), 1, "{}: one core is left", seen.name);
    }
}

#[test]
fn room_of_a_start_whose_task_is_cancelled_first_is_given_back() {
    for mut seen in Seen::each(1) {
        let first = seen.cluster.task(1);
        assert_eq!(seen.round(), [first], "{}", seen.name);
        seen.cluster.cancel(first).unwrap();
        let second = seen.cluster.task(2);
        assert_eq!(seen.round(), [second], "{}: nobody has the core", seen.name);
    }
}

#[test]
fn room_of_a_start_that_happens_on_another_worker_is_given_back() {
    for mut seen in Seen::each(1) {
        seen.cluster.worker("w2", cores(1));
        let first = seen.cluster.task(1);
        assert_eq!(seen.round(), [first], "{}", seen.name);
        let proposed = seen.view.board().seats().iter().position(|seat| !seat.runs.is_empty()).unwrap();
        seen.cluster.place(first, ["w2", "w1"][proposed]);
        let second = seen.cluster.task(2);
        assert_eq!(seen.round(), [second], "{}: what was proposed is free", seen.name);
    }
}
