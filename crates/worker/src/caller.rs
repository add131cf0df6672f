//! Connections that a master opens, under TLS: nobody else gets in. A worker that has no certificate yet shows one that
//! nobody signed: a master may say where it is before the worker joins.

use crate::identity::Identity;
use crate::tls::{self, Safe};
use cloudai_proto::MASTER_NAME;
use futures::Stream;
use futures::stream::unfold;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Handshakes under way at a time; more connections wait in the listener's queue. One master calls.
const HANDSHAKES: usize = 64;
/// For a handshake: round trips of a bad line, and short for a place that is held.
const PATIENCE: Duration = Duration::from_secs(10);

/// On what terms connections are taken.
/// # Errors
/// TLS itself can not be set up.
pub(crate) fn terms(identity: &Arc<Identity>) -> io::Result<Arc<ServerConfig>> {
    let provider = Arc::new(ring::default_provider());
    let masters = OnlyMasters { identity: Arc::clone(identity), provider: Arc::clone(&provider) };
    let shows = Shows { identity: Arc::clone(identity), nobody: nobody()? };
    let mut terms = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_client_cert_verifier(Arc::new(masters))
        .with_cert_resolver(Arc::new(shows));
    terms.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(terms))
}

/// A certificate that nobody signed.
/// # Errors
/// There is no key to be had.
pub(crate) fn nobody() -> io::Result<Arc<CertifiedKey>> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let certificate = CertificateParams::default().self_signed(&key).map_err(io::Error::other)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = ring::sign::any_supported_type(&key).map_err(io::Error::other)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}

/// Connections that have shaken hands; those that do not are dropped.
pub(crate) fn incoming(
    listener: TcpListener,
    terms: Arc<ServerConfig>,
    identity: Arc<Identity>,
) -> impl Stream<Item = io::Result<Safe<TlsStream<TcpStream>>>> + Send {
    let entrance = Entrance { listener, acceptor: TlsAcceptor::from(terms), identity, shaking: JoinSet::new() };
    unfold(entrance, |mut entrance| async move {
        let next = entrance.next().await;
        Some((next, entrance))
    })
}

/// Where connections arrive.
struct Entrance {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    identity: Arc<Identity>,
    shaking: JoinSet<Option<Safe<TlsStream<TcpStream>>>>,
}

impl Entrance {
    /// The next connection; each shakes hands beside the others.
    async fn next(&mut self) -> io::Result<Safe<TlsStream<TcpStream>>> {
        loop {
            let came = tokio::select! {
                Some(shaken) = self.shaking.join_next() => match shaken {
                    Ok(Some(safe)) => return Ok(safe),
                    Ok(None) | Err(_) => continue,
                },
                accepted = self.listener.accept(), if self.shaking.len() < HANDSHAKES => accepted?.0,
            };
            if let Err(error) = came.set_nodelay(true) {
                debug!(%error, "a connection to this worker was over before it began");
                continue;
            }
            self.shaking.spawn(shake(self.acceptor.clone(), came, Arc::clone(&self.identity)));
        }
    }
}

async fn shake<C>(acceptor: TlsAcceptor, connection: C, identity: Arc<Identity>) -> Option<Safe<TlsStream<C>>>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    // Before it is shown: the next certificate ends it.
    let ends = identity.shown().map_or_else(CancellationToken::new, |(_, ends)| ends);
    match tokio::time::timeout(PATIENCE, acceptor.accept(connection)).await {
        Ok(Ok(stream)) => Some(Safe::new(stream, &ends)),
        Ok(Err(error)) => {
            debug!(%error, "a connection to this worker was not one of its master");
            None
        }
        Err(_) => {
            debug!("a connection to this worker took too long to shake hands");
            None
        }
    }
}

/// Shows the certificate that this worker has now.
#[derive(Debug)]
struct Shows {
    identity: Arc<Identity>,
    /// While it has none.
    nobody: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.identity.shown().map_or_else(|| Arc::clone(&self.nobody), |(shown, _)| shown))
    }
}

/// Takes whoever has a certificate of the worker's CA with the name of masters: no worker has that one.
#[derive(Debug)]
struct OnlyMasters {
    identity: Arc<Identity>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for OnlyMasters {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // Whoever calls has one certificate.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Who knows no CA yet follows nobody.
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let ca = self.identity.ca().ok_or_else(unknown)?;
        let roots = Arc::new(tls::sent(intermediates, Some(&ca))?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
            .build()
            .map_err(|why| Error::General(why.to_string()))?;
        let verified = verifier.verify_client_cert(end_entity, intermediates, now)?;
        let name = ServerName::try_from(MASTER_NAME).map_err(|why| Error::General(why.to_string()))?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, &name)?;
        Ok(verified)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Token;
    use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer};
    use rustls::pki_types::pem::PemObject;
    use std::path::Path;
    use tempfile::TempDir;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::TlsConnector;

    struct Authority {
        issuer: Issuer<'static, KeyPair>,
        pem: String,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(vec!["ca".to_owned()]).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self { issuer: Issuer::new(params, key), pem }
        }

        fn hash(&self) -> String {
            use sha2::Digest;
            hex::encode(sha2::Sha256::digest(self.der()))
        }

        fn der(&self) -> CertificateDer<'static> {
            CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
        }

        /// A certificate with this name, and that of masters if it is one; and its key, both as PEM.
        fn signs(&self, name: &str, is_master: bool) -> (String, String) {
            let names = if is_master { vec![MASTER_NAME.to_owned()] } else { Vec::new() };
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
        }

        /// Gives a folder the certificate of a worker.
        fn gives(&self, dir: &Path) {
            let (certificate, key) = self.signs("w1", false);
            for (name, text) in [("ca.crt", &self.pem), ("worker.crt", &certificate), ("worker.key", &key)] {
                std::fs::write(dir.join(name), text).unwrap();
            }
        }
    }

    fn identity(dir: &TempDir, token: &str) -> Arc<Identity> {
        let whose = ("w1".parse().unwrap(), dir.path().to_owned());
        Arc::new(Identity::open(whose, ("127.0.0.1:1".into(), None), Token::read(token)).unwrap())
    }

    /// Whether somebody who shows this certificate, and that CA beside it, gets in and is heard.
    async fn gets_in(identity: &Arc<Identity>, shows: Option<((String, String), &Authority)>) -> bool {
        let terms = tls::showing(shows.map(|((certificate, key), ca)| {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            (vec![certificate, ca.der()], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
        }));
        let (near, far) = duplex(1 << 16);
        let name = ServerName::try_from("any.example").unwrap();
        let calls = async {
            let mut stream = TlsConnector::from(terms.config).connect(name, near).await?;
            stream.write_all(b"x").await?;
            stream.flush().await?;
            // It stays open until it was heard.
            Ok::<_, io::Error>(stream)
        };
        let acceptor = TlsAcceptor::from(super::terms(identity).unwrap());
        let heard = async {
            let mut taken = shake(acceptor, far, Arc::clone(identity)).await?;
            taken.read_u8().await.ok()
        };
        let (_open, heard) = tokio::join!(calls, heard);
        heard == Some(b'x')
    }

    #[tokio::test]
    async fn nobody_gets_in_but_a_master_of_the_cluster() {
        let (ca, other) = (Authority::new(), Authority::new());
        let dir = tempfile::tempdir().unwrap();
        ca.gives(dir.path());
        let identity = identity(&dir, "");
        assert!(gets_in(&identity, Some((ca.signs("CloudAI master", true), &ca))).await);
        assert!(!gets_in(&identity, Some((ca.signs("w2", false), &ca))).await, "another worker");
        assert!(
            !gets_in(&identity, Some((ca.signs(MASTER_NAME, false), &ca))).await,
            "one that has it for its own name"
        );
        assert!(!gets_in(&identity, Some((other.signs("CloudAI master", true), &other))).await, "of another cluster");
        assert!(!gets_in(&identity, Some((other.signs("CloudAI master", true), &ca))).await, "the right CA beside it");
        assert!(!gets_in(&identity, None).await, "nobody");
    }

    #[tokio::test]
    async fn a_worker_that_has_not_joined_yet_is_called_by_masters_of_the_ca_that_its_token_names() {
        let (ca, other) = (Authority::new(), Authority::new());
        let dir = tempfile::tempdir().unwrap();
        let waits = identity(&dir, &format!("cai1-{}-0", ca.hash()));
        assert!(gets_in(&waits, Some((ca.signs("CloudAI master", true), &ca))).await);
        assert!(!gets_in(&waits, Some((other.signs("CloudAI master", true), &other))).await);
        let knows_none = identity(&dir, "open");
        assert!(!gets_in(&knows_none, Some((ca.signs("CloudAI master", true), &ca))).await);
    }

    #[tokio::test]
    async fn a_worker_shows_its_certificate_once_it_has_one() {
        let (ca, dir) = (Authority::new(), tempfile::tempdir().unwrap());
        let shown = |identity: &Arc<Identity>| identity.shown().map(|(shown, _)| shown.cert.clone());
        assert_eq!(shown(&identity(&dir, "")), None);
        ca.gives(dir.path());
        let shown = shown(&identity(&dir, "")).unwrap();
        let pem = std::fs::read(dir.path().join("worker.crt")).unwrap();
        assert_eq!(shown, [CertificateDer::from_pem_slice(&pem).unwrap(), ca.der()]);
    }
}
