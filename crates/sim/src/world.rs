//! A deterministic world: one thread, one clock, one heap of events, every part driven by it.

use crate::check::Check;
use crate::client::Client;
use crate::context::{Context, START, What};
use crate::faults::{Fault, FaultPlan};
use crate::hostile::{Hostile, Lies};
use crate::master::{MakeStrategy, Master, MasterEvent};
use crate::network::{Message, Request};
use crate::rng::Rng;
use crate::store::Store;
use crate::worker::{Worker, WorkerEvent};
use crate::workload::{Program, Workload};
use cloudai_core::duty::Duty;
use cloudai_core::event::{Admission, DutyOrder, DutyWish, Removal};
use cloudai_core::ids::{Attempt, UserId, WorkerId};
use cloudai_core::spec::SpecError;
use cloudai_core::state::Status;
use cloudai_core::strategy::{self, Knobs};
use cloudai_core::time::millis;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// No run takes more events: one that does runs away.
const STEP_LIMIT: u64 = 5_000_000;

/// Between two looks of operators who end what they began, in milliseconds.
const LOOK: u64 = 10_000;

/// Everything that is simulated.
#[derive(Debug)]
pub struct World {
    seed: Option<u64>,
    context: Context,
    master: Master,
    workers: Vec<Worker>,
    names: Vec<WorkerId>,
    client: Client,
    /// When everything must have ended, in milliseconds from the start.
    limit: u64,
    steps: u64,
    lies: Lies,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Events handled.
    pub steps: u64,
    /// Simulated milliseconds.
    pub elapsed: u64,
    /// Tasks by their end.
    pub ends: BTreeMap<Status, usize>,
    /// Of everything that happened.
    pub hash: u64,
    /// Every container that ran.
    pub runs: Vec<Run>,
    /// How often each thing happened that must not be missing in the seeds.
    pub counts: BTreeMap<&'static str, u64>,
}

/// One container's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which attempt.
    pub attempt: Attempt,
    /// Where.
    pub worker: WorkerId,
    /// Milliseconds from the start.
    pub start: u64,
    /// Milliseconds from the start; none when it never ended.
    pub end: Option<u64>,
}

impl Summary {
    /// When the last container ended, in milliseconds from the start.
    #[must_use]
    pub fn makespan(&self) -> u64 {
        self.runs.iter().filter_map(|run| run.end).max().unwrap_or(0)
    }
}

/// A broken rule, and how to see it again.
#[derive(Clone, Debug, thiserror::Error)]
pub struct Failure {
    /// The rule, beginning with its number in the specification.
    pub rule: String,
    /// Simulated milliseconds.
    pub at: u64,
    /// The last lines of the trace.
    pub trace: Vec<String>,
    /// The seed; none for a batch.
    pub seed: Option<u64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "broken: {}", self.rule)?;
        writeln!(f, "at:     {}.{:03} s", self.at / 1000, self.at % 1000)?;
        match self.seed {
            Some(seed) => write!(
                f,
                "replay: SEED={seed} cargo test --locked --profile ci -p cloudai-sim --test faults -- --nocapture"
            ),
            None => write!(f, "replay: the same batch"),
        }
    }
}

impl World {
    /// A world with the workload and the faults of a seed; with `echo` the trace goes to standard
    /// error.
    /// # Errors
    /// None: the specs are made within their ranges.
    pub fn faulty(seed: u64, echo: bool) -> Result<Self, SpecError> {
        let mut rng = Rng::new(seed);
        let mut plan = FaultPlan::draw(&mut rng.fork(), 8);
        // Of a generator of their own: a seed without jobs stays what it was before there were any.
        let mut workload = Workload::draw(&mut rng.fork(), plan.horizon)?;
        if plan.preemption > 0 {
            workload.crowd(&mut Rng::new(seed.rotate_left(32)), plan.horizon);
        }
        let workload = workload.with_jobs(&mut Rng::new(!seed), plan.horizon)?;
        let workload = workload.with_kin(&mut Rng::new(seed.rotate_left(32) ^ 0x6b69_6e00));
        let count = workload.workers.len();
        plan.fold_onto(count);
        let all: Vec<_> = workload.workers.iter().map(|(id, _)| id.clone()).collect();
        let per_mille = plan.hostile;
        let lies = Lies::default();
        let told = lies.clone();
        let make: MakeStrategy = Box::new(move |context| {
            let (_, make) = strategy::ALL[context.rng.index(strategy::ALL.len())];
            let rng = context.rng.fork();
            (make(&Knobs::default()), Some(Hostile::new(rng, per_mille, &all, told.clone())))
        });
        Ok(Self { lies, ..Self::build(Some(seed), rng, workload, plan, make, echo) })
    }

    /// A world in which nothing fails and nothing but the programs takes time; none when no
    /// strategy has this name.
    #[must_use]
    pub fn batch(workload: Workload, strategy: &str) -> Option<Self> {
        let (_, make) = *strategy::ALL.iter().find(|(name, _)| *name == strategy)?;
        let make: MakeStrategy = Box::new(move |_: &mut Context| (make(&Knobs::default()), None));
        Some(Self::build(None, Rng::new(0), workload, FaultPlan::none(), make, false))
    }

    fn build(seed: Option<u64>, rng: Rng, workload: Workload, plan: FaultPlan, make: MakeStrategy, echo: bool) -> Self {
        let names: Vec<_> = workload.workers.iter().map(|(id, _)| id.clone()).collect();
        let limit = limit(&workload, &plan);
        let check = Check::new(workload.workers.iter().map(|(_, capacity)| capacity.clone()).collect());
        let mut context = Context::new(rng, plan, check, echo);
        context.after(0, What::Master(MasterEvent::Start));
        let mut workers = Vec::new();
        for (index, (id, capacity)) in workload.workers.into_iter().enumerate() {
            workers.push(Worker::new(&mut context, index, id, capacity));
            let begins = context.rng.below(context.plan.horizon / 100 + 1);
            context.after(begins, What::Worker(index, WorkerEvent::Start));
        }
        for (at, fault) in context.plan.events.clone() {
            context.after(at, What::Fault(fault));
        }
        let client = Client::new(&mut context, workload.tasks, workload.jobs);
        let master = Master::new(names.clone(), Store::new(), make);
        Self { seed, context, master, workers, names, client, limit, steps: 0, lies: Lies::default() }
    }

    /// Runs until everything has ended.
    /// # Errors
    /// The first rule that is broken, in the moment it is broken.
    pub fn run(mut self) -> Result<Summary, Failure> {
        while !self.is_over() {
            let Some(what) = self.context.pop() else {
                return Err(self.failure("liveness: nothing happens any more".into()));
            };
            self.steps += 1;
            self.handle(what);
            if let Some(rule) = self.context.check.broken() {
                let rule = rule.to_owned();
                return Err(self.failure(rule));
            }
            if self.context.elapsed() > self.limit {
                let rule = self.what_hangs();
                return Err(self.failure(rule));
            }
            if self.steps > STEP_LIMIT {
                return Err(self.failure(format!("liveness: {STEP_LIMIT} events and no end")));
            }
        }
        self.context.check.finale(&self.master.store);
        match self.context.check.broken().map(str::to_owned) {
            Some(rule) => Err(self.failure(rule)),
            None => Ok(self.summary()),
        }
    }

    fn handle(&mut self, what: What) {
        let context = &mut self.context;
        let deferred = match &what {
            What::Deliver(Message::Master(_)) | What::Master(_) => self.master.defers(context, &what),
            What::Deliver(Message::Worker(worker, _)) => self.workers[*worker].defers(context, None),
            What::Worker(worker, event) => self.workers[*worker].defers(context, Some(event)),
            What::Deliver(Message::Client(_)) | What::Client(_) | What::Fault(_) => None,
        };
        if let Some(until) = deferred {
            // What waits is taken up in any order once the process goes on.
            let jitter = context.rng.below(5);
            return context.at(until + Duration::from_millis(jitter), what);
        }
        match what {
            What::Deliver(Message::Master(request)) => self.master.receive(context, request),
            What::Deliver(Message::Worker(worker, word)) => self.workers[worker].receive(context, word),
            What::Deliver(Message::Client(reply)) => self.client.receive(context, reply),
            What::Master(event) => self.master.handle(context, event),
            What::Worker(worker, event) => self.workers[worker].handle(context, event),
            What::Client(event) => self.client.handle(context, event),
            What::Fault(fault) => self.strike(fault),
        }
    }

    fn strike(&mut self, fault: Fault) {
        let context = &mut self.context;
        match fault {
            Fault::MasterCrash(down) => self.master.crash(context, down, "as planned"),
            Fault::PowerCut(down) => self.master.lose_power(context, down),
            Fault::MasterPause(length) => self.master.pause(context, length),
            Fault::WorkerCrash(worker, down) => self.workers[worker].crash(context, down, "as planned"),
            Fault::Reboot(worker, down) => self.workers[worker].reboot(context, down),
            Fault::Leave(worker, down) => self.workers[worker].leave(context, down),
            Fault::WorkerPause(worker, length) => self.workers[worker].pause(context, length),
            Fault::Resize(worker, down, per_mille) => self.workers[worker].resize(context, down, per_mille),
            Fault::EngineAway(worker, length) => self.workers[worker].lose_engine(context, length),
            Fault::EngineRestart(worker, length) => self.workers[worker].restart_engine(context, length),
            Fault::Remove(worker, force) => {
                let removal = Removal { worker: self.names[worker].clone(), force };
                context.send(Message::Master(Request::Remove(removal)));
            }
            Fault::Cordon(worker) => self.order(worker, DutyWish::Cordon { reason: "look".into() }),
            Fault::Drain(worker, deadline) => {
                let deadline = deadline.map(Duration::from_millis);
                self.order(worker, DutyWish::Drain { reason: "empty".into(), deadline });
            }
            Fault::Open(worker) => self.order(worker, DutyWish::Open),
            Fault::OpenAll => self.open_all(),
            Fault::BlackHole(worker, length) => self.workers[worker].break_engine(context, length),
            Fault::DiskFull(worker, length) => self.workers[worker].fill_disk(context, length),
            Fault::Reconcile => context.send(Message::Master(Request::Reconcile)),
            Fault::Admit(worker) => self.admit(worker),
            Fault::Usurp => self.master.usurp(context),
            Fault::Backup => self.master.back_up(context),
            Fault::Restore(down, bare) => self.master.restore(context, down, bare),
            Fault::Heal => {
                context.say(format_args!("all faults end"));
                context.plan.heal();
                self.master.heal(context);
                for worker in &mut self.workers {
                    worker.heal(context);
                }
                self.open_all();
            }
        }
    }

    fn order(&mut self, worker: usize, wish: DutyWish) {
        let order = DutyOrder { worker: self.names[worker].clone(), by: UserId::local(), wish };
        self.context.send(Message::Master(Request::Duty(order)));
    }

    /// Operators end what they began, and look whether it is done; a quarantine ends by itself. They release what is
    /// held of jobs, too: a hold may have come behind its release, or a restore have taken that back.
    fn open_all(&mut self) {
        let closed = |worker: &usize| {
            let record = self.master.store.workers.get(&self.names[*worker]);
            record.is_some_and(|record| matches!(record.duty, Duty::Cordoned(_) | Duty::Draining(_)))
        };
        let closed: Vec<_> = (0..self.names.len()).filter(closed).collect();
        // Also when all are open: an order of before may come late.
        self.context.after(LOOK, What::Fault(Fault::OpenAll));
        for worker in closed {
            self.order(worker, DutyWish::Open);
        }
        let held: Vec<_> = self.master.store.live_jobs().filter(|job| job.held.is_some()).map(|job| job.id).collect();
        for job in held {
            self.context.send(Message::Master(Request::ReleaseJob { job }));
        }
    }

    fn admit(&mut self, worker: usize) {
        if let Ok(worker) = format!("w{worker}").parse() {
            let admission = Admission { worker, address: None };
            self.context.send(Message::Master(Request::Admit(admission)));
        }
    }

    /// Whether all faults are over, everything asked for has ended, and nothing runs any more.
    fn is_over(&self) -> bool {
        self.context.elapsed() > self.context.plan.horizon
            && self.client.is_done()
            && self.master.store.live().next().is_none()
            && self.master.store.live_jobs().next().is_none()
            && self.workers.iter().all(Worker::is_idle)
    }

    fn what_hangs(&self) -> String {
        let live: Vec<_> = self.master.store.live().map(|task| format!("{} {:?}", task.id, task.state)).collect();
        let busy: Vec<_> =
            self.names.iter().zip(&self.workers).filter(|(_, worker)| !worker.is_idle()).map(|(id, _)| id).collect();
        let jobs: Vec<_> = self.master.store.live_jobs().map(|job| format!("{} {:?}", job.id, job.counts)).collect();
        let answered = self.client.is_done();
        let limit = self.limit;
        format!("liveness: after {limit} ms live {live:?} {jobs:?}, not idle {busy:?}, users answered: {answered}")
    }

    fn failure(&self, rule: String) -> Failure {
        Failure { rule, at: self.context.elapsed(), trace: self.context.trace.tail(), seed: self.seed }
    }

    fn summary(&self) -> Summary {
        let mut ends = BTreeMap::new();
        for task in self.master.store.tasks.values() {
            *ends.entry(task.status()).or_insert(0) += 1;
        }
        let since = |at: cloudai_core::time::Timestamp| millis(at.since(START));
        let runs = self.context.check.runs().iter().map(|(of, run)| Run {
            attempt: of.attempt,
            worker: self.names[run.worker].clone(),
            start: since(run.started),
            end: run.ended.map(since),
        });
        let hash = self.context.trace.hash();
        let mut counts = self.context.counts.clone();
        counts.extend(self.lies.counted());
        Summary { steps: self.steps, elapsed: self.context.elapsed(), ends, hash, runs: runs.collect(), counts }
    }
}

/// When everything must have ended: the faults, the last arrival, a lost lease, and then every
/// task one after the other, with all its retries and as often as it makes room for others.
fn limit(workload: &Workload, plan: &FaultPlan) -> u64 {
    let arrivals = workload.tasks.iter().map(|arrival| arrival.at).chain(workload.jobs.iter().map(|job| job.at));
    let last = arrivals.max().unwrap_or(0);
    let longest = workload.longest_pull() + crate::workload::LONGEST_DELAY;
    let settle = millis(plan.timing.lost_after() + plan.timing.inactive) + 600_000 + longest;
    let tries = 15;
    let one = |duration: u64| duration + plan.pull.1 + 20 * plan.step.1 + plan.round.1 + 200_000;
    let all = |(spec, count)| tries * count * one(Program::of(spec).duration);
    let tasks: u64 = workload.specs().map(all).sum();
    plan.horizon.max(last) + settle + tasks
}
