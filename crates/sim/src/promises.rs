//! What callers were told, and that the store keeps it: nothing that was acknowledged is lost, but by
//! the restore of a backup that is older.

mod jobs;

use crate::store::Rows;
use cloudai_core::ids::{Attempt, JobId, TaskId};
use cloudai_core::state::{Reason, Status};
use cloudai_core::task::{State, TaskRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What was promised in the present life of the data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    acknowledged: BTreeSet<TaskId>,
    /// Attempts whose end was acknowledged.
    taken: BTreeSet<Attempt>,
    /// Tasks whose cancel was acknowledged before they had ended.
    cancelled: BTreeSet<TaskId>,
    /// Tasks that were waiting when their cancel was acknowledged: they never run.
    cancelled_waiting: BTreeSet<TaskId>,
    /// Tasks of jobs that had no record when their cancel was acknowledged: they never get one.
    never: BTreeSet<TaskId>,
    /// Acknowledged in a life that a restore has ended.
    lost: BTreeSet<TaskId>,
    /// Jobs that were acknowledged, each with the number of its groups.
    jobs: BTreeMap<JobId, u32>,
    /// Jobs whose cancel was acknowledged before they had ended.
    stopped: BTreeSet<JobId>,
    /// Jobs that were acknowledged in a life that a restore has ended.
    lost_jobs: BTreeMap<JobId, u32>,
}

impl Promises {
    /// Those of a backup come back: what was promised since then is lost, and nobody is to blame.
    /// What is in the store all the same was there before it was acknowledged.
    pub(crate) fn go_back_to(&mut self, then: &Self, store: &Rows) {
        let mut lost = std::mem::take(&mut self.lost);
        lost.extend(self.acknowledged.iter().filter(|task| !store.tasks.contains_key(task)));
        let mut lost_jobs = std::mem::take(&mut self.lost_jobs);
        lost_jobs.extend(self.jobs.iter().filter(|(job, _)| !store.jobs.records.contains_key(job)));
        *self = Self { lost, lost_jobs, ..then.clone() };
    }

    /// Whether a task went with a life of the data.
    pub(crate) fn is_lost(&self, task: TaskId) -> bool {
        self.lost.contains(&task) || self.is_of_lost_job(task)
    }

    /// Whether a task must not run any more, and if it has no record get none.
    pub(crate) fn is_cancelled_waiting(&self, task: TaskId) -> bool {
        self.cancelled_waiting.contains(&task) || self.never.contains(&task)
    }

    /// # Errors
    /// The rule that is broken.
    pub(crate) fn submission(&mut self, store: &Rows, task: TaskId) -> Result<(), String> {
        if !store.tasks.contains_key(&task) {
            return Err(format!("3.3.1: {task} was acknowledged and is not stored"));
        }
        self.acknowledged.insert(task);
        Ok(())
    }

    /// # Errors
    /// The rule that is broken.
    pub(crate) fn cancel(&mut self, store: &Rows, task: TaskId) -> Result<(), String> {
        match store.tasks.get(&task) {
            Some(record) => self.cancel_of(record),
            None => self.cancel_without_record(store, task),
        }
    }

    fn cancel_of(&mut self, record: &TaskRecord) -> Result<(), String> {
        let task = record.id;
        match &record.state {
            State::Finished(end) if end.status == Status::Cancelled && record.attempts.is_empty() => {
                self.cancelled_waiting.insert(task);
            }
            State::Finished(_) => {}
            State::Active(_) if record.cancel.is_some() => {
                self.cancelled.insert(task);
            }
            State::Queued(_) | State::Active(_) => {
                return Err(format!("3.3.7: the cancel of {task} was acknowledged and is not stored"));
            }
        }
        Ok(())
    }

    /// A worker is told that an end was taken: the attempt is over in the store.
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn end(&mut self, store: &Rows, attempt: Attempt) -> Result<(), String> {
        if !is_over(store, attempt) {
            return Err(format!("3.3.2: the end of {attempt} was acknowledged and is not stored"));
        }
        self.taken.insert(attempt);
        Ok(())
    }

    /// The store has all of it; `after` what, a broken rule says.
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn are_kept(&self, store: &Rows, after: &str) -> Result<(), String> {
        let task = self.acknowledged.iter().find(|id| !store.tasks.contains_key(id));
        let asked = |task: &TaskRecord| task.cancel.is_some() || task.finished().is_some();
        let mut cancels = self.cancelled.iter().chain(&self.cancelled_waiting);
        let cancel = cancels.find(|id| !store.tasks.get(id).is_some_and(|task| asked(task)));
        let end = self.taken.iter().find(|attempt| !is_over(store, **attempt)).map(|attempt| attempt.task);
        if task.is_none() && cancel.is_none() && end.is_none() {
            return self.jobs_are_kept(store, after);
        }
        Err(format!(
            "3.3.1: task {task:?}, cancel of {cancel:?} or end of {end:?} was acknowledged, and {after} took it"
        ))
    }

    /// At the end every acknowledged task is there, every cancelled one ended by it unless its own end
    /// was first.
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn finale(&self, store: &Rows) -> Result<(), String> {
        if let Some(id) = self.acknowledged.iter().find(|id| !store.tasks.contains_key(id)) {
            return Err(format!("3.3.1: {id} was acknowledged and is lost"));
        }
        self.jobs_are_kept(store, "the time since")?;
        let own = |reason: Option<Reason>| {
            matches!(reason, None | Some(Reason::ExitCode | Reason::TimedOut | Reason::StartError))
        };
        for id in &self.cancelled {
            let end = store.tasks.get(id).and_then(|task| task.finished());
            if !end.is_some_and(|end| end.status == Status::Cancelled || own(end.reason)) {
                return Err(format!("3.3.7: {id} was cancelled and ended as {end:?}"));
            }
        }
        Ok(())
    }
}

/// Whether the store calls an attempt over.
fn is_over(store: &Rows, attempt: Attempt) -> bool {
    let ended =
        |task: &Arc<TaskRecord>| task.attempts.iter().any(|one| one.number == attempt.number && one.end.is_some());
    store.tasks.get(&attempt.task).is_some_and(ended)
}
