//! What jobs do after each event: their next tasks get records, what was cancelled is stopped, those that wait for
//! others are told, and a job that is over leaves.

use super::jobs::{JobKeyUse, job_key};
use super::{Cluster, KEY_KEPT, Out, alarms, hold};
use crate::effect::Row;
use crate::ids::{JobId, TaskId, UserId};
use crate::job::{JobEnd, JobRecord, JobStatus, Place, Stop, Sweep};
use crate::state::Status;
use crate::task::{CancelRequest, State, TaskRecord};
use crate::time::Timestamp;
use std::sync::Arc;

impl Cluster {
    /// A task of a job stands elsewhere than before, or got its record.
    pub(super) fn moved(&mut self, out: &mut Out, task: &TaskRecord, before: Option<Status>) {
        let now = task.status();
        if now.is_final() && self.watched.contains_key(&task.id) {
            out.ended.push((task.id, now));
        }
        let Some(id) = task.job else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(place) = job.plan.place_of(id, task.id) else { return };
        if job.progress.moved(place, before, now) {
            // A short program has ended before its start is heard of.
            if let Some(at) = task.started_at.filter(|_| job.record.started_at.is_none()) {
                Arc::make_mut(&mut job.record).started_at = Some(at);
            }
            out.touch(id);
        }
    }

    /// Brings all jobs up to what an event did.
    pub(super) fn follow_jobs(&mut self, out: &mut Out) {
        self.tell_who_waits(out);
        let too_many: Vec<(JobId, u32)> = out.touched.iter().filter_map(|id| self.failed_too_often(*id)).collect();
        for (id, most) in too_many {
            self.stop_job(out, id, Stop::TooManyFailed { at: out.now, most });
        }
        self.sweep(out);
        // What a stop ends is waited for as well.
        self.tell_who_waits(out);
        self.note_ready(out);
        self.fill(out);
        self.store_jobs(out);
    }

    /// Tells jobs of the ends of tasks outside of them, until nobody hears anything new.
    fn tell_who_waits(&mut self, out: &mut Out) {
        if self.watched.is_empty() {
            // Whoever was to hear of these waits no more.
            self.telling.clear();
            return;
        }
        loop {
            // What ended without a record is known to its job alone.
            let jobs = out.touched.iter().filter_map(|id| self.jobs.get(id));
            let unborn = jobs.flat_map(|job| {
                let (first, last) = (job.record.id.group(0), job.record.id.group(job.record.groups));
                let watched = self.watched.range(first..last).map(|(task, _)| *task);
                watched.filter_map(|task| job.status_of(task).map(|status| (task, status)))
            });
            let mut ended: Vec<(TaskId, Status)> = unborn.collect();
            ended.append(&mut out.ended);
            ended.extend(std::mem::take(&mut self.telling));
            if ended.is_empty() {
                return;
            }
            ended.into_iter().for_each(|(task, status)| self.tell_end(out, task, status));
            if out.full() {
                return;
            }
        }
    }

    /// Tells those that wait for a task how it ended, as many as one event may; the others hear it with the next tick.
    fn tell_end(&mut self, out: &mut Out, task: TaskId, status: Status) {
        let Some(mut waiting) = self.watched.remove(&task) else { return };
        while !out.full()
            && let Some(id) = waiting.pop_first()
        {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.progress.ended_outside(task, status);
                out.touch(id);
            }
        }
        if !waiting.is_empty() {
            self.watched.insert(task, waiting);
            self.telling.insert(task, status);
        }
    }

    /// Tells jobs that were stored what is known to other jobs alone, as they had been told before.
    pub(super) fn tell_adopted(&mut self, now: Timestamp) {
        let mut out = Out { most: usize::MAX, ..Out::new(now) };
        out.touched.extend(self.jobs.keys());
        self.tell_who_waits(&mut out);
        self.note_ready(&out);
    }

    fn failed_too_often(&self, id: JobId) -> Option<(JobId, u32)> {
        let job = self.jobs.get(&id)?;
        let most = job.plan.max_fails?;
        (job.progress.fails() > u64::from(most)).then_some((id, most))
    }

    /// Cancels live tasks of jobs that are being cancelled, as many as one event may.
    fn sweep(&mut self, out: &mut Out) {
        let ids: Vec<JobId> = self.sweeping.keys().copied().collect();
        for id in ids {
            while !out.full() {
                match self.next_to_sweep(id, out.now) {
                    Some((task, request)) => {
                        self.sweeping.insert(id, task);
                        self.cancel_task(out, task, request);
                    }
                    None => {
                        if self.swept(out, id) {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// The next live task of a job that is to be cancelled now.
    fn next_to_sweep(&self, id: JobId, now: Timestamp) -> Option<(TaskId, CancelRequest)> {
        let job = self.jobs.get(&id)?;
        let cursor = *self.sweeping.get(&id)?;
        let (first, last, request) = match (&job.record.stop, job.record.sweeps.first()) {
            (Some(stop), _) => {
                (id.group(0), id.group(job.record.groups.checked_sub(1)?).element(u32::MAX), asked(stop, &job.record))
            }
            (None, Some(Sweep { group, from, to, by })) => {
                let at = |ordinal| job.plan.task_id(id, Place { group: *group, ordinal });
                let request = CancelRequest { by: by.clone(), at: now, why: None };
                (at(*from), at(to.checked_sub(1)?), request)
            }
            (None, None) => return None,
        };
        let mut live = self.tasks.range(first.max(cursor)..=last).filter(|(_, task)| task.cancel.is_none());
        live.next().map(|(task, _)| (*task, request))
    }

    /// Nothing of what is swept now is left; answers whether nothing at all is.
    fn swept(&mut self, out: &mut Out, id: JobId) -> bool {
        let more = self.jobs.get_mut(&id).is_some_and(|job| {
            if job.record.stop.is_some() || job.record.sweeps.is_empty() {
                return false;
            }
            Arc::make_mut(&mut job.record).sweeps.remove(0);
            !job.record.sweeps.is_empty()
        });
        out.touch(id);
        if more {
            self.sweeping.insert(id, id.group(0));
        } else {
            self.sweeping.remove(&id);
        }
        !more
    }

    /// Keeps in mind which jobs have tasks that may get their records.
    fn note_ready(&mut self, out: &Out) {
        for id in &out.touched {
            if self.jobs.get(id).is_some_and(|job| job.progress.next().is_some()) {
                self.filling.insert(*id);
            } else {
                self.filling.remove(id);
            }
        }
    }

    /// Gives records to tasks that may be placed now, to each job in turn, as many as one event may.
    fn fill(&mut self, out: &mut Out) {
        while !out.full() {
            let after = self.filled.and_then(|last| self.filling.range(JobId::new(last.ulid() + 1)..).next());
            let Some(id) = after.or_else(|| self.filling.first()).copied() else { return };
            self.filled = Some(id);
            let share = super::MAX_ROWS / self.filling.len().min(10);
            for _ in 0..share.max(1) {
                let next = self.jobs.get(&id).and_then(|job| job.progress.next());
                let Some(place) = next else {
                    self.filling.remove(&id);
                    break;
                };
                if out.full() {
                    return;
                }
                self.give_birth(out, id, place);
            }
        }
    }

    /// A task of a job gets its record.
    fn give_birth(&mut self, out: &mut Out, id: JobId, place: Place) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Some(group) = job.plan.group(place.group) else { return };
        // That every element has its values was seen when the job was read.
        let spec = group.spec_of(place.ordinal).unwrap_or_else(|_| Arc::clone(&group.spec));
        let offset = job.offsets.get(place.group as usize).copied().unwrap_or_default() + u64::from(place.ordinal);
        let (task, owner, order) = (job.plan.task_id(id, place), job.record.owner.clone(), job.record.order_of(offset));
        let fresh = TaskRecord::new(task, owner, spec, order, job.record.created_at);
        let mut record = TaskRecord { job: Some(id), ..fresh };
        record.state = State::Queued(hold::at_first(&record, out.now));
        self.take_in(out, Arc::new(record));
    }

    /// A task that is new: from now on it lives.
    pub(super) fn take_in(&mut self, out: &mut Out, record: Arc<TaskRecord>) {
        self.alarms.extend(alarms::of(&record).into_iter().flatten());
        self.tasks.insert(record.id, Arc::clone(&record));
        self.moved(out, &record, None);
        out.save(Row::Task(record));
    }

    /// Stores what became of each job that something happened to; those that are over leave.
    fn store_jobs(&mut self, out: &mut Out) {
        for id in std::mem::take(&mut out.touched) {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            let counts = job.progress.counts();
            let end = job.progress.end().map(|status| JobEnd { status: as_stopped(status, &job.record), at: out.now });
            let record = Arc::make_mut(&mut job.record);
            record.counts = counts;
            record.version += 1;
            record.end = end;
            if end.is_some() {
                record.sweeps.clear();
            }
            out.save(Row::Job(Arc::clone(&job.record), job.progress.groups().clone()));
            if end.is_some() {
                self.let_go(id, out.now);
            }
        }
    }

    /// A job is over: it is no longer live.
    fn let_go(&mut self, id: JobId, now: Timestamp) {
        self.filling.remove(&id);
        self.sweeping.remove(&id);
        let Some(job) = self.jobs.remove(&id) else { return };
        job.progress.outside().for_each(|task| self.unwatch(task, id));
        if let Some(key) = job_key(&job.record) {
            self.job_keys.insert(key.clone(), JobKeyUse { job: id, plan: job.plan });
            self.ended_job_keys.insert(id, (now + KEY_KEPT, key.clone()));
            self.old_job_keys.insert((now + KEY_KEPT, key));
        }
    }

    /// Forgets the keys of jobs that ended long ago.
    pub(super) fn forget_job_keys(&mut self, now: Timestamp) {
        while let Some((at, _)) = self.old_job_keys.first()
            && *at <= now
        {
            if let Some((_, key)) = self.old_job_keys.pop_first()
                && let Some(used) = self.job_keys.remove(&key)
            {
                self.ended_job_keys.remove(&used.job);
            }
        }
    }
}

/// A job that its user cancelled is cancelled, whatever of it had failed before.
fn as_stopped(status: JobStatus, record: &JobRecord) -> JobStatus {
    match (status, &record.stop) {
        (JobStatus::Failed, Some(Stop::Cancelled { .. })) => JobStatus::Cancelled,
        (status, _) => status,
    }
}

/// What the tasks of a job that is stopped are cancelled by.
fn asked(stop: &Stop, record: &JobRecord) -> CancelRequest {
    let of = |by: &UserId, why: Option<String>| CancelRequest { by: by.clone(), at: stop.at(), why };
    match stop {
        Stop::Cancelled { by, .. } => of(by, None),
        Stop::TooManyFailed { .. } => of(&record.owner, Some(stop.to_string())),
    }
}
