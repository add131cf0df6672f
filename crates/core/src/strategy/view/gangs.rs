//! The gangs that a view knows: by the rows of their jobs, with their numbers on the board.

use super::{View, Waiting};
use crate::effect::Row;
use crate::ids::{JobId, TaskId};
use crate::job::{Groups, JobPlan, JobRecord, Place};
use crate::state::Phase;
use crate::task::TaskRecord;
use std::collections::BTreeMap;

/// Gangs of live jobs.
#[derive(Clone, Debug, Default)]
pub(super) struct Gangs {
    /// By their jobs and their places in the plans.
    known: BTreeMap<(JobId, u32), Gang>,
    /// Numbers of gangs that have ended.
    unused: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Gang {
    number: u32,
    /// How many elements it had at first.
    count: u32,
    /// How many have not ended, those among them that have no record yet.
    size: u32,
    /// Where those stand that have a record.
    phases: BTreeMap<TaskId, Phase>,
}

impl Gangs {
    /// The number of the gang that a task is a member of.
    pub(super) fn number(&self, task: &TaskRecord) -> Option<u32> {
        self.of(task).map(|gang| gang.number)
    }

    fn of(&self, task: &TaskRecord) -> Option<&Gang> {
        let id = task.job?;
        self.known.get(&(id, id.group_of(task.id)?))
    }

    /// How many start together with a task.
    pub(super) fn size(&self, task: &TaskRecord) -> Option<u32> {
        self.of(task).map(|gang| gang.size)
    }

    /// Every gang's number and size.
    pub(super) fn each(&self) -> impl Iterator<Item = (u32, u32)> {
        self.known.values().map(|gang| (gang.number, gang.size))
    }

    fn plan(&mut self, id: JobId, plan: &JobPlan) {
        for (group, place) in plan.groups.iter().zip(0..).filter(|(group, _)| group.is_gang()) {
            let next = u32::try_from(self.known.len() + self.unused.len()).unwrap_or(u32::MAX);
            let unused = &mut self.unused;
            self.known.entry((id, place)).or_insert_with(|| {
                let (number, count) = (unused.pop().unwrap_or(next), group.count());
                Gang { number, count, size: count, phases: BTreeMap::new() }
            });
        }
    }

    /// Takes in how far a job is; answers the gangs of which the size is another.
    fn follow(&mut self, job: &JobRecord, groups: &Groups) -> Vec<(u32, u32)> {
        let mut news = Vec::new();
        for ((_, group), gang) in self.known.range_mut((job.id, 0)..=(job.id, u32::MAX)) {
            let size = groups.get(*group).map_or(gang.size, |group| gang.count.saturating_sub(group.ended()));
            if std::mem::replace(&mut gang.size, size) != size {
                news.push((gang.number, size));
            }
        }
        if job.end.is_some() {
            news.extend(self.forget(job.id));
        }
        news
    }

    /// A job is over, or is no more.
    fn forget(&mut self, id: JobId) -> Vec<(u32, u32)> {
        let over: Vec<_> = self.known.range((id, 0)..=(id, u32::MAX)).map(|(key, gang)| (*key, gang.number)).collect();
        for (key, number) in &over {
            self.known.remove(key);
            self.unused.push(*number);
        }
        over.into_iter().map(|(_, number)| (number, 0)).collect()
    }

    /// Notes where a member stands.
    pub(super) fn note(&mut self, task: &TaskRecord) {
        let Some(id) = task.job else { return };
        let Some(group) = id.group_of(task.id) else { return };
        if let Some(gang) = self.known.get_mut(&(id, group)) {
            gang.phases.remove(&task.id);
            gang.phases.extend(task.phase(false).map(|phase| (task.id, phase)));
        }
    }
}

impl View {
    /// Takes in a row of a job: it tells how many are to start together.
    pub(super) fn apply_job(&mut self, row: &Row) {
        let news = match row {
            Row::JobPlanned(id, plan) => {
                self.gangs.plan(*id, plan);
                self.plan_gangs(*id, plan);
                return;
            }
            Row::Job(job, groups) => self.gangs.follow(job, groups),
            Row::JobRemoved(id) => self.gangs.forget(*id),
            Row::Task(_) | Row::Worker(_) | Row::WorkerRemoved(_) | Row::Outputs(..) | Row::TaskRemoved(..) => return,
        };
        news.into_iter().for_each(|(number, size)| self.board.set_gang(number, size));
    }

    /// Tells the board of the gangs of a new job; what was known of its tasks before is put in anew.
    fn plan_gangs(&mut self, id: JobId, plan: &JobPlan) {
        for (group, place) in plan.groups.iter().zip(0..).filter(|(group, _)| group.is_gang()) {
            if let Some(gang) = self.gangs.known.get(&(id, place)) {
                self.board.set_gang(gang.number, gang.size);
            }
            let member = |ordinal| plan.task_id(id, Place { group: place, ordinal });
            let known: Vec<Waiting> =
                (0..group.count()).filter_map(|ordinal| self.tasks.get(&member(ordinal)).cloned()).collect();
            self.renumber |= !known.is_empty();
            known.iter().for_each(|task| self.gangs.note(&task.0));
        }
    }

    /// How many of the gang of a task have not ended, and where those stand that have a record; none for one that
    /// starts alone.
    pub(in crate::strategy) fn gang(&self, task: &TaskRecord) -> Option<(u32, Vec<Phase>)> {
        self.gangs.of(task).map(|gang| (gang.size, gang.phases.values().copied().collect()))
    }
}
