//! A gate between workers and their master, where single messages are lost, held back or repeated: the
//! network of the simulation loses bytes, and with them whole connections.

use crate::net;
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::master_service_client::MasterServiceClient;
use cloudai_proto::v1::master_service_server::{MasterService, MasterServiceServer};
use futures::{Stream, StreamExt, future, stream};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

type Master = MasterServiceClient<Channel>;
type Batches = Pin<Box<dyn Stream<Item = Result<pb::CommandBatch, Status>> + Send>>;

/// What goes wrong, and what went through.
#[derive(Debug)]
pub(crate) struct Gate {
    clock: fn() -> Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    /// Command batches that are kept from the worker.
    held: VecDeque<pb::CommandBatch>,
    /// Those that it was handed, oldest first.
    passed: Vec<pb::CommandBatch>,
    /// To the worker's present stream.
    outlet: Option<mpsc::Sender<Result<pb::CommandBatch, Status>>>,
    reports: Vec<pb::TaskResult>,
    logs: usize,
    beats: Vec<Beat>,
    files: usize,
}

/// What is to go wrong from now on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// Every call reaches the master, and no answer and no command the worker.
    pub(crate) deafens: bool,
    /// Every call fails, and reaches nobody.
    pub(crate) down: bool,
    /// Commands stay here.
    pub(crate) hold_commands: bool,
    /// The answers of so many calls that tell ends are lost.
    pub(crate) lose_report_answers: usize,
    /// Of so many calls that bring a log only the first half gets through.
    pub(crate) cut_logs: usize,
    /// The answers of so many calls that bring a log are lost.
    pub(crate) lose_log_answers: usize,
    /// Heartbeats are answered so much later.
    pub(crate) delay_beats: Duration,
    /// The master is one that does not know the call for several small files.
    pub(crate) lacks_small_files: bool,
}

impl Faults {
    /// Lets an answer through, unless answers are lost.
    fn passes<T>(&self, answer: T) -> Result<T, Status> {
        if self.deafens { Err(lost()) } else { Ok(answer) }
    }
}

/// A heartbeat that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    /// When it came.
    pub(crate) came: Duration,
    /// When its answer went.
    pub(crate) answered: Duration,
}

impl Gate {
    pub(crate) fn new(clock: fn() -> Duration) -> Self {
        Self { clock, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Whether the worker has a stream of commands.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.lock().outlet.as_ref().is_some_and(|outlet| !outlet.is_closed())
    }

    /// Ends the worker's stream of commands; it opens another.
    pub(crate) fn break_stream(&self) {
        self.lock().outlet = None;
    }

    /// The batches that the worker was handed, oldest first.
    pub(crate) fn passed(&self) -> Vec<pb::CommandBatch> {
        self.lock().passed.clone()
    }

    /// How many batches wait here.
    pub(crate) fn held(&self) -> usize {
        self.lock().held.len()
    }

    /// Loses what waits here.
    pub(crate) fn drop_held(&self) {
        self.lock().held.clear();
    }

    /// Hands the worker the oldest batch that waits here.
    pub(crate) fn release_one(&self) {
        let batch = self.lock().held.pop_front().unwrap();
        self.say(batch);
    }

    /// Hands the worker a batch, as if it came from its master.
    pub(crate) fn say(&self, batch: pb::CommandBatch) {
        let mut state = self.lock();
        state.passed.push(batch.clone());
        // A stream that has ended loses it.
        let _ = state.outlet.as_ref().unwrap().try_send(Ok(batch));
    }

    /// The ends that were told, as often as they were.
    pub(crate) fn reports(&self) -> Vec<pb::TaskResult> {
        self.lock().reports.clone()
    }

    /// How many calls brought log records.
    pub(crate) fn logs(&self) -> usize {
        self.lock().logs
    }

    /// The heartbeats that were answered, oldest first.
    pub(crate) fn beats(&self) -> Vec<Beat> {
        self.lock().beats.clone()
    }

    /// How many pieces of single files came.
    pub(crate) fn files(&self) -> usize {
        self.lock().files
    }

    /// Serves on the present host, for a master behind it.
    pub(crate) async fn serve(self: Arc<Self>, master: Channel) -> turmoil::Result {
        let gatekeeper = Gatekeeper { gate: self, master: MasterServiceClient::new(master) };
        let service = MasterServiceServer::new(gatekeeper);
        Server::builder().add_service(service).serve_with_incoming(net::incoming().await?).await?;
        Ok(())
    }

    fn open(&self) -> Result<Faults, Status> {
        let faults = self.lock().faults.clone();
        if faults.down { Err(lost()) } else { Ok(faults) }
    }

    /// Counts one of so many faults off; whether it is to happen.
    fn takes(&self, count: impl Fn(&mut Faults) -> &mut usize) -> bool {
        let mut state = self.lock();
        let left = count(&mut state.faults);
        let takes = *left > 0;
        *left = left.saturating_sub(1);
        takes
    }
}

fn lost() -> Status {
    Status::unavailable("lost on the way")
}

/// The service that workers see.
struct Gatekeeper {
    gate: Arc<Gate>,
    master: Master,
}

/// Hands the caller's token on.
fn forward<T, M>(request: &Request<T>, message: M) -> Request<M> {
    let mut forwarded = Request::new(message);
    if let Some(token) = request.metadata().get("authorization") {
        forwarded.metadata_mut().insert("authorization", token.clone());
    }
    forwarded
}

impl Gatekeeper {
    fn master(&self) -> Master {
        self.master.clone()
    }
}

#[tonic::async_trait]
impl MasterService for Gatekeeper {
    async fn enroll_worker(&self, request: Request<pb::EnrollRequest>) -> Result<Response<pb::EnrollAck>, Status> {
        self.gate.open()?;
        self.master().enroll_worker(forward(&request, request.get_ref().clone())).await
    }

    async fn register_worker(&self, request: Request<pb::WorkerInfo>) -> Result<Response<pb::RegisterAck>, Status> {
        let faults = self.gate.open()?;
        faults.passes(self.master().register_worker(forward(&request, request.get_ref().clone())).await?)
    }

    async fn send_heartbeat(&self, request: Request<pb::Heartbeat>) -> Result<Response<pb::HeartbeatAck>, Status> {
        let faults = self.gate.open()?;
        let came = (self.gate.clock)();
        let answer = self.master().send_heartbeat(forward(&request, request.get_ref().clone())).await?;
        tokio::time::sleep(faults.delay_beats).await;
        let answer = faults.passes(answer)?;
        let answered = (self.gate.clock)();
        self.gate.lock().beats.push(Beat { came, answered });
        Ok(answer)
    }

    async fn report_task_completion(
        &self,
        request: Request<pb::TaskResult>,
    ) -> Result<Response<pb::ResultAck>, Status> {
        self.gate.open()?;
        self.master().report_task_completion(forward(&request, request.get_ref().clone())).await
    }

    async fn report_task_completions(
        &self,
        request: Request<pb::TaskResults>,
    ) -> Result<Response<pb::ResultAcks>, Status> {
        let faults = self.gate.open()?;
        let results = request.get_ref().clone();
        self.gate.lock().reports.extend(results.results.iter().cloned());
        let answer = faults.passes(self.master().report_task_completions(forward(&request, results)).await?)?;
        if self.gate.takes(|faults| &mut faults.lose_report_answers) { Err(lost()) } else { Ok(answer) }
    }

    async fn report_task_progress(
        &self,
        request: Request<pb::TaskProgressList>,
    ) -> Result<Response<pb::ProgressAck>, Status> {
        self.gate.open()?;
        self.master().report_task_progress(forward(&request, request.get_ref().clone())).await
    }

    async fn stream_task_logs(
        &self,
        request: Request<Streaming<pb::LogChunk>>,
    ) -> Result<Response<pb::LogAck>, Status> {
        self.gate.open()?;
        let empty = forward(&request, ());
        let mut chunks: Vec<_> =
            request.into_inner().collect::<Vec<_>>().await.into_iter().collect::<Result<_, _>>()?;
        self.gate.lock().logs += usize::from(chunks.len() > 1);
        let cut = self.gate.takes(|faults| &mut faults.cut_logs);
        if cut {
            chunks.iter_mut().for_each(halve);
        }
        let answer = self.master().stream_task_logs(forward(&empty, stream::iter(chunks))).await?;
        let lose = self.gate.takes(|faults| &mut faults.lose_log_answers);
        if cut || lose { Err(lost()) } else { Ok(answer) }
    }

    async fn upload_task_files(
        &self,
        request: Request<Streaming<pb::FileChunk>>,
    ) -> Result<Response<pb::FileAck>, Status> {
        self.gate.open()?;
        let empty = forward(&request, ());
        let gate = Arc::clone(&self.gate);
        let chunks = request.into_inner().filter_map(move |chunk| {
            let chunk = chunk.ok();
            let data = matches!(chunk, Some(pb::FileChunk { what: Some(pb::file_chunk::What::Data(_)) }));
            gate.lock().files += usize::from(data);
            future::ready(chunk)
        });
        self.master().upload_task_files(forward(&empty, chunks)).await
    }

    async fn upload_small_files(
        &self,
        request: Request<pb::SmallFiles>,
    ) -> Result<Response<pb::SmallFilesAck>, Status> {
        if self.gate.open()?.lacks_small_files {
            return Err(Status::unimplemented("this master does not know it"));
        }
        self.master().upload_small_files(forward(&request, request.get_ref().clone())).await
    }

    async fn resolve_secrets(&self, request: Request<pb::AttemptRef>) -> Result<Response<pb::ResolvedSecrets>, Status> {
        self.master().resolve_secrets(forward(&request, request.get_ref().clone())).await
    }

    async fn resolve_registry(
        &self,
        request: Request<pb::AttemptRef>,
    ) -> Result<Response<pb::ResolvedRegistry>, Status> {
        self.master().resolve_registry(forward(&request, request.get_ref().clone())).await
    }

    async fn resolve_inputs(&self, request: Request<pb::AttemptRef>) -> Result<Response<pb::ResolvedInputs>, Status> {
        self.gate.open()?;
        self.master().resolve_inputs(forward(&request, request.get_ref().clone())).await
    }

    type FetchContentsStream = Streaming<pb::ContentChunk>;

    async fn fetch_contents(
        &self,
        request: Request<pb::FetchRequest>,
    ) -> Result<Response<Self::FetchContentsStream>, Status> {
        self.gate.open()?;
        self.master().fetch_contents(forward(&request, request.get_ref().clone())).await
    }

    type SubscribeStream = Batches;

    async fn subscribe(&self, request: Request<pb::SubscribeRequest>) -> Result<Response<Batches>, Status> {
        let faults = self.gate.open()?;
        let commands = self.master().subscribe(forward(&request, request.get_ref().clone())).await?.into_inner();
        faults.passes(())?;
        let (outlet, stream) = mpsc::channel(1024);
        self.gate.lock().outlet = Some(outlet.clone());
        tokio::spawn(pass(Arc::clone(&self.gate), commands, outlet.downgrade()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    type ExecStream = Streaming<pb::ExecToWorker>;

    async fn exec(
        &self,
        request: Request<Streaming<pb::ExecFromWorker>>,
    ) -> Result<Response<Self::ExecStream>, Status> {
        self.gate.open()?;
        let empty = forward(&request, ());
        let messages = request.into_inner().filter_map(|message| future::ready(message.ok()));
        self.master().exec(forward(&empty, messages)).await
    }

    async fn leave_cluster(&self, request: Request<pb::LeaveRequest>) -> Result<Response<pb::LeaveAck>, Status> {
        self.gate.open()?;
        self.master().leave_cluster(forward(&request, request.get_ref().clone())).await
    }
}

/// Takes the second half of the records away.
fn halve(chunk: &mut pb::LogChunk) {
    if let Some(pb::log_chunk::What::Records(records)) = &mut chunk.what {
        records.records.truncate(records.records.len() / 2);
    }
}

/// Hands commands on until the stream ends on one side; then the other side ends, too.
async fn pass(
    gate: Arc<Gate>,
    mut commands: Streaming<pb::CommandBatch>,
    outlet: mpsc::WeakSender<Result<pb::CommandBatch, Status>>,
) {
    while let Ok(Some(batch)) = commands.message().await {
        let mut state = gate.lock();
        if state.faults.deafens {
            continue;
        }
        if state.faults.hold_commands {
            state.held.push_back(batch);
            continue;
        }
        let Some(outlet) = outlet.upgrade() else { return };
        state.passed.push(batch.clone());
        if outlet.try_send(Ok(batch)).is_err() {
            return;
        }
    }
    let mut state = gate.lock();
    let present = state.outlet.as_ref().zip(outlet.upgrade()).is_some_and(|(one, other)| one.same_channel(&other));
    if present {
        state.outlet = None;
    }
}

/// A client of the master as a worker has one, for a test that speaks for itself.
pub(crate) type Client = MasterServiceClient<InterceptedService<Channel, Token>>;

/// Shows a join token.
#[derive(Clone, Debug)]
pub(crate) struct Token(pub(crate) String);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.0).parse().unwrap());
        Ok(request)
    }
}
