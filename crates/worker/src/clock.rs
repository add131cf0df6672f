//! The worker's clock: the boot clock, which goes on while the machine sleeps and can not be set.

use cloudai_core::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Tells the time since the machine booted, or since whatever a test counts from.
#[derive(Clone, Copy, Debug)]
pub struct Clock(pub fn() -> Duration);

impl Default for Clock {
    fn default() -> Self {
        Self(since_boot)
    }
}

impl Clock {
    /// The time now.
    #[must_use]
    pub fn now(self) -> Timestamp {
        Timestamp::ZERO + (self.0)()
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
