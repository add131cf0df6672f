//! What workers call.

use super::{convert, end, enrol, exec, guard, inputs, logs, secrets, worker_line};
use crate::delivery::{COMMANDS, Deliveries};
use crate::exec::Order;
use crate::handle::Handle;
use crate::mailbox::AskError;
use crate::pki::Refusal;
use crate::principal::Principal;
use cloudai_core::effect::Dispatch;
use cloudai_core::event::{Answer, EndReport, Event, Rejected};
use cloudai_core::ids::{Attempt, Incarnation, Session, Term, WorkerId};
use cloudai_core::task::{Cause, Outcome};
use cloudai_core::time::millis;
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::master_service_server::MasterService;
use cloudai_proto::{CAPABILITIES, PROTOCOL};
use cloudai_store::bulk::LogPosition;
use futures::stream::{BoxStream, StreamExt};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info, warn};

/// Events that are put to the engine together at most.
const TOGETHER: usize = 1024;

/// No session, and a number that no command of any exceeds.
const ANY_COMMAND: (u64, u64) = (0, u64::MAX);

/// The service, one for all workers.
#[derive(Debug)]
pub(crate) struct WorkerApi {
    handle: Handle,
    deliveries: Deliveries,
}

impl WorkerApi {
    pub(super) fn new(handle: Handle, deliveries: Deliveries) -> Self {
        Self { handle, deliveries }
    }

    async fn tell(&self, who: &Principal, event: Event) -> Result<Answer, AskError> {
        self.handle.report(who, event).await
    }

    fn ack(&self, register_again: bool) -> pb::HeartbeatAck {
        pb::HeartbeatAck { success: !register_again, register_again, term: self.handle.facts().term.0 }
    }

    /// The life of the data that this master leads.
    fn incarnation(&self) -> Incarnation {
        self.handle.facts().incarnation
    }

    /// Whether a live attempt runs on the caller; of others nothing is known here, and news of them are none.
    fn is_its_own(&self, who: &Principal, attempt: Attempt) -> bool {
        let task = self.handle.shared.model.task(attempt.task);
        task.is_none_or(|task| logs::its_own(who, &task, attempt).is_ok())
    }

    /// Takes ends in, all in one commit. One that can not be taken in now holds no other back.
    async fn ends(&self, who: &Principal, results: Vec<pb::TaskResult>) -> Vec<Result<pb::ResultAck, Status>> {
        let mut acks: Vec<_> = results.iter().map(|_| Err(Status::unavailable("not asked"))).collect();
        let (mut places, mut told, mut events) = (Vec::new(), Vec::new(), Vec::new());
        let read = results.into_iter().map(|result| self.end(who, result));
        for (place, read) in futures::future::join_all(read).await.into_iter().enumerate() {
            match read {
                Ok((worker, report)) => {
                    places.push(place);
                    told.push((worker, report.attempt, Arc::clone(&report.outcome)));
                    events.push(Event::Ended(report));
                }
                Err(status) => acks[place] = Err(status),
            }
        }
        let answers = self.tell_all(who, events).await;
        // At once: a worker that has waited too long drops the call, and these are stored.
        for ((_, attempt, outcome), answer) in told.iter().zip(&answers) {
            if answer.is_ok() {
                self.handle.logs(who).ended(*attempt, outcome.log);
                self.files_ended(who, *attempt, outcome);
            }
        }
        for ((place, (worker, ..)), answer) in places.into_iter().zip(told).zip(answers) {
            acks[place] = self.end_ack(who, worker.as_ref(), answer).await;
        }
        acks
    }

    /// The end of an attempt is stored. Of what it sent nothing is kept where its end tells of no file, for then not all of it came
    /// in, and where its task is tried again.
    fn files_ended(&self, who: &Principal, attempt: Attempt, outcome: &Outcome) {
        let sent = self.handle.shared.quota.ended(attempt);
        let told = !outcome.outputs.is_empty();
        // What an attempt had sent to an earlier life of this master nobody counted: it may have been refused.
        let may_lie_there = sent || told || outcome.cause == Cause::OutputError;
        if !may_lie_there || (told && !self.is_tried_again(attempt)) {
            return;
        }
        let bulk = Arc::clone(self.handle.logs(who).bulk());
        tokio::spawn(async move {
            if let Err(error) = bulk.remove_files(attempt).await {
                debug!(%attempt, %error, "files that are not kept stay until their task goes");
            }
        });
    }

    /// Whether the task of an attempt goes on without what that left.
    fn is_tried_again(&self, attempt: Attempt) -> bool {
        self.handle.shared.model.task(attempt.task).is_some_and(|task| {
            let told = task.attempts.iter().find(|one| one.number == attempt.number);
            told.is_some_and(|one| one.end.as_ref().is_some_and(|end| !end.accepted))
        })
    }

    /// What an end says, once its log is on disk: the worker forgets its copy when it is acknowledged.
    async fn end(&self, who: &Principal, result: pb::TaskResult) -> Result<(Option<WorkerId>, EndReport), Status> {
        let worker = convert::worker_id(&result.worker_id).ok();
        let mut report = end::report(result)?;
        self.may_end(who, worker.as_ref(), &report).await?;
        let told = report.outcome.log;
        let kept = if told.records > 0 {
            self.handle.logs(who).bulk().sync_log(report.attempt).await.map_err(logs::bulk_status)?
        } else {
            LogPosition::default()
        };
        Arc::make_mut(&mut report.outcome).log = end::kept_log(told, kept);
        Ok((worker, report))
    }

    /// Whether the caller is the worker that an end is of. Of another life of the data nobody here can say it: what is
    /// told of that is not heard.
    async fn may_end(&self, who: &Principal, told: Option<&WorkerId>, report: &EndReport) -> Result<(), Status> {
        if who.worker_name().is_none() {
            return Ok(());
        }
        if let Some(told) = told {
            itself(who, told)?;
        }
        if report.incarnation != self.incarnation() {
            return Ok(());
        }
        let task = self.handle.record(report.attempt.task).await;
        let task = task.map_err(|error| Status::unavailable(error.to_string()))?;
        task.map_or(Ok(()), |task| logs::its_own(who, &task, report.attempt))
    }

    async fn end_ack(
        &self,
        who: &Principal,
        worker: Option<&WorkerId>,
        answer: Result<Answer, AskError>,
    ) -> Result<pb::ResultAck, Status> {
        match answer {
            Ok(Answer::Ended { sent }) => Ok(pb::ResultAck {
                success: true,
                sent_command: sent.seq.0,
                session: sent.session.0,
                ..Default::default()
            }),
            Ok(other) => Err(Status::internal(format!("unexpected answer {other:?}"))),
            // The master knows better; the worker may forget the attempt.
            Err(AskError::Rejected(rejected)) => {
                let (session, sent_command) = match worker {
                    Some(worker) => self.sent_to(who, worker).await,
                    None => ANY_COMMAND,
                };
                Ok(pb::ResultAck { message: rejected.to_string(), sent_command, session, ..Default::default() })
            }
            Err(error) => Err(status(error)),
        }
    }

    /// Puts events to the engine, a batch's worth at a time; answers each, in order.
    async fn tell_all(&self, who: &Principal, mut events: Vec<Event>) -> Vec<Result<Answer, AskError>> {
        let mut answers = Vec::with_capacity(events.len());
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(TOGETHER));
            let asked = events.len();
            let told = self.handle.report_all(who, events).await;
            answers.extend(told.unwrap_or_else(|error| vec![Err(error); asked]));
            events = rest;
        }
        answers
    }

    /// A number that no command sent so far to the worker exceeds. What the worker must not forget
    /// before it has seen it needs no exact number: a later one only keeps a tombstone longer.
    async fn sent_to(&self, who: &Principal, worker: &WorkerId) -> (u64, u64) {
        match self.tell(who, Event::Sent(worker.clone())).await {
            Ok(Answer::Sent(sent)) => (sent.session.0, sent.seq.0),
            Ok(_) | Err(_) => ANY_COMMAND,
        }
    }
}

#[tonic::async_trait]
impl MasterService for WorkerApi {
    async fn enroll_worker(&self, request: Request<pb::EnrollRequest>) -> Result<Response<pb::EnrollAck>, Status> {
        match self.handle.pki() {
            Some(pki) => enrol::enrol(&self.handle, pki, request).await.map(Response::new),
            None => caller(&request).and_then(|_| Err(enrol::none_given())),
        }
    }

    async fn register_worker(&self, request: Request<pb::WorkerInfo>) -> Result<Response<pb::RegisterAck>, Status> {
        let who = &caller(&request)?;
        let info = request.into_inner();
        if info.protocol == 0 {
            return Err(Status::failed_precondition("protocol: must be given; this master speaks 1"));
        }
        let protocol = info.protocol.min(PROTOCOL);
        let called = worker_line::asked(&self.handle, &info)?;
        let registration = convert::registration(info, self.incarnation())?;
        itself(who, &registration.worker)?;
        let worker = registration.worker.clone();
        let epoch = self.handle.shared.heartbeats.epoch();
        match self.tell(who, Event::Register(Box::new(registration))).await.map_err(status)? {
            Answer::Registered(session) => {
                self.handle.shared.heartbeats.begin(worker.clone(), session, epoch);
                if let Some(line) = called {
                    let home = Arc::new(self.handle.clone());
                    self.deliveries.pushes.begin(worker.clone(), session, home, Arc::new(line));
                }
                info!(%worker, session = session.0, "worker registered");
                Ok(Response::new(self.register_ack(protocol, session)))
            }
            other => Err(Status::internal(format!("unexpected answer {other:?}"))),
        }
    }

    async fn send_heartbeat(&self, request: Request<pb::Heartbeat>) -> Result<Response<pb::HeartbeatAck>, Status> {
        let who = &caller(&request)?;
        let now = self.handle.now();
        let (heartbeat, heard) = convert::heartbeat(request.get_ref(), self.incarnation(), now)?;
        itself(who, &heartbeat.worker)?;
        let current = self.handle.has_session(&heartbeat.worker, heartbeat.session);
        if current {
            self.handle.shared.heartbeats.put(heartbeat, heard);
        }
        Ok(Response::new(self.ack(!current)))
    }

    async fn report_task_completion(
        &self,
        request: Request<pb::TaskResult>,
    ) -> Result<Response<pb::ResultAck>, Status> {
        let who = &caller(&request)?;
        let mut acks = self.ends(who, vec![request.into_inner()]).await;
        acks.pop().unwrap_or_else(|| Err(Status::internal("no answer"))).map(Response::new)
    }

    async fn report_task_completions(
        &self,
        request: Request<pb::TaskResults>,
    ) -> Result<Response<pb::ResultAcks>, Status> {
        let who = &caller(&request)?;
        let ack = |status: Status| {
            let ack = end::not_taken(&status);
            if !ack.again {
                warn!(why = ack.message, "end of an attempt refused for good");
            }
            ack
        };
        let acks = self.ends(who, request.into_inner().results).await;
        let acks = acks.into_iter().map(|told| told.unwrap_or_else(ack)).collect();
        Ok(Response::new(pb::ResultAcks { acks }))
    }

    async fn report_task_progress(
        &self,
        request: Request<pb::TaskProgressList>,
    ) -> Result<Response<pb::ProgressAck>, Status> {
        let who = &caller(&request)?;
        let held = convert::all_held(&request.get_ref().tasks, self.incarnation())?;
        let held: Vec<_> = held.into_iter().filter(|held| self.is_its_own(who, held.attempt)).collect();
        for told in self.tell_all(who, held.into_iter().map(Event::Progress).collect()).await {
            match told {
                // Old news is no failure.
                Ok(_) | Err(AskError::Rejected(_)) => {}
                Err(error) => return Err(status(error)),
            }
        }
        Ok(Response::new(pb::ProgressAck {}))
    }

    async fn stream_task_logs(
        &self,
        request: Request<Streaming<pb::LogChunk>>,
    ) -> Result<Response<pb::LogAck>, Status> {
        let who = &caller(&request)?;
        logs::stream_logs(who, &self.handle, request.into_inner()).await.map(Response::new)
    }

    async fn upload_task_files(
        &self,
        request: Request<Streaming<pb::FileChunk>>,
    ) -> Result<Response<pb::FileAck>, Status> {
        let who = &caller(&request)?;
        logs::upload_files(who, &self.handle, request.into_inner()).await.map(Response::new)
    }

    async fn upload_small_files(
        &self,
        request: Request<pb::SmallFiles>,
    ) -> Result<Response<pb::SmallFilesAck>, Status> {
        let who = &caller(&request)?;
        logs::upload_small(who, &self.handle, request.into_inner()).await.map(Response::new)
    }

    async fn resolve_inputs(&self, request: Request<pb::AttemptRef>) -> Result<Response<pb::ResolvedInputs>, Status> {
        let who = &caller(&request)?;
        inputs::resolve(who, &self.handle, request.get_ref()).await.map(Response::new)
    }

    type FetchContentsStream = BoxStream<'static, Result<pb::ContentChunk, Status>>;

    async fn fetch_contents(
        &self,
        request: Request<pb::FetchRequest>,
    ) -> Result<Response<Self::FetchContentsStream>, Status> {
        let who = &caller(&request)?;
        inputs::fetch(who, &self.handle, request.into_inner()).await.map(Response::new)
    }

    async fn resolve_secrets(&self, request: Request<pb::AttemptRef>) -> Result<Response<pb::ResolvedSecrets>, Status> {
        let who = &caller(&request)?;
        secrets::resolve(who, &self.handle, request.get_ref()).await.map(Response::new)
    }

    async fn resolve_registry(
        &self,
        request: Request<pb::AttemptRef>,
    ) -> Result<Response<pb::ResolvedRegistry>, Status> {
        let who = &caller(&request)?;
        secrets::resolve_registry(who, &self.handle, request.get_ref()).await.map(Response::new)
    }

    type SubscribeStream = BoxStream<'static, Result<pb::CommandBatch, Status>>;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let who = &caller(&request)?;
        let worker = convert::worker_id(&request.get_ref().worker_id)?;
        itself(who, &worker)?;
        let session = Session(request.get_ref().session);
        if !self.handle.has_session(&worker, session) {
            return Err(status(AskError::Rejected(Rejected::StaleSession)));
        }
        let stream = self.deliveries.subscriptions.open(worker.clone(), session);
        let execs = self.handle.shared.execs.listen(worker.clone(), session);
        self.tell(who, Event::Subscribed(worker, session)).await.map_err(status)?;
        let term = self.handle.facts().term;
        Ok(Response::new(batches(stream, execs, session, term)))
    }

    type ExecStream = exec::ToWorkers;

    async fn exec(
        &self,
        request: Request<Streaming<pb::ExecFromWorker>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        caller(&request)?;
        exec::open(&self.handle.shared.execs, request.into_inner()).await.map(Response::new)
    }

    async fn leave_cluster(&self, request: Request<pb::LeaveRequest>) -> Result<Response<pb::LeaveAck>, Status> {
        let who = &caller(&request)?;
        let worker = convert::worker_id(&request.get_ref().worker_id)?;
        itself(who, &worker)?;
        let session = Session(request.get_ref().session);
        match self.tell(who, Event::Leave(worker.clone(), session)).await {
            Ok(_) => info!(%worker, "worker left"),
            Err(AskError::Rejected(_)) => {}
            Err(error) => return Err(status(error)),
        }
        Ok(Response::new(pb::LeaveAck {}))
    }
}

impl WorkerApi {
    fn register_ack(&self, protocol: u32, session: Session) -> pb::RegisterAck {
        let facts = self.handle.facts();
        pb::RegisterAck {
            success: true,
            message: String::new(),
            protocol,
            cluster: facts.cluster.clone(),
            incarnation: facts.incarnation.0,
            term: facts.term.0,
            session: session.0,
            heartbeat_ms: millis(facts.timing.heartbeat),
            inactive_ms: millis(facts.timing.inactive),
            lease_ms: millis(facts.timing.lease),
            margin_ms: millis(facts.timing.margin),
            capabilities: CAPABILITIES.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Who calls: the interceptor has let nobody else in.
fn caller<T>(request: &Request<T>) -> Result<Principal, Status> {
    let who = request.extensions().get::<Principal>().cloned();
    who.filter(Principal::may_report).ok_or_else(|| Status::unauthenticated("the call does not say who asks"))
}

/// Whether the caller is the worker that its call is about.
fn itself(who: &Principal, worker: &WorkerId) -> Result<(), Status> {
    match who.worker_name() {
        Some(is) if is != worker => {
            Err(guard::refused(&Refusal::AnotherName { is: is.clone(), asked: worker.clone() }))
        }
        Some(_) | None => Ok(()),
    }
}

/// What waits on the stream is sent together.
fn batches(
    mut stream: mpsc::Receiver<Dispatch>,
    mut execs: mpsc::Receiver<Order>,
    session: Session,
    term: Term,
) -> BoxStream<'static, Result<pb::CommandBatch, Status>> {
    async_stream::stream! {
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                biased;
                taken = stream.recv_many(&mut waiting, COMMANDS) => {
                    if taken == 0 {
                        break;
                    }
                    yield convert::commands(session, term, std::mem::take(&mut waiting));
                }
                Some(order) = execs.recv() => {
                    yield Ok(convert::order(session, term, order));
                }
            }
        }
    }
    .boxed()
}

pub(super) fn status(error: AskError) -> Status {
    match error {
        AskError::Rejected(live @ Rejected::WorkerLive(_)) => {
            Status::already_exists(format!("{live}: give this one another --id, or stop that one first"))
        }
        AskError::Rejected(rejected) => Status::failed_precondition(rejected.to_string()),
        AskError::Unavailable(not_now) => Status::unavailable(not_now.to_string()),
        AskError::Store(source) => Status::unavailable(source.to_string()),
        AskError::Stopped => Status::unavailable("the master is stopping"),
        AskError::Bulk(source) => Status::unavailable(source.to_string()),
        AskError::Keys(source) => Status::unavailable(source.to_string()),
        AskError::Specs(_) => Status::invalid_argument(error.to_string()),
        AskError::Forbidden(why) => Status::permission_denied(why.to_string()),
        AskError::Denied(_) => Status::permission_denied(error.to_string()),
        AskError::Internal(why) => Status::internal(why),
    }
}
