//! Masters that are away while times of a schedule come, one life after the other on the same data.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use cloudai_core::rfc3339;
use cloudai_core::timing::Timing;
use cloudai_master::machine::{Clocks, Machine, Threads};
use cloudai_master::opened::Setup;
use cloudai_master::{Addresses, Ended, Fallback, Master, Rules, RunError};
use cloudai_store::Store;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::memory::MemoryStore;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(50);
/// What the clock on the wall says.
static WALL: AtomicU64 = AtomicU64::new(0);

fn wall() -> Duration {
    Duration::from_millis(WALL.load(Ordering::SeqCst))
}

fn set_wall(text: &str) {
    WALL.store(rfc3339::parse(text).unwrap().as_millis(), Ordering::SeqCst);
}

/// A life of a master.
struct Life {
    http: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<Result<Ended, RunError>>,
}

impl Life {
    async fn begin(addresses: &Addresses, store: &Arc<MemoryStore>, dir: &Path) -> Self {
        let clocks = Clocks { wall, ..Clocks::default() };
        let setup = Setup {
            store: Arc::clone(store) as Arc<dyn Store>,
            bulk: Arc::new(LocalBulk::open(dir).unwrap()),
            strategy: "greedy".into(),
            fallback: Fallback::default(),
            timing: Timing::default(),
            rules: Rules::default(),
            security: cloudai_master::Security::Insecure,
            machine: Machine { clocks, threads: Threads::default() },
        };
        let master = Master::at(addresses, setup).await.unwrap();
        let (http, stop) = (master.http_address(), CancellationToken::new());
        Self { http, ended: tokio::spawn(master.run(stop.clone())), stop }
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.ended).await.expect("the stop hangs").unwrap().unwrap();
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let (host, length) = (self.http, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             Content-Type: application/json\r\n\r\n{body}"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.expect("no answer").unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 20"), "{text}");
        serde_json::from_str(body).unwrap()
    }

    /// The schedule once it stands so.
    async fn until(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let schedule = self.ask("GET", "/api/v1/schedules/nightly", "").await;
            if is(&schedule) {
                return schedule;
            }
            assert!(begin.elapsed() < PATIENCE, "it never {what}: {schedule:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// For which times tasks were submitted, the earliest first.
    async fn times(&self) -> Vec<String> {
        let list = self.ask("GET", "/api/v1/tasks?sort=created", "").await;
        let time = |task: &Value| task["labels"]["cloudai.schedule.time"].as_str().unwrap().to_owned();
        list["items"].as_array().unwrap().iter().map(time).collect()
    }
}

#[tokio::test]
async fn the_last_time_that_was_missed_is_run_once_when_the_next_master_comes() {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let addresses = Addresses::take(any, any).await.unwrap();
    let store = Arc::new(MemoryStore::new());

    set_wall("2026-01-31T08:30:00Z");
    let life = Life::begin(&addresses, &store, dir.path()).await;
    let document = json!({"cron": "0 * * * *", "task": {"image": "a"}});
    let kept = life.ask("PUT", "/api/v1/schedules/nightly", &document.to_string()).await;
    assert_eq!(kept["next"][0], "2026-01-31T09:00:00.000Z");
    life.end().await;

    set_wall("2026-01-31T13:20:00Z");
    let life = Life::begin(&addresses, &store, dir.path()).await;
    let schedule = life.until("runs", |schedule| schedule["runs"] == 1).await;
    assert_eq!(schedule["last"]["time"], "2026-01-31T13:00:00.000Z");
    assert_eq!(life.times().await, ["2026-01-31T13:00:00Z"]);
    life.end().await;

    // The run of 13:00 has not ended.
    set_wall("2026-01-31T14:00:30Z");
    let life = Life::begin(&addresses, &store, dir.path()).await;
    let schedule = life.until("leaves the next out", |schedule| schedule["skipped"] == 1).await;
    assert_eq!((&schedule["runs"], &schedule["next"][0]), (&json!(1), &json!("2026-01-31T15:00:00.000Z")));
    assert_eq!(life.times().await, ["2026-01-31T13:00:00Z"]);
    life.end().await;
}
