//! The engine over a store that refuses a row.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use super::Batch;
use crate::handle::Handle;
use crate::mailbox::AskError;
use crate::principal::Principal;
use crate::serve::{Config, Master};
use cloudai_core::cluster::{Cluster, Start};
use cloudai_core::event::{Answer, EndReport, Event, Registration, Removal};
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::sha256::Sha256;
use cloudai_core::spec::TaskSpec;
use cloudai_core::state::Status;
use cloudai_core::task::{Outcome, OutputFile};
use cloudai_core::testing::{cores, worker_id};
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use cloudai_core::worker::{About, WorkerStatus};
use cloudai_store::Store;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::memory::MemoryStore;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Waits until the master's read model shows it.
async fn until(handle: &Handle, mut shows: impl FnMut() -> bool) {
    let mut changes = handle.changes();
    while !shows() {
        tokio::time::timeout(Duration::from_secs(30), changes.changed()).await.expect("never shown").unwrap();
    }
}

fn registration() -> Event {
    Event::Register(Box::new(Registration {
        worker: worker_id("w1"),
        address: None,
        capacity: cores(4),
        labels: BTreeMap::new(),
        about: About::default(),
        held: Vec::new(),
    }))
}

async fn register(handle: &Handle) {
    let answer = handle.report(&Principal::worker(), registration()).await.unwrap();
    assert!(matches!(answer, Answer::Registered(_)), "{answer:?}");
}

async fn end(handle: &Handle, task: TaskId, paths: &[&str]) -> Result<Answer, AskError> {
    let file = |path: &&str| OutputFile { path: (*path).into(), size: 0, sha256: Sha256([0; 32]) };
    let outcome = Arc::new(Outcome { outputs: paths.iter().map(file).collect(), ..Outcome::exit(0) });
    let (attempt, incarnation) = (Attempt { task, number: 1 }, handle.facts().incarnation);
    handle.report(&Principal::worker(), Event::Ended(EndReport { attempt, incarnation, outcome })).await
}

#[tokio::test]
async fn a_row_that_the_store_refuses_fails_its_sender_alone_and_every_worker_registers_again() {
    let dir = tempfile::tempdir().unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = Config {
        grpc: any,
        http: any,
        store: Arc::new(MemoryStore::new()),
        bulk: Arc::new(LocalBulk::open(dir.path()).unwrap()),
        strategy: "greedy".into(),
        fallback: crate::Fallback::default(),
        timing: Timing::default(),
        rules: crate::Rules { exec: true, ..crate::Rules::default() },
        security: crate::Security::Insecure,
    };
    let master = Master::bind(config).await.unwrap();
    let (handle, stop, who) = (master.handle().clone(), CancellationToken::new(), Principal::local());
    let running = tokio::spawn(master.run(stop.clone()));
    register(&handle).await;
    let spec = || Arc::new(TaskSpec::of_image("busybox:1").unwrap());
    let tasks = handle.submit(&who, vec![spec(), spec()]).await.unwrap();
    let status = |id| handle.shared.model.task(id).map(|task| task.status());
    until(&handle, || tasks.iter().all(|task| status(task.id) == Some(Status::Pending))).await;

    let refused = end(&handle, tasks[0].id, &["a", "a"]).await.unwrap_err();
    assert!(matches!(&refused, AskError::Internal(why) if why.contains("there twice")), "{refused}");
    assert_eq!(status(tasks[0].id), Some(Status::Pending), "nothing of it was stored");
    let seen = || handle.worker(&who, &worker_id("w1")).unwrap().record.status;
    assert_eq!(seen(), WorkerStatus::Inactive, "readers and strategy know that it has to come again");
    register(&handle).await;
    until(&handle, || seen() == WorkerStatus::Active).await;
    for (task, paths) in tasks.iter().zip([&["a"], &["b"]]) {
        end(&handle, task.id, paths).await.unwrap();
        assert_eq!(status(task.id), Some(Status::Completed));
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_worker_that_is_removed_and_comes_again_within_one_batch_is_stored() {
    let (store, now) = (MemoryStore::new(), Timestamp::from_millis(1_000_000));
    let term = store.lead().await.unwrap();
    let mut cluster = Cluster::new(Timing::default(), Start::default(), now);
    let remove = Event::Remove(Removal { worker: worker_id("w1"), force: true });
    for (second, events) in [(0, vec![registration(), registration()]), (1, vec![remove, registration()])] {
        let now = now + Duration::from_secs(second);
        let mut batch = Batch::new(now);
        for event in events {
            batch.apply(&mut cluster, event);
        }
        store.commit(term, now, &batch.rows()).await.unwrap();
    }
    let held: Vec<_> = cluster.workers().cloned().collect();
    assert_eq!(store.load().await.unwrap().workers, held);
}
