//! The operator's policy as it is in force, for all that are asked whether a task may be submitted.

use cloudai_core::policy::{InForce, Policy};
use std::sync::Arc;
use tokio::sync::watch;

/// Follows what is in force; by default nothing is denied.
#[derive(Clone, Debug)]
pub struct Policies(watch::Receiver<Arc<InForce>>);

impl Policies {
    /// Those that somebody else reads.
    #[must_use]
    pub const fn of(read: watch::Receiver<Arc<InForce>>) -> Self {
        Self(read)
    }

    /// What is in force now.
    pub(crate) fn now(&self) -> Arc<InForce> {
        Arc::clone(&self.0.borrow())
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self(watch::Sender::new(Arc::default()).subscribe())
    }
}

impl From<Policy> for Policies {
    /// One that never changes.
    fn from(policy: Policy) -> Self {
        let policy = InForce { policy, ..InForce::default() };
        Self(watch::Sender::new(Arc::new(policy)).subscribe())
    }
}
