//! Connections of workers under TLS: each shakes hands beside the others, in a time that is limited, and then says which
//! certificate it showed.

use crate::cut::Cut;
use crate::pki::{Pki, Shown};
use futures::{Stream, StreamExt};
use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tracing::debug;

/// Handshakes under way at a time; more connections wait in the listener's queue. Each takes milliseconds, unless its
/// client is slow.
const HANDSHAKES: usize = 1024;
/// For a handshake: round trips of a bad line, and short for a place that is held.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who is at the other end of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// What its certificate says, if it showed one.
    pub(crate) shown: Option<Arc<Shown>>,
    /// From where it comes, where that is known.
    pub(crate) address: Option<SocketAddr>,
}

/// A connection under TLS. It ends when its certificate is taken back.
#[derive(Debug)]
pub(crate) struct Safe<C> {
    inner: Cut<TlsStream<C>>,
    peer: Peer,
}

/// The same connections once they have shaken hands; those that do not are dropped.
pub(crate) fn incoming<S, C>(connections: S, pki: Arc<Pki>) -> impl Stream<Item = io::Result<Safe<C>>> + Send + 'static
where
    S: Stream<Item = io::Result<C>> + Send + 'static,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let acceptor = TlsAcceptor::from(pki.terms());
    async_stream::stream! {
        let mut connections = pin!(connections);
        let mut shaking = JoinSet::new();
        loop {
            let came = tokio::select! {
                Some(shaken) = shaking.join_next() => Came::Shaken(shaken.ok().flatten().map(Box::new)),
                next = connections.next(), if shaking.len() < HANDSHAKES => match next {
                    Some(Ok(connection)) => Came::New(connection),
                    Some(Err(error)) => Came::Failed(error),
                    None => Came::End,
                },
            };
            match came {
                Came::New(connection) => {
                    shaking.spawn(shake(acceptor.clone(), connection, Arc::clone(&pki)));
                }
                Came::Shaken(None) => {}
                Came::Shaken(Some(safe)) => yield Ok(*safe),
                Came::Failed(error) => yield Err(error),
                Came::End => break,
            }
        }
    }
}

/// What happened at the door.
enum Came<C> {
    New(C),
    Shaken(Option<Box<Safe<C>>>),
    Failed(io::Error),
    End,
}

async fn shake<C>(acceptor: TlsAcceptor, connection: C, pki: Arc<Pki>) -> Option<Safe<C>>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin,
{
    let address = address_of(&connection);
    match tokio::time::timeout(PATIENCE, acceptor.accept(connection)).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let shown = certificate.and_then(|certificate| pki.read(certificate)).map(Arc::new);
            // Without a certificate there is nothing that could be taken back.
            let ends = shown.as_ref().map_or_else(Default::default, |shown| pki.ends(shown));
            Some(Safe { inner: Cut::new(stream, &ends), peer: Peer { shown, address } })
        }
        Ok(Err(error)) => {
            debug!(%error, "a connection to the gRPC port did not get under TLS");
            None
        }
        Err(_) => {
            debug!("a connection to the gRPC port took too long to shake hands");
            None
        }
    }
}

/// From where a connection over TCP comes.
fn address_of<C: Connected>(connection: &C) -> Option<SocketAddr> {
    let info = connection.connect_info();
    (&info as &dyn Any).downcast_ref::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr)
}

impl<C> Connected for Safe<C> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for Safe<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Safe<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
