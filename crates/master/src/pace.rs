//! The pace of what nobody waits for: it rests longer than it works, so that everything else goes first.

use std::time::{Duration, Instant};

/// How many times as long it rests as it worked: a fifth of one core and of the disk at most.
const REST: u32 = 4;
/// No rest is longer, however slow the disk is.
const LONGEST: Duration = Duration::from_secs(10);

/// Rests after a piece of work that began then.
pub(crate) async fn rest(since: Instant) {
    tokio::time::sleep((since.elapsed() * REST).min(LONGEST)).await;
}
