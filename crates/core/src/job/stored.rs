//! Jobs as their rows leave them: what every store keeps of them, for those that keep it in memory.

use super::{Groups, JobPlan, JobRecord, On, Place, StoredJob};
use crate::effect::Row;
use crate::ids::{JobId, TaskId};
use crate::state::Status;
use crate::task::TaskRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records of jobs, their plans, and how far their groups were when they ended.
#[derive(Clone, Debug, Default)]
pub struct StoredJobs {
    /// The newest version of each.
    pub records: BTreeMap<JobId, Arc<JobRecord>>,
    /// What each is made of.
    pub plans: BTreeMap<JobId, Arc<JobPlan>>,
    /// Of each that was stopped or has ended, how far its groups were then.
    pub ends: BTreeMap<JobId, Groups>,
}

impl StoredJobs {
    /// Takes a row in; those that are about no job change nothing.
    pub fn apply(&mut self, row: &Row) {
        match row {
            Row::Job(job, groups) => {
                if self.records.get(&job.id).is_none_or(|stored| stored.version < job.version) {
                    self.records.insert(job.id, Arc::clone(job));
                    if job.is_closed() {
                        self.ends.insert(job.id, groups.clone());
                    }
                }
            }
            Row::JobPlanned(id, plan) => {
                self.plans.entry(*id).or_insert_with(|| Arc::clone(plan));
            }
            Row::JobRemoved(id) => {
                self.records.remove(id);
                self.plans.remove(id);
                self.ends.remove(id);
            }
            Row::Task(_) | Row::Worker(_) | Row::WorkerRemoved(_) | Row::Outputs(..) | Row::TaskRemoved(..) => {}
        }
    }

    /// What a new leader starts from, beside these tasks.
    #[must_use]
    pub fn live(&self, tasks: &BTreeMap<TaskId, Arc<TaskRecord>>) -> Vec<StoredJob> {
        let live = self.records.values().filter(|record| record.end.is_none());
        live.filter_map(|record| self.of(record, tasks)).collect()
    }

    fn of(&self, record: &Arc<JobRecord>, tasks: &BTreeMap<TaskId, Arc<TaskRecord>>) -> Option<StoredJob> {
        let (id, plan) = (record.id, self.plans.get(&record.id)?);
        let mut stored = StoredJob {
            record: Arc::clone(record),
            plan: Arc::clone(plan),
            groups: BTreeMap::new(),
            stopped: self.ends.get(&id).cloned(),
            outside: BTreeMap::new(),
        };
        for (task, record) in tasks.range(id.group(0)..id.group(record.groups)) {
            if let Some(place) = plan.place_of(id, *task) {
                stored.count(place, record.status());
            }
        }
        for need in plan.groups.iter().flat_map(|group| &group.needs) {
            if let On::Task(task) = need.on
                && let Some(status) = self.outside(task, tasks)
            {
                stored.outside.insert(task, status);
            }
        }
        Some(stored)
    }

    /// How a task ended, or an array as a whole, or one that never had a record.
    #[must_use]
    pub fn outside(&self, task: TaskId, tasks: &BTreeMap<TaskId, Arc<TaskRecord>>) -> Option<Status> {
        if let Some(record) = tasks.get(&task) {
            return Some(record.status()).filter(|status| status.is_final());
        }
        let (id, record) = self.records.range(..=JobId::new(task.ulid())).next_back()?;
        record.end?;
        record.ended_as(self.plans.get(id)?, self.ends.get(id)?, task)
    }

    /// The highest submission order that any task of a job has, or will have.
    #[must_use]
    pub fn last_order(&self) -> u64 {
        self.records.values().map(|record| record.last_order()).max().unwrap_or(0)
    }
}

impl StoredJob {
    /// A task of it has a record.
    pub fn count(&mut self, place: Place, status: Status) {
        let group = self.groups.entry(place.group).or_default();
        group.count_one(place.ordinal, status);
    }
}
