//! Who is at the other end of a TLS connection: the certificate that it showed, read, and the terms on which connections
//! are taken. Trusts nothing but the cluster's CA.

use super::PkiError;
use cloudai_core::ids::WorkerId;
use cloudai_core::time::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::server::{ResolvesServerCert, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;

/// What the certificate of a worker says. The CA signed it: it was looked at when the connection was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) worker: WorkerId,
    /// As hex.
    pub(crate) serial: String,
    pub(crate) not_after: Timestamp,
}

impl Shown {
    /// Reads one; none of what is no certificate of a worker of this cluster.
    pub(crate) fn read(der: &CertificateDer<'_>, cluster: &str) -> Option<Self> {
        use x509_parser::extensions::GeneralName;
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
        let names = certificate.subject_alternative_name().ok()??;
        let expected = uri(cluster, name);
        let says = |name: &GeneralName<'_>| matches!(name, GeneralName::URI(uri) if *uri == expected);
        let until = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
        names.value.general_names.iter().any(says).then_some(())?;
        Some(Self {
            worker: name.parse().ok()?,
            serial: hex::encode(certificate.raw_serial()),
            not_after: Timestamp::from_millis(until.checked_mul(1000)?),
        })
    }
}

/// What names a worker in its certificate.
pub(super) fn uri(cluster: &str, worker: &str) -> String {
    format!("cloudai://{cluster}/worker/{worker}")
}

/// On what terms connections of workers are taken: a certificate need not be shown, for the first call has none; one that
/// is shown must be of this CA.
/// # Errors
/// [`PkiError`].
pub(super) fn terms(
    ca: &CertificateDer<'static>,
    shown: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, PkiError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone())?;
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|why| PkiError::damaged("ca/cert", &why))?;
    let mut terms = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(shown);
    terms.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(terms))
}
