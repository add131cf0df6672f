//! The listener of users: how many connections there are, how long a request may take to come, and
//! how they end. Encryption is `door_tls.rs`. Knows nothing of what is asked.

use super::door_tls::{Begun, Guard, to_https};
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, warn};

/// From where a request comes: each that came through a listener has it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// What the door holds clients to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Open connections; more wait in the listener's queue until one ends. WebSockets are counted
    /// by `live.rs`.
    pub(crate) connections: usize,
    /// A request's head must have come in this time. It runs between requests as well, so an idle
    /// connection holds its place no longer.
    pub(crate) head: Duration,
    /// A connection must have said in this time how it talks, and have made itself secret where it is
    /// to be so; in so long it must have asked what is only sent elsewhere.
    pub(crate) handshake: Duration,
}

impl Default for Limits {
    /// Below the usual 4,096 and more file descriptors of a service, with room for workers and
    /// files; the time is long for a person at a keyboard and short for a place that is held.
    fn default() -> Self {
        Self { connections: 2_048, head: Duration::from_secs(30), handshake: Duration::from_secs(10) }
    }
}

/// The largest head of a request, in bytes; a longer one is answered 431.
const HEAD: usize = 64 << 10;
/// After the system refused a connection for want of something, as file descriptors.
const PAUSE: Duration = Duration::from_millis(500);

/// What every connection of a listener is served with.
struct Door {
    router: Router,
    guard: Guard,
    limits: Limits,
}

/// Serves until told to stop; returns when what was under way has been answered.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    guard: Guard,
    limits: Limits,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let door = Arc::new(Door { router, guard, limits });
    let mut open = JoinSet::new();
    while let Some((stream, peer, place)) = stop.run_until_cancelled(next(&listener, &places)).await {
        while open.try_join_next().is_some() {}
        open.spawn(connection(stream, peer, Arc::clone(&door), stop.clone(), place));
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn next(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Peer, OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // It is never closed.
            return std::future::pending().await;
        };
        match listener.accept().await {
            // A listener of both families shows those of the old one by names of the new.
            Ok((stream, peer)) => {
                let peer = Peer(SocketAddr::new(peer.ip().to_canonical(), peer.port()));
                return (stream, peer, place);
            }
            Err(error) if is_of_the_client(error.kind()) => {}
            Err(error) => {
                warn!(%error, "connection could not be taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The client went away before it was served.
fn is_of_the_client(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// One connection; its place is free when it ends, also when it has become a WebSocket.
async fn connection(
    stream: TcpStream,
    peer: Peer,
    door: Arc<Door>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Else an answer of two packets waits 40 ms for the client to acknowledge the first.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "connection can not be told to send at once");
    }
    let Limits { head, handshake, .. } = door.limits;
    let tls = match &door.guard {
        Guard::Plain => return talk(stream, answers(&door.router, peer, false), head, stop).await,
        Guard::Https(tls) => tls,
    };
    let begun = stop.run_until_cancelled(timeout(handshake, tls.begin(stream))).await;
    match begun {
        Some(Ok(Ok(Begun::Secret(stream)))) => {
            talk(*stream, answers(&door.router, peer, tls.is_for_good()), head, stop).await;
        }
        Some(Ok(Ok(Begun::Plain(stream)))) => talk(stream, sends_on(), handshake, stop).await,
        Some(Ok(Err(error))) => debug!(%error, peer = %peer.0, "connection could not be made secret"),
        Some(Err(_)) => debug!(peer = %peer.0, "connection said nothing in time"),
        None => {}
    }
}

/// What the router answers; with `for_good` browsers come back encrypted only.
fn answers(
    router: &Router,
    peer: Peer,
    for_good: bool,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Send + use<> {
    let router = router.clone();
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answer = router.clone().oneshot(request);
        async move {
            let mut response: Response = answer.await?;
            if for_good {
                let year = HeaderValue::from_static("max-age=31536000");
                response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, year);
            }
            Ok::<_, Infallible>(response)
        }
    })
}

/// Sends everybody to the same address, encrypted.
fn sends_on() -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Send {
    service_fn(|request: Request<Incoming>| {
        let answer = to_https(request.headers(), request.uri());
        async move { Ok::<_, Infallible>(answer) }
    })
}

/// HTTP over a connection until it ends, or is told to.
async fn talk<I, S>(io: I, service: S, head: Duration, stop: CancellationToken)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response, Error = Infallible>,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            // What is being answered is answered to its end, nothing more is read.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Extension;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    /// Longer than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(30);

    async fn open(limits: Limits, router: Router) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let served = tokio::spawn(serve(listener, router, Guard::Plain, limits, stop.clone()));
        (address, stop, served)
    }

    fn router() -> Router {
        Router::new().route("/", get(|| async { "here" }))
    }

    async fn ask(stream: &mut TcpStream) {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    }

    /// Reads until the answer's body, or the end.
    async fn answer(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let mut piece = [0; 1024];
        while !text.ends_with(b"here") {
            match timeout(PATIENCE, stream.read(&mut piece)).await.expect("nothing came") {
                Ok(0) | Err(_) => break,
                Ok(count) => text.extend_from_slice(&piece[..count]),
            }
        }
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_the_connection_and_an_idle_one_ends_as_well() {
        let limits = Limits { head: Duration::from_millis(100), ..Limits::default() };
        let (address, _stop, _served) = open(limits, router()).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        assert!(!answer(&mut slow).await.contains("here"), "the end of the connection is the answer");
        let mut idle = TcpStream::connect(address).await.unwrap();
        ask(&mut idle).await;
        assert!(answer(&mut idle).await.ends_with("here"));
        assert_eq!(answer(&mut idle).await, "", "the end");
    }

    #[tokio::test]
    async fn a_handler_is_told_from_where_a_request_comes() {
        let tells = |Extension(Peer(peer)): Extension<Peer>| async move { format!("{peer} is here") };
        let (address, _stop, _served) = open(Limits::default(), Router::new().route("/", get(tells))).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let own = client.local_addr().unwrap();
        ask(&mut client).await;
        let told = answer(&mut client).await;
        assert!(told.contains(&format!("{own} is here")), "{told}");
        assert!(!told.to_ascii_lowercase().contains("strict-transport-security"), "{told}");
    }

    #[tokio::test]
    async fn a_connection_beyond_the_places_waits_for_one() {
        let limits = Limits { connections: 1, ..Limits::default() };
        let (address, _stop, _served) = open(limits, router()).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        ask(&mut first).await;
        assert!(answer(&mut first).await.ends_with("here"));
        let mut second = TcpStream::connect(address).await.unwrap();
        ask(&mut second).await;
        let early = timeout(Duration::from_millis(300), answer(&mut second)).await;
        assert!(early.is_err(), "it was served beyond the limit: {early:?}");
        drop(first);
        assert!(answer(&mut second).await.ends_with("here"));
    }

    #[tokio::test]
    async fn a_stop_ends_idle_connections_and_lets_the_others_have_their_answers() {
        let (asked, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, may) = (Arc::clone(&asked), Arc::clone(&go));
        let handler = move || async move {
            told.notify_one();
            may.notified().await;
            "here"
        };
        let (address, stop, served) = open(Limits::default(), Router::new().route("/", get(handler))).await;
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut busy = TcpStream::connect(address).await.unwrap();
        ask(&mut busy).await;
        asked.notified().await;
        stop.cancel();
        assert_eq!(answer(&mut idle).await, "");
        assert!(!served.is_finished(), "a request is under way");
        go.notify_one();
        assert!(answer(&mut busy).await.ends_with("here"));
        timeout(PATIENCE, served).await.expect("the stop hangs").unwrap();
    }
}
