//! Jobs as users submit them to the simulated master: what the store knows of keys and of ended tasks is looked up
//! before, as the real one does.

use super::{Master, Origin};
use crate::context::Context;
use crate::network::{Message, Reply};
use cloudai_core::event::{Event, NewJob};
use cloudai_core::ids::UserId;
use cloudai_core::job::{JobPlan, On};
use std::sync::Arc;

impl Master {
    /// A key that the store knows is answered from there; the cluster knows the younger ones.
    pub(super) fn submit_job(
        &mut self,
        context: &mut Context,
        submission: usize,
        wanted: (Arc<JobPlan>, Option<Arc<str>>, bool),
    ) {
        let (plan, idempotency_key, held) = wanted;
        let owner = UserId::local();
        let mut stored = self.store.jobs.records.values();
        let is_twin = |key: &Option<Arc<str>>| key.is_some() && *key == idempotency_key;
        if let Some(job) = stored.find(|job| job.owner == owner && is_twin(&job.idempotency_key)).map(|job| job.id) {
            context.count("job known by its key");
            context.check.job_acknowledged(&self.store, job);
            context.send(Message::Client(Reply::JobSubmitted { submission, job }));
            return;
        }
        let needs = plan.groups.iter().flat_map(|group| &group.needs);
        let ended = needs.filter_map(|need| match need.on {
            On::Task(task) => Some((task, self.store.jobs.outside(task, &self.store.tasks)?)),
            On::Group(_) => None,
        });
        let (ended, id) = (ended.collect(), context.next_job(plan.groups.len()));
        let new = NewJob { id, owner, plan, held, idempotency_key, retry_of: None, done: Vec::new(), ended };
        self.wish(context, Event::SubmitJob(Box::new(new)), Origin::SubmitJob(submission));
    }
}
