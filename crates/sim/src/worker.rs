//! The simulated shell of a worker: carries out the agent's effects in order, and crashes before
//! any of them. Journal and containers outlive it.

use crate::context::{Context, What, say};
use crate::engine::{Engine, EngineEvent, Heard};
use crate::lives::Ordered;
use crate::network::{Caller, Message, Request, Word};
use cloudai_core::agent::{Agent, AgentBeat, AgentEffect, AgentEvent, JournalEntry};
use cloudai_core::effect::StartOrder;
use cloudai_core::event::{EndReport, Heartbeat, Registration};
use cloudai_core::ids::{Incarnation, Session, WorkerId};
use cloudai_core::resources::Capacity;
use cloudai_core::time::{Timestamp, millis};
use cloudai_core::worker::{About, Unfit};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How long a worker waits for the answer to a registration.
const PATIENCE: u64 = 5000;
/// How long a worker that leaves waits for the last acknowledgement.
const LEAVE: u64 = 90_000;

/// What happens to a worker.
#[derive(Clone, Debug)]
pub(crate) enum WorkerEvent {
    /// The process begins.
    Start,
    /// A deadline of the agent.
    Timer { life: u32, at: Timestamp },
    /// A heartbeat is due.
    Beat { life: u32 },
    /// A registration was not answered.
    Unanswered { life: u32, call: u32 },
    /// A worker that leaves has waited long enough.
    LeaveNow { life: u32 },
    /// A pause is over.
    Resumed { life: u32 },
    /// On the host.
    Engine(EngineEvent),
}

/// One worker's host.
#[derive(Debug)]
pub(crate) struct Worker {
    index: usize,
    id: WorkerId,
    /// What the next process offers.
    capacity: Capacity,
    /// What the host has when nothing is wrong with it.
    whole: Capacity,
    clock: Clock,
    paused_until: Option<Timestamp>,
    journal: Vec<JournalEntry>,
    engine: Engine,
    life: u32,
    call: u32,
    /// When the last registration was sent, by its clock.
    sent_at: Timestamp,
    agent: Option<Agent>,
    timer: Option<Timestamp>,
    leaving: Option<u64>,
    /// Its disk is full until then.
    full_until: Timestamp,
}

/// A boot clock: counts from the boot of its host, at a rate of its own.
#[derive(Clone, Copy, Debug)]
struct Clock {
    booted: Timestamp,
    showed: Duration,
    /// Milliseconds that it counts in a thousand seconds.
    rate: u64,
}

/// Milliseconds in a thousand seconds of the world.
const TRUE_RATE: u64 = 1_000_000;

impl Clock {
    fn read(self, now: Timestamp) -> Timestamp {
        let passed = millis(now.since(self.booted)) * self.rate / TRUE_RATE;
        Timestamp::ZERO + self.showed + Duration::from_millis(passed)
    }

    /// When this clock first shows `at`, by the world's clock.
    fn world(self, at: Timestamp) -> Timestamp {
        let counted = millis(at.since(Timestamp::ZERO + self.showed));
        self.booted + Duration::from_millis((counted * TRUE_RATE).div_ceil(self.rate))
    }
}

impl Worker {
    pub(crate) fn new(context: &mut Context, index: usize, id: WorkerId, capacity: Capacity) -> Self {
        let showed = Duration::from_millis(context.rng.below(1 << 40));
        let drift = context.rng.between((0, 2 * context.plan.drift));
        let clock = Clock { booted: context.now, showed, rate: TRUE_RATE - context.plan.drift + drift };
        let engine = Engine::new(index);
        Self {
            index,
            id,
            whole: capacity.clone(),
            capacity,
            clock,
            paused_until: None,
            journal: Vec::new(),
            engine,
            life: 0,
            call: 0,
            sent_at: Timestamp::ZERO,
            agent: None,
            timer: None,
            leaving: None,
            full_until: Timestamp::ZERO,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.agent.as_ref().is_some_and(Agent::is_idle) && !self.engine.runs_anything()
    }

    pub(crate) fn handle(&mut self, context: &mut Context, event: WorkerEvent) {
        match event {
            WorkerEvent::Start => self.start(context),
            WorkerEvent::Timer { life, at } => {
                if life == self.life && self.timer == Some(at) {
                    self.timer = None;
                    self.tell_agent(context, AgentEvent::Tick);
                }
            }
            WorkerEvent::Beat { life } if life == self.life && self.agent.is_some() => {
                self.beat(context);
                let interval = millis(context.plan.timing.heartbeat);
                context.after(interval, What::Worker(self.index, WorkerEvent::Beat { life }));
            }
            WorkerEvent::Unanswered { life, call } if life == self.life && call == self.call => {
                self.register(context);
            }
            WorkerEvent::LeaveNow { life } if life == self.life && self.agent.is_some() => self.depart(context),
            WorkerEvent::Resumed { life } if life == self.life && self.agent.is_some() => self.resumed(context),
            WorkerEvent::Beat { .. }
            | WorkerEvent::Unanswered { .. }
            | WorkerEvent::LeaveNow { .. }
            | WorkerEvent::Resumed { .. } => {}
            WorkerEvent::Engine(event) => {
                let heard = self.engine.handle(context, event);
                self.hear(context, heard);
            }
        }
    }

    pub(crate) fn start(&mut self, context: &mut Context) {
        if self.agent.is_some() {
            return;
        }
        self.life += 1;
        self.leaving = None;
        self.timer = None;
        self.engine.begin_life(self.life);
        let now = self.clock.read(context.now);
        let journal = self.journal.clone();
        let (agent, effects) = Agent::restore(context.plan.timing, self.capacity.clone(), journal, now);
        self.agent = Some(agent);
        let held = self.held();
        say!(context, "w{} starts, life {}, holds {}", self.index, self.life, held.len());
        context.check.agent_started(self.index, &self.capacity, held);
        self.perform(context, effects);
        self.register(context);
        self.after(context, millis(context.plan.timing.heartbeat), WorkerEvent::Beat { life: self.life });
    }

    /// The process dies and comes back after so many milliseconds.
    pub(crate) fn crash(&mut self, context: &mut Context, down: u64, why: &str) {
        if self.agent.take().is_some() {
            self.paused_until = None;
            say!(context, "w{} crashes {why}, down {down} ms", self.index);
            context.check.agent_crashed(self.index);
            self.engine.begin_life(self.life + 1);
            self.after(context, down, WorkerEvent::Start);
        }
    }

    /// The host restarts. Harsher than the real journal, which syncs starts too: all after the last
    /// end may be lost.
    pub(crate) fn reboot(&mut self, context: &mut Context, down: u64) {
        self.crash(context, down, "with its host");
        self.engine.reboot(context);
        let synced = self.journal.iter().rposition(|entry| matches!(entry, JournalEntry::Ended(..)));
        let synced = synced.map_or(0, |last| last + 1);
        let lost = context.rng.index(self.journal.len() - synced + 1);
        self.journal.truncate(self.journal.len() - lost);
        self.clock = Clock { booted: context.now, showed: Duration::ZERO, ..self.clock };
        say!(context, "w{} reboots, {lost} entries of its journal are lost", self.index);
    }

    /// The process stands still; its containers go on.
    pub(crate) fn pause(&mut self, context: &mut Context, length: u64) {
        if self.agent.is_some() && self.paused_until.is_none() {
            say!(context, "w{} stands still for {length} ms", self.index);
            context.count("worker paused");
            context.check.agent_stands_still(self.index);
            self.paused_until = Some(context.now + Duration::from_millis(length));
            self.after(context, length, WorkerEvent::Resumed { life: self.life });
        }
    }

    fn resumed(&mut self, context: &mut Context) {
        self.paused_until = None;
        let now = self.clock.read(context.now);
        let renewed = self.agent.as_ref().and_then(Agent::renewed).unwrap_or(now);
        let timing = context.plan.timing;
        let limit = |order: &StartOrder| renewed + timing.stop_after(order.spec.limits.kill_after);
        let overdue = self.engine.orders().filter(|(_, order)| limit(order) <= now);
        let overdue: Vec<_> = overdue.map(|(of, _)| of).collect();
        say!(context, "w{} goes on, {} attempts are overdue", self.index, overdue.len());
        if !overdue.is_empty() {
            context.count("worker paused beyond its lease");
        }
        context.check.agent_goes_on(self.index, overdue);
    }

    /// Until when something has to wait for the end of a pause: all but what happens on the host.
    pub(crate) fn defers(&self, context: &Context, event: Option<&WorkerEvent>) -> Option<Timestamp> {
        let passes = matches!(event, Some(WorkerEvent::Resumed { .. } | WorkerEvent::Engine(EngineEvent::Exit { .. })));
        self.paused_until.filter(|until| *until >= context.now && !passes)
    }

    /// The process dies, and finds another host when it comes back.
    pub(crate) fn resize(&mut self, context: &mut Context, down: u64, per_mille: u64) {
        if self.agent.is_some() {
            context.count(if per_mille < 1000 { "worker came back smaller" } else { "worker came back" });
            self.capacity = scaled(&self.whole, per_mille);
            self.crash(context, down, "to come back with other capacity");
        }
    }

    /// The container engine answers nothing for so many milliseconds.
    pub(crate) fn lose_engine(&mut self, context: &mut Context, length: u64) {
        say!(context, "w{}: its engine is away for {length} ms", self.index);
        self.engine.go_away(context.now + Duration::from_millis(length));
    }

    /// The container engine restarts, and answers nothing until it is back.
    pub(crate) fn restart_engine(&mut self, context: &mut Context, length: u64) {
        say!(context, "w{}: its engine restarts, for {length} ms", self.index);
        context.count("engine of a worker restarted");
        self.engine.restart(context);
        self.engine.go_away(context.now + Duration::from_millis(length));
    }

    /// The container engine fails whatever is begun for so many milliseconds.
    pub(crate) fn break_engine(&mut self, context: &mut Context, length: u64) {
        say!(context, "w{}: its engine fails everything for {length} ms", self.index);
        self.engine.break_down(context.now + Duration::from_millis(length));
    }

    /// The container engine has no room for anything for so many milliseconds.
    pub(crate) fn fill_disk(&mut self, context: &mut Context, length: u64) {
        say!(context, "w{}: its disk is full for {length} ms", self.index);
        self.full_until = context.now + Duration::from_millis(length);
    }

    fn unfit(&self, context: &Context) -> Option<Unfit> {
        let away = self.engine.is_away(context.now).then(|| Unfit::EngineAway("no answer".into()));
        away.or_else(|| (context.now < self.full_until).then(|| Unfit::DiskPressure("99 %".into())))
    }

    /// Nothing is wrong with the host any more.
    pub(crate) fn heal(&mut self, context: &mut Context) {
        self.engine.go_away(Timestamp::ZERO);
        self.engine.break_down(Timestamp::ZERO);
        self.full_until = Timestamp::ZERO;
        if self.capacity != self.whole {
            self.capacity = self.whole.clone();
            self.crash(context, 0, "to come back whole");
        }
        self.start(context);
    }

    /// The worker is to leave in good order and to come back.
    pub(crate) fn leave(&mut self, context: &mut Context, down: u64) {
        if self.agent.is_some() && self.leaving.is_none() {
            say!(context, "w{} leaves", self.index);
            self.leaving = Some(down);
            self.after(context, LEAVE, WorkerEvent::LeaveNow { life: self.life });
            self.tell_agent(context, AgentEvent::Shutdown);
            self.beat(context);
        }
    }

    /// The last words of a process that has nothing left, or no time.
    fn depart(&mut self, context: &mut Context) {
        let Some(down) = self.leaving.take() else { return };
        let Some(agent) = self.agent.as_ref() else { return };
        if agent.is_idle()
            && let Some(beat) = agent.heartbeat()
        {
            self.ask(context, |caller| Request::Leave { caller, session: beat.session });
        }
        self.crash(context, down, "after leaving");
    }

    fn after(&self, context: &mut Context, wait: u64, event: WorkerEvent) {
        context.after(wait, What::Worker(self.index, event));
    }

    fn ask(&self, context: &mut Context, request: impl FnOnce(Caller) -> Request) {
        let caller = Caller { worker: self.index, life: self.life };
        context.send(Message::Master(request(caller)));
    }

    fn register(&mut self, context: &mut Context) {
        let Some(agent) = self.agent.as_ref() else { return };
        self.call += 1;
        let registration = Box::new(Registration {
            worker: self.id.clone(),
            address: None,
            capacity: self.capacity.clone(),
            labels: BTreeMap::new(),
            about: About { unfit: self.unfit(context), ..About::default() },
            held: agent.held(),
        });
        let call = self.call;
        self.sent_at = self.clock.read(context.now);
        self.ask(context, |caller| Request::Register { caller, call, registration });
        self.after(context, PATIENCE, WorkerEvent::Unanswered { life: self.life, call });
    }

    fn beat(&self, context: &mut Context) {
        let Some(beat) = self.agent.as_ref().and_then(Agent::heartbeat) else { return };
        let AgentBeat { session, seen, held, draining } = beat;
        let unfit = self.unfit(context);
        let heartbeat = Heartbeat { worker: self.id.clone(), session, seen, held, draining, unfit, images: None };
        let sent_at = self.clock.read(context.now);
        self.ask(context, |caller| Request::Heartbeat { caller, sent_at, heartbeat });
    }

    /// Takes a word of the master in; one for an earlier process finds nobody.
    pub(crate) fn receive(&mut self, context: &mut Context, word: Word) {
        match word {
            Word::Registered { life, call, session, incarnation, term } if life == self.life && call == self.call => {
                let (timing, sent_at) = (context.plan.timing, self.sent_at);
                self.tell_agent(context, AgentEvent::Registered { session, incarnation, term, timing, sent_at });
                self.registered(context, session, incarnation);
            }
            Word::Renewed { life, session, sent_at, draining } if life == self.life => {
                self.tell_agent(context, AgentEvent::Renewed { session, sent_at, draining });
            }
            Word::RegisterAgain { life, session } if life == self.life && self.session() == Some(session) => {
                self.tell_agent(context, AgentEvent::Disowned);
                self.register(context);
            }
            Word::Acknowledged { life, of: Ordered { attempt, incarnation }, sent } if life == self.life => {
                self.tell_agent(context, AgentEvent::Acknowledged { attempt, incarnation, sent });
            }
            Word::Command { term, dispatch } => {
                let event = AgentEvent::Command {
                    session: dispatch.session,
                    term,
                    seq: dispatch.seq,
                    command: dispatch.command,
                };
                self.tell_agent(context, event);
            }
            Word::Registered { .. } | Word::Renewed { .. } | Word::RegisterAgain { .. } | Word::Acknowledged { .. } => {
            }
        }
    }

    /// All that is here, of whichever life.
    fn held(&self) -> BTreeSet<Ordered> {
        let attempts = self.agent.iter().flat_map(Agent::attempts);
        attempts.map(|(attempt, incarnation)| Ordered { attempt, incarnation }).collect()
    }

    fn session(&self) -> Option<Session> {
        self.agent.as_ref().and_then(Agent::heartbeat).map(|beat| beat.session)
    }

    fn registered(&mut self, context: &mut Context, session: Session, incarnation: Incarnation) {
        if self.session() == Some(session) {
            context.check.agent_registered(self.index, incarnation, self.held());
            self.call += 1; // the answer's twin is for nobody
            self.ask(context, |caller| Request::Subscribe { caller, session });
            self.beat(context);
        }
    }

    fn hear(&mut self, context: &mut Context, heard: Vec<Heard>) {
        for heard in heard {
            let event = match heard {
                Heard::Step(of, step) => AgentEvent::Step(of.attempt, step),
                Heard::Ended(of, outcome) => AgentEvent::Ended(of.attempt, outcome),
            };
            self.tell_agent(context, event);
        }
    }

    fn tell_agent(&mut self, context: &mut Context, event: AgentEvent) {
        let Some(agent) = self.agent.as_mut() else { return };
        let effects = agent.apply(self.clock.read(context.now), event);
        debug_assert!(agent.is_consistent(), "w{}: the agent's books do not match its attempts", self.index);
        self.perform(context, effects);
        self.arm(context);
        if self.leaving.is_some() && self.agent.as_ref().is_some_and(Agent::is_idle) {
            self.depart(context);
        }
    }

    /// Carries effects out in order; the process may die before each of them.
    fn perform(&mut self, context: &mut Context, effects: Vec<AgentEffect>) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            if context.rng.chance(context.plan.worker_crash) && context.rng.chance(100) {
                let down = context.rng.between((20, 200_000));
                self.crash(context, down, "between two effects");
                return;
            }
            self.carry_out(context, effect, &mut effects);
        }
    }

    fn carry_out(&mut self, context: &mut Context, effect: AgentEffect, more: &mut VecDeque<AgentEffect>) {
        match effect {
            AgentEffect::Journal(entry) => self.journal.push(entry),
            AgentEffect::Launch { order, incarnation, resume } => {
                let now = self.clock.read(context.now);
                for heard in self.engine.launch(context, incarnation, order, resume) {
                    if let (Heard::Step(of, step), Some(agent)) = (heard, self.agent.as_mut()) {
                        more.extend(agent.apply(now, AgentEvent::Step(of.attempt, step)));
                    }
                }
            }
            AgentEffect::Halt { attempt, grace, cause } => {
                say!(context, "w{} halts {attempt:?}, {grace:?} {cause:?}", self.index);
                if let Some(of) = self.engine.job(attempt) {
                    self.engine.halt(context, of, grace, cause);
                }
            }
            AgentEffect::Tell(held) => self.ask(context, |caller| Request::Progress { caller, held }),
            AgentEffect::Report { attempt, incarnation, outcome } => {
                let report = EndReport { attempt, incarnation, outcome };
                self.ask(context, |caller| Request::Ended { caller, report });
            }
            AgentEffect::Discard { attempt, incarnation } => self.engine.remove(Ordered { attempt, incarnation }),
        }
    }

    /// Keeps the one timer at the agent's next deadline.
    fn arm(&mut self, context: &mut Context) {
        let Some(agent) = self.agent.as_ref() else { return };
        let now = self.clock.read(context.now);
        let due = agent.next_deadline(now);
        context.check.deadline_is_ahead("agent", due, now);
        if due != self.timer {
            self.timer = due;
            if let Some(at) = due {
                let when = self.clock.world(at);
                context.at(when, What::Worker(self.index, WorkerEvent::Timer { life: self.life, at }));
            }
        }
    }
}

/// So many thousandths of a host, and as many of its devices.
fn scaled(whole: &Capacity, per_mille: u64) -> Capacity {
    let part = |amount: u64| amount / 1000 * per_mille;
    let devices = whole.gpus.len() * usize::try_from(per_mille.min(1000)).unwrap_or(1000) / 1000;
    Capacity {
        cpu_milli: part(whole.cpu_milli),
        memory: part(whole.memory),
        storage: part(whole.storage),
        gpus: whole.gpus.iter().take(devices).cloned().collect(),
    }
}
