//! The worker's own view of its lease: counted from the sending of the last renewed heartbeat.

use super::{Agent, AgentEffect, SlotState};
use crate::effect::StartOrder;
use crate::ids::Session;
use crate::planted::{self, Fault};
use crate::task::Cause;
use crate::time::Timestamp;
use std::time::Duration;

impl Agent {
    pub(super) fn renew(&mut self, session: Session, sent_at: Timestamp) {
        if self.link.is_some_and(|link| link.session == session) {
            self.renewed = self.renewed.max(Some(sent_at));
        }
    }

    /// Whether this may be begun: not once it would have to stop at once.
    pub(super) fn lease_allows(&self, now: Timestamp, order: &StartOrder) -> bool {
        self.lease_stop(order.spec.limits.kill_after).is_some_and(|stop| now < stop)
    }

    /// When an attempt with this grace must begin to stop unless the lease is renewed before: the
    /// longer it takes, the earlier. Without a lease since the process began there is nothing to
    /// count from: the registration brings one.
    pub(super) fn lease_stop(&self, kill_after: Duration) -> Option<Timestamp> {
        self.renewed.map(|renewed| renewed + self.timing.stop_after(kill_after))
    }

    pub(super) fn enforce_lease(&mut self, out: &mut Vec<AgentEffect>, now: Timestamp) {
        if planted::is(Fault::IgnoreLease) {
            return;
        }
        let ends = |grace| self.lease_stop(grace).is_some_and(|stop| stop <= now);
        if !self.alarms.longest_grace().is_some_and(ends) {
            return;
        }
        let over = |order: &StartOrder| order.spec.on_disconnect.is_stop() && ends(order.spec.limits.kill_after);
        let due: Vec<_> = self
            .attempts
            .iter()
            .filter_map(|(attempt, slot)| match &slot.state {
                SlotState::Launched { order, stop: false, .. } | SlotState::Waiting(order) if over(order) => {
                    Some((*attempt, self.timing.grace(order.spec.limits.kill_after)))
                }
                SlotState::Launched { .. } | SlotState::Waiting(_) | SlotState::Ended { .. } => None,
            })
            .collect();
        for (attempt, grace) in due {
            self.halt(out, attempt, grace, Cause::LeaseEnded);
        }
    }
}
