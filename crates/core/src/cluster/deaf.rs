//! Workers that are heard and hear nothing: a link that carries one way only, a proxy that keeps what it
//! should hand on (SPEC 3.3.4).
//!
//! A worker shows that it hears by the commands that it has taken in. One that takes none in is *deaf*: its
//! session ends, it is sent no start and given nothing until it has taken a command in. What it never
//! began goes back to the queue, uncounted, once it can not begin that any more:
//! - a heartbeat of a later session does not hold it: a worker drops commands of its earlier sessions;
//! - or no heartbeat has renewed its lease for as long as one may last, and its registration did not bring
//!   it: a worker without a lease accepts nothing, and what it had accepted it tells.

use super::{Cluster, Out};
use crate::effect::Command;
use crate::event::{Answer, Heartbeat, Registration, Rejected};
use crate::ids::{CommandSeq, TaskId, WorkerId};
use crate::task::{Cause, Step};
use crate::time::Timestamp;
use crate::timing::Timing;
use crate::worker::WorkerStatus;
use std::time::Duration;

/// What a worker takes in of what its session sends it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attention {
    /// It has sent a heartbeat: it has heard that it is registered.
    beats: bool,
    taken_in: CommandSeq,
    /// Since when something was sent and nothing was taken in.
    waits: Option<Timestamp>,
}

impl Attention {
    /// A command is on its way.
    pub(super) fn sent(&mut self, now: Timestamp) {
        self.waits.get_or_insert(now);
    }

    /// The master stood still.
    pub(super) fn shift(&mut self, by: Duration, now: Timestamp) {
        self.waits = self.waits.map(|since| (since + by).min(now));
    }

    /// A heartbeat came; answers for how long nothing was taken in.
    fn hear(&mut self, now: Timestamp, seen: CommandSeq, sent: CommandSeq) -> Duration {
        self.beats = true;
        if seen > self.taken_in {
            self.taken_in = seen;
            self.waits = Some(now);
        }
        self.waits = self.waits.filter(|_| seen < sent);
        self.waits.map_or(Duration::ZERO, |since| now.since(since))
    }
}

impl Cluster {
    /// Whether a heartbeat shows its worker to be deaf: then its session is over. One that has
    /// taken nothing in for a while is asked whether it hears.
    pub(super) fn turns_deaf(&mut self, out: &mut Out, heartbeat: &Heartbeat, silence: Duration) -> bool {
        let (id, now) = (&heartbeat.worker, out.now);
        let Timing { inactive, heartbeat: interval, .. } = self.timing;
        let Some(worker) = self.workers.get_mut(id) else { return false };
        let Some(link) = worker.link.as_mut() else { return false };
        if silence > interval * 2 {
            // What it was sent may have been lost with its heartbeats.
            link.attention.shift(silence, now);
        }
        let waits = link.attention.hear(now, heartbeat.seen, link.sent);
        let deaf = worker.record.status == WorkerStatus::Deaf;
        if deaf {
            // This heartbeat renews the lease under which it may have accepted something before.
            worker.deaf = Some(now);
        }
        if !deaf && waits >= inactive && !out.full() {
            self.deafen(out, id);
            return true;
        }
        if deaf || waits >= inactive / 2 {
            self.ask(out, id);
        }
        false
    }

    /// Asks a worker whether it hears.
    pub(super) fn ask(&mut self, out: &mut Out, id: &WorkerId) {
        self.send(out, id, Command::Ping);
    }

    fn deafen(&mut self, out: &mut Out, id: &WorkerId) {
        self.end_session(out, id);
        self.stay_deaf(out, id, out.now);
    }

    fn stay_deaf(&mut self, out: &mut Out, id: &WorkerId, since: Timestamp) {
        self.change_worker(out, id, |record| record.status = WorkerStatus::Deaf);
        if let Some(worker) = self.workers.get_mut(id) {
            worker.deaf = Some(since);
        }
        self.judgements.insert(((since + self.timing.lost_after()).max(out.now), id.clone()));
    }

    /// Ends a session: its worker drops what it was sent in it. A deaf worker stays so.
    pub(super) fn break_session(&mut self, out: &mut Out, id: &WorkerId) {
        let deaf = self.deaf_since(id);
        self.end_session(out, id);
        if let Some(since) = deaf {
            self.stay_deaf(out, id, since);
        }
    }

    /// Begins a new session. A worker that was deaf stays so; one that has not heard of its last
    /// registration is.
    pub(super) fn enter(&mut self, out: &mut Out, registration: Registration) -> Result<Answer, Rejected> {
        let id = registration.worker.clone();
        let deaf = self.enters_deaf(&id, out.now);
        let answer = self.register(out, registration)?;
        if let Some(since) = deaf {
            self.stay_deaf(out, &id, since);
        }
        Ok(answer)
    }

    fn enters_deaf(&self, id: &WorkerId, now: Timestamp) -> Option<Timestamp> {
        if self.is_deaf(id) {
            return self.deaf_since(id);
        }
        let worker = self.workers.get(id).filter(|worker| worker.record.status.is_connected())?;
        let unheard = !worker.link.as_ref()?.attention.beats;
        // Sooner, the answer or the heartbeat may be on its way. Without a heartbeat it was heard last when
        // it registered, less the time in which the master stood still.
        let patience = self.timing.heartbeat * 2;
        (unheard && now.since(worker.heard) >= patience).then_some(now)
    }

    fn deaf_since(&self, id: &WorkerId) -> Option<Timestamp> {
        self.workers.get(id)?.deaf
    }

    pub(super) fn is_deaf(&self, id: &WorkerId) -> bool {
        self.workers.get(id).is_some_and(|worker| worker.record.status == WorkerStatus::Deaf)
    }

    /// When what a deaf worker never began goes back, whatever is heard of it.
    pub(super) fn takes_back_at(&self, id: &WorkerId) -> Option<Timestamp> {
        let since = self.deaf_since(id)?;
        self.unbegun(id).next().map(|_| since + self.timing.lost_after())
    }

    /// Takes back what a deaf worker can begin no more, as much as one event may.
    pub(super) fn take_back_unbegun(&mut self, out: &mut Out, id: &WorkerId) {
        let unbegun: Vec<_> = self.unbegun(id).take(super::MAX_ROWS).collect();
        for task in unbegun {
            if out.full() {
                return;
            }
            self.never_begun(out, task);
        }
    }

    /// An attempt goes back to the queue that its deaf worker has not begun.
    pub(super) fn never_begun(&mut self, out: &mut Out, task: TaskId) {
        self.close(out, task, Cause::WorkerStopped, "its worker does not hear the master and never began it");
    }

    fn unbegun(&self, id: &WorkerId) -> impl Iterator<Item = TaskId> {
        let worker = self.workers.get(id).into_iter();
        let held = worker.flat_map(|worker| worker.ledger.held().keys().map(move |task| (worker, *task)));
        let unbegun = held.filter(|(worker, task)| {
            self.tasks.get(task).is_some_and(|task| {
                let assigned = task.active().is_some_and(|active| active.step == Step::Assigned);
                let brought = worker.link.as_ref().is_some_and(|link| link.brought.contains(&task.attempt()));
                assigned && !brought && !task.outlasts_silence()
            })
        });
        unbegun.map(|(_, task)| task)
    }
}
