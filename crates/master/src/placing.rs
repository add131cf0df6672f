//! The strategy's own thread: a mirror of the committed state, one round in flight.

use crate::clock::Clock;
use crate::mailbox::{AskError, Mailboxes};
use cloudai_core::effect::Row;
use cloudai_core::event::{Answer, Event, Placement};
use cloudai_core::strategy::{Strategy, View};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};
use tracing::debug;

/// What the strategy's thread holds: nobody else touches it.
#[derive(Debug)]
pub(crate) struct Stage {
    /// The committed state.
    pub(crate) view: View,
    /// What places.
    pub(crate) strategy: Box<dyn Strategy>,
    /// Whether a round may find something new.
    pub(crate) restless: bool,
}

/// Something to do with the stage between two rounds.
type Visit = Box<dyn FnOnce(&mut Stage) + Send>;

/// Most visits that wait: whoever comes then is told to come again.
const VISITS: usize = 64;

/// Committed rows on their way to the mirror: at most what changed during one round; and visitors.
#[derive(Default)]
pub(crate) struct Placing {
    inbox: Mutex<Inbox>,
    arrived: Notify,
    /// Held by whoever has a copy of the view: one at a time.
    copy: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Inbox {
    rows: Vec<Row>,
    visits: Vec<Visit>,
}

impl std::fmt::Debug for Placing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placing").finish_non_exhaustive()
    }
}

impl Placing {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands committed rows to the mirror.
    pub(crate) fn publish(&self, rows: Vec<Row>) {
        self.lock().rows.extend(rows);
        self.arrived.notify_one();
    }

    /// Lets somebody look at the stage, or change it, between two rounds; the rows that were
    /// published before are in. None when too many wait, or the thread has ended.
    pub(crate) async fn visit<T: Send + 'static>(
        &self,
        visit: impl FnOnce(&mut Stage) -> T + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = oneshot::channel();
        {
            let mut inbox = self.lock();
            if inbox.visits.len() >= VISITS {
                return None;
            }
            // Whoever asked may have gone.
            inbox.visits.push(Box::new(move |stage| drop(tell.send(visit(stage)))));
        }
        self.arrived.notify_one();
        told.await.ok()
    }

    /// Lets somebody think for long about a copy of the view, while rounds go on; is told the name of the
    /// strategy as well. None as for [`Placing::visit`].
    pub(crate) async fn ponder<T: Send + 'static>(
        &self,
        think: impl FnOnce(&View, &'static str) -> T + Send + 'static,
    ) -> Option<T> {
        let _one_at_a_time = self.copy.lock().await;
        let (view, name) = self.visit(|stage| (stage.view.clone(), stage.strategy.name())).await?;
        tokio::task::spawn_blocking(move || think(&view, name)).await.ok()
    }

    /// Takes what there is.
    fn take(&self) -> Inbox {
        std::mem::take(&mut *self.lock())
    }

    /// Waits for something.
    async fn wait(&self) -> Inbox {
        loop {
            let inbox = self.take();
            if !inbox.rows.is_empty() || !inbox.visits.is_empty() {
                return inbox;
            }
            self.arrived.notified().await;
        }
    }
}

/// Runs the strategy until it is dropped. A round may think for long: give it a thread of its own.
///
/// A round's proposals are answered before the next begins, and the rows that they caused are in
/// the inbox by then, so that no round proposes what the one before already did.
pub(crate) async fn run(placing: Arc<Placing>, mut stage: Stage, clock: Arc<Clock>, mailboxes: Arc<Mailboxes>) {
    stage.restless = true;
    loop {
        let inbox = if stage.restless { placing.take() } else { placing.wait().await };
        stage.restless |= !inbox.rows.is_empty();
        for row in &inbox.rows {
            stage.view.apply(row);
        }
        for visit in inbox.visits {
            visit(&mut stage);
        }
        if stage.restless {
            let placements = stage.view.round(&mut *stage.strategy, clock.now());
            stage.restless = !placements.is_empty() && propose(placements, &mailboxes).await > 0;
        }
    }
}

/// Puts a round's proposals to the engine; answers how many were taken.
async fn propose(placements: Vec<Placement>, mailboxes: &Mailboxes) -> usize {
    let proposed = placements.len();
    match mailboxes.report(Event::Place(placements)).await {
        Ok(Answer::Placed { taken, refused }) => {
            if let Some((_, why)) = refused.first() {
                debug!(proposed, taken, %why, "proposals refused");
            }
            taken
        }
        Ok(_) | Err(AskError::Rejected(_) | AskError::Unavailable(_) | AskError::Store(_)) => 0,
        Err(AskError::Stopped | AskError::Internal(_)) => 0,
    }
}
