//! Random jobs with random fates: what holds of each of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]
#![allow(clippy::wildcard_enum_match_arm, reason = "any other answer fails the test")]

use cloudai_core::event::{CancelJob, Event, NewJob, Part};
use cloudai_core::ids::{JobId, TaskId, UserId};
use cloudai_core::job::{Elements, Group, Indexes, JobPlan, JobStatus, Need, On};
use cloudai_core::state::Status;
use cloudai_core::task::{Cause, DependsWhen, Outcome, Step};
use cloudai_core::testing::{TestCluster, cores, spec};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const JOB: JobId = JobId::new(1 << 64);
const WHENS: [DependsWhen; 3] = [DependsWhen::Success, DependsWhen::Failure, DependsWhen::Any];

/// The elements, the step and how many at once of an array; what is needed, and which end of it.
type Drawn = (Option<(u32, u32, Option<u32>)>, Vec<(prop::sample::Index, usize)>);

/// A job of up to seven groups; each needs some of those before it.
fn plans() -> impl Strategy<Value = JobPlan> {
    let needs = prop::collection::vec((any::<prop::sample::Index>(), 0..3usize), 0..3);
    let group = (prop::option::of((1u32..6, 1u32..4, prop::option::of(1u32..3))), needs);
    let fails = prop::option::of(0u32..4);
    (prop::collection::vec(group, 1..8), fails).prop_map(|(drawn, max_fails)| {
        let group = |(number, (array, needs)): (usize, Drawn)| {
            let mut on: BTreeMap<u32, DependsWhen> = BTreeMap::new();
            for (index, when) in needs {
                if number > 0 {
                    on.insert(u32::try_from(index.index(number)).unwrap(), WHENS[when]);
                }
            }
            let elements = |(count, step, at_once): (u32, u32, Option<u32>)| {
                let indexes: Indexes = format!("2-{}:{step}", 2 + (count - 1) * step).parse().unwrap();
                Elements { indexes, at_once, gang: false, each: Vec::new() }
            };
            Group {
                name: format!("g{number}").into(),
                spec: spec(&[]),
                elements: array.map(elements),
                needs: on.into_iter().map(|(group, when)| Need { on: On::Group(group), when }).collect(),
            }
        };
        JobPlan { name: None, max_fails, groups: drawn.into_iter().enumerate().map(group).collect() }
    })
}

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happens {
    /// A waiting task is placed.
    Place(prop::sample::Index),
    /// A running task ends with this code, or is reported as stopped when it was cancelled.
    End(prop::sample::Index, i32),
    /// Some of a group is cancelled.
    Cancel(prop::sample::Index, u32, u32),
    /// All of it is.
    CancelAll,
    /// The master begins another life.
    Restart,
}

fn steps(cancels: bool) -> impl Strategy<Value = Vec<Happens>> {
    let index = any::<prop::sample::Index>;
    let often = prop_oneof![
        6 => index().prop_map(Happens::Place),
        6 => (index(), prop_oneof![4 => Just(0), 1 => Just(1)]).prop_map(|(index, code)| Happens::End(index, code)),
        1 => Just(Happens::Restart),
    ];
    let rare = prop_oneof![
        20 => often,
        if cancels { 2 } else { 0 } => (index(), 0u32..4, 1u32..6).prop_map(|(index, from, to)| Happens::Cancel(index, from, to)),
        u32::from(cancels) => Just(Happens::CancelAll),
    ];
    prop::collection::vec(rare, 0..60)
}

struct Run {
    c: TestCluster,
    plan: Arc<JobPlan>,
    cancelled: bool,
}

impl Run {
    fn new(plan: JobPlan) -> Self {
        let mut c = TestCluster::default();
        c.worker("w1", cores(64));
        let plan = Arc::new(plan);
        let new = NewJob {
            id: JOB,
            owner: UserId::local(),
            plan: Arc::clone(&plan),
            held: false,
            idempotency_key: None,
            retry_of: None,
            done: Vec::new(),
            ended: BTreeMap::new(),
        };
        c.ok(Event::SubmitJob(Box::new(new)));
        Self { c, plan, cancelled: false }
    }

    fn with(&self, status: fn(Status) -> bool) -> Vec<TaskId> {
        self.c.cluster.tasks().filter(|task| status(task.status())).map(|task| task.id).collect()
    }

    fn waiting(&self) -> Vec<TaskId> {
        self.with(|status| status == Status::Queued)
    }

    fn active(&self) -> Vec<TaskId> {
        self.with(|status| matches!(status, Status::Pending | Status::Running))
    }

    fn place(&mut self, task: TaskId) {
        self.check_needs(task);
        let attempt = self.c.place(task, "w1");
        self.c.step(attempt, Step::Running).unwrap();
    }

    fn end(&mut self, task: TaskId, code: i32) {
        let record = self.c.cluster.task(task).unwrap();
        let attempt = record.attempt();
        let outcome = if record.cancel.is_some() { Outcome::of(Cause::Stopped, "") } else { Outcome::exit(code) };
        self.c.end(attempt, outcome).unwrap();
    }

    fn apply(&mut self, step: Happens) {
        match step {
            Happens::Place(index) => {
                let waiting = self.waiting();
                if !waiting.is_empty() {
                    self.place(waiting[index.index(waiting.len())]);
                }
            }
            Happens::End(index, code) => {
                let active = self.active();
                if !active.is_empty() {
                    self.end(active[index.index(active.len())], code);
                }
            }
            Happens::Cancel(index, from, to) => {
                let group = u32::try_from(index.index(self.plan.groups.len())).unwrap();
                let part = Some(Part { group, from, to: from + to });
                // It may have ended.
                self.cancelled |=
                    self.c.apply(Event::CancelJob(CancelJob { job: JOB, by: UserId::local(), part })).is_ok();
            }
            Happens::CancelAll => {
                let all = CancelJob { job: JOB, by: UserId::local(), part: None };
                self.cancelled |= self.c.apply(Event::CancelJob(all)).is_ok();
                assert!(self.waiting().is_empty() || self.c.cluster.jobs().count() == 0, "something still waits");
            }
            Happens::Restart => {
                let before = format!("{:?}", self.c.cluster.job_progress(JOB));
                let c = std::mem::take(&mut self.c).restarted();
                self.c = c;
                assert_eq!(before, format!("{:?}", self.c.cluster.job_progress(JOB)), "a restart knows what was known");
                self.c.worker("w1", cores(64));
            }
        }
    }

    /// What a task of a group came to, as far as it is known by records; none while some lives or has none.
    fn outcome(&self, group: u32) -> Option<(bool, bool)> {
        let (mut failed, mut completed) = (false, true);
        for ordinal in 0..self.plan.group(group).unwrap().count() {
            let id = self.plan.task_id(JOB, cloudai_core::job::Place { group, ordinal });
            let stored = self.c.rows.iter().rev().find_map(|row| match row {
                cloudai_core::effect::Row::Task(task) if task.id == id => Some(task.status()),
                _ => None,
            });
            match stored {
                Some(Status::Completed) => {}
                Some(Status::Failed) => (failed, completed) = (true, false),
                // Cancelled, or it never had a record.
                Some(Status::Cancelled) | None => completed = false,
                Some(Status::Queued | Status::Pending | Status::Running) => return None,
            }
        }
        Some((failed, completed))
    }

    /// How many tasks with a record ended so.
    fn ended(&self, status: Status) -> u64 {
        let mut newest = BTreeMap::new();
        for row in &self.c.rows {
            if let cloudai_core::effect::Row::Task(task) = row {
                newest.insert(task.id, task.status());
            }
        }
        newest.values().filter(|ended| **ended == status).count() as u64
    }

    /// No task is placed before its needs allow it.
    fn check_needs(&self, task: TaskId) {
        let place = self.plan.place_of(JOB, task).unwrap();
        for need in &self.plan.group(place.group).unwrap().needs {
            let On::Group(on) = need.on else { panic!("{need:?}") };
            let outcome = self.outcome(on);
            let (_, completed) = outcome.unwrap_or_else(|| panic!("{task} is placed while g{on} goes on"));
            match need.when {
                DependsWhen::Success => assert!(completed, "{task} needs the success of g{on}"),
                DependsWhen::Failure => assert!(!completed, "{task} needs the failure of g{on}"),
                DependsWhen::Any => {}
            }
        }
    }

    /// Runs all that is left.
    fn finish(&mut self) {
        for _ in 0..1000 {
            if let Some(task) = self.active().first() {
                self.end(*task, 0);
            } else if let Some(task) = self.waiting().first() {
                self.place(*task);
            } else {
                break;
            }
            self.c.wait(Duration::from_millis(5));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_task_starts_before_its_needs_allow_it_and_everything_ends(plan in plans(), steps in steps(true)) {
        let mut run = Run::new(plan);
        for step in steps {
            run.apply(step);
        }
        run.finish();
        let record = run.c.job_record(JOB);
        prop_assert_eq!(run.c.cluster.tasks().count(), 0, "{:?}", record);
        prop_assert!(record.status().is_final(), "{:?}", record);
        prop_assert_eq!(record.counts.ended(), record.tasks);
        prop_assert_eq!((record.counts.pending, record.counts.running), (0, 0));
        prop_assert_eq!(run.ended(Status::Completed), record.counts.completed);
        prop_assert!(run.ended(Status::Failed) <= record.counts.failed, "what needed them failed with them");
    }

    #[test]
    fn a_job_of_which_nothing_fails_and_nothing_is_cancelled_completes(mut plan in plans()) {
        plan.max_fails = None;
        let handlers = plan.groups.iter().any(|group| group.needs.iter().any(|need| need.when == DependsWhen::Failure));
        let mut run = Run::new(plan);
        run.finish();
        let record = run.c.job_record(JOB);
        prop_assert_eq!(record.status(), JobStatus::Completed);
        prop_assert!(handlers || record.counts.completed == record.tasks);
    }

    #[test]
    fn a_cancelled_job_leaves_nothing_behind(plan in plans(), steps in steps(false)) {
        let mut run = Run::new(plan);
        for step in steps {
            run.apply(step);
        }
        run.apply(Happens::CancelAll);
        let stopped = run.c.stops();
        for task in run.active() {
            prop_assert!(stopped.iter().any(|attempt| attempt.task == task), "{} was told to stop", task);
            run.end(task, 0);
        }
        prop_assert_eq!(run.c.cluster.tasks().count(), 0);
        let record = run.c.job_record(JOB);
        prop_assert!(record.status().is_final());
        let stopped = record.stop.is_some() && record.counts.completed < record.tasks;
        prop_assert!(!stopped || record.status() != JobStatus::Completed, "{:?}", record);
    }
}
