//! What workers tell of single attempts. Only the current attempt of a task is heard.

use super::finish::Kept;
use super::{Cluster, Out, quarantine};
use crate::event::{Answer, EndReport, Held, HeldStage, LastSent, Rejected};
use crate::feasible;
use crate::ids::{Attempt, CommandSeq, Incarnation, Session};
use crate::planted::{self, Fault};
use crate::resources::{Free, Kind};
use crate::task::{Outcome, State, Step, TaskRecord};
use crate::verdict::{self, Verdict};
use std::sync::Arc;

impl Cluster {
    /// Takes in how far an attempt is.
    pub(super) fn got_further(&mut self, out: &mut Out, held: Held) -> Result<Answer, Rejected> {
        self.in_this_life(held.incarnation)?;
        match held.stage {
            HeldStage::At(step) => self.progress(out, held.attempt, step),
            HeldStage::Stopping | HeldStage::Ended => Ok(Answer::Done),
        }
    }

    /// What another life of the data ordered has nothing to do with what this one did, though the
    /// numbers may be the same.
    fn in_this_life(&self, incarnation: Incarnation) -> Result<(), Rejected> {
        if incarnation == self.incarnation || planted::is(Fault::MixLives) {
            Ok(())
        } else {
            Err(Rejected::WrongIncarnation)
        }
    }

    /// Takes a step forward; an older step is old news.
    pub(super) fn progress(&mut self, out: &mut Out, attempt: Attempt, step: Step) -> Result<Answer, Rejected> {
        let task = self.current(attempt)?;
        let now = out.now;
        if task.active().is_some_and(|active| active.step < step) {
            self.change(out, attempt.task, |task| {
                if let State::Active(active) = &mut task.state {
                    active.step = step;
                }
                if step == Step::Running {
                    task.started_at = Some(now);
                    if let Some(attempt) = task.attempts.last_mut() {
                        attempt.started_at = Some(now);
                    }
                }
            });
            if step == Step::Running {
                self.probe_runs(out, attempt);
            }
        }
        Ok(Answer::Done)
    }

    pub(super) fn ended(&mut self, out: &mut Out, report: &EndReport) -> Result<Answer, Rejected> {
        self.in_this_life(report.incarnation)?;
        let task = self.current(report.attempt)?;
        let worker = task.worker().cloned();
        let outcome = &report.outcome;
        let verdict = self.judge(&task, outcome);
        if matches!(verdict, Verdict::Final(_)) {
            Self::keep_outputs(out, &task, outcome);
        }
        self.note_start(out, &task, outcome.run);
        let sign = quarantine::sign(&task, outcome);
        self.settle(out, task.id, verdict, Kept::of(outcome), sign);
        let nobody = LastSent { session: Session(0), seq: CommandSeq(0) };
        let sent = worker.map_or(nobody, |worker| self.sent(&worker));
        Ok(Answer::Ended { sent })
    }

    /// What an attempt's outcome means for its task.
    pub(super) fn judge(&self, task: &TaskRecord, outcome: &Outcome) -> Verdict {
        verdict::judge(task, outcome, &|kind| self.largest(task, kind))
    }

    /// The most of a resource that a known worker has which could run the task as it is.
    pub(super) fn largest(&self, task: &TaskRecord, kind: Kind) -> Option<u64> {
        let known = self.workers.values().map(|worker| &worker.record).filter(|record| record.connected_at.is_some());
        let able = known.filter(|record| {
            let whole = Free::all(&record.capacity);
            feasible::could_ever(&task.spec, record).is_ok() && whole.pick(task.demand()).is_ok()
        });
        able.map(|record| record.capacity.amount(kind)).max()
    }

    /// A container may end before its start was heard of: then it started when it ended, less the
    /// time it ran.
    fn note_start(&mut self, out: &Out, task: &TaskRecord, run: Option<std::time::Duration>) {
        if task.started_at.is_some() {
            return;
        }
        let (Some(run), Some(task)) = (run, self.tasks.get_mut(&task.id)) else { return };
        let task = Arc::make_mut(task);
        let started = out.now - run;
        if let Some(attempt) = task.attempts.last_mut() {
            attempt.started_at = Some(started.max(attempt.assigned_at));
            task.started_at = attempt.started_at;
        }
    }

    /// The task whose running attempt this is.
    fn current(&self, attempt: Attempt) -> Result<Arc<TaskRecord>, Rejected> {
        let task = self.tasks.get(&attempt.task).ok_or(Rejected::Superseded(attempt))?;
        let number = task.active().map(|active| active.number);
        let stale_counts = planted::is(Fault::AcceptStaleAttempt) && number.is_some();
        if number == Some(attempt.number) || stale_counts {
            Ok(Arc::clone(task))
        } else {
            Err(Rejected::Superseded(attempt))
        }
    }
}
