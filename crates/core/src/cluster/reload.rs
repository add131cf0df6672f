//! A cluster that is loaded again, because what it decided last could not be stored.

use super::{Cluster, Start};
use crate::ids::{JobId, TaskId};
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// Tasks and jobs of which the last changes were not stored.
pub type Undone<'a> = (&'a BTreeSet<TaskId>, &'a BTreeSet<JobId>);

impl Cluster {
    /// The cluster as it is stored, when its last changes, those of tasks and jobs that are `undone`, are not: what
    /// it knows beyond a [`Start`] of all that is stored stays known. These are the idempotency keys of
    /// tasks and jobs that have ended: submissions that are on their way were compared with the store before
    /// these ended.
    #[must_use]
    pub fn reloaded(&self, start: Start, (undone, jobs): Undone<'_>, now: Timestamp) -> Self {
        let mut fresh = Self::new(self.timing, start, now);
        for (task, (until, key)) in &self.ended_keys {
            if let Some(used) = self.keys.get(key).filter(|used| used.task == *task && !undone.contains(task)) {
                fresh.keys.insert(key.clone(), used.clone());
                fresh.ended_keys.insert(*task, (*until, key.clone()));
                fresh.old_keys.insert((*until, key.clone()));
            }
        }
        for (job, (until, key)) in &self.ended_job_keys {
            if let Some(used) = self.job_keys.get(key).filter(|used| used.job == *job && !jobs.contains(job)) {
                fresh.job_keys.insert(key.clone(), used.clone());
                fresh.ended_job_keys.insert(*job, (*until, key.clone()));
                fresh.old_job_keys.insert((*until, key.clone()));
            }
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Answer, Cancel, Event, Submitted};
    use crate::ids::UserId;
    use crate::spec::Value;
    use crate::testing::{TestCluster, spec, task_id};
    use std::collections::BTreeSet;

    fn submitted(c: &mut TestCluster, number: u128) -> Submitted {
        let keyed = spec(&[("idempotency_key", Value::Text("k".into()))]);
        let task = crate::event::NewTask {
            id: task_id(number),
            owner: UserId::local(),
            job: None,
            depends_on: Vec::new(),
            retry_of: None,
            spec: keyed,
        };
        let answer = c.ok(Event::Submit(vec![task]));
        let Answer::Submitted(tasks) = answer else { panic!("{answer:?}") };
        tasks[0]
    }

    /// A task with a key that was cancelled while it waited, and then the same key again after a
    /// reload before which these tasks' changes were not stored.
    fn again(undone: &[u128]) -> Submitted {
        let mut c = TestCluster::default();
        submitted(&mut c, 1);
        c.ok(Event::Cancel(Cancel { task: task_id(1), by: UserId::local() }));
        let undone: BTreeSet<_> = undone.iter().map(|number| task_id(*number)).collect();
        c.cluster = c.cluster.reloaded(Start { last_order: 1, ..Start::default() }, (&undone, &BTreeSet::new()), c.now);
        submitted(&mut c, 2)
    }

    #[test]
    fn a_key_of_a_task_that_ended_before_a_reload_is_known_after_it() {
        let first = again(&[]);
        assert_eq!((first.id, first.fresh), (task_id(1), false));
    }

    #[test]
    fn a_key_of_a_task_that_was_never_stored_is_free_after_a_reload() {
        let second = again(&[1]);
        assert_eq!((second.id, second.fresh), (task_id(2), true));
    }
}
