//! Workers that fail whatever they are given: one bad machine must not eat the queue (SPEC 14).
//!
//! What counts is how attempts end there. A master that starts again counts from nought.

use super::{Cluster, Out};
use crate::duty::{self, Duty, FAILURES, PROVEN, Probe, Quarantine};
use crate::ids::{Attempt, WorkerId};
use crate::task::{Cause, Outcome, Step, TaskRecord};
use crate::text::shortened;
use crate::time::Timestamp;

/// The longest part of a failure's message that is kept as a reason, in bytes.
const MAX_WORDS: usize = 300;

/// What the end of an attempt says of its worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It works.
    Good,
    /// Nothing.
    None,
    /// It failed, in these words.
    Bad(String),
    /// It failed all that it held, perhaps: ends of one moment are one failure.
    Incident(String),
}

/// Failures in a row of a worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Streak {
    failures: u32,
    /// The image of the first of them.
    image: Option<String>,
    /// Whether another image failed, too: it is not one image that can not be had.
    several: bool,
    last: Timestamp,
}

impl Streak {
    fn note(&mut self, image: &str, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.last = now;
        self.note_image(image);
    }

    fn note_image(&mut self, image: &str) {
        self.several |= self.image.as_ref().is_some_and(|first| first != image);
        self.image.get_or_insert_with(|| image.to_owned());
    }

    const fn is_enough(&self) -> bool {
        self.failures >= FAILURES && self.several
    }
}

/// What an outcome says of the worker.
///
/// - An engine that fails before the container runs, and a pull that does not reach its registry:
///   the worker's. An image that its registry has not got or does not give is the task's business.
/// - A container that is lost, or ended by the engine: the worker's, but a restart of engine or
///   host ends many at once and is one incident.
/// - A program that ran, however it ended, and a container that wrote too much: the worker works.
/// - What the engine refuses to start may be the image's fault; what a policy denies, what was stopped, and what a
///   worker ended that had lost its master, tells nothing. Silence is judged by `liveness`.
pub(super) fn sign(task: &TaskRecord, outcome: &Outcome) -> Sign {
    let words = || shortened(outcome.message.trim(), MAX_WORDS);
    let ran = outcome.run.is_some() || task.active().is_some_and(|active| active.step == Step::Running);
    match outcome.cause {
        Cause::Exited | Cause::TimedOut | Cause::StorageExceeded => Sign::Good,
        Cause::EngineError if ran => Sign::Incident(words()),
        Cause::Vanished => Sign::Incident(words()),
        Cause::EngineError | Cause::ImagePull => Sign::Bad(words()),
        Cause::ImageAbsent
        | Cause::StartError
        | Cause::InputError
        | Cause::OutputError
        | Cause::PolicyDenied
        | Cause::Stopped
        | Cause::LeaseEnded
        | Cause::WorkerStopped => Sign::None,
    }
}

impl Cluster {
    /// Counts the end of an attempt, which its worker does not hold any more, for or against it.
    pub(super) fn judge_conduct(&mut self, out: &mut Out, task: &TaskRecord, sign: Sign) {
        let Some(attempt) = task.attempts.last() else { return };
        let (id, given) = (attempt.worker.clone(), attempt.assigned_at);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        match &worker.record.duty {
            Duty::Open => {
                let failure = match sign {
                    Sign::Good => {
                        worker.streak = Streak::default();
                        return;
                    }
                    Sign::None => return,
                    Sign::Incident(_) if worker.streak.failures > 0 && given <= worker.streak.last => {
                        worker.streak.note_image(&task.spec.image);
                        return;
                    }
                    Sign::Bad(words) | Sign::Incident(words) => words,
                };
                worker.streak.note(&task.spec.image, out.now);
                if worker.streak.is_enough() {
                    let failures = worker.streak.failures;
                    self.quarantine(out, &id, format!("{failures} failures in a row, the last: {failure}"));
                }
            }
            Duty::Quarantined(_) if worker.record.duty.probe() == Some(task.attempt()) => {
                self.judge_probe(out, &id, sign);
            }
            // Operators know; and what was begun before a quarantine says nothing of it.
            Duty::Cordoned(_) | Duty::Draining(_) | Duty::Quarantined(_) => {}
        }
    }

    fn quarantine(&mut self, out: &mut Out, id: &WorkerId, reason: String) {
        let probe = Probe::After(out.now + duty::wait(self.timing.inactive, 0));
        let quarantine = Quarantine { reason, since: out.now, tries: 0, probe };
        self.change_duty(out, id, Duty::Quarantined(quarantine));
    }

    fn judge_probe(&mut self, out: &mut Out, id: &WorkerId, sign: Sign) {
        let first = self.timing.inactive;
        let Some(Duty::Quarantined(before)) = self.workers.get(id).map(|worker| worker.record.duty.clone()) else {
            return;
        };
        let duty = match sign {
            Sign::Good => Duty::Open,
            Sign::None => Duty::Quarantined(Quarantine { probe: Probe::Due, ..before }),
            Sign::Bad(words) | Sign::Incident(words) => {
                let tries = before.tries.saturating_add(1);
                let probe = Probe::After(out.now + duty::wait(first, tries));
                let reason = format!("a probe failed: {words}");
                Duty::Quarantined(Quarantine { reason, tries, probe, ..before })
            }
        };
        self.change_duty(out, id, duty);
    }

    /// Moves the probe of a quarantined worker on.
    pub(super) fn set_probe(&mut self, out: &mut Out, id: &WorkerId, probe: Probe) {
        if let Some(Duty::Quarantined(before)) = self.workers.get(id).map(|worker| worker.record.duty.clone()) {
            self.change_duty(out, id, Duty::Quarantined(Quarantine { probe, ..before }));
        }
    }

    /// An attempt was given to a worker: that of a quarantined one is its probe.
    pub(super) fn begin_probe(&mut self, out: &mut Out, id: &WorkerId, attempt: Attempt) {
        self.set_probe(out, id, Probe::Sent(attempt));
    }

    /// The container of an attempt runs.
    pub(super) fn probe_runs(&mut self, out: &mut Out, attempt: Attempt) {
        let active = self.tasks.get(&attempt.task).and_then(|task| task.active());
        let Some(id) = active.map(|active| active.worker.clone()) else { return };
        let duty = self.workers.get(&id).map(|worker| &worker.record.duty);
        if duty.is_some_and(|duty| duty.probe() == Some(attempt) && duty.alarm().is_none()) {
            self.set_probe(out, &id, Probe::Runs(attempt, out.now + PROVEN));
        }
    }
}
