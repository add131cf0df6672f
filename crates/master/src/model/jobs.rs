//! Live jobs as they are committed.

use cloudai_core::effect::Row;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::{JobPlan, JobRecord, JobStatus, Place, Whole};
use cloudai_core::state::{Phase, Status};
use cloudai_core::task::TaskRecord;
use cloudai_core::waiting;
use cloudai_core::worker::WorkerRecord;
use cloudai_store::query::{JobQuery, Part, Sort, TaskQuery};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A job with all that is known of it.
pub type SeenJob = Whole;

/// Whether an id names a task of a job, or an array of it as a whole.
#[must_use]
pub fn is_of_job(job: &SeenJob, id: TaskId) -> bool {
    let group = job.record.id.group_of(id).and_then(|group| job.plan.group(group));
    group.is_some_and(|_| id.index().is_none() || job.plan.place_of(job.record.id, id).is_some())
}

/// The arrays of a job, each with the submission order of its first element and its place in the plan.
pub(crate) fn arrays_of(job: &SeenJob) -> Vec<(u64, u32)> {
    let groups = job.plan.groups.iter().zip(job.plan.offsets()).zip(0..);
    let arrays = groups.filter(|((group, _), _)| group.elements.is_some());
    arrays.map(|((_, offset), number)| (job.record.order_of(offset), number)).collect()
}

/// Where an array as a whole stands, in the words of tasks; none for what is no array.
#[must_use]
pub fn array_status(job: &SeenJob, number: u32) -> Option<Status> {
    let (group, state) = (job.plan.group(number)?, job.groups.get(number)?);
    group.elements.as_ref()?;
    Some(if state.ended() == group.count() {
        state.end()
    } else if state.running > 0 {
        Status::Running
    } else if state.pending > 0 {
        Status::Pending
    } else if state.ended() > 0 {
        Status::Running
    } else {
        Status::Queued
    })
}

/// Whether an array is one of those that a list of tasks is about, wherever the cursor is.
pub(crate) fn wants_array(query: &TaskQuery, job: &SeenJob, number: u32) -> bool {
    let (Some(group), Some(status)) = (job.plan.group(number), array_status(job, number)) else { return false };
    let begins = |prefix: &String| group.spec.name.as_ref().is_some_and(|name| name.starts_with(prefix.as_str()));
    (query.statuses.is_empty() || query.statuses.contains(&status))
        && query.owner.as_ref().is_none_or(|owner| *owner == job.record.owner)
        && query.name_prefix.as_ref().is_none_or(begins)
}

/// What lives at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Living {
    pub(crate) tasks: Vec<Arc<TaskRecord>>,
    pub(crate) jobs: Vec<SeenJob>,
    pub(crate) workers: Vec<Arc<WorkerRecord>>,
}

impl Living {
    /// How many tasks somebody holds, or their jobs; those without a record counted.
    pub(crate) fn held(&self) -> u64 {
        let is_held = |task: &&Arc<TaskRecord>| task.phase(false) == Some(Phase::Held);
        let in_jobs = self.jobs.iter().filter(|job| job.record.held.is_some()).map(without_turn);
        self.tasks.iter().filter(is_held).count() as u64 + in_jobs.sum::<u64>()
    }
}

/// How many tasks of a live job have had no turn yet: they wait for others, or their job is held, and have no records.
fn without_turn(job: &SeenJob) -> u64 {
    let born: u64 = job.groups.iter().map(|group| u64::from(group.queued)).sum();
    job.record.counts.queued(job.record.tasks).saturating_sub(born)
}

/// Live jobs, by their ids.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    /// What they are made of: known before their records.
    plans: BTreeMap<JobId, Arc<JobPlan>>,
    live: BTreeMap<JobId, SeenJob>,
    /// Their arrays, by the submission orders of their first elements.
    arrays: BTreeMap<u64, (JobId, u32)>,
}

impl Jobs {
    /// Where a live job stands.
    pub(super) fn status(&self, id: JobId) -> Option<JobStatus> {
        self.live.get(&id).map(|job| job.record.status())
    }

    pub(super) fn apply(&mut self, row: &Row) {
        match row {
            Row::JobPlanned(id, plan) => drop(self.plans.insert(*id, Arc::clone(plan))),
            Row::Job(record, _) if record.end.is_some() => {
                if let Some(job) = self.live.remove(&record.id) {
                    for (order, _) in arrays_of(&job) {
                        self.arrays.remove(&order);
                    }
                }
                self.plans.remove(&record.id);
            }
            Row::Job(record, groups) => {
                let Some(plan) = self.plans.get(&record.id) else { return };
                let (record, plan, groups) = (Arc::clone(record), Arc::clone(plan), groups.clone());
                let job = SeenJob { record, plan, groups };
                let id = job.record.id;
                if !self.live.contains_key(&id) {
                    self.arrays.extend(arrays_of(&job).into_iter().map(|(order, number)| (order, (id, number))));
                }
                self.live.insert(id, job);
            }
            Row::JobRemoved(_)
            | Row::Task(_)
            | Row::Worker(_)
            | Row::WorkerRemoved(_)
            | Row::Outputs(..)
            | Row::TaskRemoved(..) => {}
        }
    }
}

impl super::Committed {
    /// What keeps the gang of a task from starting; none of one that starts alone.
    pub(super) fn gang_waits(&self, record: &TaskRecord) -> Option<String> {
        let id = record.job?;
        let Whole { plan, groups, .. } = self.jobs.live.get(&id)?;
        let number = id.group_of(record.id)?;
        let group = plan.group(number).filter(|group| group.is_gang())?;
        let size = group.count().saturating_sub(groups.get(number).map_or(0, |group| group.ended()));
        let ids = (0..group.count()).map(|ordinal| plan.task_id(id, Place { group: number, ordinal }));
        let members = ids.filter_map(|id| self.live.get(id));
        let workers = self.fleet.each().map(|seen| (&**seen.record(), seen.free()));
        let phases = members.filter_map(|task| task.phase(false));
        waiting::why_gang(size, phases, || waiting::room(&record.spec, size, workers))
    }
}

impl super::Model {
    /// A live job.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<SeenJob> {
        self.read().jobs.live.get(&id).cloned()
    }

    /// How many tasks of live jobs have had no turn yet, and of how many jobs they are.
    #[must_use]
    pub fn without_turn(&self) -> (u64, u64) {
        let read = self.read();
        let of_each = read.jobs.live.values().map(without_turn).filter(|tasks| *tasks > 0);
        of_each.fold((0, 0), |(tasks, jobs), of_one| (tasks + of_one, jobs + 1))
    }

    /// Whether a job has not ended.
    #[must_use]
    pub fn has_job(&self, id: JobId) -> bool {
        self.read().jobs.live.contains_key(&id)
    }

    /// The live job of which a task with this id is, or an array as a whole.
    #[must_use]
    pub fn job_with(&self, task: TaskId) -> Option<SeenJob> {
        let state = self.read();
        let (_, job) = state.jobs.live.range(..JobId::new(task.ulid())).next_back()?;
        Some(job.clone()).filter(|job| is_of_job(job, task))
    }

    /// Whether a task of a live job has no record yet and may get one.
    #[must_use]
    pub fn is_to_be_born(&self, task: TaskId) -> bool {
        let state = self.read();
        let job = state.jobs.live.range(..JobId::new(task.ulid())).next_back().map(|(_, job)| job);
        job.is_some_and(|job| {
            let place = job.plan.place_of(job.record.id, task);
            place.is_some_and(|place| !job.was_born(place) && !job.unborn_status(place).is_final())
        })
    }

    /// How many tasks of live jobs have ended and are kept for as long as those live.
    #[must_use]
    pub fn ended_in_jobs(&self) -> u64 {
        let state = self.read();
        let groups = state.jobs.live.values().flat_map(|job| job.groups.iter());
        groups.map(|group| u64::from(group.completed + group.failed + group.cancelled)).sum()
    }

    /// Live jobs that are asked for, the latest submitted first, one more than the limit if there are.
    #[must_use]
    pub fn jobs(&self, query: &JobQuery) -> Vec<Arc<JobRecord>> {
        let state = self.read();
        let wanted = state.jobs.live.values().map(|job| &job.record).filter(|job| query.is_next(job));
        let mut found: Vec<_> = wanted.cloned().collect();
        found.sort_by_key(|job| std::cmp::Reverse(job.order));
        found.truncate(query.limit + 1);
        found
    }

    /// All that lives at one moment, copied: tasks, jobs, workers.
    #[must_use]
    pub(crate) fn living(&self) -> Living {
        let state = self.read();
        Living {
            tasks: state.live.each().cloned().collect(),
            jobs: state.jobs.live.values().cloned().collect(),
            workers: state.fleet.workers().cloned().collect(),
        }
    }

    /// The first arrays of live jobs that a list of tasks is about, one more than its limit if there are, each with its
    /// order and its place in the plan.
    #[must_use]
    pub fn arrays(&self, query: &TaskQuery) -> Vec<(u64, SeenJob, u32)> {
        let state = self.read();
        let wanted = |(order, (id, number)): (&u64, &(JobId, u32))| {
            let job = state.jobs.live.get(id).filter(|_| query.is_after(*order))?;
            wants_array(query, job, *number).then(|| (*order, job.clone(), *number))
        };
        let (all, most) = (state.jobs.arrays.iter(), query.limit.saturating_add(1));
        match query.sort {
            Sort::Newest => all.rev().filter_map(wanted).take(most).collect(),
            Sort::Oldest => all.filter_map(wanted).take(most).collect(),
        }
    }

    /// Arrays of live jobs whose ids begin or end with a part of their text, the newest first.
    #[must_use]
    pub fn arrays_like(&self, part: &str, limit: usize) -> Vec<(SeenJob, u32)> {
        let (state, part) = (self.read(), Part::of(part));
        let like = state.jobs.arrays.values().rev().filter(|(id, number)| part.is_of(id.group(*number)));
        like.filter_map(|(id, number)| Some((state.jobs.live.get(id)?.clone(), *number))).take(limit).collect()
    }

    /// Ids of live jobs that begin or end with a part of their text, newest first.
    #[must_use]
    pub fn jobs_like(&self, part: &str, limit: usize) -> Vec<JobId> {
        let state = self.read();
        let like = |id: &&JobId| cloudai_store::query::is_part(&id.to_string()["job-".len()..], part);
        state.jobs.live.keys().rev().filter(like).take(limit).copied().collect()
    }
}
