//! The simulated durable store: what is synced has survived every crash.

use crate::check::Check;
use crate::context::Context;
use crate::rng::Rng;
use cloudai_core::cluster::Start;
use cloudai_core::effect::Row;
use cloudai_core::ids::{Incarnation, TaskId, Term, UserId, WorkerId};
use cloudai_core::job::{JobRecord, StoredJobs};
use cloudai_core::planted::{self, Fault};
use cloudai_core::task::TaskRecord;
use cloudai_core::time::Timestamp;
use cloudai_core::worker::WorkerRecord;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// The life of the data before any backup is restored.
pub(crate) const FIRST_LIFE: Incarnation = Incarnation(1);
/// With the planted fault: how many transactions are answered before the disk has them.
const SYNC_LATER: usize = 8;

/// Rows by key, newest version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) tasks: BTreeMap<TaskId, Arc<TaskRecord>>,
    pub(crate) workers: BTreeMap<WorkerId, Arc<WorkerRecord>>,
    pub(crate) keys: BTreeMap<(UserId, Arc<str>), TaskId>,
    pub(crate) jobs: StoredJobs,
    last_order: u64,
    /// The time of the newest transaction, by the clock of the master that wrote it.
    last_commit: Timestamp,
}

/// What is stored together or not at all.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) at: Timestamp,
    /// Every change, in order.
    pub(crate) changes: Vec<Row>,
    /// The newest version of everything that changed.
    pub(crate) rows: Vec<Row>,
}

/// The store: what readers see, which outlives the process, and what the disk has of it, which
/// outlives the machine.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) term: Term,
    /// The life of the data.
    pub(crate) incarnation: Incarnation,
    rows: Rows,
    disk: Rows,
    /// What the machine has written and its disk has not, oldest first.
    unsynced: Vec<Transaction>,
    /// How many of these readers see: none, for nothing is answered before it is synced.
    seen: usize,
    backup: Option<Backup>,
}

/// Data that were put by.
#[derive(Clone, Debug)]
struct Backup {
    rows: Rows,
    term: Term,
}

impl Deref for Store {
    type Target = Rows;
    fn deref(&self) -> &Rows {
        &self.rows
    }
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
    pub(crate) fn new() -> Self {
        Self {
            term: Term::default(),
            incarnation: FIRST_LIFE,
            rows: Rows::default(),
            disk: Rows::default(),
            unsynced: Vec::new(),
            seen: 0,
            backup: None,
        }
    }

    /// Puts what readers see by, in place of what was put by before.
    pub(crate) fn back_up(&mut self) {
        self.backup = Some(Backup { rows: self.rows.clone(), term: self.term });
    }

    /// Puts the backup in the place of the data, as a new life of them. On a `bare` machine nothing but
    /// the backup tells which terms there were. Answers whether there is one.
    pub(crate) fn restore(&mut self, bare: bool) -> bool {
        let Some(Backup { rows, term }) = self.backup.clone() else { return false };
        self.incarnation = self.incarnation.next();
        self.term = if bare { term } else { self.term };
        self.disk = rows.clone();
        self.rows = rows;
        self.unsynced.clear();
        self.seen = 0;
        true
    }

    /// What a new master begins with.
    pub(crate) fn load(&self) -> Start {
        Start {
            incarnation: self.incarnation,
            last_order: self.last_order,
            tasks: self.live().cloned().collect(),
            jobs: self.jobs.live(&self.tasks),
            workers: self.workers.values().cloned().collect(),
        }
    }

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

    /// A transaction is with the machine; readers do not see it yet.
    pub(crate) fn write(&mut self, transaction: Transaction) {
        self.unsynced.push(transaction);
    }

    /// The disk has everything, and readers see it.
    pub(crate) fn sync(&mut self, check: &mut Check) {
        while let Some(transaction) = self.unsynced.get(self.seen) {
            check.committing(&self.rows, transaction.changes.iter());
            self.rows.apply(transaction);
            self.seen += 1;
        }
        if planted::is(Fault::SkipSync) && self.seen < SYNC_LATER {
            return;
        }
        self.unsynced.iter().for_each(|transaction| self.disk.apply(transaction));
        self.unsynced.clear();
        self.seen = 0;
    }

    /// The machine loses its power: of what its disk has not, the last ones may be gone. Answers
    /// how many are.
    pub(crate) fn cut_power(&mut self, rng: &mut Rng) -> usize {
        let kept = rng.index(self.unsynced.len() + 1);
        let lost = self.unsynced.len() - kept;
        self.unsynced.truncate(kept);
        self.seen = self.seen.min(kept);
        self.rows = self.disk.clone();
        self.unsynced.iter().take(self.seen).for_each(|transaction| self.rows.apply(transaction));
        lost
    }

    /// Whether a process died between writing and syncing.
    pub(crate) fn has_unsynced(&self) -> bool {
        self.seen < self.unsynced.len()
    }
}

impl Rows {
    /// A version that is not newer than the stored one is skipped.
    fn apply(&mut self, transaction: &Transaction) {
        self.last_commit = self.last_commit.max(transaction.at);
        for row in &transaction.rows {
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
                Row::TaskRemoved(id, _) => drop(self.tasks.remove(id)),
                Row::Job(job, _) => {
                    self.last_order = self.last_order.max(job.last_order());
                    self.jobs.apply(row);
                }
                Row::JobPlanned(..) | Row::JobRemoved(_) => self.jobs.apply(row),
                Row::Outputs(..) => {}
            }
        }
    }

    /// No clock of a later master shows less.
    pub(crate) const fn last_commit(&self) -> Timestamp {
        self.last_commit
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Arc<TaskRecord>> {
        self.tasks.values().filter(|task| task.finished().is_none())
    }

    pub(crate) fn live_jobs(&self) -> impl Iterator<Item = &Arc<JobRecord>> {
        self.jobs.records.values().filter(|job| job.end.is_none())
    }
}
