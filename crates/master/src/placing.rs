//! The strategy's own thread: a mirror of the committed state, one round in flight.

use crate::clock::Clock;
use crate::mailbox::{AskError, Mailboxes};
use cloudai_core::effect::Row;
use cloudai_core::event::{Answer, Event, Placement};
use cloudai_core::strategy::{Strategy, View};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tracing::debug;

/// Committed rows on their way to the mirror: at most what changed during one round.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    rows: Mutex<Vec<Row>>,
    arrived: Notify,
}

impl Placing {
    fn lock(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands committed rows to the mirror.
    pub(crate) fn publish(&self, rows: Vec<Row>) {
        self.lock().extend(rows);
        self.arrived.notify_one();
    }

    /// Takes what there is.
    fn take(&self) -> Vec<Row> {
        std::mem::take(&mut *self.lock())
    }

    /// Waits for rows.
    async fn wait(&self) -> Vec<Row> {
        loop {
            let rows = self.take();
            if !rows.is_empty() {
                return rows;
            }
            self.arrived.notified().await;
        }
    }
}

/// Runs the strategy until it is dropped. A round may think for long: give it a thread of its own.
///
/// A round's proposals are answered before the next begins, and the rows that they caused are in
/// the inbox by then, so that no round proposes what the one before already did.
pub(crate) async fn run(
    placing: Arc<Placing>,
    mut strategy: Box<dyn Strategy>,
    mut view: View,
    clock: Arc<Clock>,
    mailboxes: Arc<Mailboxes>,
) {
    let mut idle = false;
    loop {
        let rows = if idle { placing.wait().await } else { placing.take() };
        for row in &rows {
            view.apply(row);
        }
        let placements = view.round(&mut *strategy, clock.now());
        idle = placements.is_empty() || propose(placements, &mailboxes).await == 0;
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
