//! Where a master calls this worker: it announces itself there, and brings commands when the worker asked for that.
//!
//! What is brought goes the way of what Subscribe carries (`link`): session, term and number decide what counts.

use crate::caller;
use crate::client::Shows;
use crate::convert::Specs;
use crate::identity::Identity;
use crate::link::Link;
use crate::whereabouts::Whereabouts;
use cloudai_core::ids::{Session, Term};
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::command::What;
use cloudai_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use rustls::ServerConfig;
use sha2::{Digest, Sha256};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

/// Messages of the master at most.
const MAX_MESSAGE: usize = 16 << 20;
/// Ports that are tried when the usual one is taken.
const PORTS: u16 = 100;

/// How a master calls a worker.
#[derive(Debug)]
pub struct Called {
    /// Where.
    pub listening: Listening,
    /// Whether it brings commands there; else it only announces itself.
    pub push: bool,
}

/// An address that was taken.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// Takes an address; port 0 takes a free one. One that is not `exact` gives way to the next port that is free.
    /// # Errors
    /// It is taken, or not ours to take.
    pub async fn take(address: SocketAddr, exact: bool) -> io::Result<Self> {
        let last = if exact { address.port() } else { address.port().saturating_add(PORTS) };
        let mut failed = io::Error::from(io::ErrorKind::AddrInUse);
        for port in address.port()..=last {
            match TcpListener::bind((address.ip(), port)).await {
                Ok(listener) => {
                    let address = listener.local_addr()?;
                    return Ok(Self { listener, address });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a master finds it that is there; none where this machine has no way to it.
    pub(crate) async fn seen_from(&self, master: &str) -> Option<SocketAddr> {
        if !self.address.ip().is_unspecified() {
            return Some(self.address);
        }
        local_ip(master).await.ok().map(|ip| SocketAddr::new(ip, self.address.port()))
    }
}

/// The address that this machine has on the way to another; nothing is sent.
async fn local_ip(to: &str) -> io::Result<IpAddr> {
    let to = tokio::net::lookup_host(to).await?.next().ok_or(io::ErrorKind::NotFound)?;
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    Ok(socket.local_addr()?.ip())
}

/// Whose commands are taken in: of one session at a time, and of none between two.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    open: Mutex<Option<(Session, Term)>>,
}

impl Pushed {
    fn set(&self, open: Option<(Session, Term)>) {
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
    }

    /// Lets the commands of a session in for as long as it is polled.
    pub(crate) async fn hear(&self, session: Session, term: Term) {
        struct Closes<'a>(&'a Pushed);
        impl Drop for Closes<'_> {
            fn drop(&mut self) {
                self.0.set(None);
            }
        }
        let _closes = Closes(self);
        self.set(Some((session, term)));
        std::future::pending().await
    }

    /// Whether commands of such a session and term count now; else why not.
    fn check(&self, session: Session, term: Term) -> Result<(), String> {
        let open = *self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open {
            Some((present, newest)) if present == session && term >= newest => Ok(()),
            Some((present, newest)) if present == session => {
                Err(format!("term {} is over, the newest here is {}", term.0, newest.0))
            }
            Some(_) | None => Err(format!("it is not in session {}, or not yet", session.0)),
        }
    }
}

/// A worker's door before it is opened.
#[derive(Debug)]
pub(crate) struct Door {
    listening: Listening,
    api: Api,
    lets: Lets,
}

/// Who is let in: whoever brings commands runs what it likes here.
#[derive(Debug)]
enum Lets {
    /// Who shows the join token, in the clear: of a master without security.
    Token(ExpectToken),
    /// A master of the worker's CA, under TLS.
    Master(Arc<Identity>, Arc<ServerConfig>),
}

impl Door {
    /// # Errors
    /// TLS can not be set up.
    pub(crate) fn new(
        listening: Listening,
        link: Link,
        whereabouts: Arc<Whereabouts>,
        shows: &Shows,
    ) -> io::Result<Self> {
        let lets = match shows {
            Shows::Token(token) => Lets::Token(ExpectToken { digest: Sha256::digest(token).into() }),
            Shows::Certificate(identity) => Lets::Master(Arc::clone(identity), caller::terms(identity)?),
        };
        let api = Api { link, whereabouts, specs: tokio::sync::Mutex::default() };
        Ok(Self { listening, api, lets })
    }

    /// Opens it until the answer is dropped.
    pub(crate) fn open(self) -> DropGuard {
        let closes = CancellationToken::new();
        tokio::spawn(self.serve(closes.clone()));
        closes.drop_guard()
    }

    /// The one place where a worker's server is made.
    async fn serve(self, closes: CancellationToken) {
        let Self { listening: Listening { listener, address }, api, lets } = self;
        info!(%address, "a master may call this worker");
        let service = WorkerServiceServer::new(api).max_decoding_message_size(MAX_MESSAGE);
        let mut server = Server::builder().http2_keepalive_interval(Some(Duration::from_secs(10)));
        let served = match lets {
            Lets::Token(token) => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                let router = server.add_service(InterceptedService::new(service, token));
                router.serve_with_incoming_shutdown(incoming, closes.cancelled_owned()).await
            }
            Lets::Master(identity, terms) => {
                let incoming = caller::incoming(listener, terms, identity);
                server.add_service(service).serve_with_incoming_shutdown(incoming, closes.cancelled_owned()).await
            }
        };
        if let Err(error) = served {
            warn!(%error, "this worker can not be called any more");
        }
    }
}

/// Lets only those in who show the cluster's join token.
#[derive(Clone, Debug)]
struct ExpectToken {
    digest: [u8; 32],
}

impl Interceptor for ExpectToken {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let shown = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let token = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // Digests are compared, so the time taken tells nothing about the token.
        if <[u8; 32]>::from(Sha256::digest(token)) == self.digest {
            Ok(request)
        } else {
            Err(Status::unauthenticated(
                "the join token is not the one of this worker: start it with what `cloudai worker token` prints on \
                 its master",
            ))
        }
    }
}

/// What a master calls.
#[derive(Debug)]
struct Api {
    link: Link,
    whereabouts: Arc<Whereabouts>,
    /// Held while commands are taken in: one call after the other.
    specs: tokio::sync::Mutex<Specs>,
}

impl Api {
    /// Takes all in, in order, or nothing.
    async fn take(&self, batch: pb::CommandBatch) -> Response<pb::TaskAck> {
        let mut specs = self.specs.lock().await;
        let taken = match self.check(&batch) {
            Ok(()) => {
                self.link.take(batch, &mut specs).await;
                pb::TaskAck { success: true, message: String::new() }
            }
            Err(message) => pb::TaskAck { success: false, message },
        };
        Response::new(taken)
    }

    fn check(&self, batch: &pb::CommandBatch) -> Result<(), String> {
        if batch.worker_id != self.link.id.as_str() {
            return Err(format!("this is worker {}, not {:?}", self.link.id, batch.worker_id));
        }
        let pushed = self.link.pushed.as_ref().ok_or("it did not ask for push delivery")?;
        pushed.check(Session(batch.session), Term(batch.term))
    }
}

/// A command that comes alone, as a batch.
fn alone(place: Option<pb::CommandPlace>, what: What) -> Result<pb::CommandBatch, Status> {
    let place = place.ok_or_else(|| Status::invalid_argument("place: must be given"))?;
    let pb::CommandPlace { worker_id, session, term, seq } = place;
    let commands = vec![pb::Command { seq, what: Some(what) }];
    Ok(pb::CommandBatch { session, term, commands, execs: Vec::new(), worker_id })
}

#[tonic::async_trait]
impl WorkerService for Api {
    async fn assign_task(&self, request: Request<pb::Task>) -> Result<Response<pb::TaskAck>, Status> {
        let mut task = request.into_inner();
        let batch = alone(task.place.take(), What::Start(task))?;
        Ok(self.take(batch).await)
    }

    async fn cancel_task(&self, request: Request<pb::TaskId>) -> Result<Response<pb::TaskAck>, Status> {
        let pb::TaskId { task_id, attempt, kill_after_ms, place } = request.into_inner();
        let batch = alone(place, What::Stop(pb::StopTask { task_id, attempt, kill_after_ms }))?;
        Ok(self.take(batch).await)
    }

    async fn deliver_commands(&self, request: Request<pb::CommandBatch>) -> Result<Response<pb::TaskAck>, Status> {
        Ok(self.take(request.into_inner()).await)
    }

    async fn announce_master(&self, request: Request<pb::Announcement>) -> Result<Response<pb::AnnounceAck>, Status> {
        let ack = match self.whereabouts.announced(request.into_inner()) {
            Ok(()) => pb::AnnounceAck { success: true, message: String::new() },
            Err(message) => pb::AnnounceAck { success: false, message },
        };
        Ok(Response::new(ack))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_gives_way_to_the_next_one_unless_it_was_asked_for() {
        let first = Listening::take(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), true).await.unwrap();
        let next = Listening::take(first.address(), false).await.unwrap();
        assert!(next.address().port() > first.address().port());
        let failed = Listening::take(first.address(), true).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(first.seen_from("127.0.0.1:1").await, Some(first.address()));
        let all = Listening::take(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), true).await.unwrap();
        let seen = SocketAddr::from((Ipv4Addr::LOCALHOST, all.address().port()));
        assert_eq!(all.seen_from("127.0.0.1:1").await, Some(seen));
    }

    #[tokio::test]
    async fn commands_count_only_in_the_present_session_and_under_no_older_term() {
        let pushed = Arc::new(Pushed::default());
        let check = |session, term| pushed.check(Session(session), Term(term));
        assert!(check(1, 1).unwrap_err().contains("not in session 1"), "before any");
        let hearing = Arc::clone(&pushed);
        let hears = tokio::spawn(async move { hearing.hear(Session(2), Term(5)).await });
        while check(2, 5).is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(check(2, 6), Ok(()));
        assert!(check(2, 4).unwrap_err().contains("term 4 is over"));
        assert!(check(1, 5).is_err() && check(3, 5).is_err());
        hears.abort();
        assert!(hears.await.unwrap_err().is_cancelled());
        assert!(check(2, 5).is_err(), "the session has ended");
    }
}
