//! Connections with a master under TLS: what makes it the right master, and what this worker shows. The master's address
//! says nothing of that: every master has the one name of masters in its certificate, and no worker has it. Those that the
//! master opens are `caller`'s.

use crate::machine::{Connection, Dial};
use cloudai_proto::MASTER_NAME;
use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// For a connection to come about, its handshake included.
const CONNECT: Duration = Duration::from_secs(5);

/// What a connection is made with.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) config: Arc<ClientConfig>,
    /// Ends the connection: what it showed is out of date.
    pub(crate) ends: CancellationToken,
}

/// Terms for whoever knows no more of the CA than its hash, or nothing at all; nothing is shown.
/// # Errors
/// [`Error`]: TLS itself can not be set up.
pub(crate) fn first(pin: Option<&str>) -> Result<Terms, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Pinned { hash: pin.map(str::to_owned), provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(terms(config))
}

/// Terms for whoever has a certificate of this CA.
/// # Errors
/// [`Error`]: certificate and key do not belong together, or are none.
pub(crate) fn known(
    ca: &CertificateDer<'static>,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<Terms, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    Ok(terms(config))
}

/// What a worker that is called shows: a certificate of this CA.
/// # Errors
/// [`Error`]: the key is of no kind that is known.
pub(crate) fn shown(
    ca: &CertificateDer<'static>,
    certificate: &CertificateDer<'static>,
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, Error> {
    let key = ring::sign::any_supported_type(key)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.clone(), ca.clone()], key)))
}

fn terms(mut config: ClientConfig) -> Terms {
    config.alpn_protocols = vec![b"h2".to_vec()];
    Terms { config: Arc::new(config), ends: CancellationToken::new() }
}

/// Opens a connection.
/// # Errors
/// Nobody answers there, or whoever does is not the master: [`why_not`] says which.
pub(crate) async fn open(address: &str, dial: Option<&Arc<dyn Dial>>, terms: &Terms) -> io::Result<TokioIo<ToMaster>> {
    let connect = async {
        let inner: Box<dyn Connection> = match dial {
            Some(dial) => dial.dial(address).await?,
            None => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        };
        let name = ServerName::try_from(MASTER_NAME).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        TlsConnector::from(Arc::clone(&terms.config)).connect(name, inner).await
    };
    let connected = tokio::time::timeout(CONNECT, connect).await;
    let inner = connected.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))?;
    Ok(TokioIo::new(Safe::new(inner, &terms.ends)))
}

/// What stands against a master that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotIt {
    /// It is of another CA.
    AnotherCa,
    /// It does not speak TLS.
    NoTls,
}

/// Why a connection did not come about, where trying again does not help.
pub(crate) fn why_not(error: &io::Error) -> Option<NotIt> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(_) => Some(NotIt::AnotherCa),
        Error::InvalidMessage(_) => Some(NotIt::NoTls),
        _ => None,
    }
}

/// Looks for the CA of this hash among what the server sends, and holds the server against that one alone. Without a
/// hash the last of what it sends is taken for the CA: that is for a worker on the master's own machine.
#[derive(Debug)]
struct Pinned {
    hash: Option<String>,
    provider: Arc<CryptoProvider>,
}

/// The CA of this hash among what was sent; without a hash the last that was.
/// # Errors
/// It is not there.
pub(crate) fn sent(chain: &[CertificateDer<'_>], hash: Option<&str>) -> Result<RootCertStore, Error> {
    let is_it = |one: &&CertificateDer<'_>| hash.is_none_or(|hash| hex::encode(Sha256::digest(one)) == hash);
    let ca = chain.iter().rev().find(is_it).ok_or_else(|| {
        let why = NotOfIt(hash.unwrap_or_default().to_owned());
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why))))
    })?;
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone().into_owned())?;
    Ok(roots)
}

/// Whoever is at the other end sent no CA of the hash that was looked for.
#[derive(Debug, thiserror::Error)]
#[error("it shows no certificate of the CA {0}")]
struct NotOfIt(String);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let roots = Arc::new(sent(intermediates, self.hash.as_deref())?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
            .build()
            .map_err(|why| Error::General(why.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
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

/// One that this worker opened.
pub(crate) type ToMaster = Safe<TlsStream<Box<dyn Connection>>>;

/// A connection that breaks off at its next read once what this worker showed is out of date.
pub(crate) struct Safe<S> {
    inner: S,
    ends: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S> Safe<S> {
    pub(crate) fn new(inner: S, ends: &CancellationToken) -> Self {
        Self { inner, ends: Box::pin(ends.clone().cancelled_owned()) }
    }
}

impl<S> std::fmt::Debug for Safe<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Safe")
    }
}

impl<S> Connected for Safe<S> {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl<S: AsyncRead + Unpin> AsyncRead for Safe<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ends.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Safe<S> {
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

/// Terms of a test, for a client that shows this and looks at nothing.
#[cfg(test)]
pub(crate) fn showing(shows: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>) -> Terms {
    #[derive(Debug)]
    struct Any(CryptoProvider);

    impl ServerCertVerifier for Any {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }

    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(Any(ring::default_provider())));
    terms(match shows {
        None => config.with_no_client_auth(),
        Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    /// A CA, and what a server of it sends.
    fn chain(name: &str) -> (String, Vec<CertificateDer<'static>>) {
        let mut params = CertificateParams::new(vec!["ca".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let own = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let own = own.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        (hex::encode(Sha256::digest(ca.der())), vec![own.der().clone(), ca.der().clone()])
    }

    fn verify(pin: Option<&str>, chain: &[CertificateDer<'static>]) -> Result<(), Error> {
        let provider = Arc::new(ring::default_provider());
        let pinned = Pinned { hash: pin.map(str::to_owned), provider };
        let name = ServerName::try_from(MASTER_NAME).unwrap();
        let (own, rest) = chain.split_first().unwrap();
        pinned.verify_server_cert(own, rest, &name, &[], UnixTime::now()).map(drop)
    }

    #[test]
    fn a_pin_takes_a_master_of_its_ca_and_nobody_else() {
        let ((hash, mine), (other_hash, other)) = (chain(MASTER_NAME), chain(MASTER_NAME));
        assert_eq!(verify(Some(&hash), &mine), Ok(()));
        assert_eq!(verify(None, &mine), Ok(()));
        for (pin, chain) in [(&other_hash, &mine), (&hash, &other)] {
            assert!(matches!(verify(Some(pin), chain), Err(Error::InvalidCertificate(_))));
        }
        // The right CA beside a certificate that is not of it.
        let mixed = vec![other[0].clone(), mine[1].clone()];
        assert!(verify(Some(&hash), &mixed).is_err());
        assert!(verify(Some(&hash), &mine[..1]).is_err());
        let (hash, worker) = chain("worker.example");
        assert!(verify(Some(&hash), &worker).is_err(), "one of the CA that is no master");
    }

    #[test]
    fn what_no_try_mends_is_told_apart_from_what_passes() {
        let of = |error: Error| why_not(&io::Error::new(ErrorKind::InvalidData, error));
        assert_eq!(of(Error::InvalidCertificate(CertificateError::UnknownIssuer)), Some(NotIt::AnotherCa));
        let no_tls = Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        assert_eq!(of(no_tls), Some(NotIt::NoTls));
        assert_eq!(of(Error::HandshakeNotComplete), None);
        assert_eq!(why_not(&ErrorKind::ConnectionRefused.into()), None);
    }
}
