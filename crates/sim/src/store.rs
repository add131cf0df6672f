//! The simulated durable store: what is here has survived every crash.

use crate::context::Context;
use cloudai_core::cluster::Start;
use cloudai_core::effect::Row;
use cloudai_core::ids::{Incarnation, TaskId, Term, UserId, WorkerId};
use cloudai_core::task::TaskRecord;
use cloudai_core::worker::WorkerRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The life of the data: one for the whole run.
pub(crate) const INCARNATION: Incarnation = Incarnation(1);

/// Rows by key, newest version.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) term: Term,
    pub(crate) tasks: BTreeMap<TaskId, Arc<TaskRecord>>,
    pub(crate) workers: BTreeMap<WorkerId, Arc<WorkerRecord>>,
    pub(crate) keys: BTreeMap<(UserId, Arc<str>), TaskId>,
    last_order: u64,
}

/// Why a batch was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommitError {
    /// Another master leads.
    Fenced,
    /// Nothing was written; worth another try.
    Unavailable,
    /// This row can never be stored.
    Refused { row: usize },
}

impl Store {
    /// A master takes the lead: commits of earlier ones are fenced.
    pub(crate) fn lead(&mut self) {
        self.term = self.term.next();
    }

    /// Whether a batch can be stored now.
    pub(crate) fn may_commit(&self, context: &mut Context, term: Term, rows: &[Row]) -> Result<(), CommitError> {
        if context.plan.is_store_away(context.elapsed()) {
            Err(CommitError::Unavailable)
        } else if term != self.term {
            Err(CommitError::Fenced)
        } else if context.rng.chance(context.plan.refusal) {
            Err(CommitError::Refused { row: context.rng.index(rows.len()) })
        } else {
            Ok(())
        }
    }

    /// A version that is not newer than the stored one is skipped.
    pub(crate) fn commit(&mut self, rows: &[Row]) {
        for row in rows {
            match row {
                Row::Task(task) => {
                    if self.tasks.get(&task.id).is_some_and(|stored| stored.version >= task.version) {
                        continue;
                    }
                    self.last_order = self.last_order.max(task.order);
                    if let Some(key) = &task.spec.idempotency_key {
                        self.keys.insert((task.owner.clone(), Arc::clone(key)), task.id);
                    }
                    self.tasks.insert(task.id, Arc::clone(task));
                }
                Row::Worker(worker) => {
                    if self.workers.get(&worker.id).is_some_and(|stored| stored.version >= worker.version) {
                        continue;
                    }
                    self.workers.insert(worker.id.clone(), Arc::clone(worker));
                }
                Row::WorkerRemoved(id) => {
                    self.workers.remove(id);
                }
                Row::Outputs(..) => {}
            }
        }
    }

    /// What a new master begins with.
    pub(crate) fn load(&self) -> Start {
        Start {
            incarnation: INCARNATION,
            last_order: self.last_order,
            tasks: self.live().cloned().collect(),
            workers: self.workers.values().cloned().collect(),
        }
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<TaskRecord>> {
        self.tasks.values().filter(|task| task.finished().is_none())
    }
}
