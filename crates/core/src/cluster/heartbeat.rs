//! Heartbeats: a worker tells all that it holds, the difference is mended.

use super::finish::Kept;
use super::{Cluster, Out, quarantine, reconcile};
use crate::effect::{Command, StartOrder};
use crate::event::{Answer, Heartbeat, Held, HeldStage, Rejected};
use crate::ids::{Attempt, CommandSeq, Session, TaskId, WorkerId};
use crate::planted::{self, Fault};
use crate::task::{Cause, Outcome, Step, TaskRecord};
use crate::worker::WorkerStatus;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

impl Cluster {
    pub(super) fn heartbeat(&mut self, out: &mut Out, heartbeat: &Heartbeat) -> Result<Answer, Rejected> {
        let id = &heartbeat.worker;
        self.in_session(id, heartbeat.session)?;
        let silence = self.workers.get(id).map_or(Duration::ZERO, |worker| out.now.since(worker.heard));
        self.hear(out, heartbeat);
        self.note_images(out, id, heartbeat.images.as_ref());
        self.reconcile_present(out, id, &heartbeat.held);
        if !heartbeat.draining && self.turns_deaf(out, heartbeat, silence) {
            return Ok(Answer::Done);
        }
        let held = self.own(&heartbeat.held).map(|held| held.attempt).collect();
        if heartbeat.draining {
            self.take_back(out, id, &held);
        } else {
            self.reconcile_absent(out, id, &held, heartbeat.seen);
        }
        Ok(Answer::Done)
    }

    /// The worker's command stream is open: every start it has not confirmed is sent at once; a deaf
    /// one is asked first whether it hears.
    pub(super) fn subscribed(&mut self, out: &mut Out, id: &WorkerId, session: Session) -> Result<Answer, Rejected> {
        self.in_session(id, session)?;
        if self.is_deaf(id) {
            self.ask(out, id);
        } else {
            for attempt in self.unconfirmed(id) {
                self.send_start(out, attempt);
            }
        }
        for attempt in self.to_stop(id) {
            self.stop(out, id, attempt);
        }
        Ok(Answer::Done)
    }

    pub(super) fn in_session(&self, id: &WorkerId, session: Session) -> Result<(), Rejected> {
        let worker = self.workers.get(id).ok_or_else(|| Rejected::NoSuchWorker(id.clone()))?;
        if worker.session() == Some(session) { Ok(()) } else { Err(Rejected::StaleSession) }
    }

    /// Notes a sign of life, and whether the worker takes work.
    fn hear(&mut self, out: &mut Out, heartbeat: &Heartbeat) {
        let (id, now) = (&heartbeat.worker, out.now);
        let Some(worker) = self.workers.get_mut(id) else { return };
        worker.heard = now;
        if let Some(link) = worker.link.as_mut() {
            link.told = Some(reconcile::Told::of(heartbeat, now));
        }
        let before = worker.record.status;
        let status = match before {
            // Whoever is about to leave gets no work any more in this session.
            WorkerStatus::Draining => WorkerStatus::Draining,
            _ if heartbeat.draining => WorkerStatus::Draining,
            // In this session it has taken nothing in.
            WorkerStatus::Deaf if heartbeat.seen == CommandSeq(0) => WorkerStatus::Deaf,
            WorkerStatus::Registered
            | WorkerStatus::Active
            | WorkerStatus::EngineAway
            | WorkerStatus::DiskPressure
            | WorkerStatus::Deaf
            | WorkerStatus::Inactive => WorkerStatus::of(heartbeat.unfit.as_ref()),
        };
        if status == before {
            return;
        }
        if !before.is_connected() {
            self.judgements.insert((now + self.timing.inactive, id.clone()));
        }
        self.change_worker(out, id, |record| {
            record.status = status;
            record.about.unfit.clone_from(&heartbeat.unfit);
            record.last_seen = Some(now);
        });
    }

    /// What a worker that leaves does not hold goes back: what it never began is uncounted.
    pub(super) fn take_back(&mut self, out: &mut Out, id: &WorkerId, held: &BTreeSet<Attempt>) {
        for attempt in self.held_tasks(id).into_iter().filter(|attempt| !held.contains(attempt)) {
            if out.full() {
                return;
            }
            let step = self.tasks.get(&attempt.task).and_then(|task| task.active()).map(|active| active.step);
            if step == Some(Step::Assigned) {
                self.close(out, attempt.task, Cause::WorkerStopped, "its worker left before it was begun");
            } else {
                self.vanished(out, attempt.task);
            }
        }
    }

    fn reconcile_absent(&mut self, out: &mut Out, id: &WorkerId, held: &BTreeSet<Attempt>, seen: CommandSeq) {
        for attempt in self.held_tasks(id).into_iter().filter(|attempt| !held.contains(attempt)) {
            if out.full() {
                return;
            }
            self.reconcile_lacking(out, id, attempt, seen);
        }
    }

    /// Those that this life of the data ordered. Before its first registration in it a worker tells of
    /// others too, which it stops by itself.
    pub(super) fn own<'a>(&self, held: &'a [Held]) -> impl Iterator<Item = &'a Held> + use<'a> {
        let incarnation = self.incarnation;
        held.iter().filter(move |held| held.incarnation == incarnation || planted::is(Fault::MixLives))
    }

    /// Takes in how far attempts are, and stops those that should not be there; what is too much for
    /// one event is told again by the next heartbeat.
    pub(super) fn reconcile_present(&mut self, out: &mut Out, id: &WorkerId, held: &[Held]) {
        let held: BTreeMap<Attempt, HeldStage> = self.own(held).map(|held| (held.attempt, held.stage)).collect();
        for (attempt, stage) in held {
            if out.full() {
                return;
            }
            self.reconcile_one(out, id, attempt, stage);
        }
    }

    /// Whether an active task is to end: somebody wants its end or its place, or its worker empty.
    fn is_to_end(&self, task: &TaskRecord) -> bool {
        let worker = task.active().and_then(|active| self.workers.get(&active.worker));
        task.is_stopping() || task.evicted().is_some() || worker.is_some_and(|worker| worker.record.duty.stops())
    }

    pub(super) fn held_tasks(&self, id: &WorkerId) -> Vec<Attempt> {
        let held = self.workers.get(id).into_iter().flat_map(|worker| worker.ledger.held().keys());
        held.filter_map(|task| self.tasks.get(task)).map(|task| task.attempt()).collect()
    }

    fn reconcile_one(&mut self, out: &mut Out, id: &WorkerId, attempt: Attempt, stage: HeldStage) {
        let task = self.tasks.get(&attempt.task);
        let current = task
            .filter(|task| task.active().is_some_and(|active| active.number == attempt.number && active.worker == *id));
        let HeldStage::At(step) = stage else { return };
        match current.map(|task| self.is_to_end(task)) {
            Some(stopping) => {
                // The attempt is current: this can not be rejected.
                let _ = self.progress(out, attempt, step);
                if stopping {
                    self.stop(out, id, attempt);
                }
            }
            None => self.stop(out, id, attempt),
        }
    }

    /// An attempt that its worker does not hold: it never saw the start, or has lost the attempt.
    pub(super) fn reconcile_lacking(&mut self, out: &mut Out, id: &WorkerId, attempt: Attempt, seen: CommandSeq) {
        let Some(worker) = self.workers.get(id) else { return };
        let step = self.tasks.get(&attempt.task).and_then(|task| task.active()).map(|active| active.step);
        let sent = worker.link.as_ref().and_then(|link| link.starts.get(&attempt.task)).copied();
        let sent = sent.filter(|sent| sent.number == attempt.number);
        match sent {
            // On its way, unless it has been so for a whole heartbeat.
            Some(sent) if sent.seq > seen => {
                if out.now.since(sent.at) >= self.timing.heartbeat {
                    self.send_start(out, attempt);
                }
            }
            Some(_) | None if step == Some(Step::Assigned) && self.is_deaf(id) => self.never_begun(out, attempt.task),
            // Seen or never sent, and nothing was heard of it: the agent knows what it ran before.
            Some(_) | None if step == Some(Step::Assigned) => self.send_start(out, attempt),
            Some(_) | None => self.vanished(out, attempt.task),
        }
    }

    /// Takes an attempt as ended because its worker has it no more.
    pub(super) fn vanished(&mut self, out: &mut Out, task: TaskId) {
        self.close(out, task, Cause::Vanished, "its worker came back without the container");
    }

    /// Ends the running attempt of a task as if its worker had told so.
    pub(super) fn close(&mut self, out: &mut Out, task: TaskId, cause: Cause, message: &str) {
        let Some(record) = self.tasks.get(&task) else { return };
        let outcome = Outcome::of(cause, message);
        let verdict = self.judge(record, &outcome);
        let sign = quarantine::sign(record, &outcome);
        self.settle(out, task, verdict, Kept::of(&outcome), sign);
    }

    fn unconfirmed(&self, id: &WorkerId) -> Vec<Attempt> {
        let assigned = |attempt: &Attempt| {
            let task = self.tasks.get(&attempt.task);
            task.is_some_and(|task| {
                !self.is_to_end(task) && task.active().is_some_and(|active| active.step == Step::Assigned)
            })
        };
        self.held_tasks(id).into_iter().filter(assigned).collect()
    }

    fn to_stop(&self, id: &WorkerId) -> Vec<Attempt> {
        let stopping = |attempt: &Attempt| self.tasks.get(&attempt.task).is_some_and(|task| self.is_to_end(task));
        self.held_tasks(id).into_iter().filter(stopping).collect()
    }

    /// Sends the start of an attempt (again), under a new number.
    fn send_start(&mut self, out: &mut Out, attempt: Attempt) {
        let Some(task) = self.tasks.get(&attempt.task) else { return };
        let Some(active) = task.active() else { return };
        let (worker, stopping) = (active.worker.clone(), self.is_to_end(task));
        let order = StartOrder::of(task, active.allocation.clone());
        if stopping {
            // An attempt that is to end and whose start was lost is over: the agent answers a stop of what it
            // never had with its end.
            self.stop(out, &worker, attempt);
        } else {
            self.send(out, &worker, Command::Start(Arc::new(order)));
        }
    }
}
