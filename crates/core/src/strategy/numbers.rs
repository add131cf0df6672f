//! Numbers as strategies keep them.

/// No number.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A number of a job, class, user or worker in four bytes. There are far fewer: each takes a hundred bytes elsewhere.
pub(super) fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(NOWHERE - 2)
}

/// From one number of a sample to the next: a prime, so that samples of any count are spread over all.
pub(super) const STEP: usize = 7919;

/// Whether two differ by more than a sixteenth: less is no reason to put anything elsewhere.
pub(super) fn differ(one: u64, other: u64) -> bool {
    one.abs_diff(other) > one.max(other) / 16
}
