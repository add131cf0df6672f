//! Which ended tasks are kept no longer: looked for in slices, the earliest submitted first.
//!
//! The index of lists serves it: ended tasks stand there in the order of their submission. Those
//! that ended before a time were submitted before it, so a look ends where what was submitted at
//! that time begins, and passes over nothing but the few that took longer than all are kept.

use super::{Cursor, MAX_LIMIT, Page};
use crate::StoreError;
use cloudai_core::ids::TaskId;
use cloudai_core::state::Status;
use cloudai_core::time::Timestamp;

/// A slice of the look for tasks that may go: by age, by count or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionQuery {
    /// Those that ended before this time; [`Timestamp::ZERO`] for none.
    pub before: Timestamp,
    /// So many of the earliest submitted, whenever they ended: how many more there are than are kept.
    pub beyond: u64,
    /// Go on after this place, as an earlier slice told.
    pub cursor: Option<Cursor>,
    /// Look at so many tasks at most (1 to 1,000).
    pub limit: usize,
}

/// A task that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collectable {
    /// Which.
    pub id: TaskId,
    /// Its place in the order of submission.
    pub order: u64,
    /// How it ended, for [`cloudai_core::effect::Row::TaskRemoved`].
    pub status: Status,
    /// When.
    pub finished_at: Timestamp,
}

/// One slice while it is made: what every backend decides alike.
#[derive(Debug)]
pub(crate) struct Slice<'a> {
    query: &'a RetentionQuery,
    looked: usize,
    found: Vec<Collectable>,
    last: Option<u64>,
}

impl RetentionQuery {
    /// Whether this question is served.
    /// # Errors
    /// [`StoreError::Unsupported`] for a limit out of range.
    pub fn check(&self) -> Result<(), StoreError> {
        if (1..=MAX_LIMIT).contains(&self.limit) {
            return Ok(());
        }
        Err(StoreError::Unsupported(format!("limit is {}: expected 1 to {MAX_LIMIT}", self.limit)))
    }

    pub(crate) fn slice(&self) -> Slice<'_> {
        Slice { query: self, looked: 0, found: Vec::new(), last: None }
    }
}

impl Slice<'_> {
    /// How many more may go whenever they ended.
    fn beyond(&self) -> u64 {
        self.query.beyond.saturating_sub(self.found.len() as u64)
    }

    /// Looks at the next ended task, in the order of submission; whether there is more to look at.
    /// One that is `spared` is asked about only when it would go.
    pub(crate) fn look<E>(
        &mut self,
        task: Collectable,
        created_at: Timestamp,
        spared: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let beyond = self.beyond() > 0;
        if !beyond && created_at >= self.query.before {
            self.last = None;
            return Ok(false);
        }
        self.looked += 1;
        self.last = Some(task.order);
        if (beyond || task.finished_at < self.query.before) && !spared()? {
            self.found.push(task);
        }
        Ok(self.looked < self.query.limit)
    }

    /// What was found; `all` when there was no other task to look at.
    pub(crate) fn page(self, all: bool) -> Page<Collectable> {
        Page { items: self.found, next: self.last.filter(|_| !all).map(Cursor) }
    }
}
