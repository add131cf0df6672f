//! A worker's process that begins again: the journal tells what it held.

use super::{Agent, AgentEffect, JournalEntry, Slot, SlotState};
use crate::ids::Attempt;
use crate::resources::Capacity;
use crate::task::Step;
use crate::time::Timestamp;
use crate::timing::Timing;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Agent {
    /// An agent as its journal left it, and what to do first: take over what it had begun.
    #[must_use]
    pub fn restore(
        timing: Timing,
        capacity: Capacity,
        journal: impl IntoIterator<Item = JournalEntry>,
        now: Timestamp,
    ) -> (Self, Vec<AgentEffect>) {
        let mut agent = Self::new(timing, capacity);
        agent.attempts = replay(journal);
        // A lease as long as the master's: it is unknown how old the last one is, and the master
        // tells at registration which attempts it has given up.
        agent.renewed = Some(now);
        let launch = |slot: &Slot| match &slot.state {
            SlotState::Launched { order, .. } => {
                Some(AgentEffect::Launch { order: Arc::clone(order), incarnation: slot.incarnation, resume: true })
            }
            SlotState::Waiting(_) | SlotState::Ended { .. } => None,
        };
        let effects = agent.attempts.values().filter_map(launch).collect();
        (agent, effects)
    }
}

fn replay(journal: impl IntoIterator<Item = JournalEntry>) -> BTreeMap<Attempt, Slot> {
    let mut attempts = BTreeMap::new();
    for entry in journal {
        match entry {
            JournalEntry::Started(order, incarnation) => {
                let attempt = order.attempt;
                let state = SlotState::Launched { order, step: Step::Assigned, stop: false, resumed: true };
                attempts.insert(attempt, Slot { incarnation, state });
            }
            JournalEntry::Ended(attempt, outcome, incarnation) => {
                let state = SlotState::Ended { outcome, reported: Timestamp::ZERO };
                attempts.insert(attempt, Slot { incarnation, state });
            }
            JournalEntry::Forgotten(attempt) => {
                attempts.remove(&attempt);
            }
        }
    }
    attempts
}
