//! The cluster's certificate authority: made by the first start that needs it, its key sealed in the store. Knows how to
//! sign, not for whom.

use super::PkiError;
use crate::mailbox::AskError;
use crate::secrets::Secrets;
use cloudai_core::ids::Term;
use cloudai_core::time::Timestamp;
use cloudai_store::Store;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The fact with the certificate, as PEM.
const CERTIFICATE: &str = "ca/cert";
/// The fact with the sealed key.
pub(crate) const KEY: &str = "ca/key";
/// How long it is valid: ten years. Who joins after that joins another cluster.
const LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// By how much a clock that reads a certificate may be behind this one.
const SKEW: Duration = Duration::from_secs(60 * 60);
/// No certificate can say a later time: the year 9892.
const LATEST: Duration = Duration::from_secs(250_000_000_000);

/// The authority. Its `Debug` shows no key.
#[derive(Debug)]
pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

impl Ca {
    /// The stored one; a new one where there is none, which the answer tells.
    /// # Errors
    /// [`PkiError`]: it can not be read, opened or kept.
    pub(super) async fn open(
        store: &dyn Store,
        secrets: &Secrets,
        (term, now): (Term, Timestamp),
        cluster: &str,
    ) -> Result<(Self, bool), PkiError> {
        let (key, fresh) = match secrets.own(KEY).await? {
            Some(sealed) => (KeyPair::try_from(sealed?.as_slice())?, false),
            None => {
                let key = KeyPair::generate()?;
                secrets.put_own((term, now), KEY, key.serialized_der()).await?;
                (key, true)
            }
        };
        // A start that was cut off may have left the key alone.
        let pem = match store.fact(CERTIFICATE).await.map_err(AskError::from)? {
            Some(pem) => pem,
            None => {
                let pem = params(cluster, now).self_signed(&key)?.pem();
                store.set_fact(term, CERTIFICATE, &pem).await.map_err(AskError::from)?;
                pem
            }
        };
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|why| PkiError::damaged(CERTIFICATE, &why))?;
        Ok((Self { issuer: Issuer::new(params(cluster, now), key), der, pem }, fresh))
    }

    /// Signs a certificate for a key.
    /// # Errors
    /// What the certificate is to say can not be said in one.
    pub(super) fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Result<Certificate, PkiError> {
        Ok(params.signed_by(key, &self.issuer)?)
    }

    pub(super) const fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// What join tokens name it by.
    pub(super) fn hash(&self) -> String {
        hex::encode(Sha256::digest(&self.der))
    }
}

/// What its certificate says; with the same name every other certificate names it as its issuer.
fn params(cluster: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(&format!("CloudAI CA {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, LIFE);
    params
}

/// A name with nothing but its last part.
pub(super) fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

/// Makes a certificate valid from now on; a little earlier, for clocks that are behind.
pub(super) fn valid(params: &mut CertificateParams, now: Timestamp, life: Duration) {
    let epoch = date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| time.since(Timestamp::ZERO).min(LATEST);
    params.not_before = epoch + at(now - SKEW.min(life / 10));
    params.not_after = epoch + at(now + life);
}
