//! What only a store on disk can do: last, lock, and know its age.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use cloudai_core::cluster::{Cluster, Start};
use cloudai_core::effect::Effect;
use cloudai_core::event::{Event, NewJob};
use cloudai_core::ids::{JobId, UserId};
use cloudai_core::job::{Group, JobPlan};
use cloudai_core::state::Status;
use cloudai_core::task::{Dependency, DependsWhen};
use cloudai_core::timing::Timing;
use cloudai_store::query::{RetentionQuery, TaskQuery};
use cloudai_store::sqlite::SqliteStore;
use cloudai_store::{Store, StoreError, Usage};
use common::*;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir).unwrap()
}

fn database(dir: &Path) -> Connection {
    Connection::open(dir.join("cloudai.db")).unwrap()
}

#[tokio::test]
async fn a_store_that_is_opened_again_has_everything() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let term = store.lead().await.unwrap();
    let rows = [
        task(1).key("k").row(),
        task(2).in_status(Status::Failed, "w1").row(),
        cloudai_core::effect::Row::Worker(worker("w1", 3)),
        outputs(attempt(2, 1), &["a"]),
    ];
    store.commit(term, at(70), &rows).await.unwrap();
    store.keep_fact("token", "x").await.unwrap();
    let before = store.load().await.unwrap();
    drop(store);

    let store = open(dir.path());
    let after = store.load().await.unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    assert_eq!(store.task(id(2)).await.unwrap().unwrap().status(), Status::Failed);
    assert_eq!(store.outputs(attempt(2, 1)).await.unwrap(), [file("a")]);
    assert_eq!(store.fact("token").await.unwrap().as_deref(), Some("x"));
    assert!(store.lead().await.unwrap() > term);
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name_until_its_store_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked(path) if path == dir.path()), "{error}");
    store.lead().await.unwrap();
    drop(store);
    open(dir.path());
}

#[test]
fn the_data_of_a_newer_version_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    database(dir.path()).pragma_update(None, "user_version", 1000).unwrap();
    let before = fs::read(dir.path().join("cloudai.db")).unwrap();
    match SqliteStore::open(dir.path()) {
        Err(StoreError::TooNew { found: 1000, known, .. }) => assert!(known < 1000),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(dir.path().join("cloudai.db")).unwrap(), before);
}

#[test]
fn an_empty_directory_gets_the_newest_schema_and_only_its_owner_may_look() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("new/data");
    let store = open(&dir);
    let version: u32 = database(&dir).query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert!(version >= 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    drop(store);
}

#[tokio::test]
async fn files_of_an_earlier_version_are_counted_once_for_their_owners() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let term = store.lead().await.unwrap();
    let rows = [task(1).row(), task(2).row(), outputs(attempt(1, 1), &["a", "bc"]), outputs(attempt(2, 3), &["def"])];
    store.commit(term, at(1), &rows).await.unwrap();
    drop(store);
    database(dir.path()).execute_batch(BEFORE_JOBS).unwrap();
    database(dir.path()).execute_batch("DROP TABLE kept; PRAGMA user_version = 4;").unwrap();
    for _ in 0..2 {
        let store = open(dir.path());
        let usage = store.usage(&"ann".parse().unwrap(), &[]).await.unwrap();
        assert_eq!(usage, Usage { files: 3, bytes: 6 });
        assert_eq!(store.usage(&"bob".parse().unwrap(), &[]).await.unwrap(), Usage::default());
    }
}

/// Takes the steps from jobs on back.
const BEFORE_JOBS: &str = "
    DROP TABLE audit;
    DROP TABLE consumed;
    ALTER TABLE tasks DROP COLUMN counted;
    DROP TABLE jobs;
    DROP TABLE job_plans;
    DROP TABLE job_needs;
    DROP INDEX tasks_status;
    DROP INDEX tasks_owner;
    CREATE INDEX tasks_status ON tasks (ended) WHERE ended IS NOT NULL;
    CREATE INDEX tasks_owner  ON tasks (owner, ended) WHERE ended IS NOT NULL;
    PRAGMA user_version = 5;
";

#[tokio::test]
async fn tasks_of_a_version_without_jobs_are_listed_and_let_go_and_jobs_come_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let term = store.lead().await.unwrap();
    let rows = [
        task(1).row(),
        task(2).in_status(Status::Failed, "w1").row(),
        task(3).owner("bob").in_status(Status::Completed, "w1").row(),
    ];
    store.commit(term, at(1), &rows).await.unwrap();
    drop(store);
    database(dir.path()).execute_batch(BEFORE_JOBS).unwrap();

    let store = open(dir.path());
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.tasks, loaded.last_order), (vec![task(1).record()], 3));
    assert!(loaded.jobs.is_empty() && loaded.ended.values().sum::<u64>() == 2);
    let orders = async |owner: Option<&str>| {
        let owner = owner.map(|owner| owner.parse().unwrap());
        let page = store.tasks(&TaskQuery { owner, limit: 9, ..TaskQuery::default() }).await.unwrap();
        page.items.iter().map(|task| task.order).collect::<Vec<_>>()
    };
    assert_eq!((orders(None).await, orders(Some("bob")).await), (vec![3, 2], vec![3]));
    let old = RetentionQuery { before: at(1000), beyond: 0, cursor: None, limit: 9 };
    assert_eq!(store.collectable(&old).await.unwrap().items.len(), 2);

    let mut cluster = Cluster::new(Timing::default(), Start { last_order: 3, ..Start::default() }, at(2));
    let spec = Arc::clone(&task(1).record().spec);
    let group = Group { name: "map".into(), spec, elements: None, needs: Vec::new() };
    let plan = Arc::new(JobPlan { name: None, max_fails: None, groups: vec![group] });
    let id = JobId::new(id(4).ulid());
    let new = NewJob {
        id,
        owner: UserId::local(),
        plan: Arc::clone(&plan),
        held: true,
        idempotency_key: None,
        retry_of: None,
        done: Vec::new(),
        ended: BTreeMap::new(),
    };
    let applied = cluster.apply(at(2), Event::SubmitJob(Box::new(new))).unwrap();
    let rows = applied.effects.into_iter().filter_map(|effect| match effect {
        Effect::Save(row) => Some(row),
        Effect::Send(_) => None,
    });
    let term = store.lead().await.unwrap();
    store.commit(term, at(2), &rows.collect::<Vec<_>>()).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.jobs[0].record.id, loaded.jobs[0].record.order, loaded.last_order), (id, 4, 4));
    assert_eq!(store.job_plan(id).await.unwrap(), Some(plan));
}

#[tokio::test]
async fn what_a_task_depends_on_is_kept_with_it_and_found_from_the_other_side() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let term = store.lead().await.unwrap();
    let needs = |n| Dependency { task: id(n), when: DependsWhen::Success };
    let dependent = task(3).with(|task| task.depends_on = vec![needs(1), needs(2)]);
    store.commit(term, at(1), &[task(1).row(), task(2).row(), dependent.row()]).await.unwrap();
    assert_eq!(store.load().await.unwrap().tasks[2].depends_on, [needs(1), needs(2)]);
    let sql = "SELECT count(*) FROM dependencies WHERE on_ulid = ?1 AND on_idx = -1 AND ends = 'success'";
    let waiting: i64 = database(dir.path()).query_row(sql, [id(2).ulid().to_be_bytes()], |row| row.get(0)).unwrap();
    assert_eq!(waiting, 1);
}

#[tokio::test]
async fn a_commit_that_returned_survives_a_copy_of_the_files_as_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let term = store.lead().await.unwrap();
    store.commit(term, at(1), &[task(1).row()]).await.unwrap();
    // What a killed process leaves: the database and its log, neither closed.
    let left = tempfile::tempdir().unwrap();
    for name in ["cloudai.db", "cloudai.db-wal"] {
        fs::copy(dir.path().join(name), left.path().join(name)).unwrap();
    }
    let store = open(left.path());
    assert_eq!(store.load().await.unwrap().tasks, [task(1).record()]);
}

#[tokio::test]
async fn reads_go_on_beside_a_stream_of_commits_and_see_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path()));
    let term = store.lead().await.unwrap();
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for batch in 0..50 {
                let rows: Vec<_> = (1..=10).map(|n| task(batch * 10 + n).row()).collect();
                store.commit(term, at(batch), &rows).await.unwrap();
                assert!(store.task(id(batch * 10 + 10)).await.unwrap().is_some());
            }
        }
    });
    while !writer.is_finished() {
        let loaded = store.load().await.unwrap();
        assert_eq!(loaded.tasks.len() % 10, 0);
        assert_eq!(loaded.tasks.len() as u64, loaded.last_order);
    }
    writer.await.unwrap();
}
