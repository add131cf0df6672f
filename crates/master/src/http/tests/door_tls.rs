//! The encrypted listener with real clients over real connections.

use super::super::certificate::tests::{Pair, look, open, pair, put_both};
use super::super::door::{Limits, Peer, serve};
use super::*;
use axum::routing::any;
use axum::{Extension, Router};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A listener that shows a certificate of files.
struct Served {
    address: SocketAddr,
    files: Arc<CertificateFiles>,
    dir: TempDir,
    first: Pair,
    stop: CancellationToken,
    served: JoinHandle<()>,
    asked: Arc<AtomicUsize>,
}

impl Served {
    async fn start(limits: Limits) -> Self {
        let (dir, first) = (tempfile::tempdir().unwrap(), pair());
        put_both(&dir, &first);
        let files = Arc::new(open(&dir).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let guard = Guard::Https(Tls::new(Arc::clone(&files) as Arc<dyn ResolvesServerCert>, true).unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let handler = move |Extension(Peer(peer)): Extension<Peer>| async move {
            count.fetch_add(1, Ordering::Relaxed);
            format!("hello {peer}.")
        };
        let router = Router::new().route("/hello", any(handler));
        let served = tokio::spawn(serve(listener, router, guard, limits, stop.clone()));
        Self { address, files, dir, first, stop, served, asked }
    }

    async fn plain(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection of a client that trusts just this certificate.
    async fn secret(
        &self,
        trusted: &CertificateDer<'static>,
        version: &'static SupportedProtocolVersion,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = self.plain().await;
        let name = ServerName::try_from("localhost").unwrap();
        timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.expect("no handshake")
    }
}

/// Asks, and reads the whole answer: the server closes behind it.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), head: &str) -> String {
    stream.write_all(head.as_bytes()).await.unwrap();
    rest(stream).await
}

/// What comes until the connection ends.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 1024];
    loop {
        match timeout(PATIENCE, stream.read(&mut piece)).await.expect("the connection did not end") {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&text).into_owned(),
            Ok(count) => text.extend_from_slice(&piece[..count]),
        }
    }
}

const HELLO: &str = "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn an_encrypted_request_is_answered_by_both_versions_and_browsers_are_told_to_stay() {
    let served = Served::start(Limits::default()).await;
    for (version, named) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut stream = served.secret(&served.first.der, version).await.unwrap();
        let own = stream.get_ref().0.local_addr().unwrap();
        let told = (stream.get_ref().1.protocol_version(), stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec));
        assert_eq!(told, (Some(named), Some(b"http/1.1".to_vec())));
        let answer = ask(&mut stream, HELLO).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&format!("hello {own}.")), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("strict-transport-security: max-age="), "{answer}");
    }
}

#[tokio::test]
async fn a_plain_request_is_sent_to_the_encrypted_address_and_never_served() {
    let served = Served::start(Limits::default()).await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] {
        let head =
            format!("{method} /hello?a=1&b=%20 HTTP/1.1\r\nHost: m1.example:8443\r\nContent-Length: 3\r\n\r\nabc");
        let answer = ask(&mut served.plain().await, &head).await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 308"), "{method}: {answer}");
        assert!(answer.contains("location: https://m1.example:8443/hello?a=1&b=%20\r\n"), "{method}: {answer}");
    }
    assert_eq!(served.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_request_whose_host_can_be_none_is_sent_nowhere() {
    let asked = |hosts: &[&str], uri: &str| {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        encrypted(&headers, &uri.parse().unwrap()).map(|location| location.to_str().unwrap().to_owned())
    };
    type Row = (&'static [&'static str], &'static str, Option<&'static str>);
    let rows: [Row; 11] = [
        (&["m1"], "/", Some("https://m1/")),
        (&["10.0.0.1:8080"], "/a?b=c", Some("https://10.0.0.1:8080/a?b=c")),
        (&["[::1]:8080"], "/a", Some("https://[::1]:8080/a")),
        // Where it is asked through is not whom it asks.
        (&["m1"], "http://evil.example/a", Some("https://m1/a")),
        (&[], "/", None),
        (&["m1", "evil.example"], "/", None),
        (&["user@evil.example"], "/", None),
        (&["m1/evil"], "/", None),
        (&["m1:80:80"], "/", None),
        (&[""], "/", None),
        (&["m1"], "*", None),
    ];
    for (hosts, uri, location) in rows {
        assert_eq!(asked(hosts, uri).as_deref(), location, "{hosts:?} {uri}");
    }
    assert_eq!(asked(&[&"a".repeat(300)], "/"), None);
    assert_eq!(to_https(&HeaderMap::new(), &Uri::from_static("/")).status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_of_it_holds_its_place_no_longer_than_the_limit() {
    let limits = Limits { connections: 1, handshake: Duration::from_millis(500), ..Limits::default() };
    let served = Served::start(limits).await;
    // The beginning of a handshake of 80 bytes, and of a plain request.
    for said in [&b""[..], &[HANDSHAKE, 3, 1, 0, 80, 1], b"GET / HT"] {
        let mut silent = served.plain().await;
        silent.write_all(said).await.unwrap();
        let mut next = served.secret(&served.first.der, &TLS13).await.unwrap();
        assert!(ask(&mut next, HELLO).await.starts_with("HTTP/1.1 200"), "{said:?}");
        assert!(!rest(&mut silent).await.contains("200"), "{said:?}");
    }
}

#[tokio::test]
async fn another_certificate_is_shown_to_the_next_connection() {
    let served = Served::start(Limits::default()).await;
    let mut open_before = served.secret(&served.first.der, &TLS13).await.unwrap();
    let second = pair();
    put_both(&served.dir, &second);
    assert_eq!(look(&served.files), Some(true));
    let mut next = served.secret(&second.der, &TLS13).await.unwrap();
    assert!(ask(&mut next, HELLO).await.starts_with("HTTP/1.1 200"));
    assert!(served.secret(&served.first.der, &TLS13).await.is_err(), "the first one is shown still");
    // One that is open goes on.
    assert!(ask(&mut open_before, HELLO).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_broken_pair_leaves_the_one_before() {
    let served = Served::start(Limits::default()).await;
    put_both(&served.dir, &Pair { key: pair().key, ..pair() });
    assert_eq!(look(&served.files), Some(false));
    let mut next = served.secret(&served.first.der, &TLS13).await.unwrap();
    assert!(ask(&mut next, HELLO).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_those_who_have_not_begun() {
    let served = Served::start(Limits::default()).await;
    let mut silent = served.plain().await;
    // It has a place before the stop comes.
    let mut other = served.secret(&served.first.der, &TLS13).await.unwrap();
    assert!(ask(&mut other, HELLO).await.starts_with("HTTP/1.1 200"));
    served.stop.cancel();
    assert_eq!(rest(&mut silent).await, "");
    timeout(PATIENCE, served.served).await.expect("the stop hangs").unwrap();
}

#[test]
fn loopback_is_plain_unless_it_is_asked_for_and_every_other_address_is_encrypted() {
    let dir = tempfile::tempdir().unwrap();
    put_both(&dir, &pair());
    let files = Arc::new(open(&dir).unwrap());
    let (here, there): (SocketAddr, SocketAddr) = ("127.0.0.1:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
    let own = || Some(Arc::clone(&files) as Arc<dyn ResolvesServerCert>);
    let told = |https: &Https, address, own| match https.guard(address, own) {
        Ok(Guard::Plain) => "plain",
        Ok(Guard::Https(tls)) if tls.is_for_good() => "for good",
        Ok(Guard::Https(_)) => "encrypted",
        Err(_) => "refused",
    };
    let (plain, both) = (Https::default(), Https { on_loopback: true, ..Https::default() });
    let given = Https { certificate: Some(Arc::clone(&files)), ..Https::default() };
    assert_eq!([told(&plain, here, own()), told(&plain, there, own())], ["plain", "for good"]);
    assert_eq!([told(&both, here, own()), told(&both, there, own())], ["encrypted", "for good"]);
    assert_eq!([told(&given, here, None), told(&given, there, None)], ["plain", "for good"]);
    // A cluster without identities has no certificate of its own.
    assert_eq!([told(&plain, there, None), told(&both, here, None)], ["plain", "refused"]);
}
