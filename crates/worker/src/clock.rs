//! The worker's clock: the boot clock, which goes on while the machine sleeps and can not be set.

use cloudai_core::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// The time since the machine booted.
#[must_use]
pub fn now() -> Timestamp {
    let time = clock_gettime(ClockId::Boottime);
    let since_boot = Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0));
    Timestamp::ZERO + since_boot
}
