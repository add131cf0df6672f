//! Events that are committed together, and who waits for their answers.

use super::{BATCH_BYTES, BATCH_EVENTS, BATCH_ROWS};
use crate::mailbox::{Answered, Ask, AskError, Reply};
use cloudai_core::batch::{self, Done};
use cloudai_core::cluster::Cluster;
use cloudai_core::effect::{Dispatch, Row};
use cloudai_core::event::{Event, Rejected};
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::time::Timestamp;
use std::collections::BTreeSet;
use tokio::time::{Duration, Instant};

/// A batch ends after so long, so that a single caller waits no longer for its neighbours.
const LONGEST: Duration = Duration::from_millis(2);

/// Applied events, not yet committed.
#[derive(Debug)]
pub(crate) struct Batch {
    events: batch::Batch<Option<Slot>>,
    began: Instant,
    asks: Vec<Waiting>,
}

/// Where the answer of an event goes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    ask: usize,
    place: usize,
}

/// Who waits, and what for.
#[derive(Debug)]
struct Waiting {
    reply: Reply,
    answers: Vec<Answered>,
}

/// Answers and commands of a committed batch.
pub(crate) type Told = (Vec<(Reply, Vec<Answered>)>, Vec<Dispatch>);

impl Batch {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { events: batch::Batch::new(now), began: Instant::now(), asks: Vec::new() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.events.now()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.events.events().len() >= BATCH_EVENTS
            || self.events.changes().len() >= BATCH_ROWS
            || self.events.bytes() >= BATCH_BYTES
            || self.began.elapsed() >= LONGEST
    }

    /// Applies an event that nobody waits for.
    pub(crate) fn apply(&mut self, cluster: &mut Cluster, event: Event) {
        self.events.apply(cluster, event, None);
    }

    /// Applies all that somebody asks for, unless it was taken back.
    pub(crate) fn apply_all(&mut self, cluster: &mut Cluster, asked: Ask) {
        if !asked.is_wanted() {
            return;
        }
        let Ask { events, reply, .. } = asked;
        let ask = self.asks.len();
        // Each is replaced when the batch is told.
        let answers = events.iter().map(|_| Err(AskError::Stopped)).collect();
        self.asks.push(Waiting { reply, answers });
        for (place, event) in events.into_iter().enumerate() {
            self.events.apply(cluster, event, Some(Slot { ask, place }));
        }
    }

    /// The tasks that are changed by it.
    pub(crate) fn tasks(&self) -> BTreeSet<TaskId> {
        self.events.tasks()
    }

    /// The jobs that are changed by it.
    pub(crate) fn jobs(&self) -> BTreeSet<JobId> {
        self.events.jobs()
    }

    /// The newest version of everything that changed.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.events.rows()
    }

    /// Every event, and why it was refused where it was.
    pub(crate) fn done(&self) -> impl Iterator<Item = (&Event, Option<&Rejected>)> {
        self.events.events().iter().map(|done| (&done.event, done.answer.as_ref().err()))
    }

    pub(crate) fn into_told(mut self) -> Told {
        let (events, dispatches) = self.events.into_told();
        for Done { sender, answer, .. } in events {
            if let Some(Slot { ask, place }) = sender {
                self.asks[ask].answers[place] = answer.map_err(AskError::from);
            }
        }
        (self.asks.into_iter().map(|ask| (ask.reply, ask.answers)).collect(), dispatches)
    }

    /// The batch without the event that made a row that can not be stored, applied to a fresh
    /// cluster. Its sender is told with the others.
    pub(crate) fn without(mut self, row: usize, why: &str, cluster: &mut Cluster) -> Self {
        let mut again = batch::Batch::new(self.events.now());
        let (rest, culprit) = self.events.without(row);
        for Done { event, sender, .. } in rest {
            again.apply(cluster, event, sender);
        }
        if let Some(Slot { ask, place }) = culprit.and_then(|culprit| culprit.sender) {
            self.asks[ask].answers[place] = Err(AskError::Internal(format!("the store refused it: {why}")));
        }
        Self { events: again, ..self }
    }
}
