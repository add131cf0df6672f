//! Seconds since boot, by which everything of a run is put in order.

use rustix::time::{ClockId, clock_gettime};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, pauses of the machine included: the clock of the fake executor's journal.
#[allow(clippy::cast_precision_loss, reason = "exact to the microsecond for centuries")]
pub(crate) fn now() -> f64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// What to take off a time of day to get seconds since boot; nobody sets the clock meanwhile.
pub(crate) fn boot() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() - now()
}

/// A time of the API in seconds since boot.
pub(crate) fn read(text: &str, boot: f64) -> f64 {
    let at: jiff::Timestamp = text.parse().unwrap();
    at.as_duration().as_secs_f64() - boot
}
