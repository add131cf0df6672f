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
        Self::at(task.spec.priority, task.order)
    }

    /// The place of a priority and a submission order.
    #[must_use]
    pub const fn at(priority: i32, order: u64) -> Self {
        Self { priority: Reverse(priority), order }
    }

    /// Its priority and its submission order.
    #[must_use]
    pub const fn parts(self) -> (i32, u64) {
        (self.priority.0, self.order)
    }
}
