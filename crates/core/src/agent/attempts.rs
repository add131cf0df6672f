//! Attempts on a worker: started once, ended once, reported until acknowledged.

use super::{Agent, AgentEffect, DRAIN_TELL, JournalEntry, Origin, Slot, SlotState, Stopping, Tombstone};
use crate::effect::{StartOrder, StopOrder};
use crate::event::{Held, HeldStage, LastSent};
use crate::ids::{Attempt, CommandSeq, Incarnation};
use crate::planted::{self, Fault};
use crate::resources::Free;
use crate::task::{Cause, Outcome, Step};
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

impl Slot {
    pub(super) fn stage(&self) -> HeldStage {
        match &self.state {
            SlotState::Waiting(_) => HeldStage::At(Step::Assigned),
            SlotState::Launched { stop: true, .. } => HeldStage::Stopping,
            SlotState::Launched { step, .. } => HeldStage::At(*step),
            SlotState::Ended { .. } => HeldStage::Ended,
        }
    }
}

impl Agent {
    pub(super) fn start(&mut self, out: &mut Vec<AgentEffect>, now: Timestamp, order: Arc<StartOrder>) {
        let attempt = order.attempt;
        let Some(link) = self.link else { return };
        if self.ran_before(attempt) {
            // Asked for again: its end did not get through, or is on its way.
            self.report(out, now, attempt);
            return;
        }
        // Another life of the cluster ordered one of the same number: it has to be gone first.
        let in_the_way = self.attempts.contains_key(&attempt);
        if in_the_way || self.stopping.is_some() || !self.lease_allows(now, &order) {
            return; // absent from the next heartbeat: the master sends it again or elsewhere
        }
        self.stop_older(out, attempt);
        if Free::all(&self.capacity).take(&order.allocation).is_err() {
            // Placed before the worker came back smaller: it would wait for ever.
            return self.end_unbegun(out, now, attempt, Cause::WorkerStopped, "its worker is too small for it now");
        }
        out.push(AgentEffect::Journal(JournalEntry::Started(Arc::clone(&order), link.incarnation)));
        let slot = Slot { incarnation: link.incarnation, state: SlotState::Waiting(order) };
        self.insert(attempt, slot);
        self.waiting.insert(attempt);
        self.launch_waiting(out);
    }

    fn ran_before(&self, attempt: Attempt) -> bool {
        let buried = self.tombstones.get(&attempt.task).is_some_and(|grave| grave.number >= attempt.number);
        let later = Attempt { number: u32::MAX, ..attempt };
        buried || self.attempts.range(attempt..=later).any(|(_, slot)| !self.is_foreign(slot))
    }

    /// A newer attempt means that the master gave the older ones up.
    fn stop_older(&mut self, out: &mut Vec<AgentEffect>, attempt: Attempt) {
        let first = Attempt { number: 0, ..attempt };
        let older: Vec<_> = self.attempts.range(first..attempt).map(|(older, _)| *older).collect();
        for older in older {
            self.halt(out, older, Duration::ZERO, Cause::Stopped);
        }
    }

    /// Launches accepted attempts that fit beside what runs; the others wait for it to end.
    fn launch_waiting(&mut self, out: &mut Vec<AgentEffect>) {
        let waiting: Vec<_> = self.waiting.iter().copied().collect();
        for attempt in waiting {
            let order = match self.attempts.get(&attempt).map(|slot| &slot.state) {
                Some(SlotState::Waiting(order)) => Arc::clone(order),
                Some(SlotState::Launched { .. } | SlotState::Ended { .. }) | None => continue,
            };
            // More than everything is held only after the worker came back smaller: nothing fits.
            if self.room.free().clone().take(&order.allocation).is_err() {
                continue;
            }
            self.waiting.remove(&attempt);
            self.room.hold(&self.capacity, attempt, order.allocation.clone());
            let launched = SlotState::Launched {
                order: Arc::clone(&order),
                step: Step::Assigned,
                stop: false,
                origin: Origin::Here,
            };
            let incarnation = self.change(attempt, |slot| {
                slot.state = launched;
                slot.incarnation
            });
            out.extend(incarnation.map(|incarnation| AgentEffect::Launch { order, incarnation, resume: false }));
        }
    }

    /// Ends an attempt that is here. One that never was here is over too: its start is dropped when
    /// it comes late, and the master hears of its end.
    pub(super) fn stop(&mut self, out: &mut Vec<AgentEffect>, now: Timestamp, order: &StopOrder) {
        let attempt = order.attempt;
        if self.attempts.contains_key(&attempt) {
            self.halt(out, attempt, order.kill_after, Cause::Stopped);
            self.report(out, now, attempt);
        } else if !self.ran_before(attempt) {
            self.end_unbegun(out, now, attempt, Cause::Stopped, "stopped before it was begun");
        }
    }

    /// Ends an attempt that was ordered and never begun here: the master hears of it as of any other.
    fn end_unbegun(
        &mut self,
        out: &mut Vec<AgentEffect>,
        now: Timestamp,
        attempt: Attempt,
        cause: Cause,
        message: &str,
    ) {
        let Some(link) = self.link else { return };
        let outcome = Arc::new(Outcome::of(cause, message));
        out.push(AgentEffect::Journal(JournalEntry::Ended(attempt, Arc::clone(&outcome), link.incarnation)));
        out.push(AgentEffect::Report { attempt, incarnation: link.incarnation, outcome: Arc::clone(&outcome) });
        let state = SlotState::Ended { outcome, reported: now };
        self.insert(attempt, Slot { incarnation: link.incarnation, state });
    }

    /// Asks the executor to end an attempt; one that was not launched ends at once.
    pub(super) fn halt(&mut self, out: &mut Vec<AgentEffect>, attempt: Attempt, grace: Duration, cause: Cause) {
        let halted = self.change(attempt, |slot| match &mut slot.state {
            SlotState::Launched { order, stop, .. } => {
                if !*stop {
                    let entry = JournalEntry::Stopping(Arc::clone(order), slot.incarnation, cause);
                    out.push(AgentEffect::Journal(entry));
                }
                *stop = true;
                out.push(AgentEffect::Halt { attempt, grace, cause });
                false
            }
            SlotState::Waiting(_) => {
                let outcome = Arc::new(Outcome::of(cause, "stopped before it was begun"));
                let entry = JournalEntry::Ended(attempt, Arc::clone(&outcome), slot.incarnation);
                out.push(AgentEffect::Journal(entry));
                // Due at once: the next tick reports it.
                slot.state = SlotState::Ended { outcome, reported: Timestamp::ZERO };
                true
            }
            SlotState::Ended { .. } => false,
        });
        if halted == Some(true) {
            self.waiting.remove(&attempt);
        }
    }

    pub(super) fn stepped(&mut self, out: &mut Vec<AgentEffect>, attempt: Attempt, reached: Step) {
        if let Some(Slot { incarnation, state: SlotState::Launched { step, stop, .. } }) =
            self.attempts.get_mut(&attempt)
            && *step < reached
        {
            *step = reached;
            if !*stop {
                let stage = HeldStage::At(reached);
                out.push(AgentEffect::Tell(Held { attempt, incarnation: *incarnation, stage }));
            }
        }
    }

    /// The outcome is on disk before it is told.
    pub(super) fn ended(
        &mut self,
        out: &mut Vec<AgentEffect>,
        now: Timestamp,
        attempt: Attempt,
        outcome: Arc<Outcome>,
    ) {
        let Some(slot) = self.attempts.get(&attempt) else { return };
        if matches!(slot.state, SlotState::Ended { .. }) {
            return;
        }
        let outcome = slot.blame(outcome);
        let incarnation = slot.incarnation;
        if !self.is_foreign(slot) {
            out.push(AgentEffect::Journal(JournalEntry::Ended(attempt, Arc::clone(&outcome), incarnation)));
            out.push(AgentEffect::Report { attempt, incarnation, outcome: Arc::clone(&outcome) });
        }
        self.change(attempt, |slot| slot.state = SlotState::Ended { outcome, reported: now });
        self.waiting.remove(&attempt);
        self.room.release(&self.capacity, &attempt);
        self.forget_foreign(out, attempt);
        self.launch_waiting(out);
    }

    /// The master knows: nothing of the attempt is needed here any more.
    pub(super) fn acknowledged(
        &mut self,
        out: &mut Vec<AgentEffect>,
        attempt: Attempt,
        incarnation: Incarnation,
        sent: LastSent,
    ) {
        let slot = self.attempts.get(&attempt).filter(|slot| slot.incarnation == incarnation);
        if !slot.is_some_and(|slot| matches!(slot.state, SlotState::Ended { .. })) {
            return;
        }
        self.forget(out, attempt, incarnation);
        // Starts of this session may be on their way. How many, an answer from another session does
        // not tell: then the grave stays for as long as this one lasts.
        let until = self.link.map(|link| if link.session == sent.session { sent.seq } else { CommandSeq(u64::MAX) });
        if let Some((link, until)) = self.link.zip(until)
            && link.seen < until
        {
            self.bury(attempt, until);
        }
    }

    /// Remembers an attempt that is over until a command has been seen.
    fn bury(&mut self, attempt: Attempt, until: CommandSeq) {
        if planted::is(Fault::ForgetTombstones) {
            return;
        }
        let grave = self.tombstones.entry(attempt.task).or_insert(Tombstone { number: 0, until });
        self.graves.remove(&(grave.until, attempt.task));
        grave.number = grave.number.max(attempt.number);
        grave.until = grave.until.max(until);
        self.graves.insert((grave.until, attempt.task));
    }

    /// No start from before this command can arrive any more.
    pub(super) fn forget_graves_before(&mut self, seq: CommandSeq) {
        while let Some((until, task)) = self.graves.first().copied().filter(|(until, _)| *until < seq) {
            self.graves.remove(&(until, task));
            self.tombstones.remove(&task);
        }
    }

    /// Tells of an end again, if it is one.
    pub(super) fn report(&mut self, out: &mut Vec<AgentEffect>, now: Timestamp, attempt: Attempt) {
        let told = self.change(attempt, |slot| match &mut slot.state {
            SlotState::Ended { reported, .. } if planted::is(Fault::DropOutbox) && *reported > Timestamp::ZERO => {
                *reported = now;
                None
            }
            SlotState::Ended { outcome, reported } => {
                *reported = now;
                Some((slot.incarnation, Arc::clone(outcome)))
            }
            SlotState::Waiting(_) | SlotState::Launched { .. } => None,
        });
        if let Some((incarnation, outcome)) = told.flatten() {
            out.push(AgentEffect::Report { attempt, incarnation, outcome });
        }
    }

    /// Tells everything that a master of a new session may have missed.
    pub(super) fn report_all(&mut self, out: &mut Vec<AgentEffect>) {
        if planted::is(Fault::DropOutbox) {
            return;
        }
        for (attempt, slot) in &self.attempts {
            if let SlotState::Ended { outcome, .. } = &slot.state {
                let outcome = Arc::clone(outcome);
                out.push(AgentEffect::Report { attempt: *attempt, incarnation: slot.incarnation, outcome });
            }
        }
    }

    /// The worker leaves in good order: nothing new is begun, and what runs is stopped once the
    /// master knows that, or soon.
    pub(super) fn shutdown(&mut self, out: &mut Vec<AgentEffect>, now: Timestamp) {
        self.stopping.get_or_insert(Stopping { since: now, halted: false });
        self.halt_all_in_time(out, now, false);
    }

    /// What ends by it is nobody's failure.
    pub(super) fn halt_all_in_time(&mut self, out: &mut Vec<AgentEffect>, now: Timestamp, told: bool) {
        let told = told || self.link.is_none();
        let Some(stopping) = self.stopping.as_mut().filter(|stopping| !stopping.halted) else { return };
        if !told && now < stopping.since + DRAIN_TELL {
            return;
        }
        stopping.halted = true;
        let held: Vec<_> = self.attempts.iter().map(|(attempt, slot)| (*attempt, slot.kill_after())).collect();
        for (attempt, grace) in held {
            self.halt(out, attempt, grace, Cause::WorkerStopped);
        }
    }

    pub(super) fn tick(&mut self, out: &mut Vec<AgentEffect>, now: Timestamp) {
        self.enforce_lease(out, now);
        self.halt_all_in_time(out, now, false);
        for attempt in self.alarms.due_reports(now) {
            self.report(out, now, attempt);
        }
    }
}

impl Slot {
    /// An end that an executor takes for the program's own may be none.
    ///
    /// What an earlier life of this worker had begun to stop did not end by itself. And a container
    /// that was found dead may have gone down with its host: an end by SIGTERM or SIGKILL, or the
    /// engine's own 255 for what it found dead, is then the platform's doing, not the program's.
    fn blame(&self, outcome: Arc<Outcome>) -> Arc<Outcome> {
        let SlotState::Launched { step, origin: Origin::TakenOver { stopped }, .. } = &self.state else {
            return outcome;
        };
        let found_dead = *step != Step::Running;
        let by_signal = matches!(outcome.exit_code, Some(143 | 137 | 255)) && !outcome.oom_killed;
        let cause = match stopped {
            Some(cause) => *cause,
            None if found_dead && by_signal => Cause::Vanished,
            None => Cause::Exited,
        };
        // Of a container that an earlier life had told the engine to stop, an executor sees only that
        // somebody did.
        let by_order = stopped.is_some() && outcome.cause == Cause::EngineError && outcome.exit_code.is_some();
        if (outcome.cause != Cause::Exited && !by_order) || cause == Cause::Exited {
            return outcome;
        }
        let message = "stopped while its worker was away".into();
        Arc::new(Outcome { cause, message, ..Outcome::clone(&outcome) })
    }

    /// Whether the end of the worker's lease is its end too.
    pub(super) fn ends_with_lease(&self) -> bool {
        match &self.state {
            SlotState::Launched { order, .. } | SlotState::Waiting(order) => order.spec.on_disconnect.is_stop(),
            SlotState::Ended { .. } => false,
        }
    }

    pub(super) fn kill_after(&self) -> Duration {
        match &self.state {
            SlotState::Launched { order, .. } | SlotState::Waiting(order) => order.spec.limits.kill_after,
            SlotState::Ended { .. } => Duration::ZERO,
        }
    }
}
