//! The single writer: decide, commit, tell.
//!
//! One loop takes a batch of events, applies each to the cluster, stores all their rows in one
//! commit, and only then publishes, answers and sends. Nobody sees anything of a batch that was
//! not committed. The loop has a thread of its own, which the disk may keep
//! waiting: deciding and committing need no hand-over from one to another.

mod batch;
mod commit;
#[cfg(test)]
mod tests;

use crate::clock::Clock;
use crate::delivery::Delivery;
use crate::heartbeats::Heartbeats;
use crate::mailbox::{Ask, Inbox};
use crate::model::Model;
use crate::placing::Placing;
use crate::pulse::Pulse;
use crate::trail::Trail;
use batch::Batch;
use cloudai_core::batch::PAUSE;
use cloudai_core::cluster::{Cluster, Start};
use cloudai_core::effect::Row;
use cloudai_core::event::Event;
use cloudai_core::ids::Term;
use cloudai_store::{Loaded, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The most events of one batch.
const BATCH_EVENTS: usize = 4096;
/// The most rows of one batch, and bytes of them: about 4 MiB either way. One event may have more.
const BATCH_ROWS: usize = 4096;
const BATCH_BYTES: usize = 4 << 20;
/// The engine looks at the clock at least so often, so that its own pauses are noticed.
const LOOK: Duration = Duration::from_secs(1);

/// Why the engine ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another master leads.
    #[error("another master leads under a newer term")]
    Fenced,
    /// The state could not be loaded again after a row was refused.
    #[error("the state can not be loaded again")]
    Reload(#[source] cloudai_store::StoreError),
}

/// The loop and all that it owns.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) cluster: Cluster,
    pub(crate) term: Term,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) inbox: Inbox,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) delivery: Arc<dyn Delivery>,
    pub(crate) model: Arc<Model>,
    pub(crate) placing: Arc<Placing>,
    pub(crate) trail: Arc<Trail>,
}

/// What a cluster begins with, of a store's contents.
pub(crate) fn start_of(loaded: &Loaded) -> Start {
    Start {
        incarnation: loaded.incarnation,
        last_order: loaded.last_order,
        tasks: loaded.tasks.clone(),
        jobs: loaded.jobs.clone(),
        workers: loaded.workers.clone(),
    }
}

impl Engine {
    /// Runs until told to stop, or until another master leads.
    /// # Errors
    /// [`EngineError`].
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), EngineError> {
        info!(term = self.term.0, "engine started");
        loop {
            let waited_since = self.clock.now();
            let wait = self.wait_at_most();
            let first = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ask) = self.inbox.reports.recv() => Some(ask),
                Some(ask) = self.inbox.users.recv() => Some(ask),
                () = self.heartbeats.arrived() => None,
                () = tokio::time::sleep(wait) => None,
            };
            let overslept = self.clock.now().since(waited_since + wait);
            self.notice_pause(overslept);
            let started = self.clock.now();
            let batch = self.decide(first);
            self.commit_and_tell(batch, &stop).await?;
            self.notice_pause(self.clock.now().since(started));
        }
        info!(term = self.term.0, "engine stopped");
        Ok(())
    }

    fn wait_at_most(&self) -> Duration {
        let now = self.clock.now();
        self.cluster.next_deadline(now).map_or(LOOK, |at| at.since(now).min(LOOK))
    }

    /// Whoever could not be heard while the master stood still is not judged by that time.
    fn notice_pause(&mut self, length: Duration) {
        if length > PAUSE {
            warn!(?length, "master stood still, extended every lease");
            // A pause yields no rows and can not be rejected.
            let _ = self.cluster.apply(self.clock.now(), Event::Paused(length));
        }
    }

    /// Applies what has come: heartbeats, then what is due, then reports, then users' wishes.
    fn decide(&mut self, first: Option<Ask>) -> Batch {
        let mut batch = Batch::new(self.clock.now());
        for heartbeat in self.heartbeats.take() {
            batch.apply(&mut self.cluster, Event::Heartbeat(heartbeat));
        }
        if self.cluster.next_deadline(batch.now()).is_some_and(|at| at <= batch.now() + Duration::from_millis(1)) {
            batch.apply(&mut self.cluster, Event::Tick);
        }
        if let Some(ask) = first {
            batch.apply_all(&mut self.cluster, ask);
        }
        while !batch.is_full() {
            let next = self.inbox.reports.try_recv().or_else(|_| self.inbox.users.try_recv());
            let Ok(ask) = next else { break };
            batch.apply_all(&mut self.cluster, ask);
        }
        batch
    }

    /// Makes a committed batch visible, answers its senders, sends its commands: in this order, so
    /// that an answered caller reads its own write.
    fn tell(&mut self, batch: Batch, rows: Vec<Row>) {
        let at = batch.now();
        self.trail.note(at, batch.done());
        let (replies, dispatches) = batch.into_told();
        if !rows.is_empty() {
            self.model.publish(at, &rows);
            self.placing.publish(rows);
        }
        for (reply, answers) in replies {
            // A caller that went away is no failure: its events are committed all the same.
            let _ = reply.send(answers);
        }
        if !dispatches.is_empty() {
            // What nobody hears is lost: a heartbeat shows it.
            drop(self.delivery.deliver(dispatches));
        }
    }
}
