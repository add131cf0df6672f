//! Ended tasks that are kept no longer.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::cluster::MAX_ROWS;
use cloudai_core::effect::Row;
use cloudai_core::event::{Answer, Event, Rejected};
use cloudai_core::spec::Value;
use cloudai_core::state::Status;
use cloudai_core::task::Outcome;
use cloudai_core::testing::{TestCluster, cores, spec, task_id};
use std::time::Duration;

#[test]
fn a_collected_task_frees_its_key_and_what_its_worker_tells_of_it_is_superseded() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let keyed = || spec(&[("idempotency_key", Value::Text("k".into()))]);
    let task = c.submit(1, keyed()).unwrap();
    let attempt = c.place(task, "w1");
    c.end(attempt, Outcome::exit(0)).unwrap();
    assert_eq!(c.submit(2, keyed()).unwrap(), task, "its key is known");
    c.ok(Event::Collect(vec![(task, Status::Completed)]));
    assert_eq!(c.rows.last(), Some(&Row::TaskRemoved(task, Status::Completed)));
    assert_eq!(c.end(attempt, Outcome::exit(0)), Err(Rejected::Superseded(attempt)));
    let next = c.submit(3, keyed()).unwrap();
    assert_eq!(next, task_id(3));
    // The time after which the first one's key would have been forgotten.
    c.wait(Duration::from_secs(700));
    assert_eq!(c.submit(4, keyed()).unwrap(), next);
}

#[test]
fn what_lives_is_not_collected_nor_too_much_at_once() {
    let mut c = TestCluster::default();
    let (live, gone) = (c.task(1), (task_id(9), Status::Failed));
    let rows = c.rows.len();
    let refused = c.apply(Event::Collect(vec![gone, (live, Status::Completed)]));
    assert_eq!(refused, Err(Rejected::NotEnded(live, Status::Queued)));
    let many = Event::Collect(vec![gone; MAX_ROWS + 1]);
    assert_eq!(c.apply(many), Err(Rejected::TooManyAtOnce { given: MAX_ROWS + 1, most: MAX_ROWS }));
    assert_eq!(c.rows.len(), rows);
    assert_eq!(c.apply(Event::Collect(vec![gone])), Ok(Answer::Done));
}
