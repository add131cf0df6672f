//! What would run where and when: the real cluster and a real strategy in simulated time, with a job that nobody has
//! submitted.
//!
//! Everything is taken to end well, after its foreseen length: what its owner estimates, else what was learned, else a
//! minute. Tasks of other jobs come by their needs, those in backoff when that is over; what is held stays held. Nothing
//! new comes, no worker comes or goes.

use cloudai_core::cluster::{Cluster, Start};
use cloudai_core::effect::{Applied, Command, Effect, Row};
use cloudai_core::event::{Answer, EndReport, Event, NewJob, Registration};
use cloudai_core::ids::{Attempt, Incarnation, JobId, TaskId, UserId, WorkerId};
use cloudai_core::job::{Group, Groups, JobPlan, Need, On, StoredJob};
use cloudai_core::predict::Learner;
use cloudai_core::state::Status;
use cloudai_core::strategy::{Strategy, View};
use cloudai_core::task::{Outcome, TaskRecord};
use cloudai_core::time::{Timestamp, millis};
use cloudai_core::timing::Timing;
use cloudai_core::worker::{About, WorkerRecord};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// So many workers of a group are named.
const NAMED: usize = 3;
/// The only life of the data here.
const LIFE: Incarnation = Incarnation(1);
/// No worker is heard here, and none is missed: longer than anything that is looked at.
const SILENCE: Duration = Duration::from_secs(100 * 365 * 86_400);
/// The shortest run.
const MOMENT: Duration = Duration::from_millis(1);

/// What is asked.
#[derive(Debug)]
pub struct Ask {
    /// When the job would be submitted.
    pub now: Timestamp,
    /// All workers as they are; those that take no work now stay idle.
    pub workers: Vec<Arc<WorkerRecord>>,
    /// What runs, and what waits, for a place or for anything else.
    pub tasks: Vec<Arc<TaskRecord>>,
    /// The jobs that live: their tasks without records come by their needs.
    pub jobs: Vec<StoredJob>,
    /// The id that the job would have.
    pub job: JobId,
    /// Whose it would be.
    pub owner: UserId,
    /// What it is made of.
    pub plan: JobPlan,
    /// How those tasks ended that it needs and that are not of it. What neither ended nor is among `tasks` is taken to
    /// have completed.
    pub ended: BTreeMap<TaskId, Status>,
    /// What places; a fresh one.
    pub strategy: Box<dyn Strategy>,
    /// What is known of run times.
    pub learner: Learner,
    /// Where the look ahead ends.
    pub bounds: Bounds,
    /// Set by whoever waits no longer: then the look ahead ends where it is.
    pub enough: Arc<AtomicBool>,
}

/// How far is looked ahead.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// So many events at most: some seconds of work.
    pub events: u64,
    /// So far at most.
    pub time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 200_000, time: Duration::from_secs(30 * 86_400) }
    }
}

/// What would become of a job. Times are milliseconds from now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Each group, in the order of the plan.
    pub groups: Vec<GroupForecast>,
    /// When the last of its tasks ends; none where some never start, or the look ahead was cut.
    pub ends_in: Option<u64>,
    /// The most of its tasks that have a worker at the same time.
    pub most_at_once: u64,
    /// On how many workers its tasks run.
    pub workers: usize,
    /// The groups that decide the end, by their places in the plan: each needs the one before, and of all that it needs
    /// that one ends last. Empty where the end is not known.
    pub critical: Vec<u32>,
    /// Whether the look ahead ended before the job did.
    pub cut: bool,
}

/// What would become of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupForecast {
    /// When the first of it starts; none where none does.
    pub first_start: Option<u64>,
    /// When the last of it ends; none where not all of it does.
    pub last_end: Option<u64>,
    /// It is not needed, as it is for the case that something fails.
    pub skipped: bool,
    /// How many tasks it has.
    pub tasks: u32,
    /// On how many workers they run.
    pub workers: usize,
    /// The first of these by their names.
    pub on: Vec<WorkerId>,
}

/// Plays what would happen. The same question has the same answer, unless somebody had enough.
#[must_use]
pub fn foresee(ask: Ask) -> Forecast {
    let (now, bounds, enough) = (ask.now, ask.bounds, Arc::clone(&ask.enough));
    let mut stage = Stage::set(ask);
    let cut = stage.play(bounds, &enough);
    stage.forecast(now, cut)
}

/// A cluster in simulated time.
#[derive(Debug)]
struct Stage {
    cluster: Cluster,
    view: View,
    strategy: Box<dyn Strategy>,
    /// What is known before anything is played; the view's own learns from what is.
    learner: Learner,
    now: Timestamp,
    job: JobId,
    plan: Arc<JobPlan>,
    /// When what runs ends.
    ends: BTreeSet<(Timestamp, Attempt)>,
    events: u64,
    seen: Vec<Seen>,
    groups: Groups,
    at_once: u64,
    most_at_once: u64,
}

/// What was seen of a group.
#[derive(Clone, Debug, Default)]
struct Seen {
    first_start: Option<Timestamp>,
    last_end: Option<Timestamp>,
    ended: u32,
    workers: BTreeSet<WorkerId>,
}

impl Stage {
    /// The cluster as it is, with the job behind all that waits.
    fn set(ask: Ask) -> Self {
        let Ask { now, workers, tasks, jobs, job, owner, plan, mut ended, strategy, learner, bounds: _, enough: _ } =
            ask;
        let takers: Vec<Arc<WorkerRecord>> = workers.iter().filter(|worker| worker.takes_work()).cloned().collect();
        let orders = tasks.iter().map(|task| task.order).chain(jobs.iter().map(|job| job.record.last_order()));
        let last_order = orders.max().unwrap_or(0);
        let timing = Timing { inactive: SILENCE, lease: SILENCE, ..Timing::default() };
        let plan = Arc::new(eased(plan));
        let others: Vec<(JobId, u32)> = jobs.iter().map(|job| (job.record.id, job.record.groups)).collect();
        let start = Start { incarnation: LIFE, last_order, tasks, jobs, workers };
        let mut stage = Self {
            cluster: Cluster::new(timing, start, now),
            view: View::default(),
            strategy,
            learner,
            now,
            job,
            plan: Arc::clone(&plan),
            ends: BTreeSet::new(),
            events: 0,
            seen: vec![Seen::default(); plan.groups.len()],
            groups: Groups::default(),
            at_once: 0,
            most_at_once: 0,
        };
        stage.show();
        takers.iter().for_each(|worker| drop(stage.apply(Event::Register(Box::new(registration(worker))))));
        for need in plan.groups.iter().flat_map(|group| &group.needs) {
            if let On::Task(task) = need.on
                && stage.cluster.task(task).is_none()
                && !others.iter().any(|other| is_of(other, task))
            {
                ended.entry(task).or_insert(Status::Completed);
            }
        }
        let new = NewJob {
            id: job,
            owner,
            plan,
            held: false,
            idempotency_key: None,
            retry_of: None,
            done: Vec::new(),
            ended,
        };
        stage.apply(Event::SubmitJob(Box::new(new)));
        stage
    }

    /// Shows the strategy what there is.
    fn show(&mut self) {
        self.view.learner_mut().clone_from(&self.learner);
        for worker in self.cluster.workers() {
            self.view.apply(&Row::Worker(Arc::clone(worker)));
        }
        for task in self.cluster.tasks() {
            self.view.apply(&Row::Task(Arc::clone(task)));
            if task.active().is_some() {
                self.ends.insert((self.now + rest(task, &self.learner, self.now), task.attempt()));
            }
        }
    }

    /// Plays until the job has ended, or nothing happens any more; answers whether a bound was reached before.
    fn play(&mut self, bounds: Bounds, enough: &AtomicBool) -> bool {
        let (bound, idle) = (self.now + bounds.time, self.now + SILENCE);
        loop {
            self.round();
            if self.has_ended() {
                return false;
            }
            let tick = self.cluster.next_deadline(self.now);
            let end = self.ends.first().map(|(at, _)| *at);
            // The only thing that is left may be that workers will have been silent.
            let Some(next) = tick.into_iter().chain(end).min().filter(|next| *next < idle) else { return false };
            if next > bound || self.events >= bounds.events || enough.load(Ordering::Relaxed) {
                return true;
            }
            self.now = next;
            while let Some((at, attempt)) = self.ends.first().copied()
                && at <= next
            {
                self.ends.remove(&(at, attempt));
                self.end(attempt);
            }
            if tick.is_some_and(|tick| tick <= next) {
                self.apply(Event::Tick);
            }
        }
    }

    fn has_ended(&self) -> bool {
        self.cluster.job_progress(self.job).is_none()
    }

    /// Lets the strategy place while it finds something.
    fn round(&mut self) {
        loop {
            let placements = self.view.round(&mut *self.strategy, self.now);
            if placements.is_empty() {
                return;
            }
            let Some(Answer::Placed { taken: 1.., .. }) = self.apply(Event::Place(placements)) else { return };
        }
    }

    /// Applies an event; none where it is rejected.
    fn apply(&mut self, event: Event) -> Option<Answer> {
        self.events += 1;
        let Applied { answer, effects } = self.cluster.apply(self.now, event).ok()?;
        for effect in effects {
            match effect {
                Effect::Save(row) => {
                    self.view.apply(&row);
                    if let Row::Job(record, groups) = row
                        && record.id == self.job
                    {
                        self.groups = groups;
                    }
                }
                Effect::Send(dispatch) => {
                    if let Command::Start(order) = &dispatch.command {
                        self.begin(order.attempt, dispatch.worker);
                    }
                }
            }
        }
        Some(answer)
    }

    /// An attempt begins: it is known when it ends.
    fn begin(&mut self, attempt: Attempt, worker: WorkerId) {
        let Some(task) = self.cluster.task(attempt.task) else { return };
        self.ends.insert((self.now + length(task, &self.learner), attempt));
        let now = self.now;
        if let Some(group) = self.seen_of(attempt.task) {
            group.first_start.get_or_insert(now);
            group.workers.insert(worker);
            self.at_once += 1;
            self.most_at_once = self.most_at_once.max(self.at_once);
        }
    }

    /// An attempt ends well.
    fn end(&mut self, attempt: Attempt) {
        let Some(task) = self.cluster.task(attempt.task) else { return };
        let run = task.attempts.last().map(|last| self.now.since(last.assigned_at));
        let outcome = Arc::new(Outcome { run, ..Outcome::exit(0) });
        if self.apply(Event::Ended(EndReport { attempt, incarnation: LIFE, outcome })).is_none() {
            return;
        }
        let now = self.now;
        if let Some(group) = self.seen_of(attempt.task) {
            group.last_end = Some(now);
            group.ended += 1;
            self.at_once = self.at_once.saturating_sub(1);
        }
    }

    /// What was seen of the group of a task; none for what is not of the job.
    fn seen_of(&mut self, task: TaskId) -> Option<&mut Seen> {
        let place = self.plan.place_of(self.job, task)?;
        self.seen.get_mut(place.group as usize)
    }

    fn forecast(&self, begin: Timestamp, cut: bool) -> Forecast {
        let after = |at: Timestamp| millis(at.since(begin));
        let whole = |group: &Group, seen: &Seen| seen.last_end.filter(|_| seen.ended == group.count());
        let both = || self.plan.groups.iter().zip(&self.seen);
        let ends: Vec<Option<Timestamp>> = both().map(|(group, seen)| whole(group, seen)).collect();
        let of_group = |((group, seen), number): ((&Group, &Seen), u32)| GroupForecast {
            first_start: seen.first_start.map(after),
            last_end: whole(group, seen).map(after),
            skipped: self.groups.get(number).is_some_and(|group| group.fate.is_some()),
            tasks: group.count(),
            workers: seen.workers.len(),
            on: seen.workers.iter().take(NAMED).cloned().collect(),
        };
        let workers: BTreeSet<&WorkerId> = self.seen.iter().flat_map(|seen| &seen.workers).collect();
        let ended = self.has_ended();
        let last = ends.iter().flatten().max().map_or(0, |last| after(*last));
        Forecast {
            groups: both().zip(0..).map(of_group).collect(),
            ends_in: ended.then_some(last),
            most_at_once: self.most_at_once,
            workers: workers.len(),
            critical: if ended { critical(&self.plan, &ends) } else { Vec::new() },
            cut,
        }
    }
}

/// The job as it is played: what no worker can run waits instead of being refused, nothing is held, and no limit of
/// waiting ends anything, as all of it is to be shown.
fn eased(mut plan: JobPlan) -> JobPlan {
    for group in &mut plan.groups {
        let spec = Arc::make_mut(&mut group.spec);
        spec.allow_pending = true;
        spec.hold = false;
        (spec.limits.queue, spec.limits.total) = (None, None);
    }
    plan
}

/// Whether what has this id is of a job that has so many groups.
fn is_of((job, groups): &(JobId, u32), task: TaskId) -> bool {
    job.group_of(task).is_some_and(|group| group < *groups)
}

/// A worker comes as it is.
fn registration(worker: &WorkerRecord) -> Registration {
    Registration {
        worker: worker.id.clone(),
        address: None,
        capacity: worker.capacity.clone(),
        labels: worker.labels.clone(),
        about: About { unfit: None, ..worker.about.clone() },
        held: Vec::new(),
    }
}

/// How long a task will run in all.
fn length(task: &TaskRecord, learner: &Learner) -> Duration {
    let said = task.spec.estimate.unwrap_or_else(|| Duration::from_millis(learner.foresee(task).mean));
    said.min(task.spec.limits.run.unwrap_or(Duration::MAX)).max(MOMENT)
}

/// How long what has a worker will still run. One that runs longer than was foreseen is taken to need four tenths more
/// of what it took, as predictions do.
fn rest(task: &TaskRecord, learner: &Learner, now: Timestamp) -> Duration {
    if task.is_stopping() {
        return MOMENT;
    }
    let since = task.attempts.last().map_or(now, |attempt| attempt.started_at.unwrap_or(attempt.assigned_at));
    let age = now.since(since);
    let left = length(task, learner).checked_sub(age).filter(|left| !left.is_zero());
    left.unwrap_or(age / 5 * 2).max(MOMENT)
}

/// Walks back from the group that ends last, each time to what ended last of all that it needs.
fn critical(plan: &JobPlan, ends: &[Option<Timestamp>]) -> Vec<u32> {
    let end = |number: u32| ends.get(number as usize).copied().flatten();
    // Of equal ones the first in the plan.
    let latest = |numbers: &mut dyn Iterator<Item = u32>| {
        let ended = numbers.filter_map(|number| Some((end(number)?, Reverse(number))));
        ended.max().map(|(_, Reverse(number))| number)
    };
    let mut walk = Vec::new();
    let mut next = latest(&mut (0_u32..).take(plan.groups.len()));
    while let Some(number) = next {
        walk.push(number);
        let needs = plan.group(number).map(|group| group.needs.as_slice()).unwrap_or_default();
        next = latest(&mut needs.iter().filter_map(Need::group));
    }
    walk.reverse();
    walk
}

#[cfg(test)]
mod tests;
