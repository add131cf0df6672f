//! The session with the master: register, hear commands, heartbeat, report; again after a break.

use crate::absence::{Absence, why};
use crate::client::{Backoff, Master};
use crate::clock::Clock;
use crate::convert;
use crate::door::Pushed;
use crate::exec;
use crate::identity::{Identity, NotYet};
use crate::image_watch::Stock;
use crate::membership::Membership;
use crate::messages::{Beat, Input, Report};
use crate::probe::host::Sampler;
use crate::steps::Steps;
use crate::unfit::Unfit;
use crate::upload::Whose;
use crate::whereabouts::Whereabouts;
use cloudai_core::agent::AgentEvent;
use cloudai_core::event::LastSent;
use cloudai_core::ids::{CommandSeq, Session, Term, WorkerId};
use cloudai_core::images::Images;
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use cloudai_proto::{PROTOCOL, PUSH, v1 as pb};
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::{debug, info, warn};

/// Between two tries to reach a master, first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Ends that go in one call at most.
const REPORTS: usize = 256;
/// Bytes of ends after which a call is full: one end may have 10,000 files.
const REPORTED: usize = 1 << 20;
/// How long steps wait to be told together: too short for people to see, long for short attempts.
const STEPS: Duration = Duration::from_millis(20);
/// For the answer to a registration, heartbeat or report; the next one carries the same.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// What such a call failed with.
pub(crate) const UNANSWERED: &str = "a call was not answered in time";

/// What the link needs to know of its worker.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) id: WorkerId,
    pub(crate) master: Master,
    pub(crate) clock: Clock,
    pub(crate) inputs: mpsc::Sender<Input>,
    /// Programs that users want to run.
    pub(crate) execs: mpsc::Sender<exec::Order>,
    pub(crate) info: pb::WorkerInfo,
    pub(crate) data_dir: std::path::PathBuf,
    /// Whether the container engine answers.
    pub(crate) unfit: watch::Receiver<Unfit>,
    /// The images of the engine.
    pub(crate) images: Arc<Stock>,
    /// Who it is to a master that asks.
    pub(crate) identity: Option<Arc<Identity>>,
    /// Where the master is, of a worker that waits to be called.
    pub(crate) whereabouts: Option<Arc<Whereabouts>>,
    /// Which commands are let in that the master brings; none for a worker that subscribes to them.
    pub(crate) pushed: Option<Arc<Pushed>>,
}

/// Why a registration was refused for good.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct Refused {
    what: &'static str,
    why: String,
    /// What for.
    pub because: Because,
}

/// What a worker was refused for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It shows no token that lets it in.
    Token,
    /// Another worker of its name is connected.
    Name,
    /// Something else that trying again does not mend.
    Other,
}

impl From<&tonic::Status> for Refused {
    fn from(status: &tonic::Status) -> Self {
        let because = match status.code() {
            Code::Unauthenticated | Code::PermissionDenied => Because::Token,
            Code::AlreadyExists => Because::Name,
            _ => Because::Other,
        };
        Self { because, ..Self::by_master(status.message().to_owned()) }
    }
}

impl Refused {
    /// For something that the master says, or is.
    fn by_master(why: String) -> Self {
        Self { what: "the master refused this worker", why, because: Because::Other }
    }

    /// For something that this worker knows itself.
    pub(crate) fn here(why: String, because: Because) -> Self {
        Self { what: "this worker can not join", why, because }
    }
}

impl Link {
    /// Registers with what is held now; answers when the master does, or refuses for good.
    pub(crate) async fn register(
        &self,
        held: Vec<pb::TaskInfo>,
        absence: &mut Absence,
    ) -> Result<(convert::Registered, Timestamp), Refused> {
        let mut wait = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        self.called().await;
        loop {
            if let Err(not_yet) = self.be_known().await {
                match not_yet {
                    NotYet::Refused(refused) => return Err(refused),
                    NotYet::Later(why) => absence.missed(self.clock.now(), &why),
                }
                tokio::time::sleep(wait.wait()).await;
                continue;
            }
            let sent_at = self.clock.now();
            let (held, (engine_away, disk_pressure)) = (held.clone(), self.unfit.borrow().told());
            let stock = self.images.all();
            let images = stock.names().to_vec();
            let info = pb::WorkerInfo { held, engine_away, disk_pressure, images, ..self.info.clone() };
            let mut master = self.master.clone();
            match tokio::time::timeout(ANSWER, master.register_worker(info)).await {
                Ok(Ok(ack)) => {
                    check_protocol(ack.get_ref().protocol)?;
                    self.check_delivery(ack.get_ref())?;
                    let registered = convert::registered(ack.get_ref());
                    absence.renewed(self.clock.now(), sent_at, registered.timing);
                    self.images.told(stock);
                    self.identity.iter().for_each(|identity| identity.met());
                    return Ok((registered, sent_at));
                }
                Ok(Err(status)) if is_refusal(status.code()) => return Err(Refused::from(&status)),
                Ok(Err(status)) => absence.missed(self.clock.now(), why(&status)),
                Err(_) => absence.missed(self.clock.now(), UNANSWERED),
            }
            tokio::time::sleep(wait.wait()).await;
        }
    }

    /// Sees to it that it has a certificate, where it needs one.
    async fn be_known(&self) -> Result<(), NotYet> {
        match &self.identity {
            Some(identity) => identity.ensure().await,
            None => Ok(()),
        }
    }

    /// Waits until it is known where the master is.
    async fn called(&self) {
        let Some(whereabouts) = &self.whereabouts else { return };
        if whereabouts.first().is_none() {
            info!("waiting to be called by a master: cloudai worker register ID IP:PORT");
        }
        whereabouts.known().await;
    }

    /// A master that brings no commands would never be heard.
    fn check_delivery(&self, ack: &pb::RegisterAck) -> Result<(), Refused> {
        if self.pushed.is_none() || ack.capabilities.iter().any(|capability| capability == PUSH) {
            return Ok(());
        }
        let why = "its version brings no commands to workers: start this one with --delivery subscribe".to_owned();
        Err(Refused::by_master(why))
    }

    /// Keeps a session alive until told to stop: commands in, heartbeats out, a new registration
    /// whenever the master asks for one. The master hears at once that the worker is leaving.
    pub(crate) async fn keep(
        self,
        mut member: Membership,
        mut first: Option<(convert::Registered, Timestamp)>,
        leaving: CancellationToken,
        stop: CancellationToken,
    ) -> Result<(), Refused> {
        let mut sampler = Sampler::new(&self.data_dir);
        let mut absence = Absence::default();
        loop {
            let registered = match first.take() {
                Some(registered) => registered,
                None => {
                    let held = self.ask_held().await;
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return Ok(()),
                        registered = self.register(held, &mut absence) => registered?,
                    }
                }
            };
            self.belongs(&mut member, &registered.0)?;
            let (session, timing, term) = (registered.0.session, registered.0.timing, registered.0.term);
            absence.renewed(self.clock.now(), registered.1, timing);
            self.registered(registered).await;
            let answered = Notify::new();
            let disowned = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.hear(session, term, &answered) => true,
                () = self.beat(&mut sampler, &mut absence, (session, timing), (&leaving, &answered)) => true,
            };
            if disowned {
                info!(session = session.0, "session ended, registering again");
                self.input(AgentEvent::Disowned).await;
            }
        }
    }

    /// The folder belongs to one cluster: what it holds is another's business nowhere else.
    fn belongs(&self, member: &mut Membership, registered: &convert::Registered) -> Result<(), Refused> {
        let told = Membership::of(registered);
        if told.cluster != member.cluster {
            let why = format!(
                "{} holds the work of cluster {}, this master leads {}: give another --data-dir",
                self.data_dir.display(),
                member.cluster,
                told.cluster
            );
            return Err(Refused::by_master(why));
        }
        if told != *member {
            if let Err(error) = told.save(&self.data_dir) {
                warn!(%error, "the cluster's times are not kept for the next start");
            }
            *member = told;
        }
        Ok(())
    }

    /// Tells the agent of a new session.
    async fn registered(&self, (ack, sent_at): (convert::Registered, Timestamp)) {
        info!(session = ack.session.0, term = ack.term.0, "registered");
        let convert::Registered { incarnation, term, session, timing, .. } = ack;
        self.input(AgentEvent::Registered { session, incarnation, term, timing, sent_at }).await;
    }

    /// Hears commands until the master disowns the session: as it brings them, or on a stream.
    async fn hear(&self, session: Session, term: Term, answered: &Notify) {
        match &self.pushed {
            Some(pushed) => pushed.hear(session, term).await,
            None => self.subscribe(session, answered).await,
        }
    }

    /// A broken stream is opened again, at once when the master has `answered` after an absence: whoever is heard and does
    /// not hear is given no work.
    async fn subscribe(&self, session: Session, answered: &Notify) {
        let mut wait = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let request = pb::SubscribeRequest { worker_id: self.id.to_string(), session: session.0 };
            match self.master.clone().subscribe(request).await {
                Ok(stream) => {
                    wait = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
                    self.take_commands(stream.into_inner()).await;
                }
                Err(status) if status.code() == Code::FailedPrecondition || is_denial(status.code()) => return,
                Err(status) => debug!(why = why(&status), "command stream not opened"),
            }
            tokio::select! {
                () = tokio::time::sleep(wait.wait()) => {}
                () = answered.notified() => wait = Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            }
        }
    }

    async fn take_commands(&self, mut stream: tonic::Streaming<pb::CommandBatch>) {
        let mut specs = convert::Specs::default();
        loop {
            match stream.message().await {
                Ok(Some(batch)) => self.take(batch, &mut specs).await,
                Ok(None) => return,
                Err(status) => return debug!(why = why(&status), "command stream broke"),
            }
        }
    }

    /// Takes in what the master sends, in order, however it came.
    pub(crate) async fn take(&self, batch: pb::CommandBatch, specs: &mut convert::Specs) {
        let (session, term) = (Session(batch.session), Term(batch.term));
        for order in batch.execs.into_iter().filter_map(|order| exec::Order::read(session, order)) {
            if self.execs.try_send(order).is_err() {
                warn!("order of a user's program dropped, too many wait");
            }
        }
        for command in batch.commands {
            match convert::command(command, specs) {
                Ok((seq, command)) => self.input(AgentEvent::Command { session, term, seq, command }).await,
                Err(error) => warn!(%error, "command dropped"),
            }
        }
    }

    /// Heartbeats until the master disowns the session.
    async fn beat(
        &self,
        sampler: &mut Sampler,
        absence: &mut Absence,
        (session, timing): (Session, Timing),
        (leaving, answered): (&CancellationToken, &Notify),
    ) {
        let interval = timing.heartbeat;
        let mut beats = tokio::time::interval(interval);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut first, mut told) = (true, false);
        let mut unfit = self.unfit.clone();
        loop {
            tokio::select! {
                _ = beats.tick() => {
                    if std::mem::take(&mut first) {
                        // Workers that were let in at once do not beat at once for ever.
                        beats.reset_after(interval.mul_f64(rand::random()));
                    }
                }
                Ok(()) = unfit.changed() => {}
                () = leaving.cancelled(), if !told => told = true,
            }
            let sent_at = self.clock.now();
            let Some(beat) = self.ask_beat().await else { continue };
            if beat.session != session {
                continue;
            }
            let draining = beat.draining;
            let news = self.images.news();
            let message = self.heartbeat(sampler, beat, news.as_ref());
            let mut master = self.master.clone();
            match tokio::time::timeout(ANSWER, master.send_heartbeat(message)).await {
                Ok(Ok(ack)) if ack.get_ref().register_again => return,
                // The next registration says what for.
                Ok(Err(status)) if is_denial(status.code()) => return,
                Ok(Ok(_)) => {
                    news.into_iter().for_each(|news| self.images.told(news));
                    if absence.renewed(self.clock.now(), sent_at, timing) {
                        answered.notify_one();
                    }
                    self.input(AgentEvent::Renewed { session, sent_at, draining }).await;
                }
                Ok(Err(status)) => absence.missed(self.clock.now(), why(&status)),
                Err(_) => absence.missed(self.clock.now(), UNANSWERED),
            }
        }
    }

    fn heartbeat(&self, sampler: &mut Sampler, beat: Beat, images: Option<&Images>) -> pb::Heartbeat {
        let usage = sampler.sample();
        let (engine_away, disk_pressure) = self.unfit.borrow().told();
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        pb::Heartbeat {
            worker_id: self.id.to_string(),
            cpu_usage: usage.cpu_percent,
            memory_usage: usage.memory_percent,
            storage_usage: usage.storage_percent,
            gpu_usage: 0.0,
            running_tasks: beat.held,
            timestamp: i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX),
            session: beat.session.0,
            seen_command: beat.seen.0,
            draining: beat.draining,
            engine_away,
            disk_pressure,
            images: images.map(|images| pb::EngineImages { names: images.names().to_vec() }),
        }
    }

    async fn ask_beat(&self) -> Option<Beat> {
        let (reply, answer) = oneshot::channel();
        self.inputs.send(Input::Beat(reply)).await.ok()?;
        answer.await.ok().flatten()
    }

    async fn ask_held(&self) -> Vec<pb::TaskInfo> {
        let (reply, answer) = oneshot::channel();
        if self.inputs.send(Input::Held(reply)).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    async fn input(&self, event: AgentEvent) {
        // The shell is gone only when the worker ends.
        let _ = self.inputs.send(Input::Agent(event)).await;
    }

    /// Reports ends as they come. One that does not get through is reported again by the agent.
    pub(crate) async fn report(self, mut reports: mpsc::Receiver<Report>) {
        let mut waiting = Vec::with_capacity(REPORTS);
        let mut missed = false;
        while reports.recv_many(&mut waiting, REPORTS).await > 0 {
            let mut batch = Vec::new();
            let mut size = 0;
            for report in waiting.drain(..) {
                let result = convert::task_result(&self.id, report.attempt, report.incarnation, &report.outcome);
                size += result.encoded_len();
                batch.push((Whose { attempt: report.attempt, incarnation: report.incarnation }, result));
                if size >= REPORTED {
                    missed = self.send_reports(std::mem::take(&mut batch), missed).await;
                    size = 0;
                }
            }
            missed = self.send_reports(batch, missed).await;
        }
    }

    /// Sends ends; answers whether they did not get through. Of several calls in a row that did not, the log has
    /// the first.
    async fn send_reports(&self, batch: Vec<(Whose, pb::TaskResult)>, missed: bool) -> bool {
        let (attempts, results): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        if attempts.is_empty() {
            return missed;
        }
        let mut master = self.master.clone();
        let call = master.report_task_completions(pb::TaskResults { results });
        let answer = tokio::time::timeout(ANSWER, call).await;
        let failed = match &answer {
            Ok(Ok(_)) => None,
            Ok(Err(status)) => Some(why(status)),
            Err(_) => Some(UNANSWERED),
        };
        match failed {
            Some(why) if missed => debug!(why, reports = attempts.len(), "reports not taken, told again"),
            Some(why) => warn!(why, reports = attempts.len(), "reports not taken, told again"),
            None => {}
        }
        let missed = failed.is_some();
        if let Ok(Ok(acks)) = answer {
            self.acknowledge(&attempts, acks.into_inner().acks).await;
        }
        missed
    }

    async fn acknowledge(&self, attempts: &[Whose], acks: Vec<pb::ResultAck>) {
        for (Whose { attempt, incarnation }, ack) in attempts.iter().copied().zip(acks) {
            if ack.again {
                debug!(%attempt, why = ack.message, "report not taken, told again");
                continue;
            }
            if !ack.success {
                info!(%attempt, why = ack.message, "report was not needed");
            }
            let sent = LastSent { session: Session(ack.session), seq: CommandSeq(ack.sent_command) };
            self.input(AgentEvent::Acknowledged { attempt, incarnation, sent }).await;
        }
    }

    /// Tells steps, [`STEPS`] after they came; what does not get through is in the next heartbeat.
    pub(crate) async fn tell(self, steps: Arc<Steps>) {
        loop {
            steps.arrived().await;
            // What ends meanwhile need not be told.
            tokio::time::sleep(STEPS).await;
            let tasks: Vec<_> = steps.take().iter().map(|held| convert::task_info(held, None, String::new())).collect();
            if tasks.is_empty() {
                continue;
            }
            if let Err(status) = self.master.clone().report_task_progress(pb::TaskProgressList { tasks }).await {
                debug!(why = why(&status), "steps not taken");
            }
        }
    }

    /// Leaves in good order.
    pub(crate) async fn leave(&self, session: Session) {
        let request = pb::LeaveRequest { worker_id: self.id.to_string(), session: session.0 };
        let mut master = self.master.clone();
        match tokio::time::timeout(ANSWER, master.leave_cluster(request)).await {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => debug!(why = why(&status), "leave not taken"),
            Err(_) => debug!(why = UNANSWERED, "leave not taken"),
        }
    }
}

fn check_protocol(told: u32) -> Result<(), Refused> {
    if (1..=PROTOCOL).contains(&told) {
        return Ok(());
    }
    let why = format!("it speaks protocol {told}, this worker 1 to {PROTOCOL}: bring both to one version of cloudai");
    Err(Refused::by_master(why))
}

/// The master does not let this worker in any more.
fn is_denial(code: Code) -> bool {
    matches!(code, Code::Unauthenticated | Code::PermissionDenied)
}

/// What trying again does not mend.
pub(crate) fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::AlreadyExists
    )
}
