//! The strategy's own thread: a mirror of the committed state, one round in flight.

use crate::mailbox::{AskError, Mailboxes};
use cloudai_core::effect::Row;
use cloudai_core::event::{Answer, Event, Placement};
use cloudai_core::strategy::{self, Strategy, View};
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::runtime;
use tracing::debug;

/// Committed rows on their way to the mirror.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    inbox: Mutex<Pending>,
    arrived: Condvar,
}

/// At most what changed during one round.
#[derive(Debug, Default)]
struct Pending {
    rows: Vec<Row>,
    stop: bool,
}

impl Placing {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands committed rows to the mirror.
    pub(crate) fn publish(&self, rows: Vec<Row>) {
        self.lock().rows.extend(rows);
        self.arrived.notify_one();
    }

    /// Ends the thread after its round.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.arrived.notify_one();
    }

    /// Waits for rows, or takes what there is; none when told to stop.
    fn take(&self, wait: bool) -> Option<Vec<Row>> {
        let mut pending = self.lock();
        while wait && pending.rows.is_empty() && !pending.stop {
            pending = self.arrived.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
        if pending.stop { None } else { Some(std::mem::take(&mut pending.rows)) }
    }
}

/// Runs the strategy until told to stop. Blocks: give it a thread of its own.
///
/// A round's proposals are answered before the next begins, and the rows that they caused are in
/// the inbox by then, so that no round proposes what the one before already did.
pub(crate) fn run(
    placing: &Placing,
    mut strategy: Box<dyn Strategy>,
    mut view: View,
    mailboxes: &Arc<Mailboxes>,
    runtime: &runtime::Handle,
) {
    let mut wait = false;
    while let Some(rows) = placing.take(wait) {
        for row in &rows {
            view.apply(row);
        }
        let placements = strategy::round(&mut *strategy, &view);
        wait = placements.is_empty() || propose(placements, mailboxes, runtime) == 0;
    }
}

/// Puts a round's proposals to the engine; answers how many were taken.
fn propose(placements: Vec<Placement>, mailboxes: &Mailboxes, runtime: &runtime::Handle) -> usize {
    let proposed = placements.len();
    match runtime.block_on(mailboxes.report(Event::Place(placements))) {
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
