//! Commands that wait for their way to a worker: one bounded queue for each.

use cloudai_core::effect::Dispatch;
use cloudai_core::ids::{Session, WorkerId};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tracing::warn;

/// Commands waiting for one worker. A worker that is so far behind is cut off; its way is opened
/// again, and what it has not confirmed is sent again.
pub(super) const QUEUE: usize = 4096;

/// The open ones, one for each worker.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    table: Mutex<BTreeMap<WorkerId, Outlet>>,
}

#[derive(Debug)]
struct Outlet {
    session: Session,
    commands: mpsc::Sender<Dispatch>,
}

impl Outlets {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<WorkerId, Outlet>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens that of a session; an earlier one of the same worker ends.
    pub(super) fn open(&self, worker: WorkerId, session: Session) -> mpsc::Receiver<Dispatch> {
        let (commands, queue) = mpsc::channel(QUEUE);
        self.lock().insert(worker, Outlet { session, commands });
        queue
    }

    /// Ends that of a session, if it is open.
    pub(super) fn close(&self, worker: &WorkerId, session: Session) {
        let mut table = self.lock();
        if table.get(worker).is_some_and(|outlet| outlet.session == session) {
            table.remove(worker);
        }
    }

    /// Ends all of them.
    pub(super) fn close_all(&self) {
        self.lock().clear();
    }

    /// Puts commands in, in order; answers those of sessions that have none. One that is full ends.
    pub(super) fn put(&self, dispatches: Vec<Dispatch>) -> Vec<Dispatch> {
        let mut table = self.lock();
        let mut rest = Vec::new();
        for dispatch in dispatches {
            let outlet = table.get(&dispatch.worker).filter(|outlet| outlet.session == dispatch.session);
            let Some(outlet) = outlet else {
                rest.push(dispatch);
                continue;
            };
            if let Err(error) = outlet.commands.try_send(dispatch) {
                let worker = error.into_inner().worker;
                warn!(%worker, "way of commands ended or full, closed it");
                table.remove(&worker);
            }
        }
        rest
    }
}
