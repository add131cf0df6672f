//! Whether the commit that is under way takes too long. The engine can not say so itself: it waits
//! for the disk meanwhile.

use crate::clock::Clock;
use crate::mailbox::StoreHealth;
use cloudai_core::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tracing::warn;

/// A commit that takes longer is a store that is away, as far as users are concerned.
const HUNG: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// No commit is under way.
const NONE: u64 = u64::MAX;

/// Since when a commit is under way.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self { began: AtomicU64::new(NONE) }
    }
}

impl Pulse {
    pub(crate) fn begin(&self, now: Timestamp) {
        self.began.store(now.as_millis(), Ordering::SeqCst);
    }

    pub(crate) fn end(&self) {
        self.began.store(NONE, Ordering::SeqCst);
    }

    fn is_hung(&self, now: Timestamp) -> bool {
        let began = self.began.load(Ordering::SeqCst);
        began != NONE && now.since(Timestamp::from_millis(began)) >= HUNG
    }
}

/// Tells while a commit hangs; the engine takes it back with its next commit that goes through.
/// Ends with the engine.
pub(crate) async fn watch(pulse: Arc<Pulse>, health: Weak<watch::Sender<StoreHealth>>, clock: Arc<Clock>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(health) = health.upgrade() else { return };
        health.send_if_modified(|health| {
            // Looked at under the lock that the engine needs to take it back.
            let fresh = pulse.is_hung(clock.now()) && health.trouble.is_none();
            if fresh {
                warn!("a commit has been under way for a second, the store does not answer");
                health.trouble = Some("a commit has been under way for more than a second".to_owned());
            }
            fresh
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_hangs_after_a_second_and_until_it_ends() {
        let (pulse, at) = (Pulse::default(), Timestamp::from_millis);
        assert!(!pulse.is_hung(at(5000)));
        pulse.begin(at(5000));
        assert!(!pulse.is_hung(at(5999)));
        assert!(pulse.is_hung(at(6000)));
        pulse.end();
        assert!(!pulse.is_hung(at(60_000)));
    }
}
