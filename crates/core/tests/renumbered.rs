//! A worker that comes for the first time has everything numbered anew; strategies go on.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use cloudai_core::strategy::{ALL, View};
use cloudai_core::testing::{TestCluster, cores};

#[test]
fn a_worker_that_joins_after_waiting_tasks_have_gone_gets_those_that_are_left() {
    for (name, make) in ALL {
        let (mut cluster, mut view, mut strategy) =
            (TestCluster::default(), View::default(), make(&cloudai_core::strategy::Knobs::default()));
        cluster.worker("w1", cores(1));
        let tasks: Vec<_> = (1..=20).map(|number| cluster.task(number)).collect();
        cluster.place(tasks[19], "w1");
        let mut seen = 0;
        let mut round = |cluster: &TestCluster| {
            cluster.rows[seen..].iter().for_each(|row| view.apply(row));
            seen = cluster.rows.len();
            let placed = view.round(&mut *strategy, cluster.now);
            placed.into_iter().map(|placement| placement.attempt.task).collect::<Vec<_>>()
        };
        assert_eq!(round(&cluster), [], "{name}: the worker is full");
        for task in &tasks[..17] {
            cluster.cancel(*task).unwrap();
        }
        assert_eq!(round(&cluster), [], "{name}");
        cluster.worker("w0", cores(2));
        assert_eq!(round(&cluster), tasks[17..19], "{name}");
    }
}
