//! Ended tasks and jobs that are kept no longer: they leave the store, and nothing of them is known here.

use super::{Cluster, MAX_ROWS, Out};
use crate::effect::Row;
use crate::event::{Answer, Rejected};
use crate::ids::{JobId, TaskId};
use crate::job::MAX_GROUPS;
use crate::state::Status;

impl Cluster {
    /// Lets ended tasks go. A late report about one of them is superseded as that about any task
    /// that is not live; its idempotency key may be used for another. What a live job has come to need since these were
    /// looked for stays.
    pub(super) fn collect(&mut self, out: &mut Out, tasks: &[(TaskId, Status)]) -> Result<Answer, Rejected> {
        few(tasks.len())?;
        if let Some(live) = tasks.iter().find_map(|(id, _)| self.tasks.get(id)) {
            return Err(Rejected::NotEnded(live.id, live.status()));
        }
        for (id, status) in tasks {
            if self.jobs.values().any(|job| job.progress.needs_outside(*id)) {
                continue;
            }
            if let Some(old) = self.ended_keys.remove(id) {
                self.keys.remove(&old.1);
                self.old_keys.remove(&old);
            }
            out.save(Row::TaskRemoved(*id, *status));
        }
        Ok(Answer::Done)
    }

    /// Lets ended jobs go of which no task is kept; their idempotency keys may be used for others.
    pub(super) fn collect_jobs(&mut self, out: &mut Out, jobs: &[JobId]) -> Result<Answer, Rejected> {
        few(jobs.len())?;
        if let Some(live) = jobs.iter().find_map(|id| self.jobs.get(id)) {
            return Err(Rejected::JobNotEnded(live.record.id, live.record.status()));
        }
        for id in jobs {
            if self.is_needed(*id) {
                continue;
            }
            if let Some(old) = self.ended_job_keys.remove(id) {
                self.job_keys.remove(&old.1);
                self.old_job_keys.remove(&old);
            }
            out.save(Row::JobRemoved(*id));
        }
        Ok(Answer::Done)
    }

    /// Whether a live job needs something that may be of an ended one: how many groups that had is known to the store
    /// alone, and ids of tasks that follow a job's so closely are hardly of another.
    fn is_needed(&self, id: JobId) -> bool {
        let close = |task: TaskId| id.group_of(task).is_some_and(|group| (group as usize) < MAX_GROUPS);
        self.jobs.values().any(|job| job.progress.outside().any(close))
    }
}

fn few(given: usize) -> Result<(), Rejected> {
    if given > MAX_ROWS { Err(Rejected::TooManyAtOnce { given, most: MAX_ROWS }) } else { Ok(()) }
}
