//! The absence of a master as the log tells it: one line when it begins, one when it is over.

use cloudai_core::rfc3339;
use cloudai_core::spec::Limits;
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tonic::Status;
use tracing::{info, warn};

/// Whether the master answers, and until when tasks run on when it does not.
#[derive(Debug, Default)]
pub(crate) struct Absence {
    /// Since when it does not.
    since: Option<Timestamp>,
    /// When the last call that it answered was sent, and the times that count from there.
    lease: Option<(Timestamp, Timing)>,
}

impl Absence {
    /// A call of the session was answered; whether the master was away before.
    pub(crate) fn renewed(&mut self, now: Timestamp, sent_at: Timestamp, timing: Timing) -> bool {
        self.lease = Some((sent_at, timing));
        let since = self.since.take();
        if let Some(since) = since {
            info!(away_s = now.since(since).as_secs(), "master answered again");
        }
        since.is_some()
    }

    /// A call was not answered.
    pub(crate) fn missed(&mut self, now: Timestamp, why: &str) {
        if !self.begins(now) {
            return;
        }
        match self.left(now) {
            Some(left) => {
                let lease_ends = rfc3339::format(wall() + left);
                warn!(why, lease_ends, "master did not answer, tasks run on until their lease ends");
            }
            None => warn!(why, "master not reached, trying again"),
        }
    }

    /// Notes that it is away; whether it was not before.
    fn begins(&mut self, now: Timestamp) -> bool {
        let begins = self.since.is_none();
        self.since.get_or_insert(now);
        begins
    }

    /// How long a task with the usual grace runs on.
    fn left(&self, now: Timestamp) -> Option<Duration> {
        let (sent_at, timing) = self.lease?;
        Some((sent_at + timing.stop_after(Limits::default().kill_after)).since(now))
    }
}

/// What a call failed with, without what the transport adds to it.
pub(crate) fn why(status: &Status) -> &str {
    if status.message().is_empty() { status.code().description() } else { status.message() }
}

fn wall() -> Timestamp {
    Timestamp::ZERO + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_begins_once_and_tasks_run_on_as_long_as_their_lease_lets_them() {
        let (mut absence, at) = (Absence::default(), |s| Timestamp::ZERO + Duration::from_secs(s));
        assert!(absence.begins(at(1)) && absence.left(at(1)).is_none(), "before the first registration");
        assert!(absence.renewed(at(5), at(4), Timing::default()));
        assert!(absence.begins(at(9)));
        assert_eq!(absence.left(at(14)), Some(Duration::from_secs(90)), "from the sending of what was answered");
        assert!(!absence.begins(at(20)), "it was told");
        assert!(absence.renewed(at(30), at(30), Timing::default()), "it was away");
        assert!(!absence.renewed(at(30), at(30), Timing::default()), "it was there");
        assert!(absence.begins(at(31)));
    }

    #[test]
    fn a_failed_call_is_told_by_its_message() {
        assert_eq!(why(&Status::unavailable("refused")), "refused");
        assert_eq!(why(&Status::unavailable("")), tonic::Code::Unavailable.description());
    }
}
