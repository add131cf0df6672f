//! Who this worker is to a master that asks: its key, its certificate and the CA that both are of, in its data folder.
//! Gets the first certificate for a join token, and the next one in time.

use crate::absence::why;
use crate::client::{self, AddressError, Master};
use crate::files;
use crate::link::{ANSWER, Because, Refused, UNANSWERED, is_refusal};
use crate::machine::Dial;
use crate::tls::{self, NotIt, Terms};
use arc_swap::ArcSwapOption;
use cloudai_core::ids::WorkerId;
use cloudai_proto::v1 as pb;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

const KEY: &str = "worker.key";
const CERTIFICATE: &str = "worker.crt";
const CA: &str = "ca.crt";
/// The word that stands for a token on a machine whose master takes workers without.
const OPEN: &str = "open";
/// How often it looks whether it is time for the next certificate, at least and at most.
const LOOK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));
/// After a try to get the next one that failed.
const AGAIN: Duration = Duration::from_secs(60);

/// What a worker was given to join.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Nothing.
    None,
    /// The word for a master that wants none.
    Open,
    /// One that names the CA, by its hash.
    Pinned { text: String, ca: String },
    /// One that does not: it is for a master without security.
    Plain(String),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Reads `cai1-<hash of the CA>-<secret>`; everything else names no CA.
    pub(crate) fn read(text: &str) -> Self {
        let hash = text.strip_prefix("cai1-").and_then(|rest| rest.split_once('-')).map(|(hash, _)| hash);
        match hash.filter(|hash| hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit())) {
            _ if text.is_empty() => Self::None,
            _ if text == OPEN => Self::Open,
            Some(hash) => Self::Pinned { text: text.to_owned(), ca: hash.to_ascii_lowercase() },
            None => Self::Plain(text.to_owned()),
        }
    }

    /// What of the CA is known by it.
    fn pin(&self) -> Option<&str> {
        match self {
            Self::Pinned { ca, .. } => Some(ca),
            Self::None | Self::Open | Self::Plain(_) => None,
        }
    }
}

/// Why a worker has no certificate yet.
#[derive(Debug)]
pub(crate) enum NotYet {
    /// Trying again does not mend it.
    Refused(Refused),
    /// It may, and why it did not come about now.
    Later(String),
}

impl From<Refused> for NotYet {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// A certificate in use.
#[derive(Debug)]
struct Current {
    terms: Terms,
    /// The same certificate as the master sees it that calls.
    shown: Arc<CertifiedKey>,
    /// The hash of its CA.
    ca: String,
    /// Since the epoch.
    from: Duration,
    until: Duration,
}

impl Current {
    /// When a third of its life is left.
    fn due(&self) -> Duration {
        self.until.saturating_sub(self.until.saturating_sub(self.from) / 3)
    }
}

/// Who a worker is.
#[derive(Debug)]
pub(crate) struct Identity {
    worker: WorkerId,
    dir: PathBuf,
    address: String,
    dial: Option<Arc<dyn Dial>>,
    token: Token,
    current: ArcSwapOption<Current>,
    /// Whether the master has let this worker in since it began.
    met: AtomicBool,
}

impl Identity {
    /// With the certificate that an earlier life got, if it did.
    /// # Errors
    /// The folder can not be read.
    pub(crate) fn open(
        (worker, dir): (WorkerId, PathBuf),
        (address, dial): (String, Option<Arc<dyn Dial>>),
        token: Token,
    ) -> io::Result<Self> {
        let current = ArcSwapOption::from(load(&dir, &worker)?.map(Arc::new));
        Ok(Self { worker, dir, address, dial, token, current, met: AtomicBool::new(false) })
    }

    /// With what the next connection is made.
    /// # Errors
    /// There is no certificate yet.
    pub(crate) fn terms(&self) -> io::Result<Terms> {
        let current = self.current.load_full();
        let none = || io::Error::new(ErrorKind::NotConnected, "this worker has no certificate yet");
        Ok(current.ok_or_else(none)?.terms.clone())
    }

    /// What a master that calls is shown, and what ends its connection: the next certificate. None before the first one.
    pub(crate) fn shown(&self) -> Option<(Arc<CertifiedKey>, CancellationToken)> {
        self.current.load().as_ref().map(|current| (Arc::clone(&current.shown), current.terms.ends.clone()))
    }

    /// The hash of the CA whose masters are followed: that of the certificate, before the first one that of the token.
    pub(crate) fn ca(&self) -> Option<String> {
        let current = self.current.load().as_ref().map(|current| current.ca.clone());
        current.or_else(|| self.token.pin().map(str::to_owned))
    }

    /// The master has let it in: from now on it is only away when it does not answer.
    pub(crate) fn met(&self) {
        self.met.store(true, Ordering::Relaxed);
    }

    /// Sees to it that there is a certificate, and once that it is of this master.
    pub(crate) async fn ensure(&self) -> Result<(), NotYet> {
        let Some(current) = self.current.load_full() else { return self.enrol().await };
        if let Some(pin) = self.token.pin().filter(|pin| *pin != current.ca) {
            let why = format!(
                "{} has a certificate of the CA {}, and the join token is of the CA {pin}: give another --data-dir, or the \
                 join token of the cluster that this folder belongs to",
                self.dir.display(),
                current.ca
            );
            return Err(Refused::here(why, Because::Other).into());
        }
        if since_epoch() > current.until {
            return self.enrol().await;
        }
        if self.met.load(Ordering::Relaxed) { Ok(()) } else { self.probe(&current.terms, &current.ca).await }
    }

    /// Looks who answers: a call would not say why it did not come about.
    async fn probe(&self, terms: &Terms, ca: &str) -> Result<(), NotYet> {
        let Err(error) = tls::open(&self.address, self.dial.as_ref(), terms).await else { return Ok(()) };
        let address = &self.address;
        let why = match tls::why_not(&error) {
            Some(NotIt::AnotherCa) => format!(
                "what answers at {address} is no master of the CA {ca}: check --master; if it is the right one, print its \
                 join token there with `cloudai worker token` and give it with --join-token, and another --data-dir"
            ),
            Some(NotIt::NoTls) => format!(
                "what answers at {address} does not speak TLS: check --master; a master that was started with --insecure \
                 lets workers in with the token that `cloudai worker token` prints there"
            ),
            None => return Err(NotYet::Later(error.to_string())),
        };
        Err(Refused::here(why, Because::Token).into())
    }

    /// Gets the first certificate.
    async fn enrol(&self) -> Result<(), NotYet> {
        let token = match &self.token {
            Token::Pinned { text, .. } => text.clone(),
            Token::Open if is_loopback(&self.address) => String::new(),
            Token::Open => {
                let why = format!(
                    "--join-token {OPEN} is for a master on this machine, and {} is another one: print a token there with \
                     `cloudai worker token`",
                    self.address
                );
                return Err(Refused::here(why, Because::Token).into());
            }
            Token::None | Token::Plain(_) => return Err(self.no_token().into()),
        };
        let pin = self.token.pin();
        let terms = tls::first(pin).map_err(|error| broken(&error))?;
        self.probe(&terms, pin.unwrap_or("of its own")).await?;
        let master = client::on(&self.address, self.dial.clone(), terms).map_err(|error| wrong(&error))?;
        self.ask(master, token).await?;
        info!(worker = %self.worker, "certificate received");
        Ok(())
    }

    fn no_token(&self) -> Refused {
        let file = self.dir.join(CERTIFICATE);
        let what = if file.exists() { "is over, or not of this worker" } else { "is not there" };
        let why = format!(
            "{} {what}, and no join token was given: print one on the master with `cloudai worker token` and give it with \
             --join-token or CLOUDAI_JOIN_TOKEN",
            file.display()
        );
        Refused::here(why, Because::Token)
    }

    /// Asks for a certificate and keeps it.
    async fn ask(&self, mut master: Master, token: String) -> Result<(), NotYet> {
        let csr_pem = self.request().map_err(|error| self.folder(&error))?;
        let asked = pb::EnrollRequest { token, worker_id: self.worker.to_string(), csr_pem };
        match tokio::time::timeout(ANSWER, master.enroll_worker(asked)).await {
            Ok(Ok(ack)) => self.keep(&ack.into_inner()),
            Ok(Err(status)) if is_refusal(status.code()) => Err(Refused::from(&status).into()),
            Ok(Err(status)) => Err(NotYet::Later(why(&status).to_owned())),
            Err(_) => Err(NotYet::Later(UNANSWERED.to_owned())),
        }
    }

    /// A request for a certificate; the key is on the disk before anybody hears of it, and stays the same.
    fn request(&self) -> io::Result<String> {
        let made = |error: rcgen::Error| io::Error::other(error);
        let key = match std::fs::read_to_string(self.dir.join(KEY)) {
            Ok(text) => KeyPair::from_pem(&text).map_err(made)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = KeyPair::generate().map_err(made)?;
                files::replace_private(&self.dir, KEY, key.serialize_pem().as_bytes())?;
                key
            }
            Err(error) => return Err(error),
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.worker.as_str());
        params.serialize_request(&key).and_then(|request| request.pem()).map_err(made)
    }

    /// Keeps what the master gave, and uses it for the next connection; the present ones end.
    fn keep(&self, given: &pb::EnrollAck) -> Result<(), NotYet> {
        let ca = CertificateDer::from_pem_slice(given.ca_pem.as_bytes()).map_err(|error| broken(&error))?;
        if self.token.pin().is_some_and(|pin| pin != hash(&ca)) {
            return Err(broken(&"the master gave a certificate of another CA than its own").into());
        }
        files::replace(&self.dir, CA, given.ca_pem.as_bytes()).map_err(|error| self.folder(&error))?;
        files::replace(&self.dir, CERTIFICATE, given.certificate_pem.as_bytes())
            .map_err(|error| self.folder(&error))?;
        let current = load(&self.dir, &self.worker).map_err(|error| self.folder(&error))?;
        let current = current.ok_or_else(|| broken(&"the master gave a certificate that is not of this worker"))?;
        if let Some(before) = self.current.swap(Some(Arc::new(current))) {
            before.terms.ends.cancel();
        }
        Ok(())
    }

    fn folder(&self, error: &io::Error) -> Refused {
        let why = format!("the key and the certificate in {} can not be used: {error}", self.dir.display());
        Refused::here(why, Because::Other)
    }

    /// Gets the next certificate whenever a third of the life of the present one is left.
    pub(crate) async fn keep_fresh(self: Arc<Self>, master: Master) {
        loop {
            let left = self.current.load().as_ref().map(|current| current.due().saturating_sub(since_epoch()));
            let Some(Duration::ZERO) = left else {
                tokio::time::sleep(left.unwrap_or(LOOK.0).clamp(LOOK.0, LOOK.1)).await;
                continue;
            };
            match self.ask(master.clone(), String::new()).await {
                Ok(()) => info!(worker = %self.worker, "certificate renewed"),
                Err(NotYet::Later(why)) => {
                    debug!(why, "certificate not renewed, tried again");
                    tokio::time::sleep(AGAIN).await;
                }
                Err(NotYet::Refused(refused)) => {
                    warn!(%refused, "certificate not renewed, tried again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

/// What is in the folder, where it is the certificate of this worker and all of it is there.
fn load(dir: &Path, worker: &WorkerId) -> io::Result<Option<Current>> {
    let read = |name: &str| match std::fs::read(dir.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let (Some(ca), Some(certificate), Some(key)) = (read(CA)?, read(CERTIFICATE)?, read(KEY)?) else {
        return Ok(None);
    };
    let damaged =
        |why: &dyn fmt::Display| io::Error::new(ErrorKind::InvalidData, format!("{why}: remove {CERTIFICATE}"));
    let ca = CertificateDer::from_pem_slice(&ca).map_err(|error| damaged(&error))?;
    let certificate = CertificateDer::from_pem_slice(&certificate).map_err(|error| damaged(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| damaged(&error))?;
    let (name, from, until) = said(&certificate).ok_or_else(|| damaged(&"the certificate can not be read"))?;
    if name != worker.as_str() {
        warn!(is = name, "certificate of another worker found, not used");
        return Ok(None);
    }
    let shown = tls::shown(&ca, &certificate, &key).map_err(|error| damaged(&error))?;
    let terms = tls::known(&ca, certificate, key).map_err(|error| damaged(&error))?;
    Ok(Some(Current { terms, shown, ca: hash(&ca), from, until }))
}

/// The name in a certificate, and from when until when it is valid.
fn said(certificate: &CertificateDer<'_>) -> Option<(String, Duration, Duration)> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
    let since = |time: i64| u64::try_from(time).ok().map(Duration::from_secs);
    let validity = certificate.validity();
    Some((name, since(validity.not_before.timestamp())?, since(validity.not_after.timestamp())?))
}

fn hash(ca: &CertificateDer<'_>) -> String {
    hex::encode(Sha256::digest(ca))
}

fn broken(why: &dyn fmt::Display) -> Refused {
    Refused::here(format!("{why}: bring worker and master to one version of cloudai"), Because::Other)
}

fn wrong(error: &AddressError) -> Refused {
    Refused::here(error.to_string(), Because::Other)
}

/// Whether an address is of this machine.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_that_names_a_ca_is_told_apart_from_one_that_does_not() {
        let hash = "ab".repeat(32);
        let text = format!("cai1-{hash}-{}", "0".repeat(32));
        assert_eq!(Token::read(&text), Token::Pinned { text: text.clone(), ca: hash.clone() });
        for plain in ["cai1-0-token", "t", &format!("cai2-{hash}-1"), &format!("cai1-{hash}"), &text[..60]] {
            assert_eq!(Token::read(plain), Token::Plain(plain.to_owned()));
        }
        assert_eq!((Token::read(""), Token::read("open")), (Token::None, Token::Open));
    }

    fn identity(dir: &Path, token: &str) -> Identity {
        let whose = ("w1".parse().unwrap(), dir.to_owned());
        Identity::open(whose, ("127.0.0.1:1".into(), None), Token::read(token)).unwrap()
    }

    #[test]
    fn the_key_is_its_owners_alone_and_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let identity = identity(dir.path(), "");
        let request = identity.request().unwrap();
        assert!(request.contains("CERTIFICATE REQUEST"));
        let file = dir.path().join(KEY);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let key = std::fs::read(&file).unwrap();
        identity.request().unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), key);
        assert!(identity.terms().is_err(), "there is no certificate yet");
    }

    #[tokio::test]
    async fn without_a_token_it_says_where_one_is_printed() {
        let dir = tempfile::tempdir().unwrap();
        let Err(NotYet::Refused(refused)) = identity(dir.path(), "").ensure().await else { panic!("it was let in") };
        assert!(refused.to_string().contains("cloudai worker token"), "{refused}");
        let far = Identity { address: "10.0.0.1:50051".into(), token: Token::Open, ..identity(dir.path(), "") };
        let Err(NotYet::Refused(refused)) = far.ensure().await else { panic!("it was let in") };
        assert!(refused.to_string().contains("another one"), "{refused}");
    }

    #[test]
    fn the_next_certificate_is_due_when_a_third_of_the_life_is_left() {
        let (terms, shown) = (tls::first(None).unwrap(), crate::caller::nobody().unwrap());
        let (from, until) = (Duration::from_secs(1000), Duration::from_secs(1300));
        assert_eq!(Current { terms, shown, ca: String::new(), from, until }.due(), Duration::from_secs(1200));
    }
}
