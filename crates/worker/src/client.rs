//! Calls to the master: one connection, made again when it breaks.

use crate::identity::Identity;
use crate::machine::{Connection, Dial};
use crate::tls::{self, Terms};
use cloudai_proto::v1::master_service_client::MasterServiceClient;
use http::Uri;
use hyper_util::rt::TokioIo;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
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

/// Adds the join token to every call, where that is what lets a worker in.
#[derive(Clone)]
pub(crate) struct ShowToken {
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

/// How the master is reached, and what it is shown.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// Its `host:port`.
    pub(crate) address: String,
    pub(crate) shows: Shows,
    pub(crate) dial: Option<Arc<dyn Dial>>,
}

/// What lets a worker in.
#[derive(Clone)]
pub(crate) enum Shows {
    /// The join token, in the clear: to a master without security.
    Token(String),
    /// Its certificate.
    Certificate(Arc<Identity>),
}

impl Shows {
    /// Who the worker is, where the master asks.
    pub(crate) fn identity(&self) -> Option<Arc<Identity>> {
        match self {
            Self::Token(_) => None,
            Self::Certificate(identity) => Some(Arc::clone(identity)),
        }
    }
}

impl std::fmt::Debug for Shows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "Token",
            Self::Certificate(_) => "Certificate",
        })
    }
}

/// With what the next connection is made.
type Source = Arc<dyn Fn() -> io::Result<Terms> + Send + Sync>;

impl Way {
    /// A client that connects when it is first used, and again after a break, and when the worker has another
    /// certificate.
    /// # Errors
    /// [`AddressError`].
    pub(crate) fn client(&self) -> Result<Master, AddressError> {
        match &self.shows {
            Shows::Token(token) => plain(&self.address, token, self.dial.clone()),
            Shows::Certificate(identity) => {
                let identity = Arc::clone(identity);
                safe(&self.address, self.dial.clone(), Arc::new(move || identity.terms()))
            }
        }
    }

    /// The same for one stream, which another certificate does not end.
    /// # Errors
    /// [`AddressError`].
    pub(crate) fn client_of_one(&self) -> Result<Master, AddressError> {
        match &self.shows {
            Shows::Token(_) => self.client(),
            Shows::Certificate(identity) => {
                let identity = Arc::clone(identity);
                let source =
                    move || -> io::Result<Terms> { Ok(Terms { ends: CancellationToken::new(), ..identity.terms()? }) };
                safe(&self.address, self.dial.clone(), Arc::new(source))
            }
        }
    }
}

/// A client under TLS on these terms alone.
/// # Errors
/// [`AddressError`].
pub(crate) fn on(address: &str, dial: Option<Arc<dyn Dial>>, terms: Terms) -> Result<Master, AddressError> {
    safe(address, dial, Arc::new(move || Ok(terms.clone())))
}

/// What all connections have.
fn endpoint(address: &str) -> Result<Endpoint, AddressError> {
    let wrong = || AddressError::Address(address.to_owned());
    if !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Err(wrong());
    }
    // Also under TLS, which tonic does not know of: it is ours.
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| wrong())?;
    Ok(endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true))
}

fn plain(address: &str, token: &str, dial: Option<Arc<dyn Dial>>) -> Result<Master, AddressError> {
    let endpoint = endpoint(address)?;
    let channel = match dial {
        None => endpoint.connect_lazy(),
        Some(dial) => endpoint.connect_with_connector_lazy(service_fn(move |to: Uri| open(Arc::clone(&dial), to))),
    };
    let header = format!("Bearer {token}").parse().map_err(|_| AddressError::Token)?;
    Ok(master(channel, Some(header)))
}

fn safe(address: &str, dial: Option<Arc<dyn Dial>>, source: Source) -> Result<Master, AddressError> {
    let (endpoint, address) = (endpoint(address)?, address.to_owned());
    let connect = move |_: Uri| {
        let (address, dial, source) = (address.clone(), dial.clone(), Arc::clone(&source));
        async move {
            let terms = source()?;
            tls::open(&address, dial.as_ref(), &terms).await
        }
    };
    Ok(master(endpoint.connect_with_connector_lazy(service_fn(connect)), None))
}

fn master(channel: Channel, header: Option<MetadataValue<Ascii>>) -> Master {
    let client = MasterServiceClient::with_interceptor(channel, ShowToken { header });
    client.max_decoding_message_size(MAX_MESSAGE).max_encoding_message_size(MAX_MESSAGE)
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
