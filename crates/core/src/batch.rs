//! Events that are committed together.
//!
//! A single writer applies some events, stores all their rows at once and only then tells anybody
//! anything. The master's engine and the simulator's are both built on this.

use crate::cluster::Cluster;
use crate::effect::{Dispatch, Effect, Row};
use crate::event::{Answer, Event, Rejected};
use crate::ids::{Attempt, JobId, TaskId, WorkerId};
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// A pause of the master longer than this is nobody else's silence (SPEC 3.3.4): it is told to the
/// cluster as [`Event::Paused`].
pub const PAUSE: Duration = Duration::from_secs(2);

/// Applied events, not yet committed; `S` says who sent one.
#[derive(Debug)]
pub struct Batch<S> {
    now: Timestamp,
    events: Vec<Done<S>>,
    /// Every change, in order, with the number of its event.
    rows: Vec<(Row, usize)>,
    /// Of the rows, about.
    bytes: usize,
    commands: Vec<Dispatch>,
}

/// An event that was applied.
#[derive(Debug)]
pub struct Done<S> {
    /// Kept to be applied again if another row of the batch is refused.
    pub event: Event,
    /// Who sent it.
    pub sender: S,
    /// What to answer once the batch is stored.
    pub answer: Result<Answer, Rejected>,
}

impl<S> Batch<S> {
    /// Nothing yet.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self { now, events: Vec::new(), rows: Vec::new(), bytes: 0, commands: Vec::new() }
    }

    /// The time at which its events are applied.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// What was applied, in order.
    #[must_use]
    pub fn events(&self) -> &[Done<S>] {
        &self.events
    }

    /// Every change in order, those that later ones replace included.
    #[must_use]
    pub fn changes(&self) -> &[(Row, usize)] {
        &self.rows
    }

    /// The tasks among these changes.
    #[must_use]
    pub fn tasks(&self) -> BTreeSet<TaskId> {
        let of = |(row, _): &(Row, usize)| match row {
            Row::Task(task) => Some(task.id),
            Row::TaskRemoved(id, _) => Some(*id),
            Row::Worker(_)
            | Row::WorkerRemoved(_)
            | Row::Outputs(..)
            | Row::Job(..)
            | Row::JobPlanned(..)
            | Row::JobRemoved(_) => None,
        };
        self.rows.iter().filter_map(of).collect()
    }

    /// The jobs among these changes.
    #[must_use]
    pub fn jobs(&self) -> BTreeSet<JobId> {
        let of = |(row, _): &(Row, usize)| match row {
            Row::Job(job, _) => Some(job.id),
            Row::JobPlanned(id, _) | Row::JobRemoved(id) => Some(*id),
            Row::Task(_) | Row::TaskRemoved(..) | Row::Worker(_) | Row::WorkerRemoved(_) | Row::Outputs(..) => None,
        };
        self.rows.iter().filter_map(of).collect()
    }

    /// About how many bytes all these changes have.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Applies an event; answers what it brought about.
    pub fn apply(&mut self, cluster: &mut Cluster, event: Event, sender: S) -> &Done<S> {
        let index = self.events.len();
        let answer = cluster.apply(self.now, event.clone()).map(|applied| {
            for effect in applied.effects {
                match effect {
                    Effect::Save(row) => {
                        self.bytes += row.weight();
                        self.rows.push((row, index));
                    }
                    Effect::Send(dispatch) => self.commands.push(dispatch),
                }
            }
            applied.answer
        });
        self.events.push(Done { event, sender, answer });
        &self.events[index]
    }

    /// The newest version of everything that changed, in order: what is to be stored.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        self.newest().map(|(row, _)| row.clone()).collect()
    }

    fn newest(&self) -> impl Iterator<Item = &(Row, usize)> {
        let places = self.rows.iter().enumerate().map(|(place, (row, _))| (About::of(row), place));
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        let replaced = places.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[0].1);
        let mut replaced: Vec<usize> = replaced.collect();
        replaced.sort_unstable();
        let mut replaced = replaced.into_iter().peekable();
        let kept = self.rows.iter().enumerate().filter(move |(place, _)| replaced.next_if_eq(place).is_none());
        kept.map(|(_, row)| row)
    }

    /// The events without the one that made one of the [`Self::rows`], to be applied again to a
    /// cluster that was loaded anew; and that one.
    #[must_use]
    pub fn without(self, row: usize) -> (Vec<Done<S>>, Option<Done<S>>) {
        let culprit = self.newest().nth(row).map_or(0, |(_, event)| *event);
        let mut events = self.events;
        let taken = (culprit < events.len()).then(|| events.remove(culprit));
        (events, taken)
    }

    /// What is to be told once it is stored: answers to senders, then commands to workers.
    #[must_use]
    pub fn into_told(self) -> (Vec<Done<S>>, Vec<Dispatch>) {
        (self.events, self.commands)
    }
}

/// What a row is about: a later row of the same thing replaces an earlier one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum About<'a> {
    Task(TaskId),
    Worker(&'a WorkerId),
    /// Kept beside a later row of the worker: one that comes again begins at version 1, which a
    /// store would take for old if the removal were not before it.
    Removed(&'a WorkerId),
    Outputs(Attempt),
    /// Kept beside an earlier row of the task: a store must have seen it end.
    TaskRemoved(TaskId),
    Job(JobId),
    JobPlanned(JobId),
    /// Kept beside an earlier row of the job, as that of a task.
    JobRemoved(JobId),
}

impl<'a> About<'a> {
    fn of(row: &'a Row) -> Self {
        match row {
            Row::Task(task) => Self::Task(task.id),
            Row::Worker(worker) => Self::Worker(&worker.id),
            Row::WorkerRemoved(id) => Self::Removed(id),
            Row::Outputs(attempt, _) => Self::Outputs(*attempt),
            Row::TaskRemoved(id, _) => Self::TaskRemoved(*id),
            Row::Job(job, _) => Self::Job(job.id),
            Row::JobPlanned(id, _) => Self::JobPlanned(*id),
            Row::JobRemoved(id) => Self::JobRemoved(*id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Start;
    use crate::event::NewTask;
    use crate::spec::TaskSpec;
    use crate::timing::Timing;
    use std::sync::Arc;

    fn submit(ids: std::ops::Range<u128>) -> Event {
        let task = |id| NewTask {
            id: TaskId::new(id),
            owner: "ann".parse().unwrap(),
            job: None,
            depends_on: Vec::new(),
            retry_of: None,
            spec: Arc::new(TaskSpec::of_image("busybox:1").unwrap()),
        };
        Event::Submit(ids.map(task).collect())
    }

    fn cancel(id: u128) -> Event {
        Event::Cancel(crate::event::Cancel { task: TaskId::new(id), by: "ann".parse().unwrap() })
    }

    fn batch(events: impl IntoIterator<Item = Event>) -> Batch<usize> {
        let now = Timestamp::from_millis(1_000_000);
        let mut cluster = Cluster::new(Timing::default(), Start::default(), now);
        let mut batch = Batch::new(now);
        for (sender, event) in events.into_iter().enumerate() {
            batch.apply(&mut cluster, event, sender);
        }
        batch
    }

    #[test]
    fn a_batch_weighs_what_its_users_wrote() {
        let large = |event| {
            let Event::Submit(mut tasks) = event else { panic!("no submission: {event:?}") };
            let spec = Arc::make_mut(&mut tasks[0].spec);
            spec.container.command = vec!["x".repeat(100_000)];
            Event::Submit(tasks)
        };
        let (one, both) = (batch([submit(0..1)]).bytes(), batch([submit(0..1), large(submit(1..2))]).bytes());
        assert!(one < 1000 && (100_000..102_000).contains(&(both - one)), "{one} {both}");
        assert!(
            batch([large(submit(1..2)), cancel(1)]).bytes() > 200_000,
            "each version is written until it is replaced"
        );
    }

    #[test]
    fn of_several_versions_of_a_task_only_the_newest_is_stored() {
        let batch = batch([submit(1..4), cancel(2), submit(4..6)]);
        assert_eq!(batch.changes().len(), 6);
        let rows = batch.rows();
        let tasks = rows.iter().filter_map(|row| if let Row::Task(task) = row { Some(task) } else { None });
        let stored: Vec<_> = tasks.map(|task| (task.id.ulid(), task.status().is_final())).collect();
        assert_eq!(stored, [(1, false), (3, false), (2, true), (4, false), (5, false)]);
    }

    #[test]
    fn the_event_of_a_refused_row_is_taken_out_alone() {
        let batch = batch([submit(1..4), cancel(2), submit(4..6)]);
        let (rest, culprit) = batch.without(2);
        assert_eq!(rest.iter().map(|done| done.sender).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(culprit.map(|done| done.event), Some(cancel(2)));
    }
}
