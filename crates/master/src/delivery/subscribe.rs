//! Delivery over the streams that workers keep open: no worker needs an open port.

use super::Delivery;
use cloudai_core::effect::Dispatch;
use cloudai_core::ids::{Session, WorkerId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tracing::warn;

/// Commands waiting on one stream. A worker that is so far behind is cut off; it subscribes
/// again, and what it has not confirmed is sent again.
const QUEUE: usize = 4096;

/// The open streams, one for each worker.
#[derive(Debug, Default)]
pub struct Subscriptions {
    outlets: Mutex<BTreeMap<WorkerId, Outlet>>,
}

#[derive(Debug)]
struct Outlet {
    session: Session,
    commands: mpsc::Sender<Dispatch>,
}

impl Subscriptions {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerId, Outlet>> {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the stream of a session; an earlier one of the same worker ends.
    #[must_use]
    pub fn open(&self, worker: WorkerId, session: Session) -> mpsc::Receiver<Dispatch> {
        let (commands, stream) = mpsc::channel(QUEUE);
        self.lock().insert(worker, Outlet { session, commands });
        stream
    }

    /// Ends every stream.
    pub fn close_all(&self) {
        self.lock().clear();
    }
}

impl Delivery for Subscriptions {
    fn deliver(&self, dispatches: Vec<Dispatch>) {
        let mut outlets = self.lock();
        for dispatch in dispatches {
            let worker = dispatch.worker.clone();
            let Some(outlet) = outlets.get(&worker).filter(|outlet| outlet.session == dispatch.session) else {
                continue;
            };
            if outlet.commands.try_send(dispatch).is_err() {
                warn!(%worker, "command stream ended or full, closed it");
                outlets.remove(&worker);
            }
        }
    }
}
