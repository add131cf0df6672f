//! The state of the whole cluster and the only code that changes it.
//!
//! [`Cluster::apply`] takes one event and answers with what must be stored and sent; one file for
//! each family of events. A rejected event changes nothing. Only live tasks are here: one that
//! ended leaves with its last row.

mod alarms;
mod cancel;
mod deaf;
mod duty;
mod evict;
mod finish;
mod follow;
mod gang;
mod heartbeat;
mod hold;
mod images;
mod inspect;
pub mod invariants;
mod jobs;
mod labels;
mod liveness;
mod membership;
mod place;
mod preempt;
mod quarantine;
mod reconcile;
mod reload;
mod report;
mod retention;
mod submit;

use crate::effect::{Applied, Command, Dispatch, Effect, Row};
use crate::event::{Answer, Event, LastSent, Rejected};
use crate::ids::{Attempt, CommandSeq, Incarnation, JobId, Session, TaskId, UserId, WorkerId};
use crate::job::{JobRecord, Progress, StoredJob};
use crate::kin::Neighbours;
use crate::ledger::Ledger;
use crate::planted::{self, Fault};
use crate::resources::Allocation;
use crate::spec::TaskSpec;
use crate::state::Status;
use crate::task::{State, TaskRecord};
use crate::time::Timestamp;
use crate::timing::Timing;
use crate::worker::{WorkerRecord, WorkerStatus};
use jobs::{Job, JobKeyUse};
pub use reload::Undone;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The most rows that one event may yield; wider effects go on with the next tick.
pub const MAX_ROWS: usize = 1000;
/// How long an idempotency key of a finished task is kept here; longer than any caller's look
/// into the store is old when its submission arrives.
const KEY_KEPT: Duration = Duration::from_secs(600);

/// All live tasks, all workers, and what has been sent to whom.
#[derive(Clone, Debug)]
pub struct Cluster {
    timing: Timing,
    incarnation: Incarnation,
    next_order: u64,
    tasks: BTreeMap<TaskId, Arc<TaskRecord>>,
    jobs: BTreeMap<JobId, Job>,
    workers: BTreeMap<WorkerId, Worker>,
    /// Where kin have their workers.
    neighbours: Neighbours,
    /// When tasks move by themselves: what their records ask for.
    alarms: BTreeSet<alarms::Entry>,
    /// When to look at a worker's silence next; may be too early, never too late.
    judgements: BTreeSet<(Timestamp, WorkerId)>,
    /// When duties of workers change by themselves: what their records ask for.
    duties: BTreeSet<(Timestamp, WorkerId)>,
    /// Workers that are being taken out.
    removals: BTreeSet<WorkerId>,
    keys: BTreeMap<Key, KeyUse>,
    /// Keys of finished tasks by the time they may be forgotten.
    old_keys: BTreeSet<(Timestamp, Key)>,
    /// The same by their tasks: one that is collected frees its key.
    ended_keys: BTreeMap<TaskId, (Timestamp, Key)>,
    job_keys: BTreeMap<Key, JobKeyUse>,
    /// Keys of ended jobs by the time they may be forgotten.
    old_job_keys: BTreeSet<(Timestamp, Key)>,
    /// The same by their jobs.
    ended_job_keys: BTreeMap<JobId, (Timestamp, Key)>,
    /// Tasks that jobs wait for which are not theirs.
    watched: BTreeMap<TaskId, BTreeSet<JobId>>,
    /// How those of them ended of which more jobs are to hear than one event may tell.
    telling: BTreeMap<TaskId, Status>,
    /// Jobs of which tasks may get their records now, and the one that was given some last.
    filling: BTreeSet<JobId>,
    filled: Option<JobId>,
    /// Jobs of which live tasks are to be cancelled, each with the task before which none is left.
    sweeping: BTreeMap<JobId, TaskId>,
    /// Gangs of which a part waits and the rest is to be stopped, each with the member that lost its place.
    split: BTreeMap<gang::Gang, TaskId>,
}

type Key = (UserId, Arc<str>);

/// What an idempotency key was used for.
#[derive(Clone, Debug)]
struct KeyUse {
    task: TaskId,
    spec: Arc<TaskSpec>,
}

/// A worker and what the master knows of it beyond its record.
#[derive(Clone, Debug)]
struct Worker {
    record: Arc<WorkerRecord>,
    /// What its attempts hold.
    ledger: Ledger<TaskId>,
    /// When it was last heard; memory only.
    heard: Timestamp,
    /// The session of this master's life.
    link: Option<Link>,
    /// Since when it was sent nothing that it could begin; only of one whose status is deaf.
    deaf: Option<Timestamp>,
    /// How it failed lately; memory only.
    streak: quarantine::Streak,
    /// What it told of its images.
    images: images::Told,
}

/// What was sent to a worker in its present session.
#[derive(Clone, Debug, Default)]
struct Link {
    sent: CommandSeq,
    starts: BTreeMap<TaskId, SentStart>,
    /// Whether it hears.
    attention: deaf::Attention,
    /// What its registration told of.
    brought: BTreeSet<Attempt>,
    /// What it told last; less what has ended since.
    told: Option<reconcile::Told>,
}

#[derive(Clone, Copy, Debug)]
struct SentStart {
    number: u32,
    seq: CommandSeq,
    at: Timestamp,
}

/// What a cluster starts from: the store's live records.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Which life of the data this is.
    pub incarnation: Incarnation,
    /// The highest submission order ever given.
    pub last_order: u64,
    /// Tasks that have not ended.
    pub tasks: Vec<Arc<TaskRecord>>,
    /// Jobs that have not ended.
    pub jobs: Vec<StoredJob>,
    /// All workers.
    pub workers: Vec<Arc<WorkerRecord>>,
}

impl Cluster {
    /// A cluster as it was stored. Every worker has a whole lease from `now` on to be heard.
    #[must_use]
    pub fn new(timing: Timing, start: Start, now: Timestamp) -> Self {
        let mut cluster = Self {
            timing,
            incarnation: start.incarnation,
            next_order: start.last_order + 1,
            tasks: BTreeMap::new(),
            jobs: BTreeMap::new(),
            workers: BTreeMap::new(),
            neighbours: Neighbours::default(),
            alarms: BTreeSet::new(),
            judgements: BTreeSet::new(),
            duties: BTreeSet::new(),
            removals: BTreeSet::new(),
            keys: BTreeMap::new(),
            old_keys: BTreeSet::new(),
            ended_keys: BTreeMap::new(),
            job_keys: BTreeMap::new(),
            old_job_keys: BTreeSet::new(),
            ended_job_keys: BTreeMap::new(),
            watched: BTreeMap::new(),
            telling: BTreeMap::new(),
            filling: BTreeSet::new(),
            filled: None,
            sweeping: BTreeMap::new(),
            split: BTreeMap::new(),
        };
        for record in start.workers {
            let record = unheard(record);
            cluster.judgements.insert((now + timing.inactive, record.id.clone()));
            cluster.duties.extend(record.duty.alarm().map(|at| (at, record.id.clone())));
            let ledger = Ledger::new(&record.capacity);
            if record.removing {
                cluster.removals.insert(record.id.clone());
            }
            let (streak, images) = (quarantine::Streak::default(), images::Told::default());
            let worker = Worker { record, ledger, heard: now, link: None, deaf: None, streak, images };
            cluster.workers.insert(worker.record.id.clone(), worker);
        }
        for task in start.tasks {
            cluster.adopt(task);
        }
        for job in start.jobs {
            cluster.adopt_job(Job::of(job));
        }
        cluster.tell_adopted(now);
        cluster.find_split();
        cluster
    }

    fn adopt(&mut self, task: Arc<TaskRecord>) {
        if let Some(key) = key_of(&task) {
            self.keys.insert(key, KeyUse { task: task.id, spec: Arc::clone(&task.spec) });
        }
        match &task.state {
            State::Queued(_) => {}
            State::Active(active) => {
                if let Some(worker) = self.workers.get_mut(&active.worker) {
                    worker.hold(task.id, active.allocation.clone());
                }
                self.neighbours.enter(&task, &active.worker);
            }
            State::Finished(_) => return,
        }
        self.alarms.extend(alarms::of(&task).into_iter().flatten());
        self.tasks.insert(task.id, task);
    }

    /// Applies one event at `now`, which must not run backward.
    /// # Errors
    /// [`Rejected`] with the reason; then nothing has changed.
    pub fn apply(&mut self, now: Timestamp, event: Event) -> Result<Applied, Rejected> {
        let mut out = Out::new(now);
        // Of what changes nothing nobody takes rows.
        let asks = matches!(event, Event::Paused(_) | Event::Inspect { .. } | Event::Sent(_));
        let answer = match event {
            Event::Submit(tasks) => self.submit(&mut out, tasks)?,
            Event::SubmitJob(job) => self.submit_job(&mut out, *job)?,
            Event::CancelJob(cancel) => self.cancel_job(&mut out, cancel)?,
            Event::HoldJob(job, by) => self.hold_job(&mut out, job, Some(&by))?,
            Event::ReleaseJob(job) => self.hold_job(&mut out, job, None)?,
            Event::Cancel(cancel) => self.cancel(&mut out, cancel)?,
            Event::Hold(task, by) => self.hold(&mut out, task, &by)?,
            Event::Release(task) => self.release(&mut out, task)?,
            Event::Place(placements) => self.place(&mut out, placements),
            Event::Preempt(preemption) => self.preempt(&mut out, preemption),
            Event::Register(registration) => self.enter(&mut out, *registration)?,
            Event::Admit(admission) => self.admit(&mut out, admission),
            Event::Duty(order) => self.set_duty(&mut out, order)?,
            Event::SetLabels(order) => self.set_labels(&mut out, order)?,
            Event::Remove(removal) => self.remove(&mut out, &removal)?,
            Event::Subscribed(worker, session) => self.subscribed(&mut out, &worker, session)?,
            Event::Heartbeat(heartbeat) => self.heartbeat(&mut out, &heartbeat)?,
            Event::Leave(worker, session) => self.leave(&mut out, &worker, session)?,
            Event::Progress(held) => self.got_further(&mut out, held)?,
            Event::Ended(report) => self.ended(&mut out, &report)?,
            Event::Collect(tasks) => self.collect(&mut out, &tasks)?,
            Event::CollectJobs(jobs) => self.collect_jobs(&mut out, &jobs)?,
            Event::Reconcile { dry_run } => self.reconcile(&mut out, dry_run),
            Event::Inspect { limit } => Answer::State(Box::new(self.inspect(now, limit))),
            Event::Sent(worker) => Answer::Sent(self.sent(&worker)),
            Event::Paused(length) => self.paused(now, length),
            Event::Tick => self.tick(&mut out),
        };
        if !asks {
            self.regather(&mut out);
            self.follow_jobs(&mut out);
        }
        Ok(Applied { answer, effects: out.effects })
    }

    /// When the next [`Event::Tick`] is due; always after `now`, none when nothing is waited for.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let alarm = self.alarms.first().map(|(at, ..)| *at);
        let judgement = self.judgements.first().map(|(at, _)| *at);
        let duty = self.duties.first().map(|(at, _)| *at);
        let key = self.old_keys.first().map(|(at, _)| *at);
        let removal = self.removals.first().map(|_| now);
        let job_key = self.old_job_keys.first().map(|(at, _)| *at);
        let jobs = !self.filling.is_empty() || !self.sweeping.is_empty() || !self.telling.is_empty();
        let goes_on = jobs || !self.split.is_empty();
        let job = goes_on.then_some(now);
        let due = [alarm, judgement, duty, key, removal, job_key, job].into_iter().flatten().min()?;
        Some(due.max(now + Duration::from_millis(1)))
    }

    /// A worker's record.
    fn worker_record(&self, id: &WorkerId) -> Option<&WorkerRecord> {
        self.workers.get(id).map(|worker| &*worker.record)
    }

    /// Live tasks in the order of their ids.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<TaskRecord>> {
        self.tasks.values()
    }

    /// A live task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Arc<TaskRecord>> {
        self.tasks.get(&id)
    }

    /// How far a live job is.
    #[must_use]
    pub fn job_progress(&self, id: JobId) -> Option<&Progress> {
        self.jobs.get(&id).map(|job| &job.progress)
    }

    /// Live jobs in the order of their ids.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<JobRecord>> {
        self.jobs.values().map(|job| &job.record)
    }

    /// Rows that tell all of the live jobs.
    pub fn job_rows(&self) -> impl Iterator<Item = Row> {
        self.jobs.iter().flat_map(|(id, job)| {
            let groups = job.progress.groups().clone();
            [Row::JobPlanned(*id, Arc::clone(&job.plan)), Row::Job(Arc::clone(&job.record), groups)]
        })
    }

    /// Workers in the order of their names.
    pub fn workers(&self) -> impl Iterator<Item = &Arc<WorkerRecord>> {
        self.workers.values().map(|worker| &worker.record)
    }

    /// The last command sent to a worker in its present session.
    #[must_use]
    pub fn sent(&self, worker: &WorkerId) -> LastSent {
        let nobody = LastSent { session: Session(0), seq: CommandSeq(0) };
        self.workers.get(worker).map_or(nobody, |worker| match &worker.link {
            Some(link) => LastSent { session: worker.record.session, seq: link.sent },
            None => nobody,
        })
    }

    /// Makes a new version of a live task and stores it.
    fn change(&mut self, out: &mut Out, id: TaskId, change: impl FnOnce(&mut TaskRecord)) {
        if let Some(task) = self.tasks.get_mut(&id) {
            let mut record = TaskRecord::clone(task);
            change(&mut record);
            record.version += 1;
            alarms::replace(&mut self.alarms, alarms::of(task), alarms::of(&record));
            self.neighbours.moved(task, &record);
            let before = task.status();
            debug_assert!(before.may_become(record.status()), "{id}: {before} to {}", record.status());
            *task = Arc::new(record);
            let task = Arc::clone(task);
            self.moved(out, &task, Some(before));
            out.save(Row::Task(task));
        }
    }

    /// Makes a new version of a worker's record and stores it.
    fn change_worker(&mut self, out: &mut Out, id: &WorkerId, change: impl FnOnce(&mut WorkerRecord)) {
        if let Some(worker) = self.workers.get_mut(id) {
            let mut record = WorkerRecord::clone(&worker.record);
            change(&mut record);
            record.version += 1;
            worker.deaf = worker.deaf.filter(|_| record.status == WorkerStatus::Deaf);
            worker.record = Arc::new(record);
            out.save(Row::Worker(Arc::clone(&worker.record)));
        }
    }

    /// Sends a command in the worker's present session; a worker without one hears it later.
    fn send(&mut self, out: &mut Out, id: &WorkerId, command: Command) {
        let Some(worker) = self.workers.get_mut(id) else { return };
        let Some(link) = worker.link.as_mut() else { return };
        link.sent = link.sent.next();
        link.attention.sent(out.now);
        if let Command::Start(order) = &command {
            let Attempt { task, number } = order.attempt;
            link.starts.insert(task, SentStart { number, seq: link.sent, at: out.now });
        }
        let dispatch = Dispatch { worker: id.clone(), session: worker.record.session, seq: link.sent, command };
        out.effects.push(Effect::Send(dispatch));
    }
}

impl Worker {
    fn hold(&mut self, task: TaskId, allocation: Allocation) {
        self.ledger.hold(&self.record.capacity, task, allocation);
    }

    fn release(&mut self, task: TaskId) {
        if planted::is(Fault::ForgetRelease) {
            return;
        }
        self.ledger.release(&self.record.capacity, &task);
        if let Some(link) = self.link.as_mut() {
            link.starts.remove(&task);
            link.told.as_mut().into_iter().for_each(|told| told.forget(task));
        }
    }

    /// Ends the present session: the worker has to register again.
    fn session(&self) -> Option<Session> {
        self.link.as_ref().map(|_| self.record.session)
    }
}

/// Where the handlers put what they cause.
struct Out {
    now: Timestamp,
    effects: Vec<Effect>,
    rows: usize,
    /// How many there may be.
    most: usize,
    /// Jobs that something happened to.
    touched: BTreeSet<JobId>,
    /// Tasks that have ended and that jobs wait for which are not theirs.
    ended: Vec<(TaskId, Status)>,
}

impl Out {
    fn new(now: Timestamp) -> Self {
        Self { now, effects: Vec::new(), rows: 0, most: MAX_ROWS, touched: BTreeSet::new(), ended: Vec::new() }
    }

    fn save(&mut self, row: Row) {
        self.rows += 1;
        self.effects.push(Effect::Save(row));
    }

    /// Whether this event has yielded all the rows that it may.
    fn full(&self) -> bool {
        self.rows + self.touched.len() >= self.most
    }

    /// How many more rows it may yield.
    fn room(&self) -> usize {
        MAX_ROWS.saturating_sub(self.rows + self.touched.len())
    }

    /// Something happened to a job: its record is stored with the event.
    fn touch(&mut self, job: JobId) {
        self.touched.insert(job);
    }
}

/// A worker counts as active only once this master has heard of it.
fn unheard(record: Arc<WorkerRecord>) -> Arc<WorkerRecord> {
    if record.status.is_heard() {
        Arc::new(WorkerRecord { status: WorkerStatus::Inactive, ..WorkerRecord::clone(&record) })
    } else {
        record
    }
}

fn key_of(task: &TaskRecord) -> Option<Key> {
    task.spec.idempotency_key.clone().map(|key| (task.owner.clone(), key))
}

impl Cluster {
    fn tick(&mut self, out: &mut Out) -> Answer {
        self.go_on_removing(out);
        self.ring_alarms(out);
        self.ring_duties(out);
        self.judge_workers(out);
        self.forget_keys(out.now);
        self.forget_job_keys(out.now);
        Answer::Done
    }
}
