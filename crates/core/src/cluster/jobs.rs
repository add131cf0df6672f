//! Jobs: accepted whole, held, cancelled in whole or in part.

use super::{Cluster, Key, Out};
use crate::effect::Row;
use crate::event::{Answer, CancelJob, NewJob, Part, Rejected};
use crate::feasible;
use crate::ids::{JobId, TaskId, UserId};
use crate::job::{Counts, Dropped, JobPlan, JobRecord, On, Place, Progress, Stop, StoredJob, Sweep};
use crate::state::Status;
use crate::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A live job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) record: Arc<JobRecord>,
    pub(super) plan: Arc<JobPlan>,
    pub(super) progress: Progress,
    /// Of each group the place of its first task among all of the job.
    pub(super) offsets: Vec<u64>,
}

/// What an idempotency key of a job was used for.
#[derive(Clone, Debug)]
pub(super) struct JobKeyUse {
    pub(super) job: JobId,
    pub(super) plan: Arc<JobPlan>,
}

impl Job {
    pub(super) fn new(record: Arc<JobRecord>, plan: Arc<JobPlan>, progress: Progress) -> Self {
        Self { record, offsets: plan.offsets(), plan, progress }
    }

    /// A stored one.
    pub(super) fn of(stored: StoredJob) -> Self {
        let StoredJob { record, plan, groups, stopped, outside } = stored;
        let mut progress = Progress::restored(&plan, &record, &groups, stopped.as_ref());
        outside.into_iter().for_each(|(task, status)| progress.ended_outside(task, status));
        Self::new(record, plan, progress)
    }

    /// Where one of its tasks stands that has no record, or a whole array of it; none while that is not known, or for
    /// what is not of this job.
    pub(super) fn status_of(&self, id: TaskId) -> Option<Status> {
        match self.plan.place_of(self.record.id, id) {
            Some(place) => self.progress.without_record(place),
            None => self.progress.of_group(self.record.id.group_of(id)?),
        }
    }

    /// Whether it will tell, or tells by [`Self::status_of`], how what has this id ends: a whole array of it, or one of
    /// its tasks that never had a record. How one ended that had one is known to the store alone.
    fn tells_of(&self, id: TaskId) -> bool {
        let group = self.record.id.group_of(id);
        match self.plan.place_of(self.record.id, id) {
            Some(place) => {
                let born = self.progress.groups().get(place.group).is_some_and(|group| place.ordinal < group.born);
                !born || self.progress.without_record(place).is_some()
            }
            None => id.index().is_none() && group.is_some_and(|group| self.plan.group(group).is_some()),
        }
    }
}

impl Cluster {
    pub(super) fn submit_job(&mut self, out: &mut Out, new: NewJob) -> Result<Answer, Rejected> {
        if let Some(id) = self.earlier_job(&new)? {
            return Ok(Answer::JobSubmitted { id, fresh: false });
        }
        if self.jobs.contains_key(&new.id) {
            return Err(Rejected::JobExists(new.id));
        }
        self.check_outside(&new)?;
        self.check_groups(&new)?;
        let NewJob { id, owner, plan, held, idempotency_key, retry_of, done, ended } = new;
        let tasks = plan.tasks();
        let record = JobRecord {
            id,
            name: plan.name.clone(),
            idempotency_key,
            retry_of,
            version: 0,
            order: self.next_order,
            groups: u32::try_from(plan.groups.len()).unwrap_or(u32::MAX),
            arrays: Some(plan.arrays()),
            tasks,
            created_at: out.now,
            started_at: None,
            held: held.then(|| owner.clone()),
            owner,
            stop: None,
            dropped: Vec::new(),
            done,
            sweeps: Vec::new(),
            counts: Counts::default(),
            end: None,
        };
        self.next_order += tasks;
        let progress = Progress::new(&plan, held, &record.done);
        let mut job = Job::new(Arc::new(record), plan, progress);
        out.save(Row::JobPlanned(id, Arc::clone(&job.plan)));
        let mut told = ended;
        for task in job.progress.outside() {
            // What ended without a record is known to its job alone.
            if let Some(status) = self.job_with(task).and_then(|of| of.status_of(task)) {
                told.insert(task, status);
            }
        }
        told.iter().for_each(|(task, status)| job.progress.ended_outside(*task, *status));
        self.adopt_job(job);
        told.keys().for_each(|task| self.unwatch(*task, id));
        out.touch(id);
        Ok(Answer::JobSubmitted { id, fresh: true })
    }

    /// Takes in a live job: one that is new, or was stored.
    pub(super) fn adopt_job(&mut self, job: Job) {
        let id = job.record.id;
        if let Some(key) = job_key(&job.record) {
            self.job_keys.insert(key, JobKeyUse { job: id, plan: Arc::clone(&job.plan) });
        }
        for task in job.progress.outside() {
            self.watched.entry(task).or_default().insert(id);
        }
        if job.record.stop.is_some() || !job.record.sweeps.is_empty() {
            self.sweeping.insert(id, id.group(0));
        }
        if job.progress.next().is_some() {
            self.filling.insert(id);
        }
        self.jobs.insert(id, job);
    }

    /// A job waits for a task outside no more.
    pub(super) fn unwatch(&mut self, task: TaskId, id: JobId) {
        if let Some(waiting) = self.watched.get_mut(&task) {
            waiting.remove(&id);
            if waiting.is_empty() {
                self.watched.remove(&task);
            }
        }
    }

    fn earlier_job(&self, new: &NewJob) -> Result<Option<JobId>, Rejected> {
        let Some(key) = &new.idempotency_key else { return Ok(None) };
        let key = (new.owner.clone(), Arc::clone(key));
        match self.job_keys.get(&key) {
            None => self.keys.get(&key).map_or(Ok(None), |used| Err(Rejected::KeyReused(used.task))),
            Some(used) if used.plan == new.plan => Ok(Some(used.job)),
            Some(used) => Err(Rejected::JobKeyReused(used.job)),
        }
    }

    /// Every task outside that it waits for lives, or is known to have ended.
    fn check_outside(&self, new: &NewJob) -> Result<(), Rejected> {
        let done = new.done_groups();
        let groups = new.plan.groups.iter().zip(0..).filter(|(_, number)| !done.contains(number));
        for need in groups.flat_map(|(group, _)| &group.needs) {
            if let On::Task(task) = need.on
                && !new.ended.contains_key(&task)
                && !self.tasks.contains_key(&task)
                && !self.job_with(task).is_some_and(|job| job.tells_of(task))
            {
                return Err(Rejected::NoSuchTask(task));
            }
        }
        Ok(())
    }

    /// The live job that a task with this id would be of.
    pub(super) fn job_with(&self, task: TaskId) -> Option<&Job> {
        let at_most = JobId::new(task.ulid());
        let (id, job) = self.jobs.range(..=at_most).next_back()?;
        id.group_of(task).filter(|group| *group < job.record.groups).map(|_| job)
    }

    /// Some worker could run each; what many groups ask for alike is looked at once.
    fn check_groups(&self, new: &NewJob) -> Result<(), Rejected> {
        let (mut checked, done) = (BTreeSet::new(), new.done_groups());
        for (index, group) in new.plan.groups.iter().enumerate() {
            let spec = &group.spec;
            let number = u32::try_from(index).unwrap_or(u32::MAX);
            // What completed before is no part of a gang that starts now.
            let before =
                || new.done.iter().filter(|done| done.groups.contains(number)).map(|done| done.ordinals.count());
            let gang = group.is_gang().then(|| group.count().saturating_sub(before().sum()));
            let asked = (&spec.demand, &spec.alternatives, &spec.anti_affinity, &spec.worker_id, spec.needs(), gang);
            let is_done = || done.contains(&number);
            if spec.allow_pending || !checked.insert(asked) || is_done() {
                continue;
            }
            feasible::gang_satisfiable(spec, gang.unwrap_or(1), self.workers.values().map(|worker| &*worker.record))
                .map_err(|message| Rejected::Unsatisfiable { index, message })?;
        }
        Ok(())
    }

    /// Lets no more tasks of a job get their records; those that have one go on. A held one stays as it is.
    pub(super) fn hold_job(&mut self, out: &mut Out, id: JobId, by: Option<&UserId>) -> Result<Answer, Rejected> {
        let job = self.jobs.get_mut(&id).ok_or(Rejected::NoSuchJob(id))?;
        if job.record.held.is_some() != by.is_some() {
            Arc::make_mut(&mut job.record).held = by.cloned();
            job.progress.hold(by.is_some());
            out.touch(id);
        }
        Ok(Answer::Done)
    }

    /// Cancels what is left of a job, or some elements of one of its arrays: what has no record at once, the others as
    /// tasks are cancelled, so many at a time as one event may.
    pub(super) fn cancel_job(&mut self, out: &mut Out, cancel: CancelJob) -> Result<Answer, Rejected> {
        let CancelJob { job: id, by, part } = cancel;
        let job = self.jobs.get_mut(&id).ok_or(Rejected::NoSuchJob(id))?;
        match part {
            None => self.stop_job(out, id, Stop::Cancelled { by, at: out.now }),
            // All that is left of it is being cancelled.
            Some(_) if job.record.stop.is_some() => {}
            Some(Part { group, from, to }) => {
                let count = job.plan.group(group).map_or(0, |group| group.count());
                let to = to.min(count);
                if from < to {
                    drop_elements(job, (group, from, to), &by, out.now);
                    Arc::make_mut(&mut job.record).sweeps.push(Sweep { group, from, to, by });
                    self.sweeping.insert(id, id.group(0));
                    out.touch(id);
                }
            }
        }
        Ok(Answer::Done)
    }

    /// Nothing more of a job begins, and what runs is stopped.
    pub(super) fn stop_job(&mut self, out: &mut Out, id: JobId, stop: Stop) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.record.stop.is_none()) else { return };
        Arc::make_mut(&mut job.record).stop = Some(stop);
        job.progress.stop();
        self.sweeping.insert(id, id.group(0));
        out.touch(id);
    }

    /// Cancels a task that has no record yet; answers whether there is such a one.
    pub(super) fn cancel_unborn(&mut self, out: &mut Out, task: TaskId, by: &UserId) -> bool {
        let Some(id) = self.job_with(task).map(|job| job.record.id) else { return false };
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let part = match job.plan.place_of(id, task) {
            Some(Place { group, ordinal }) => Part { group, from: ordinal, to: ordinal + 1 },
            // A whole array.
            None if task.index().is_none() => match id.group_of(task) {
                Some(group) => Part { group, from: 0, to: u32::MAX },
                None => return false,
            },
            None => return false,
        };
        self.cancel_job(out, CancelJob { job: id, by: by.clone(), part: Some(part) }).is_ok()
    }
}

/// Elements that have no record never get one.
fn drop_elements(job: &mut Job, (group, from, to): (u32, u32, u32), by: &UserId, at: Timestamp) {
    let fresh = job.progress.drop_elements(group, from, to);
    if fresh.is_empty() {
        return;
    }
    let record = Arc::make_mut(&mut job.record);
    let place = match record.dropped.binary_search_by_key(&group, |dropped| dropped.group) {
        Ok(place) => place,
        Err(place) => {
            let ordinals = crate::job::Ranges::default();
            record.dropped.insert(place, Dropped { group, ordinals, by: by.clone(), at });
            place
        }
    };
    let dropped = &mut record.dropped[place];
    for (from, to) in fresh.each() {
        dropped.ordinals.insert(from, to);
    }
    (dropped.by, dropped.at) = (by.clone(), at);
}

pub(super) fn job_key(record: &JobRecord) -> Option<Key> {
    record.idempotency_key.clone().map(|key| (record.owner.clone(), key))
}
