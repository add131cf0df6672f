//! The times of SPEC 3.3.4 and the rule that they must keep.

use std::time::Duration;

/// The times by which master and workers judge each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// Silence after which a worker gets no new work.
    pub inactive: Duration,
    /// How long a heartbeat keeps a worker's attempts its own.
    pub lease: Duration,
    /// What the master waits longer and the worker stops earlier.
    pub margin: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(5),
            inactive: Duration::from_secs(30),
            lease: Duration::from_secs(120),
            margin: Duration::from_secs(10),
        }
    }
}

/// Why times do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// A time is zero.
    #[error("{0} must be above 0")]
    Zero(&'static str),
    /// The lease is too short.
    #[error(
        "worker_lease_s is {lease:?}: it must be above kill_after_s {kill_after:?} + worker_lease_margin_s \
         {margin:?} + two heartbeats of {heartbeat:?}"
    )]
    LeaseTooShort {
        /// As given.
        lease: Duration,
        /// The default grace of tasks.
        kill_after: Duration,
        /// As given.
        margin: Duration,
        /// As given.
        heartbeat: Duration,
    },
    /// A worker would be inactive between two heartbeats.
    #[error(
        "worker_inactive_s is {inactive:?}: it must be above two heartbeats of {heartbeat:?} and at most the lease"
    )]
    InactiveOutOfRange {
        /// As given.
        inactive: Duration,
        /// As given.
        heartbeat: Duration,
    },
}

impl Timing {
    /// Checks that a worker always stops its own containers before the master gives them up.
    /// # Errors
    /// The first rule that is broken, with the values.
    pub fn check(&self, kill_after: Duration) -> Result<(), TimingError> {
        if self.heartbeat.is_zero() {
            return Err(TimingError::Zero("heartbeat interval"));
        }
        if self.inactive <= self.heartbeat * 2 || self.inactive > self.lease {
            return Err(TimingError::InactiveOutOfRange { inactive: self.inactive, heartbeat: self.heartbeat });
        }
        if self.lease <= kill_after + self.margin + self.heartbeat * 2 {
            return Err(TimingError::LeaseTooShort {
                lease: self.lease,
                kill_after,
                margin: self.margin,
                heartbeat: self.heartbeat,
            });
        }
        Ok(())
    }

    /// Silence after which the master gives a worker's attempts up.
    #[must_use]
    pub fn lost_after(&self) -> Duration {
        self.lease + self.margin
    }

    /// Time since the last renewed heartbeat at which a worker must begin to stop an attempt,
    /// never sooner than two heartbeats.
    #[must_use]
    pub fn stop_after(&self, kill_after: Duration) -> Duration {
        self.lease.saturating_sub(kill_after + self.margin).max(self.heartbeat * 2)
    }

    /// The grace that fits between `stop_after` and the end of the lease.
    #[must_use]
    pub fn grace(&self, kill_after: Duration) -> Duration {
        kill_after.min(self.lease.saturating_sub(self.stop_after(kill_after) + self.margin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn the_defaults_keep_the_rule_for_every_allowed_grace() {
        for kill_after in 0..=60 {
            Timing::default().check(S(kill_after)).unwrap();
        }
    }

    #[test]
    fn a_lease_that_would_end_before_the_containers_is_refused() {
        let timing = Timing { lease: S(30), inactive: S(20), ..Timing::default() };
        assert!(matches!(timing.check(S(10)), Err(TimingError::LeaseTooShort { .. })));
        assert!(timing.check(S(10)).unwrap_err().to_string().contains("worker_lease_s is 30s"));
    }

    #[test]
    fn a_worker_has_stopped_before_the_master_gives_up() {
        let timing = Timing { heartbeat: S(1), inactive: S(3), lease: S(20), margin: S(2) };
        for kill_after in 0..=60 {
            let stopped = timing.stop_after(S(kill_after)) + timing.grace(S(kill_after));
            assert!(stopped <= timing.lease - timing.margin, "{kill_after}");
        }
    }
}
