//! What a worker is for, apart from whether it is connected: whether operators, or the master after
//! too many failures, keep new work from it (SPEC 14).

use crate::ids::{Attempt, UserId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Stored with the worker: it outlives sessions, and masters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// It takes work.
    #[default]
    Open,
    /// An operator keeps new work from it; what runs goes on.
    Cordoned(Cordon),
    /// An operator wants it empty.
    Draining(Drain),
    /// It failed too often: one attempt at a time tries whether it works again.
    Quarantined(Quarantine),
}

/// Why and since when an operator keeps new work from a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cordon {
    /// In the operator's words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who.
    pub by: UserId,
    /// Since when.
    pub since: Timestamp,
}

/// What becomes of what runs on a worker that is to be emptied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// Why, who, since when.
    #[serde(flatten)]
    pub cordon: Cordon,
    /// When what still runs is stopped and queued again; without it, it is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// That time has come: whatever is there is being stopped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopping: bool,
}

/// A worker that failed too often in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The failures, for people.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Probes that failed so far.
    #[serde(default)]
    pub tries: u32,
    /// Where the next probe stands.
    pub probe: Probe,
}

/// The one attempt that tries a quarantined worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// None before this time.
    After(Timestamp),
    /// The next task that fits is the probe.
    Due,
    /// This attempt is the probe.
    Sent(Attempt),
    /// Its container runs; when it still does at this time, the worker works.
    Runs(Attempt, Timestamp),
}

/// Failures in a row that quarantine a worker.
pub const FAILURES: u32 = 5;
/// The longest wait for a probe, in first waits.
const LONGEST: u32 = 32;
/// How long the container of a probe has to run to prove that its worker works: a task may run for days.
pub const PROVEN: Duration = Duration::from_secs(60);

impl Duty {
    /// Whether the worker may be given an attempt: any, or the one that tries it.
    #[must_use]
    pub const fn takes_work(&self) -> bool {
        match self {
            Self::Open => true,
            Self::Cordoned(_) | Self::Draining(_) => false,
            Self::Quarantined(quarantine) => matches!(quarantine.probe, Probe::Due),
        }
    }

    /// Whether it takes work as it comes.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether whatever the worker holds is to be stopped.
    #[must_use]
    pub const fn stops(&self) -> bool {
        matches!(self, Self::Draining(Drain { stopping: true, .. }))
    }

    /// What an operator said when he kept work from it.
    #[must_use]
    pub const fn cordon(&self) -> Option<&Cordon> {
        match self {
            Self::Cordoned(cordon) | Self::Draining(Drain { cordon, .. }) => Some(cordon),
            Self::Open | Self::Quarantined(_) => None,
        }
    }

    /// When it changes by itself.
    #[must_use]
    pub const fn alarm(&self) -> Option<Timestamp> {
        match self {
            Self::Draining(Drain { until: Some(at), stopping: false, .. }) => Some(*at),
            Self::Quarantined(Quarantine { probe: Probe::After(at) | Probe::Runs(_, at), .. }) => Some(*at),
            Self::Open | Self::Cordoned(_) | Self::Draining(_) | Self::Quarantined(_) => None,
        }
    }

    /// The attempt that tries a quarantined worker now.
    #[must_use]
    pub const fn probe(&self) -> Option<Attempt> {
        match self {
            Self::Quarantined(Quarantine { probe: Probe::Sent(attempt) | Probe::Runs(attempt, _), .. }) => {
                Some(*attempt)
            }
            Self::Open | Self::Cordoned(_) | Self::Draining(_) | Self::Quarantined(_) => None,
        }
    }

    /// The word for people and APIs; `holds` tells whether the worker holds any attempt.
    #[must_use]
    pub const fn word(&self, holds: bool) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Cordoned(_) => "cordoned",
            Self::Draining(_) if holds => "draining",
            Self::Draining(_) => "drained",
            Self::Quarantined(_) => "quarantined",
        }
    }
}

/// How long to wait for the next probe after so many that failed: doubled each time, up to 32 times.
#[must_use]
pub fn wait(first: Duration, tries: u32) -> Duration {
    first * 1u32.checked_shl(tries).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_for_a_probe_doubles_up_to_32_times_the_first() {
        let first = Duration::from_secs(30);
        let waits: Vec<_> = [0, 1, 2, 5, 6, 31, 32, u32::MAX].map(|tries| wait(first, tries).as_secs()).into();
        assert_eq!(waits, [30, 60, 120, 960, 960, 960, 960, 960]);
    }

    #[test]
    fn a_duty_is_read_back_as_it_was_stored() {
        let cordon = Cordon { reason: "new disk".into(), by: UserId::local(), since: Timestamp::from_millis(1) };
        let drain = Drain { cordon: cordon.clone(), until: Some(Timestamp::from_millis(2)), stopping: false };
        let quarantine = |probe| {
            Duty::Quarantined(Quarantine { reason: "x".into(), since: Timestamp::from_millis(3), tries: 2, probe })
        };
        let attempt = Attempt { task: crate::ids::TaskId::new(7), number: 1 };
        for duty in [
            Duty::Open,
            Duty::Cordoned(cordon),
            Duty::Draining(Drain { until: None, ..drain.clone() }),
            Duty::Draining(Drain { stopping: true, ..drain.clone() }),
            Duty::Draining(drain),
            quarantine(Probe::Due),
            quarantine(Probe::After(Timestamp::from_millis(9))),
            quarantine(Probe::Runs(attempt, Timestamp::from_millis(9))),
        ] {
            let text = serde_json::to_string(&duty).unwrap();
            assert_eq!(serde_json::from_str::<Duty>(&text).unwrap(), duty, "{text}");
        }
    }
}
