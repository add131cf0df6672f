//! What tasks left.

use super::Handle;
use crate::mailbox::AskError;
use crate::principal::Principal;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::state::Status;
use cloudai_core::task::OutputFile;
use cloudai_core::time::Timestamp;

/// A task that has ended, for who asks for what it left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// Its accepted attempt; none where none was accepted: then it left nothing.
    attempt: Option<Attempt>,
    /// When it ended.
    pub(crate) ended: Timestamp,
}

/// A file that a task left.
#[derive(Clone, Debug)]
pub(crate) struct LeftFile {
    /// Which attempt left it.
    pub(crate) attempt: Attempt,
    /// Its name, size and hash.
    pub(crate) file: OutputFile,
}

impl Handle {
    /// A task that has ended; how far it is where it has not.
    /// # Errors
    /// As [`Handle::task`].
    pub(crate) async fn left(&self, who: &Principal, id: TaskId) -> Result<Result<Left, Status>, AskError> {
        let record = self.task(who, id).await?.record;
        if record.finished().is_none() {
            return Ok(Err(record.status()));
        }
        let last = record.attempts.last().and_then(|last| last.end.as_ref());
        let attempt = last.is_some_and(|end| end.accepted).then(|| record.attempt());
        Ok(Ok(Left { attempt, ended: record.finished_at.unwrap_or_default() }))
    }

    /// All files that it left, by their paths.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn left_files(&self, left: Left) -> Result<Vec<LeftFile>, AskError> {
        let Some(attempt) = left.attempt else { return Ok(Vec::new()) };
        let files = self.shared.store.outputs(attempt).await?;
        Ok(files.into_iter().map(|file| LeftFile { attempt, file }).collect())
    }

    /// One file that it left.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn left_file(&self, left: Left, path: &str) -> Result<Option<LeftFile>, AskError> {
        let Some(attempt) = left.attempt else { return Ok(None) };
        Ok(self.shared.store.output(attempt, path).await?.map(|file| LeftFile { attempt, file }))
    }
}
