//! What ties the rows: each mac is over the mac in front of it and the row, and the head is signed.
//!
//! A key is used from a row on until the next begins. There is more than one only where a key was lost: then rows of
//! its
//! time can not be checked any more, which is told, and never taken for whole.

use super::row::canonical;
use cloudai_core::time::Timestamp;
use cloudai_store::audit::AuditRow;
use ring::hmac;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of a mac.
pub(super) const MAC: usize = 32;
/// What is in front of the first row.
pub(super) const NOTHING: [u8; MAC] = [0; MAC];
/// Bytes of what is kept: the key of the macs, then the seed of the signatures.
const KEPT: usize = 64;

/// The keys of a part of the log.
#[derive(Debug)]
pub(super) struct Keys {
    mac: hmac::Key,
    signer: Ed25519KeyPair,
}

impl Keys {
    /// What new keys are made of: random, and to be kept sealed.
    pub(super) fn fresh() -> Zeroizing<[u8; KEPT]> {
        let mut bytes = Zeroizing::new([0; KEPT]);
        let (mac, seed) = bytes.split_at_mut(KEPT / 2);
        mac.copy_from_slice(&Zeroizing::new(rand::random::<[u8; KEPT / 2]>())[..]);
        seed.copy_from_slice(&Zeroizing::new(rand::random::<[u8; KEPT / 2]>())[..]);
        bytes
    }

    /// The keys that were kept as these bytes; none when they are no keys.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; KEPT] = bytes.try_into().ok()?;
        let (mac, seed) = bytes.split_at(KEPT / 2);
        let signer = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        Some(Self { mac: hmac::Key::new(hmac::HMAC_SHA256, mac), signer })
    }

    /// What ties a row to the mac in front of it.
    pub(super) fn mac(&self, before: &[u8], row: &AuditRow) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.mac);
        context.update(before);
        context.update(&canonical(row));
        context.sign().as_ref().to_vec()
    }

    /// The head behind a row.
    pub(super) fn head(&self, cluster: &str, seq: u64, mac: &[u8], at: Timestamp) -> Head {
        let mut head = Head { seq, mac: hex::encode(mac), at, signature: String::new() };
        head.signature = hex::encode(self.signer.sign(&head.signed(cluster)));
        head
    }

    /// Whether it signed a head.
    pub(super) fn signed(&self, cluster: &str, head: &Head) -> bool {
        let public: &[u8] = self.signer.public_key().as_ref();
        let key = UnparsedPublicKey::new(&ED25519, public);
        hex::decode(&head.signature).is_ok_and(|signature| key.verify(&head.signed(cluster), &signature).is_ok())
    }

    /// By which everybody can check the signature of a head.
    pub(super) fn public(&self) -> String {
        hex::encode(self.signer.public_key().as_ref())
    }
}

/// The end of the log as its master signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The last row; 0 of a log that has none.
    pub(crate) seq: u64,
    /// Its mac, in hexadecimal digits.
    pub(crate) mac: String,
    /// When it was written.
    pub(crate) at: Timestamp,
    /// Of all that, by Ed25519, in hexadecimal digits.
    pub(crate) signature: String,
}

impl Head {
    /// The text that is signed.
    fn signed(&self, cluster: &str) -> Vec<u8> {
        let Self { seq, mac, at, signature: _ } = self;
        format!("cloudai audit head 1\n{cluster}\n{seq}\n{mac}\n{}\n", at.as_millis()).into_bytes()
    }

    /// What people keep elsewhere of it.
    pub(crate) fn short(&self) -> String {
        format!("{}:{}", self.seq, self.mac)
    }
}

/// From which row on which keys are used.
#[derive(Debug)]
pub(super) struct Era {
    pub(super) from: u64,
    /// None where they can not be had any more.
    pub(super) keys: Option<Keys>,
}

/// The keys of a row, where there is a time for it.
pub(super) fn era_of(eras: &[Era], seq: u64) -> Option<&Era> {
    eras.iter().rev().find(|era| era.from <= seq)
}
