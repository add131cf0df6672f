//! The simulated shell of the master: a batch of events, one commit, then the answers.
//!
//! It does what the real engine does and crashes between any two of its steps. Nothing of a batch
//! is told, not even a refusal, before the batch is stored.

use crate::context::{Context, Short, What, say};
use crate::network::{Caller, Message, Reply, Request, Word};
use crate::store::Store;
use cloudai_core::cluster::Cluster;
use cloudai_core::effect::{Dispatch, Effect, Row};
use cloudai_core::event::{Answer, Cancel, Event, Heartbeat, NewTask, Placement, Rejected};
use cloudai_core::ids::{Attempt, Session, TaskId, Term, UserId, WorkerId};
use cloudai_core::spec::TaskSpec;
use cloudai_core::strategy::{self, Strategy, View};
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
    /// The store has written the batch.
    Committed(u32),
    /// The batch's answers are to be given.
    Tell(u32),
    /// A deadline of the cluster.
    Timer(u32, Timestamp),
    /// The strategy answers.
    Round(u32, Vec<Placement>),
    /// A pause of so many milliseconds is over.
    Resumed(u32, u64),
}

/// How a strategy is made for each life.
pub(crate) type MakeStrategy = Box<dyn FnMut(&mut Context) -> Box<dyn Strategy>>;

/// The master's machine: the store outlives the process.
pub(crate) struct Master {
    pub(crate) store: Store,
    names: Vec<WorkerId>,
    make: MakeStrategy,
    lives: u32,
    life: Option<Life>,
    paused_until: Option<Timestamp>,
}

/// One process of the master.
struct Life {
    number: u32,
    term: Term,
    cluster: Cluster,
    mailbox: VecDeque<(Event, Origin)>,
    /// The latest heartbeat of each worker since the last batch.
    slots: BTreeMap<usize, Heartbeat>,
    /// Sessions given in this life and still valid as far as the store knows.
    granted: BTreeMap<WorkerId, Session>,
    batch: Option<Batch>,
    waking: bool,
    timer: Option<Timestamp>,
    view: View,
    strategy: Box<dyn Strategy>,
    /// Whether a round of the strategy is on its way.
    round: bool,
    /// The version of the view at the last round.
    seen: Option<u64>,
}

/// Who waits for an answer.
#[derive(Clone, Debug)]
enum Origin {
    Register(Caller, WorkerId, u32),
    Ended(Caller, WorkerId, Attempt),
    Submit(usize),
    Cancel(TaskId),
    Round,
    Nobody,
}

/// What a batch has brought about so far.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<Row>,
    answers: Vec<Told>,
    commands: Vec<Dispatch>,
    round: bool,
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
        Self { store, names, make, lives: 0, life: None, paused_until: None }
    }

    /// Whether this has to wait for the end of a pause.
    pub(crate) fn defers(&self, context: &Context, what: &What) -> bool {
        let resumes = matches!(what, What::Master(MasterEvent::Resumed(number, _)) if self.is(*number));
        self.paused_until.is_some_and(|until| until >= context.now) && !resumes
    }

    /// When the present pause ends.
    pub(crate) const fn paused_until(&self) -> Option<Timestamp> {
        self.paused_until
    }

    pub(crate) fn handle(&mut self, context: &mut Context, event: MasterEvent) {
        match event {
            MasterEvent::Start => self.start(context),
            MasterEvent::Wake(number) if self.is(number) => self.wake(context),
            MasterEvent::Committed(number) if self.is(number) => self.committed(context),
            MasterEvent::Tell(number) if self.is(number) => self.tell(context),
            MasterEvent::Timer(number, at) if self.is(number) => self.timer(context, at),
            MasterEvent::Round(number, placements) if self.is(number) => {
                self.push(context, Event::Place(placements), Origin::Round);
            }
            MasterEvent::Resumed(number, length) if self.is(number) => self.resumed(context, length),
            MasterEvent::Wake(_)
            | MasterEvent::Committed(_)
            | MasterEvent::Tell(_)
            | MasterEvent::Timer(..)
            | MasterEvent::Round(..)
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
        self.store.term = self.store.term.next();
        let cluster = Cluster::new(context.plan.timing, self.store.load(), context.now);
        let mut view = View::default();
        let workers = cluster.workers().cloned().map(Row::Worker);
        workers.chain(cluster.tasks().cloned().map(Row::Task)).for_each(|row| view.apply(&row));
        let strategy = (self.make)(context);
        say!(context, "master starts, term {}, strategy {}", self.store.term, strategy.name());
        context.check.invariants(&cluster);
        self.life = Some(Life {
            number: self.lives,
            term: self.store.term,
            cluster,
            mailbox: VecDeque::new(),
            slots: BTreeMap::new(),
            granted: BTreeMap::new(),
            batch: None,
            waking: false,
            timer: None,
            view,
            strategy,
            round: false,
            seen: None,
        });
        self.arm(context);
        self.begin_round(context);
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
            self.paused_until = Some(context.now + Duration::from_millis(length));
            context.after(length, What::Master(MasterEvent::Resumed(life.number, length)));
        }
    }

    fn resumed(&mut self, context: &mut Context, length: u64) {
        self.paused_until = None;
        say!(context, "master goes on");
        if let Some(life) = self.life.as_mut() {
            // It notices the pause before it looks at anything else.
            life.mailbox.push_front((Event::Paused(Duration::from_millis(length)), Origin::Nobody));
        }
        self.schedule(context);
    }

    fn crash_here(&mut self, context: &mut Context, why: &str) -> bool {
        // One batch passes four such places.
        let crashes = context.rng.chance(context.plan.master_crash) && context.rng.chance(250);
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
                self.push(context, Event::Register(registration), origin);
            }
            Request::Subscribe { caller, session } => {
                let id = self.names[caller.worker].clone();
                self.push(context, Event::Subscribed(id, session), Origin::Nobody);
            }
            Request::Progress { attempt, step, .. } => {
                self.push(context, Event::Progress(attempt, step), Origin::Nobody);
            }
            Request::Ended { caller, report } => {
                let origin = Origin::Ended(caller, self.names[caller.worker].clone(), report.attempt);
                self.push(context, Event::Ended(report), origin);
            }
            Request::Leave { caller, session } => {
                let id = self.names[caller.worker].clone();
                self.push(context, Event::Leave(id, session), Origin::Nobody);
            }
            Request::Submit { submission, spec } => self.submit(context, submission, spec),
            Request::Cancel { task } => {
                let event = Event::Cancel(Cancel { task, by: UserId::local() });
                self.push(context, event, Origin::Cancel(task));
            }
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
            context.send(Message::Client(Reply::Submitted { submission, task }));
            return;
        }
        let task = NewTask { id: context.next_id(), owner, job: None, depends_on: Vec::new(), spec };
        self.push(context, Event::Submit(vec![task]), Origin::Submit(submission));
    }

    fn push(&mut self, context: &mut Context, event: Event, origin: Origin) {
        if let Some(life) = self.life.as_mut() {
            life.mailbox.push_back((event, origin));
        }
        self.schedule(context);
    }

    /// Makes sure that what waits is looked at.
    fn schedule(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        if life.batch.is_none() && !life.waking && !(life.mailbox.is_empty() && life.slots.is_empty()) {
            life.waking = true;
            context.after(0, What::Master(MasterEvent::Wake(life.number)));
        }
    }

    /// Decide.
    fn wake(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        life.waking = false;
        if life.batch.is_some() {
            return;
        }
        let mut batch = Batch::default();
        for heartbeat in std::mem::take(&mut life.slots).into_values() {
            life.apply(context, &mut batch, Event::Heartbeat(heartbeat), Origin::Nobody);
        }
        for _ in 0..context.rng.between((1, BATCH)) {
            let Some((event, origin)) = life.mailbox.pop_front() else { break };
            life.apply(context, &mut batch, event, origin);
        }
        let (number, empty) = (life.number, batch.rows.is_empty());
        life.batch = Some(batch);
        if self.crash_here(context, "before a commit") {
            return;
        }
        if empty {
            self.tell(context);
        } else {
            let stall = if context.rng.chance(context.plan.stall) { context.rng.between((500, 60_000)) } else { 0 };
            let commit = context.rng.between(context.plan.commit);
            context.after(commit + stall, What::Master(MasterEvent::Committed(number)));
        }
    }

    /// Commit.
    fn committed(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_ref() else { return };
        let Some(batch) = &life.batch else { return };
        context.check.committing(&self.store, &batch.rows);
        self.store.commit(&batch.rows);
        context.check.memory_is_stored(&self.store, &life.cluster);
        say!(context, "stored {} rows", batch.rows.len());
        let number = life.number;
        if !self.crash_here(context, "after a commit") {
            context.after(0, What::Master(MasterEvent::Tell(number)));
        }
    }

    /// Tell.
    fn tell(&mut self, context: &mut Context) {
        let Some(batch) = self.life.as_mut().and_then(|life| life.batch.take()) else { return };
        for told in batch.answers {
            if self.crash_here(context, "between two answers") {
                return;
            }
            self.answer(context, told);
        }
        if self.crash_here(context, "between answers and commands") {
            return;
        }
        let Some(life) = self.life.as_mut() else { return };
        let term = life.term;
        for dispatch in batch.commands {
            if self.crash_here(context, "between two commands") {
                return;
            }
            let worker = self.names.iter().position(|name| *name == dispatch.worker).unwrap_or(0);
            context.send(Message::Worker(worker, Word::Command { term, dispatch }));
        }
        let Some(life) = self.life.as_mut() else { return };
        for row in &batch.rows {
            life.view.apply(row);
            if let Row::Worker(worker) = row
                && life.granted.get(&worker.id).is_some_and(|session| *session != worker.session)
            {
                life.granted.remove(&worker.id);
            }
        }
        life.round &= !batch.round;
        self.arm(context);
        self.begin_round(context);
        self.schedule(context);
    }

    fn answer(&mut self, context: &mut Context, told: Told) {
        match told {
            Told::Message(message) => {
                match &message {
                    Message::Client(Reply::Submitted { task, .. }) => {
                        context.check.submission_acknowledged(&self.store, *task);
                    }
                    Message::Client(Reply::Cancelled { task }) => {
                        context.check.cancel_acknowledged(&self.store, *task);
                    }
                    Message::Client(Reply::Refused { .. }) | Message::Worker(..) | Message::Master(_) => {}
                }
                context.send(message);
            }
            Told::Granted(id, session) => {
                let current = self.store.workers.get(&id).is_some_and(|worker| worker.session == session);
                if let Some(life) = self.life.as_mut().filter(|_| current) {
                    life.granted.insert(id, session);
                }
            }
            Told::Accepted(attempt) => context.check.report_acknowledged(&self.store, attempt),
        }
    }

    fn timer(&mut self, context: &mut Context, at: Timestamp) {
        let Some(life) = self.life.as_mut() else { return };
        if life.timer == Some(at) {
            life.timer = None;
            self.push(context, Event::Tick, Origin::Nobody);
        }
    }

    /// Keeps the one timer at the cluster's next deadline.
    fn arm(&mut self, context: &mut Context) {
        let Some(life) = self.life.as_mut() else { return };
        let due = life.cluster.next_deadline(context.now);
        context.check.deadline_is_ahead("cluster", due, context.now);
        if due != life.timer {
            life.timer = due;
            if let Some(at) = due {
                context.at(at, What::Master(MasterEvent::Timer(life.number, at)));
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
        let placements = strategy::round(&mut *life.strategy, &life.view);
        if !placements.is_empty() {
            life.round = true;
            let delay = context.rng.between(context.plan.round);
            context.after(delay, What::Master(MasterEvent::Round(life.number, placements)));
        }
    }
}

impl Life {
    fn apply(&mut self, context: &mut Context, batch: &mut Batch, event: Event, origin: Origin) {
        let now = context.now;
        let told = short(&event);
        let result = self.cluster.apply(now, event);
        let says =
            result.as_ref().map_or_else(|why| format!("rejected, {why:?}"), |applied| short_answer(&applied.answer));
        say!(context, "master applies {told}: {says}");
        context.check.invariants(&self.cluster);
        batch.round |= matches!(origin, Origin::Round);
        let answer = result.map(|applied| {
            context.check.effects_are_few(&applied.effects);
            for effect in applied.effects {
                match effect {
                    Effect::Save(row) => batch.rows.push(row),
                    Effect::Send(dispatch) => batch.commands.push(dispatch),
                }
            }
            applied.answer
        });
        self.note(batch, origin, answer);
    }

    /// Keeps the answer until the batch is stored.
    fn note(&self, batch: &mut Batch, origin: Origin, answer: Result<Answer, Rejected>) {
        let told = &mut batch.answers;
        match (origin, answer) {
            (Origin::Register(Caller { worker, life }, id, call), Ok(Answer::Registered(session))) => {
                told.push(Told::Granted(id, session));
                let word = Word::Registered { life, call, session, term: self.term };
                told.push(Told::Message(Message::Worker(worker, word)));
            }
            (Origin::Ended(Caller { worker, life }, id, attempt), answer) => {
                // A refusal is an answer too: the worker may forget the attempt.
                let sent = if let Ok(Answer::Ended { sent }) = answer {
                    told.push(Told::Accepted(attempt));
                    sent
                } else {
                    self.cluster.sent(&id)
                };
                told.push(Told::Message(Message::Worker(worker, Word::Acknowledged { life, attempt, sent })));
            }
            (Origin::Submit(submission), Ok(Answer::Submitted(tasks))) => {
                for submitted in tasks {
                    let reply = Reply::Submitted { submission, task: submitted.id };
                    told.push(Told::Message(Message::Client(reply)));
                }
            }
            (Origin::Submit(submission), Err(_)) => {
                told.push(Told::Message(Message::Client(Reply::Refused { submission })));
            }
            (Origin::Cancel(task), _) => told.push(Told::Message(Message::Client(Reply::Cancelled { task }))),
            _ => {}
        }
    }
}

fn short(event: &Event) -> String {
    match event {
        Event::Submit(tasks) => format!("submit of {:?}", tasks.iter().map(|task| task.id.ulid()).collect::<Vec<_>>()),
        Event::Cancel(cancel) => format!("cancel of {}", Short(cancel.task)),
        Event::Place(placements) => {
            let list: Vec<_> = placements
                .iter()
                .map(|place| format!("{}#{}@{}", Short(place.attempt.task), place.attempt.number, place.worker))
                .collect();
            format!("placements {list:?}")
        }
        Event::Register(registration) => format!("registration of {}", registration.worker),
        Event::Heartbeat(heartbeat) => format!("heartbeat of {}", heartbeat.worker),
        Event::Progress(attempt, step) => format!("{}#{} {step:?}", Short(attempt.task), attempt.number),
        Event::Ended(report) => {
            let Attempt { task, number } = report.attempt;
            format!("end of {}#{number}, {:?} {:?}", Short(task), report.outcome.cause, report.outcome.exit_code)
        }
        Event::Admit(_)
        | Event::Sent(_)
        | Event::Remove(_)
        | Event::Subscribed(..)
        | Event::Leave(..)
        | Event::Paused(_)
        | Event::Tick => {
            format!("{event:?}")
        }
    }
}

fn short_answer(answer: &Answer) -> String {
    match answer {
        Answer::Placed { taken, refused } => {
            let why: Vec<_> =
                refused.iter().map(|(place, why)| format!("{}: {why}", Short(place.attempt.task))).collect();
            format!("{taken} taken, refused {why:?}")
        }
        Answer::Done | Answer::Sent(_) | Answer::Submitted(_) | Answer::Registered(_) | Answer::Ended { .. } => {
            format!("{answer:?}")
        }
    }
}
