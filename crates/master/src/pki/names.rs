//! The master's own certificate: which names it has, and that it is another one before it ends.

use super::PkiError;
use super::ca::{Ca, named, valid};
use arc_swap::ArcSwap;
use cloudai_core::time::Timestamp;
use cloudai_proto::MASTER_NAME;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{info, warn};

/// How long one is valid.
const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// After so long another one is shown.
const SHOWN: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// Shows the certificate, and makes the next one in time: it is looked at with every connection.
#[derive(Debug)]
pub(super) struct Server {
    ca: Arc<Ca>,
    names: Vec<String>,
    wall: fn() -> Duration,
    current: ArcSwap<Shown>,
    /// One makes the next.
    making: Mutex<()>,
}

#[derive(Debug)]
struct Shown {
    key: Arc<CertifiedKey>,
    until: Timestamp,
}

impl Server {
    /// # Errors
    /// A name that no certificate can have.
    pub(super) fn new(ca: Arc<Ca>, names: Vec<String>, wall: fn() -> Duration) -> Result<Self, PkiError> {
        let first = make(&ca, &names, Timestamp::ZERO + wall())?;
        Ok(Self { ca, names, wall, current: ArcSwap::from_pointee(first), making: Mutex::default() })
    }

    fn key(&self) -> Arc<CertifiedKey> {
        let now = Timestamp::ZERO + (self.wall)();
        let due = |shown: &Shown| now >= shown.until;
        if due(&self.current.load()) {
            let _alone = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            if due(&self.current.load()) {
                match make(&self.ca, &self.names, now) {
                    Ok(next) => {
                        self.current.store(Arc::new(next));
                        info!("server certificate made anew");
                    }
                    Err(error) => warn!(%error, "server certificate not made anew"),
                }
            }
        }
        Arc::clone(&self.current.load().key)
    }
}

impl ResolvesServerCert for Server {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

/// The master calls workers with the same certificate: by its name they know who calls.
impl ResolvesClientCert for Server {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn make(ca: &Ca, names: &[String], now: Timestamp) -> Result<Shown, PkiError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = named("CloudAI master");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, LIFE);
    let key = KeyPair::generate()?;
    let certificate = ca.sign(&params, &key)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let private = ring::sign::any_supported_type(&private)?;
    // The authority goes with it: a worker that knows only its hash finds it there.
    let chain = vec![certificate.der().clone(), ca.der().clone()];
    Ok(Shown { key: Arc::new(CertifiedKey::new(chain, private)), until: now + SHOWN })
}

/// The names of this master: what every one has, the machine's, where it listens, and what its operator gives.
pub(super) fn all(given: &[String], addresses: &[IpAddr]) -> Vec<String> {
    let ips = addresses.iter().flat_map(|ip| if ip.is_unspecified() { outward(*ip) } else { Some(*ip) });
    let ips = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)].into_iter().chain(ips);
    let names: BTreeSet<String> = [MASTER_NAME.to_owned(), "localhost".to_owned()]
        .into_iter()
        .chain(host())
        .chain(ips.map(|ip| ip.to_string()))
        .chain(given.iter().cloned())
        .collect();
    names.into_iter().collect()
}

/// The machine's name, where a certificate can have it.
fn host() -> Option<String> {
    let told = rustix::system::uname();
    let name = told.nodename().to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

/// The address by which this machine goes to others. Nothing is sent: the system only looks where it would go.
fn outward(any: IpAddr) -> Option<IpAddr> {
    let far = match any {
        IpAddr::V4(_) => SocketAddr::from(([192, 0, 2, 1], 9)),
        IpAddr::V6(_) => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 9)),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(far).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DAY, at, authority};
    use super::*;

    #[tokio::test]
    async fn the_certificate_is_another_one_before_it_ends() {
        let (ca, _) = authority().await;
        at(0);
        let server = Server::new(Arc::new(ca), all(&[], &[]), super::super::tests::wall).unwrap();
        let first = server.key();
        at(59 * DAY);
        assert_eq!(server.key().cert, first.cert);
        at(61 * DAY);
        let next = server.key();
        assert_ne!(next.cert, first.cert);
        assert_eq!(server.key().cert, next.cert, "it is kept");
        assert_eq!(next.cert.len(), 2, "the authority is with it");
    }

    #[test]
    fn a_master_has_its_own_name_those_of_the_machine_and_those_that_are_given() {
        let given = ["gpu.example.org".to_owned(), "10.0.0.9".to_owned()];
        let names = all(&given, &["10.0.0.7".parse().unwrap(), "127.0.0.1".parse().unwrap()]);
        for name in [MASTER_NAME, "localhost", "127.0.0.1", "::1", "10.0.0.7", "gpu.example.org", "10.0.0.9"] {
            assert_eq!(names.iter().filter(|known| *known == name).count(), 1, "{name}: {names:?}");
        }
        assert!(!all(&[], &["0.0.0.0".parse().unwrap()]).contains(&"0.0.0.0".to_owned()));
    }
}
