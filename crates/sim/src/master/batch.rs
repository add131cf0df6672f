//! Events that are committed together, as the real engine keeps them until they are.

use super::{Life, Origin, Told};
use crate::context::{Context, say};
use crate::master::words::{short, short_answer};
use crate::network::{Caller, Message, Reply, Word};
use cloudai_core::cluster::Cluster;
use cloudai_core::effect::{Dispatch, Effect, Row};
use cloudai_core::event::{Answer, Event, PlacementRefusal, Rejected};
use cloudai_core::ids::{Attempt, TaskId, WorkerId};
use cloudai_core::resources::Kind;
use cloudai_core::time::Timestamp;
use cloudai_core::worker::{WorkerRecord, WorkerStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Applied events, not yet committed.
#[derive(Debug)]
pub(super) struct Batch {
    /// The time at which its events are applied.
    pub(super) now: Timestamp,
    events: Vec<Applied>,
    rows: Vec<(Row, usize)>,
    commands: Vec<Dispatch>,
    /// How long the next try waits if this one finds no store.
    pub(super) wait: Duration,
}

#[derive(Debug)]
struct Applied {
    /// Kept to be applied again if another row of the batch is refused.
    event: Event,
    origin: Origin,
    answer: Result<Answer, Rejected>,
}

impl Batch {
    pub(super) const fn new(now: Timestamp, wait: Duration) -> Self {
        Self { now, events: Vec::new(), rows: Vec::new(), commands: Vec::new(), wait }
    }

    pub(super) fn apply(&mut self, context: &mut Context, cluster: &mut Cluster, event: Event, origin: Origin) {
        let (index, words) = (self.events.len(), short(&event));
        let refused_workers = takes_no_work(cluster, &event);
        let result = cluster.apply(self.now, event.clone());
        let says =
            result.as_ref().map_or_else(|why| format!("rejected, {why:?}"), |applied| short_answer(&applied.answer));
        say!(context, "master applies {words}: {says}");
        context.check.invariants(cluster);
        let answer = result.map(|applied| {
            context.check.effects_are_few(&applied.effects);
            context.check.placed_on_active(&applied.effects, &refused_workers);
            for effect in applied.effects {
                match effect {
                    Effect::Save(row) => self.rows.push((row, index)),
                    Effect::Send(dispatch) => self.commands.push(dispatch),
                }
            }
            applied.answer
        });
        tally(context, &event, &answer);
        if matches!(event, Event::Register(_)) && cluster.workers().any(|worker| holds_too_much(cluster, worker)) {
            context.count("worker holds more than it has");
        }
        self.events.push(Applied { event, origin, answer });
    }

    /// Every change, in order.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().map(|(row, _)| row)
    }

    /// The newest version of everything that changed.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.newest().map(|(row, _)| row.clone()).collect()
    }

    /// Which event made one of the [`Self::rows`].
    pub(super) fn culprit(&self, row: usize) -> usize {
        self.newest().nth(row).map_or(0, |(_, event)| *event)
    }

    fn newest(&self) -> impl Iterator<Item = &(Row, usize)> {
        let last: BTreeMap<About, usize> =
            self.rows.iter().enumerate().map(|(at, (row, _))| (About::of(row), at)).collect();
        let keep: BTreeSet<usize> = last.into_values().collect();
        self.rows.iter().enumerate().filter(move |(at, _)| keep.contains(at)).map(|(_, row)| row)
    }

    /// The batch without one event, applied to a cluster that was loaded again. The sender of a
    /// submission hears of it at once; a worker hears nothing and tells again.
    pub(super) fn without(self, context: &mut Context, culprit: usize, cluster: &mut Cluster) -> (Self, Origin) {
        let mut again = Self::new(self.now, self.wait);
        let mut sender = Origin::Nobody;
        for (index, done) in self.events.into_iter().enumerate() {
            if index == culprit {
                say!(context, "store refuses {}", short(&done.event));
                sender = done.origin;
            } else {
                again.apply(context, cluster, done.event, done.origin);
            }
        }
        (again, sender)
    }

    /// Whether the answer to a round of the strategy is among the answers.
    pub(super) fn has_round(&self) -> bool {
        self.events.iter().any(|done| matches!(done.origin, Origin::Round))
    }

    /// What is to be told once it is stored: answers, then commands.
    pub(super) fn into_told(self, life: &Life) -> (Vec<Told>, Vec<Dispatch>) {
        let mut told = Vec::new();
        for done in self.events {
            life.note(&mut told, done.origin, done.answer);
        }
        (told, self.commands)
    }
}

/// What a row is about: a later row of the same thing replaces an earlier one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Task(TaskId),
    Worker(WorkerId),
    Removed(WorkerId),
    Outputs(Attempt),
}

impl About {
    fn of(row: &Row) -> Self {
        match row {
            Row::Task(task) => Self::Task(task.id),
            Row::Worker(worker) => Self::Worker(worker.id.clone()),
            Row::WorkerRemoved(id) => Self::Removed(id.clone()),
            Row::Outputs(attempt, _) => Self::Outputs(*attempt),
        }
    }
}

fn holds_too_much(cluster: &Cluster, worker: &WorkerRecord) -> bool {
    let active = || cluster.tasks().filter_map(|task| task.active()).filter(|active| active.worker == worker.id);
    [Kind::Cpu, Kind::Memory, Kind::Storage, Kind::Gpu]
        .into_iter()
        .any(|kind| active().map(|active| active.allocation.amount(kind)).sum::<u64>() > worker.capacity.amount(kind))
}

/// Workers that must be given nothing by this event.
fn takes_no_work(cluster: &Cluster, event: &Event) -> BTreeSet<WorkerId> {
    match event {
        Event::Place(_) => {
            let idle = cluster.workers().filter(|worker| worker.status != WorkerStatus::Active);
            idle.map(|worker| worker.id.clone()).collect()
        }
        _ => BTreeSet::new(),
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
                    PlacementRefusal::Lack(_) => "refused as too large",
                });
            }
        }
        (Event::Remove(_), Ok(_)) => context.count("worker removed"),
        (Event::Remove(_), Err(Rejected::WorkerBusy { .. })) => context.count("busy worker not removed"),
        (Event::Admit(_), Ok(_)) => context.count("worker admitted"),
        (Event::Heartbeat(beat), Ok(_)) if beat.draining => context.count("worker drained"),
        (Event::Cancel(_), Ok(_)) => context.count("cancelled"),
        (Event::Ended(report), Err(Rejected::Superseded(_))) if report.outcome.exit_code.is_some() => {
            context.count("late result superseded");
        }
        _ => {}
    }
}

impl Life {
    /// What an answer makes of its sender's wait.
    fn note(&self, told: &mut Vec<Told>, origin: Origin, answer: Result<Answer, Rejected>) {
        match (origin, answer) {
            (Origin::Register(Caller { worker, life }, id, call), Ok(Answer::Registered(session))) => {
                told.push(Told::Granted(id, session));
                let word = Word::Registered { life, call, session, term: self.term };
                told.push(Told::Message(Message::Worker(worker, word)));
            }
            (Origin::Ended(Caller { worker, life }, id, attempt), answer) => {
                // A refusal is an answer too: the worker may forget the attempt.
                let sent = if let Ok(Answer::Ended { sent }) = answer {
                    told.push(Told::Accepted(attempt));
                    sent
                } else {
                    self.cluster.sent(&id)
                };
                told.push(Told::Message(Message::Worker(worker, Word::Acknowledged { life, attempt, sent })));
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
            (Origin::Cancel(task), _) => told.push(Told::Message(Message::Client(Reply::Cancelled { task }))),
            _ => {}
        }
    }
}
