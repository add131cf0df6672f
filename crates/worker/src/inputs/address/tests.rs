//! A server that answers as each test says, and what is fetched from it.

use super::*;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const DATA: &[u8] = b"a content of some length";

fn hash(data: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(data).into())
}

/// A server that gives these answers one after the other, and notes what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn with(answers: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x?signature=hidden", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (mut connection, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(connection.read_u8().await.unwrap());
                }
                notes.lock().unwrap().push(String::from_utf8(head).unwrap());
                connection.write_all(&answer).await.unwrap();
                connection.shutdown().await.unwrap();
            }
        });
        Self { url, asked }
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").as_bytes(), body].concat()
}

fn whole(body: &[u8]) -> Vec<u8> {
    answer("200 OK", &format!("Content-Length: {}\r\n", body.len()), body)
}

fn cache() -> (tempfile::TempDir, Arc<Cache>) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Arc::new(Cache::open(dir.path(), 1000).unwrap());
    (dir, cache)
}

async fn fetch(cache: &Arc<Cache>, server: &Server) -> Result<(), Fault> {
    let place = Place::of(cache, hash(DATA), &server.url).await;
    Addresses::new(true).fetch(&place, &server.url, |_, _| {}).await
}

/// How much is here of what is fetched from a server.
async fn have(cache: &Arc<Cache>, server: &Server) -> u64 {
    Place::of(cache, hash(DATA), &server.url).await.have().unwrap()
}

fn passing(fault: Fault) -> (String, Option<Duration>) {
    match fault {
        Fault::Passing(why, asked) => (why, asked),
        Fault::Lasting(failed) => panic!("{failed}"),
    }
}

fn lasting(fault: Fault) -> String {
    match fault {
        Fault::Passing(why, _) => panic!("{why}"),
        Fault::Lasting(failed) => failed.to_string(),
    }
}

#[tokio::test]
async fn what_breaks_off_goes_on_where_it_was() {
    let (_dir, cache) = cache();
    let (begin, rest) = DATA.split_at(10);
    let half = answer("200 OK", &format!("Content-Length: {}\r\n", DATA.len()), begin);
    let range =
        format!("Content-Range: bytes 10-{}/{}\r\nContent-Length: {}\r\n", DATA.len() - 1, DATA.len(), rest.len());
    let server = Server::with(vec![half, answer("206 Partial Content", &range, rest)]).await;
    passing(fetch(&cache, &server).await.unwrap_err());
    assert_eq!(have(&cache, &server).await, 10);
    fetch(&cache, &server).await.unwrap();
    assert_eq!(cache.read(hash(DATA)).unwrap(), DATA);
    assert_eq!(cache.size(hash(DATA)).unwrap(), DATA.len() as u64);
    let asked = server.asked.lock().unwrap().clone();
    assert!(!asked[0].contains("range") && asked[1].contains("range: bytes=10-"), "{asked:?}");
}

#[tokio::test]
async fn a_server_without_ranges_sends_it_whole_again() {
    let (_dir, cache) = cache();
    let half = answer("200 OK", &format!("Content-Length: {}\r\n", DATA.len()), &DATA[..10]);
    let server = Server::with(vec![half, answer("200 OK", "", DATA)]).await;
    passing(fetch(&cache, &server).await.unwrap_err());
    fetch(&cache, &server).await.unwrap();
    assert_eq!(cache.read(hash(DATA)).unwrap(), DATA, "its size was not told either");
}

#[tokio::test]
async fn what_is_not_what_its_hash_says_is_not_kept_and_the_hash_is_told() {
    let (_dir, cache) = cache();
    let server = Server::with(vec![whole(b"another")]).await;
    let why = lasting(fetch(&cache, &server).await.unwrap_err());
    assert!(why.contains(&hash(b"another").to_string()), "{why}");
    assert!(!cache.has(hash(DATA)) && have(&cache, &server).await == 0);
}

#[tokio::test]
async fn what_came_earlier_of_something_else_is_thrown_away_and_all_is_fetched_anew() {
    let range = "Content-Range: bytes 5-23/24\r\nContent-Length: 19\r\n";
    for (earlier, answered) in [
        ("much longer than all of the content", answer("416 Range Not Satisfiable", "Content-Length: 0\r\n", b"")),
        ("other", answer("206 Partial Content", range, &DATA[5..])),
    ] {
        let (_dir, cache) = cache();
        let server = Server::with(vec![answered, whole(DATA)]).await;
        let place = Place::of(&cache, hash(DATA), &server.url).await;
        let (part, _) = (place.open().unwrap().path, drop(place));
        fs::write(part, earlier).unwrap();
        let (why, _) = passing(fetch(&cache, &server).await.unwrap_err());
        assert!(why.contains("fetched anew") && have(&cache, &server).await == 0, "{why}");
        fetch(&cache, &server).await.unwrap();
        assert_eq!(cache.read(hash(DATA)).unwrap(), DATA);
    }
}

#[tokio::test]
async fn what_is_larger_than_a_worker_keeps_is_refused_before_and_while_it_comes() {
    let (_dir, cache) = cache();
    let huge = answer("200 OK", "Content-Length: 1000000000000000\r\n", b"x");
    let server = Server::with(vec![huge]).await;
    let why = lasting(fetch(&cache, &server).await.unwrap_err());
    assert!(why.contains("larger than what the worker keeps") && why.contains("worker.input_cache"), "{why}");
    assert_eq!(have(&cache, &server).await, 0, "nothing stays of it");
    let endless = answer("200 OK", "", &vec![b'x'; usize::try_from(STEP).unwrap() + 1]);
    let server = Server::with(vec![endless]).await;
    let why = lasting(fetch(&cache, &server).await.unwrap_err());
    assert!(why.contains("worker.input_cache"), "{why}");
    assert_eq!(have(&cache, &server).await, 0, "nothing stays of it");
}

#[tokio::test]
async fn a_servers_refusal_is_told_without_the_signature_and_its_trouble_is_waited_for() {
    let (_dir, cache) = cache();
    let refusals = ["403 Forbidden", "404 Not Found"].map(|status| answer(status, "Content-Length: 0\r\n", b""));
    let server = Server::with(refusals.to_vec()).await;
    for told in ["403 Forbidden", "404 Not Found"] {
        let why = lasting(fetch(&cache, &server).await.unwrap_err());
        assert!(why.ends_with(&format!("the server answers {told}")) && !why.contains("hidden"), "{why}");
    }
    let troubles = vec![
        answer("503 Service Unavailable", "Retry-After: 7\r\nContent-Length: 0\r\n", b""),
        answer("429 Too Many Requests", "Content-Length: 0\r\n", b""),
        b"nonsense\r\n\r\n".to_vec(),
    ];
    let server = Server::with(troubles).await;
    let (why, asked) = passing(fetch(&cache, &server).await.unwrap_err());
    assert_eq!((why.contains("503"), asked), (true, Some(Duration::from_secs(7))));
    assert_eq!(passing(fetch(&cache, &server).await.unwrap_err()).1, None);
    let (why, _) = passing(fetch(&cache, &server).await.unwrap_err());
    assert!(!why.contains("hidden"), "{why}");
}

#[tokio::test]
async fn addresses_of_this_host_are_asked_nothing_unless_that_is_allowed() {
    let (_dir, cache) = cache();
    for url in [
        "http://127.0.0.1:9/x",
        "http://0x7f.1:9/x",
        "http://[::1]:9/x",
        "http://[::ffff:127.0.0.1]:9/x",
        "http://169.254.169.254/latest",
        "http://localhost:9/x",
        "http://0.0.0.0:9/x",
        "http://[fd00:ec2::23]/x",
        "http://168.63.129.16/x",
    ] {
        let place = Place::of(&cache, hash(DATA), url).await;
        let fetched = Addresses::new(false).fetch(&place, url, |_, _| {}).await;
        let why = lasting(fetched.unwrap_err());
        assert!(why.contains("worker.local_inputs"), "{url}: {why}");
    }
    for far in ["10.0.0.1", "192.168.1.1", "93.184.216.34", "2001:db8::1"] {
        assert!(!is_near(far.parse().unwrap()), "{far}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_but_not_for_ever() {
    let (_dir, cache) = cache();
    let target = Server::with(vec![whole(DATA)]).await;
    let to = answer("302 Found", &format!("Location: {}\r\nContent-Length: 0\r\n", target.url), b"");
    fetch(&cache, &Server::with(vec![to]).await).await.unwrap();
    assert_eq!(cache.read(hash(DATA)).unwrap(), DATA);
    let (_dir, cache) = self::cache();
    let round = answer("302 Found", "Location: /again\r\nContent-Length: 0\r\n", b"");
    let why = lasting(fetch(&cache, &Server::with(vec![round; 20]).await).await.unwrap_err());
    assert!(why.contains("without an end"), "{why}");
}

#[tokio::test]
async fn where_an_address_leads_nobody_is_told_where_from() {
    let (_dir, cache) = cache();
    let target = Server::with(vec![whole(DATA)]).await;
    let to = answer("302 Found", &format!("Location: {}\r\nContent-Length: 0\r\n", target.url), b"");
    fetch(&cache, &Server::with(vec![to]).await).await.unwrap();
    let asked = target.asked.lock().unwrap()[0].to_lowercase();
    assert!(!asked.contains("referer"), "{asked}");
}

#[test]
fn an_address_leads_neither_to_this_host_nor_out_of_encryption() {
    let url = |text: &str| Url::parse(text).unwrap();
    let from = [url("http://example.org/a"), url("https://example.org/b")];
    for (to, local, why) in [
        ("https://example.org/c", false, None),
        ("http://example.org/c", false, Some("without encryption")),
        ("https://169.254.169.254/latest", false, Some("loopback")),
        ("https://[::1]/c", false, Some("loopback")),
        ("https://[::1]/c", true, None),
    ] {
        let led = may_lead(&from, &url(to), local);
        match why {
            None => assert_eq!(led, Ok(()), "{to}"),
            Some(why) => assert!(led.unwrap_err().contains(why), "{to}"),
        }
    }
}

#[test]
fn patience_ends_where_nothing_comes_and_begins_anew_with_every_byte() {
    let tries = Tries { most: 3, first: Duration::from_secs(1), longest: Duration::from_secs(1) };
    let mut patience = Patience::new(tries);
    assert!(patience.after(0, None).is_some() && patience.after(0, None).is_some());
    assert!(patience.after(GROWN, None).is_some(), "it grew");
    assert_eq!(patience.after(GROWN + 5, Some(Duration::from_secs(600))), Some(ALONE));
    assert_eq!(patience.after(GROWN + 10, None), None, "that is as good as nothing");
    let mut patience = Patience::new(tries);
    assert!(patience.after(0, Some(Duration::ZERO)).unwrap() > Duration::ZERO, "no server has it asked at once again");
}
