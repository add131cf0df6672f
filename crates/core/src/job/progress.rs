//! How far a job is: what follows from its plan and from what became of those of its tasks that have records.
//!
//! The cluster decides by it what may be placed next; the read model shows by it what has no record yet; a master that
//! starts builds it anew from what the store has. It is the same whichever way it came about.

use super::shape::Shape;
use super::{Counts, Done, Dropped, Groups, JobPlan, JobRecord, JobStatus, Place, Ranges};
use crate::ids::TaskId;
use crate::planted::{self, Fault};
use crate::state::Status;
use crate::task::DependsWhen;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// So many elements of an array have records and wait for a place at a time: more than a round of a strategy places,
/// few enough that an array of a million takes no room while it waits.
const WINDOW: u32 = 2048;

/// Where one task stands, as far as its job minds.
pub type Stage = Status;

/// How far a job is. Costs per group some tens of bytes, and nothing per element.
#[derive(Clone, Debug)]
pub struct Progress {
    shape: Arc<Shape>,
    groups: Groups,
    /// Elements that never get a record: they were cancelled before, or completed in another job.
    absent: BTreeMap<u32, Ranges>,
    /// Those of them that completed in another job.
    done: BTreeMap<u32, Ranges>,
    counts: Counts,
    /// Tasks with a record that failed.
    fails: u64,
    /// Tasks that have not ended.
    left: u64,
    /// Whether any task was cancelled, or needed one that was.
    any_cancelled: bool,
    /// Groups of which the next element may get its record now.
    ready: BTreeSet<u32>,
    /// No more of its tasks get their records.
    held: bool,
}

/// How far a group is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupProgress {
    /// All before this ordinal have had a record, but for those that were dropped or done.
    pub born: u32,
    /// The ordinal of the next that may get its record.
    #[serde(skip)]
    next: u32,
    /// With records: those that wait.
    pub queued: u32,
    /// With records: those that have a worker and do not run yet.
    pub pending: u32,
    /// With records: those that run.
    pub running: u32,
    /// Those that completed.
    pub completed: u32,
    /// With records: those that failed.
    pub failed: u32,
    /// With records: those that were cancelled.
    pub cancelled: u32,
    /// Those that have ended without ever having had a record.
    pub gone: u32,
    /// Those that completed in the job that this one runs again.
    pub done: u32,
    /// Needs that are not met yet.
    pub unmet: u32,
    /// Why those that have no record never get one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
    /// What becomes of it when all that it needs has ended, by those that have; nothing failed of that.
    #[serde(skip)]
    verdict: Option<Fate>,
    /// Whether its dependents were told that it can not complete any more.
    #[serde(skip)]
    warned: bool,
    /// Whether its dependents were told of its end.
    #[serde(skip)]
    settled: bool,
}

/// Why tasks ended before they ever had a record. The first that holds of these, so that it does not matter in which
/// order things became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Something that they need failed: known as soon as it did.
    Failed,
    /// Something that they need was cancelled: known when all that they need has ended, as is the next.
    Cancelled,
    /// They were for the case that something fails, and it did not.
    NotNeeded,
    /// The whole job was stopped.
    Stopped,
}

impl Fate {
    /// What such a task counts as.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Failed => Status::Failed,
            Self::Cancelled | Self::NotNeeded | Self::Stopped => Status::Cancelled,
        }
    }
}

/// What became of a group as others see it that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Completed,
    Failed,
    Cancelled,
    NotNeeded,
}

impl GroupProgress {
    /// Those that have a record and have not ended.
    #[must_use]
    pub const fn live(&self) -> u32 {
        self.queued + self.pending + self.running
    }

    /// Those that have ended.
    #[must_use]
    pub const fn ended(&self) -> u32 {
        self.completed + self.failed + self.cancelled + self.gone + self.done
    }

    /// A task with this ordinal has a record and stands here.
    pub fn count_one(&mut self, ordinal: u32, stage: Stage) {
        self.born = self.born.max(ordinal + 1);
        *self.stage(stage) += 1;
    }

    /// What it counts as once all of it has ended.
    #[must_use]
    pub fn end(&self) -> Status {
        match self.outcome() {
            Outcome::Completed => Status::Completed,
            Outcome::Failed => Status::Failed,
            Outcome::Cancelled | Outcome::NotNeeded => Status::Cancelled,
        }
    }

    fn stage(&mut self, stage: Stage) -> &mut u32 {
        match stage {
            Status::Queued => &mut self.queued,
            Status::Pending => &mut self.pending,
            Status::Running => &mut self.running,
            Status::Completed => &mut self.completed,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
        }
    }

    fn outcome(&self) -> Outcome {
        match self.fate {
            _ if self.failed > 0 => Outcome::Failed,
            Some(Fate::Failed) => Outcome::Failed,
            Some(Fate::NotNeeded) => Outcome::NotNeeded,
            Some(Fate::Cancelled | Fate::Stopped) => Outcome::Cancelled,
            None if self.cancelled + self.gone > 0 => Outcome::Cancelled,
            None => Outcome::Completed,
        }
    }
}

/// What such an end means to one that waits for it: nothing where the need is met, else its fate.
const fn fate_by(outcome: Outcome, when: DependsWhen) -> Option<Fate> {
    match (when, outcome) {
        (DependsWhen::Any, _)
        | (DependsWhen::Success, Outcome::Completed)
        | (DependsWhen::Failure, Outcome::Failed | Outcome::Cancelled) => None,
        (DependsWhen::Success, Outcome::Failed) => Some(Fate::Failed),
        (DependsWhen::Success, Outcome::Cancelled) => Some(Fate::Cancelled),
        (DependsWhen::Success, Outcome::NotNeeded)
        | (DependsWhen::Failure, Outcome::Completed | Outcome::NotNeeded) => Some(Fate::NotNeeded),
    }
}

impl Progress {
    /// A job of which no task has a record.
    #[must_use]
    pub fn new(plan: &JobPlan, held: bool, done: &[Done]) -> Self {
        let unmet = |group: &super::Group| GroupProgress {
            unmet: u32::try_from(group.needs.len()).unwrap_or(u32::MAX),
            ..GroupProgress::default()
        };
        let mut progress = Self {
            shape: Arc::new(Shape::of(plan)),
            groups: plan.groups.iter().map(unmet).collect(),
            absent: BTreeMap::new(),
            done: BTreeMap::new(),
            counts: Counts::default(),
            fails: 0,
            left: plan.tasks(),
            any_cancelled: false,
            ready: BTreeSet::new(),
            held,
        };
        for entry in done {
            entry.each_group().for_each(|group| progress.note_done(group, &entry.ordinals));
        }
        (0..progress.number()).for_each(|group| progress.ended(group));
        progress
    }

    /// Elements completed in the job that this one runs again.
    fn note_done(&mut self, number: u32, ordinals: &Ranges) {
        let Some(group) = self.groups.get_mut(number) else { return };
        let (absent, done) = (self.absent.entry(number).or_default(), self.done.entry(number).or_default());
        if done.is_empty() {
            absent.clone_from(ordinals);
            done.clone_from(ordinals);
        } else {
            for (from, to) in ordinals.each() {
                absent.insert(from, to);
                done.insert(from, to);
            }
        }
        group.done += ordinals.count();
        group.next = absent.first_out(group.next);
        self.lost(ordinals.count(), Status::Completed);
    }

    fn number(&self) -> u32 {
        u32::try_from(self.groups.len()).unwrap_or(u32::MAX)
    }

    /// How far each group is, in the order of the plan.
    #[must_use]
    pub const fn groups(&self) -> &Groups {
        &self.groups
    }

    /// How all its tasks stand.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// How many tasks that had a record failed.
    #[must_use]
    pub const fn fails(&self) -> u64 {
        self.fails
    }

    /// How it ended, once all of its tasks have.
    #[must_use]
    pub const fn end(&self) -> Option<JobStatus> {
        match (self.left, self.counts.failed, self.any_cancelled) {
            (0, 0, false) => Some(JobStatus::Completed),
            (0, 0, true) => Some(JobStatus::Cancelled),
            (0, _, _) => Some(JobStatus::Failed),
            _ => None,
        }
    }

    /// Tasks outside of the job that it waits for.
    pub fn outside(&self) -> impl Iterator<Item = TaskId> {
        self.shape.outside.keys().copied()
    }

    /// Whether it waits for a task outside of the job, or did.
    #[must_use]
    pub fn needs_outside(&self, task: TaskId) -> bool {
        self.shape.outside.contains_key(&task)
    }

    /// What a task that has no record counts as once it never gets one; none while it may.
    #[must_use]
    pub fn without_record(&self, place: Place) -> Option<Status> {
        let group = self.groups.get(place.group)?;
        let is_in = |ordinals: &Ranges| ordinals.contains(place.ordinal);
        if self.done.get(&place.group).is_some_and(is_in) {
            return Some(Status::Completed);
        }
        if self.absent.get(&place.group).is_some_and(is_in) {
            return Some(Status::Cancelled);
        }
        group.fate.filter(|_| place.ordinal >= group.born).map(Fate::status)
    }

    /// What a group counts as once all of it has ended.
    #[must_use]
    pub fn of_group(&self, number: u32) -> Option<Status> {
        let group = self.groups.get(number)?;
        (group.ended() == self.shape.counts[number as usize]).then(|| group.end())
    }

    /// The next task that is to get its record; each answer must be followed by [`Progress::moved`] of that task.
    #[must_use]
    pub fn next(&self) -> Option<Place> {
        let group = *self.ready.first()?;
        Some(Place { group, ordinal: self.groups.get(group)?.next })
    }

    /// A task got its record (`before` is none), or stands elsewhere than before. Answers whether that changed anything.
    pub fn moved(&mut self, place: Place, before: Option<Stage>, now: Stage) -> bool {
        if before == Some(now) {
            return false;
        }
        let Some(group) = self.groups.get_mut(place.group) else { return false };
        if let Some(before) = before {
            let count = group.stage(before);
            *count = count.saturating_sub(1);
            if let Some(count) = of_counts(&mut self.counts, before) {
                *count = count.saturating_sub(1);
            }
        } else {
            let after = place.ordinal + 1;
            group.born = group.born.max(after);
            group.next = group.next.max(self.absent.get(&place.group).map_or(after, |gone| gone.first_out(after)));
        }
        *group.stage(now) += 1;
        if let Some(count) = of_counts(&mut self.counts, now) {
            *count += 1;
        }
        if now.is_final() {
            self.left -= 1;
            self.fails += u64::from(now == Status::Failed);
            self.any_cancelled |= now == Status::Cancelled;
            self.ended(place.group);
        } else {
            self.look(place.group);
        }
        true
    }

    /// Elements are cancelled: those that have no record never get one. Answers their ordinals.
    pub fn drop_elements(&mut self, group: u32, from: u32, to: u32) -> Ranges {
        let mut fresh = Ranges::default();
        let Some(state) = self.groups.get_mut(group).filter(|state| state.fate.is_none()) else {
            return fresh;
        };
        let mut dropped = self.absent.remove(&group).unwrap_or_default();
        let mut at = dropped.first_out(from.max(state.next));
        while at < to {
            // Up to the next that is in already.
            let end = dropped.each().map(|(start, _)| start).find(|start| *start > at).unwrap_or(to).min(to);
            fresh.add(at, end);
            dropped.add(at, end);
            at = dropped.first_out(end);
        }
        state.next = dropped.first_out(state.next);
        if !dropped.is_empty() {
            self.absent.insert(group, dropped);
        }
        let gone = fresh.count();
        state.gone += gone;
        self.lost(gone, Status::Cancelled);
        self.any_cancelled |= gone > 0;
        self.ended(group);
        fresh
    }

    /// What is left is cancelled: what has no record never gets one.
    pub fn stop(&mut self) {
        for group in 0..self.number() {
            self.doom(group, Fate::Stopped);
        }
        for group in 0..self.number() {
            self.ended(group);
        }
    }

    /// Nothing more may be placed, or all may again.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
        (0..self.number()).for_each(|group| self.look(group));
    }

    /// A task outside of the job has ended; others than those it waits for do not matter.
    pub fn ended_outside(&mut self, task: TaskId, status: Status) {
        let outcome = match status {
            Status::Completed => Outcome::Completed,
            Status::Failed => Outcome::Failed,
            Status::Cancelled => Outcome::Cancelled,
            Status::Queued | Status::Pending | Status::Running => return,
        };
        let shape = Arc::clone(&self.shape);
        for (group, when) in shape.outside.get(&task).into_iter().flatten() {
            if self.need_ended(*group, outcome, *when) {
                self.ended(*group);
            }
        }
    }

    /// A job of which some tasks have records: of each group with any, all that [`Progress::moved`] would have counted.
    /// Of one that was stopped also how its groups were then. The ends of tasks outside are to be told after it.
    #[must_use]
    pub fn restored(
        plan: &JobPlan,
        record: &JobRecord,
        stored: &BTreeMap<u32, GroupProgress>,
        stopped: Option<&Groups>,
    ) -> Self {
        let mut progress = Self::new(plan, record.held.is_some(), &record.done);
        for (number, stored) in stored {
            progress.count_stored(*number, stored);
        }
        for (number, absent) in &progress.done {
            if let Some(group) = progress.groups.get_mut(*number) {
                group.next = absent.first_out(group.next);
            }
        }
        for Dropped { group, ordinals, .. } in &record.dropped {
            progress.restore_dropped(*group, ordinals);
        }
        for (number, at_stop) in (0..).zip(stopped.into_iter().flat_map(Groups::iter)) {
            progress.restore_fate(number, at_stop);
        }
        (0..progress.number()).for_each(|group| progress.ended(group));
        progress
    }

    fn restore_dropped(&mut self, number: u32, ordinals: &Ranges) {
        let Some(group) = self.groups.get_mut(number) else { return };
        let gone = ordinals.count();
        let absent = self.absent.entry(number).or_default();
        ordinals.each().for_each(|(from, to)| absent.insert(from, to));
        group.gone += gone;
        group.next = absent.first_out(group.next);
        self.lost(gone, Status::Cancelled);
        self.any_cancelled |= gone > 0;
    }

    /// Of a job that was stopped: why those of a group that had no record then never get one.
    fn restore_fate(&mut self, number: u32, at_stop: &GroupProgress) {
        if let Some(fate) = at_stop.fate {
            self.doom(number, fate);
        }
    }

    fn count_stored(&mut self, number: u32, stored: &GroupProgress) {
        let Some(group) = self.groups.get_mut(number) else { return };
        let GroupProgress { born, queued, pending, running, completed, failed, cancelled, .. } = *stored;
        *group = GroupProgress {
            born,
            next: group.next.max(born),
            queued,
            pending,
            running,
            completed,
            failed,
            cancelled,
            ..*group
        };
        let counts = &mut self.counts;
        counts.pending += u64::from(pending);
        counts.running += u64::from(running);
        counts.completed += u64::from(completed);
        counts.failed += u64::from(failed);
        counts.cancelled += u64::from(cancelled);
        self.fails += u64::from(failed);
        self.left -= u64::from(completed + failed + cancelled);
        self.any_cancelled |= cancelled > 0;
    }

    /// Counts tasks that ended without a record.
    fn lost(&mut self, gone: u32, status: Status) {
        self.left -= u64::from(gone);
        if let Some(count) = of_counts(&mut self.counts, status) {
            *count += u64::from(gone);
        }
    }

    /// One of a group ended, or never comes: tells those that need the group, and those that need them.
    fn ended(&mut self, first: u32) {
        let shape = Arc::clone(&self.shape);
        let mut told = vec![first];
        while let Some(number) = told.pop() {
            let Some(state) = self.groups.get_mut(number) else { continue };
            let (outcome, over) = (state.outcome(), state.ended() == shape.counts[number as usize]);
            // What failed in part can not succeed any more; what else became of it is known when all of it has ended.
            let early = !over && matches!(outcome, Outcome::Failed);
            if (over && !state.settled) || (early && !state.warned) {
                state.settled |= over;
                state.warned |= matches!(outcome, Outcome::Failed);
                for (group, when) in shape.dependents(number) {
                    if (over || *when == DependsWhen::Success) && self.need_ended(*group, outcome, *when) {
                        told.push(*group);
                    }
                }
            }
            self.look(number);
        }
    }

    /// What a group needs has ended, or can not complete any more; answers whether the group has ended by that.
    fn need_ended(&mut self, group: u32, outcome: Outcome, when: DependsWhen) -> bool {
        let fate = fate_by(outcome, when);
        if fate == Some(Fate::Failed) {
            return self.doom(group, Fate::Failed);
        }
        let Some(state) = self.groups.get_mut(group) else { return false };
        state.verdict = state.verdict.into_iter().chain(fate).min();
        state.unmet = state.unmet.saturating_sub(1);
        match state.verdict.filter(|_| state.unmet == 0) {
            Some(fate) => self.doom(group, fate),
            None => {
                self.look(group);
                false
            }
        }
    }

    /// What of a group has no record never gets one; answers whether there was such a thing.
    fn doom(&mut self, number: u32, fate: Fate) -> bool {
        let count = self.shape.counts[number as usize];
        let Some(state) = self.groups.get_mut(number).filter(|state| state.fate.is_none()) else {
            return false;
        };
        let dropped = self.absent.get(&number).map_or(0, |absent| absent.count_from(state.next));
        let gone = count.saturating_sub(state.next).saturating_sub(dropped);
        if gone == 0 {
            return false;
        }
        state.fate = Some(fate);
        state.gone += gone;
        state.next = count;
        self.lost(gone, fate.status());
        self.any_cancelled |= matches!(fate, Fate::Cancelled | Fate::Stopped);
        true
    }

    /// Notes whether the next element of a group may get its record.
    fn look(&mut self, number: u32) {
        let Some(state) = self.groups.get(number) else { return };
        let place = number as usize;
        let room = state.queued < WINDOW && state.live() < self.shape.at_once[place];
        let met = state.unmet == 0 || planted::is(Fault::StartTooEarly);
        if !self.held && met && state.next < self.shape.counts[place] && room {
            self.ready.insert(number);
        } else {
            self.ready.remove(&number);
        }
    }
}

/// The count of a stage; what waits is not counted.
fn of_counts(counts: &mut Counts, stage: Stage) -> Option<&mut u64> {
    match stage {
        Status::Queued => None,
        Status::Pending => Some(&mut counts.pending),
        Status::Running => Some(&mut counts.running),
        Status::Completed => Some(&mut counts.completed),
        Status::Failed => Some(&mut counts.failed),
        Status::Cancelled => Some(&mut counts.cancelled),
    }
}
