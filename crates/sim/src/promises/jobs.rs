//! What callers were told of jobs, and of tasks that have no record.

use super::Promises;
use crate::store::Rows;
use cloudai_core::event::Part;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::{JobPlan, JobRecord, Place};

impl Promises {
    /// Whether a job went with a life of the data.
    pub(crate) fn is_lost_job(&self, job: JobId) -> bool {
        self.lost_jobs.contains_key(&job)
    }

    /// Whether a task is of such a job.
    pub(super) fn is_of_lost_job(&self, task: TaskId) -> bool {
        self.lost_jobs.iter().any(|(job, groups)| job.group_of(task).is_some_and(|group| group < *groups))
    }

    /// # Errors
    /// The rule that is broken.
    pub(crate) fn job(&mut self, store: &Rows, id: JobId) -> Result<(), String> {
        let Some(record) = store.jobs.records.get(&id) else {
            return Err(format!("3.3.1: {id} was acknowledged and is not stored"));
        };
        self.jobs.insert(id, record.groups);
        Ok(())
    }

    /// The cancel of a job, or of a part of it, is answered.
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn cancel_job(&mut self, store: &Rows, id: JobId, part: Option<Part>) -> Result<(), String> {
        let Some((record, plan)) = stored(store, id) else {
            let lost = self.is_lost_job(id);
            return if lost { Ok(()) } else { Err(format!("3.3.1: {id} was cancelled and is not stored")) };
        };
        if record.end.is_some() {
            return Ok(());
        }
        match part {
            Some(part) => self.cancel_part(store, (id, plan), part),
            None if record.stop.is_none() => {
                Err(format!("3.3.7: the cancel of {id} was acknowledged and is not stored"))
            }
            None => {
                self.stopped.insert(id);
                let whole = |group| Part { group, from: 0, to: u32::MAX };
                (0..record.groups).try_for_each(|group| self.cancel_part(store, (id, plan), whole(group)))
            }
        }
    }

    fn cancel_part(&mut self, store: &Rows, (id, plan): (JobId, &JobPlan), part: Part) -> Result<(), String> {
        let Part { group, from, to } = part;
        let count = plan.group(group).map_or(0, |group| group.count());
        for ordinal in from..to.min(count) {
            let task = plan.task_id(id, Place { group, ordinal });
            match store.tasks.get(&task) {
                Some(record) => self.cancel_of(record)?,
                None => {
                    self.never.insert(task);
                }
            }
        }
        Ok(())
    }

    /// The cancel of what has no record is answered: a task of a job, an array as a whole, or what is lost.
    /// # Errors
    /// The rule that is broken.
    pub(super) fn cancel_without_record(&mut self, store: &Rows, task: TaskId) -> Result<(), String> {
        let before = store.jobs.records.range(..JobId::new(task.ulid())).next_back();
        let job = before.and_then(|(id, _)| Some((*id, id.group_of(task)?, stored(store, *id)?)));
        match job.filter(|(_, group, (record, _))| *group < record.groups) {
            Some((id, group, (_, plan))) => {
                let (from, to) = plan.place_of(id, task).map_or((0, u32::MAX), |at| (at.ordinal, at.ordinal + 1));
                self.cancel_part(store, (id, plan), Part { group, from, to })
            }
            None if self.is_lost(task) => Ok(()),
            None => Err(format!("3.3.1: {task} was cancelled and is not stored")),
        }
    }

    /// What of this the store has not; `after` what, a broken rule says.
    /// # Errors
    /// The rule that is broken.
    pub(super) fn jobs_are_kept(&self, store: &Rows, after: &str) -> Result<(), String> {
        let job = self.jobs.keys().find(|id| !store.jobs.records.contains_key(id));
        let closed = |id: &JobId| store.jobs.records.get(id).is_some_and(|job| job.is_closed());
        let stop = self.stopped.iter().find(|id| !closed(id));
        let born = self.never.iter().find(|task| store.tasks.contains_key(task));
        if job.is_none() && stop.is_none() && born.is_none() {
            return Ok(());
        }
        Err(format!("3.3.1: {job:?}, the cancel of {stop:?} or of {born:?} was acknowledged, and {after} took it"))
    }
}

fn stored(store: &Rows, id: JobId) -> Option<(&JobRecord, &JobPlan)> {
    Some((&**store.jobs.records.get(&id)?, &**store.jobs.plans.get(&id)?))
}
