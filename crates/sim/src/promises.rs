//! What callers were told, and that the store keeps it: nothing that was acknowledged is lost, but by
//! the restore of a backup that is older.

use crate::store::Rows;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::state::{Reason, Status};
use cloudai_core::task::{State, TaskRecord};
use std::collections::BTreeSet;
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
    /// Acknowledged in a life that a restore has ended.
    lost: BTreeSet<TaskId>,
}

impl Promises {
    /// Those of a backup come back: what was promised since then is lost, and nobody is to blame.
    /// What is in the store all the same was there before it was acknowledged.
    pub(crate) fn go_back_to(&mut self, then: &Self, store: &Rows) {
        let mut lost = std::mem::take(&mut self.lost);
        lost.extend(self.acknowledged.iter().filter(|task| !store.tasks.contains_key(task)));
        *self = Self { lost, ..then.clone() };
    }

    /// Whether a task went with a life of the data.
    pub(crate) fn is_lost(&self, task: TaskId) -> bool {
        self.lost.contains(&task)
    }

    pub(crate) fn is_cancelled_waiting(&self, task: TaskId) -> bool {
        self.cancelled_waiting.contains(&task)
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
        let Some(record) = store.tasks.get(&task) else {
            let lost = self.is_lost(task);
            return if lost { Ok(()) } else { Err(format!("3.3.1: {task} was cancelled and is not stored")) };
        };
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
            return Ok(());
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
