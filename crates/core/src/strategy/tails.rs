//! What must still follow the tasks of jobs: the longest way behind each.
//!
//! Kept of jobs whose tasks need each other, and of no others: an array alone costs nothing here, however large.

use super::board::Length;
use super::rules::UNKNOWN;
use crate::effect::Row;
use crate::ids::{JobId, UserId};
use crate::job::graph::tails_by;
use crate::job::{Group, JobPlan, Need};
use crate::predict::{Features, Learner};
use crate::task::{DependsWhen, TaskRecord};
use crate::time::millis;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The live jobs whose tasks need each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Tails {
    jobs: BTreeMap<JobId, Known>,
}

#[derive(Clone, Debug)]
struct Known {
    plan: Arc<JobPlan>,
    /// Of each group, in milliseconds; none until the first of its tasks asks, which knows whose they are.
    tails: Option<Arc<[u64]>>,
}

impl Tails {
    /// Takes a committed row in.
    pub(super) fn apply(&mut self, row: &Row) {
        match row {
            Row::JobPlanned(id, plan) if need_each_other(plan) => {
                self.jobs.insert(*id, Known { plan: Arc::clone(plan), tails: None });
            }
            Row::Job(job, _) if job.end.is_some() => drop(self.jobs.remove(&job.id)),
            Row::JobRemoved(id) => drop(self.jobs.remove(id)),
            Row::JobPlanned(..)
            | Row::Job(..)
            | Row::Task(_)
            | Row::Worker(_)
            | Row::WorkerRemoved(_)
            | Row::Outputs(..)
            | Row::TaskRemoved(..) => {}
        }
    }

    /// How long what must follow a task takes at least, in milliseconds; 0 where nothing must, and where the plan of
    /// its job is not known. The first task of a job has this found out for all of them, in proportion to the plan.
    pub(super) fn behind(&mut self, task: &TaskRecord, learner: &Learner) -> u64 {
        let Some(id) = task.job else { return 0 };
        let Some(job) = self.jobs.get_mut(&id) else { return 0 };
        let Some(place) = job.plan.place_of(id, task.id) else { return 0 };
        let tails = job.tails.get_or_insert_with(|| tails(&job.plan, &task.owner, learner));
        tails.get(place.group as usize).copied().unwrap_or(0)
    }

    /// What is asked for from now on is found out anew, by what is known then.
    pub(super) fn begin_anew(&mut self) {
        self.jobs.values_mut().for_each(|job| job.tails = None);
    }
}

fn need_each_other(plan: &JobPlan) -> bool {
    plan.groups.iter().flat_map(|group| &group.needs).any(|need| need.group().is_some())
}

/// Of each group the longest way behind it. A group takes as long as its owner says, else as was learned, else as is
/// thought of what nobody knows. An array takes as long as one of its elements: that is too short for one of which only
/// some run at once (`at_once`), or that is larger than the cluster. What is for the case that something fails takes no
/// time, as it is not expected to run.
fn tails(plan: &JobPlan, owner: &UserId, learner: &Learner) -> Arc<[u64]> {
    let mut known = BTreeMap::new();
    let length = |group: &Group| {
        if group.needs.iter().any(|Need { when, .. }| *when == DependsWhen::Failure) {
            return Duration::ZERO;
        }
        if let Some(said) = group.spec.estimate {
            return said;
        }
        // As its first element will be, which is told apart by its command too.
        let spec = group.spec_of(0).unwrap_or_else(|_| Arc::clone(&group.spec));
        let foreseen = known.entry(Features::of_spec(owner, &spec)).or_insert_with_key(|features| {
            let learned = Length::learned(learner.foresee_like(features));
            learned.map_or(UNKNOWN, |length| length.mean)
        });
        Duration::from_millis(*foreseen)
    };
    tails_by(plan, length).into_iter().map(millis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, NewJob};
    use crate::ids::TaskId;
    use crate::job::{Elements, Indexes, On};
    use crate::spec::Value;
    use crate::strategy::View;
    use crate::task::{Outcome, Step};
    use crate::testing::{TestCluster, cores, spec};

    const JOB: JobId = JobId::new(1 << 64);

    fn group(name: &str, estimate_s: Option<i64>, needs: &[(u32, DependsWhen)]) -> Group {
        let estimate: Vec<(&str, Value)> =
            estimate_s.map(|said| ("estimate_s", Value::Int(said))).into_iter().collect();
        let need = |(group, when): &(u32, DependsWhen)| Need { on: On::Group(*group), when: *when };
        Group { name: name.into(), spec: spec(&estimate), elements: None, needs: needs.iter().map(need).collect() }
    }

    /// A cluster of four cores, and what its strategies see.
    #[derive(Default)]
    struct Bed {
        cluster: TestCluster,
        told: usize,
        view: View,
    }

    impl Bed {
        fn new() -> Self {
            let mut bed = Self::default();
            bed.cluster.worker("w1", cores(4));
            bed
        }

        fn submit(&mut self, groups: Vec<Group>) {
            let new = NewJob {
                id: JOB,
                owner: UserId::local(),
                plan: Arc::new(JobPlan { name: None, max_fails: None, groups }),
                held: false,
                idempotency_key: None,
                retry_of: None,
                done: Vec::new(),
                ended: BTreeMap::new(),
            };
            self.cluster.ok(Event::SubmitJob(Box::new(new)));
        }

        /// Runs a task for ten seconds.
        fn run(&mut self, task: TaskId) {
            let attempt = self.cluster.place(task, "w1");
            self.cluster.step(attempt, Step::Running).unwrap();
            self.cluster.now = self.cluster.now + Duration::from_secs(10);
            self.cluster.end(attempt, Outcome::exit(0)).unwrap();
        }

        /// What waits, and what must follow it in seconds.
        fn waiting(&mut self) -> Vec<(TaskId, u64)> {
            self.cluster.rows[self.told..].iter().for_each(|row| self.view.apply(row));
            self.told = self.cluster.rows.len();
            self.view.settle_at(self.cluster.now);
            let board = self.view.board();
            let told = |number| Some((self.view.named(number)?, board.job(number).tail / 1000));
            let mut waiting: Vec<_> = board.each_waiting().filter_map(told).collect();
            waiting.sort_unstable();
            waiting
        }
    }

    #[test]
    fn a_task_of_a_job_is_known_with_the_longest_way_behind_it() {
        use DependsWhen::{Any, Failure, Success};
        let mut bed = Bed::new();
        let mut fit = group("fit", Some(100), &[(0, Success)]);
        fit.elements = Some(Elements { indexes: Indexes::up_to(3), at_once: Some(2), gang: false, each: Vec::new() });
        bed.submit(vec![
            group("prep", Some(5), &[]),
            fit,
            group("report", None, &[(1, Any)]),
            group("mend", Some(10_000), &[(1, Failure)]),
            group("short", Some(50), &[(0, Success)]),
        ]);
        assert_eq!(bed.waiting(), [(JOB.group(0), 400)], "nobody says how long the report takes: five minutes");
        bed.run(JOB.group(0));
        let fit = |index| JOB.group(1).element(index);
        assert_eq!(bed.waiting(), [(fit(0), 300), (fit(1), 300), (JOB.group(4), 0)]);
    }

    #[test]
    fn what_was_learned_counts_where_nobody_says_how_long_a_task_takes() {
        let mut bed = Bed::new();
        let chain = || vec![group("one", Some(1), &[]), group("two", None, &[(0, DependsWhen::Success)])];
        bed.submit(chain());
        assert_eq!(bed.waiting(), [(JOB.group(0), 300)]);
        for number in 1..10 {
            let task = bed.cluster.task(number);
            bed.run(task);
        }
        assert_eq!(bed.waiting(), [(JOB.group(0), 300)], "it was found out once");
        bed.cluster.worker("w2", cores(4));
        let tail = bed.waiting()[0].1;
        assert!((9..=10).contains(&tail), "all are numbered anew: {tail}");
    }

    #[test]
    fn nothing_is_kept_of_jobs_without_needs_and_of_those_that_have_ended() {
        let mut bed = Bed::new();
        let mut array = group("array", None, &[]);
        array.elements = Some(Elements { indexes: Indexes::up_to(3), at_once: None, gang: false, each: Vec::new() });
        bed.submit(vec![array, group("single", None, &[])]);
        assert_eq!(bed.waiting().iter().map(|(_, tail)| tail).sum::<u64>(), 0);
        assert!(bed.view.tails().jobs.is_empty());

        let mut bed = Bed::new();
        bed.submit(vec![group("one", None, &[]), group("two", None, &[(0, DependsWhen::Any)])]);
        bed.waiting();
        assert_eq!(bed.view.tails().jobs.len(), 1);
        bed.run(JOB.group(0));
        bed.run(JOB.group(1));
        assert_eq!((bed.waiting(), bed.view.tails().jobs.len()), (Vec::new(), 0));
    }

    #[test]
    fn a_task_whose_plan_is_not_known_is_taken_for_the_last_one() {
        let mut bed = Bed::new();
        bed.submit(vec![group("one", None, &[]), group("two", Some(60), &[(0, DependsWhen::Any)])]);
        let plan = bed.cluster.rows.iter().position(|row| matches!(row, Row::JobPlanned(..))).unwrap();
        let plan = bed.cluster.rows.remove(plan);
        assert_eq!(bed.waiting(), [(JOB.group(0), 0)]);
        bed.view.apply(&plan);
        bed.view.begin_anew();
        assert_eq!(bed.waiting(), [(JOB.group(0), 60)]);
    }
}
