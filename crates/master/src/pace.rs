//! The pace of what nobody waits for, which rests longer than it works, so that everything else goes first; and of what is
//! tried again.

use std::time::{Duration, Instant};

/// How many times as long it rests as it worked: a fifth of one core and of the disk at most.
const REST: u32 = 4;
/// No rest is longer, however slow the disk is.
const LONGEST: Duration = Duration::from_secs(10);

/// Rests after a piece of work that began then.
pub(crate) async fn rest(since: Instant) {
    tokio::time::sleep((since.elapsed() * REST).min(LONGEST)).await;
}

/// Waits between tries: longer each time, with up to half of it taken off by chance.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// How long to wait now.
    pub(crate) fn wait(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }
}
