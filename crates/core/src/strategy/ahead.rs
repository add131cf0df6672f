//! What tasks wait for though a worker has room for them.

use super::{Strategy, View};
use crate::ids::{TaskId, WorkerId};
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// What goes before what waits, as the last round left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// The task that others wait behind, where the strategy keeps room for one.
    pub first: Option<TaskId>,
    /// Of workers the first task that is pinned there and has no room: those pinned behind it wait.
    pub pinned: BTreeMap<WorkerId, TaskId>,
    /// What has its place in a plan.
    pub planned: BTreeMap<TaskId, Planned>,
}

/// A place in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The worker on whose list it stands.
    pub worker: WorkerId,
    /// When it starts if all ends as thought.
    pub at: Timestamp,
}

impl View {
    /// What goes before what waits since the last round, in which the strategy found nothing more to start.
    #[must_use]
    pub fn ahead(&self, strategy: &dyn Strategy) -> Ahead {
        let waits = |job: &usize| self.board().waits(*job);
        let planned = strategy.planned(self.board()).into_iter().filter(|due| waits(&due.job)).filter_map(|due| {
            let worker = self.seated(due.worker)?.clone();
            Some((self.named(due.job)?, Planned { worker, at: Timestamp::from_millis(due.start) }))
        });
        Ahead {
            first: strategy.ahead().filter(waits).and_then(|job| self.named(job)),
            pinned: self.blocked().clone(),
            planned: planned.collect(),
        }
    }
}

impl Ahead {
    /// The task behind which one waits that has room, pinned to a worker or not.
    #[must_use]
    pub fn before(&self, task: TaskId, pin: Option<&WorkerId>) -> Option<TaskId> {
        let first = match pin {
            Some(pin) => self.pinned.get(pin).copied(),
            None => self.first,
        };
        first.filter(|first| *first != task)
    }
}
