//! Workers that a master calls which asks who calls: both show their certificates, and neither talks to anybody else.

use crate::enrol::{Asking, Joined, worker_id};
use crate::process::until;
use cloudai_core::event::Admission;
use cloudai_core::worker::WorkerStatus;
use cloudai_master::Secured;
use cloudai_master::principal::Principal;
use cloudai_worker::{Called, Config, Listening};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A place where a worker is called, and how it is begun there.
async fn called(config: Config, push: bool) -> (String, Config) {
    let listening = Listening::take(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), true).await.unwrap();
    (listening.address().to_string(), Config { called: Some(Called { listening, push }), ..config })
}

async fn begin(config: Config) -> Joined {
    Joined::begin(called(config, true).await.1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_by_push_joins_and_is_brought_its_commands_also_under_its_next_certificate() {
    let master = Asking::with(Secured { worker_life: Duration::from_secs(6), ..Secured::default() }).await;
    let worker = begin(master.config("w1", &master.token())).await;
    master.active("w1").await;
    master.runs_a_task().await;
    let file = master.folder("w1").join("worker.crt");
    for _ in 0..2 {
        let before = std::fs::read(&file).unwrap();
        until("it has another certificate", async || (std::fs::read(&file).unwrap() != before).then_some(())).await;
        master.runs_a_task().await;
    }
    worker.leaves().await;
    let again = begin(master.config("w1", "")).await;
    master.active("w1").await;
    master.runs_a_task().await;
    again.leaves().await;
}

async fn waits_and_joins(push: bool) {
    let (master, stranger) = (Asking::start().await, Asking::start().await);
    let (address, config) = called(Config { master: None, ..master.config("w1", &master.token()) }, push).await;
    let worker = Joined::begin(config).await;
    for cluster in [&stranger, &master] {
        let admission = Admission { worker: worker_id("w1"), address: Some(address.clone()) };
        cluster.handle.admit(&Principal::local(), admission).await.unwrap();
    }
    master.active("w1").await;
    master.runs_a_task().await;
    let elsewhere = stranger.handle.worker(&Principal::local(), &worker_id("w1")).unwrap();
    assert_ne!(elsewhere.record.status, WorkerStatus::Active, "it followed a master of another CA");
    worker.leaves().await;

    // It has a certificate now, and remembers who called it.
    let (_, config) = called(Config { master: None, ..master.config("w1", "") }, push).await;
    let again = Joined::begin(config).await;
    master.active("w1").await;
    master.runs_a_task().await;
    again.leaves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_waits_joins_the_master_that_calls_it_if_that_is_of_its_ca() {
    waits_and_joins(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_waits_is_brought_its_commands_under_tls() {
    waits_and_joins(true).await;
}
