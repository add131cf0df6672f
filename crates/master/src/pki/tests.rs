//! Who gets a certificate and who does not, on a store in memory and a clock that the tests set.

use super::*;
use crate::secrets::SecretRules;
use cloudai_store::memory::MemoryStore;
use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::cell::Cell;

pub(super) const DAY: u64 = 24 * 60 * 60;

thread_local! {
    /// Seconds since the epoch; every test has its own thread.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Some day, and what a test adds to it.
pub(super) fn wall() -> Duration {
    Duration::from_secs(1_800_000_000 + NOW.get())
}

/// Sets the clock to so many seconds after its beginning.
pub(super) fn at(seconds: u64) {
    NOW.set(seconds);
}

fn now() -> Timestamp {
    Timestamp::ZERO + wall()
}

/// What a master keeps.
pub(super) struct Disk {
    pub(super) store: Arc<dyn Store>,
    pub(super) secrets: Secrets,
    pub(super) term: Term,
}

impl Disk {
    pub(super) async fn new() -> Self {
        at(0);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let secrets = Secrets::open(SecretRules::default(), Arc::clone(&store)).unwrap();
        let term = store.lead().await.unwrap();
        Self { store, secrets, term }
    }

    async fn start(&self, registration: Registration) -> (Pki, bool) {
        let secured = Secured { registration, ..Secured::default() };
        Pki::open(&self.store, &self.secrets, (self.term, "c1", wall), &secured).await.unwrap()
    }
}

pub(super) async fn authority() -> (Ca, bool) {
    let disk = Disk::new().await;
    Ca::open(&*disk.store, &disk.secrets, (disk.term, now()), "c1").await.unwrap()
}

pub(super) fn id(name: &str) -> WorkerId {
    name.parse().unwrap()
}

pub(super) fn request(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = ca::named("whoever it says that it is");
    params.serialize_request(key).unwrap().pem().unwrap()
}

/// What a worker with this key gets for a token.
async fn given(pki: &Pki, name: &str, token: &str, key: &KeyPair) -> Result<Shown, Refusal> {
    renewed(pki, name, token, key, None).await
}

async fn renewed(pki: &Pki, name: &str, token: &str, key: &KeyPair, shown: Option<&Shown>) -> Result<Shown, Refusal> {
    let (worker, csr) = (id(name), request(key));
    match pki.give(Wanted { worker: &worker, known: name.starts_with("known"), token, csr: &csr, shown }).await {
        Ok(given) => {
            let der = CertificateDer::from_pem_slice(given.certificate.as_bytes()).unwrap();
            let shown = pki.read(&der).unwrap();
            assert_eq!(shown.not_after, given.not_after);
            Ok(shown)
        }
        Err(NotGiven::Refused(refusal)) => Err(refusal),
        Err(NotGiven::Failed(error)) => panic!("{error}"),
    }
}

pub(super) fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

#[tokio::test]
async fn the_first_start_makes_an_authority_and_a_token_and_every_later_one_finds_both() {
    let disk = Disk::new().await;
    let (first, fresh) = disk.start(Registration::Token).await;
    assert!(fresh && first.ca_pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(first.first_token().starts_with(&format!("cai1-{}-", first.ca_hash())));
    assert_eq!(first.first_token_state(), TokenState::Valid);
    let (second, fresh) = disk.start(Registration::Token).await;
    assert!(!fresh);
    assert_eq!((second.ca_pem(), second.first_token()), (first.ca_pem(), first.first_token()));
    let stored = disk.store.facts("").await.unwrap();
    for secret in ["PRIVATE", first.first_token().rsplit('-').next().unwrap()] {
        assert!(stored.iter().all(|(_, text)| !text.contains(secret)), "{secret} is stored as it is");
    }
}

#[tokio::test]
async fn a_lost_key_of_the_authority_stops_the_start_and_makes_no_other_one() {
    let disk = Disk::new().await;
    disk.start(Registration::Token).await;
    // The keys of this one lived as long as its master.
    let secrets = Secrets::open(SecretRules::default(), Arc::clone(&disk.store)).unwrap();
    let told = Pki::open(&disk.store, &secrets, (disk.term, "c1", wall), &Secured::default()).await.unwrap_err();
    assert!(told.to_string().contains("bring back the file"), "{told}");
}

#[tokio::test]
async fn a_token_gets_a_certificate_that_names_its_worker_and_is_good_until_it_is_over() {
    let disk = Disk::new().await;
    let (pki, _) = disk.start(Registration::Token).await;
    let shown = given(&pki, "w1", pki.first_token(), &key()).await.unwrap();
    assert_eq!((shown.worker.as_str(), shown.serial.len()), ("w1", 32));
    assert_eq!(pki.admit(Some(&shown)), Ok(id("w1")));
    at(30 * DAY - 10);
    assert_eq!(pki.admit(Some(&shown)), Ok(id("w1")));
    at(30 * DAY + 10);
    assert_eq!(pki.admit(Some(&shown)), Err(Refusal::Over(id("w1"))));
    assert_eq!(pki.admit(None), Err(Refusal::NoCertificate));
}

#[tokio::test]
async fn a_certificate_of_another_cluster_is_none_here() {
    let (one, other) = (Disk::new().await, Disk::new().await);
    let (pki, _) = one.start(Registration::Token).await;
    let secured = Secured::default();
    let (far, _) = Pki::open(&other.store, &other.secrets, (other.term, "c2", wall), &secured).await.unwrap();
    let csr = request(&key());
    let worker = id("w1");
    let wanted = Wanted { worker: &worker, known: false, token: far.first_token(), csr: &csr, shown: None };
    let certificate = far.give(wanted).await.unwrap().certificate;
    let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    assert!(far.read(&der).is_some() && pki.read(&der).is_none());
    let ca = CertificateDer::from_pem_slice(pki.ca_pem().as_bytes()).unwrap();
    assert!(pki.read(&ca).is_none(), "the authority is no worker");
    assert_eq!(given(&pki, "w1", far.first_token(), &key()).await, Err(Refusal::WrongToken));
}

#[tokio::test]
async fn a_token_for_one_worker_lets_one_in_and_that_one_again_when_it_did_not_hear_the_answer() {
    let disk = Disk::new().await;
    let (pki, _) = disk.start(Registration::Token).await;
    let (id, text, _) = pki.make_token(false, None).await.unwrap().unwrap();
    let first = key();
    let shown = given(&pki, "w1", &text, &first).await.unwrap();
    let again = given(&pki, "w1", &text, &first).await.unwrap();
    assert_ne!(shown.serial, again.serial);
    assert_eq!(given(&pki, "w2", &text, &key()).await, Err(Refusal::UsedToken(id.clone())));
    // Also in the next life.
    let (pki, _) = disk.start(Registration::Token).await;
    assert_eq!(given(&pki, "w2", &text, &key()).await, Err(Refusal::UsedToken(id)));
    assert_eq!(pki.admit(Some(&shown)), Ok("w1".parse().unwrap()));
}

#[tokio::test]
async fn a_token_that_is_wrong_revoked_or_over_lets_nobody_in() {
    let disk = Disk::new().await;
    let (pki, _) = disk.start(Registration::Token).await;
    let (id, text, _) = pki.make_token(true, Some(Duration::from_secs(60))).await.unwrap().unwrap();
    for wrong in ["cai1-", "x", "cai1-0-0", &text[..text.len() - 1], &text.replace("cai1-", "cai2-")] {
        assert_eq!(given(&pki, "w1", wrong, &key()).await, Err(Refusal::WrongToken), "{wrong}");
    }
    assert_eq!(given(&pki, "w1", "", &key()).await, Err(Refusal::NoToken));
    assert!(pki.admit_agent(&text).is_ok() && pki.admit_agent("").is_err());
    given(&pki, "w1", &text, &key()).await.unwrap();
    at(60);
    assert_eq!(given(&pki, "w2", &text, &key()).await, Err(Refusal::ExpiredToken(id)));
    assert!(pki.revoke_token(tokens::FIRST).await.unwrap() && !pki.revoke_token("none").await.unwrap());
    assert_eq!(pki.first_token_state(), TokenState::Revoked);
    let told = given(&pki, "w2", pki.first_token(), &key()).await.unwrap_err();
    assert_eq!(told, Refusal::RevokedToken(tokens::FIRST.into()));
    assert!(told.to_string().contains("cloudai worker token --new"), "{told}");
}

#[tokio::test]
async fn nobody_gets_a_certificate_as_a_worker_that_has_one_until_that_is_removed() {
    let disk = Disk::new().await;
    let (pki, _) = disk.start(Registration::Token).await;
    let old = given(&pki, "w1", pki.first_token(), &key()).await.unwrap();
    let fresh = key();
    assert_eq!(given(&pki, "w1", pki.first_token(), &fresh).await, Err(Refusal::Taken(id("w1"))));
    let ends = pki.ends(&old);
    assert_eq!(pki.revoke(&id("w1")).await.unwrap(), 1);
    assert!(ends.is_cancelled(), "its connections end");
    assert!(!pki.ends(&old).is_cancelled(), "a new one goes on until it was told why");
    assert_eq!(pki.admit(Some(&old)), Err(Refusal::Revoked(id("w1"))));
    let new = given(&pki, "w1", pki.first_token(), &fresh).await.unwrap();
    let (pki, _) = disk.start(Registration::Token).await;
    assert_eq!(pki.admit(Some(&old)), Err(Refusal::Revoked(id("w1"))), "also in the next life");
    assert_eq!(pki.admit(Some(&new)), Ok(id("w1")));
}

#[tokio::test]
async fn a_certificate_that_no_life_of_the_data_knows_is_good_until_its_worker_is_removed() {
    let disk = Disk::new().await;
    let (pki, _) = disk.start(Registration::Token).await;
    let shown = given(&pki, "w1", pki.first_token(), &key()).await.unwrap();
    disk.store.drop_fact(disk.term, &format!("cert/{}", shown.serial)).await.unwrap();
    let (restored, _) = disk.start(Registration::Token).await;
    let ends = restored.ends(&shown);
    assert_eq!(restored.admit(Some(&shown)), Ok(id("w1")));
    restored.revoke(&id("w1")).await.unwrap();
    assert!(ends.is_cancelled() && restored.admit(Some(&shown)).is_err());
}

#[tokio::test]
async fn a_worker_gets_the_next_certificate_for_the_one_that_it_has_and_for_its_own_name_alone() {
    let disk = Disk::new().await;
    let (pki, _) = disk.start(Registration::Token).await;
    let mine = key();
    let first = given(&pki, "w1", pki.first_token(), &mine).await.unwrap();
    at(20 * DAY);
    let next = renewed(&pki, "w1", "", &mine, Some(&first)).await.unwrap();
    assert!(next.not_after > first.not_after);
    let other = Refusal::AnotherName { is: id("w1"), asked: id("w2") };
    assert_eq!(renewed(&pki, "w2", "", &mine, Some(&next)).await, Err(other));
    pki.revoke(&id("w1")).await.unwrap();
    assert_eq!(renewed(&pki, "w1", "", &mine, Some(&next)).await, Err(Refusal::Revoked(id("w1"))));
}

#[tokio::test]
async fn workers_are_let_in_as_the_operator_says() {
    for (registration, name, with_token, expected) in [
        (Registration::Token, "w1", true, Ok(())),
        (Registration::Token, "w1", false, Err(Refusal::NoToken)),
        (Registration::Preregistered, "known-1", true, Ok(())),
        (Registration::Preregistered, "known-1", false, Err(Refusal::NoToken)),
        (Registration::Preregistered, "w1", true, Err(Refusal::NotRegistered(id("w1")))),
        (Registration::Open, "w1", false, Ok(())),
        (Registration::Open, "w1", true, Ok(())),
    ] {
        let (pki, _) = Disk::new().await.start(registration).await;
        let token = if with_token { pki.first_token() } else { "" };
        assert_eq!(given(&pki, name, token, &key()).await.map(drop), expected, "{registration:?} {name} {with_token}");
    }
}

#[tokio::test]
async fn a_request_must_be_signed_by_the_key_that_it_names() {
    let (pki, _) = Disk::new().await.start(Registration::Token).await;
    let good = request(&key());
    let broken: String = good.chars().map(|c| if c == 'A' { 'B' } else { c }).collect();
    for csr in ["", "no request", broken.as_str(), "x".repeat(MAX_CSR + 1).as_str()] {
        let worker = id("w1");
        let wanted = Wanted { worker: &worker, known: false, token: pki.first_token(), csr, shown: None };
        let told = pki.give(wanted).await.unwrap_err();
        assert!(matches!(told, NotGiven::Refused(Refusal::BadRequest(_))), "{told}");
    }
}

#[tokio::test]
async fn tokens_of_no_use_make_room_for_new_ones() {
    let (pki, _) = Disk::new().await.start(Registration::Token).await;
    for _ in 1..tokens::MOST {
        pki.make_token(true, Some(Duration::from_secs(60))).await.unwrap().unwrap();
    }
    assert!(pki.make_token(true, None).await.unwrap().is_none());
    at(61);
    assert!(pki.make_token(true, None).await.unwrap().is_some());
    assert_eq!(pki.tokens().len(), 2, "the first one and the new one");
}
