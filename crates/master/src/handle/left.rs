//! What tasks left.

use super::Handle;
use crate::mailbox::AskError;
use crate::principal::Principal;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::state::Status;
use cloudai_core::task::OutputFile;
use cloudai_core::time::Timestamp;

/// What a task left.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    /// Of which attempt: the accepted one.
    pub(crate) attempt: Attempt,
    /// Its files.
    pub(crate) files: Vec<OutputFile>,
    /// When the task ended.
    pub(crate) ended: Timestamp,
}

impl Handle {
    /// What a task left that has ended; how far it is where it has not.
    /// # Errors
    /// As [`Handle::task`].
    pub(crate) async fn left(&self, who: &Principal, id: TaskId) -> Result<Result<Left, Status>, AskError> {
        let record = self.task(who, id).await?.record;
        if record.finished().is_none() {
            return Ok(Err(record.status()));
        }
        let attempt = record.attempt();
        let accepted = record.attempts.last().and_then(|last| last.end.as_ref()).is_some_and(|end| end.accepted);
        let files = if accepted { self.shared.store.outputs(attempt).await? } else { Vec::new() };
        Ok(Ok(Left { attempt, files, ended: record.finished_at.unwrap_or_default() }))
    }
}
