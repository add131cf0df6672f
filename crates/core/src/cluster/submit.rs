//! New tasks: all of a batch or none.

use super::{Cluster, Key, KeyUse, Out, hold};
use crate::event::{Answer, NewTask, Rejected, Submitted};
use crate::feasible;
use crate::ids::TaskId;
use crate::task::{State, TaskRecord};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Cluster {
    pub(super) fn submit(&mut self, out: &mut Out, tasks: Vec<NewTask>) -> Result<Answer, Rejected> {
        let fates = self.check_batch(&tasks)?;
        let mut answers = Vec::with_capacity(tasks.len());
        for (task, earlier) in tasks.into_iter().zip(fates) {
            answers.push(match earlier {
                Some(id) => Submitted { id, fresh: false },
                None => Submitted { id: self.accept(out, task), fresh: true },
            });
        }
        Ok(Answer::Submitted(answers))
    }

    /// For each task the earlier one with the same key, if any.
    fn check_batch(&self, tasks: &[NewTask]) -> Result<Vec<Option<TaskId>>, Rejected> {
        let mut in_batch: BTreeMap<Key, &NewTask> = BTreeMap::new();
        let mut ids = std::collections::BTreeSet::new();
        let mut fates = Vec::with_capacity(tasks.len());
        for (index, task) in tasks.iter().enumerate() {
            let earlier = self.earlier(task, &in_batch)?;
            if earlier.is_none() {
                if self.tasks.contains_key(&task.id) || !ids.insert(task.id) {
                    return Err(Rejected::TaskExists(task.id));
                }
                self.check_satisfiable(index, task)?;
                if let Some(key) = &task.spec.idempotency_key {
                    in_batch.insert((task.owner.clone(), Arc::clone(key)), task);
                }
            }
            fates.push(earlier);
        }
        Ok(fates)
    }

    fn earlier(&self, task: &NewTask, in_batch: &BTreeMap<Key, &NewTask>) -> Result<Option<TaskId>, Rejected> {
        let Some(key) = &task.spec.idempotency_key else { return Ok(None) };
        let key = (task.owner.clone(), Arc::clone(key));
        let known = self.keys.get(&key).map(|used| (used.task, &used.spec));
        let known = known.or_else(|| in_batch.get(&key).map(|twin| (twin.id, &twin.spec)));
        match known {
            None => self.job_keys.get(&key).map_or(Ok(None), |used| Err(Rejected::JobKeyReused(used.job))),
            Some((id, spec)) if *spec == task.spec => Ok(Some(id)),
            Some((id, _)) => Err(Rejected::KeyReused(id)),
        }
    }

    fn check_satisfiable(&self, index: usize, task: &NewTask) -> Result<(), Rejected> {
        if task.spec.allow_pending {
            return Ok(());
        }
        feasible::satisfiable(&task.spec, self.workers.values().map(|worker| &*worker.record))
            .map_err(|message| Rejected::Unsatisfiable { index, message })
    }

    fn accept(&mut self, out: &mut Out, task: NewTask) -> TaskId {
        let id = task.id;
        let NewTask { owner, job, depends_on, retry_of, spec, .. } = task;
        let fresh = TaskRecord::new(id, owner, spec, self.next_order, out.now);
        let mut record = TaskRecord { job, depends_on, retry_of, ..fresh };
        record.state = State::Queued(hold::at_first(&record, out.now));
        let record = Arc::new(record);
        self.next_order += 1;
        if let Some(key) = super::key_of(&record) {
            self.keys.insert(key, KeyUse { task: id, spec: Arc::clone(&record.spec) });
        }
        self.take_in(out, record);
        id
    }

    pub(super) fn forget_keys(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.old_keys.first()
            && *at <= now
        {
            if let Some((_, key)) = self.old_keys.pop_first()
                && let Some(used) = self.keys.remove(&key)
            {
                self.ended_keys.remove(&used.task);
            }
        }
    }
}
