//! Events that are committed together.

use super::{BATCH_EVENTS, BATCH_ROWS};
use crate::mailbox::AskError;
use cloudai_core::cluster::Cluster;
use cloudai_core::effect::{Dispatch, Effect, Row};
use cloudai_core::event::{Answer, Event, Rejected};
use cloudai_core::ids::{Attempt, TaskId, WorkerId};
use cloudai_core::time::Timestamp;
use std::collections::BTreeMap;
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

/// A batch ends after so long, so that a single caller waits no longer for its neighbours.
const LONGEST: Duration = Duration::from_millis(2);

/// Where an event's answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Answer, AskError>>;

/// Applied events, not yet committed.
#[derive(Debug)]
pub(crate) struct Batch {
    now: Timestamp,
    began: Instant,
    events: Vec<Applied>,
    rows: Vec<(Row, usize)>,
    dispatches: Vec<Dispatch>,
}

#[derive(Debug)]
struct Applied {
    /// Kept to be applied again if another row of the batch is refused.
    event: Event,
    reply: Option<Reply>,
    answer: Result<Answer, Rejected>,
}

/// Rows, answers and commands of a committed batch.
pub(crate) type Parts = (Vec<Row>, Vec<(Reply, Result<Answer, Rejected>)>, Vec<Dispatch>);

impl Batch {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { now, began: Instant::now(), events: Vec::new(), rows: Vec::new(), dispatches: Vec::new() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn is_full(&self) -> bool {
        self.events.len() >= BATCH_EVENTS || self.rows.len() >= BATCH_ROWS || self.began.elapsed() >= LONGEST
    }

    pub(crate) fn apply(&mut self, cluster: &mut Cluster, event: Event, reply: Option<Reply>) {
        let index = self.events.len();
        let answer = cluster.apply(self.now, event.clone()).map(|applied| {
            for effect in applied.effects {
                match effect {
                    Effect::Save(row) => self.rows.push((row, index)),
                    Effect::Send(dispatch) => self.dispatches.push(dispatch),
                }
            }
            applied.answer
        });
        self.events.push(Applied { event, reply, answer });
    }

    /// The newest version of everything that changed, and which event made it.
    pub(crate) fn rows(&mut self) -> Vec<(Row, usize)> {
        let rows = newest(std::mem::take(&mut self.rows));
        self.rows.clone_from(&rows);
        rows
    }

    pub(crate) fn into_parts(self) -> Parts {
        let rows = self.rows.into_iter().map(|(row, _)| row).collect();
        let answered = self.events.into_iter().filter_map(|done| done.reply.map(|reply| (reply, done.answer)));
        (rows, answered.collect(), self.dispatches)
    }

    /// The batch without the event whose row can not be stored, applied to a fresh cluster; its
    /// caller is told.
    pub(crate) fn without(self, culprit: usize, why: &str, cluster: &mut Cluster) -> Self {
        let mut again = Self::new(self.now);
        for (index, done) in self.events.into_iter().enumerate() {
            if index != culprit {
                again.apply(cluster, done.event, done.reply);
            } else if let Some(reply) = done.reply {
                let _ = reply.send(Err(AskError::Internal(format!("the store refused it: {why}"))));
            }
        }
        again
    }
}

/// What a row is about: a later row of the same thing replaces an earlier one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Task(TaskId),
    Worker(WorkerId),
    /// Kept beside a later row of the worker: one that comes again begins at version 1, which the
    /// store would take for old if the removal were not before it.
    Removed(WorkerId),
    Outputs(Attempt),
}

fn newest(rows: Vec<(Row, usize)>) -> Vec<(Row, usize)> {
    let about = |row: &Row| match row {
        Row::Task(task) => About::Task(task.id),
        Row::Worker(worker) => About::Worker(worker.id.clone()),
        Row::WorkerRemoved(id) => About::Removed(id.clone()),
        Row::Outputs(attempt, _) => About::Outputs(*attempt),
    };
    let mut last: BTreeMap<About, usize> = BTreeMap::new();
    for (index, (row, _)) in rows.iter().enumerate() {
        last.insert(about(row), index);
    }
    if last.len() == rows.len() {
        return rows;
    }
    let keep: std::collections::BTreeSet<usize> = last.into_values().collect();
    let kept = rows.into_iter().enumerate().filter(|(index, _)| keep.contains(index));
    kept.map(|(_, row)| row).collect()
}
