//! The rules of jobs, held against the rows that become durable: no task begins before what it needs allows that, no
//! more of an array live at once than may, those of a gang begin together, and what a job's record tells of its tasks is
//! what theirs tell.
//!
//! What became of tasks that never had a record is worked out here anew each time, from plans and records alone.

use crate::store::Rows;
use cloudai_core::effect::Row;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::{Counts, Fate, GroupProgress, Groups, JobPlan, JobRecord, JobStatus, Need, On, Place, Stop};
use cloudai_core::state::Status;
use cloudai_core::task::{DependsWhen, TaskRecord};
use cloudai_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is stored, as far as these rules ask for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    plans: BTreeMap<JobId, Arc<JobPlan>>,
    records: BTreeMap<JobId, Arc<JobRecord>>,
    /// How far groups are, as it came with the records. No store keeps it of a job that goes on: when the data are
    /// exchanged it is not known until the job changes.
    groups: BTreeMap<JobId, Groups>,
    /// Where every task stands that has a record.
    tasks: BTreeMap<TaskId, Status>,
    /// Of members of gangs that have a place and that nothing stops, since when.
    given: BTreeMap<TaskId, Timestamp>,
}

/// What became of something that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Completed,
    Failed,
    Cancelled,
    NotNeeded,
}

/// Where the tasks of a group stand.
#[derive(Debug, Default)]
struct Tally {
    /// Those with a record.
    with: GroupProgress,
    /// Cancelled before they had one.
    dropped: u32,
    /// Without one for another reason.
    rest: u32,
}

impl Jobs {
    /// What is in a store.
    pub(super) fn of(store: &Rows) -> Self {
        let mut jobs = Self {
            plans: store.jobs.plans.clone(),
            records: store.jobs.records.clone(),
            groups: store.jobs.ends.clone(),
            tasks: store.tasks.iter().map(|(id, task)| (*id, task.status())).collect(),
            given: BTreeMap::new(),
        };
        store.tasks.values().for_each(|task| jobs.note_place(task));
        jobs
    }

    /// Keeps in mind since when a member of a gang has its place.
    fn note_place(&mut self, task: &TaskRecord) {
        let group = task.job.and_then(|id| self.plans.get(&id)?.group(id.group_of(task.id)?));
        if !group.is_some_and(|group| group.is_gang()) {
            return;
        }
        let goes_on = task.active().is_some() && task.evicted().is_none() && !task.is_stopping();
        self.given.remove(&task.id);
        let since = task.attempts.last().filter(|_| goes_on).map(|attempt| (task.id, attempt.assigned_at));
        self.given.extend(since);
    }

    /// Those of a gang that have places got them together.
    fn started_together(&self, id: JobId) -> Result<(), String> {
        let Some((_, plan)) = self.job(id) else { return Ok(()) };
        for (_, number) in plan.groups.iter().zip(0..).filter(|(group, _)| group.is_gang()) {
            let array = id.group(number);
            let mut given = self.given.range(array..=array.element(u32::MAX));
            let Some((first, at)) = given.next() else { continue };
            if let Some((other, later)) = given.find(|(_, other)| *other != at) {
                return Err(format!("6: {first} has its place since {at}, {other} of its gang since {later}"));
            }
        }
        Ok(())
    }

    /// Takes in rows that become durable together, in order.
    /// # Errors
    /// The rule that is broken.
    pub(super) fn commit(&mut self, rows: &[&Row]) -> Result<(), String> {
        let mut touched = BTreeSet::new();
        for row in rows {
            touched.extend(self.apply(row)?);
        }
        for (place, task) in rows.iter().enumerate().filter_map(|(place, row)| Some((place, birth(row)?))) {
            begins_in_time(task, &rows[place..])?;
            self.may_run(task.id)?;
        }
        for id in &touched {
            self.started_together(*id)?;
        }
        touched.into_iter().try_for_each(|id| self.agrees(id))
    }

    /// Answers the job that the row is about, if any.
    fn apply(&mut self, row: &Row) -> Result<Option<JobId>, String> {
        match row {
            Row::Task(task) => {
                self.tasks.insert(task.id, task.status());
                self.note_place(task);
                Ok(task.job)
            }
            Row::Job(job, groups) => {
                self.is_next(job)?;
                self.records.insert(job.id, Arc::clone(job));
                self.groups.insert(job.id, groups.clone());
                Ok(Some(job.id))
            }
            Row::JobPlanned(id, plan) => match self.plans.insert(*id, Arc::clone(plan)) {
                Some(_) => Err(format!("{id} is planned twice")),
                None => Ok(None),
            },
            Row::JobRemoved(id) => {
                self.plans.remove(id);
                self.records.remove(id);
                self.groups.remove(id);
                Ok(None)
            }
            Row::TaskRemoved(id, _) => {
                self.tasks.remove(id);
                self.given.remove(id);
                Ok(None)
            }
            Row::Worker(_) | Row::WorkerRemoved(_) | Row::Outputs(..) => Ok(None),
        }
    }

    /// A version of a job follows the one that is stored.
    fn is_next(&self, job: &JobRecord) -> Result<(), String> {
        let id = job.id;
        match self.records.get(&id) {
            None if job.version != 1 => Err(format!("3.3.1: {id} begins with version {}", job.version)),
            None if !self.plans.contains_key(&id) => Err(format!("3.3.1: {id} has no plan")),
            None => self.is_fresh(job),
            Some(before) if before.end.is_some() => Err(format!("3.2: {id} changes after its end")),
            Some(before) if job.version != before.version + 1 => {
                Err(format!("3.3.1: {id} goes from version {} to {}", before.version, job.version))
            }
            Some(before) if (before.order, before.tasks, &before.owner) != (job.order, job.tasks, &job.owner) => {
                Err(format!("{id} forgets its order, its size or its owner"))
            }
            Some(before) if before.stop.is_some() && before.stop != job.stop => {
                Err(format!("3.3.7: {id} goes on after it was stopped"))
            }
            Some(_) => Ok(()),
        }
    }

    /// A new job has a key and submission orders of its own.
    fn is_fresh(&self, job: &JobRecord) -> Result<(), String> {
        let id = job.id;
        for other in self.records.values() {
            let same = job.idempotency_key.is_some() && other.idempotency_key == job.idempotency_key;
            if same && other.owner == job.owner {
                return Err(format!("3.3.1: {id} has the idempotency key of {}", other.id));
            }
            if job.order <= other.last_order() && other.order <= job.last_order() {
                return Err(format!("3.3.1: {id} has submission orders of {}", other.id));
            }
        }
        Ok(())
    }

    fn job(&self, id: JobId) -> Option<(&JobRecord, &JobPlan)> {
        Some((&**self.records.get(&id)?, &**self.plans.get(&id)?))
    }

    /// The job and the group of a task, or of an array.
    fn group_with(&self, task: TaskId) -> Option<(JobId, u32)> {
        let (id, record) = self.records.range(..JobId::new(task.ulid())).next_back()?;
        id.group_of(task).filter(|group| *group < record.groups).map(|group| (*id, group))
    }

    fn tally(&self, id: JobId, group: u32) -> Tally {
        let mut tally = Tally::default();
        let Some((record, plan)) = self.job(id) else { return tally };
        let dropped = record.dropped_of(group).map(|dropped| &dropped.ordinals);
        for ordinal in 0..plan.group(group).map_or(0, |group| group.count()) {
            match self.tasks.get(&plan.task_id(id, Place { group, ordinal })) {
                Some(status) => tally.with.count_one(ordinal, *status),
                None if dropped.is_some_and(|dropped| dropped.contains(ordinal)) => tally.dropped += 1,
                None => tally.rest += 1,
            }
        }
        tally
    }

    /// Why those of a group never get a record that have none and were not dropped; none while they may. What was
    /// without one when its job was stopped is told by the row with which it was.
    fn fate(&self, id: JobId, group: u32) -> Option<Fate> {
        let (record, plan) = self.job(id)?;
        if record.stop.is_some() {
            return self.groups.get(&id)?.get(group)?.fate;
        }
        let needs = &plan.group(group)?.needs;
        if needs.iter().any(|need| need.when == DependsWhen::Success && self.has_failed(id, need.on)) {
            return Some(Fate::Failed);
        }
        let mut verdict = None;
        for Need { on, when } in needs {
            let fate = fate_by(self.outcome(id, *on)?, *when);
            verdict = verdict.into_iter().chain(fate).min();
        }
        verdict
    }

    /// Whether something can not succeed any more because of a failure, though some of it may go on.
    fn has_failed(&self, id: JobId, on: On) -> bool {
        match on {
            On::Task(_) => self.outcome(id, on) == Some(Outcome::Failed),
            On::Group(group) => {
                let tally = self.tally(id, group);
                tally.with.failed > 0 || (tally.rest > 0 && self.fate(id, group) == Some(Fate::Failed))
            }
        }
    }

    /// What became of something that a job needs; none while it goes on.
    fn outcome(&self, id: JobId, on: On) -> Option<Outcome> {
        let task = match on {
            On::Group(group) => return self.of_group(id, group),
            On::Task(task) => task,
        };
        if let Some(status) = self.tasks.get(&task) {
            return by_status(*status);
        }
        let (id, group) = self.group_with(task)?;
        let (record, plan) = self.job(id)?;
        let dropped = |ordinal| record.dropped_of(group).is_some_and(|gone| gone.ordinals.contains(ordinal));
        match plan.place_of(id, task) {
            Some(place) if dropped(place.ordinal) => Some(Outcome::Cancelled),
            Some(_) => self.fate(id, group).and_then(|fate| by_status(fate.status())),
            // Others do not see whether it was not needed.
            None => Some(match self.of_group(id, group)? {
                Outcome::NotNeeded => Outcome::Cancelled,
                outcome @ (Outcome::Completed | Outcome::Failed | Outcome::Cancelled) => outcome,
            }),
        }
    }

    fn of_group(&self, id: JobId, group: u32) -> Option<Outcome> {
        let tally = self.tally(id, group);
        if tally.with.live() > 0 {
            return None;
        }
        let fate = if tally.rest > 0 { Some(self.fate(id, group)?) } else { None };
        Some(match fate {
            _ if tally.with.failed > 0 => Outcome::Failed,
            Some(Fate::Failed) => Outcome::Failed,
            Some(Fate::NotNeeded) => Outcome::NotNeeded,
            Some(Fate::Cancelled | Fate::Stopped) => Outcome::Cancelled,
            None if tally.with.cancelled + tally.dropped > 0 => Outcome::Cancelled,
            None => Outcome::Completed,
        })
    }

    /// All that a task of a job needs has ended as it must.
    /// # Errors
    /// The rule that is broken.
    pub(super) fn may_run(&self, task: TaskId) -> Result<(), String> {
        let Some((id, number)) = self.group_with(task) else { return Ok(()) };
        let group = self.job(id).and_then(|(_, plan)| plan.group(number));
        for Need { on, when } in group.into_iter().flat_map(|group| &group.needs) {
            let outcome = self.outcome(id, *on);
            let met = match (when, outcome) {
                (_, None) => false,
                (DependsWhen::Any, Some(_)) => true,
                (DependsWhen::Success, Some(outcome)) => outcome == Outcome::Completed,
                (DependsWhen::Failure, Some(outcome)) => matches!(outcome, Outcome::Failed | Outcome::Cancelled),
            };
            if !met {
                return Err(format!("6: {task} begins and needs {on:?} for {when:?}, of which is known {outcome:?}"));
            }
        }
        Ok(())
    }

    /// A job's record tells of its tasks what their records tell.
    fn agrees(&self, id: JobId) -> Result<(), String> {
        let Some((record, plan)) = self.job(id) else { return Ok(()) };
        let (mut counts, mut open, mut cancelled) = (Counts::default(), 0, false);
        for (group, number) in plan.groups.iter().zip(0..) {
            let tally = self.tally(id, number);
            let fate = if tally.rest > 0 { self.fate(id, number) } else { None };
            self.group_agrees((id, number), &tally, fate)?;
            let at_once = group.elements.as_ref().and_then(|elements| elements.at_once);
            if at_once.is_some_and(|most| tally.with.live() > most) {
                return Err(format!("6: {} of group {number} of {id} live at once", tally.with.live()));
            }
            let Tally { with, dropped, rest } = tally;
            let of_fate = |status: Status| if fate.is_some_and(|fate| fate.status() == status) { rest } else { 0 };
            counts.pending += u64::from(with.pending);
            counts.running += u64::from(with.running);
            counts.completed += u64::from(with.completed);
            counts.failed += u64::from(with.failed + of_fate(Status::Failed));
            counts.cancelled += u64::from(with.cancelled + dropped + of_fate(Status::Cancelled));
            open += with.live() + if fate.is_none() { rest } else { 0 };
            let unneeded = fate == Some(Fate::NotNeeded);
            cancelled |= with.cancelled + dropped > 0 || (of_fate(Status::Cancelled) > 0 && !unneeded);
        }
        if counts != record.counts {
            return Err(format!("6: {id} tells {:?} of its tasks, they tell {counts:?}", record.counts));
        }
        match (record.end, open) {
            (None, 1..) => Ok(()),
            (None, 0) => Err(format!("6: {id} lives though all of it has ended")),
            (Some(_), 1..) => Err(format!("6: {id} has ended and {open} of its tasks have not")),
            (Some(end), 0) if end.status == status_of(record, cancelled) => Ok(()),
            (Some(end), 0) => Err(format!("6: {id} ends as {} with {counts:?}", end.status)),
        }
    }

    /// What a job's row tells of a group is what its tasks tell.
    fn group_agrees(&self, (id, number): (JobId, u32), tally: &Tally, fate: Option<Fate>) -> Result<(), String> {
        let Some(told) = self.groups.get(&id).and_then(|groups| groups.get(number)) else { return Ok(()) };
        let face = |group: &GroupProgress| {
            let ended = [group.completed, group.failed, group.cancelled];
            ([group.born, group.queued, group.pending, group.running], ended)
        };
        let gone = tally.dropped + if fate.is_some() { tally.rest } else { 0 };
        if face(told) != face(&tally.with) || (told.gone, told.fate) != (gone, fate) {
            return Err(format!("6: {id} tells {told:?} of its group {number}, its tasks tell {tally:?} and {fate:?}"));
        }
        Ok(())
    }

    /// Every job is over.
    /// # Errors
    /// The rule that is broken.
    pub(super) fn finale(&self) -> Result<(), String> {
        let open = |job: &&Arc<JobRecord>| job.end.is_none() || job.counts.ended() != job.tasks;
        self.records.values().find(open).map_or(Ok(()), |job| Err(format!("6: {job:?} is not over")))
    }
}

/// How a job counts of which all has ended.
fn status_of(record: &JobRecord, cancelled: bool) -> JobStatus {
    match (record.counts.failed > 0, &record.stop) {
        (true, Some(Stop::Cancelled { .. })) => JobStatus::Cancelled,
        (true, Some(Stop::TooManyFailed { .. }) | None) => JobStatus::Failed,
        (false, _) if cancelled => JobStatus::Cancelled,
        (false, _) => JobStatus::Completed,
    }
}

/// The task of a job that gets its record by a row.
fn birth(row: &Row) -> Option<&TaskRecord> {
    match row {
        Row::Task(task) if task.version == 1 && task.job.is_some() => Some(task),
        Row::Task(_)
        | Row::Worker(_)
        | Row::WorkerRemoved(_)
        | Row::Outputs(..)
        | Row::TaskRemoved(..)
        | Row::Job(..)
        | Row::JobPlanned(..)
        | Row::JobRemoved(_) => None,
    }
}

/// A task gets its record only while its job is neither held nor closed: the job's row comes behind those of its tasks.
fn begins_in_time(task: &TaskRecord, rows: &[&Row]) -> Result<(), String> {
    let of_job = rows.iter().find_map(|row| match row {
        Row::Job(job, _) if task.job == Some(job.id) => Some(job),
        _ => None,
    });
    match of_job {
        None => Err(format!("6: {} begins and its job tells nothing of it", task.id)),
        Some(job) if job.is_closed() => Err(format!("3.3.7: {} begins though its job is stopped", task.id)),
        Some(job) if job.held.is_some() => Err(format!("6: {} begins though its job is held", task.id)),
        Some(_) => Ok(()),
    }
}

const fn by_status(status: Status) -> Option<Outcome> {
    match status {
        Status::Completed => Some(Outcome::Completed),
        Status::Failed => Some(Outcome::Failed),
        Status::Cancelled => Some(Outcome::Cancelled),
        Status::Queued | Status::Pending | Status::Running => None,
    }
}

/// What such an end makes of what waits for another; nothing where it is as it must.
const fn fate_by(outcome: Outcome, when: DependsWhen) -> Option<Fate> {
    match (when, outcome) {
        (DependsWhen::Success, Outcome::Failed) => Some(Fate::Failed),
        (DependsWhen::Success, Outcome::Cancelled) => Some(Fate::Cancelled),
        (DependsWhen::Success, Outcome::NotNeeded)
        | (DependsWhen::Failure, Outcome::Completed | Outcome::NotNeeded) => Some(Fate::NotNeeded),
        (DependsWhen::Any, _)
        | (DependsWhen::Success, Outcome::Completed)
        | (DependsWhen::Failure, Outcome::Failed | Outcome::Cancelled) => None,
    }
}
