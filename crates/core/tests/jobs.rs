//! What becomes of jobs: needs, arrays, ends in part and in whole.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![allow(clippy::wildcard_enum_match_arm, reason = "any other answer fails the test")]

use cloudai_core::cluster::MAX_ROWS;
use cloudai_core::effect::Effect;
use cloudai_core::event::{Answer, CancelJob, Event, NewJob, Part, Rejected};
use cloudai_core::ids::{JobId, TaskId, UserId};
use cloudai_core::job::{Elements, Group, Indexes, JobPlan, JobStatus, Need, On};
use cloudai_core::state::{Phase, Reason, Status};
use cloudai_core::task::{Cause, DependsWhen, Outcome, State};
use cloudai_core::testing::{TestCluster, cores, spec, task_id};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const JOB: JobId = JobId::new(1 << 64);

fn group(name: &str, elements: Option<&str>, needs: &[(u32, DependsWhen)]) -> Group {
    let (indexes, at_once) = elements.map_or((None, None), |text| {
        let (indexes, most) = text.split_once('%').map_or((text, None), |(indexes, most)| (indexes, Some(most)));
        (Some(indexes.parse::<Indexes>().unwrap()), most.map(|most| most.parse().unwrap()))
    });
    Group {
        name: name.into(),
        spec: spec(&[]),
        elements: indexes.map(|indexes| Elements { indexes, at_once, gang: false, each: Vec::new() }),
        needs: needs.iter().map(|(group, when)| Need { on: On::Group(*group), when: *when }).collect(),
    }
}

fn plan(groups: Vec<Group>) -> JobPlan {
    JobPlan { name: Some("test".into()), max_fails: None, groups }
}

fn new(plan: JobPlan) -> NewJob {
    NewJob {
        id: JOB,
        owner: UserId::local(),
        plan: Arc::new(plan),
        held: false,
        idempotency_key: None,
        retry_of: None,
        done: Vec::new(),
        ended: BTreeMap::new(),
    }
}

fn submit(c: &mut TestCluster, plan: JobPlan) {
    let answer = c.ok(Event::SubmitJob(Box::new(new(plan))));
    assert!(matches!(answer, Answer::JobSubmitted { id: JOB, fresh: true }), "{answer:?}");
}

fn cluster(plan: JobPlan) -> TestCluster {
    let mut c = TestCluster::default();
    c.worker("w1", cores(64));
    submit(&mut c, plan);
    c
}

/// The tasks that have a record and have not ended.
fn live(c: &TestCluster) -> Vec<TaskId> {
    c.cluster.tasks().map(|task| task.id).collect()
}

fn run(c: &mut TestCluster, task: TaskId, code: i32) {
    let attempt = c.place(task, "w1");
    c.end(attempt, Outcome::exit(code)).unwrap();
}

fn status(c: &TestCluster) -> JobStatus {
    c.job_record(JOB).status()
}

#[test]
fn a_task_gets_its_record_when_what_it_needs_has_completed() {
    let mut c = cluster(plan(vec![
        group("reduce", None, &[(1, DependsWhen::Success)]),
        group("map", Some("3-5"), &[(2, DependsWhen::Success)]),
        group("split", None, &[]),
    ]));
    assert_eq!(live(&c), [JOB.group(2)]);
    assert_eq!(status(&c), JobStatus::Queued);
    run(&mut c, JOB.group(2), 0);
    let maps = [3, 4, 5].map(|index| JOB.group(1).element(index));
    assert_eq!(live(&c), maps);
    assert_eq!(status(&c), JobStatus::Running);
    for map in maps {
        assert!(!live(&c).contains(&JOB.group(0)));
        run(&mut c, map, 0);
    }
    assert_eq!(live(&c), [JOB.group(0)]);
    run(&mut c, JOB.group(0), 0);
    let record = c.job_record(JOB);
    assert_eq!((record.status(), record.counts.completed), (JobStatus::Completed, 5));
    assert_eq!(c.cluster.jobs().count(), 0, "it leaves with its last row");
}

#[test]
fn what_needs_a_failed_task_fails_at_once_and_its_handler_runs_when_all_of_it_has_ended() {
    let mut c = cluster(plan(vec![
        group("map", Some("0-1"), &[]),
        group("reduce", None, &[(0, DependsWhen::Success)]),
        group("publish", None, &[(1, DependsWhen::Success)]),
        group("alarm", None, &[(0, DependsWhen::Failure)]),
        group("clean", None, &[(0, DependsWhen::Any)]),
    ]));
    run(&mut c, JOB.group(0).element(0), 1);
    assert_eq!(c.job_record(JOB).counts.failed, 3, "that map, reduce and publish");
    assert_eq!(live(&c), [JOB.group(0).element(1)]);
    run(&mut c, JOB.group(0).element(1), 0);
    assert_eq!(live(&c), [JOB.group(3), JOB.group(4)]);
    run(&mut c, JOB.group(3), 0);
    run(&mut c, JOB.group(4), 0);
    assert_eq!(status(&c), JobStatus::Failed);
}

#[test]
fn a_handler_of_failures_that_is_not_needed_is_no_failure_of_the_job() {
    let mut c = cluster(plan(vec![
        group("build", None, &[]),
        group("alarm", None, &[(0, DependsWhen::Failure)]),
        group("call", None, &[(1, DependsWhen::Success)]),
    ]));
    run(&mut c, JOB.group(0), 0);
    let record = c.job_record(JOB);
    assert_eq!((record.status(), record.counts.completed, record.counts.cancelled), (JobStatus::Completed, 1, 2));
}

#[test]
fn no_more_elements_of_an_array_live_at_once_than_it_allows() {
    let mut c = cluster(plan(vec![group("map", Some("0-9%3"), &[])]));
    let element = |index| JOB.group(0).element(index);
    assert_eq!(live(&c), [0, 1, 2].map(element));
    run(&mut c, element(1), 0);
    assert_eq!(live(&c), [0, 2, 3].map(element));
}

#[test]
fn a_million_elements_are_one_record_until_they_may_be_placed() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(64));
    submit(&mut c, plan(vec![group("sweep", Some("0-999999"), &[])]));
    assert!(c.rows.len() <= 1001, "{} rows at once, and that of the worker", c.rows.len());
    c.wait(Duration::from_secs(1));
    let waiting = live(&c).len();
    assert!(waiting < 5000, "{waiting} have records");
    c.ok(Event::CancelJob(CancelJob { job: JOB, by: UserId::local(), part: None }));
    c.wait(Duration::from_secs(1));
    let record = c.job_record(JOB);
    assert_eq!((record.status(), record.counts.cancelled), (JobStatus::Cancelled, 1_000_000));
}

#[test]
fn orders_of_jobs_and_tasks_do_not_meet_also_after_a_restart() {
    let mut c = cluster(plan(vec![group("map", Some("0-9%1"), &[])]));
    c = c.restarted();
    c.worker("w1", cores(64));
    let after = c.task(1);
    let (job, after) = (c.job_record(JOB), c.record(after).order);
    assert_eq!((job.order, after), (1, 11));
}

#[test]
fn what_is_cancelled_of_an_array_ends_and_the_rest_goes_on() {
    let mut c = cluster(plan(vec![group("map", Some("0-9%2"), &[]), group("reduce", None, &[(0, DependsWhen::Any)])]));
    let element = |index| JOB.group(0).element(index);
    let runs = c.place(element(0), "w1");
    let part = Some(Part { group: 0, from: 0, to: 8 });
    c.ok(Event::CancelJob(CancelJob { job: JOB, by: UserId::local(), part }));
    assert_eq!(c.stops(), [runs]);
    assert_eq!(c.record(element(1)).reason(), Some(Reason::User));
    assert_eq!(live(&c), [0, 8].map(element), "one is being stopped, the next two may live");
    c.end(runs, Outcome::of(Cause::Stopped, "")).unwrap();
    run(&mut c, element(8), 0);
    run(&mut c, element(9), 0);
    run(&mut c, JOB.group(1), 0);
    let record = c.job_record(JOB);
    assert_eq!((record.status(), record.counts.cancelled, record.counts.completed), (JobStatus::Cancelled, 8, 3));
}

#[test]
fn an_element_without_a_record_is_cancelled_by_its_id_and_the_array_by_its_own() {
    let mut c = cluster(plan(vec![group("map", Some("0-9%2"), &[])]));
    c.cancel(JOB.group(0).element(7)).unwrap();
    assert_eq!(c.job_record(JOB).counts.cancelled, 1);
    assert_eq!(c.cancel(JOB.group(0).element(10)), Err(Rejected::NoSuchTask(JOB.group(0).element(10))));
    c.cancel(JOB.group(0)).unwrap();
    assert_eq!(status(&c), JobStatus::Cancelled);
}

#[test]
fn a_job_of_which_too_much_failed_is_stopped_and_says_so() {
    let mut c = cluster(JobPlan { max_fails: Some(1), ..plan(vec![group("map", Some("0-9%4"), &[])]) });
    let element = |index| JOB.group(0).element(index);
    let runs = c.place(element(3), "w1");
    run(&mut c, element(0), 1);
    assert_eq!(status(&c), JobStatus::Running);
    run(&mut c, element(1), 1);
    assert_eq!(c.stops(), [runs]);
    let waited = c.record(element(2));
    assert_eq!(waited.reason(), Some(Reason::Dependency));
    assert!(waited.message().contains("max_fails 1"), "{}", waited.message());
    c.end(runs, Outcome::of(Cause::Stopped, "")).unwrap();
    let stopped = c.record(element(3));
    assert_eq!((stopped.status(), stopped.reason()), (Status::Cancelled, Some(Reason::Dependency)));
    assert_eq!(status(&c), JobStatus::Failed);
}

#[test]
fn a_held_job_waits_until_it_is_released() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let held = NewJob { held: true, ..new(plan(vec![group("a", None, &[])])) };
    c.ok(Event::SubmitJob(Box::new(held)));
    assert_eq!((live(&c), status(&c)), (vec![], JobStatus::Held));
    c = c.restarted();
    c.worker("w1", cores(4));
    assert_eq!(live(&c), []);
    c.ok(Event::ReleaseJob(JOB));
    assert_eq!(live(&c), [JOB.group(0)]);
}

#[test]
fn a_task_outside_is_waited_for_also_over_a_restart() {
    let needs = |task| {
        let mut group = group("after", None, &[]);
        group.needs.push(Need { on: On::Task(task), when: DependsWhen::Success });
        plan(vec![group])
    };
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let missing = c.apply(Event::SubmitJob(Box::new(new(needs(task_id(9))))));
    assert_eq!(missing, Err(Rejected::NoSuchTask(task_id(9))));
    let first = c.task(1);
    submit(&mut c, needs(first));
    c = c.restarted();
    c.worker("w1", cores(4));
    assert_eq!(live(&c), [first]);
    run(&mut c, first, 0);
    assert_eq!(live(&c), [JOB.group(0)]);
    // One that had ended before is known by its stored record.
    let mut c = c.restarted();
    c.worker("w1", cores(4));
    let later = JobId::new(1 << 70);
    let ended = BTreeMap::from([(first, Status::Failed)]);
    let job = NewJob { id: later, ended, ..new(needs(first)) };
    c.ok(Event::SubmitJob(Box::new(job)));
    assert_eq!(c.job_record(later).status(), JobStatus::Failed);
}

#[test]
fn a_task_that_thousands_of_jobs_wait_for_tells_them_over_several_events() {
    [false, true].into_iter().for_each(thousands_are_told);
}

fn thousands_are_told(restarts: bool) {
    const JOBS: u128 = 2500;
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let first = c.task(1);
    for number in 0..JOBS {
        let mut after = group("after", None, &[]);
        after.needs.push(Need { on: On::Task(first), when: DependsWhen::Success });
        let id = JobId::new((1 << 70) + (number << 40));
        // Not by the builder, which looks at everything after each event.
        let submitted = c.cluster.apply(c.now, Event::SubmitJob(Box::new(NewJob { id, ..new(plan(vec![after])) })));
        c.rows.extend(submitted.unwrap().effects.into_iter().filter_map(|effect| match effect {
            Effect::Save(row) => Some(row),
            Effect::Send(_) => None,
        }));
    }
    let attempt = c.place(first, "w1");
    let before = c.rows.len();
    c.end(attempt, Outcome::exit(0)).unwrap();
    let rows = c.rows.len() - before;
    assert!((1..=MAX_ROWS).contains(&rows), "{rows} rows in one event");
    let mut c = if restarts { c.restarted() } else { c };
    c.wait(Duration::from_millis(50));
    assert_eq!(live(&c).len() as u128, JOBS);
}

#[test]
fn a_whole_array_of_another_job_is_waited_for() {
    let mut c = cluster(plan(vec![group("map", Some("0-1%1"), &[])]));
    let mut after = group("after", None, &[]);
    after.needs.push(Need { on: On::Task(JOB.group(0)), when: DependsWhen::Any });
    let later = JobId::new(1 << 70);
    c.ok(Event::SubmitJob(Box::new(NewJob { id: later, ..new(plan(vec![after])) })));
    run(&mut c, JOB.group(0).element(0), 0);
    assert_eq!(live(&c), [JOB.group(0).element(1)]);
    run(&mut c, JOB.group(0).element(1), 0);
    assert_eq!(live(&c), [later.group(0)]);
}

#[test]
fn a_key_answers_with_its_job_and_is_not_for_another() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(4));
    let keyed = |id, name| NewJob { id, idempotency_key: Some("k".into()), ..new(plan(vec![group(name, None, &[])])) };
    c.ok(Event::SubmitJob(Box::new(keyed(JOB, "a"))));
    let other = JobId::new(1 << 70);
    let again = c.ok(Event::SubmitJob(Box::new(keyed(other, "a"))));
    assert_eq!(again, Answer::JobSubmitted { id: JOB, fresh: false });
    assert_eq!(c.apply(Event::SubmitJob(Box::new(keyed(other, "b")))), Err(Rejected::JobKeyReused(JOB)));
    run(&mut c, JOB.group(0), 0);
    let after = c.ok(Event::SubmitJob(Box::new(keyed(other, "a"))));
    assert_eq!(after, Answer::JobSubmitted { id: JOB, fresh: false }, "it ended just now");
}

#[test]
fn a_group_that_no_worker_can_run_is_named() {
    let mut c = TestCluster::default();
    c.worker("w1", cores(2));
    let large = Group { spec: spec(&[("cpu_cores", cloudai_core::spec::Value::Int(8))]), ..group("b", None, &[]) };
    let refused = c.apply(Event::SubmitJob(Box::new(new(plan(vec![group("a", None, &[]), large])))));
    assert!(matches!(refused, Err(Rejected::Unsatisfiable { index: 1, .. })), "{refused:?}");
}

#[test]
fn a_retried_element_keeps_its_place_among_those_at_once() {
    let again = spec(&[(
        "retries",
        cloudai_core::spec::Value::Map(vec![
            ("max".into(), cloudai_core::spec::Value::Int(1)),
            ("on".into(), cloudai_core::spec::Value::List(vec![cloudai_core::spec::Value::Text("exit_code".into())])),
        ]),
    )]);
    let mut c = cluster(plan(vec![Group { spec: again, ..group("map", Some("0-3%1"), &[]) }]));
    let first = JOB.group(0).element(0);
    run(&mut c, first, 1);
    let State::Queued(queued) = c.record(first).state.clone() else { panic!("{:?}", c.record(first)) };
    assert_eq!((queued.phase, live(&c)), (Phase::Backoff, vec![first]));
    c.wait(Duration::from_secs(3600));
    c.worker("w1", cores(64));
    run(&mut c, first, 0);
    assert_eq!(live(&c), [JOB.group(0).element(1)]);
}

/// A job with one task that needs these.
fn that_needs(id: JobId, needs: &[(TaskId, DependsWhen)]) -> Event {
    let mut after = group("after", None, &[]);
    after.needs.extend(needs.iter().map(|(task, when)| Need { on: On::Task(*task), when: *when }));
    Event::SubmitJob(Box::new(NewJob { id, ..new(plan(vec![after])) }))
}

#[test]
fn what_waits_for_a_task_goes_on_when_the_stop_of_its_job_ends_that() {
    let mut c = cluster(plan(vec![group("map", Some("0-1"), &[])]));
    let later = JobId::new(1 << 70);
    c.ok(that_needs(later, &[(JOB.group(0).element(1), DependsWhen::Any)]));
    c.ok(Event::CancelJob(CancelJob { job: JOB, by: UserId::local(), part: None }));
    assert_eq!(live(&c), [later.group(0)]);
}

#[test]
fn what_ended_in_a_live_job_before_another_needs_it_is_known_or_must_be_looked_for() {
    let two = group("two", Some("0-1"), &[]);
    let mut c = cluster(plan(vec![group("map", Some("0-3%1"), &[]), two, group("rest", None, &[])]));
    let (map, two) = (JOB.group(0), JOB.group(1));
    run(&mut c, map.element(0), 0);
    run(&mut c, two.element(0), 0);
    run(&mut c, two.element(1), 1);
    c.cancel(map.element(3)).unwrap();
    let ids = [1, 2, 3, 4].map(|n| JobId::new(n << 70));
    // Its record left the cluster with its end: the store tells how that was.
    let unknown = c.apply(that_needs(ids[0], &[(map.element(0), DependsWhen::Any)]));
    assert_eq!(unknown, Err(Rejected::NoSuchTask(map.element(0))));
    let nowhere = c.apply(that_needs(ids[0], &[(two.element(2), DependsWhen::Any)]));
    assert_eq!(nowhere, Err(Rejected::NoSuchTask(two.element(2))));
    c.ok(that_needs(ids[0], &[(two, DependsWhen::Failure)]));
    c.ok(that_needs(ids[1], &[(map.element(3), DependsWhen::Any)]));
    c.ok(that_needs(ids[2], &[(two, DependsWhen::Success)]));
    assert_eq!(c.job_record(ids[2]).status(), JobStatus::Failed);
    c.ok(that_needs(ids[3], &[(map.element(3), DependsWhen::Failure), (map, DependsWhen::Any)]));
    let waits = [map.element(1), JOB.group(2), ids[0].group(0), ids[1].group(0)];
    assert_eq!(live(&c), waits);

    let before = format!("{:?}", c.cluster.job_progress(ids[3]));
    c = c.restarted();
    assert_eq!(before, format!("{:?}", c.cluster.job_progress(ids[3])));
    c.worker("w1", cores(64));
    assert_eq!(live(&c), waits);
    run(&mut c, map.element(1), 0);
    assert!(!live(&c).contains(&ids[3].group(0)));
    run(&mut c, map.element(2), 0);
    assert!(live(&c).contains(&ids[3].group(0)));
}

#[test]
fn a_part_of_a_job_that_is_being_cancelled_needs_no_cancel_of_its_own() {
    let mut c = cluster(plan(vec![group("map", Some("0-9%2"), &[])]));
    let runs = c.place(JOB.group(0).element(0), "w1");
    c.ok(Event::CancelJob(CancelJob { job: JOB, by: UserId::local(), part: None }));
    let version = c.job_record(JOB).version;
    c.cancel(JOB.group(0).element(7)).unwrap();
    c.cancel(JOB.group(0)).unwrap();
    let record = c.job_record(JOB);
    assert_eq!((record.status(), record.version, record.sweeps.len()), (JobStatus::Cancelling, version, 0));
    c.end(runs, Outcome::of(Cause::Stopped, "")).unwrap();
    assert_eq!(status(&c), JobStatus::Cancelled);
}
