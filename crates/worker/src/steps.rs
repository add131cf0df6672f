//! Steps of attempts that the master is to be told: the latest of each, and none of what is over.
//!
//! Nothing depends on them: heartbeats tell the same, and an end tells when its container began.
//! So they are told at a steady pace, and thousands of short attempts cost no call each.

use cloudai_core::event::Held;
use cloudai_core::ids::Attempt;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// At most one step for each attempt that the worker holds.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    waiting: Mutex<BTreeMap<Attempt, Held>>,
    arrived: Notify,
}

impl Steps {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Attempt, Held>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a step told, in the place of an earlier one of the same attempt.
    pub(crate) fn put(&self, held: Held) {
        self.lock().insert(held.attempt, held);
        self.arrived.notify_one();
    }

    /// The attempt is over: its end tells more than its steps.
    pub(crate) fn forget(&self, attempt: Attempt) {
        self.lock().remove(&attempt);
    }

    /// Waits until something has come since the last time.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes all that there is to tell.
    pub(crate) fn take(&self) -> Vec<Held> {
        std::mem::take(&mut *self.lock()).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::event::HeldStage;
    use cloudai_core::ids::{Incarnation, TaskId};
    use cloudai_core::task::Step;

    #[test]
    fn only_the_latest_step_of_what_is_not_over_is_told() {
        let [one, two] = [1, 2].map(|task| Attempt { task: TaskId::new(task), number: 1 });
        let steps = Steps::default();
        let held = |attempt, step| Held { attempt, incarnation: Incarnation(1), stage: HeldStage::At(step) };
        steps.put(held(one, Step::Starting));
        steps.put(held(two, Step::Starting));
        steps.put(held(one, Step::Running));
        steps.forget(two);
        assert_eq!(steps.take(), [held(one, Step::Running)]);
    }
}
