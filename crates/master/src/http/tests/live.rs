//! The WebSockets of telemetry, with a real client over a real connection.

use super::*;
use crate::heartbeats::{Heard, Usage};
use crate::http::door;
use crate::http::door_tls::Guard;
use crate::http::live::Limits;
use cloudai_core::effect::Row;
use cloudai_core::event::{Event, Heartbeat, Removal};
use cloudai_core::ids::{CommandSeq, Session};
use cloudai_core::testing::{cores, worker_id};
use cloudai_core::time::Timestamp;
use cloudai_core::worker::WorkerRecord;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A fake master at a real door.
struct Served {
    fake: Fake,
    address: SocketAddr,
    stop: CancellationToken,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Served {
    async fn start(limits: Limits) -> Self {
        let fake = Fake::with(Live::with(limits)).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = router(fake.handle.clone(), true);
        tokio::spawn(door::serve(listener, router, Guard::Plain, door::Limits::default(), stop.clone()));
        Self { fake, address, stop }
    }

    async fn worker(&self, name: &str) -> Session {
        self.fake.cluster(|cluster| cluster.worker(name, cores(1))).await
    }

    /// A heartbeat of a worker, heard at this second: later than the 1,000th, when it was registered.
    fn beat(&self, name: &str, session: Session, second: u64) {
        let worker = worker_id(name);
        let heartbeat = Heartbeat {
            worker,
            session,
            seen: CommandSeq(0),
            held: Vec::new(),
            draining: false,
            unfit: None,
            images: None,
        };
        let usage = Usage { cpu: 12.5, memory: 25.0, gpu: 0.0, storage: 1.0 };
        let heard = Heard { at: Timestamp::from_millis(second * 1000), usage, details: BTreeMap::new() };
        self.fake.handle.shared.heartbeats.put(heartbeat, heard);
    }

    async fn connect(&self, path: &str) -> Socket {
        connect_async(format!("ws://{}{path}", self.address)).await.unwrap().0
    }

    /// The answer to a handshake that is refused.
    async fn refused(&self, path: &str, headers: &[(&'static str, &str)]) -> (u16, String) {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Err(Error::Http(response)) => {
                let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
                (response.status().as_u16(), body)
            }
            other => panic!("{other:?}"),
        }
    }

    async fn clients_are(&self, count: usize) {
        let begin = Instant::now();
        while self.fake.handle.shared.live.clients() != count {
            assert!(begin.elapsed() < PATIENCE, "there are {} clients", self.fake.handle.shared.live.clients());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The next message of the master, pings left out.
async fn next(socket: &mut Socket) -> Message {
    let next = async {
        loop {
            match socket.next().await.expect("the connection is closed").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("no message came")
}

async fn next_json(socket: &mut Socket) -> Value {
    serde_json::from_str(next(socket).await.to_text().unwrap()).unwrap()
}

fn fast() -> Limits {
    Limits { pace: Duration::from_millis(10), ..Limits::default() }
}

fn telemetry(name: &str, last_update: u64) -> Value {
    json!({ "worker_id": name, "cpu_usage": 12.5, "memory_usage": 25.0, "gpu_usage": 0.0, "running_tasks": [],
            "last_update": last_update, "is_active": true })
}

#[tokio::test]
async fn a_heartbeat_of_any_worker_is_told_to_every_client_in_the_references_json() {
    let served = Served::start(fast()).await;
    let (first, second) = (served.worker("w1").await, served.worker("w2").await);
    served.beat("w2", second, 1_000);
    let mut clients = [served.connect("/ws/telemetry").await, served.connect("/ws/telemetry").await];
    served.clients_are(2).await;
    assert_eq!(served.fake.get("/health").await.json::<Value>()["active_clients"], 2);
    for at in [2_000, 3_000] {
        served.beat("w1", first, at);
        for client in &mut clients {
            let expected = json!({ "w1": telemetry("w1", at), "w2": telemetry("w2", 1_000) });
            assert_eq!(next_json(client).await, expected, "what was heard before it came is no news by itself");
        }
    }
    for client in clients {
        drop(client);
    }
    served.clients_are(0).await;
}

#[tokio::test]
async fn who_listens_to_one_worker_hears_of_no_other() {
    let served = Served::start(fast()).await;
    let (first, second) = (served.worker("w1").await, served.worker("w2").await);
    let mut client = served.connect("/ws/telemetry/w1").await;
    let mut all = served.connect("/ws/telemetry").await;
    served.clients_are(2).await;
    for at in [2_000, 3_000, 4_000] {
        served.beat("w1", first, at);
        assert_eq!(next_json(&mut client).await, telemetry("w1", at));
        next_json(&mut all).await;
        // Once all others know of it, this one has let it pass.
        served.beat("w2", second, at);
        while next_json(&mut all).await["w2"]["last_update"] != at {}
    }
    // What a client says is taken and not looked at: the first system's clients send pings as text.
    client.send(Message::text("ping")).await.unwrap();
    served.beat("w1", first, 5_000);
    assert_eq!(next_json(&mut client).await, telemetry("w1", 5_000));
}

#[tokio::test]
async fn heartbeats_that_come_thick_are_told_at_most_once_a_pace_and_the_last_is_told() {
    let pace = Duration::from_millis(500);
    let served = Served::start(Limits { pace, ..Limits::default() }).await;
    let session = served.worker("w1").await;
    let mut client = served.connect("/ws/telemetry").await;
    served.clients_are(1).await;
    let begin = Instant::now();
    let (mut told, mut last) = (0, 0);
    let beats = async {
        for at in 2_001..=2_100 {
            served.beat("w1", session, at);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let listen = async {
        while last != 2_100 {
            last = next_json(&mut client).await["w1"]["last_update"].as_u64().unwrap();
            told += 1;
        }
    };
    tokio::join!(beats, listen);
    let most = begin.elapsed().as_millis() / pace.as_millis() + 1;
    assert!(told <= most, "{told} messages in {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_worker_that_is_unknown_or_goes_is_told() {
    let served = Served::start(Limits { ping: Duration::from_millis(50), ..fast() }).await;
    let (status, body) = served.refused("/ws/telemetry/w9", &[]).await;
    assert!(status == 404 && body.contains("w9"), "{status} {body}");
    served.worker("w1").await;
    let mut client = served.connect("/ws/telemetry/w1").await;
    let removal = Event::Remove(Removal { worker: worker_id("w1"), force: true });
    served.fake.cluster(|cluster| cluster.ok(removal)).await;
    let Message::Close(Some(frame)) = next(&mut client).await else { panic!("no goodbye") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Normal, "the worker was removed"));
}

#[tokio::test]
async fn a_page_of_another_site_does_not_listen() {
    let served = Served::start(fast()).await;
    let own = format!("http://{}", served.address);
    for (headers, status) in [
        (&[("origin", "http://evil.example")][..], 403),
        (&[("origin", "http://127.0.0.1:3000")], 403),
        (&[("origin", "null")], 403),
        (&[("host", "evil.example")], 403),
        (&[("host", "evil.example"), ("origin", "http://evil.example")], 403),
    ] {
        assert_eq!(served.refused("/ws/telemetry", headers).await.0, status, "{headers:?}");
    }
    let mut request = format!("ws://{}/ws/telemetry", served.address).into_client_request().unwrap();
    request.headers_mut().insert("origin", own.parse().unwrap());
    connect_async(request).await.unwrap();
}

#[tokio::test]
async fn a_plain_request_is_told_that_this_is_a_websocket() {
    let fake = Fake::start().await;
    let problem = fake.get("/ws/telemetry").await.problem();
    assert_eq!((problem.status, problem.code.as_str()), (400, "invalid"));
    assert!(problem.detail.contains("WebSocket") && problem.next.unwrap().contains("ws://"));
}

#[tokio::test]
async fn more_clients_than_there_are_places_are_told_to_come_later() {
    let served = Served::start(Limits { clients: 1, ..fast() }).await;
    let first = served.connect("/ws/telemetry").await;
    let (status, body) = served.refused("/ws/telemetry", &[]).await;
    assert!(status == 503 && body.contains("1 clients listen already"), "{status} {body}");
    drop(first);
    served.clients_are(0).await;
    served.connect("/ws/telemetry").await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped_and_disturbs_no_other() {
    let served = Served::start(Limits { take: Duration::from_millis(200), ..fast() }).await;
    let session = served.worker("w1").await;
    // A message of a megabyte: a few fill all that the connection's buffers hold.
    {
        let core = served.fake.core.lock().await;
        let one = core.cluster.worker_record("w1");
        let named =
            |number: u32| WorkerRecord { id: worker_id(&format!("{number}-{}", "w".repeat(55))), ..(*one).clone() };
        let rows: Vec<_> = (0..4_000).map(|number| Row::Worker(Arc::new(named(number)))).collect();
        core.model.publish(core.cluster.now, &rows);
    }
    let slow = listen_and_read_nothing(served.address).await;
    served.clients_are(1).await;
    let begin = Instant::now();
    for second in 2_000.. {
        served.beat("w1", session, second);
        tokio::time::sleep(Duration::from_millis(20)).await;
        if served.fake.handle.shared.live.clients() == 0 {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "it is still there");
    }
    let mut healthy = served.connect("/ws/telemetry/w1").await;
    served.beat("w1", session, 1_000_000);
    assert_eq!(next_json(&mut healthy).await["last_update"], 1_000_000);
    drop(slow);
}

/// Does the handshake on a connection with a small window, and leaves what comes where it is.
async fn listen_and_read_nothing(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let head = format!(
        "GET /ws/telemetry HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_gives_no_sign_is_gone_and_one_that_answers_pings_stays() {
    let served = Served::start(Limits { ping: Duration::from_millis(100), ..fast() }).await;
    let session = served.worker("w1").await;
    let dead = listen_and_read_nothing(served.address).await;
    served.clients_are(1).await;
    served.clients_are(0).await;
    drop(dead);
    // A client answers pings while it is read.
    let mut alive = served.connect("/ws/telemetry").await;
    let quiet = tokio::time::timeout(Duration::from_secs(1), next(&mut alive)).await;
    assert!(quiet.is_err(), "{quiet:?}");
    served.beat("w1", session, 2_000);
    assert_eq!(next_json(&mut alive).await["w1"]["last_update"], 2_000);
}

#[tokio::test]
async fn events_come_over_a_websocket_as_well_and_its_clients_are_counted_with_the_others() {
    let served = Served::start(Limits { clients: 1, ..fast() }).await;
    let mut client = served.connect("/ws/events?types=task").await;
    served.clients_are(1).await;
    let start = next_json(&mut client).await;
    assert_eq!((&start["type"], &start["seq"]), (&json!("start"), &json!(0)));
    let (status, body) = served.refused("/ws/events", &[]).await;
    assert!(status == 503 && body.contains("1 clients listen already"), "{status} {body}");
    served.worker("w1").await;
    let task = served.fake.task().await;
    let event = next_json(&mut client).await;
    assert_eq!((&event["type"], &event["status"]), (&json!("task"), &json!("queued")));
    assert_eq!(event["task_id"], json!(task.to_string()), "the worker that came before is not asked for");
    drop(client);
    served.clients_are(0).await;
    let (status, body) = served.refused("/ws/events?from_seq=999", &[]).await;
    assert!(status == 410 && body.contains("is not kept"), "{status} {body}");
    let mut again = served.connect(&format!("/ws/events?from_seq={}", event["id"].as_str().unwrap())).await;
    assert_eq!(next_json(&mut again).await["type"], "start");
    assert_eq!(next_json(&mut again).await, event);
    served.fake.handle.shared.stopping.cancel();
    let Message::Close(Some(frame)) = next(&mut again).await else { panic!("no goodbye") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "the master is stopping"));
}

#[tokio::test]
async fn a_stop_says_goodbye_and_waits_for_nobody() {
    let served = Served::start(fast()).await;
    let mut client = served.connect("/ws/telemetry").await;
    let silent = listen_and_read_nothing(served.address).await;
    served.clients_are(2).await;
    served.fake.handle.shared.stopping.cancel();
    served.stop.cancel();
    let Message::Close(Some(frame)) = next(&mut client).await else { panic!("no goodbye") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "the master is stopping"));
    let ended = tokio::time::timeout(PATIENCE, served.fake.handle.shared.live.ended()).await;
    ended.expect("a client that says nothing holds the stop");
    drop(silent);
}
