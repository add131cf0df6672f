//! Calls to the master: one connection, made again when it breaks.

use crate::machine::{Connection, Dial};
use cloudai_proto::v1::master_service_client::MasterServiceClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower::service_fn;

/// The master as a worker calls it.
pub(crate) type Master = MasterServiceClient<InterceptedService<Channel, ShowToken>>;

/// Messages to and from the master at most.
const MAX_MESSAGE: usize = 16 << 20;
/// For a connection to come about.
const CONNECT: Duration = Duration::from_secs(5);

/// Adds the join token to every call.
#[derive(Clone)]
pub(crate) struct ShowToken {
    header: MetadataValue<Ascii>,
}

impl std::fmt::Debug for ShowToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShowToken")
    }
}

impl Interceptor for ShowToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.header.clone());
        Ok(request)
    }
}

/// Why an address or token can not be used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The address has no `host:port` form.
    #[error("--master {0:?} is no address: expected host:port, as 127.0.0.1:50051")]
    Address(String),
    /// The token holds characters that no token has.
    #[error("the join token is malformed: print it on the master with `cloudai worker token`")]
    Token,
}

/// A client for one master's address; connects when it is first used, and again after a break.
pub(crate) fn client(address: &str, token: &str, dial: Option<Arc<dyn Dial>>) -> Result<Master, AddressError> {
    let wrong = || AddressError::Address(address.to_owned());
    if !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Err(wrong());
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| wrong())?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    let channel = match dial {
        None => endpoint.connect_lazy(),
        Some(dial) => endpoint.connect_with_connector_lazy(service_fn(move |to: Uri| open(Arc::clone(&dial), to))),
    };
    let header = format!("Bearer {token}").parse().map_err(|_| AddressError::Token)?;
    let client = MasterServiceClient::with_interceptor(channel, ShowToken { header });
    Ok(client.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE))
}

async fn open(dial: Arc<dyn Dial>, to: Uri) -> io::Result<TokioIo<Box<dyn Connection>>> {
    let address = to.authority().map_or_else(String::new, ToString::to_string);
    dial.dial(&address).await.map(TokioIo::new)
}

/// Waits between tries: longer each time, with up to half of it taken off by chance.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// How long to wait now.
    pub(crate) fn wait(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(self.longest);
        full.mul_f64(rand::random_range(0.5..=1.0))
    }
}
