//! A store that forgets: for tests and for clusters that need not outlive their master.

mod jobs;

use crate::audit::{AUDIT_HEAD, AuditQuery, AuditRow};
use crate::consumed::{self, Consumed};
use crate::query::{
    Collectable, Cursor, JobQuery, MAX_NAMES, Page, Part, RetentionQuery, Sort, TaskQuery, has_name, is_part,
    too_many_names,
};
use crate::rules::{self, Fixed};
use crate::{CommitError, Loaded, Store, StoreError, Usage};
use async_trait::async_trait;
use cloudai_core::effect::Row;
use cloudai_core::ids::{Attempt, Incarnation, JobId, TaskId, Term, UserId, WorkerId};
use cloudai_core::job::{Groups, JobPlan, JobRecord, StoredJobs};
use cloudai_core::state::Status;
use cloudai_core::task::{OutputFile, TaskRecord};
use cloudai_core::time::Timestamp;
use cloudai_core::worker::WorkerRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state of a cluster in memory: what every other store does, but for the disk.
#[derive(Debug)]
pub struct MemoryStore {
    cluster: String,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    term: Term,
    last_commit: Timestamp,
    last_order: u64,
    tasks: BTreeMap<TaskId, Arc<TaskRecord>>,
    by_order: BTreeMap<u64, TaskId>,
    by_key: BTreeMap<(UserId, Arc<str>), TaskId>,
    /// Tasks that others run again.
    taken_up: BTreeSet<TaskId>,
    jobs: StoredJobs,
    workers: BTreeMap<WorkerId, Arc<WorkerRecord>>,
    outputs: BTreeMap<Attempt, Vec<OutputFile>>,
    facts: BTreeMap<String, String>,
    audit: BTreeMap<u64, AuditRow>,
    /// By owner and hour.
    consumed: BTreeMap<(UserId, u64), Consumed>,
    /// What the batch that is being applied adds to that.
    added: Vec<((UserId, u64), Consumed)>,
}

/// What a row replaced, to be put back when a later row of its batch is refused.
enum Before {
    NoTask(TaskId),
    Task(Arc<TaskRecord>),
    TaskWith(Arc<TaskRecord>, Vec<(Attempt, Vec<OutputFile>)>),
    Worker(WorkerId, Option<Arc<WorkerRecord>>),
    Outputs(Attempt, Option<Vec<OutputFile>>),
    Job(Box<jobs::JobBefore>),
}

impl MemoryStore {
    /// An empty store under a name of its own.
    #[must_use]
    pub fn new() -> Self {
        Self { cluster: rules::new_cluster_id(), tables: Mutex::default() }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Tables {
    fn apply(&mut self, batch: &[Row]) -> Result<(), CommitError> {
        let mut undo = Vec::new();
        for (row, change) in batch.iter().enumerate() {
            match self.put(change) {
                Ok(before) => undo.extend(before),
                Err(why) => {
                    undo.into_iter().rev().for_each(|before| self.restore(before));
                    self.added.clear();
                    return Err(CommitError::Refused { row, why });
                }
            }
        }
        for (of, more) in std::mem::take(&mut self.added) {
            let sum = self.consumed.entry(of).or_default();
            *sum = sum.plus(more);
        }
        Ok(())
    }

    /// Notes what a version of a task adds to its owner's hours.
    fn count(&mut self, task: &TaskRecord, stored: Option<&TaskRecord>) {
        let counted = stored.map_or(0, consumed::ended);
        let task_counted = stored.is_some_and(|stored| stored.finished_at.is_some());
        let hours = consumed::added(task, counted, task_counted).into_iter();
        self.added.extend(hours.map(|(hour, more)| ((task.owner.clone(), hour), more)));
    }

    fn audit_page(&self, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError> {
        let before = query.cursor.map_or(u64::MAX, |cursor| cursor.0);
        let rows = self.audit.range(..before).rev().map(|(_, row)| row).filter(|row| query.matches(row));
        let mut items: Vec<AuditRow> = rows.take(query.limit.saturating_add(1)).cloned().collect();
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        let next = items.last().filter(|_| more).map(|row| Cursor(row.seq));
        Ok(Page { items, next })
    }

    fn put(&mut self, row: &Row) -> Result<Option<Before>, String> {
        rules::numbers(row)?;
        match row {
            Row::Task(task) => self.put_task(task),
            Row::Worker(worker) => {
                let stored = self.workers.get(&worker.id);
                if stored.is_some_and(|stored| stored.version >= worker.version) {
                    return Ok(None);
                }
                let before = self.workers.insert(worker.id.clone(), Arc::clone(worker));
                Ok(Some(Before::Worker(worker.id.clone(), before)))
            }
            Row::WorkerRemoved(id) => Ok(Some(Before::Worker(id.clone(), self.workers.remove(id)))),
            Row::Outputs(attempt, files) => self.put_outputs(*attempt, files).map(Some),
            Row::TaskRemoved(id, status) => self.remove_task(*id, *status),
            Row::Job(..) | Row::JobPlanned(..) | Row::JobRemoved(_) => {
                Ok(self.put_job(row)?.map(|before| Before::Job(Box::new(before))))
            }
        }
    }

    fn put_task(&mut self, task: &Arc<TaskRecord>) -> Result<Option<Before>, String> {
        if let Some(stored) = self.tasks.get(&task.id) {
            if Fixed::of(stored) != Fixed::of(task) {
                return Err(rules::NOT_FIXED.to_owned());
            }
            if stored.version >= task.version {
                return Ok(None);
            }
            let before = self.tasks.insert(task.id, Arc::clone(task));
            self.count(task, before.as_deref());
            return Ok(before.map(Before::Task));
        }
        if self.by_order.contains_key(&task.order) {
            return Err(rules::order_taken(task.order));
        }
        if let Some(key) = rules::key(task)
            && self.by_key.contains_key(&(task.owner.clone(), Arc::clone(key)))
        {
            return Err(rules::key_taken(&task.owner));
        }
        self.taken_up.extend(task.retry_of);
        self.put_in(Arc::clone(task));
        self.count(task, None);
        Ok(Some(Before::NoTask(task.id)))
    }

    fn put_outputs(&mut self, attempt: Attempt, files: &[OutputFile]) -> Result<Before, String> {
        if !self.tasks.contains_key(&attempt.task) {
            return Err(rules::NO_TASK.to_owned());
        }
        if files.iter().map(|file| &file.path).collect::<BTreeSet<_>>().len() < files.len() {
            return Err(rules::TWICE.to_owned());
        }
        let mut files = files.to_vec();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Before::Outputs(attempt, self.outputs.insert(attempt, files)))
    }

    fn remove_task(&mut self, id: TaskId, status: Status) -> Result<Option<Before>, String> {
        let Some(stored) = self.tasks.get(&id) else { return Ok(None) };
        if stored.finished().is_none_or(|finished| finished.status != status) {
            return Err(rules::NOT_ENDED.to_owned());
        }
        let Some(task) = self.take_out(id) else { return Ok(None) };
        let attempts = Attempt { task: id, number: 0 }..=Attempt { task: id, number: u32::MAX };
        let numbers: Vec<Attempt> = self.outputs.range(attempts).map(|(attempt, _)| *attempt).collect();
        let outputs = numbers.into_iter().filter_map(|attempt| self.outputs.remove_entry(&attempt)).collect();
        Ok(Some(Before::TaskWith(task, outputs)))
    }

    fn take_out(&mut self, id: TaskId) -> Option<Arc<TaskRecord>> {
        let task = self.tasks.remove(&id)?;
        self.by_order.remove(&task.order);
        if let Some(key) = rules::key(&task) {
            self.by_key.remove(&(task.owner.clone(), Arc::clone(key)));
        }
        Some(task)
    }

    fn put_in(&mut self, task: Arc<TaskRecord>) {
        if let Some(key) = rules::key(&task) {
            self.by_key.insert((task.owner.clone(), Arc::clone(key)), task.id);
        }
        self.by_order.insert(task.order, task.id);
        self.tasks.insert(task.id, task);
    }

    /// Whether a live task depends on this one.
    fn is_needed(&self, id: TaskId) -> bool {
        let mut live = self.tasks.values().filter(|task| task.finished().is_none());
        live.any(|task| task.depends_on.iter().any(|dependency| dependency.task == id))
    }

    fn collectable(&self, query: &RetentionQuery) -> Page<Collectable> {
        let mut slice = query.slice();
        let after = query.cursor.map_or(0, |cursor| cursor.0.saturating_add(1));
        let later = self.by_order.range(after..).filter_map(|(_, id)| self.tasks.get(id));
        for task in later {
            let (Some(finished), Some(finished_at)) = (task.finished(), task.finished_at) else { continue };
            let found = Collectable { id: task.id, order: task.order, status: finished.status, finished_at };
            let needed = || Ok::<_, std::convert::Infallible>(self.is_needed(task.id) || self.is_of_live_job(task.id));
            if !matches!(slice.look(found, task.created_at, needed), Ok(true)) {
                return slice.page(false);
            }
        }
        slice.page(true)
    }

    fn restore(&mut self, before: Before) {
        match before {
            Before::NoTask(id) => {
                if let Some(earlier) = self.take_out(id).and_then(|task| task.retry_of) {
                    self.taken_up.remove(&earlier);
                }
            }
            Before::TaskWith(task, outputs) => {
                self.put_in(task);
                self.outputs.extend(outputs);
            }
            Before::Task(task) => drop(self.tasks.insert(task.id, task)),
            Before::Worker(id, before) => put_back(&mut self.workers, id, before),
            Before::Outputs(attempt, before) => put_back(&mut self.outputs, attempt, before),
            Before::Job(before) => self.restore_job(*before),
        }
    }

    fn in_order(&self) -> impl DoubleEndedIterator<Item = &Arc<TaskRecord>> {
        self.by_order.values().filter_map(|id| self.tasks.get(id))
    }

    fn page(&self, query: &TaskQuery) -> Result<Page<Arc<TaskRecord>>, StoreError> {
        if let Some(prefix) = &query.name_prefix
            && self.tasks.values().filter(|task| has_name(task, prefix)).nth(MAX_NAMES).is_some()
        {
            return Err(too_many_names(prefix));
        }
        let wanted = |task: &&Arc<TaskRecord>| {
            let waits = !query.dead || !self.taken_up.contains(&task.id);
            task.finished().is_some() && waits && query.is_after(task.order) && query.matches(task)
        };
        let orders = match query.sort {
            Sort::Newest => orders(self.in_order().rev().filter(wanted), query.limit),
            Sort::Oldest => orders(self.in_order().filter(wanted), query.limit),
        };
        let (orders, next) = query.cut(orders);
        let task = |order: &u64| self.by_order.get(order).and_then(|id| self.tasks.get(id)).cloned();
        Ok(Page { items: orders.iter().filter_map(task).collect(), next })
    }
}

fn put_back<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(value) => drop(table.insert(key, value)),
        None => drop(table.remove(&key)),
    }
}

/// One place more than a page holds, so that the page knows whether it is the last.
fn orders<'a>(tasks: impl Iterator<Item = &'a Arc<TaskRecord>>, limit: usize) -> Vec<u64> {
    tasks.map(|task| task.order).take(limit.saturating_add(1)).collect()
}

#[async_trait]
impl Store for MemoryStore {
    async fn lead(&self) -> Result<Term, StoreError> {
        let mut tables = self.tables();
        tables.term = tables.term.next();
        Ok(tables.term)
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        let tables = self.tables();
        let mut loaded = Loaded {
            incarnation: Incarnation(1),
            cluster: self.cluster.clone(),
            last_commit: tables.last_commit,
            last_order: tables.last_order,
            workers: tables.workers.values().cloned().collect(),
            ..Loaded::default()
        };
        for task in tables.in_order() {
            if task.status().is_final() {
                *loaded.ended.entry(task.status().word().to_owned()).or_default() += 1;
            } else {
                loaded.tasks.push(Arc::clone(task));
            }
        }
        loaded.jobs = tables.jobs.live(&tables.tasks);
        Ok(loaded)
    }

    async fn commit(&self, term: Term, now: Timestamp, rows: &[Row]) -> Result<(), CommitError> {
        let mut tables = self.tables();
        if tables.term != term {
            return Err(CommitError::Fenced);
        }
        tables.apply(rows)?;
        tables.last_commit = tables.last_commit.max(now);
        let orders = rows.iter().map(rules::last_order);
        tables.last_order = orders.fold(tables.last_order, u64::max);
        Ok(())
    }

    async fn task(&self, id: TaskId) -> Result<Option<Arc<TaskRecord>>, StoreError> {
        Ok(self.tables().tasks.get(&id).cloned())
    }

    async fn task_by_key(&self, owner: &UserId, key: &str) -> Result<Option<Arc<TaskRecord>>, StoreError> {
        let tables = self.tables();
        let id = tables.by_key.get(&(owner.clone(), key.into()));
        Ok(id.and_then(|id| tables.tasks.get(id)).cloned())
    }

    async fn tasks_like(&self, part: &str, limit: usize) -> Result<Vec<TaskId>, StoreError> {
        let tables = self.tables();
        let part = Part::of(part);
        let ended = tables.tasks.values().rev().filter(|task| task.finished().is_some()).map(|task| task.id);
        Ok(ended.filter(|id| part.is_of(*id)).take(limit).collect())
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<Page<Arc<TaskRecord>>, StoreError> {
        query.check()?;
        self.tables().page(query)
    }

    async fn collectable(&self, query: &RetentionQuery) -> Result<Page<Collectable>, StoreError> {
        query.check()?;
        Ok(self.tables().collectable(query))
    }

    async fn job(&self, id: JobId) -> Result<Option<Arc<JobRecord>>, StoreError> {
        Ok(self.tables().jobs.records.get(&id).cloned())
    }

    async fn job_by_key(&self, owner: &UserId, key: &str) -> Result<Option<Arc<JobRecord>>, StoreError> {
        Ok(self.tables().job_by_key(owner, key))
    }

    async fn job_with(&self, task: TaskId) -> Result<Option<Arc<JobRecord>>, StoreError> {
        Ok(self.tables().job_with(task))
    }

    async fn job_plan(&self, id: JobId) -> Result<Option<Arc<JobPlan>>, StoreError> {
        Ok(self.tables().jobs.plans.get(&id).cloned())
    }

    async fn job_groups(&self, id: JobId) -> Result<Option<Groups>, StoreError> {
        Ok(self.tables().jobs.ends.get(&id).cloned())
    }

    async fn jobs_like(&self, part: &str, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let tables = self.tables();
        let is_like = |id: &JobId| is_part(&id.to_string()["job-".len()..], part);
        Ok(tables.jobs.records.keys().rev().copied().filter(is_like).take(limit).collect())
    }

    async fn jobs(&self, query: &JobQuery) -> Result<Page<Arc<JobRecord>>, StoreError> {
        query.check()?;
        Ok(self.tables().job_page(query))
    }

    async fn collectable_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        Ok(self.tables().collectable_jobs(before, limit))
    }

    async fn ended(&self, task: TaskId) -> Result<Option<Status>, StoreError> {
        let tables = self.tables();
        Ok(tables.jobs.outside(task, &tables.tasks))
    }

    async fn outputs(&self, attempt: Attempt) -> Result<Vec<OutputFile>, StoreError> {
        Ok(self.tables().outputs.get(&attempt).cloned().unwrap_or_default())
    }

    async fn output(&self, attempt: Attempt, path: &str) -> Result<Option<OutputFile>, StoreError> {
        let tables = self.tables();
        let mut files = tables.outputs.get(&attempt).into_iter().flatten();
        Ok(files.find(|file| file.path == path).cloned())
    }

    /// Looks at all files: what outlives no master has few of them.
    async fn usage(&self, owner: &UserId, but: &[Attempt]) -> Result<Usage, StoreError> {
        let tables = self.tables();
        let is_theirs = |attempt: &Attempt| tables.tasks.get(&attempt.task).is_some_and(|task| task.owner == *owner);
        let theirs = tables.outputs.iter().filter(|(attempt, _)| !but.contains(attempt) && is_theirs(attempt));
        let files = theirs.flat_map(|(_, files)| files);
        Ok(files.fold(Usage::default(), |sum, file| sum.plus(Usage::of_file(file.size))))
    }

    async fn fact(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(self.tables().facts.get(name).cloned())
    }

    async fn keep_fact(&self, name: &str, value: &str) -> Result<String, StoreError> {
        let mut tables = self.tables();
        Ok(tables.facts.entry(name.to_owned()).or_insert_with(|| value.to_owned()).clone())
    }

    async fn set_fact(&self, term: Term, name: &str, value: &str) -> Result<(), CommitError> {
        let mut tables = self.tables();
        if tables.term != term {
            return Err(CommitError::Fenced);
        }
        tables.facts.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    async fn facts(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let tables = self.tables();
        let from = tables.facts.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
        Ok(from.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    async fn drop_fact(&self, term: Term, name: &str) -> Result<bool, CommitError> {
        let mut tables = self.tables();
        if tables.term != term {
            return Err(CommitError::Fenced);
        }
        Ok(tables.facts.remove(name).is_some())
    }

    async fn append_audit(&self, term: Term, rows: &[AuditRow], head: &str) -> Result<(), CommitError> {
        let mut tables = self.tables();
        if tables.term != term {
            return Err(CommitError::Fenced);
        }
        for (row, new) in rows.iter().enumerate() {
            if tables.audit.contains_key(&new.seq) || rows.iter().skip(row + 1).any(|other| other.seq == new.seq) {
                return Err(CommitError::Refused { row, why: rules::seq_taken(new.seq) });
            }
        }
        tables.audit.extend(rows.iter().map(|row| (row.seq, row.clone())));
        tables.facts.insert(AUDIT_HEAD.to_owned(), head.to_owned());
        Ok(())
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Page<AuditRow>, StoreError> {
        query.check()?;
        self.tables().audit_page(query)
    }

    async fn audit_after(&self, seq: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        let tables = self.tables();
        let after = tables.audit.range(seq.saturating_add(1)..).map(|(_, row)| row.clone());
        Ok(after.take(limit).collect())
    }

    async fn consumed(&self, hours: Range<u64>, owner: Option<&UserId>) -> Result<Vec<(UserId, Consumed)>, StoreError> {
        let tables = self.tables();
        let mut sums: BTreeMap<UserId, Consumed> = BTreeMap::new();
        let wanted = |of: &UserId, hour: u64| hours.contains(&hour) && owner.is_none_or(|owner| owner == of);
        for ((of, _), more) in tables.consumed.iter().filter(|((of, hour), _)| wanted(of, *hour)) {
            let sum = sums.entry(of.clone()).or_default();
            *sum = sum.plus(*more);
        }
        Ok(sums.into_iter().collect())
    }
}
