//! Users of jobs: they submit them, again under the same key when no answer came, hold and release them, and cancel
//! them in whole and in part.

use super::{ClientEvent, Fate, PATIENCE};
use crate::context::{Context, What};
use crate::network::{Message, Request};
use crate::workload::{Deed, JobArrival};
use cloudai_core::event::Part;
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::{JobPlan, Need, On, Place};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Their jobs.
#[derive(Debug)]
pub(super) struct Jobs {
    arrivals: Vec<JobArrival>,
    /// What became of each submission.
    fates: Vec<Fate<JobId>>,
    /// Wishes to cancel, and whether they were answered.
    cancels: Vec<(JobId, Option<Part>, bool)>,
    /// Wishes to release, and whether they were answered.
    releases: BTreeMap<JobId, bool>,
}

impl Jobs {
    pub(super) fn new(context: &mut Context, arrivals: Vec<JobArrival>) -> Self {
        for (index, arrival) in arrivals.iter().enumerate() {
            context.after(arrival.at, What::Client(ClientEvent::SubmitJob(index)));
        }
        let fates = vec![Fate::Planned; arrivals.len()];
        Self { arrivals, fates, cancels: Vec::new(), releases: BTreeMap::new() }
    }

    pub(super) fn is_done(&self) -> bool {
        self.fates.iter().all(Fate::is_settled)
            && self.cancels.iter().all(|(.., answered)| *answered)
            && self.releases.values().all(|answered| *answered)
    }

    /// Submits a job; `tasks` are the submissions of tasks.
    pub(super) fn submit(&mut self, context: &mut Context, submission: usize, tasks: &[Fate<TaskId>]) {
        let keyed = self.arrivals[submission].key.is_some();
        match self.fates[submission] {
            Fate::Answered(_) | Fate::Dropped => return,
            // Nobody can tell whether it was taken: without a key it is not sent again.
            Fate::Sent if !keyed => {
                self.fates[submission] = Fate::Dropped;
                return;
            }
            Fate::Planned | Fate::Sent => self.fates[submission] = Fate::Sent,
        }
        self.choose_needs(context, submission, tasks);
        let JobArrival { plan, key, held, .. } = &self.arrivals[submission];
        let (plan, key, held) = (Arc::clone(plan), key.clone(), *held);
        context.send(Message::Master(Request::SubmitJob { submission, plan, key, held }));
        context.after(PATIENCE, What::Client(ClientEvent::SubmitJob(submission)));
    }

    /// Chooses what a job needs of others, among all that was acknowledged so far; once.
    fn choose_needs(&mut self, context: &mut Context, submission: usize, tasks: &[Fate<TaskId>]) {
        let after = std::mem::take(&mut self.arrivals[submission].after);
        if after.is_empty() {
            return;
        }
        let tasks: Vec<TaskId> = tasks.iter().filter_map(Fate::answered).collect();
        let mut of_jobs = Vec::new();
        for (arrival, job) in self.arrivals.iter().zip(&self.fates) {
            let Some(job) = job.answered() else { continue };
            for (group, number) in arrival.plan.groups.iter().zip(0..) {
                let last = Place { group: number, ordinal: group.count() - 1 };
                of_jobs.extend([job.group(number), arrival.plan.task_id(job, last)]);
            }
        }
        let plan = Arc::make_mut(&mut self.arrivals[submission].plan);
        for (number, when) in after {
            let known = if of_jobs.is_empty() || context.rng.chance(400) { &tasks } else { &of_jobs };
            let Some(task) = known.get(context.rng.index(known.len())) else { continue };
            let Some(group) = plan.groups.get_mut(number as usize) else { continue };
            let on = On::Task(*task);
            if !group.needs.iter().any(|need| need.on == on) {
                group.needs.push(Need { on, when });
            }
        }
    }

    pub(super) fn submitted(&mut self, context: &mut Context, submission: usize, job: JobId) {
        let arrival = &self.arrivals[submission];
        if let Fate::Answered(earlier) = self.fates[submission]
            && earlier != job
            && arrival.key.is_some()
            && ![earlier, job].iter().any(|of| context.check.is_lost_job(*of))
        {
            context.check.fail(format!("3.3.1: one idempotency key was answered with {earlier} and {job}"));
        }
        if self.fates[submission] != Fate::Answered(job) {
            self.fates[submission] = Fate::Answered(job);
            for (wait, deed) in &arrival.deeds {
                context.after(*wait, What::Client(event(*deed, &arrival.plan, job)));
            }
        }
    }

    pub(super) fn refused(&mut self, submission: usize) {
        self.fates[submission] = Fate::Dropped;
    }

    /// Nothing was done: it is sent again when the user's patience ends, without a key too.
    pub(super) fn not_now(&mut self, submission: usize) {
        if self.fates[submission] == Fate::Sent {
            self.fates[submission] = Fate::Planned;
        }
    }

    /// Cancels, until it is answered.
    pub(super) fn cancel(&mut self, context: &mut Context, job: JobId, part: Option<Part>) {
        let same = |wish: &&(JobId, Option<Part>, bool)| (wish.0, wish.1) == (job, part);
        match self.cancels.iter().find(same) {
            Some((.., true)) => return,
            Some((.., false)) => {}
            None => self.cancels.push((job, part, false)),
        }
        context.send(Message::Master(Request::CancelJob { job, part }));
        context.after(PATIENCE, What::Client(ClientEvent::CancelJob(job, part)));
    }

    pub(super) fn cancelled(&mut self, job: JobId, part: Option<Part>) {
        let same = |wish: &&mut (JobId, Option<Part>, bool)| (wish.0, wish.1) == (job, part);
        self.cancels.iter_mut().filter(same).for_each(|wish| wish.2 = true);
    }

    /// Releases, until it is answered.
    pub(super) fn release(&mut self, context: &mut Context, job: JobId) {
        if !self.releases.get(&job).copied().unwrap_or(false) {
            self.releases.insert(job, false);
            context.send(Message::Master(Request::ReleaseJob { job }));
            context.after(PATIENCE, What::Client(ClientEvent::ReleaseJob(job)));
        }
    }

    pub(super) fn released(&mut self, job: JobId) {
        self.releases.insert(job, true);
    }
}

/// What a user does, once the job has its id.
fn event(deed: Deed, plan: &JobPlan, job: JobId) -> ClientEvent {
    match deed {
        Deed::Cancel => ClientEvent::CancelJob(job, None),
        Deed::CancelPart(part) => ClientEvent::CancelJob(job, Some(part)),
        Deed::CancelTask(place) => ClientEvent::Cancel(plan.task_id(job, place)),
        Deed::CancelGroup(group) => ClientEvent::Cancel(job.group(group)),
        Deed::Hold => ClientEvent::HoldJob(job),
        Deed::Release => ClientEvent::ReleaseJob(job),
    }
}
