//! Calls of the master to workers, under TLS: it shows its own certificate, and goes on with nobody but the worker that it
//! means. Where that worker is said to be is no matter: whoever answers there has to be it.

#[cfg(test)]
mod tests;

use super::names::Server;
use super::{Pki, PkiError, Refusal};
use crate::cut::Cut;
use cloudai_core::ids::WorkerId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// What is asked for where a name has to be: nobody looks at it, for ids of workers need not be names of hosts.
const SOMEBODY: &str = "worker.cloudai.internal";

/// What the master calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// It brings commands.
    Commands,
    /// It says where it is. A worker that has no certificate yet is told that, too: it joins by it.
    Place,
}

/// Why whoever answered is told nothing.
#[derive(Debug, thiserror::Error)]
enum NotIt {
    #[error("what answers there did not get under TLS as a machine of this cluster: {0}")]
    Stranger(io::Error),
    #[error("what answers there is a machine of this cluster, and no worker")]
    NoWorker,
    #[error(
        "worker {is} answers there, not {meant}: start {meant} with WORKER_IP and WORKER_PORT, or name its address with \
         `cloudai worker register {meant} IP:PORT`"
    )]
    Another { is: WorkerId, meant: WorkerId },
    #[error(transparent)]
    Refused(Refusal),
}

impl From<NotIt> for io::Error {
    fn from(why: NotIt) -> Self {
        Self::other(why)
    }
}

/// On what terms workers are called.
#[derive(Debug)]
pub(super) struct Terms {
    /// Those that have a certificate of the CA.
    known: Arc<ClientConfig>,
    /// Those that have none yet.
    any: Arc<ClientConfig>,
}

impl Terms {
    /// # Errors
    /// [`PkiError`].
    pub(super) fn new(ca: &CertificateDer<'static>, server: &Arc<Server>) -> Result<Self, PkiError> {
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone())?;
        let on = |roots| config(roots, Arc::clone(server) as Arc<dyn ResolvesClientCert>);
        Ok(Self { known: on(Some(roots))?, any: on(None)? })
    }
}

fn config(roots: Option<RootCertStore>, shows: Arc<dyn ResolvesClientCert>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = OfCa { roots, provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(shows);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.enable_sni = false;
    // All workers have one name here: nothing of one goes on with another.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl Pki {
    /// Shakes hands with whoever answers where a worker is said to be. The connection ends when the certificate that it
    /// showed is taken back.
    /// # Errors
    /// It is somebody else, or nobody who speaks TLS: why, for people.
    pub(crate) async fn call<C>(&self, to: C, meant: &WorkerId, about: About) -> io::Result<Cut<TlsStream<C>>>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let known = match about {
            About::Commands => true,
            About::Place => self.issued.holds_one(meant, self.now()),
        };
        let terms = Arc::clone(if known { &self.calls.known } else { &self.calls.any });
        let name = ServerName::try_from(SOMEBODY).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let stream = TlsConnector::from(terms).connect(name, to).await.map_err(NotIt::Stranger)?;
        if !known {
            return Ok(Cut::new(stream, &CancellationToken::new()));
        }
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let shown = certificate.and_then(|certificate| self.read(certificate)).ok_or(NotIt::NoWorker)?;
        // Before it is looked at: what is taken back meanwhile ends it.
        let ends = self.ends(&shown);
        let is = self.admit(Some(&shown)).map_err(NotIt::Refused)?;
        if is == *meant { Ok(Cut::new(stream, &ends)) } else { Err(NotIt::Another { is, meant: meant.clone() }.into()) }
    }
}

/// Takes whoever has a certificate of the CA and its key; without one whoever has the key of what is shown.
#[derive(Debug)]
struct OfCa {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OfCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
