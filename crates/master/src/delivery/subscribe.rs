//! Delivery over the streams that workers keep open: no worker needs an open port.

use super::Delivery;
use super::outlets::Outlets;
use cloudai_core::effect::Dispatch;
use cloudai_core::ids::{Session, WorkerId};
use tokio::sync::mpsc;

/// The open streams, one for each worker.
#[derive(Debug, Default)]
pub struct Subscriptions {
    outlets: Outlets,
}

impl Subscriptions {
    /// Opens the stream of a session; an earlier one of the same worker ends.
    #[must_use]
    pub fn open(&self, worker: WorkerId, session: Session) -> mpsc::Receiver<Dispatch> {
        self.outlets.open(worker, session)
    }
}

impl Delivery for Subscriptions {
    fn deliver(&self, dispatches: Vec<Dispatch>) -> Vec<Dispatch> {
        self.outlets.put(dispatches)
    }

    fn close_all(&self) {
        self.outlets.close_all();
    }
}
