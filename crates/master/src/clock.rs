//! The master's clock: never behind what was committed, never backward, blind to clock jumps.

use crate::machine::Clocks;
use cloudai_core::time::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Wall clock at its start plus the boot clock since then.
#[derive(Debug)]
pub struct Clock {
    wall: fn() -> Duration,
    boot: fn() -> Duration,
    start_wall: Timestamp,
    start_boot: Duration,
    latest: AtomicU64,
}

impl Clock {
    /// A clock that begins now, or at `at_least` when the wall clock is behind it.
    #[must_use]
    pub fn start(clocks: Clocks, at_least: Timestamp) -> Self {
        let start_wall = (Timestamp::ZERO + (clocks.wall)()).max(at_least);
        let latest = AtomicU64::new(start_wall.as_millis());
        Self { wall: clocks.wall, boot: clocks.boot, start_wall, start_boot: (clocks.boot)(), latest }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = self.start_wall + self.elapsed();
        let before = self.latest.fetch_max(now.as_millis(), Ordering::Relaxed);
        now.max(Timestamp::from_millis(before))
    }

    /// What the machine's clock on the wall says, which somebody may set: what people mean by eight o'clock.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        Timestamp::ZERO + (self.wall)()
    }

    /// Time since it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        (self.boot)().saturating_sub(self.start_boot)
    }
}
