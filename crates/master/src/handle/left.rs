//! What tasks left.

use super::Handle;
use crate::mailbox::AskError;
use crate::principal::Principal;
use cloudai_core::ids::{Attempt, TaskId, UserId};
use cloudai_core::state::Status;
use cloudai_core::task::{OutputFile, TaskRecord};
use cloudai_core::time::Timestamp;
use cloudai_store::Usage;
use cloudai_store::query::{Cursor, Page, TaskQuery};
use std::sync::Arc;

/// Tasks read at a time for a list of files.
const TASKS: usize = 100;
/// Tasks looked at for one page: most leave nothing, and an answer does not wait until some did.
const MOST_TASKS: usize = 500;

/// A task that has ended, for who asks for what it left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// Its accepted attempt; none where none was accepted: then it left nothing.
    attempt: Option<Attempt>,
    /// When it ended.
    pub(crate) ended: Timestamp,
}

/// What a user's tasks left, from a place on.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The files, with their tasks: of the newest task first, by their paths.
    pub(crate) files: Vec<(Arc<TaskRecord>, LeftFile)>,
    /// Where it goes on; none at the end.
    pub(crate) next: Option<KeptFrom>,
    /// What all of them come to, those on other pages included.
    pub(crate) usage: Usage,
}

/// A place in a list of files. What a task left when it ended never changes, so a number says which file of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeptFrom {
    /// The submission order of the task; when that has gone, the next older one.
    pub(crate) order: u64,
    /// How many of its files come before.
    pub(crate) shown: u32,
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
        Ok(left_by(&self.task(who, id).await?.record))
    }

    /// What all of an owner's tasks left, from a place on; nothing of another's. A page may be short, even empty, with more
    /// behind it.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn kept_of(
        &self,
        who: &Principal,
        owner: &UserId,
        mut from: Option<KeptFrom>,
        limit: usize,
    ) -> Result<Kept, AskError> {
        let mut kept = Kept { files: Vec::new(), next: None, usage: Usage::default() };
        if !who.may_see(owner) {
            return Ok(kept);
        }
        let store = &self.shared.store;
        kept.usage = store.usage(owner, &[]).await?;
        if kept.usage.files == 0 {
            return Ok(kept);
        }
        let mut looked = 0;
        while looked < MOST_TASKS {
            let cursor = from.map(|from| Cursor(from.order.saturating_add(1)));
            let query =
                TaskQuery { owner: Some(owner.clone()), limit: TASKS, cursor, expand: true, ..TaskQuery::default() };
            let Page { items, next } = store.tasks(&query).await?;
            looked += items.len();
            for task in items {
                let shown = from.filter(|from| from.order == task.order).map_or(0, |from| from.shown);
                kept.next = self.take_files(&mut kept.files, &task, shown, limit).await?;
                if kept.next.is_some() {
                    return Ok(kept);
                }
            }
            // A task older than the last one of these.
            from = next.map(|Cursor(last)| KeptFrom { order: last.saturating_sub(1), shown: 0 });
            if from.is_none() {
                break;
            }
        }
        kept.next = from;
        Ok(kept)
    }

    /// What one task left, from a place on; how far it is where it has not ended.
    /// # Errors
    /// As [`Handle::task`].
    pub(crate) async fn kept_by(
        &self,
        who: &Principal,
        id: TaskId,
        from: Option<KeptFrom>,
        limit: usize,
    ) -> Result<Result<Kept, Status>, AskError> {
        let record = self.task(who, id).await?.record;
        let left = match left_by(&record) {
            Ok(left) => left,
            Err(status) => return Ok(Err(status)),
        };
        let usage = match left.attempt {
            Some(attempt) => self.shared.store.outputs(attempt).await?,
            None => Vec::new(),
        };
        let usage = usage.iter().fold(Usage::default(), |sum, file| sum.plus(Usage::of_file(file.size)));
        let (mut files, shown) =
            (Vec::new(), from.filter(|from| from.order == record.order).map_or(0, |from| from.shown));
        let next = self.take_files(&mut files, &record, shown, limit).await?;
        Ok(Ok(Kept { files, next, usage }))
    }

    /// Adds the files of a task, but for those that were shown; where it goes on when there is no room for all.
    async fn take_files(
        &self,
        into: &mut Vec<(Arc<TaskRecord>, LeftFile)>,
        task: &Arc<TaskRecord>,
        shown: u32,
        limit: usize,
    ) -> Result<Option<KeptFrom>, AskError> {
        let Ok(left) = left_by(task) else { return Ok(None) };
        for (number, file) in (0..).zip(self.left_files(left).await?).skip_while(|(number, _)| *number < shown) {
            if into.len() >= limit {
                return Ok(Some(KeptFrom { order: task.order, shown: number }));
            }
            into.push((Arc::clone(task), file));
        }
        Ok(None)
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

/// A task that has ended, as who asks for what it left sees it; how far it is where it has not.
fn left_by(record: &TaskRecord) -> Result<Left, Status> {
    if record.finished().is_none() {
        return Err(record.status());
    }
    let last = record.attempts.last().and_then(|last| last.end.as_ref());
    let attempt = last.is_some_and(|end| end.accepted).then(|| record.attempt());
    Ok(Left { attempt, ended: record.finished_at.unwrap_or_default() })
}
