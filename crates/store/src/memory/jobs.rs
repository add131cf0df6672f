//! Jobs of a store that forgets.

use super::Tables;
use crate::query::{Cursor, JobQuery, Page};
use crate::rules::{self, FixedJob};
use cloudai_core::effect::Row;
use cloudai_core::ids::{JobId, TaskId, UserId};
use cloudai_core::job::{Groups, JobPlan, JobRecord, On};
use cloudai_core::time::Timestamp;
use std::sync::Arc;

/// What a row about a job replaced.
pub(super) struct JobBefore {
    id: JobId,
    record: Option<Arc<JobRecord>>,
    plan: Option<Arc<JobPlan>>,
    groups: Option<Groups>,
}

impl Tables {
    /// Takes a row about a job in; others change nothing.
    pub(super) fn put_job(&mut self, row: &Row) -> Result<Option<JobBefore>, String> {
        let id = match row {
            Row::Job(job, _) => {
                self.check_job(job)?;
                job.id
            }
            Row::JobPlanned(id, _) => *id,
            Row::JobRemoved(id) => {
                if self.jobs.records.get(id).is_some_and(|job| job.end.is_none()) {
                    return Err(rules::JOB_NOT_ENDED.to_owned());
                }
                *id
            }
            Row::Task(_) | Row::Worker(_) | Row::WorkerRemoved(_) | Row::Outputs(..) | Row::TaskRemoved(..) => {
                return Ok(None);
            }
        };
        let before = JobBefore {
            id,
            record: self.jobs.records.get(&id).cloned(),
            plan: self.jobs.plans.get(&id).cloned(),
            groups: self.jobs.ends.get(&id).cloned(),
        };
        self.jobs.apply(row);
        Ok(Some(before))
    }

    fn check_job(&self, job: &JobRecord) -> Result<(), String> {
        if let Some(stored) = self.jobs.records.get(&job.id) {
            let same = FixedJob::of(stored) == FixedJob::of(job);
            return if same { Ok(()) } else { Err(rules::JOB_NOT_FIXED.to_owned()) };
        }
        if !self.jobs.plans.contains_key(&job.id) {
            return Err(rules::NO_PLAN.to_owned());
        }
        if self.jobs.records.values().any(|other| other.order == job.order) {
            return Err(rules::job_order_taken(job.order));
        }
        match &job.idempotency_key {
            Some(key) if self.job_by_key(&job.owner, key).is_some() => Err(rules::job_key_taken(&job.owner)),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn restore_job(&mut self, before: JobBefore) {
        let JobBefore { id, record, plan, groups } = before;
        super::put_back(&mut self.jobs.records, id, record);
        super::put_back(&mut self.jobs.plans, id, plan);
        super::put_back(&mut self.jobs.ends, id, groups);
    }

    pub(super) fn job_by_key(&self, owner: &UserId, key: &str) -> Option<Arc<JobRecord>> {
        let mut jobs = self.jobs.records.values();
        jobs.find(|job| job.owner == *owner && job.idempotency_key.as_deref() == Some(key)).cloned()
    }

    pub(super) fn job_with(&self, task: TaskId) -> Option<Arc<JobRecord>> {
        let (id, job) = self.jobs.records.range(..JobId::new(task.ulid())).next_back()?;
        id.group_of(task).filter(|group| *group < job.groups).map(|_| Arc::clone(job))
    }

    pub(super) fn job_page(&self, query: &JobQuery) -> Page<Arc<JobRecord>> {
        let ended = self.jobs.records.values().filter(|job| job.end.is_some() && query.is_next(job));
        let mut items: Vec<_> = ended.cloned().collect();
        query.sort(&mut items);
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        let next = items.last().filter(|_| more).map(|job| Cursor(job.order));
        Page { items, next }
    }

    pub(super) fn collectable_jobs(&self, before: Timestamp, limit: usize) -> Vec<JobId> {
        let ended = self.jobs.records.values().filter_map(|job| Some((job.end?.at, job.order, job)));
        let may_go = |job: &JobRecord| {
            let stored = self.by_order.range(job.order..=job.last_order()).next().is_some();
            !stored && !self.live_needs().any(|task| job.id.group_of(task).is_some_and(|group| group < job.groups))
        };
        let mut found: Vec<_> = ended.filter(|(at, _, job)| *at < before && may_go(job)).collect();
        found.sort_by_key(|(at, order, _)| (*at, *order));
        found.into_iter().map(|(_, _, job)| job.id).take(limit).collect()
    }

    /// What live jobs need that is not of them.
    fn live_needs(&self) -> impl Iterator<Item = TaskId> {
        let live = self.jobs.records.values().filter(|job| job.end.is_none());
        let groups = live.filter_map(move |job| self.jobs.plans.get(&job.id)).flat_map(|plan| &plan.groups);
        groups.flat_map(|group| &group.needs).filter_map(|need| match need.on {
            On::Task(task) => Some(task),
            On::Group(_) => None,
        })
    }

    /// Whether this is a task of a live job, or one that a live job needs.
    pub(super) fn is_of_live_job(&self, id: TaskId) -> bool {
        let mut live = self.jobs.records.values().filter(|job| job.end.is_none());
        let of = |job: &Arc<JobRecord>| job.id.group_of(id).is_some_and(|group| group < job.groups);
        let again = |job: &Arc<JobRecord>| {
            job.done.iter().any(|done| {
                let other = self.jobs.records.get(&done.job);
                other.is_some_and(of)
            })
        };
        live.any(|job| of(job) || again(job)) || self.live_needs().any(|task| task == id)
    }
}
