//! Gangs: arrays of jobs of which all elements start together or not at all.
//!
//! Nothing is kept of a gang but its plan: its members are the elements that have not ended. They are placed by one
//! event or by none, and when one of them loses its place the others are stopped, so that all wait and start together again.

use super::{Cluster, Out};
use crate::event::{Placement, PlacementRefusal};
use crate::feasible::Fit;
use crate::ids::{JobId, TaskId, WorkerId};
use crate::job::Group;
use crate::kin::{self, Neighbours};
use crate::planted::{self, Fault};
use crate::resources::Free;
use crate::state::{Phase, Reason};
use crate::task::{Eviction, State, TaskRecord};
use crate::time::Timestamp;
use crate::waiting;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A gang: its job, and the place of the array in the plan.
pub(super) type Gang = (JobId, u32);

impl Cluster {
    /// The gang that a live task is a member of.
    pub(super) fn gang_of(&self, task: TaskId) -> Option<Gang> {
        let id = self.tasks.get(&task)?.job?;
        let group = id.group_of(task)?;
        self.jobs.get(&id)?.plan.group(group).filter(|group| group.is_gang()).map(|_| (id, group))
    }

    /// Its members that have a record, in the order of their indexes.
    pub(super) fn members(&self, (job, group): Gang) -> impl Iterator<Item = &Arc<TaskRecord>> {
        let array = job.group(group);
        self.tasks.range(array..=array.element(u32::MAX)).map(|(_, task)| task)
    }

    /// How many elements have not ended, those among them that have no record yet.
    fn live_members(&self, (job, group): Gang) -> usize {
        let Some(job) = self.jobs.get(&job) else { return 0 };
        let count = job.plan.group(group).map_or(0, Group::count);
        let ended = job.progress.groups().get(group).map_or(0, |group| group.ended());
        count.saturating_sub(ended) as usize
    }

    /// Takes the places of a gang where they are for all of it and all of them are free: all or none. Answers how many
    /// were taken.
    pub(super) fn place_gang(
        &mut self,
        out: &mut Out,
        gang: Gang,
        placements: Vec<Placement>,
        refused: &mut Vec<(Placement, PlacementRefusal)>,
    ) -> usize {
        let (mut members, mut seen) = (Vec::with_capacity(placements.len()), BTreeSet::new());
        for placement in placements {
            match self.check_placement(&placement, None) {
                Ok(_) if seen.insert(placement.attempt.task) => members.push(placement),
                Ok(_) => refused.push((placement, PlacementRefusal::Stale)),
                Err(why) => refused.push((placement, why)),
            }
        }
        let Some(fits) = self.places_of(out, gang, &members) else {
            refused.extend(members.into_iter().map(|placement| (placement, PlacementRefusal::Gang)));
            return 0;
        };
        for (placement, fit) in members.iter().zip(fits) {
            self.assign(out, placement, fit);
        }
        members.len()
    }

    /// What each member would hold, of which each comes once; none where one is missing, or can not start beside the
    /// others.
    fn places_of(&self, out: &Out, gang: Gang, placements: &[Placement]) -> Option<Vec<Fit>> {
        if placements.len() != self.live_members(gang) {
            return None;
        }
        let mut left: BTreeMap<&WorkerId, Free> = BTreeMap::new();
        // Where the others before each one go.
        let mut others = Neighbours::default();
        let mut fits = Vec::with_capacity(placements.len());
        let mut probes = 0;
        for placement in placements {
            let worker = self.workers.get(&placement.worker)?;
            // One that is tried is so by the first that goes there.
            probes += usize::from(!worker.record.duty.is_open() && !left.contains_key(&placement.worker));
            let free = left.entry(&placement.worker).or_insert_with(|| worker.ledger.free().clone());
            let fit = self.check_placement(placement, Some(free)).ok()?;
            free.take(&fit.allocation).ok()?;
            fits.push(fit);
            let task = self.tasks.get(&placement.attempt.task)?;
            kin::apart(task, &worker.record, &others, |id| self.worker_record(id)).ok()?;
            others.enter(task, &placement.worker);
        }
        // Each has a row, and so have workers that are tried by it, and the job.
        (fits.len() + probes < out.room()).then_some(fits)
    }

    /// The gang by which a proposal is looked at.
    pub(super) fn gang_to_place(&self, placement: &Placement) -> Option<Gang> {
        if planted::is(Fault::SplitGang) {
            return None;
        }
        self.gang_of(placement.attempt.task)
    }

    /// A task lost its place and waits again: so will the others of its gang.
    pub(super) fn lost_place(&mut self, task: TaskId) {
        if let Some(gang) = self.gang_of(task) {
            self.split.entry(gang).or_insert(task);
        }
    }

    /// Stops what still runs of gangs of which one lost its place, as many as one event may.
    pub(super) fn regather(&mut self, out: &mut Out) {
        while let Some((gang, by)) = self.split.first_key_value().map(|(gang, by)| (*gang, *by)) {
            let others: Vec<TaskId> = self.members(gang).filter(|task| goes_on(task)).map(|task| task.id).collect();
            for task in others {
                if out.full() {
                    return;
                }
                let message = match by.index() {
                    Some(index) => format!("element {index} of its gang lost its place: they start again together"),
                    None => "another of its gang lost its place: they start again together".to_owned(),
                };
                self.evict(out, task, Eviction { reason: Reason::Gang, at: out.now, by: Some(by), message });
            }
            self.split.remove(&gang);
        }
    }

    /// Gangs that were stored when only a part of one had been stopped.
    pub(super) fn find_split(&mut self) {
        let found: Vec<(Gang, TaskId)> =
            self.gangs().filter_map(|gang| Some((gang, self.split_members(gang)?.1))).collect();
        self.split.extend(found);
    }

    /// Since when all of a gang wait for a place; none while some are not ready.
    pub(super) fn waits_whole_since(&self, gang: Gang) -> Option<Timestamp> {
        let mut all = Vec::new();
        for task in self.members(gang) {
            match &task.state {
                State::Queued(queued) if queued.phase == Phase::WaitingCapacity => all.push(queued.since),
                State::Queued(_) | State::Active(_) | State::Finished(_) => return None,
            }
        }
        all.iter().max().copied().filter(|_| all.len() == self.live_members(gang))
    }

    /// What keeps the gang of a task from starting; none of one that starts alone.
    pub(super) fn why_gang_waits(&self, task: &TaskRecord) -> Option<String> {
        let gang = self.gang_of(task.id)?;
        let size = u32::try_from(self.live_members(gang)).unwrap_or(u32::MAX);
        let phases = self.members(gang).filter_map(|task| task.phase(false));
        let workers = self.workers.values().map(|worker| (&*worker.record, worker.ledger.free()));
        waiting::why_gang(size, phases, || waiting::room(&task.spec, size, workers))
    }

    /// Every gang of a live job.
    pub(super) fn gangs(&self) -> impl Iterator<Item = Gang> {
        self.jobs.iter().flat_map(|(id, job)| {
            let gangs = job.plan.groups.iter().zip(0_u32..).filter(|(group, _)| group.is_gang());
            gangs.map(move |(_, number)| (*id, number))
        })
    }

    /// One member that goes on and one that waits, where there are both.
    pub(super) fn split_members(&self, gang: Gang) -> Option<(TaskId, TaskId)> {
        let runs = self.members(gang).find(|task| goes_on(task))?;
        let waits = self.members(gang).find(|task| matches!(task.state, State::Queued(_)))?;
        Some((runs.id, waits.id))
    }
}

/// Whether a task has a worker and nothing stops it.
fn goes_on(task: &TaskRecord) -> bool {
    task.active().is_some() && task.evicted().is_none() && !task.is_stopping()
}
