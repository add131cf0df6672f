//! Whether this master can do its work now: one answer for HTTP, gRPC and people.

use crate::handle::Handle;
use crate::mailbox::StoreHealth;
use std::fmt;
use tokio::sync::watch;

/// Why a master takes no work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// It was asked to stop.
    Stopping,
    /// Its engine has ended.
    NoEngine,
    /// No commit goes through.
    Store(String),
    /// What is done can not be written down, so nothing is begun.
    Audit(String),
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopping => f.write_str("the master is stopping"),
            Self::NoEngine => f.write_str("the engine has ended"),
            Self::Store(trouble) => write!(f, "store: {trouble}"),
            Self::Audit(trouble) => write!(f, "audit: {trouble}"),
        }
    }
}

impl Handle {
    /// All that keeps the master from taking work; nothing when it is ready.
    ///
    /// Of the store it tells what the last commit met: a store that fails while nobody writes is
    /// noticed with the next write.
    #[must_use]
    pub fn unready(&self) -> Vec<Unready> {
        let health = self.shared.mailboxes.health();
        let trouble = health.borrow().trouble.clone();
        let stopping = self.shared.stopping.is_cancelled().then_some(Unready::Stopping);
        let engine = health.has_changed().is_err().then_some(Unready::NoEngine);
        let audit = self.shared.audit.trouble().map(Unready::Audit);
        stopping.into_iter().chain(engine).chain(trouble.map(Unready::Store)).chain(audit).collect()
    }

    /// Returns when readiness may have changed since `seen` was looked at; whether it may change
    /// again, which it does not once the master stops.
    pub(crate) async fn readiness_changed(
        &self,
        seen: &mut watch::Receiver<StoreHealth>,
        audit: &mut watch::Receiver<Option<String>>,
    ) -> bool {
        let changed = async {
            tokio::select! {
                changed = seen.changed() => changed.is_ok(),
                // Its writer ends with the engine, which is told by the other.
                Ok(()) = audit.changed() => true,
            }
        };
        self.shared.stopping.run_until_cancelled(changed).await == Some(true)
    }
}
