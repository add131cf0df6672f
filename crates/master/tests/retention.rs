//! Ended tasks that are kept no longer, beside a worker that must be heard.

#![allow(clippy::unwrap_used, reason = "a test that can not go on fails")]

mod support;

use cloudai_core::effect::Row;
use cloudai_core::event::{Event, NewJob};
use cloudai_core::ids::{JobId, TaskId, UserId};
use cloudai_core::job::{Group, JobPlan};
use cloudai_core::task::{Outcome, TaskRecord};
use cloudai_core::testing::{TestCluster, cores, spec, task_id};
use cloudai_core::timing::Timing;
use cloudai_core::worker::WorkerStatus;
use cloudai_master::Retention;
use cloudai_proto::v1 as pb;
use cloudai_store::Store;
use cloudai_store::sqlite::SqliteStore;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use support::worker::{client, placed, register};
use support::{PATIENCE, Running, Switched};

const ENDED: u64 = 20_000;
const KEPT: u64 = 1_000;
const HEARTBEAT: Duration = Duration::from_millis(100);

/// A store in which so many tasks have ended, one as the other.
async fn filled(store: impl Store) -> Switched {
    let mut cluster = TestCluster::default();
    cluster.worker("w0", cores(4));
    let task = cluster.task(1);
    let attempt = cluster.place(task, "w0");
    cluster.end(attempt, Outcome::exit(0)).unwrap();
    let ended = cluster.rows.iter().rev().find_map(|row| if let Row::Task(task) = row { Some(task) } else { None });
    let ended = TaskRecord::clone(ended.unwrap());
    let store = Switched::of(store);
    let term = store.lead().await.unwrap();
    let row = |n: u64| Row::Task(Arc::new(TaskRecord { id: task_id(n.into()), order: n, ..ended.clone() }));
    let rows: Vec<_> = (1..=ENDED).map(row).collect();
    store.commit(term, cluster.now, &rows).await.unwrap();
    store
}

/// Twenty thousand tasks go, and the one worker is heard all the time: its lease is renewed, its
/// attempt stays its own. They go in slices, the earliest first.
#[tokio::test]
async fn forget_does_not_starve_heartbeats() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(SqliteStore::open(dir.path()).unwrap()).await;
    let timing = Timing {
        heartbeat: HEARTBEAT,
        inactive: Duration::from_secs(2),
        lease: Duration::from_secs(4),
        margin: Duration::from_millis(500),
    };
    let master = Running::over(store, timing, Retention { age: None, count: Some(KEPT) }).await;
    let mut client = client(&master).await;
    let session = register(&mut client).await.session;
    let held = placed(&master, &mut client, session, 1).await;
    let info = pb::TaskInfo {
        task_id: held[0].clone(),
        attempt: 1,
        stage: pb::HeldStage::Running.into(),
        ..pb::TaskInfo::default()
    };
    let beat = pb::Heartbeat {
        worker_id: "w1".into(),
        session,
        seen_command: 1,
        running_tasks: vec![info],
        ..pb::Heartbeat::default()
    };
    let mut beats = tokio::time::interval(HEARTBEAT);
    let mut told = 0;
    let collected = || master.store.collected().iter().sum::<usize>() as u64;
    let all = async {
        while collected() < ENDED - KEPT {
            beats.tick().await;
            let ack = client.send_heartbeat(beat.clone()).await.unwrap().into_inner();
            assert!(ack.success && !ack.register_again, "after {told} heartbeats: {ack:?}");
            told += 1;
        }
    };
    tokio::time::timeout(4 * PATIENCE, all).await.expect("they were not collected");
    drop(client);
    let store = Arc::clone(&master.store);
    master.stop().await;

    let slices = store.collected();
    assert!(slices.iter().all(|tasks| *tasks <= 100) && slices.len() as u64 >= (ENDED - KEPT) / 100, "{slices:?}");
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.ended.values().sum::<u64>(), KEPT, "counted right by the next master");
    let worker = loaded.workers.iter().find(|worker| worker.id.as_str() == "w1").unwrap();
    assert_eq!((worker.status, worker.version), (WorkerStatus::Active, 1), "it was never thought silent");
    let task = store.task(held[0].parse::<TaskId>().unwrap()).await.unwrap().unwrap();
    assert!(task.active().is_some() && task.number() == 1, "{task:?}");
    let gone = store.task(task_id(u128::from(ENDED - KEPT))).await.unwrap();
    assert!(gone.is_none() && store.task(task_id(u128::from(ENDED - KEPT + 1))).await.unwrap().is_some());
}

/// A job of one task, which runs, and the id of that task.
fn with_a_job(cluster: &mut TestCluster, id: JobId) -> TaskId {
    let group = Group { name: "one".into(), spec: spec(&[]), elements: None, needs: Vec::new() };
    cluster.ok(Event::SubmitJob(Box::new(NewJob {
        id,
        owner: UserId::local(),
        plan: Arc::new(JobPlan { name: None, max_fails: None, groups: vec![group] }),
        held: false,
        idempotency_key: None,
        retry_of: None,
        done: Vec::new(),
        ended: BTreeMap::new(),
    })));
    id.group(0)
}

#[tokio::test]
async fn a_job_goes_behind_the_last_of_its_tasks_and_one_that_lives_stays() {
    let mut cluster = TestCluster::default();
    cluster.worker("w0", cores(4));
    let (over, live) = (JobId::new(1 << 64), JobId::new(1 << 70));
    let task = with_a_job(&mut cluster, over);
    with_a_job(&mut cluster, live);
    let attempt = cluster.place(task, "w0");
    cluster.end(attempt, Outcome::exit(0)).unwrap();
    let store = Switched::default();
    let term = store.lead().await.unwrap();
    store.commit(term, cluster.now, &cluster.rows).await.unwrap();
    let old = Retention { age: Some(Duration::from_secs(3600)), count: None };
    let master = Running::over(store, Timing::default(), old).await;
    let gone = async {
        while master.store.job(over).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it was not collected");
    assert_eq!(master.store.task(task).await.unwrap(), None);
    assert_eq!(master.store.job_plan(over).await.unwrap(), None);
    assert!(master.store.job(live).await.unwrap().is_some());
    master.stop().await;
}
