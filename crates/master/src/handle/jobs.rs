//! Jobs: submitted, looked at, cancelled, held, let go.

use super::Handle;
use crate::mailbox::AskError;
use crate::model::SeenJob;
use crate::principal::{Principal, Role};
use cloudai_core::event::{Answer, CancelJob, Event, NewJob, NewTask, Part, Rejected};
use cloudai_core::ids::{JobId, TaskId};
use cloudai_core::job::{Group, Groups, JobFile, JobRecord, On};
use cloudai_core::spec::TaskSpec;
use cloudai_core::state::Status;
use cloudai_core::task::TaskRecord;
use cloudai_store::query::{JobQuery, Page};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The fate of a submitted job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobAccepted {
    /// Its id.
    pub id: JobId,
    /// False when an earlier submission had the same idempotency key.
    pub fresh: bool,
}

impl Handle {
    /// Accepts a job, all of it or nothing; returns once it is on disk.
    /// # Errors
    /// [`AskError`]; the places of wrong tasks are those in the file.
    pub async fn submit_job(&self, who: &Principal, file: JobFile) -> Result<JobAccepted, AskError> {
        let JobFile { plan, hold, idempotency_key } = file;
        let new = NewJob {
            id: super::job_id_at(self.shared.clock.now()),
            owner: who.user.clone(),
            plan: Arc::new(plan),
            held: hold,
            idempotency_key,
            retry_of: None,
            done: Vec::new(),
            ended: BTreeMap::new(),
        };
        self.submit_new_job(who, new).await
    }

    pub(super) async fn submit_new_job(&self, who: &Principal, mut new: NewJob) -> Result<JobAccepted, AskError> {
        if let Some(id) = self.stored_job_twin(&new).await? {
            return Ok(JobAccepted { id, fresh: false });
        }
        self.check_policy(groups_to_run(&new))?;
        let (tasks, places) = as_tasks(&new);
        self.check_secrets(&tasks, &places).await?;
        let holders = self.hold_inputs(who, &tasks, &places).await?;
        let asked = self.ask_for_job(who, &mut new).await;
        let keep = match &asked {
            Ok(accepted) => accepted.fresh,
            // Nothing was changed.
            Err(AskError::Unavailable(_) | AskError::Rejected(_)) => false,
            // Whether it was taken in is not known: what nobody needs is found by its age.
            Err(_) => true,
        };
        if !keep {
            self.release_inputs(holders.into_iter()).await;
        }
        asked
    }

    async fn ask_for_job(&self, who: &Principal, new: &mut NewJob) -> Result<JobAccepted, AskError> {
        // What it needs may end between a look and the submission: then it is found by the next look.
        let mut looks = 0;
        loop {
            new.ended = self.ended_outside(who, new).await?;
            looks += 1;
            match self.ask(who, Event::SubmitJob(Box::new(new.clone()))).await {
                Ok(Answer::JobSubmitted { id, fresh }) => return Ok(JobAccepted { id, fresh }),
                Ok(other) => return Err(AskError::unexpected(&other)),
                Err(AskError::Rejected(Rejected::NoSuchTask(_))) if looks < 3 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// How those tasks outside of a plan ended that it needs; all of them are the caller's.
    pub(super) async fn ended_outside(
        &self,
        who: &Principal,
        new: &NewJob,
    ) -> Result<BTreeMap<TaskId, Status>, AskError> {
        let mut ended = BTreeMap::new();
        let done = new.done_groups();
        let groups = new.plan.groups.iter().zip(0..).filter(|(_, number)| !done.contains(number));
        for need in groups.flat_map(|(group, _)| &group.needs) {
            let On::Task(task) = need.on else { continue };
            if ended.contains_key(&task) {
                continue;
            }
            let owner = match self.record(task).await? {
                Some(record) => Some(record.owner.clone()),
                None => self.job_with(task).await?.map(|job| job.record.owner.clone()),
            };
            if !owner.is_some_and(|owner| who.may_see(&owner)) {
                return Err(Rejected::NoSuchTask(task).into());
            }
            if let Some(status) = self.shared.store.ended(task).await? {
                ended.insert(task, status);
            }
        }
        Ok(ended)
    }

    async fn stored_job_twin(&self, new: &NewJob) -> Result<Option<JobId>, AskError> {
        let Some(key) = &new.idempotency_key else { return Ok(None) };
        let Some(twin) = self.shared.store.job_by_key(&new.owner, key).await? else { return Ok(None) };
        let plan = self.shared.store.job_plan(twin.id).await?;
        if plan.is_some_and(|plan| plan == new.plan) {
            return Ok(Some(twin.id));
        }
        Err(Rejected::JobKeyReused(twin.id).into())
    }

    /// A job of the caller's, with all that is known of it.
    /// # Errors
    /// [`AskError::Rejected`] with `NoSuchJob` also for another's job.
    pub async fn job(&self, who: &Principal, id: JobId) -> Result<SeenJob, AskError> {
        let job = self.whole_job(id).await?;
        Ok(job.filter(|job| who.may_see(&job.record.owner)).ok_or(Rejected::NoSuchJob(id))?)
    }

    async fn whole_job(&self, id: JobId) -> Result<Option<SeenJob>, AskError> {
        if let Some(job) = self.shared.model.job(id) {
            return Ok(Some(job));
        }
        let store = &self.shared.store;
        let Some(record) = store.job(id).await? else { return Ok(None) };
        let Some(plan) = store.job_plan(id).await? else { return Ok(None) };
        let groups = store.job_groups(id).await?.unwrap_or_else(Groups::default);
        Ok(Some(SeenJob { record, plan, groups }))
    }

    /// The job of which a task with this id is, or an array as a whole, whether it has a record or not.
    pub(crate) async fn job_with(&self, task: TaskId) -> Result<Option<SeenJob>, AskError> {
        if let Some(job) = self.shared.model.job_with(task) {
            return Ok(Some(job));
        }
        match self.shared.store.job_with(task).await? {
            Some(record) => {
                let job = self.whole_job(record.id).await?;
                Ok(job.filter(|job| crate::model::is_of_job(job, task)))
            }
            None => Ok(None),
        }
    }

    /// The array of the caller's that has this id as a whole: its job, and its place in the plan.
    /// # Errors
    /// [`AskError::Rejected`] with `NoSuchTask` for what is no array, and for another's.
    pub async fn array(&self, who: &Principal, id: TaskId) -> Result<(SeenJob, u32), AskError> {
        let found = if id.index().is_none() { self.job_with(id).await? } else { None };
        let found = found.filter(|job| who.may_see(&job.record.owner)).and_then(|job| {
            let number = job.record.id.group_of(id)?;
            job.plan.group(number)?.elements.as_ref()?;
            Some((job, number))
        });
        Ok(found.ok_or(Rejected::NoSuchTask(id))?)
    }

    /// A task that has no record yet, or never had one; anybody's.
    pub(super) async fn unborn(&self, task: TaskId) -> Result<Option<TaskRecord>, AskError> {
        let Some(job) = self.job_with(task).await? else { return Ok(None) };
        let place = job.plan.place_of(job.record.id, task);
        // One that had a record is kept no longer.
        Ok(place.filter(|place| !job.was_born(*place)).and_then(|place| job.unborn(place)))
    }

    /// A job once it has ended, or as it is when the time is over.
    /// # Errors
    /// As [`Handle::job`].
    pub async fn wait_for_job(&self, who: &Principal, id: JobId, patience: Duration) -> Result<SeenJob, AskError> {
        let mut changes = self.shared.model.changes();
        let deadline = tokio::time::Instant::now() + patience;
        let first = self.job(who, id).await?;
        let mut ended = first.record.end.is_some();
        while !ended {
            changes.mark_unchanged();
            ended = !self.shared.model.has_job(id);
            if !ended {
                let changed = tokio::time::timeout_at(deadline, changes.changed());
                if !matches!(self.shared.stopping.run_until_cancelled(changed).await, Some(Ok(Ok(())))) {
                    break;
                }
            }
        }
        self.job(who, id).await
    }

    /// One page of jobs that the caller sees: without an owner everybody's for operators, else the caller's own.
    /// # Errors
    /// [`AskError::Store`].
    pub async fn jobs(&self, who: &Principal, mut query: JobQuery) -> Result<Page<Arc<JobRecord>>, AskError> {
        match &query.owner {
            Some(owner) if !who.may_see(owner) => return Ok(Page { items: Vec::new(), next: None }),
            Some(_) => {}
            None if who.has(Role::Operator) => {}
            None => query.owner = Some(who.user.clone()),
        }
        query.check().map_err(|error| AskError::Store(Arc::new(error)))?;
        // First what lives: what ends meanwhile is found twice rather than not at all.
        let live = self.shared.model.jobs(&query);
        let ended = self.shared.store.jobs(&query).await?;
        Ok(query.merge(live, ended))
    }

    /// Jobs of the caller's whose ids begin or end so.
    /// # Errors
    /// [`AskError::Store`].
    pub async fn resolve_job(&self, who: &Principal, part: &str, limit: usize) -> Result<Vec<SeenJob>, AskError> {
        let part = part.to_ascii_uppercase();
        // Others' are found as well, and hide none of the caller's.
        let most = if who.has(Role::Operator) { limit } else { limit.max(super::MOST_LOOKED_AT) };
        let mut ids = self.shared.model.jobs_like(&part, most);
        ids.extend(self.shared.store.jobs_like(&part, most).await?);
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.dedup();
        ids.truncate(most);
        let mut jobs = Vec::with_capacity(ids.len());
        for id in ids {
            match self.job(who, id).await {
                Ok(job) => jobs.push(job),
                Err(AskError::Rejected(Rejected::NoSuchJob(_))) => {}
                Err(error) => return Err(error),
            }
            if jobs.len() >= limit {
                break;
            }
        }
        Ok(jobs)
    }

    /// Asks for the end of what is left of a job, or of a part of it. One that has ended stays as it is.
    /// # Errors
    /// [`AskError`].
    pub async fn cancel_job(&self, who: &Principal, id: JobId, parts: Vec<Part>) -> Result<SeenJob, AskError> {
        let job = self.job_to_change(who, id).await?;
        if job.record.end.is_some() {
            return Ok(job);
        }
        let all = || vec![None];
        let parts = if parts.is_empty() { all() } else { parts.into_iter().map(Some).collect() };
        for part in parts {
            match self.ask(who, Event::CancelJob(CancelJob { job: id, by: who.user.clone(), part })).await {
                // It ended in between.
                Ok(_) | Err(AskError::Rejected(Rejected::NoSuchJob(_))) => {}
                Err(error) => return Err(error),
            }
        }
        self.job(who, id).await
    }

    /// Lets no more tasks of a job have their turn, or lets it go.
    /// # Errors
    /// [`AskError`]; rejected with `JobEnded` when it has.
    pub async fn hold_job(&self, who: &Principal, id: JobId, hold: bool) -> Result<SeenJob, AskError> {
        if self.job_to_change(who, id).await?.record.end.is_none() {
            let event = if hold { Event::HoldJob(id, who.user.clone()) } else { Event::ReleaseJob(id) };
            match self.ask(who, event).await {
                Ok(_) => return self.job(who, id).await,
                // It ended in between.
                Err(AskError::Rejected(Rejected::NoSuchJob(_))) => {}
                Err(error) => return Err(error),
            }
        }
        let status = self.job(who, id).await?.record.status();
        Err(Rejected::JobEnded(id, status).into())
    }
}

/// What the groups of a job run that have not completed before, each with its place. An array is one: what its elements
/// differ by is nothing that a policy speaks of.
pub(super) fn groups_to_run(new: &NewJob) -> impl Iterator<Item = (usize, &TaskSpec)> {
    let done = new.done_groups();
    let runs = move |number: usize| !u32::try_from(number).is_ok_and(|number| done.contains(&number));
    let groups = new.plan.groups.iter().enumerate().filter(move |(number, _)| runs(*number));
    groups.map(|(number, group)| (number, &*group.spec))
}

/// The groups of a job as tasks, for what is checked and held of each: an array is one.
pub(super) fn as_tasks(new: &NewJob) -> (Vec<NewTask>, Vec<usize>) {
    let matters = |group: &Group| !group.spec.container.inputs.is_empty() || !group.spec.container.secrets.is_empty();
    let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let task = |(number, group): (usize, &Group)| NewTask {
        id: new.id.holder(place(number)),
        owner: new.owner.clone(),
        job: Some(new.id),
        depends_on: Vec::new(),
        // What a job found, the one that runs it again finds.
        retry_of: new.retry_of.map(|old| old.holder(place(number))),
        spec: Arc::clone(&group.spec),
    };
    let done = new.done_groups();
    let runs = |number: usize| !done.contains(&place(number));
    let groups = || new.plan.groups.iter().enumerate().filter(|(number, group)| matters(group) && runs(*number));
    (groups().map(task).collect(), groups().map(|(number, _)| number).collect())
}
