//! The only way in: typed calls that end in the engine, the read model or the store.

mod advice;
mod audit;
mod ca;
mod debug;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod foresee;
pub(crate) mod identity;
pub(crate) mod inputs;
mod inputs_in_job;
mod job_retry;
pub mod job_tasks;
pub mod jobs;
mod left;
pub(crate) mod listed;
pub(crate) mod made;
mod policy;
pub(crate) mod propose;
pub mod queue;
pub(crate) mod registries;
pub(crate) mod restore;
mod retry;
mod schedules;
pub(crate) mod secrets;
pub mod strategy;
pub(crate) mod templates;
pub(crate) mod usage;

use crate::addresses::InputRules;
use crate::audit::Auditor;
use crate::auth::Identity;
use crate::choice::Choice;
use crate::clock::Clock;
use crate::exec::Execs;
use crate::heartbeats::{Heard, Heartbeats};
use crate::http::Live;
use crate::logs::Logs;
use crate::mailbox::{AskError, Mailboxes};
use crate::model::{Model, SeenTask, SeenWorker};
use crate::pki::Pki;
use crate::placing::Placing;
use crate::policy::Policies;
use crate::predictions::Saved;
use crate::principal::{Principal, Role};
use crate::quota::Quota;
use crate::schedules::Schedules;
use crate::secrets::Secrets;
use crate::templates::Templates;
use crate::trail::Trail;
use cloudai_core::event::{
    Admission, Answer, Cancel, DutyOrder, DutyWish, Event, LabelOrder, NewTask, Rejected, Removal, Submitted,
};
use cloudai_core::ids::{Incarnation, JobId, Session, TaskId, Term, WorkerId};
use cloudai_core::resources::Allocation;
use cloudai_core::spec::TaskSpec;
use cloudai_core::task::TaskRecord;
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use cloudai_core::worker::WorkerRecord;
use cloudai_store::backup::Snapshot;
use cloudai_store::bulk::BulkError;
use cloudai_store::query::{Page, TaskQuery};
use cloudai_store::{Store, StoreError};
pub(crate) use left::{Kept, KeptFrom, Left, LeftFile};
use restore::Restoring;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

/// Ids that a part of one fits, which are looked at for somebody who does not see all of them.
const MOST_LOOKED_AT: usize = 1000;

/// Cheap to clone; every part of the master that is not the engine holds one.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// What all handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) facts: Facts,
    pub(crate) join_token: String,
    /// The certificates of machines; none without security.
    pub(crate) pki: Option<Arc<Pki>>,
    pub(crate) mailboxes: Arc<Mailboxes>,
    pub(crate) placing: Arc<Placing>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) model: Arc<Model>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) logs: Arc<Logs>,
    /// Which files of attempts come in.
    pub(crate) quota: Quota,
    pub(crate) secrets: Secrets,
    /// Who comes in; none where everybody is the one local user.
    pub(crate) identity: Option<Identity>,
    /// What tasks may ask for.
    pub(crate) policies: Policies,
    pub(crate) templates: Templates,
    pub(crate) schedules: Schedules,
    pub(crate) inputs: InputRules,
    pub(crate) clock: Arc<Clock>,
    /// What the engine did last.
    pub(crate) trail: Arc<Trail>,
    /// Who did what.
    pub(crate) audit: Auditor,
    /// Which strategy places.
    pub(crate) choice: Arc<Choice>,
    /// Up to where predictions are stored.
    pub(crate) saved: Saved,
    /// Clients that listen over WebSockets.
    pub(crate) live: Live,
    /// Programs that users run in containers.
    pub(crate) execs: Arc<Execs>,
    pub(crate) restoring: Restoring,
    /// Cancelled when the master begins to stop: whoever waits for news ends.
    pub(crate) stopping: CancellationToken,
}

/// What does not change while a master lives.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The cluster's id.
    pub cluster: String,
    /// Which life of its data.
    pub incarnation: Incarnation,
    /// This master's term.
    pub term: Term,
    /// The cluster's times.
    pub timing: Timing,
}

impl Handle {
    /// What does not change while this master lives.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.shared.facts
    }

    /// Accepts tasks, all or none; returns once they are on disk.
    /// # Errors
    /// [`AskError`].
    pub async fn submit(&self, who: &Principal, specs: Vec<Arc<TaskSpec>>) -> Result<Vec<Submitted>, AskError> {
        let mut fates: Vec<Option<Submitted>> = Vec::with_capacity(specs.len());
        let (mut fresh, mut places) = (Vec::new(), Vec::new());
        for (place, spec) in specs.into_iter().enumerate() {
            let twin = self.stored_twin(who, &spec).await?;
            if twin.is_none() {
                let id = self.new_task_id();
                fresh.push(NewTask {
                    id,
                    owner: who.user.clone(),
                    job: None,
                    depends_on: Vec::new(),
                    retry_of: None,
                    spec,
                });
                places.push(place);
            }
            fates.push(twin.map(|id| Submitted { id, fresh: false }));
        }
        for (place, accepted) in places.iter().zip(self.submit_fresh(who, fresh, &places).await?) {
            fates[*place] = Some(accepted);
        }
        Ok(fates.into_iter().flatten().collect())
    }

    /// Puts new tasks to the engine; `places` are their numbers in the caller's list.
    async fn submit_fresh(
        &self,
        who: &Principal,
        fresh: Vec<NewTask>,
        places: &[usize],
    ) -> Result<Vec<Submitted>, AskError> {
        if fresh.is_empty() {
            return Ok(Vec::new());
        }
        self.check_policy(places.iter().copied().zip(fresh.iter().map(|new| &*new.spec)))?;
        self.check_secrets(&fresh, places).await?;
        let holders = self.hold_inputs(who, &fresh, places).await?;
        let asked = self.ask(who, Event::Submit(fresh)).await;
        let taken: BTreeSet<TaskId> = match &asked {
            Ok(Answer::Submitted(accepted)) => accepted.iter().map(|accepted| accepted.id).collect(),
            // Nothing was changed.
            Err(AskError::Unavailable(_) | AskError::Rejected(_)) => BTreeSet::new(),
            // Whether they were taken in is not known: what nobody needs is found by its age.
            Ok(_) | Err(_) => holders.iter().copied().collect(),
        };
        self.release_inputs(holders.into_iter().filter(|id| !taken.contains(id))).await;
        match asked {
            Ok(Answer::Submitted(accepted)) => Ok(accepted),
            Ok(other) => Err(AskError::unexpected(&other)),
            Err(AskError::Rejected(Rejected::Unsatisfiable { index, message })) => {
                let index = places.get(index).copied().unwrap_or(index);
                Err(Rejected::Unsatisfiable { index, message }.into())
            }
            Err(error) => Err(error),
        }
    }

    /// The stored task of the same owner and key; one that is not stored yet is known to the engine. What it found when it
    /// was submitted is not looked for again: it may be gone.
    async fn stored_twin(&self, who: &Principal, spec: &TaskSpec) -> Result<Option<TaskId>, AskError> {
        let Some(key) = &spec.idempotency_key else { return Ok(None) };
        match self.shared.store.task_by_key(&who.user, key).await? {
            None => Ok(None),
            Some(twin) if *twin.spec == *spec => Ok(Some(twin.id)),
            Some(twin) => Err(Rejected::KeyReused(twin.id).into()),
        }
    }

    fn new_task_id(&self) -> TaskId {
        task_id_at(self.shared.clock.now())
    }

    /// A task of the caller's.
    /// # Errors
    /// [`AskError::Rejected`] with `NoSuchTask` also for another's task.
    pub async fn task(&self, who: &Principal, id: TaskId) -> Result<SeenTask, AskError> {
        let record = match self.record(id).await? {
            Some(record) => Some(record),
            None => match self.unborn(id).await? {
                Some(unborn) => Some(Arc::new(unborn)),
                // It may have got its record in between.
                None => self.record(id).await?,
            },
        };
        let record = record.filter(|record| who.may_see(&record.owner)).ok_or(Rejected::NoSuchTask(id))?;
        Ok(self.see(record))
    }

    /// Anybody's task: from the read model while it lives, else from the store.
    pub(crate) async fn record(&self, id: TaskId) -> Result<Option<Arc<TaskRecord>>, StoreError> {
        match self.shared.model.task(id) {
            Some(record) => Ok(Some(record)),
            None => self.shared.store.task(id).await,
        }
    }

    /// A task once it has ended, or as it is when the time is over.
    /// # Errors
    /// As [`Handle::task`].
    pub async fn wait_for_end(&self, who: &Principal, id: TaskId, patience: Duration) -> Result<SeenTask, AskError> {
        let mut changes = self.shared.model.changes();
        let deadline = tokio::time::Instant::now() + patience;
        let first = self.task(who, id).await?;
        let mut ended = first.record.finished().is_some();
        while !ended {
            changes.mark_unchanged();
            // Only the record is looked at: what it waits for is worked out once, at the end.
            ended = match self.shared.model.task(id) {
                Some(task) => task.finished().is_some(),
                None => !self.shared.model.is_to_be_born(id),
            };
            if !ended {
                let changed = tokio::time::timeout_at(deadline, changes.changed());
                if !matches!(self.shared.stopping.run_until_cancelled(changed).await, Some(Ok(Ok(())))) {
                    break;
                }
            }
        }
        self.task(who, id).await
    }

    /// Something to await changes of the read model on.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.model.changes()
    }

    /// Ids of the caller's tasks that begin or end so.
    /// # Errors
    /// [`AskError::Store`].
    pub async fn resolve(&self, who: &Principal, part: &str, limit: usize) -> Result<Vec<SeenTask>, AskError> {
        let part = part.to_ascii_uppercase();
        // Others' are found as well, and hide none of the caller's.
        let most = if who.has(Role::Operator) { limit } else { limit.max(MOST_LOOKED_AT) };
        let mut ids = self.shared.model.live_like(&part, most);
        ids.extend(self.shared.store.tasks_like(&part, most).await?);
        ids.sort_unstable_by(|one, other| other.cmp(one));
        ids.dedup();
        ids.truncate(most);
        let mut tasks = Vec::with_capacity(ids.len());
        for id in ids {
            match self.task(who, id).await {
                Ok(task) => tasks.push(task),
                Err(AskError::Rejected(Rejected::NoSuchTask(_))) => {}
                Err(error) => return Err(error),
            }
            if tasks.len() >= limit {
                break;
            }
        }
        Ok(tasks)
    }

    /// One page of tasks that the caller sees: without an owner everybody's for operators, else the caller's own; of a
    /// worker all that the caller sees, on pages that may be short.
    /// # Errors
    /// [`AskError::Store`]; also for a combination that no index serves.
    pub async fn tasks(&self, who: &Principal, query: TaskQuery) -> Result<Page<SeenTask>, AskError> {
        let Some(query) = listed::narrowed(who, query) else { return Ok(Page { items: Vec::new(), next: None }) };
        query.check().map_err(|error| AskError::Store(Arc::new(error)))?;
        // First what lives: what ends meanwhile is found twice rather than not at all.
        let live = self.shared.model.live(&query).map_err(|error| AskError::Store(Arc::new(error)))?;
        let ended = match query.of_ended() {
            Some(query) => self.shared.store.tasks(&query).await?,
            None => Page { items: Vec::new(), next: None },
        };
        let page = query.merge(live, ended);
        let items = page.items.into_iter().filter(|task| who.may_see(&task.owner));
        Ok(Page { items: items.map(|task| self.see(task)).collect(), next: page.next })
    }

    /// Asks for the end of a task. One that has ended stays as it is.
    /// # Errors
    /// [`AskError`].
    pub async fn cancel(&self, who: &Principal, id: TaskId) -> Result<SeenTask, AskError> {
        let task = self.task_to_change(who, id).await?;
        if task.record.finished().is_some() {
            return Ok(task);
        }
        match self.ask(who, Event::Cancel(Cancel { task: id, by: who.user.clone() })).await {
            // It ended in between.
            Ok(_) | Err(AskError::Rejected(Rejected::NoSuchTask(_))) => self.task(who, id).await,
            Err(error) => Err(error),
        }
    }

    /// Keeps a waiting task from being placed.
    /// # Errors
    /// [`AskError`]; rejected with `NotWaiting` when it has a worker or has ended.
    pub async fn hold(&self, who: &Principal, id: TaskId) -> Result<SeenTask, AskError> {
        self.while_live(who, id, Event::Hold(id, who.user.clone())).await
    }

    /// Lets a held task go; one that nobody holds stays as it is.
    /// # Errors
    /// [`AskError`]; rejected with `NotWaiting` when it has ended.
    pub async fn release(&self, who: &Principal, id: TaskId) -> Result<SeenTask, AskError> {
        self.while_live(who, id, Event::Release(id)).await
    }

    /// Puts an event to the engine that means nothing to a task that has ended.
    async fn while_live(&self, who: &Principal, id: TaskId, event: Event) -> Result<SeenTask, AskError> {
        if self.task_to_change(who, id).await?.record.finished().is_none() {
            match self.ask(who, event).await {
                Ok(_) => return self.task(who, id).await,
                // It ended in between.
                Err(AskError::Rejected(Rejected::NoSuchTask(_))) => {}
                Err(error) => return Err(error),
            }
        }
        let task = self.task(who, id).await?.record;
        match task.job.filter(|_| task.finished().is_none() && self.shared.model.is_to_be_born(id)) {
            Some(job) => Err(Rejected::NoTurnYet(id, job).into()),
            None => Err(Rejected::NotWaiting(id, task.status()).into()),
        }
    }

    /// Every worker.
    #[must_use]
    pub fn workers(&self, _who: &Principal) -> Vec<SeenWorker> {
        self.shared.model.workers()
    }

    /// Every worker with the sum of what its attempts hold.
    #[must_use]
    pub fn loads(&self, _who: &Principal) -> Vec<(Arc<WorkerRecord>, Allocation)> {
        self.shared.model.loads()
    }

    /// One worker.
    #[must_use]
    pub fn worker(&self, _who: &Principal, id: &WorkerId) -> Option<SeenWorker> {
        self.shared.model.worker(id)
    }

    /// The last that was heard of a worker in this master's life.
    #[must_use]
    pub fn heard(&self, _who: &Principal, id: &WorkerId) -> Option<Heard> {
        self.shared.heartbeats.heard(id)
    }

    /// Adds a worker before it comes, or changes its address.
    /// # Errors
    /// [`AskError`].
    pub async fn admit(&self, who: &Principal, admission: Admission) -> Result<(), AskError> {
        self.ask(who, Event::Admit(admission)).await.map(drop)
    }

    /// Keeps work from a worker, empties it, or opens it again.
    /// # Errors
    /// [`AskError`].
    pub async fn set_duty(&self, who: &Principal, worker: WorkerId, wish: DutyWish) -> Result<(), AskError> {
        self.ask(who, Event::Duty(DutyOrder { worker, by: who.user.clone(), wish })).await.map(drop)
    }

    /// Gives a worker labels and takes others away; that holds whatever it tells of itself.
    /// # Errors
    /// [`AskError`].
    pub async fn set_labels(
        &self,
        who: &Principal,
        worker: WorkerId,
        set: BTreeMap<String, String>,
        remove: Vec<String>,
    ) -> Result<(), AskError> {
        self.ask(who, Event::SetLabels(LabelOrder { worker, set, remove, by: who.user.clone() })).await.map(drop)
    }

    /// Takes a worker out, and its certificates back.
    /// # Errors
    /// [`AskError`].
    pub async fn remove(&self, who: &Principal, removal: Removal) -> Result<(), AskError> {
        let worker = removal.worker.clone();
        let asked = self.ask(who, Event::Remove(removal)).await.map(drop);
        let Some(pki) = &self.shared.pki else { return asked };
        // One that has a certificate and never came is known by that alone.
        let unknown = matches!(&asked, Err(AskError::Rejected(Rejected::NoSuchWorker(_))));
        if asked.is_err() && !unknown {
            return asked;
        }
        let revoked = pki.revoke(&worker).await?;
        if unknown {
            return if revoked > 0 { Ok(()) } else { asked };
        }
        // It may have come back before that.
        match self.ask(who, Event::Remove(Removal { worker, force: true })).await {
            Ok(_) | Err(AskError::Rejected(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How many tasks there are, by status; every status is present.
    #[must_use]
    pub fn counts(&self, _who: &Principal) -> BTreeMap<cloudai_core::state::Status, u64> {
        self.shared.model.counts()
    }

    /// What a worker shows to join.
    #[must_use]
    pub fn join_token(&self, _who: &Principal) -> &str {
        &self.shared.join_token
    }

    /// The certificates of machines; none without security.
    #[must_use]
    pub fn pki(&self) -> Option<&Arc<Pki>> {
        self.shared.pki.as_ref()
    }

    /// Logs and files. Of a task that the caller has asked for before: that says whether it may.
    #[must_use]
    pub(crate) fn logs(&self, _who: &Principal) -> &Arc<Logs> {
        &self.shared.logs
    }

    /// A copy of all records as they are at one moment.
    /// # Errors
    /// [`AskError::Store`].
    pub(crate) async fn backup(&self, _who: &Principal) -> Result<Snapshot, AskError> {
        Ok(self.shared.store.backup().await?)
    }

    /// `ok`, or what is wrong with the store, or with the audit log in it.
    #[must_use]
    pub fn store_state(&self) -> String {
        let trouble = self.shared.mailboxes.health().borrow().trouble.clone();
        trouble.or_else(|| self.shared.audit.trouble()).unwrap_or_else(|| "ok".into())
    }

    /// Time since this master started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.shared.clock.elapsed()
    }

    /// The master's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Whether a worker's session lives: begun under this master and not ended by it since.
    pub(crate) fn has_session(&self, worker: &WorkerId, session: Session) -> bool {
        let recorded = self.shared.model.worker_record(worker).is_some_and(|record| record.session == session);
        recorded && self.shared.heartbeats.knows(worker, session)
    }

    /// Puts what a worker tells to the engine; returns once its changes are on disk.
    /// # Errors
    /// [`AskError`].
    pub(crate) async fn report(&self, who: &Principal, event: Event) -> Result<Answer, AskError> {
        debug_assert!(who.may_report(), "{who:?} is no worker");
        self.shared.mailboxes.report(event).await
    }

    /// Puts what a worker tells to the engine, all of it in one commit; answers each, in order.
    /// # Errors
    /// [`AskError::Stopped`].
    pub(crate) async fn report_all(
        &self,
        who: &Principal,
        events: Vec<Event>,
    ) -> Result<Vec<Result<Answer, AskError>>, AskError> {
        debug_assert!(who.may_report(), "{who:?} is no worker");
        self.shared.mailboxes.report_all(events).await
    }

    /// Puts a user's event to the engine; returns once its changes are on disk.
    async fn ask(&self, who: &Principal, event: Event) -> Result<Answer, AskError> {
        self.shared.mailboxes.ask_as_user(&who.user, event).await
    }

    fn see(&self, record: Arc<TaskRecord>) -> SeenTask {
        let mut task = self.shared.model.see(record);
        // What is overdue waits for what runs longer than was thought: nobody knows when it starts.
        task.planned.take_if(|planned| planned.at <= self.now());
        if task.message.is_empty()
            && let Some(worker) = task.record.active().map(|active| &active.worker)
            && let Some(heard) = self.shared.heartbeats.heard(worker)
            && let Some(detail) = heard.details.get(&task.record.attempt())
        {
            task.message.clone_from(detail);
        }
        task
    }
}

/// An id that sorts by this time, and by chance among those of the same millisecond.
fn task_id_at(now: Timestamp) -> TaskId {
    TaskId::new(Ulid::from_parts(now.as_millis(), rand::random()).0)
}

/// Numbers behind it are for its tasks: the random ones are from the lower half, so that they have room.
fn job_id_at(now: Timestamp) -> JobId {
    // 79 of the 80 bits.
    let random = rand::random::<u128>() >> 49;
    JobId::new(Ulid::from_parts(now.as_millis(), random).0)
}

impl From<BulkError> for AskError {
    fn from(error: BulkError) -> Self {
        Self::Bulk(Arc::new(error))
    }
}

impl From<StoreError> for AskError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids that are made at the same time differ: not in one second, not in one millisecond.
    #[test]
    fn task_ids_unique_in_one_second() {
        let now = Timestamp::from_millis(1_700_000_000_000);
        let ids: BTreeSet<_> = (0..10_000).map(|_| task_id_at(now)).collect();
        assert_eq!(ids.len(), 10_000);
    }
}
