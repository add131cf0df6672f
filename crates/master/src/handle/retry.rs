//! Ended tasks that are submitted again.

use super::Handle;
use crate::mailbox::AskError;
use crate::model::SeenTask;
use crate::principal::Principal;
use cloudai_core::event::{NewTask, Rejected, Submitted};
use cloudai_core::ids::{TaskId, UserId};
use cloudai_core::spec::{Source, TaskSpec};
use cloudai_core::task::TaskRecord;
use std::sync::Arc;

impl Handle {
    /// Runs the spec of an ended task again, or what `changed` made of it, as a new task that names
    /// the old one; the old one stays as it ended. Each task is followed by one other at most: asked
    /// again, the answer is that one.
    /// # Errors
    /// [`AskError`]; rejected with `NotEnded` while the task waits or runs, with `KeyReused` when it
    /// is followed by one that differs from what is asked for.
    pub async fn retry(&self, who: &Principal, id: TaskId, changed: Option<TaskSpec>) -> Result<Submitted, AskError> {
        let ended = self.task_to_change(who, id).await?.record;
        if ended.finished().is_none() {
            return Err(Rejected::NotEnded(id, ended.status()).into());
        }
        if let Some(job) = ended.job.filter(|_| is_of_its_job(&ended)) {
            return Err(Rejected::OnlyInJob(id, job).into());
        }
        let keyed = |spec: TaskSpec| TaskSpec { idempotency_key: Some(key_of(id)), ..spec };
        let changed = changed.map(keyed);
        if let Some(next) = self.following(&ended.owner, id).await? {
            return match changed {
                Some(spec) if spec != *next.spec => Err(Rejected::KeyReused(next.id).into()),
                Some(_) | None => Ok(Submitted { id: next.id, fresh: false }),
            };
        }
        let spec = Arc::new(changed.unwrap_or_else(|| keyed(ended.spec.to_run_again())));
        // It is none of its job, which may have ended by its end.
        let (owner, depends_on) = (ended.owner.clone(), Vec::new());
        let new = NewTask { id: self.new_task_id(), owner, job: None, depends_on, retry_of: Some(id), spec };
        let accepted = self.submit_fresh(&self.as_owner(who, &ended.owner), vec![new], &[0]).await?;
        accepted.into_iter().next().ok_or(AskError::Stopped)
    }

    /// The task that runs this one again.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn successor(&self, task: &SeenTask) -> Result<Option<TaskId>, AskError> {
        if task.record.finished().is_none() {
            return Ok(None);
        }
        Ok(self.following(&task.record.owner, task.record.id).await?.map(|task| task.id))
    }

    async fn following(&self, owner: &UserId, id: TaskId) -> Result<Option<Arc<TaskRecord>>, AskError> {
        let found = self.shared.store.task_by_key(owner, &key_of(id)).await?;
        Ok(found.filter(|task| task.retry_of == Some(id)))
    }
}

/// Whether a task of a job is nothing without it: an element of an array, or one that finds what others left.
fn is_of_its_job(task: &TaskRecord) -> bool {
    let mut inputs = task.spec.container.inputs.iter();
    task.id.index().is_some() || inputs.any(|input| matches!(input.from, Source::Named { .. }))
}

/// The key under which a task is submitted again: whoever asks twice gets one task.
fn key_of(id: TaskId) -> Arc<str> {
    format!("retry:{id}").into()
}
