//! What the master calls at workers: those that asked for push delivery, and those that wait to be called.

use super::convert;
use crate::cut::Cut;
use crate::delivery::check_address;
use crate::delivery::push::{Line, NotTaken};
use crate::exec::Order;
use crate::handle::Handle;
use crate::pki::{About, Pki};
use crate::principal::Principal;
use async_trait::async_trait;
use cloudai_core::effect::Dispatch;
use cloudai_core::ids::{Session, Term, WorkerId};
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::command::What;
use cloudai_proto::v1::worker_service_client::WorkerServiceClient;
use hyper_util::rt::TokioIo;
use prost::Message;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};
use tower::service_fn;

/// For a connection to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// For the answer to an announcement.
const ANNOUNCED: Duration = Duration::from_secs(10);
/// Bytes of commands after which a message is full: a spec may have 256 KiB, and a worker takes 4 MiB at least.
const FULL: usize = 2 << 20;

/// A worker as its master calls it.
type Client = WorkerServiceClient<InterceptedService<Channel, ShowToken>>;

/// Adds the join token to every call, where there are no certificates: a worker takes commands of nobody else.
#[derive(Clone)]
struct ShowToken {
    header: Option<MetadataValue<Ascii>>,
}

impl std::fmt::Debug for ShowToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShowToken")
    }
}

impl Interceptor for ShowToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.header {
            request.metadata_mut().insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// What all connections have.
fn endpoint(address: &str) -> Result<Endpoint, Status> {
    let wrong = |why: String| Status::invalid_argument(format!("worker_ip: {address:?} {why}"));
    check_address(address).map_err(wrong)?;
    // Also under TLS, which tonic does not know of: it is ours.
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|why| wrong(why.to_string()))?;
    Ok(endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true))
}

/// A client for a worker's address, which connects when it is first used, and again after a break. The one place where
/// connections to workers are made: where machines have certificates, to that worker alone.
fn client(handle: &Handle, worker: &WorkerId, address: &str, about: About) -> Result<Client, Status> {
    let endpoint = endpoint(address)?;
    let Some(pki) = handle.pki() else {
        let token = handle.join_token(&Principal::local());
        let header = format!("Bearer {token}").parse().map_err(|_| Status::internal("the join token is no header"))?;
        let shows = ShowToken { header: Some(header) };
        return Ok(WorkerServiceClient::with_interceptor(endpoint.connect_lazy(), shows));
    };
    let (pki, worker, address) = (Arc::clone(pki), worker.clone(), address.to_owned());
    let connect = move |_: Uri| {
        let (pki, worker, address) = (Arc::clone(&pki), worker.clone(), address.clone());
        async move { safe(&pki, &worker, &address, about).await.map(TokioIo::new) }
    };
    let channel = endpoint.connect_with_connector_lazy(service_fn(connect));
    Ok(WorkerServiceClient::with_interceptor(channel, ShowToken { header: None }))
}

/// A connection to the worker that is meant.
async fn safe(pki: &Pki, worker: &WorkerId, address: &str, about: About) -> io::Result<Cut<TlsStream<TcpStream>>> {
    let connect = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        pki.call(stream, worker, about).await
    };
    tokio::time::timeout(CONNECT, connect).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

/// The way to a worker that registers, if it asks to be called: where it says, else where an operator or an earlier
/// registration said. Where machines have certificates any address will do, for nobody but that worker is told anything there.
/// # Errors
/// No address, or one that is none.
pub(super) fn asked(handle: &Handle, info: &pb::WorkerInfo) -> Result<Option<WorkerLine>, Status> {
    match info.delivery() {
        pb::Delivery::Unspecified | pb::Delivery::Subscribe => return Ok(None),
        pb::Delivery::Push => {}
    }
    let worker = convert::worker_id(&info.worker_id)?;
    let recorded = handle.shared.model.worker_record(&worker).and_then(|record| record.address.clone());
    let mut addresses = vec![info.worker_ip.clone()];
    // What a worker said of itself before it asked to be called nobody looked at.
    addresses.extend(recorded.filter(|address| *address != info.worker_ip && check_address(address).is_ok()));
    addresses.retain(|address| !address.is_empty());
    if addresses.is_empty() {
        return Err(Status::invalid_argument(
            "worker_ip: it is empty, and push delivery needs to know where the worker is called: give it as ip:port \
             (WORKER_IP of cloudai worker start), or name it on the master: cloudai worker register ID IP:PORT",
        ));
    }
    let doors =
        addresses.iter().map(|address| client(handle, &worker, address, About::Commands)).collect::<Result<_, _>>()?;
    Ok(Some(WorkerLine { worker, term: handle.facts().term, doors, at: AtomicUsize::new(0) }))
}

/// The way to one worker in one session.
#[derive(Debug)]
pub(super) struct WorkerLine {
    worker: WorkerId,
    term: Term,
    /// At least one. After a failure it is tried at the next.
    doors: Vec<Client>,
    at: AtomicUsize,
}

impl WorkerLine {
    async fn call(&self, batch: pb::CommandBatch) -> Result<(), NotTaken> {
        let at = self.at.load(Ordering::Relaxed);
        let Some(door) = self.doors.get(at) else { return Err(NotTaken("it has no address".into())) };
        let told = deliver(door.clone(), pb::CommandBatch { worker_id: self.worker.to_string(), ..batch }).await;
        if told.is_err() {
            self.at.store((at + 1) % self.doors.len(), Ordering::Relaxed);
        }
        told
    }
}

#[async_trait]
impl Line for WorkerLine {
    async fn bring(&self, session: Session, commands: Vec<Dispatch>) -> Result<(), NotTaken> {
        let batch = convert::commands(session, self.term, commands);
        for part in parts(batch.map_err(|status| NotTaken(convert::words(&status)))?) {
            self.call(part).await?;
        }
        Ok(())
    }

    async fn order(&self, session: Session, order: Order) -> Result<(), NotTaken> {
        self.call(convert::order(session, self.term, order)).await
    }
}

/// The same in messages that a worker takes.
fn parts(mut batch: pb::CommandBatch) -> Vec<pb::CommandBatch> {
    let (mut parts, mut bytes) = (Vec::new(), 0);
    let commands = std::mem::take(&mut batch.commands);
    for command in commands {
        let size = command.encoded_len();
        if bytes + size > FULL && !batch.commands.is_empty() {
            let full = std::mem::take(&mut batch.commands);
            parts.push(pb::CommandBatch { commands: full, ..batch.clone() });
            bytes = 0;
        }
        bytes += size;
        batch.commands.push(command);
    }
    parts.push(batch);
    parts
}

/// A command that comes alone is brought by the call of its name.
async fn deliver(mut door: Client, batch: pb::CommandBatch) -> Result<(), NotTaken> {
    let answer = match alone(&batch) {
        Some((place, What::Start(task))) => door.assign_task(pb::Task { place: Some(place), ..task }).await,
        Some((place, What::Stop(pb::StopTask { task_id, attempt, kill_after_ms }))) => {
            door.cancel_task(pb::TaskId { task_id, attempt, kill_after_ms, place: Some(place) }).await
        }
        Some((_, What::Ping(_))) | None => door.deliver_commands(batch).await,
    };
    match answer.map(tonic::Response::into_inner) {
        Ok(pb::TaskAck { success: true, .. }) => Ok(()),
        Ok(pb::TaskAck { success: false, message }) => Err(NotTaken(message)),
        Err(status) => Err(NotTaken(convert::words(&status))),
    }
}

fn alone(batch: &pb::CommandBatch) -> Option<(pb::CommandPlace, What)> {
    let [pb::Command { seq, what: Some(what) }] = batch.commands.as_slice() else { return None };
    let (worker_id, session, term) = (batch.worker_id.clone(), batch.session, batch.term);
    Some((pb::CommandPlace { worker_id, session, term, seq: *seq }, what.clone()))
}

/// Tells a worker where this master is.
/// # Errors
/// Nobody answers there, or the worker does not follow: why, for people.
pub(crate) async fn announce(
    handle: &Handle,
    worker: &WorkerId,
    address: &str,
    own: Vec<String>,
) -> Result<(), String> {
    let facts = handle.facts();
    let announcement = pb::Announcement {
        addresses: own,
        cluster: facts.cluster.clone(),
        incarnation: facts.incarnation.0,
        term: facts.term.0,
        worker_id: worker.to_string(),
    };
    let mut door = client(handle, worker, address, About::Place).map_err(|status| convert::words(&status))?;
    match tokio::time::timeout(ANNOUNCED, door.announce_master(announcement)).await {
        Ok(Ok(ack)) if ack.get_ref().success => Ok(()),
        Ok(Ok(ack)) => Err(ack.into_inner().message),
        Ok(Err(status)) => Err(convert::words(&status)),
        Err(_) => Err("it did not answer in time".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(seq: u64, bytes: usize) -> pb::Command {
        let task = pb::Task { spec_json: "x".repeat(bytes), ..pb::Task::default() };
        pb::Command { seq, what: Some(What::Start(task)) }
    }

    #[test]
    fn commands_go_in_messages_that_are_not_too_large_and_stay_in_order() {
        let numbers = |sizes: &[usize]| {
            let commands = (1..).zip(sizes).map(|(seq, bytes)| command(seq, *bytes)).collect();
            let batch = pb::CommandBatch { session: 7, term: 3, commands, ..pb::CommandBatch::default() };
            let parts = parts(batch);
            assert!(parts.iter().all(|part| (part.session, part.term) == (7, 3)));
            let seqs = |part: &pb::CommandBatch| part.commands.iter().map(|command| command.seq).collect::<Vec<_>>();
            parts.iter().map(seqs).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[]), [Vec::<u64>::new()]);
        assert_eq!(numbers(&[1, 2, 3]), [vec![1, 2, 3]]);
        assert_eq!(numbers(&[FULL / 2, FULL / 3, FULL / 3, 1]), [vec![1, 2], vec![3, 4]]);
        assert_eq!(numbers(&[FULL * 2, 1, FULL * 2]), [vec![1], vec![2], vec![3]]);
    }

    #[test]
    fn only_a_command_that_comes_alone_is_brought_by_its_name() {
        let batch = |commands| pb::CommandBatch { worker_id: "w".into(), session: 7, term: 3, commands, execs: vec![] };
        let (place, _) = alone(&batch(vec![command(9, 1)])).unwrap();
        assert_eq!(place, pb::CommandPlace { worker_id: "w".into(), session: 7, term: 3, seq: 9 });
        assert_eq!(alone(&batch(vec![command(1, 1), command(2, 1)])), None);
        assert_eq!(alone(&batch(vec![])), None);
    }
}
