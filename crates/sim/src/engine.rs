//! The simulated host: containers that outlive the worker's process, and the executor that this
//! process has on them.
//!
//! It keeps the contract of the worker's executors: with `resume` a container that is there is
//! taken over wherever it stands, one that is not there has vanished; one that ran before is never
//! started again, by whatever way it is asked for.

use crate::context::{Context, What, say};
use crate::lives::Ordered;
use crate::worker::WorkerEvent;
use crate::workload::Program;
use cloudai_core::effect::StartOrder;
use cloudai_core::ids::{Attempt, Incarnation};
use cloudai_core::task::{Cause, LogEnd, Outcome, Step};
use cloudai_core::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What happens on a host.
#[derive(Clone, Debug)]
pub(crate) enum EngineEvent {
    /// The executor's next step.
    Next { life: u32, of: Ordered, phase: Phase },
    /// A pull has taken as long as it may.
    PullLimit { life: u32, of: Ordered },
    /// A program ends by itself or by SIGTERM.
    Exit { boot: u32, of: Ordered, signalled: bool },
    /// The executor kills: a grace or the run time is over.
    Kill { life: u32, of: Ordered, cause: Cause },
    /// Log and files are kept.
    Done { life: u32, of: Ordered, outcome: Arc<Outcome> },
}

/// What an agent hears of its executor.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Step(Ordered, Step),
    Ended(Ordered, Arc<Outcome>),
}

/// How far an executor is with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Pulling,
    Creating,
    /// Told the engine to start it, and heard no good of it yet.
    Starting,
    Watching,
    /// The outcome is known; its log is being kept.
    Ending,
}

#[derive(Debug)]
struct Container {
    order: Arc<StartOrder>,
    state: State,
    /// Sent SIGTERM: what ends it now is a signal.
    signalled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Created,
    Running {
        since: Timestamp,
    },
    Exited {
        code: i32,
        run: Duration,
    },
    /// Died with its host.
    Lost,
}

#[derive(Debug)]
struct Job {
    order: Arc<StartOrder>,
    phase: Phase,
    stop: Option<(Timestamp, Cause)>,
    /// A stop that came before the start was answered: passed on when it is.
    wish: Option<(Duration, Cause)>,
    /// How often in a row the engine took a stop and did nothing.
    ignored: u8,
}

/// An engine that does nothing is asked again; this often in a row it does nothing at most.
const IGNORED: u8 = 2;

/// One host.
#[derive(Debug)]
pub(crate) struct Engine {
    worker: usize,
    boot: u32,
    life: u32,
    containers: BTreeMap<Ordered, Container>,
    jobs: BTreeMap<Ordered, Job>,
    /// Nothing new can be begun before.
    away_until: Timestamp,
    /// Whatever is begun before fails, though it answers.
    broken_until: Timestamp,
}

impl Engine {
    pub(crate) const fn new(worker: usize) -> Self {
        Self {
            worker,
            boot: 0,
            life: 0,
            containers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            away_until: Timestamp::ZERO,
            broken_until: Timestamp::ZERO,
        }
    }

    /// It answers nothing before this time.
    pub(crate) const fn go_away(&mut self, until: Timestamp) {
        self.away_until = until;
    }

    /// It answers, and fails whatever is begun before this time.
    pub(crate) const fn break_down(&mut self, until: Timestamp) {
        self.broken_until = until;
    }

    pub(crate) fn is_away(&self, now: Timestamp) -> bool {
        now < self.away_until
    }

    /// The worker's process ended or begins: its executor knows nothing.
    pub(crate) fn begin_life(&mut self, life: u32) {
        self.life = life;
        self.jobs.clear();
    }

    /// The host restarts: nothing runs any more.
    pub(crate) fn reboot(&mut self, context: &mut Context) {
        self.boot += 1;
        for (of, container) in &mut self.containers {
            if matches!(container.state, State::Running { .. }) {
                container.state = State::Lost;
                context.check.container_ended(context.now, *of, None);
            }
        }
    }

    /// The engine's own process restarts: nothing that ran goes on, executors hear of it.
    pub(crate) fn restart(&mut self, context: &mut Context) {
        self.reboot(context);
        let died = |(of, job): (&Ordered, &Job)| {
            let lost = self.containers.get(of).is_some_and(|container| container.state == State::Lost);
            (lost && matches!(job.phase, Phase::Starting | Phase::Watching)).then_some(*of)
        };
        let died: Vec<_> = self.jobs.iter().filter_map(died).collect();
        for of in died {
            self.end(context, of, Outcome::of(Cause::EngineError, "the engine ended it"));
        }
    }

    fn later(&self, context: &mut Context, millis: u64, event: EngineEvent) {
        context.after(millis, What::Worker(self.worker, WorkerEvent::Engine(event)));
    }

    pub(crate) fn launch(
        &mut self,
        context: &mut Context,
        incarnation: Incarnation,
        order: Arc<StartOrder>,
        resume: bool,
    ) -> Vec<Heard> {
        let (of, life) = (Ordered { attempt: order.attempt, incarnation }, self.life);
        let there = self.containers.get(&of).map(|container| container.state);
        let phase = match there {
            Some(State::Created) => Phase::Creating,
            Some(State::Running { .. }) => Phase::Watching,
            Some(State::Exited { .. } | State::Lost) => Phase::Ending,
            None if resume => Phase::Ending,
            None => Phase::Pulling,
        };
        say!(context, "w{} launches {of} resume {resume}: {there:?}", self.worker);
        let limit = cloudai_core::time::millis(order.spec.limits.pull);
        self.jobs.insert(of, Job { order, phase, stop: None, wish: None, ignored: 0 });
        match phase {
            Phase::Pulling => {
                self.pull(context, of, limit);
                vec![Heard::Step(of, Step::Pulling)]
            }
            Phase::Creating => {
                let wait = context.rng.between(context.plan.step);
                self.later(context, wait, EngineEvent::Next { life, of, phase });
                vec![Heard::Step(of, Step::Starting)]
            }
            Phase::Starting | Phase::Watching => {
                self.watch(context, of);
                vec![Heard::Step(of, Step::Running)]
            }
            Phase::Ending => {
                let outcome = self.outcome_of(of);
                self.end(context, of, outcome);
                Vec::new()
            }
        }
    }

    fn pull(&self, context: &mut Context, of: Ordered, limit: u64) {
        let (life, hangs) = (self.life, context.rng.chance(context.plan.pull_hang));
        let takes = context.rng.between(context.plan.pull);
        if hangs || takes > limit {
            self.later(context, limit, EngineEvent::PullLimit { life, of });
        } else {
            self.later(context, takes, EngineEvent::Next { life, of, phase: Phase::Pulling });
        }
    }

    /// Limits the run time of a container that runs, from its start.
    fn watch(&self, context: &mut Context, of: Ordered) {
        let Some(container) = self.containers.get(&of) else { return };
        if let (State::Running { since }, Some(run)) = (container.state, container.order.spec.limits.run) {
            let left = (since + run).since(context.now);
            let kill = EngineEvent::Kill { life: self.life, of, cause: Cause::TimedOut };
            self.later(context, cloudai_core::time::millis(left), kill);
        }
    }

    /// What the executor has under this number: it is busy with one of them at a time.
    pub(crate) fn job(&self, attempt: Attempt) -> Option<Ordered> {
        self.jobs.keys().copied().find(|of| of.attempt == attempt)
    }

    /// SIGTERM now, SIGKILL after the grace; less grace replaces more.
    pub(crate) fn halt(&mut self, context: &mut Context, of: Ordered, grace: Duration, cause: Cause) {
        let Some(job) = self.jobs.get_mut(&of) else { return };
        let deadline = context.now + grace;
        match job.phase {
            Phase::Ending => {}
            Phase::Pulling | Phase::Creating => {
                if let Some(container) = self.containers.get_mut(&of) {
                    container.state = State::Lost;
                }
                self.end(context, of, Outcome::of(cause, "stopped before it ran"));
            }
            Phase::Starting => {
                let first = job.wish.map_or(cause, |(_, first)| first);
                let least = job.wish.map_or(grace, |(least, _)| least.min(grace));
                job.wish = Some((least, first));
            }
            Phase::Watching if job.stop.is_some_and(|(at, _)| at <= deadline) => {}
            Phase::Watching => {
                job.stop = Some((deadline, cause));
                let latency = context.rng.between((0, context.plan.step.1.min(200)));
                let kill = EngineEvent::Kill { life: self.life, of, cause };
                self.later(context, cloudai_core::time::millis(grace) + latency, kill);
                if context.rng.chance(context.plan.stop_ignored) {
                    context.count("stop ignored by the engine");
                } else {
                    self.terminate(context, of);
                }
            }
        }
    }

    fn terminate(&mut self, context: &mut Context, of: Ordered) {
        let Some(container) = self.containers.get_mut(&of) else { return };
        if !container.signalled && !Program::of(&container.order.spec).ignores_term {
            container.signalled = true;
            let dies = context.rng.between((0, 4000));
            let boot = self.boot;
            self.later(context, dies, EngineEvent::Exit { boot, of, signalled: true });
        }
    }

    pub(crate) fn remove(&mut self, of: Ordered) {
        self.containers.remove(&of);
    }

    /// What the executor is busy with.
    pub(crate) fn orders(&self) -> impl Iterator<Item = (Ordered, &Arc<StartOrder>)> {
        self.jobs.iter().map(|(of, job)| (*of, &job.order))
    }

    /// Whether a container runs here.
    pub(crate) fn runs_anything(&self) -> bool {
        self.containers.values().any(|container| matches!(container.state, State::Running { .. }))
    }

    pub(crate) fn handle(&mut self, context: &mut Context, event: EngineEvent) -> Vec<Heard> {
        match event {
            EngineEvent::Next { life, of, phase } => {
                if life == self.life && self.jobs.get(&of).is_some_and(|job| job.phase == phase) {
                    return self.next(context, of, phase);
                }
            }
            EngineEvent::PullLimit { life, of } => {
                let pulls = self.jobs.get(&of).is_some_and(|job| job.phase == Phase::Pulling);
                if life == self.life && pulls {
                    context.count("pull ended by its limit");
                    self.end(context, of, Outcome::of(Cause::ImagePull, "not pulled within its limit"));
                }
            }
            EngineEvent::Exit { boot, of, signalled } => {
                let here = self.containers.get(&of);
                let ignores = here.is_some_and(|container| container.signalled && !signalled);
                if boot == self.boot
                    && !ignores
                    && let Some(container) = here
                {
                    let code = if signalled { 143 } else { Program::of(&container.order.spec).exit_code };
                    self.exited(context, of, code);
                }
            }
            EngineEvent::Kill { life, of, cause } => self.kill(context, life, of, cause),
            EngineEvent::Done { life, of, outcome } => {
                if life == self.life && self.jobs.remove(&of).is_some() {
                    return vec![Heard::Ended(of, outcome)];
                }
            }
        }
        Vec::new()
    }

    fn next(&mut self, context: &mut Context, of: Ordered, phase: Phase) -> Vec<Heard> {
        match phase {
            Phase::Pulling => self.create(context, of),
            Phase::Creating => self.start(context, of),
            Phase::Starting => self.started(context, of),
            Phase::Watching | Phase::Ending => Vec::new(),
        }
    }

    /// The image is there: makes the container, or takes the one that an unheard answer left.
    fn create(&mut self, context: &mut Context, of: Ordered) -> Vec<Heard> {
        let away = self.is_away(context.now) || context.now < self.broken_until;
        let there = self.containers.contains_key(&of);
        let Some(job) = self.jobs.get_mut(&of) else { return Vec::new() };
        let (life, order) = (self.life, Arc::clone(&job.order));
        if there {
            context.count("name taken by its own container");
        } else if context.rng.chance(context.plan.pull_failure) {
            self.end(context, of, Outcome::of(Cause::ImagePull, "the registry does not answer"));
            return Vec::new();
        } else if context.rng.chance(context.plan.engine_error) || away {
            self.end(context, of, Outcome::of(Cause::EngineError, "the engine failed"));
            return Vec::new();
        } else {
            self.containers.insert(of, Container { order, state: State::Created, signalled: false });
            if context.rng.chance(context.plan.name_clash) {
                let wait = context.rng.between(context.plan.step);
                self.later(context, wait, EngineEvent::Next { life, of, phase: Phase::Pulling });
                return Vec::new();
            }
        }
        job.phase = Phase::Creating;
        let wait = context.rng.between(context.plan.step);
        self.later(context, wait, EngineEvent::Next { life, of, phase: Phase::Creating });
        vec![Heard::Step(of, Step::Starting)]
    }

    fn start(&mut self, context: &mut Context, of: Ordered) -> Vec<Heard> {
        let Some(job) = self.jobs.get_mut(&of) else { return Vec::new() };
        if Program::of(&job.order.spec).cannot_start {
            if let Some(container) = self.containers.get_mut(&of) {
                container.state = State::Lost;
            }
            self.end(context, of, Outcome::of(Cause::StartError, "no such program"));
            return Vec::new();
        }
        job.phase = Phase::Starting;
        self.run(context, of);
        if context.rng.chance(context.plan.start_refused) {
            // It runs all the same: the executor looks, which takes its time.
            context.count("start answered with an error and carried out");
            let wait = context.rng.between(context.plan.step);
            self.later(context, wait, EngineEvent::Next { life: self.life, of, phase: Phase::Starting });
            return Vec::new();
        }
        self.started(context, of)
    }

    /// The executor sees that the container ran: it watches it, unless that is over.
    fn started(&mut self, context: &mut Context, of: Ordered) -> Vec<Heard> {
        let Some(job) = self.jobs.get_mut(&of) else { return Vec::new() };
        job.phase = Phase::Watching;
        let wish = job.wish.take();
        if !self.containers.get(&of).is_some_and(|here| matches!(here.state, State::Running { .. })) {
            context.count("container exited before it was watched");
            let outcome = self.outcome_of(of);
            self.end(context, of, outcome);
        } else {
            self.watch(context, of);
            if let Some((grace, cause)) = wish {
                self.halt(context, of, grace, cause);
            }
        }
        vec![Heard::Step(of, Step::Running)]
    }

    fn run(&mut self, context: &mut Context, of: Ordered) {
        let Some(container) = self.containers.get_mut(&of) else { return };
        container.state = State::Running { since: context.now };
        let order = Arc::clone(&container.order);
        say!(context, "w{} runs {of}", self.worker);
        context.check.container_started(context.now, self.worker, of, &order.allocation);
        let ends = Program::of(&order.spec).duration;
        self.later(context, ends, EngineEvent::Exit { boot: self.boot, of, signalled: false });
    }

    fn exited(&mut self, context: &mut Context, of: Ordered, code: i32) {
        let Some(container) = self.containers.get_mut(&of) else { return };
        let State::Running { since } = container.state else { return };
        container.state = State::Exited { code, run: context.now.since(since) };
        say!(context, "w{}: {of} exits with {code}", self.worker);
        context.check.container_ended(context.now, of, Some(code));
        if self.jobs.get(&of).is_some_and(|job| job.phase == Phase::Watching) {
            let outcome = self.outcome_of(of);
            self.end(context, of, outcome);
        }
    }

    fn kill(&mut self, context: &mut Context, life: u32, of: Ordered, cause: Cause) {
        if life != self.life {
            return;
        }
        let Some(job) = self.jobs.get_mut(&of).filter(|job| job.phase == Phase::Watching) else { return };
        match job.stop {
            // The run time is over: first the polite way.
            None if cause == Cause::TimedOut => {
                let grace = job.order.spec.limits.kill_after;
                self.halt(context, of, grace, cause);
            }
            Some((deadline, _)) if deadline <= context.now => {
                if job.ignored < IGNORED && context.rng.chance(context.plan.stop_ignored) {
                    job.ignored += 1;
                    context.count("kill ignored by the engine");
                    let again = context.rng.between((100, 2000));
                    self.later(context, again, EngineEvent::Kill { life, of, cause });
                } else {
                    self.exited(context, of, 137);
                }
            }
            None | Some(_) => {}
        }
    }

    /// What an executor says of a container that does not run: an end that was asked for has the
    /// asker's cause unless the program was quicker.
    fn outcome_of(&self, of: Ordered) -> Outcome {
        let Some(State::Exited { code, run }) = self.containers.get(&of).map(|container| container.state) else {
            return Outcome::of(Cause::Vanished, "its container is gone");
        };
        let stop = self.jobs.get(&of).and_then(|job| job.stop);
        let (cause, exit_code) = match stop {
            Some((_, cause)) if code == 143 || code == 137 => (cause, Some(code)),
            Some(_) | None => (Cause::Exited, Some(code)),
        };
        let log = LogEnd { records: 1, bytes: 1, complete: true, cut: None };
        Outcome { exit_code, run: Some(run), log, ..Outcome::of(cause, "") }
    }

    fn end(&mut self, context: &mut Context, of: Ordered, outcome: Outcome) {
        if let Some(job) = self.jobs.get_mut(&of) {
            job.phase = Phase::Ending;
            let wait = context.rng.between(context.plan.step);
            let outcome = Arc::new(outcome);
            self.later(context, wait, EngineEvent::Done { life: self.life, of, outcome });
        }
    }
}
