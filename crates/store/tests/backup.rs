//! Backups of a store that goes on, and data that begins again from one.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use bytes::Bytes;
use cloudai_core::ids::Incarnation;
use cloudai_core::state::Status;
use cloudai_core::task::Step;
use cloudai_store::Store;
use cloudai_store::backup::{BackupError, Manifest, Snapshot, check};
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::bulk::{BulkStore, LogRecord, LogStream};
use cloudai_store::memory::MemoryStore;
use cloudai_store::sqlite::{Prepared, RestoreError, SqliteStore, restore};
use common::*;
use rusqlite::Connection;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir).unwrap()
}

/// Writes a backup as it comes over the wire.
fn write(mut snapshot: Snapshot, file: &Path) -> Manifest {
    let mut all = snapshot.head().unwrap();
    snapshot.database.read_to_end(&mut all).unwrap();
    fs::write(file, all).unwrap();
    snapshot.manifest
}

async fn back_up(store: &SqliteStore, file: &Path) -> Manifest {
    let manifest = write(store.backup().await.unwrap(), file);
    assert_eq!(check(file).unwrap(), manifest);
    manifest
}

/// A folder of data with one task that waits and one that ended, and its backup.
async fn backed_up() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("now.backup"));
    let store = open(&data);
    let term = store.lead().await.unwrap();
    let ended = task(2).in_status(Status::Completed, "w1").row();
    store.commit(term, at(70), &[task(1).row(), ended]).await.unwrap();
    let holds = back_up(&store, &file).await.holds.unwrap();
    let counts: Vec<_> = holds.tasks.iter().map(|(word, count)| (word.as_str(), *count)).collect();
    assert_eq!((counts, holds.workers), (vec![("completed", 1), ("queued", 1)], 0));
    store.commit(term, at(80), &[task(3).row()]).await.unwrap();
    (dir, file)
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_beside_a_stream_of_commits_is_one_moment_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(&dir.path().join("data")));
    let term = store.lead().await.unwrap();
    let writer = tokio::task::spawn_blocking({
        let (store, runtime) = (std::sync::Arc::clone(&store), tokio::runtime::Handle::current());
        move || {
            for batch in 0..50 {
                let rows: Vec<_> = (1..=10).map(|n| task(batch * 10 + n).row()).collect();
                runtime.block_on(store.commit(term, at(batch), &rows)).unwrap();
            }
        }
    });
    let mut made = 0;
    while made == 0 || !writer.is_finished() {
        let (file, data) = (dir.path().join("now.backup"), dir.path().join(format!("data-{made}")));
        back_up(&store, &file).await;
        restore(&file, &data, at(5)).unwrap();
        let loaded = open(&data).load().await.unwrap();
        assert_eq!(loaded.tasks.len() % 10, 0);
        assert_eq!(loaded.tasks.len() as u64, loaded.last_order);
        made += 1;
    }
    writer.await.unwrap();
    assert_eq!(store.load().await.unwrap().tasks.len(), 500);
    drop(store);
    assert_eq!(names(&dir.path().join("data")), ["cloudai.db", "lock"], "a backup leaves nothing behind");
}

#[tokio::test]
async fn restored_data_is_as_backed_up_a_new_life_and_led_under_higher_terms() {
    let (dir, file) = backed_up().await;
    let data = dir.path().join("data");
    let (before, token) = (open(&data).load().await.unwrap(), "join_token");
    open(&data).keep_fact(token, "x").await.unwrap();
    let mut term = open(&data).lead().await.unwrap();
    let mut incarnation = before.incarnation;
    // Twice: the second life of one backup is not the first.
    for now in [at(5), at(1_795_000_000_000)] {
        let done = restore(&file, &data, now).unwrap();
        let store = open(&data);
        let loaded = store.load().await.unwrap();
        assert_eq!(loaded.tasks, [task(1).record()]);
        assert_eq!((&loaded.cluster, loaded.last_order), (&before.cluster, 2));
        assert_eq!(store.task(id(2)).await.unwrap().unwrap().status(), Status::Completed);
        assert_eq!(store.fact(token).await.unwrap(), None);
        assert!(loaded.incarnation > incarnation && loaded.incarnation >= Incarnation(now.as_millis()));
        assert_eq!(loaded.incarnation.0, done.incarnation);
        let next = store.lead().await.unwrap();
        assert!(next > term);
        (term, incarnation) = (next, loaded.incarnation);
        let kept = Connection::open(done.kept.unwrap()).unwrap();
        let tasks: u32 = kept.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0)).unwrap();
        assert!(tasks >= 2, "what was there is kept");
        drop(store);
    }
    let kept = names(&data).iter().filter(|name| name.starts_with("cloudai.db.before-restore-")).count();
    assert_eq!(kept, 2);
    assert!(!names(&data).iter().any(|name| name.contains(".new")), "{:?}", names(&data));
}

#[tokio::test]
async fn an_empty_folder_takes_a_backup_and_one_in_use_does_not() {
    let (dir, file) = backed_up().await;
    let fresh = dir.path().join("fresh");
    assert_eq!(restore(&file, &fresh, at(1)).unwrap().kept, None);
    let store = open(&fresh);
    assert_eq!(store.load().await.unwrap().tasks, [task(1).record()]);
    let error = restore(&file, &fresh, at(1)).unwrap_err();
    assert!(error.to_string().contains("is in use by another master"), "{error}");
}

#[tokio::test]
async fn data_of_another_cluster_is_not_replaced_and_unreadable_data_is() {
    let (dir, file) = backed_up().await;
    let other = dir.path().join("other");
    drop(open(&other));
    let error = restore(&file, &other, at(1)).unwrap_err();
    assert!(matches!(error, RestoreError::OtherCluster { .. }), "{error}");
    let text = "what a broken disk left ".repeat(400);
    fs::write(other.join("cloudai.db"), &text).unwrap();
    let done = restore(&file, &other, at(1)).unwrap();
    assert!(done.unread.is_some());
    assert_eq!(fs::read_to_string(done.kept.unwrap()).unwrap(), text);
    assert_eq!(open(&other).load().await.unwrap().tasks, [task(1).record()]);
}

#[tokio::test]
async fn every_byte_of_a_backup_is_checked() {
    let (dir, file) = backed_up().await;
    let good = fs::read(&file).unwrap();
    let bad = dir.path().join("bad.backup");
    let length = good.len();
    let head = length - usize::try_from(check(&file).unwrap().size).unwrap();
    for at in (0..head).chain((head..length).step_by(997)) {
        let mut spoilt = good.clone();
        spoilt[at] ^= 0x01;
        fs::write(&bad, &spoilt).unwrap();
        assert!(check(&bad).is_err(), "byte {at} was turned");
    }
    for cut in (0..length).step_by(613) {
        fs::write(&bad, &good[..cut]).unwrap();
        assert!(check(&bad).is_err(), "cut at byte {cut}");
    }
}

/// A backup whose database was changed before it was summed up.
async fn forged(change: &str) -> (tempfile::TempDir, PathBuf) {
    let (dir, file) = backed_up().await;
    let store = open(&dir.path().join("data"));
    let mut snapshot = store.backup().await.unwrap();
    let database = dir.path().join("forged.db");
    let mut bytes = Vec::new();
    snapshot.database.read_to_end(&mut bytes).unwrap();
    fs::write(&database, bytes).unwrap();
    Connection::open(&database).unwrap().execute_batch(change).unwrap();
    let bytes = fs::read(&database).unwrap();
    let mut manifest = snapshot.manifest;
    manifest.size = bytes.len() as u64;
    manifest.sha256 = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
    write(Snapshot { manifest, database: File::open(&database).unwrap() }, &file);
    (dir, file)
}

#[tokio::test]
async fn a_database_that_is_newer_or_no_masters_is_refused() {
    let (dir, file) = forged("PRAGMA user_version = 1000").await;
    match restore(&file, &dir.path().join("fresh"), at(1)) {
        Err(RestoreError::Backup(BackupError::TooNew { found: 1000, what: "schema", .. })) => {}
        other => panic!("{other:?}"),
    }
    for change in ["DROP TABLE outputs", "DELETE FROM cluster", "UPDATE cluster SET term = 99"] {
        let (dir, file) = forged(change).await;
        match restore(&file, &dir.path().join("fresh"), at(1)) {
            Err(RestoreError::Backup(BackupError::Damaged { .. })) => {}
            other => panic!("{change}: {other:?}"),
        }
        assert_eq!(names(&dir.path().join("fresh")), ["lock"], "{change}");
    }
}

#[tokio::test]
async fn logs_of_attempts_that_a_backup_does_not_know_are_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("data"), dir.path().join("now.backup"));
    let store = open(&data);
    let term = store.lead().await.unwrap();
    let rows = [
        task(1).row(),
        task(2).on("w1", Step::Running).row(),
        task(3).on("w1", Step::Assigned).row(),
        task(4).in_status(Status::Completed, "w1").row(),
    ];
    store.commit(term, at(1), &rows).await.unwrap();
    back_up(&store, &file).await;
    drop(store);
    let bulk = LocalBulk::open(&data.join("bulk")).unwrap();
    let record = LogRecord { time_ns: 1, stream: LogStream::Stdout, data: Bytes::from_static(b"of the lost future\n") };
    for (n, number) in [(1, 1), (2, 1), (2, 2), (3, 1), (4, 1)] {
        bulk.append_log(attempt(n, number), 0, std::slice::from_ref(&record)).await.unwrap();
        bulk.append_file(attempt(n, number), "f", 0, Bytes::from_static(b"x")).await.unwrap();
    }
    drop(bulk);
    assert_eq!(restore(&file, &data, at(1)).unwrap().put_aside, 6);
    let bulk = LocalBulk::open(&data.join("bulk")).unwrap();
    for ((n, number), kept) in [((1, 1), 0), ((2, 1), 1), ((2, 2), 0), ((3, 1), 0), ((4, 1), 1)] {
        assert_eq!(bulk.log_position(attempt(n, number)).await.unwrap().records, kept, "{n} {number}");
    }
}

/// Gets a backup ready beside data that is in use.
fn prepare(store: &SqliteStore, file: &Path) -> Result<Prepared, RestoreError> {
    store.prepare_restore(Path::new("what was sent"), &mut File::open(file).unwrap(), at(5))
}

#[tokio::test]
async fn what_was_ordered_while_the_data_was_in_use_is_in_place_when_it_is_opened_next() {
    let (dir, file) = backed_up().await;
    let data = dir.path().join("data");
    let store = open(&data);
    let term = store.lead().await.unwrap();
    let before = store.load().await.unwrap();
    let prepared = prepare(&store, &file).unwrap();
    store.commit(term, at(90), &[task(4).row()]).await.unwrap();
    let planned = prepared.order().unwrap();
    store.commit(term, at(91), &[task(5).row()]).await.unwrap();
    assert_eq!(store.load().await.unwrap().tasks.len(), 4, "nothing changes before");
    drop(store);
    // Broken off after its first step.
    fs::hard_link(data.join("cloudai.db"), &planned.kept).unwrap();
    let store = open(&data);
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.tasks, [task(1).record()]);
    assert_eq!((loaded.incarnation.0, &loaded.cluster), (planned.incarnation, &before.cluster));
    assert!(loaded.incarnation > before.incarnation && store.lead().await.unwrap() > term);
    let kept = Connection::open(&planned.kept).unwrap();
    let tasks: u32 = kept.query_row("SELECT count(*) FROM tasks", [], |row| row.get(0)).unwrap();
    assert_eq!(tasks, 5, "all of the lost future is kept");
    drop((store, kept));
    assert_eq!(open(&data).load().await.unwrap().incarnation.0, planned.incarnation, "it is done once");
    assert!(!names(&data).iter().any(|name| name.starts_with("restore.")), "{:?}", names(&data));
}

#[tokio::test]
async fn what_was_not_ordered_or_refused_leaves_nothing_behind() {
    let (dir, file) = backed_up().await;
    let data = dir.path().join("data");
    let store = open(&data);
    let before = store.load().await.unwrap();
    drop(prepare(&store, &file).unwrap());
    let good = fs::read(&file).unwrap();
    for bad in [&good[..good.len() - 1], &[&good[..], b"x"].concat(), b"something else"] {
        let refused = store.prepare_restore(Path::new("what was sent"), &mut &*bad, at(5)).unwrap_err();
        assert!(refused.to_string().starts_with("what was sent is "), "{refused}");
    }
    let other = open(&dir.path().join("other"));
    assert!(matches!(prepare(&other, &file), Err(RestoreError::OtherCluster { .. })));
    assert!(!names(&data).iter().any(|name| name.starts_with("restore.")), "{:?}", names(&data));
    drop(store);
    assert_eq!(open(&data).load().await.unwrap().incarnation, before.incarnation);
    let memory = MemoryStore::new();
    let refused = memory.prepare_restore(Path::new("x"), &mut &*good, at(5)).unwrap_err();
    assert!(refused.to_string().contains("in memory only"), "{refused}");
}

#[tokio::test]
async fn an_order_is_void_once_the_data_was_led_or_restored_after_it() {
    let (dir, file) = backed_up().await;
    let data = dir.path().join("data");
    let store = open(&data);
    let before = store.load().await.unwrap();
    prepare(&store, &file).unwrap().order().unwrap();
    drop(store);
    // As a version that knows nothing of orders.
    Connection::open(data.join("cloudai.db")).unwrap().execute("UPDATE cluster SET term = term + 1", []).unwrap();
    let store = open(&data);
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.incarnation, loaded.tasks), (before.incarnation, before.tasks));
    prepare(&store, &file).unwrap().order().unwrap();
    drop(store);
    let restored = restore(&file, &data, at(1_795_000_000_000)).unwrap();
    assert_eq!(open(&data).load().await.unwrap().incarnation.0, restored.incarnation);
    assert!(!names(&data).iter().any(|name| name.starts_with("restore.")), "{:?}", names(&data));
}
