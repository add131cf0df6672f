//! The master's clock: never behind what was committed, never backward, blind to clock jumps.

use cloudai_core::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall clock at its start plus the boot clock since then.
#[derive(Debug)]
pub struct Clock {
    start_wall: Timestamp,
    start_boot: Duration,
    latest: AtomicU64,
}

impl Clock {
    /// A clock that begins now, or at `at_least` when the wall clock is behind it.
    #[must_use]
    pub fn start(at_least: Timestamp) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_wall = (Timestamp::ZERO + wall).max(at_least);
        Self { start_wall, start_boot: boot(), latest: AtomicU64::new(start_wall.as_millis()) }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = self.start_wall + boot().saturating_sub(self.start_boot);
        let before = self.latest.fetch_max(now.as_millis(), Ordering::Relaxed);
        now.max(Timestamp::from_millis(before))
    }

    /// Time since it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        boot().saturating_sub(self.start_boot)
    }
}

/// The boot clock: goes on while the machine sleeps, can not be set.
fn boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
