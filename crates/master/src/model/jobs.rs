//! Live jobs as they are committed.

use cloudai_core::effect::Row;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::{JobPlan, JobRecord, Whole};
use cloudai_store::query::JobQuery;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A job with all that is known of it.
pub type SeenJob = Whole;

/// Whether an id names a task of a job, or an array of it as a whole.
#[must_use]
pub fn is_of_job(job: &SeenJob, id: TaskId) -> bool {
    let group = job.record.id.group_of(id).and_then(|group| job.plan.group(group));
    group.is_some_and(|_| id.index().is_none() || job.plan.place_of(job.record.id, id).is_some())
}

/// Live jobs, by their ids.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// What they are made of: known before their records.
    plans: BTreeMap<JobId, Arc<JobPlan>>,
    live: BTreeMap<JobId, SeenJob>,
}

impl Jobs {
    pub(super) fn apply(&mut self, row: &Row) {
        match row {
            Row::JobPlanned(id, plan) => drop(self.plans.insert(*id, Arc::clone(plan))),
            Row::Job(record, _) if record.end.is_some() => {
                self.live.remove(&record.id);
                self.plans.remove(&record.id);
            }
            Row::Job(record, groups) => {
                let Some(plan) = self.plans.get(&record.id) else { return };
                let (record, plan, groups) = (Arc::clone(record), Arc::clone(plan), groups.clone());
                self.live.insert(record.id, SeenJob { record, plan, groups });
            }
            Row::JobRemoved(_)
            | Row::Task(_)
            | Row::Worker(_)
            | Row::WorkerRemoved(_)
            | Row::Outputs(..)
            | Row::TaskRemoved(..) => {}
        }
    }
}

impl super::Model {
    /// A live job.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<SeenJob> {
        self.read().jobs.live.get(&id).cloned()
    }

    /// Whether a job has not ended.
    #[must_use]
    pub fn has_job(&self, id: JobId) -> bool {
        self.read().jobs.live.contains_key(&id)
    }

    /// The live job of which a task with this id is, or an array as a whole.
    #[must_use]
    pub fn job_with(&self, task: TaskId) -> Option<SeenJob> {
        let state = self.read();
        let (_, job) = state.jobs.live.range(..JobId::new(task.ulid())).next_back()?;
        Some(job.clone()).filter(|job| is_of_job(job, task))
    }

    /// Whether a task of a live job has no record yet and may get one.
    #[must_use]
    pub fn is_to_be_born(&self, task: TaskId) -> bool {
        let state = self.read();
        let job = state.jobs.live.range(..JobId::new(task.ulid())).next_back().map(|(_, job)| job);
        job.is_some_and(|job| {
            let place = job.plan.place_of(job.record.id, task);
            place.is_some_and(|place| !job.was_born(place) && !job.unborn_status(place).is_final())
        })
    }

    /// How many tasks of live jobs have ended and are kept for as long as those live.
    #[must_use]
    pub fn ended_in_jobs(&self) -> u64 {
        let state = self.read();
        let groups = state.jobs.live.values().flat_map(|job| job.groups.iter());
        groups.map(|group| u64::from(group.completed + group.failed + group.cancelled)).sum()
    }

    /// Live jobs that are asked for, the latest submitted first, one more than the limit if there are.
    #[must_use]
    pub fn jobs(&self, query: &JobQuery) -> Vec<Arc<JobRecord>> {
        let state = self.read();
        let wanted = state.jobs.live.values().map(|job| &job.record).filter(|job| query.is_next(job));
        let mut found: Vec<_> = wanted.cloned().collect();
        found.sort_by_key(|job| std::cmp::Reverse(job.order));
        found.truncate(query.limit + 1);
        found
    }

    /// Ids of live jobs that begin or end with a part of their text, newest first.
    #[must_use]
    pub fn jobs_like(&self, part: &str, limit: usize) -> Vec<JobId> {
        let state = self.read();
        let like = |id: &&JobId| cloudai_store::query::is_part(&id.to_string()["job-".len()..], part);
        state.jobs.live.keys().rev().filter(like).take(limit).copied().collect()
    }
}
