//! Encryption at the listener of users: what begins as TLS is made secret, everything else is told the encrypted
//! address and served nothing.

use super::certificate::CertificateFiles;
use super::problem::{Code, Problem};
use axum::http::header::{CONNECTION, HOST, LOCATION};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::ResolvesServerCert;
use rustls::version::{TLS12, TLS13};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The first byte of every TLS connection, and of no request.
const HANDSHAKE: u8 = 0x16;
/// The longest name that a host may have, with its port.
const LONGEST_HOST: usize = 262;

/// What its operator says of how users are talked to. Without a word that is plain on loopback, and encrypted
/// elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Https {
    /// What is shown in the place of the cluster's own certificate.
    pub certificate: Option<Arc<CertificateFiles>>,
    /// Encrypted on loopback as well.
    pub on_loopback: bool,
}

/// Why users can not be talked to as they are to be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuardError {
    /// Encryption without a certificate.
    #[error(
        "tls.enabled is true and there is no certificate: give tls.cert_file and tls.key_file, or start without --insecure"
    )]
    NoCertificate,
    /// The library does not take what it is given.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Https {
    /// How the listener at this address talks; `own` is the cluster's own certificate, where it has one.
    /// # Errors
    /// [`GuardError`].
    pub(crate) fn guard(
        &self,
        address: SocketAddr,
        own: Option<Arc<dyn ResolvesServerCert>>,
    ) -> Result<Guard, GuardError> {
        let local = address.ip().is_loopback();
        if local && !self.on_loopback {
            return Ok(Guard::Plain);
        }
        let given = self.certificate.clone().map(|files| files as Arc<dyn ResolvesServerCert>);
        match given.or(own) {
            // Other services of the machine have the name of its loopback as well: browsers must not be told to call
            // them encrypted from then on.
            Some(certificate) => Ok(Guard::Https(Tls::new(certificate, !local)?)),
            None if self.on_loopback => Err(GuardError::NoCertificate),
            None => Ok(Guard::Plain),
        }
    }
}

/// How a listener talks.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// Without encryption.
    Plain,
    /// Encrypted; who begins otherwise is told the address that is.
    Https(Tls),
}

/// How a listener makes its connections secret.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    for_good: bool,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("for_good", &self.for_good).finish_non_exhaustive()
    }
}

/// A connection of which is known how it talks.
pub(super) enum Begun {
    /// It is encrypted from here on.
    Secret(Box<TlsStream<TcpStream>>),
    /// It speaks, but not TLS.
    Plain(TcpStream),
}

impl Tls {
    /// With this certificate; `for_good` tells browsers to come back encrypted only.
    /// # Errors
    /// The library does not take it.
    pub(crate) fn new(certificate: Arc<dyn ResolvesServerCert>, for_good: bool) -> Result<Self, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), for_good })
    }

    /// Whether browsers are told to come back encrypted only.
    pub(super) const fn is_for_good(&self) -> bool {
        self.for_good
    }

    /// Waits for what the client says first, and does as it says.
    pub(super) async fn begin(&self, stream: TcpStream) -> io::Result<Begun> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first == [HANDSHAKE] {
            Ok(Begun::Secret(Box::new(self.acceptor.accept(stream).await?)))
        } else {
            Ok(Begun::Plain(stream))
        }
    }
}

/// What whoever comes without encryption is answered: the same address with it, whatever the method.
pub(super) fn to_https(headers: &HeaderMap, uri: &Uri) -> Response {
    let mut response = match encrypted(headers, uri) {
        Some(location) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response(),
        None => Problem::new(Code::Invalid, "this address is spoken to by https only").into_response(),
    };
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The encrypted address of what was asked for; none where the request names no host, or none that can be one.
fn encrypted(headers: &HeaderMap, uri: &Uri) -> Option<HeaderValue> {
    let mut hosts = headers.get_all(HOST).into_iter();
    let (host, another) = (hosts.next()?.to_str().ok()?, hosts.next());
    let authority: Authority = host.parse().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte);
    let sane = another.is_none() && host.len() <= LONGEST_HOST && host.bytes().all(is_plain);
    let asked = uri.path_and_query().map(|asked| asked.as_str()).filter(|asked| asked.starts_with('/'))?;
    if !sane || authority.host().is_empty() {
        return None;
    }
    HeaderValue::from_str(&format!("https://{host}{asked}")).ok()
}

#[cfg(test)]
#[path = "tests/door_tls.rs"]
mod tests;
