//! A worker's process that begins again: the journal tells what it held.

use super::{Agent, AgentEffect, Alarms, JournalEntry, Origin, Slot, SlotState};
use crate::effect::StartOrder;
use crate::ids::{Attempt, Incarnation};
use crate::resources::Capacity;
use crate::task::{Cause, Step};
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
        agent.alarms = Alarms::of(&agent.attempts);
        for (attempt, slot) in &agent.attempts {
            if let SlotState::Launched { order, .. } = &slot.state {
                agent.room.hold(&agent.capacity, *attempt, order.allocation.clone());
            }
        }
        // A lease as long as the master's: it is unknown how old the last one is, and the master
        // tells at registration which attempts it has given up.
        agent.renewed = Some(now);
        let effects = agent.attempts.iter().flat_map(|(attempt, slot)| slot.take_over(*attempt)).collect();
        (agent, effects)
    }
}

impl Slot {
    /// What to do first about it; a stop that had begun goes on.
    fn take_over(&self, attempt: Attempt) -> Vec<AgentEffect> {
        let SlotState::Launched { order, origin, .. } = &self.state else { return Vec::new() };
        let order = Arc::clone(order);
        let mut effects = vec![AgentEffect::Launch { order, incarnation: self.incarnation, resume: true }];
        if let Origin::TakenOver { stopped: Some(cause) } = *origin {
            effects.push(AgentEffect::Halt { attempt, grace: self.kill_after(), cause });
        }
        effects
    }
}

fn taken_over(order: Arc<StartOrder>, incarnation: Incarnation, stopped: Option<Cause>) -> Slot {
    let (stop, origin) = (stopped.is_some(), Origin::TakenOver { stopped });
    Slot { incarnation, state: SlotState::Launched { order, step: Step::Assigned, stop, origin } }
}

fn replay(journal: impl IntoIterator<Item = JournalEntry>) -> BTreeMap<Attempt, Slot> {
    let mut attempts = BTreeMap::new();
    for entry in journal {
        match entry {
            JournalEntry::Started(order, incarnation) => {
                attempts.insert(order.attempt, taken_over(order, incarnation, None));
            }
            JournalEntry::Stopping(order, incarnation, cause) => {
                attempts.insert(order.attempt, taken_over(order, incarnation, Some(cause)));
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
