//! What helps to find a fault: the engine's state, its last events, a comparison.

use super::Handle;
use crate::mailbox::AskError;
use crate::principal::Principal;
use crate::trail::Noted;
use cloudai_core::debug::{Dump, Reconciled};
use cloudai_core::event::{Answer, Event};

impl Handle {
    /// The state of the core at one moment, at most so many of each kind.
    /// # Errors
    /// [`AskError`].
    pub async fn inspect(&self, who: &Principal, limit: usize) -> Result<Box<Dump>, AskError> {
        match self.ask(who, Event::Inspect { limit }).await? {
            Answer::State(state) => Ok(state),
            other => Err(AskError::unexpected(&other)),
        }
    }

    /// Compares ledgers, tasks and what workers told last; mends what differs, or only tells it.
    /// # Errors
    /// [`AskError`].
    pub async fn reconcile(&self, who: &Principal, dry_run: bool) -> Result<Reconciled, AskError> {
        match self.ask(who, Event::Reconcile { dry_run }).await? {
            Answer::Reconciled(found) => Ok(found),
            other => Err(AskError::unexpected(&other)),
        }
    }

    /// The last events of the engine, the earliest first.
    #[must_use]
    pub fn events(&self, _who: &Principal, count: usize) -> Vec<Noted> {
        self.shared.trail.last(count)
    }
}
