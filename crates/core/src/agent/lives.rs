//! What another life of the cluster's data ordered. Data that was restored from a backup knows
//! nothing of what its lost future began, and counts its attempts as that one did.

use super::{Agent, AgentEffect, JournalEntry, Slot, SlotState};
use crate::ids::{Attempt, Incarnation};
use crate::task::Cause;

impl Agent {
    /// Whether an attempt was ordered in another life than the one that the master leads now; which
    /// that is, nobody knows before the first registration.
    pub(super) fn is_foreign(&self, slot: &Slot) -> bool {
        self.incarnation.is_some_and(|present| present != slot.incarnation)
    }

    /// Begins the life that the master leads now: what others ordered is stopped and forgotten.
    pub(super) fn enter_life(&mut self, out: &mut Vec<AgentEffect>, incarnation: Incarnation) {
        if self.incarnation.replace(incarnation) == Some(incarnation) {
            return;
        }
        let foreign = self.attempts.iter().filter(|(_, slot)| self.is_foreign(slot));
        let foreign: Vec<_> = foreign.map(|(attempt, slot)| (*attempt, slot.kill_after())).collect();
        for (attempt, grace) in foreign {
            self.halt(out, attempt, grace, Cause::Stopped);
            self.forget_foreign(out, attempt);
        }
    }

    /// Forgets an attempt of another life that is over: nobody is to be told.
    pub(super) fn forget_foreign(&mut self, out: &mut Vec<AgentEffect>, attempt: Attempt) {
        let over = |slot: &&Slot| matches!(slot.state, SlotState::Ended { .. }) && self.is_foreign(slot);
        if let Some(incarnation) = self.attempts.get(&attempt).filter(over).map(|slot| slot.incarnation) {
            self.forget(out, attempt, incarnation);
        }
    }

    /// Nothing of an attempt is needed here any more.
    pub(super) fn forget(&mut self, out: &mut Vec<AgentEffect>, attempt: Attempt, incarnation: Incarnation) {
        self.remove(attempt);
        out.push(AgentEffect::Journal(JournalEntry::Forgotten(attempt)));
        out.push(AgentEffect::Discard { attempt, incarnation });
    }
}
