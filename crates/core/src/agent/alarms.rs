//! When the agent has to act by itself: kept beside the attempts, so that asking costs nothing
//! however many there are.

use super::{REPORT_AGAIN, Slot, SlotState};
use crate::ids::Attempt;
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the states of all attempts mean for the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Alarms {
    /// Ends that are not acknowledged, by when they were last told.
    told: BTreeSet<(Timestamp, Attempt)>,
    /// How many run or wait under the lease, and are not being stopped, by the grace that stopping
    /// them takes.
    graces: BTreeMap<Duration, usize>,
}

impl Alarms {
    /// Those of all attempts.
    pub(super) fn of(attempts: &BTreeMap<Attempt, Slot>) -> Self {
        let mut alarms = Self::default();
        attempts.iter().for_each(|(attempt, slot)| alarms.set(*attempt, slot));
        alarms
    }

    /// Takes an attempt in as it is now.
    pub(super) fn set(&mut self, attempt: Attempt, slot: &Slot) {
        match &slot.state {
            SlotState::Ended { reported, .. } => drop(self.told.insert((*reported, attempt))),
            SlotState::Waiting(_) | SlotState::Launched { stop: false, .. } => {
                if slot.ends_with_lease() {
                    *self.graces.entry(slot.kill_after()).or_default() += 1;
                }
            }
            SlotState::Launched { .. } => {}
        }
    }

    /// Takes an attempt out as it was when it was taken in.
    pub(super) fn clear(&mut self, attempt: Attempt, slot: &Slot) {
        match &slot.state {
            SlotState::Ended { reported, .. } => drop(self.told.remove(&(*reported, attempt))),
            SlotState::Waiting(_) | SlotState::Launched { stop: false, .. } => {
                let grace = slot.kill_after();
                if slot.ends_with_lease()
                    && let Some(count) = self.graces.get_mut(&grace)
                {
                    *count -= 1;
                    if *count == 0 {
                        self.graces.remove(&grace);
                    }
                }
            }
            SlotState::Launched { .. } => {}
        }
    }

    /// When the next end is told again.
    pub(super) fn next_report(&self) -> Option<Timestamp> {
        self.told.first().map(|(reported, _)| *reported + REPORT_AGAIN)
    }

    /// The ends that are to be told again by now.
    pub(super) fn due_reports(&self, now: Timestamp) -> Vec<Attempt> {
        let due = self.told.iter().take_while(|(reported, _)| *reported + REPORT_AGAIN <= now);
        due.map(|(_, attempt)| *attempt).collect()
    }

    /// The longest time that stopping one of them takes.
    pub(super) fn longest_grace(&self) -> Option<Duration> {
        self.graces.last_key_value().map(|(grace, _)| *grace)
    }
}
