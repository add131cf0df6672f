//! The simulated shell of the master: a batch of events, one commit, then the answers.
//!
//! It does what the real engine does (`batch` and `commit` are named as there) and crashes between
//! any two of its steps. Nothing of a batch is told, not even a refusal, before the batch is stored.

mod batch;
mod clock;
mod commit;
mod jobs;
mod words;

use crate::context::{Context, What, say};
use crate::hostile::Hostile;
use crate::lives::Ordered;
use crate::network::{Caller, Message, Reply, Request, Word};
use crate::store::Store;
use batch::Batch;
use clock::{Clock, JUMPS};
use cloudai_core::batch::PAUSE;
use cloudai_core::cluster::Cluster;
use cloudai_core::effect::Row;
use cloudai_core::event::{Cancel, CancelJob, Event, Heartbeat, NewTask, Part, Placement};
use cloudai_core::ids::{Attempt, Incarnation, JobId, Session, TaskId, Term, UserId, WorkerId};
use cloudai_core::preemption::Preemption;
use cloudai_core::spec::TaskSpec;
use cloudai_core::strategy::{Knobs, Strategy, View};
use cloudai_core::time::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The most events of one batch: small, so that batches end between related events too.
const BATCH: u64 = 24;

/// What happens to the master.
#[derive(Clone, Debug)]
pub(crate) enum MasterEvent {
    /// The process begins.
    Start,
    /// A batch is to be taken.
    Wake(u32),
    /// The batch is to be given to the store, again after a while without one.
    Commit(u32),
    /// The store has taken the batch, or not.
    Committed(u32),
    /// The store's disk has it.
    Synced(u32),
    /// The batch's answers are to be given.
    Tell(u32),
    /// A deadline of the cluster.
    Timer(u32, Timestamp),
    /// The strategy answers.
    Round(u32, Vec<Placement>),
    /// More important tasks are to have the place of others.
    Preempt(u32, Vec<Preemption>),
    /// A pause of so many milliseconds is over.
    Resumed(u32, u64),
}

/// How a strategy is made for each life.
pub(crate) type MakeStrategy = Box<dyn FnMut(&mut Context) -> (Box<dyn Strategy>, Option<Hostile>)>;

/// The master's machine: the store outlives the process.
pub(crate) struct Master {
    pub(crate) store: Store,
    names: Vec<WorkerId>,
    make: MakeStrategy,
    lives: u32,
    /// How many commits were synced.
    commits: u32,
    /// How far the wall clock of its machine is ahead of the world's, in milliseconds.
    ahead: i64,
    life: Option<Life>,
    paused_until: Option<Timestamp>,
}

/// One process of the master.
struct Life {
    number: u32,
    term: Term,
    incarnation: Incarnation,
    clock: Clock,
    cluster: Cluster,
    /// Of workers and of the strategy: taken first, kept while the store is away.
    reports: VecDeque<(Event, Origin)>,
    /// Refused while the store is away.
    users: VecDeque<(Event, Origin)>,
    /// The latest heartbeat of each worker since the last batch.
    slots: BTreeMap<usize, Heartbeat>,
    /// Sessions given in this life and still valid as far as the store knows.
    granted: BTreeMap<WorkerId, Session>,
    batch: Option<Batch>,
    /// When the present batch was begun.
    began: Timestamp,
    /// Whether the last try to commit found no store.
    trouble: bool,
    waking: bool,
    timer: Option<Timestamp>,
    /// Whether a deadline has come.
    due: bool,
    view: View,
    strategy: Box<dyn Strategy>,
    /// Lies beside it.
    hostile: Option<Hostile>,
    /// Whether a round of the strategy is on its way.
    round: bool,
    /// The version of the view at the last round.
    seen: Option<u64>,
}

/// Who waits for an answer.
#[derive(Clone, Debug)]
enum Origin {
    Register(Caller, WorkerId, u32),
    Ended(Caller, WorkerId, Ordered),
    Submit(usize),
    Cancel(TaskId),
    Release(TaskId),
    SubmitJob(usize),
    CancelJob(JobId, Option<Part>),
    ReleaseJob(JobId),
    Round,
    Nobody,
}

#[derive(Debug)]
enum Told {
    Message(Message),
    Granted(WorkerId, Session),
    Accepted(Attempt),
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master").field("lives", &self.lives).field("up", &self.life.is_some()).finish_non_exhaustive()
    }
}

impl Master {
    pub(crate) const fn new(names: Vec<WorkerId>, store: Store, make: MakeStrategy) -> Self {
        Self { store, names, make, lives: 0, commits: 0, ahead: 0, life: None, paused_until: None }
    }

    /// Until when this has to wait for the end of a pause.
    pub(crate) fn defers(&self, context: &Context, what: &What) -> Option<Timestamp> {
        let resumes = matches!(what, What::Master(MasterEvent::Resumed(number, _)) if self.is(*number));
        self.paused_until.filter(|until| *until >= context.now && !resumes)
    }

    pub(crate) fn handle(&mut self, context: &mut Context, event: MasterEvent) {
        match event {
            MasterEvent::Start => self.start(context),
            MasterEvent::Wake(number) if self.is(number) => self.wake(context),
            MasterEvent::Commit(number) if self.is(number) => self.commit(context),
            MasterEvent::Committed(number) if self.is(number) => self.committed(context),
            MasterEvent::Synced(number) if self.is(number) => self.synced(context),
            MasterEvent::Tell(number) if self.is(number) => self.tell(context),
            MasterEvent::Timer(number, at) if self.is(number) => self.timer(context, at),
            MasterEvent::Round(number, placements) if self.is(number) => {
                self.report(context, Event::Place(placements), Origin::Round);
            }
            MasterEvent::Preempt(number, preemptions) if self.is(number) => self.preempt(context, preemptions),
            MasterEvent::Resumed(number, length) if self.is(number) => self.resumed(context, length),
            MasterEvent::Wake(_)
            | MasterEvent::Commit(_)
            | MasterEvent::Committed(_)
            | MasterEvent::Synced(_)
            | MasterEvent::Tell(_)
            | MasterEvent::Timer(..)
            | MasterEvent::Round(..)
            | MasterEvent::Preempt(..)
            | MasterEvent::Resumed(..) => {}
        }
    }

    fn is(&self, number: u32) -> bool {
        self.life.as_ref().is_some_and(|life| life.number == number)
    }

    pub(crate) fn start(&mut self, context: &mut Context) {
        if self.life.is_some() {
            return;
        }
        self.lives += 1;
        if self.store.has_unsynced() {
            context.count("commit outlived its master");
            self.store.sync(&mut context.check);
        }
        self.store.lead();
        self.set_clock(context);
        let clock = Clock::start(context.now, self.ahead, self.store.last_commit());
        let cluster = Cluster::new(context.plan.timing, self.store.load(), clock.read(context.now));
        let mut view = View::default();
        let workers = cluster.workers().cloned().map(Row::Worker);
        let tasks = cluster.tasks().cloned().map(Row::Task);
        cluster.job_rows().chain(workers).chain(tasks).for_each(|row| view.apply(&row));
        view.set_knobs(&Knobs { preemption: context.plan.preemption, ..Knobs::default() });
        let (strategy, hostile) = (self.make)(context);
        say!(context, "master starts, term {}, strategy {}", self.store.term, strategy.name());
        context.check.invariants(&cluster);
        self.life = Some(Life {
            number: self.lives,
            term: self.store.term,
            incarnation: self.store.incarnation,
            clock,
            cluster,
            reports: VecDeque::new(),
            users: VecDeque::new(),
            slots: BTreeMap::new(),
            granted: BTreeMap::new(),
            batch: None,
            began: context.now,
            trouble: false,
            waking: false,
            timer: None,
            due: false,
            view,
            strategy,
            hostile,
            round: false,
            seen: None,
        });
        self.arm(context);
        self.begin_round(context);
    }

    /// Nothing is wrong with the machine any more: a clock that was set back would keep what starts at a
    /// set time waiting for years.
    pub(crate) fn heal(&mut self, context: &mut Context) {
        if self.ahead < 0 {
            self.ahead = 0;
            self.crash(context, 0, "to begin with the right time");
        }
        self.start(context);
    }

    /// Somebody may have set the wall clock since the last life.
    fn set_clock(&mut self, context: &mut Context) {
        if context.rng.chance(context.plan.clock_jump) {
            let before = self.ahead;
            let far = JUMPS[context.rng.index(JUMPS.len())];
            let far = i64::try_from(context.rng.between((0, far))).unwrap_or(0);
            self.ahead = if context.rng.chance(500) { far } else { -far };
            let back = self.ahead < before;
            context.count(if back { "clock of the master set back" } else { "clock of the master set ahead" });
            say!(context, "the master's wall clock is {} ms ahead", self.ahead);
        }
    }

    /// The machine loses its power, and comes back after so many milliseconds.
    pub(crate) fn lose_power(&mut self, context: &mut Context, down: u64) {
        self.crash(context, down, "as its power is cut");
        self.cut_power(context);
    }

    fn cut_power(&mut self, context: &mut Context) {
        context.count("power of the master cut");
        let lost = self.store.cut_power(&mut context.rng);
        if lost > 0 {
            context.count("commit lost by a power cut");
        }
        say!(context, "the power of the master is cut: {lost} commits are lost");
        context.check.power_was_cut(&self.store);
    }

    /// The process dies and comes back after so many milliseconds.
    pub(crate) fn crash(&mut self, context: &mut Context, down: u64, why: &str) {
        if self.life.take().is_some() {
            say!(context, "master crashes {why}, down {down} ms");
            self.paused_until = None;
            context.after(down, What::Master(MasterEvent::Start));
        }
    }

    /// Stands still: whatever comes waits until the end.
    pub(crate) fn pause(&mut self, context: &mut Context, length: u64) {
        if let Some(life) = &self.life
            && self.paused_until.is_none()
        {
            say!(context, "master pauses for {length} ms");
            context.count("master paused");
            self.paused_until = Some(context.now + Duration::from_millis(length));
            context.after(length, What::Master(MasterEvent::Resumed(life.number, length)));
        }
    }

    /// It notices the pause before it looks at anything else; one within a commit when that is done.
    fn resumed(&mut self, context: &mut Context, length: u64) {
        self.paused_until = None;
        say!(context, "master goes on");
        if let Some(life) = self.life.as_mut().filter(|life| life.batch.is_none()) {
            life.notice_pause(context, Duration::from_millis(length));
        }
        self.schedule(context);
    }

    /// Another master takes the lead, for a moment: the next commit of this one is fenced.
    pub(crate) fn usurp(&mut self, context: &mut Context) {
        say!(context, "another master takes the lead");
        self.store.lead();
    }

    /// An operator puts the data by, while they are in use.
    pub(crate) fn back_up(&mut self, context: &mut Context) {
        say!(context, "the data are backed up");
        context.count("backed up");
        self.store.back_up();
        context.check.backed_up();
    }

    /// An operator puts the backup in the place of the data; the next process leads another life of them.
    pub(crate) fn restore(&mut self, context: &mut Context, down: u64, bare: bool) {
        if self.store.restore(bare) {
            let life = self.store.incarnation;
            say!(context, "the backup is restored as life {life}, on a bare machine: {bare}");
            context.count(if bare { "restored on a bare machine" } else { "restored" });
            context.check.restored(&self.store, life);
            self.crash(context, down, "to lead what was restored");
        }
    }

    fn crash_here(&mut self, context: &mut Context, why: &str) -> bool {
        // One batch passes five such places.
        self.crash_at(context, 200, why)
    }

    /// Crashes in so many thousandths of the batches that are to suffer it.
    fn crash_at(&mut self, context: &mut Context, share: u64, why: &str) -> bool {
        let crashes = context.rng.chance(context.plan.master_crash) && context.rng.chance(share);
        if crashes {
            let down = context.rng.between((20, 30_000));
            self.crash(context, down, why);
        }
        crashes
    }

    /// Takes a request in.
    pub(crate) fn receive(&mut self, context: &mut Context, request: Request) {
        if self.life.is_none() {
            return;
        }
        match request {
            Request::Heartbeat { caller, sent_at, heartbeat } => self.beat(context, caller, sent_at, heartbeat),
            Request::Register { caller, call, registration } => {
                let origin = Origin::Register(caller, registration.worker.clone(), call);
                self.report(context, Event::Register(registration), origin);
            }
            Request::Subscribe { caller, session } => {
                let id = self.names[caller.worker].clone();
                self.report(context, Event::Subscribed(id, session), Origin::Nobody);
            }
            Request::Progress { held, .. } => self.report(context, Event::Progress(held), Origin::Nobody),
            Request::Ended { caller, report } => {
                let of = Ordered { attempt: report.attempt, incarnation: report.incarnation };
                let origin = Origin::Ended(caller, self.names[caller.worker].clone(), of);
                self.report(context, Event::Ended(report), origin);
            }
            Request::Leave { caller, session } => {
                let id = self.names[caller.worker].clone();
                self.report(context, Event::Leave(id, session), Origin::Nobody);
            }
            Request::Submit { submission, spec } => self.submit(context, submission, spec),
            Request::Cancel { task } => {
                let event = Event::Cancel(Cancel { task, by: UserId::local() });
                self.wish(context, event, Origin::Cancel(task));
            }
            Request::Hold { task } => self.wish(context, Event::Hold(task, UserId::local()), Origin::Nobody),
            Request::Release { task } => self.wish(context, Event::Release(task), Origin::Release(task)),
            Request::SubmitJob { submission, plan, key, held } => {
                self.submit_job(context, submission, (plan, key, held));
            }
            Request::CancelJob { job, part } => {
                let event = Event::CancelJob(CancelJob { job, by: UserId::local(), part });
                self.wish(context, event, Origin::CancelJob(job, part));
            }
            Request::HoldJob { job } => self.wish(context, Event::HoldJob(job, UserId::local()), Origin::Nobody),
            Request::ReleaseJob { job } => self.wish(context, Event::ReleaseJob(job), Origin::ReleaseJob(job)),
            Request::Reconcile => self.wish(context, Event::Reconcile { dry_run: false }, Origin::Nobody),
            Request::Admit(admission) => self.wish(context, Event::Admit(admission), Origin::Nobody),
            Request::Duty(order) => self.wish(context, Event::Duty(order), Origin::Nobody),
            Request::Remove(removal) => self.wish(context, Event::Remove(removal), Origin::Nobody),
        }
    }

    /// Heartbeats never wait for the store: they are answered from what was granted, the cluster
    /// hears of the latest one before its next batch.
    fn beat(&mut self, context: &mut Context, caller: Caller, sent_at: Timestamp, heartbeat: Heartbeat) {
        let Some(life) = self.life.as_mut() else { return };
        let Caller { worker, life: of } = caller;
        let (session, draining) = (heartbeat.session, heartbeat.draining);
        let word = if life.granted.get(&heartbeat.worker) == Some(&session) {
            life.slots.insert(worker, heartbeat);
            Word::Renewed { life: of, session, sent_at, draining }
        } else {
            Word::RegisterAgain { life: of, session }
        };
        context.send(Message::Worker(worker, word));
        self.schedule(context);
    }

    /// A key that the store knows is answered from there; the cluster knows the younger ones.
    fn submit(&mut self, context: &mut Context, submission: usize, spec: Arc<TaskSpec>) {
        let owner = UserId::local();
        let known = spec.idempotency_key.clone().and_then(|key| self.store.keys.get(&(owner.clone(), key)));
        if let Some(task) = known.copied() {
            context.check.submission_acknowledged(&self.store, task);
            context.send(Message::Client(Reply::Submitted { submission, task }));
            return;
        }
        let task = NewTask { id: context.next_id(), owner, job: None, depends_on: Vec::new(), retry_of: None, spec };
        self.wish(context, Event::Submit(vec![task]), Origin::Submit(submission));
    }

    /// Takes a worker's or the strategy's word.
    fn report(&mut self, context: &mut Context, event: Event, origin: Origin) {
        if let Some(life) = self.life.as_mut() {
            life.reports.push_back((event, origin));
        }
        self.schedule(context);
    }

    /// Takes a user's wish, or refuses it at once when no commit goes through.
    fn wish(&mut self, context: &mut Context, event: Event, origin: Origin) {
        let Some(life) = self.life.as_mut() else { return };
        if life.trouble {
            not_now(context, &origin);
        } else {
            life.users.push_back((event, origin));
            self.schedule(context);
        }
    }

    /// One event for each, and the round is over with the answer to the last.
    fn preempt(&mut self, context: &mut Context, mut preemptions: Vec<Preemption>) {
        let last = preemptions.pop();
        for preemption in preemptions {
            self.report(context, Event::Preempt(preemption), Origin::Nobody);
        }
        if let Some(last) = last {
            self.report(context, Event::Preempt(last), Origin::Round);
        }
    }

    /// Makes sure that what waits is looked at.
    fn schedule(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        let waits = life.due || !(life.reports.is_empty() && life.users.is_empty() && life.slots.is_empty());
        if life.batch.is_none() && !life.waking && waits {
            life.waking = true;
            context.after(0, What::Master(MasterEvent::Wake(life.number)));
        }
    }

    /// Decide: heartbeats, then what is due, then reports, then users' wishes.
    fn wake(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        life.waking = false;
        if life.batch.is_some() {
            return;
        }
        life.began = context.now;
        let mut batch = Batch::new(life.clock.read(context.now), commit::FIRST_WAIT);
        for heartbeat in std::mem::take(&mut life.slots).into_values() {
            batch.apply(context, &mut life.cluster, Event::Heartbeat(heartbeat), Origin::Nobody);
        }
        if std::mem::take(&mut life.due) {
            batch.apply(context, &mut life.cluster, Event::Tick, Origin::Nobody);
        }
        for _ in 0..context.rng.between((1, BATCH)) {
            let next = life.reports.pop_front().or_else(|| life.users.pop_front());
            let Some((event, origin)) = next else { break };
            batch.apply(context, &mut life.cluster, event, origin);
        }
        life.batch = Some(batch);
        if !self.crash_here(context, "before a commit") {
            self.commit(context);
        }
    }

    fn timer(&mut self, context: &mut Context, at: Timestamp) {
        let Some(life) = self.life.as_mut() else { return };
        if life.timer == Some(at) {
            life.timer = None;
            life.due = true;
            self.schedule(context);
        }
    }

    /// Keeps the one timer at the cluster's next deadline.
    fn arm(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        let now = life.clock.read(context.now);
        let due = life.cluster.next_deadline(now);
        context.check.deadline_is_ahead("cluster", due, now);
        if due != life.timer {
            life.timer = due;
            if let Some(at) = due {
                context.at(life.clock.world(at), What::Master(MasterEvent::Timer(life.number, at)));
            }
        }
    }

    /// Starts a round when the view has changed since the last one; one is on its way at a time.
    fn begin_round(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        if life.round || life.seen == Some(life.view.version()) {
            return;
        }
        life.seen = Some(life.view.version());
        let now = life.clock.read(context.now);
        let mut placements = life.view.round(&mut *life.strategy, now);
        context.check.mirror_is_true(&life.view, &placements);
        if let Some(hostile) = &mut life.hostile {
            placements = hostile.lie_beside(&life.view, placements);
        }
        let preemptions = if placements.is_empty() { life.view.preempt(now) } else { Vec::new() };
        let event = match (placements.is_empty(), preemptions.is_empty()) {
            (true, true) => return,
            (true, false) => MasterEvent::Preempt(life.number, preemptions),
            (false, _) => MasterEvent::Round(life.number, placements),
        };
        life.round = true;
        let delay = context.rng.between(context.plan.round);
        context.after(delay, What::Master(event));
    }
}

impl Life {
    /// Whoever could not be heard while the master stood still is not judged by that time.
    fn notice_pause(&mut self, context: &mut Context, length: Duration) {
        if length > PAUSE {
            // A pause yields no rows and can not be rejected.
            let _ = self.cluster.apply(self.clock.read(context.now), Event::Paused(length));
            context.check.invariants(&self.cluster);
        }
    }
}

/// Tells a user that nothing was done.
fn not_now(context: &mut Context, origin: &Origin) {
    context.count("user refused for now");
    let reply = match origin {
        Origin::Submit(submission) => Reply::NotNow(Wish::Submit(*submission)),
        Origin::Cancel(task) => Reply::NotNow(Wish::Cancel(*task)),
        Origin::Release(task) => Reply::NotNow(Wish::Release(*task)),
        Origin::SubmitJob(submission) => Reply::NotNow(Wish::SubmitJob(*submission)),
        Origin::CancelJob(job, part) => Reply::NotNow(Wish::CancelJob(*job, *part)),
        Origin::ReleaseJob(job) => Reply::NotNow(Wish::ReleaseJob(*job)),
        Origin::Register(..) | Origin::Ended(..) | Origin::Round | Origin::Nobody => return,
    };
    context.send(Message::Client(reply));
}

/// What a user wished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Submit(usize),
    Cancel(TaskId),
    Release(TaskId),
    SubmitJob(usize),
    CancelJob(JobId, Option<Part>),
    ReleaseJob(JobId),
}
