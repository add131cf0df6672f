//! Who is who among machines: the cluster's CA, the certificates of its master and workers, and the tokens by which
//! workers get theirs.
//!
//! [`ca`] signs, [`names`] is the master's own certificate, [`tokens`] let workers ask, [`issued`] knows what they were
//! given, [`verify`] reads what they show, [`calling`] is for calls of the master to them. People are not known here.

mod ca;
mod calling;
mod issued;
mod names;
#[cfg(test)]
mod tests;
pub mod tokens;
mod verify;

pub(crate) use ca::KEY as CA_KEY;
pub(crate) use calling::About;
pub(crate) use tokens::FIRST_TEXT;
pub(crate) use verify::Shown;

use crate::mailbox::AskError;
use crate::secrets::{KeyError, Secrets};
use crate::security::{Registration, Secured};
use ca::Ca;
use cloudai_core::ids::{Term, WorkerId};
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
use issued::{CertRecord, Issued};
use names::Server;
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, ExtendedKeyUsagePurpose, KeyUsagePurpose, PublicKeyData,
    SanType, SerialNumber,
};
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use tokens::{TokenRecord, TokenState, Tokens};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// The longest request for a certificate: one of a plain key is below a kilobyte.
const MAX_CSR: usize = 16 << 10;

/// Why the certificates of a cluster can not be had.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The store did not give or take something.
    #[error("the certificates of the cluster can not be read or kept: {0}")]
    Ask(#[from] AskError),
    /// Its key can not be opened.
    #[error(
        "the cluster's CA can not be opened: {0}; without it no worker is let in. The file is named by secrets.key_file"
    )]
    Key(#[from] KeyError),
    /// What is stored is not what it should be.
    #[error("{what} of the cluster's data is damaged: {why}; restore a backup")]
    Damaged {
        /// Which fact.
        what: String,
        /// How.
        why: String,
    },
    /// A certificate can not be made.
    #[error("a certificate can not be made: {0}; if tls.names was changed just now, look there")]
    Certificate(#[from] rcgen::Error),
    /// A certificate can not be used.
    #[error("a certificate can not be used: {0}")]
    Tls(#[from] rustls::Error),
}

impl PkiError {
    fn damaged(what: &str, why: &dyn std::fmt::Display) -> Self {
        Self::Damaged { what: what.to_owned(), why: why.to_string() }
    }
}

/// Why a machine is not let in; the text says what lets it in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(
        "the call shows no certificate: start the worker with --join-token, which `cloudai worker token` prints on the \
         master's machine"
    )]
    NoCertificate,
    #[error(
        "no join token was shown: print one on the master with `cloudai worker token` and give it with --join-token or \
         CLOUDAI_JOIN_TOKEN"
    )]
    NoToken,
    #[error(
        "the join token is wrong: print the right one on the master with `cloudai worker token` and give it with \
         --join-token or CLOUDAI_JOIN_TOKEN"
    )]
    WrongToken,
    #[error(
        "the join token {0} was for one worker, and was used: make another on the master with `cloudai worker token \
         --new --single-use`"
    )]
    UsedToken(String),
    #[error("the time of the join token {0} is over: make another on the master with `cloudai worker token --new`")]
    ExpiredToken(String),
    #[error("the join token {0} was revoked: make another on the master with `cloudai worker token --new`")]
    RevokedToken(String),
    #[error(
        "the certificate of {0} was revoked when the worker was removed: to let it in again, remove worker.crt from its \
         data folder and start it with --join-token, which `cloudai worker token` prints on the master's machine"
    )]
    Revoked(WorkerId),
    #[error(
        "the certificate of {0} is over: start the worker with --join-token, which `cloudai worker token` prints on the \
         master's machine"
    )]
    Over(WorkerId),
    #[error(
        "the certificate is that of {is}, and the call is about {asked}: no worker speaks for another; give each a \
         --data-dir of its own, and its own --id"
    )]
    AnotherName { is: WorkerId, asked: WorkerId },
    #[error("no worker {0} is registered, and this cluster takes no others: cloudai worker register {0}")]
    NotRegistered(WorkerId),
    #[error(
        "another machine has a certificate as {0}: give this one another --id; if {0} was set up anew, `cloudai worker \
         remove {0}` takes the old certificate back"
    )]
    Taken(WorkerId),
    #[error("the request for a certificate can not be read: {0}; bring both to one version of cloudai")]
    BadRequest(String),
}

/// Why a certificate was not given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotGiven {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Failed(#[from] PkiError),
}

impl From<AskError> for NotGiven {
    fn from(error: AskError) -> Self {
        Self::Failed(error.into())
    }
}

/// Who wants a certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) worker: &'a WorkerId,
    /// Whether the cluster knows a worker of this name.
    pub(crate) known: bool,
    pub(crate) token: &'a str,
    pub(crate) csr: &'a str,
    /// What the connection showed.
    pub(crate) shown: Option<&'a Shown>,
}

/// A certificate that was given.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) certificate: String,
    pub(crate) not_after: Timestamp,
}

/// The certificates of a cluster.
#[derive(Debug)]
pub struct Pki {
    ca: Arc<Ca>,
    server: Arc<Server>,
    terms: Arc<ServerConfig>,
    calls: calling::Terms,
    tokens: Tokens,
    issued: Issued,
    registration: Registration,
    /// How long the certificates of workers are valid.
    life: Duration,
    cluster: String,
    term: Term,
    wall: fn() -> Duration,
    /// One change at a time: a token for one worker is used once.
    changing: tokio::sync::Mutex<()>,
}

impl Pki {
    /// Those that are stored; the first start makes them, which the answer tells.
    /// # Errors
    /// [`PkiError`].
    pub(crate) async fn open(
        store: &Arc<dyn Store>,
        secrets: &Secrets,
        (term, cluster, wall): (Term, &str, fn() -> Duration),
        secured: &Secured,
    ) -> Result<(Self, bool), PkiError> {
        let now = Timestamp::ZERO + wall();
        let (ca, first_start) = Ca::open(&**store, secrets, (term, now), cluster).await?;
        let ca = Arc::new(ca);
        let names = names::all(&secured.names, &secured.addresses);
        let server = Arc::new(Server::new(Arc::clone(&ca), names, wall)?);
        let terms = verify::terms(ca.der(), Arc::clone(&server) as Arc<dyn ResolvesServerCert>)?;
        let calls = calling::Terms::new(ca.der(), &server)?;
        let tokens = Tokens::open(store, secrets, (term, now), ca.hash()).await?;
        let issued = Issued::open(store, (term, now)).await?;
        let pki = Self {
            ca,
            server,
            terms,
            calls,
            tokens,
            issued,
            registration: secured.registration,
            life: secured.worker_life,
            cluster: cluster.to_owned(),
            term,
            wall,
            changing: tokio::sync::Mutex::default(),
        };
        Ok((pki, first_start))
    }

    /// The certificate of the CA.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    /// Its SHA-256, as hex: what join tokens name it by.
    #[must_use]
    pub fn ca_hash(&self) -> String {
        self.ca.hash()
    }

    /// The master's own certificate, which is made anew in time.
    #[must_use]
    pub fn server(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::clone(&self.server) as Arc<dyn ResolvesServerCert>
    }

    /// On what terms connections of workers are taken.
    pub(crate) fn terms(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.terms)
    }

    /// The join token that the first start made.
    #[must_use]
    pub fn first_token(&self) -> &str {
        self.tokens.first()
    }

    /// What that one is good for.
    #[must_use]
    pub fn first_token_state(&self) -> TokenState {
        self.tokens.get(tokens::FIRST).map_or(TokenState::Revoked, |record| record.state(self.now()))
    }

    /// What the wall clock says: that is what certificates are held against.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::ZERO + (self.wall)()
    }

    /// What a connection showed.
    pub(crate) fn read(&self, certificate: &rustls::pki_types::CertificateDer<'_>) -> Option<Shown> {
        Shown::read(certificate, &self.cluster)
    }

    /// What ends the connection that showed this.
    pub(crate) fn ends(&self, shown: &Shown) -> CancellationToken {
        self.issued.seen(&shown.serial, &shown.worker, shown.not_after)
    }

    /// Which worker calls: asked with every call, for a certificate may have been taken back since.
    pub(crate) fn admit(&self, shown: Option<&Shown>) -> Result<WorkerId, Refusal> {
        let shown = shown.ok_or(Refusal::NoCertificate)?;
        if self.issued.is_revoked(&shown.serial) {
            return Err(Refusal::Revoked(shown.worker.clone()));
        }
        if self.now() > shown.not_after {
            return Err(Refusal::Over(shown.worker.clone()));
        }
        Ok(shown.worker.clone())
    }

    /// Whether an external agent may place that shows this token.
    pub(crate) fn admit_agent(&self, token: &str) -> Result<(), Refusal> {
        self.tokens.admits(token, self.now(), None).map(drop)
    }

    /// Gives a worker its certificate, or the next one.
    pub(crate) async fn give(&self, wanted: Wanted<'_>) -> Result<Given, NotGiven> {
        let request = read_request(wanted.csr)?;
        let key = hex::encode(Sha256::digest(request.public_key.der_bytes()));
        let _alone = self.changing.lock().await;
        let worker = wanted.worker;
        if wanted.token.is_empty() && wanted.shown.is_some() {
            let is = self.admit(wanted.shown)?;
            if is != *worker {
                return Err(Refusal::AnotherName { is, asked: worker.clone() }.into());
            }
        } else {
            let token = match self.registration {
                Registration::Open if wanted.token.is_empty() => None,
                Registration::Open | Registration::Token | Registration::Preregistered => {
                    Some(self.tokens.admits(wanted.token, self.now(), Some(&key))?)
                }
            };
            if self.registration == Registration::Preregistered && !wanted.known {
                return Err(Refusal::NotRegistered(worker.clone()).into());
            }
            if self.issued.holds_another(worker, &key, self.now()) {
                return Err(Refusal::Taken(worker.clone()).into());
            }
            if let Some(token) = token {
                self.tokens.used(self.term, &token, &key).await?;
            }
        }
        self.sign(worker, &request, key).await
    }

    async fn sign(
        &self,
        worker: &WorkerId,
        request: &CertificateSigningRequestParams,
        key: String,
    ) -> Result<Given, NotGiven> {
        let now = self.now();
        // Certificates tell whole seconds.
        let not_after = Timestamp::from_millis((now + self.life).as_millis() / 1000 * 1000);
        let mut serial: [u8; 16] = rand::random();
        // A positive number of always the same length.
        serial[0] = (serial[0] & 0x7f) | 0x40;
        let mut params = CertificateParams::default();
        params.distinguished_name = ca::named(worker.as_str());
        let uri = verify::uri(&self.cluster, worker.as_str());
        params.subject_alt_names = vec![SanType::URI(uri.try_into().map_err(PkiError::from)?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(serial.to_vec()));
        ca::valid(&mut params, now, not_after.since(now));
        let certificate = self.ca.sign(&params, &request.public_key)?.pem();
        let record = CertRecord { worker: worker.clone(), key: Some(key), not_after, revoked: false };
        let serial = hex::encode(serial);
        self.issued.keep((self.term, now), &serial, record).await?;
        info!(%worker, serial, "certificate given to a worker");
        Ok(Given { certificate, not_after })
    }

    /// Takes back every certificate of a worker, at once; answers how many.
    pub(crate) async fn revoke(&self, worker: &WorkerId) -> Result<usize, AskError> {
        let _alone = self.changing.lock().await;
        let taken = self.issued.revoke(self.term, worker).await?;
        if taken > 0 {
            info!(%worker, certificates = taken, "certificates of a worker revoked");
        }
        Ok(taken)
    }

    /// Every join token, without its text.
    #[must_use]
    pub fn tokens(&self) -> Vec<(String, TokenRecord)> {
        self.tokens.list()
    }

    /// Makes a join token: its id, its text, what is kept of it. None when there are too many.
    /// # Errors
    /// [`AskError`].
    pub async fn make_token(
        &self,
        reusable: bool,
        life: Option<Duration>,
    ) -> Result<Option<(String, String, TokenRecord)>, AskError> {
        let _alone = self.changing.lock().await;
        self.tokens.make((self.term, self.now()), reusable, life).await
    }

    /// Takes a join token back; answers whether there is such a one. Workers that it let in stay.
    /// # Errors
    /// [`AskError`].
    pub async fn revoke_token(&self, id: &str) -> Result<bool, AskError> {
        let _alone = self.changing.lock().await;
        self.tokens.revoke(self.term, id).await
    }
}

/// Reads a request for a certificate, of which only the key counts; whoever sent it has that key.
fn read_request(csr: &str) -> Result<CertificateSigningRequestParams, Refusal> {
    if csr.len() > MAX_CSR {
        return Err(Refusal::BadRequest(format!("it has {} bytes, more than {MAX_CSR}", csr.len())));
    }
    CertificateSigningRequestParams::from_pem(csr).map_err(|why| Refusal::BadRequest(why.to_string()))
}
