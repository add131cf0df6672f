//! gRPC over the simulated network: how a worker dials, how a master is reached.

use cloudai_worker::machine::{Connection, Dial};
use futures::{Stream, stream};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tonic::async_trait;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;
use turmoil::net::{TcpListener, TcpStream};

/// Where gRPC is served on every host.
const PORT: u16 = 50051;

/// The address of a host's gRPC.
pub(crate) fn address(host: &str) -> String {
    format!("{host}:{PORT}")
}

/// Dials hosts of the simulation.
#[derive(Debug)]
pub(crate) struct Simulated;

#[async_trait]
impl Dial for Simulated {
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Connection>> {
        let mut stream = TcpStream::connect(address).await?;
        stream.read_u8().await?;
        Ok(Box::new(stream))
    }
}

/// A channel to a host, as a client of this test needs it.
pub(crate) fn channel(host: &str) -> Channel {
    let dial = |to: Uri| async move {
        let address = to.authority().map_or_else(String::new, ToString::to_string);
        Simulated.dial(&address).await.map(TokioIo::new)
    };
    Endpoint::from_shared(format!("http://{}", address(host))).unwrap().connect_with_connector_lazy(service_fn(dial))
}

/// Connections to the present host.
pub(crate) async fn incoming() -> io::Result<impl Stream<Item = io::Result<Accepted>> + Send + 'static> {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    Ok(stream::unfold(listener, async |listener| Some((accept(&listener).await, listener))))
}

/// Greets with a byte, for which [`Simulated`] waits: in this network a connection comes about also where
/// nothing can be answered.
async fn accept(listener: &TcpListener) -> io::Result<Accepted> {
    let (mut stream, _) = listener.accept().await?;
    // Whoever has gone again is noticed with the first read.
    let _ = stream.write_u8(0).await;
    Ok(Accepted(stream))
}

/// A connection that was taken.
pub(crate) struct Accepted(TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
