//! Who is called and who is not: the test answers in the place of workers, under the clock of this machine, which TLS looks at.

use super::super::tests::{Disk, id, key, request};
use super::super::{Secured, Wanted};
use super::*;
use cloudai_proto::MASTER_NAME;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server;

type Called = (io::Result<Cut<TlsStream<DuplexStream>>>, io::Result<server::TlsStream<DuplexStream>>);

fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

async fn cluster() -> Pki {
    let disk = Disk::new().await;
    let secured = Secured::default();
    Pki::open(&disk.store, &disk.secrets, (disk.term, "c1", clock), &secured).await.unwrap().0
}

/// What a worker gets.
async fn given(pki: &Pki, name: &str) -> (CertificateDer<'static>, KeyPair) {
    let (worker, key) = (id(name), key());
    let csr = request(&key);
    let wanted = Wanted { worker: &worker, known: false, token: pki.first_token(), csr: &csr, shown: None };
    let given = pki.give(wanted).await.unwrap();
    (CertificateDer::from_pem_slice(given.certificate.as_bytes()).unwrap(), key)
}

/// What nobody signed but who shows it.
fn own() -> (CertificateDer<'static>, KeyPair) {
    let key = key();
    (CertificateParams::default().self_signed(&key).unwrap().der().clone(), key)
}

/// One who answers, and lets nobody in but machines of a cluster.
fn answers(pki: &Pki, (certificate, key): (CertificateDer<'static>, KeyPair)) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = server_config(pki).with_single_cert(vec![certificate], key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

fn server_config(pki: &Pki) -> rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(pki.ca_pem().as_bytes()).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_client_cert_verifier(clients)
}

async fn call(pki: &Pki, who: TlsAcceptor, meant: &str, about: About) -> Called {
    let (near, far) = duplex(1 << 16);
    let meant = id(meant);
    tokio::join!(pki.call(near, &meant, about), who.accept(far))
}

async fn why_not(pki: &Pki, who: TlsAcceptor, meant: &str, about: About) -> String {
    call(pki, who, meant, about).await.0.unwrap_err().to_string()
}

#[tokio::test]
async fn a_worker_is_called_by_a_master_that_shows_the_name_of_masters() {
    let pki = cluster().await;
    let (master, worker) = call(&pki, answers(&pki, given(&pki, "w1").await), "w1", About::Commands).await;
    master.unwrap();
    let worker = worker.unwrap();
    let shown = &worker.get_ref().1.peer_certificates().unwrap()[0];
    let name = ServerName::try_from(MASTER_NAME).unwrap();
    assert_eq!(verify_server_name(&ParsedCertificate::try_from(shown).unwrap(), &name), Ok(()));
    assert!(pki.read(shown).is_none(), "it is no worker's");
}

#[tokio::test]
async fn whoever_is_not_the_worker_that_is_meant_is_told_nothing() {
    let (pki, far) = (cluster().await, cluster().await);
    let (mine, other) = (given(&pki, "w1").await, given(&pki, "w2").await);
    let of_far = given(&far, "w1").await;
    for about in [About::Commands, About::Place] {
        let other = answers(&pki, (other.0.clone(), KeyPair::from_pem(&other.1.serialize_pem()).unwrap()));
        let told = why_not(&pki, other, "w1", about).await;
        assert!(told.contains("worker w2 answers there") && told.contains("worker register w1"), "{told}");
        let of_far = (of_far.0.clone(), KeyPair::from_pem(&of_far.1.serialize_pem()).unwrap());
        for stranger in [answers(&pki, own()), answers(&pki, of_far)] {
            let told = why_not(&pki, stranger, "w1", about).await;
            assert!(told.contains("a machine of this cluster: invalid peer certificate"), "{told}");
        }
        let master = TlsAcceptor::from(Arc::new(server_config(&pki).with_cert_resolver(pki.server())));
        let told = why_not(&pki, master, "w1", about).await;
        assert!(told.contains("and no worker"), "{told}");
        let (near, far) = duplex(1 << 16);
        drop(far);
        assert!(pki.call(near, &id("w1"), about).await.is_err(), "nobody speaks TLS there");
    }
    pki.revoke(&id("w1")).await.unwrap();
    let told = why_not(&pki, answers(&pki, mine), "w1", About::Commands).await;
    assert!(told.contains("revoked"), "{told}");
}

#[tokio::test]
async fn a_worker_without_a_certificate_is_told_where_the_master_is_and_nothing_else() {
    let pki = cluster().await;
    call(&pki, answers(&pki, own()), "w1", About::Place).await.0.unwrap();
    assert!(call(&pki, answers(&pki, own()), "w1", About::Commands).await.0.is_err());
    let has = given(&pki, "w1").await;
    assert!(call(&pki, answers(&pki, own()), "w1", About::Place).await.0.is_err(), "it has one now");
    call(&pki, answers(&pki, has), "w1", About::Place).await.0.unwrap();
}

#[tokio::test]
async fn a_connection_to_a_worker_ends_when_that_is_removed() {
    let pki = cluster().await;
    let (master, worker) = call(&pki, answers(&pki, given(&pki, "w1").await), "w1", About::Commands).await;
    let (mut master, _worker) = (master.unwrap(), worker.unwrap());
    pki.revoke(&id("w1")).await.unwrap();
    let mut bytes = [0; 1];
    assert_eq!(master.read(&mut bytes).await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
}
