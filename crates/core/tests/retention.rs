//! Ended tasks and jobs that are kept no longer.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::cluster::MAX_ROWS;
use cloudai_core::effect::Row;
use cloudai_core::event::{Answer, Event, NewJob, Rejected};
use cloudai_core::ids::{JobId, TaskId, UserId};
use cloudai_core::job::{Group, JobPlan, JobStatus, Need, On};
use cloudai_core::spec::Value;
use cloudai_core::state::Status;
use cloudai_core::task::{DependsWhen, Outcome};
use cloudai_core::testing::{TestCluster, cores, spec, task_id};
use std::collections::BTreeMap;
use std::sync::Arc;
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

const JOB: JobId = JobId::new(1 << 64);

/// A job of one task that needs these.
fn job(id: JobId, needs: &[TaskId]) -> NewJob {
    let needs = needs.iter().map(|task| Need { on: On::Task(*task), when: DependsWhen::Any }).collect();
    let group = Group { name: "one".into(), spec: spec(&[]), elements: None, needs };
    NewJob {
        id,
        owner: UserId::local(),
        plan: Arc::new(JobPlan { name: None, max_fails: None, groups: vec![group] }),
        held: false,
        idempotency_key: Some("k".into()),
        retry_of: None,
        done: Vec::new(),
        ended: BTreeMap::new(),
    }
}

fn submitted(c: &mut TestCluster, job: NewJob) -> Answer {
    c.ok(Event::SubmitJob(Box::new(job)))
}

/// A cluster in which the job has ended.
fn with_an_ended_job() -> TestCluster {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    submitted(&mut c, job(JOB, &[]));
    let attempt = c.place(JOB.group(0), "w1");
    c.end(attempt, Outcome::exit(0)).unwrap();
    c
}

#[test]
fn a_collected_job_frees_its_key() {
    let (mut c, other) = (with_an_ended_job(), JobId::new(1 << 70));
    assert_eq!(submitted(&mut c, job(other, &[])), Answer::JobSubmitted { id: JOB, fresh: false }, "its key is known");
    c.ok(Event::CollectJobs(vec![JOB]));
    assert_eq!(c.rows.last(), Some(&Row::JobRemoved(JOB)));
    let next = submitted(&mut c, job(other, &[]));
    assert_eq!(next, Answer::JobSubmitted { id: other, fresh: true });
    // The time after which the first one's key would have been forgotten.
    c.wait(Duration::from_secs(700));
    let again = submitted(&mut c, job(JobId::new(1 << 75), &[]));
    assert_eq!(again, Answer::JobSubmitted { id: other, fresh: false });
}

#[test]
fn what_lives_of_jobs_is_not_collected_nor_too_much_at_once() {
    let mut c = TestCluster::default();
    submitted(&mut c, job(JOB, &[]));
    let rows = c.rows.len();
    let gone = JobId::new(1 << 70);
    let refused = c.apply(Event::CollectJobs(vec![gone, JOB]));
    assert_eq!(refused, Err(Rejected::JobNotEnded(JOB, JobStatus::Queued)));
    let many = Event::CollectJobs(vec![gone; MAX_ROWS + 1]);
    assert_eq!(c.apply(many), Err(Rejected::TooManyAtOnce { given: MAX_ROWS + 1, most: MAX_ROWS }));
    assert_eq!(c.rows.len(), rows);
}

#[test]
fn what_a_job_came_to_need_after_the_look_stays() {
    let mut c = with_an_ended_job();
    let lives = c.task(9);
    let ended = BTreeMap::from([(JOB.group(0), Status::Completed)]);
    let id = JobId::new(1 << 90);
    submitted(&mut c, NewJob { ended, idempotency_key: None, ..job(id, &[JOB.group(0), lives]) });
    let rows = c.rows.len();
    c.ok(Event::Collect(vec![(JOB.group(0), Status::Completed)]));
    c.ok(Event::CollectJobs(vec![JOB]));
    assert_eq!(c.rows.len(), rows, "a master that begins now must know how it ended");
    c.cancel(lives).unwrap();
    c.cancel(id.group(0)).unwrap();
    c.ok(Event::Collect(vec![(JOB.group(0), Status::Completed)]));
    c.ok(Event::CollectJobs(vec![JOB]));
    assert_eq!(c.rows[c.rows.len() - 2..], [Row::TaskRemoved(JOB.group(0), Status::Completed), Row::JobRemoved(JOB)]);
}
