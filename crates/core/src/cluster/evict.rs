//! Attempts that lose their place to others: they are stopped, and their tasks wait again, uncounted.

use super::{Cluster, Out};
use crate::ids::TaskId;
use crate::task::{Eviction, State};

impl Cluster {
    /// Stops the attempt of a task so that it waits for another place. Nothing for one that has no place, or that is
    /// being stopped already: a task whose end is wanted ends, and the first reason to wait again stays.
    ///
    /// What is stored says so until the worker confirms the end: after a restart the stop is sent again.
    pub(super) fn evict(&mut self, out: &mut Out, id: TaskId, eviction: Eviction) {
        let Some(task) = self.tasks.get(&id).filter(|task| !task.is_stopping() && task.evicted().is_none()) else {
            return;
        };
        let Some(worker) = task.active().map(|active| active.worker.clone()) else { return };
        let attempt = task.attempt();
        self.change(out, id, |task| {
            if let State::Active(active) = &mut task.state {
                active.evict = Some(Box::new(eviction));
            }
        });
        self.stop(out, &worker, attempt);
    }
}
