//! Events that are committed together, as the real engine keeps them until they are.

use super::{Life, Origin, Told};
use crate::context::{Context, say};
use crate::master::words::{short, short_answer};
use crate::network::{Caller, Message, Reply, Word};
use crate::store::Transaction;
use cloudai_core::batch;
use cloudai_core::cluster::Cluster;
use cloudai_core::debug::Wrong;
use cloudai_core::duty::{Duty, Probe, Quarantine};
use cloudai_core::effect::{Dispatch, Row};
use cloudai_core::event::{Answer, CancelJob, Event, NewJob, PlacementRefusal, Rejected};
use cloudai_core::ids::{JobId, TaskId, WorkerId};
use cloudai_core::job::{Group, JobRecord, JobStatus, On, Stop};
use cloudai_core::resources::Kind;
use cloudai_core::state::{Phase, Reason};
use cloudai_core::task::State;
use cloudai_core::time::Timestamp;
use cloudai_core::worker::{Unfit, WorkerRecord, WorkerStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Applied events, not yet committed.
#[derive(Debug)]
pub(super) struct Batch {
    events: batch::Batch<Origin>,
    /// How long the next try waits if this one finds no store.
    pub(super) wait: Duration,
}

impl Batch {
    pub(super) const fn new(now: Timestamp, wait: Duration) -> Self {
        Self { events: batch::Batch::new(now), wait }
    }

    pub(super) fn apply(&mut self, context: &mut Context, cluster: &mut Cluster, event: Event, origin: Origin) {
        let (words, changes) = (short(&event), self.events.changes().len());
        let (idle, duties, deaf) = (takes_no_work(cluster, &event), duties(cluster), deaf(cluster));
        let done = self.events.apply(cluster, event, origin);
        let says = done.answer.as_ref().map_or_else(|why| format!("rejected, {why:?}"), short_answer);
        say!(context, "master applies {words}: {says}");
        tally(context, &done.event, &done.answer);
        if let (Event::Preempt(preemption), Ok(Answer::Preempted { refused: None })) = (&done.event, &done.answer) {
            context.check.preempted(cluster, preemption, context.plan.preemption);
        }
        let ticks = matches!(done.event, Event::Tick);
        let releases = matches!(done.event, Event::Release(_));
        let registers = matches!(done.event, Event::Register(_));
        context.check.invariants(cluster);
        let changes = &self.events.changes()[changes..];
        for (row, _) in changes {
            tally_row(context, row, ticks, releases);
        }
        tally_duties(context, &duties, cluster);
        tally_deaf(context, &deaf, cluster);
        context.check.changes_are_few(changes);
        context.check.placed_on_active(changes, &idle);
        if registers && cluster.workers().any(|worker| holds_too_much(cluster, worker)) {
            context.count("worker holds more than it has");
        }
    }

    /// The tasks that are changed by it.
    pub(super) fn tasks(&self) -> BTreeSet<TaskId> {
        self.events.tasks()
    }

    /// The jobs that are changed by it.
    pub(super) fn jobs(&self) -> BTreeSet<JobId> {
        self.events.jobs()
    }

    /// What the store is given.
    pub(super) fn transaction(&self) -> Transaction {
        let changes = self.events.changes().iter().map(|(row, _)| row.clone()).collect();
        Transaction { at: self.events.now(), changes, rows: self.rows() }
    }

    /// The newest version of everything that changed.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.events.rows()
    }

    /// The batch without the event that made one of the [`Self::rows`], applied to a cluster that
    /// was loaded again. The sender of a submission hears of it at once; a worker hears nothing and
    /// tells again.
    pub(super) fn without(self, context: &mut Context, row: usize, cluster: &mut Cluster) -> (Self, Origin) {
        let mut again = Self::new(self.events.now(), self.wait);
        let (rest, culprit) = self.events.without(row);
        for done in rest {
            again.apply(context, cluster, done.event, done.sender);
        }
        let culprit = culprit.map(|culprit| {
            say!(context, "store refuses {}", short(&culprit.event));
            culprit.sender
        });
        (again, culprit.unwrap_or(Origin::Nobody))
    }

    /// Whether the answer to a round of the strategy is among the answers.
    pub(super) fn has_round(&self) -> bool {
        self.events.events().iter().any(|done| matches!(done.sender, Origin::Round))
    }

    /// What is to be told once it is stored: answers, then commands.
    pub(super) fn into_told(self, life: &Life) -> (Vec<Told>, Vec<Dispatch>) {
        let (mut told, (events, commands)) = (Vec::new(), self.events.into_told());
        for done in events {
            life.note(&mut told, done.sender, done.answer);
        }
        (told, commands)
    }
}

fn holds_too_much(cluster: &Cluster, worker: &WorkerRecord) -> bool {
    let active = || cluster.tasks().filter_map(|task| task.active()).filter(|active| active.worker == worker.id);
    Kind::ALL
        .into_iter()
        .any(|kind| active().map(|active| active.allocation.amount(kind)).sum::<u64>() > worker.capacity.amount(kind))
}

/// Workers that must be given nothing by this event.
fn takes_no_work(cluster: &Cluster, event: &Event) -> BTreeSet<WorkerId> {
    match event {
        Event::Place(_) => {
            let idle = cluster.workers().filter(|worker| !worker.takes_work());
            idle.map(|worker| worker.id.clone()).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn duties(cluster: &Cluster) -> BTreeMap<WorkerId, Duty> {
    cluster.workers().map(|worker| (worker.id.clone(), worker.duty.clone())).collect()
}

fn deaf(cluster: &Cluster) -> BTreeSet<WorkerId> {
    cluster.workers().filter(|worker| worker.status == WorkerStatus::Deaf).map(|worker| worker.id.clone()).collect()
}

/// Counts workers that are found to hear nothing, and to hear again.
fn tally_deaf(context: &mut Context, before: &BTreeSet<WorkerId>, cluster: &Cluster) {
    for worker in cluster.workers() {
        match (before.contains(&worker.id), worker.status) {
            (false, WorkerStatus::Deaf) => context.count("worker turned deaf"),
            (true, status) if status.is_connected() => context.count("deaf worker heard again"),
            (true | false, _) => {}
        }
    }
}

/// Counts what became of the workers' duties.
fn tally_duties(context: &mut Context, before: &BTreeMap<WorkerId, Duty>, cluster: &Cluster) {
    for worker in cluster.workers() {
        let Some(old) = before.get(&worker.id).filter(|old| **old != worker.duty) else { continue };
        context.count(match (old, &worker.duty) {
            (Duty::Quarantined(Quarantine { probe: Probe::Sent(_) | Probe::Runs(..), .. }), Duty::Open) => {
                "probe opened its worker"
            }
            (_, Duty::Open) => "worker opened",
            (_, Duty::Cordoned(_)) => "worker cordoned",
            (_, duty @ Duty::Draining(_)) if duty.stops() => "deadline of a drain came",
            (_, Duty::Draining(_)) => "worker to be drained",
            (Duty::Quarantined(old), Duty::Quarantined(new)) if new.tries > old.tries => "probe failed",
            (Duty::Quarantined(_), Duty::Quarantined(_)) => "probe moved on",
            (_, Duty::Quarantined(_)) => "worker quarantined",
        });
    }
}

/// Counts what is worth knowing that it was reached.
fn tally(context: &mut Context, event: &Event, answer: &Result<Answer, Rejected>) {
    match (event, answer) {
        (_, Ok(Answer::Placed { refused, .. })) => {
            for (_, why) in refused {
                context.count(match why {
                    PlacementRefusal::Stale => "refused as stale",
                    PlacementRefusal::WorkerUnavailable => "refused as the worker takes no work",
                    PlacementRefusal::Pinned => "refused as pinned elsewhere",
                    PlacementRefusal::Unmet(_) => "refused as its needs are not met",
                    PlacementRefusal::Lack(_) => "refused as too large",
                    PlacementRefusal::Beside(_) => "refused as beside its kin",
                    PlacementRefusal::Gang => "refused as its gang starts together",
                });
            }
        }
        (Event::Remove(_), Ok(_)) => context.count("worker removed"),
        (Event::Remove(_), Err(Rejected::WorkerBusy { .. })) => context.count("busy worker not removed"),
        (_, Ok(Answer::Reconciled(found))) => {
            context.count("compared");
            for one in &found.differences {
                match one.wrong {
                    // Between a heartbeat and what follows from it; rare.
                    Wrong::Stray | Wrong::Missing => {}
                    Wrong::Leaked | Wrong::Unbooked | Wrong::Misbooked | Wrong::Miscounted => {
                        context.check.fail(format!("3.3.3: a comparison finds {one:?}"));
                    }
                }
            }
        }
        (Event::Admit(_), Ok(_)) => context.count("worker admitted"),
        (Event::Heartbeat(beat), Ok(_)) if beat.draining => context.count("worker drained"),
        (Event::Heartbeat(beat), Ok(_)) => match &beat.unfit {
            Some(Unfit::EngineAway(_)) => context.count("engine of a worker away"),
            Some(Unfit::DiskPressure(_)) => context.count("disk of a worker full"),
            None => {}
        },
        (Event::Cancel(_), Ok(_)) => context.count("cancelled"),
        (Event::SubmitJob(job), Ok(Answer::JobSubmitted { fresh, .. })) => tally_submission(context, job, *fresh),
        (Event::CancelJob(CancelJob { part: None, .. }), Ok(_)) => context.count("job cancelled"),
        (Event::CancelJob(CancelJob { part: Some(_), .. }), Ok(_)) => context.count("part of a job cancelled"),
        (Event::HoldJob(..), Ok(_)) => context.count("job held"),
        (Event::ReleaseJob(_), Ok(_)) => context.count("job released"),
        (Event::Ended(report), Err(Rejected::Superseded(_))) if report.outcome.exit_code.is_some() => {
            context.count("late result superseded");
        }
        _ => {}
    }
}

fn tally_submission(context: &mut Context, job: &NewJob, fresh: bool) {
    if !fresh {
        return context.count("job known by its key");
    }
    if job.plan.groups.iter().any(Group::is_gang) {
        context.count("gang submitted");
    }
    context.count(if job.held { "job submitted held" } else { "job submitted" });
    let mut needs = job.plan.groups.iter().flat_map(|group| &group.needs);
    if needs.any(|need| matches!(need.on, On::Task(_))) {
        context.count("job needs tasks of others");
    }
}

/// Counts how jobs end.
fn tally_job(context: &mut Context, job: &JobRecord) {
    let Some(end) = job.end else { return };
    context.count(match end.status {
        JobStatus::Completed => "job completed",
        JobStatus::Failed => "job failed",
        JobStatus::Cancelled | JobStatus::Held | JobStatus::Queued | JobStatus::Running | JobStatus::Cancelling => {
            "job ended as cancelled"
        }
    });
    if matches!(job.stop, Some(Stop::TooManyFailed { .. })) {
        context.count("job stopped by its failures");
    }
    if !job.dropped.is_empty() {
        context.count("tasks cancelled before they had records");
    }
}

/// Counts what tasks come to by themselves or by a hold, and jobs in the end.
fn tally_row(context: &mut Context, row: &Row, ticks: bool, releases: bool) {
    if let Row::Job(job, _) = row {
        return tally_job(context, job);
    }
    let Row::Task(task) = row else { return };
    match &task.state {
        State::Queued(queued) if queued.phase == Phase::Held && task.version == 1 => {
            context.count("held at submission")
        }
        State::Queued(queued) if queued.phase == Phase::Held => context.count("held"),
        State::Queued(_) if releases => context.count("released"),
        State::Queued(_) if ticks && task.number() == 0 && task.version > 1 => context.count("start time came"),
        State::Finished(end) if end.reason == Some(Reason::QueueTimeout) => context.count("queue time over"),
        State::Finished(end) if ticks && end.reason == Some(Reason::TimedOut) => {
            context.count("total time over while it waited");
        }
        State::Queued(queued)
            if queued.reason == Some(Reason::Drained) && queued.message.contains("never began it") =>
        {
            context.count("taken back from a deaf worker");
        }
        State::Queued(queued) if queued.reason == Some(Reason::Drained) && queued.phase == Phase::WaitingCapacity => {
            context.count("attempt drained");
        }
        State::Queued(queued) if queued.reason == Some(Reason::Preempted) && queued.phase == Phase::WaitingCapacity => {
            context.count("attempt preempted");
        }
        State::Queued(queued) if queued.phase == Phase::Backoff && queued.reason == Some(Reason::ExitCode) => {
            context.count("program tried again");
        }
        State::Finished(end) if end.dead => context.count("retries used up"),
        State::Active(_) if ticks && task.overdue.is_some() => context.count("total time over on a worker"),
        State::Queued(_) | State::Active(_) | State::Finished(_) => {}
    }
}

impl Life {
    /// What an answer makes of its sender's wait.
    fn note(&self, told: &mut Vec<Told>, origin: Origin, answer: Result<Answer, Rejected>) {
        match (origin, answer) {
            (Origin::Register(Caller { worker, life }, id, call), Ok(Answer::Registered(session))) => {
                told.push(Told::Granted(id, session));
                let word = Word::Registered { life, call, session, incarnation: self.incarnation, term: self.term };
                told.push(Told::Message(Message::Worker(worker, word)));
            }
            (Origin::Ended(Caller { worker, life }, id, of), answer) => {
                // A refusal is an answer too: the worker may forget the attempt.
                let sent = if let Ok(Answer::Ended { sent }) = answer {
                    told.push(Told::Accepted(of.attempt));
                    sent
                } else {
                    self.cluster.sent(&id)
                };
                told.push(Told::Message(Message::Worker(worker, Word::Acknowledged { life, of, sent })));
            }
            (Origin::Submit(submission), Ok(Answer::Submitted(tasks))) => {
                for submitted in tasks {
                    let reply = Reply::Submitted { submission, task: submitted.id };
                    told.push(Told::Message(Message::Client(reply)));
                }
            }
            (Origin::Submit(submission), Err(_)) => {
                told.push(Told::Message(Message::Client(Reply::Refused { submission })));
            }
            (Origin::Release(task), _) => told.push(Told::Message(Message::Client(Reply::Released { task }))),
            (Origin::Cancel(task), _) => told.push(Told::Message(Message::Client(Reply::Cancelled { task }))),
            (Origin::SubmitJob(submission), Ok(Answer::JobSubmitted { id: job, .. })) => {
                told.push(Told::Message(Message::Client(Reply::JobSubmitted { submission, job })));
            }
            (Origin::SubmitJob(submission), Err(_)) => {
                told.push(Told::Message(Message::Client(Reply::JobRefused { submission })));
            }
            (Origin::CancelJob(job, part), _) => {
                told.push(Told::Message(Message::Client(Reply::JobCancelled { job, part })));
            }
            (Origin::ReleaseJob(job), _) => told.push(Told::Message(Message::Client(Reply::JobReleased { job }))),
            _ => {}
        }
    }
}
