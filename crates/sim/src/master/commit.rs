//! Committing a batch: exactly one is in flight, and it is retried until it is stored.

use super::{Master, MasterEvent, Origin, Told, not_now};
use crate::context::{Context, What, say};
use crate::network::{Message, Reply, Word};
use crate::store::CommitError;
use cloudai_core::cluster::Cluster;
use cloudai_core::effect::Row;
use cloudai_core::event::Event;
use cloudai_core::planted::{self, Fault};
use cloudai_core::time::millis;
use std::sync::Arc;
use std::time::Duration;

/// Between two tries, first and at most.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Between so many commits it is looked at once what a master would know that began now: that costs as much as all else.
const LOOK: u32 = 16;

impl Master {
    /// Gives the batch to the store, which takes its time.
    pub(super) fn commit(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        let Some(batch) = life.batch.as_ref() else { return };
        if batch.rows().is_empty() {
            return self.tell(context);
        }
        if planted::is(Fault::AcknowledgeEarly) {
            let transaction = batch.transaction();
            self.tell(context);
            self.store.write(transaction);
            return self.store.sync(&mut context.check);
        }
        let stalls = context.rng.chance(context.plan.stall);
        let stall = if stalls { context.rng.between((500, 60_000)) } else { 0 };
        if stall > 2000 {
            context.count("commit stalled");
        }
        let takes = context.rng.between(context.plan.commit);
        context.after(takes + stall, What::Master(MasterEvent::Committed(life.number)));
    }

    /// The store takes it, or not.
    pub(super) fn committed(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        let Some(batch) = life.batch.as_ref() else { return };
        let transaction = batch.transaction();
        if let Err(error) = self.store.may_commit(context, life.term, &transaction.rows) {
            return self.not_committed(context, error);
        }
        say!(context, "wrote {} rows", transaction.rows.len());
        self.store.write(transaction);
        let number = life.number;
        if self.crash_at(context, 800, "before a commit was synced") {
            if context.rng.chance(500) {
                self.cut_power(context);
            }
            return;
        }
        let takes = context.rng.between(context.plan.sync);
        context.after(takes, What::Master(MasterEvent::Synced(number)));
    }

    /// The disk has it.
    pub(super) fn synced(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        self.store.sync(&mut context.check);
        context.check.memory_is_stored(&self.store, &life.cluster);
        self.commits += 1;
        if self.commits.is_multiple_of(LOOK) && life.cluster.jobs().next().is_some() {
            let now = life.clock.read(context.now);
            let fresh = Cluster::new(context.plan.timing, self.store.load(), now);
            context.check.restart_knows_jobs(&fresh, &life.cluster);
        }
        say!(context, "stored");
        let number = life.number;
        if !self.crash_here(context, "after a commit") {
            context.after(0, What::Master(MasterEvent::Tell(number)));
        }
    }

    fn not_committed(&mut self, context: &mut Context, error: CommitError) {
        say!(context, "not stored: {error:?}");
        match error {
            CommitError::Fenced => {
                context.count("commit fenced");
                let down = context.rng.between((20, 30_000));
                self.crash(context, down, "as another leads");
            }
            CommitError::Unavailable => self.wait_for_store(context),
            CommitError::Refused { row } => self.reload(context, row),
        }
    }

    /// Users' wishes are refused until a commit goes through, reports and heartbeats wait.
    fn wait_for_store(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        let Some(batch) = life.batch.as_mut() else { return };
        context.count("commit found no store");
        life.trouble = true;
        for (_, origin) in life.users.drain(..) {
            not_now(context, &origin);
        }
        let wait = millis(batch.wait);
        batch.wait = (batch.wait * 2).min(LONGEST_WAIT);
        context.after(wait, What::Master(MasterEvent::Commit(life.number)));
    }

    /// Drops what was never committed and starts again from the store, without what made the row
    /// that can not be stored; every worker is to register again.
    fn reload(&mut self, context: &mut Context, row: usize) {
        let Some(life) = self.life.as_mut() else { return };
        let Some(batch) = life.batch.take() else { return };
        context.count("row refused");
        life.granted.clear();
        life.slots.clear();
        if !planted::is(Fault::KeepRefused) {
            life.cluster = {
                let undone = (&batch.tasks(), &batch.jobs());
                life.cluster.reloaded(self.store.load(), undone, life.clock.read(context.now))
            };
        }
        let _ = life.cluster.apply(life.clock.read(context.now), Event::Paused(Duration::ZERO));
        for worker in life.cluster.workers() {
            life.view.apply(&Row::Worker(Arc::clone(worker)));
        }
        let (again, sender) = batch.without(context, row, &mut life.cluster);
        life.batch = Some(again);
        match sender {
            Origin::Submit(submission) => context.send(Message::Client(Reply::Refused { submission })),
            Origin::SubmitJob(submission) => context.send(Message::Client(Reply::JobRefused { submission })),
            Origin::Round => life.round = false,
            // These ask again.
            Origin::Register(..)
            | Origin::Ended(..)
            | Origin::Cancel(_)
            | Origin::Release(_)
            | Origin::CancelJob(..)
            | Origin::ReleaseJob(_)
            | Origin::Nobody => {}
        }
        self.commit(context);
    }

    /// Tell.
    pub(super) fn tell(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        let Some(batch) = life.batch.take() else { return };
        life.trouble = false;
        let (rows, round) = (batch.rows(), batch.has_round());
        let (told, commands) = batch.into_told(life);
        for told in told {
            if self.crash_here(context, "between two answers") {
                return;
            }
            self.answer(context, told);
        }
        if self.crash_here(context, "between answers and commands") {
            return;
        }
        for dispatch in commands {
            if self.crash_here(context, "between two commands") {
                return;
            }
            let Some(life) = self.life.as_ref() else { return };
            let worker = self.names.iter().position(|name| *name == dispatch.worker).unwrap_or(0);
            context.send(Message::Worker(worker, Word::Command { term: life.term, dispatch }));
        }
        self.publish(context, &rows, round);
    }

    /// Readers and the strategy see what was stored; then the next batch may begin.
    fn publish(&mut self, context: &mut Context, rows: &[Row], round: bool) {
        let Some(life) = self.life.as_mut() else { return };
        for row in rows {
            life.view.apply(row);
            match row {
                Row::Worker(worker) => {
                    if life.granted.get(&worker.id).is_some_and(|session| *session != worker.session) {
                        life.granted.remove(&worker.id);
                    }
                }
                Row::WorkerRemoved(id) => {
                    life.granted.remove(id);
                }
                Row::Task(_)
                | Row::Outputs(..)
                | Row::TaskRemoved(..)
                | Row::Job(..)
                | Row::JobPlanned(..)
                | Row::JobRemoved(_) => {}
            }
        }
        life.round &= !round;
        if round && life.hostile.is_some() {
            // A lie may have kept a gang from its places, which leaves no row.
            life.seen = None;
        }
        let took = context.now.since(life.began);
        life.notice_pause(context, took);
        self.arm(context);
        self.begin_round(context);
        self.schedule(context);
    }

    fn answer(&mut self, context: &mut Context, told: Told) {
        match told {
            Told::Message(message) => {
                match &message {
                    Message::Client(Reply::Submitted { task, .. }) => {
                        context.check.submission_acknowledged(&self.store, *task);
                    }
                    Message::Client(Reply::Cancelled { task }) => {
                        context.check.cancel_acknowledged(&self.store, *task);
                    }
                    Message::Client(Reply::JobSubmitted { job, .. }) => {
                        context.check.job_acknowledged(&self.store, *job);
                    }
                    Message::Client(Reply::JobCancelled { job, part }) => {
                        context.check.job_cancel_acknowledged(&self.store, *job, *part);
                    }
                    Message::Client(
                        Reply::Refused { .. }
                        | Reply::Released { .. }
                        | Reply::JobRefused { .. }
                        | Reply::JobReleased { .. }
                        | Reply::NotNow(_),
                    )
                    | Message::Worker(..)
                    | Message::Master(_) => {}
                }
                context.send(message);
            }
            Told::Granted(id, session) => {
                let current = self.store.workers.get(&id).is_some_and(|worker| worker.session == session);
                if let Some(life) = self.life.as_mut().filter(|_| current) {
                    life.granted.insert(id, session);
                }
            }
            Told::Accepted(attempt) => context.check.report_acknowledged(&self.store, attempt),
        }
    }
}
