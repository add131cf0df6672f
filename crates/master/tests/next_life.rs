//! One life of a master ends and the next begins in the same process, on the same data and addresses.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

use cloudai_core::strategy::Knobs;
use cloudai_master::choice::{Chosen, Configured};
use cloudai_master::machine::Machine;
use cloudai_master::opened::Setup;
use cloudai_master::principal::Principal;
use cloudai_master::{Addresses, Ended, Master, Retention, Rules};
use cloudai_proto::v1 as pb;
use cloudai_proto::v1::master_service_client::MasterServiceClient;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::sqlite::SqliteStore;
use cloudai_store::{Store, StoreError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Request;
use tonic::transport::Channel;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(50);

/// Opens the data as soon as nobody has it any more.
async fn setup(dir: &Path) -> Setup {
    let begin = Instant::now();
    let store = loop {
        match SqliteStore::open(dir) {
            Err(StoreError::Locked(_)) if begin.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => break opened.unwrap(),
        }
    };
    let bulk = LocalBulk::open(&dir.join("bulk")).unwrap();
    let (strategy, timing, machine) = ("greedy".into(), cloudai_core::timing::Timing::default(), Machine::default());
    let (fallback, retention) = (cloudai_master::Fallback::default(), Retention::default());
    Setup {
        store: Arc::new(store),
        bulk: Arc::new(bulk),
        strategy,
        fallback,
        timing,
        rules: Rules { retention, exec: true, ..Rules::default() },
        security: cloudai_master::Security::Insecure,
        machine,
    }
}

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test]
async fn a_worker_that_sends_without_end_keeps_neither_data_nor_addresses_from_the_next_life() {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let addresses = Addresses::take(any, any).await.unwrap();
    let master = Master::at(&addresses, setup(dir.path()).await).await.unwrap();
    let (grpc, http, stop) = (master.grpc_address(), master.http_address(), CancellationToken::new());
    let token = master.handle().join_token(&Principal::local()).to_owned();
    let running = tokio::spawn(master.run(stop.clone()));

    let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect().await.unwrap();
    let mut client = MasterServiceClient::new(channel);
    let (asked, mut is_asked) = mpsc::channel::<()>(1);
    let endless = futures::stream::poll_fn(move |_| {
        let _ = asked.try_send(());
        Poll::<Option<pb::LogChunk>>::Pending
    });
    let mut other = client.clone();
    let request = with_token(&token, endless);
    let sends = tokio::spawn(async move { other.stream_task_logs(request).await });
    is_asked.recv().await.unwrap();
    // It comes after the head of the other on the same connection.
    let info = pb::WorkerInfo { worker_id: "w1".into(), protocol: 1, cpu_milli: 1, ..pb::WorkerInfo::default() };
    let _ = client.register_worker(with_token(&token, info)).await;
    stop.cancel();
    let ended = timeout(PATIENCE, running).await.expect("the stop hangs").unwrap().unwrap();
    assert_eq!(ended, Ended::Stopped);
    assert!(timeout(PATIENCE, sends).await.expect("it still sends").unwrap().is_err());

    // Who calls between two lives waits.
    let mut early = TcpStream::connect(http).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    early.write_all(head.as_bytes()).await.unwrap();
    let master = Master::at(&addresses, setup(dir.path()).await).await.unwrap();
    assert_eq!((master.grpc_address(), master.http_address()), (grpc, http));
    let stop = CancellationToken::new();
    let running = tokio::spawn(master.run(stop.clone()));
    let mut answer = String::new();
    timeout(PATIENCE, early.read_to_string(&mut answer)).await.expect("no answer").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stop.cancel();
    timeout(PATIENCE, running).await.expect("the stop hangs").unwrap().unwrap();
}

#[tokio::test]
async fn the_strategy_that_was_set_and_what_was_learned_go_on_in_the_next_life() {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let addresses = Addresses::take(any, any).await.unwrap();
    let who = Principal::local();
    let mut knobs = Knobs::default();
    knobs.set("patience", "7").unwrap();
    let chosen = Chosen::of("balanced", knobs).unwrap();
    let life = async |setup: Setup, change: Option<Chosen>| {
        let master = Master::at(&addresses, setup).await.unwrap();
        let (handle, stop) = (master.handle().clone(), CancellationToken::new());
        let running = tokio::spawn(master.run(stop.clone()));
        let began_with = handle.strategy();
        if let Some(chosen) = change {
            handle.set_strategy(&who, chosen).await.unwrap();
            assert_eq!(handle.strategy(), chosen);
        }
        assert_eq!(handle.predictions(&who, 10).await.unwrap().all, 0);
        drop(handle);
        stop.cancel();
        timeout(PATIENCE, running).await.expect("the stop hangs").unwrap().unwrap();
        began_with
    };
    assert_eq!(life(setup(dir.path()).await, Some(chosen)).await.name(), "greedy");
    assert_eq!(life(setup(dir.path()).await, None).await, chosen);
    let said = Configured { explicit: true, ..Configured::from("round_robin") };
    assert_eq!(life(Setup { strategy: said, ..setup(dir.path()).await }, None).await.name(), "round_robin");
    // It did not set anything.
    assert_eq!(life(setup(dir.path()).await, None).await, chosen);
    let store = SqliteStore::open(dir.path()).unwrap();
    let term = store.lead().await.unwrap();
    store.set_fact(term, "predictions", "{\"version\":").await.unwrap();
    drop(store);
    assert_eq!(life(setup(dir.path()).await, None).await, chosen);
}
