//! The order in which waiting tasks are looked at.

use crate::task::TaskRecord;
use std::cmp::Reverse;

/// A task's place: higher priority first, then earlier submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    priority: Reverse<i32>,
    order: u64,
}

impl Place {
    /// The place of a task.
    #[must_use]
    pub fn of(task: &TaskRecord) -> Self {
        Self { priority: Reverse(task.spec.priority), order: task.order }
    }
}
