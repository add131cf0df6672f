//! Drives the core's agent: takes what happened, lets it decide, writes the decision down, does it.

use crate::client::Backoff;
use crate::clock::Clock;
use crate::convert;
use crate::executor::{Progress, Stop, Teller};
use crate::journal::Journal;
use crate::messages::{Beat, Input, Report};
use crate::run::{self, Run, Runner};
use crate::steps::Steps;
use crate::upload::Whose;
use cloudai_core::agent::{Agent, AgentEffect, AgentEvent};
use cloudai_core::effect::StartOrder;
use cloudai_core::ids::{Attempt, Session};
use cloudai_core::resources::Allocation;
use cloudai_core::task::{Cause, Outcome};
use cloudai_proto::v1 as pb;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

/// What one batch of the shell takes in at most.
const BATCH: usize = 1024;
/// Steps that wait to be taken in; attempts wait beyond that.
const STEPS: usize = 1024;
/// The shell looks at the clock at least so often.
const LOOK: Duration = Duration::from_secs(1);

/// Between two tries to remove what is left of an attempt, first and at most.
const DISCARD_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A master that answered no heartbeat for so long is away: two heartbeats of the default interval.
const MASTER_AWAY: Duration = Duration::from_secs(10);
/// What containers may take to end beyond their grace, when nobody is told of it.
const LAST_ENDS: Duration = Duration::from_secs(5);
/// What removing may take when the worker stops.
const LAST_DISCARDS: Duration = Duration::from_secs(10);

/// The agent with everything that carries out what it decides. It has a thread of its own, which
/// the disk may keep waiting; what it begins runs elsewhere.
#[derive(Debug)]
pub(crate) struct Shell {
    clock: Clock,
    agent: Agent,
    journal: Journal,
    /// What waits for the journal; empty while it can be written.
    owed: Vec<AgentEffect>,
    runner: Runner,
    /// Where attempts run.
    elsewhere: Handle,
    inputs: mpsc::Receiver<Input>,
    /// How far attempts are.
    progress: mpsc::Receiver<(Attempt, Progress)>,
    /// Where they tell it.
    progress_out: mpsc::Sender<(Attempt, Progress)>,
    reports: mpsc::Sender<Report>,
    steps: Arc<Steps>,
    running: BTreeMap<Attempt, Running>,
    runs: JoinSet<(Attempt, Outcome)>,
    discards: JoinSet<()>,
    attempts_of: BTreeMap<Id, Attempt>,
    /// The present session, for the farewell.
    session: watch::Sender<Option<Session>>,
    /// The agent was told to leave.
    leaving: CancellationToken,
}

/// An attempt that the executor has.
#[derive(Debug)]
struct Running {
    order: Arc<StartOrder>,
    stop: watch::Sender<Option<Stop>>,
    detail: String,
}

/// The ends of the shell's channels.
#[derive(Debug)]
pub(crate) struct Channels {
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) steps: Arc<Steps>,
}

impl Shell {
    /// What it begins runs on the present runtime.
    pub(crate) fn new(clock: Clock, agent: Agent, journal: Journal, runner: Runner, channels: Channels) -> Self {
        let (progress_out, progress) = mpsc::channel(STEPS);
        Self {
            clock,
            agent,
            journal,
            owed: Vec::new(),
            runner,
            elsewhere: Handle::current(),
            inputs: channels.inputs,
            progress,
            progress_out,
            reports: channels.reports,
            steps: channels.steps,
            running: BTreeMap::new(),
            runs: JoinSet::new(),
            discards: JoinSet::new(),
            attempts_of: BTreeMap::new(),
            session: watch::Sender::new(None),
            leaving: CancellationToken::new(),
        }
    }

    /// The present session; stays readable when the shell is gone.
    pub(crate) fn session(&self) -> watch::Receiver<Option<Session>> {
        self.session.subscribe()
    }

    /// Is cancelled once heartbeats say that the worker leaves.
    pub(crate) fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// Carries out what a restored agent wants first.
    pub(crate) fn begin(&mut self, effects: Vec<AgentEffect>) {
        self.carry_out(effects);
    }

    /// Runs until told to stop; then stops its attempts, and ends when all their ends are
    /// acknowledged or `patience` is over. Answers whether nothing is held any more.
    pub(crate) async fn run(mut self, stop: CancellationToken, patience: Duration) -> bool {
        let mut since = None;
        loop {
            let effects = self.next_batch(&stop).await;
            self.carry_out(effects);
            if self.leaving.is_cancelled() && since.is_none() {
                info!(attempts = self.running.len(), "stopping");
                since = Some(self.clock.now());
            }
            // The master may go meanwhile, as where both are told to stop.
            if since.is_some_and(|at| self.agent.is_idle() || self.clock.now() >= at + self.patience(patience)) {
                break;
            }
        }
        if !self.agent.is_idle() {
            warn!(
                attempts = self.agent.held().len(),
                "stopped before everything was acknowledged, the journal keeps it"
            );
        }
        let discarded = async { while self.discards.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_DISCARDS, discarded).await.is_err() {
            warn!("stopped before everything was removed, the next start does it");
        }
        self.agent.is_idle()
    }

    /// Without a master nothing can be acknowledged: then only the containers are waited for, and
    /// the journal keeps what is to be told.
    fn patience(&self, whole: Duration) -> Duration {
        let heard = self.agent.renewed().is_some_and(|at| self.clock.now().since(at) < MASTER_AWAY);
        let graces = self.running.values().map(|running| running.order.spec.limits.kill_after);
        if heard { whole } else { graces.max().unwrap_or_default() + LAST_ENDS }
    }

    /// Waits for something to happen and takes all that has happened.
    async fn next_batch(&mut self, stop: &CancellationToken) -> Vec<AgentEffect> {
        let now = self.clock.now();
        let wait = self.agent.next_deadline(now).map_or(LOOK, |at| at.since(now).min(LOOK));
        let mut effects = Vec::new();
        tokio::select! {
            biased;
            () = stop.cancelled(), if !self.leaving.is_cancelled() => {
                effects.extend(self.agent.apply(self.clock.now(), AgentEvent::Shutdown));
                self.leaving.cancel();
            }
            Some(ended) = self.runs.join_next_with_id() => self.run_ended(ended, &mut effects),
            Some(input) = self.inputs.recv() => self.take(input, &mut effects),
            Some((attempt, progress)) = self.progress.recv() => self.goes_on(attempt, progress, &mut effects),
            Some(_) = self.discards.join_next() => {}
            () = tokio::time::sleep(wait) => {}
        }
        for _ in 0..BATCH {
            if let Some(ended) = self.runs.try_join_next_with_id() {
                self.run_ended(ended, &mut effects);
            } else if let Ok(input) = self.inputs.try_recv() {
                self.take(input, &mut effects);
            } else if let Ok((attempt, progress)) = self.progress.try_recv() {
                self.goes_on(attempt, progress, &mut effects);
            } else {
                break;
            }
        }
        effects.extend(self.agent.apply(self.clock.now(), AgentEvent::Tick));
        effects
    }

    fn take(&mut self, input: Input, effects: &mut Vec<AgentEffect>) {
        match input {
            Input::Agent(event) => {
                if let AgentEvent::Registered { session, .. } = &event {
                    self.session.send_replace(Some(*session));
                }
                effects.extend(self.agent.apply(self.clock.now(), event));
            }
            Input::Beat(reply) => {
                let beat = self.agent.heartbeat();
                let beat = beat.map(|beat| {
                    let (session, seen, draining) = (beat.session, beat.seen, beat.draining);
                    Beat { session, seen, held: self.held(), draining }
                });
                // Whoever asked and went away asks again.
                let _ = reply.send(beat);
            }
            Input::Held(reply) => {
                let _ = reply.send(self.held());
            }
            Input::Holds(reply) => {
                let _ = reply.send(self.agent.attempts().collect());
            }
        }
    }

    fn goes_on(&mut self, attempt: Attempt, progress: Progress, effects: &mut Vec<AgentEffect>) {
        match progress {
            Progress::Step(step) => effects.extend(self.agent.apply(self.clock.now(), AgentEvent::Step(attempt, step))),
            Progress::Detail(detail) => {
                if let Some(running) = self.running.get_mut(&attempt) {
                    running.detail = detail;
                }
            }
        }
    }

    fn held(&self) -> Vec<pb::TaskInfo> {
        let info = |held| {
            let cloudai_core::event::Held { attempt, .. } = held;
            let running = self.running.get(&attempt);
            let allocation: Option<&Allocation> = running.map(|running| &running.order.allocation);
            let detail = running.map(|running| running.detail.clone()).unwrap_or_default();
            convert::task_info(&held, allocation, detail)
        };
        self.agent.held().into_iter().map(info).collect()
    }

    fn run_ended(
        &mut self,
        ended: Result<(Id, (Attempt, Outcome)), tokio::task::JoinError>,
        effects: &mut Vec<AgentEffect>,
    ) {
        let (attempt, outcome) = match ended {
            Ok((id, ended)) => {
                self.attempts_of.remove(&id);
                ended
            }
            Err(broken) => {
                let Some(attempt) = self.attempts_of.remove(&broken.id()) else { return };
                error!(%attempt, %broken, "attempt broke the worker's own code");
                let cause = Cause::EngineError;
                (attempt, Outcome::of(cause, "a fault of the worker's own ended it; see the worker's log"))
            }
        };
        self.running.remove(&attempt);
        let event = AgentEvent::Ended(attempt, Arc::new(outcome));
        effects.extend(self.agent.apply(self.clock.now(), event));
    }

    /// Journals everything of a batch first, then does it in order. While the journal can not be
    /// written nothing is begun and nothing reported; what runs is still stopped when it must be.
    fn carry_out(&mut self, effects: Vec<AgentEffect>) {
        tell_lease_end(&effects);
        let troubled = !self.owed.is_empty();
        self.owed.extend(effects);
        match self.write_down() {
            Ok(()) => {
                if troubled {
                    info!("the journal can be written again");
                }
                for effect in std::mem::take(&mut self.owed) {
                    self.do_one(effect);
                }
            }
            Err(error) => {
                if !troubled {
                    error!(%error, "the journal can not be written: nothing is begun or reported until it can");
                }
                let stops = |effect: &mut AgentEffect| matches!(effect, AgentEffect::Halt { .. });
                let stops: Vec<_> = self.owed.extract_if(.., stops).collect();
                stops.into_iter().for_each(|stop| self.do_one(stop));
            }
        }
    }

    fn write_down(&mut self) -> std::io::Result<()> {
        let entry = |effect: &AgentEffect| match effect {
            AgentEffect::Journal(entry) => Some(entry.clone()),
            _ => None,
        };
        let entries: Vec<_> = self.owed.iter().filter_map(entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        self.journal.append(&entries)
    }

    fn do_one(&mut self, effect: AgentEffect) {
        match effect {
            AgentEffect::Journal(_) => {}
            AgentEffect::Launch { order, incarnation, resume } => {
                let identity = crate::executor::Identity { incarnation, ..self.runner.identity.clone() };
                self.launch(Run { order, identity, resume });
            }
            AgentEffect::Halt { attempt, grace, cause } => {
                if let Some(running) = self.running.get(&attempt) {
                    running.stop.send_replace(Some(Stop { grace, cause }));
                }
            }
            AgentEffect::Tell(held) => self.steps.put(held),
            // A full channel loses it: the agent reports again.
            AgentEffect::Report { attempt, incarnation, outcome } => {
                self.steps.forget(attempt);
                drop(self.reports.try_send(Report { attempt, incarnation, outcome }));
            }
            AgentEffect::Discard { attempt, incarnation } => self.discard(Whose { attempt, incarnation }),
        }
    }

    fn launch(&mut self, run: Run) {
        let attempt = run.order.attempt;
        let span = info_span!("attempt", task = %attempt.task, attempt = attempt.number, worker = %self.runner.identity.worker);
        let (stop, stopped) = watch::channel(None);
        let steps = Teller::new(attempt, self.progress_out.clone());
        self.running.insert(attempt, Running { order: Arc::clone(&run.order), stop, detail: String::new() });
        let runner = self.runner.clone();
        let work = async move {
            let mut outcome = runner.run(run, steps, stopped).await;
            outcome.message = run::without_places(outcome.message, &runner.data_dir);
            info!(cause = ?outcome.cause, exit_code = outcome.exit_code, oom = outcome.oom_killed, "attempt ended");
            (attempt, outcome)
        };
        let task = self.runs.spawn_on(work.instrument(span), &self.elsewhere);
        self.attempts_of.insert(task.id(), attempt);
    }

    /// Removes what is left of an attempt, however long the engine stays away: until then its
    /// container may run on resources that count as free.
    fn discard(&mut self, whose: Whose) {
        let runner = self.runner.clone();
        let discard = async move {
            let mut wait = Backoff::new(DISCARD_AGAIN.0, DISCARD_AGAIN.1);
            while let Err(error) = runner.discard(whose).await {
                warn!(attempt = %whose.attempt, error, "attempt not removed, trying again");
                tokio::time::sleep(wait.wait()).await;
            }
        };
        self.discards.spawn_on(discard, &self.elsewhere);
    }
}

/// Tells what is stopped because the worker has heard no master for a lease.
fn tell_lease_end(effects: &[AgentEffect]) {
    let stopped = |effect: &AgentEffect| match effect {
        AgentEffect::Halt { attempt, cause: Cause::LeaseEnded, .. } => Some(attempt.to_string()),
        _ => None,
    };
    let stopped: Vec<_> = effects.iter().filter_map(stopped).collect();
    if !stopped.is_empty() {
        let attempts = stopped.join(" ");
        warn!(attempts, "lease ended without a word of the master, its attempts were told to stop");
    }
}
