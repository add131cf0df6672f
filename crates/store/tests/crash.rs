//! A crash in the middle of a write: a commit is whole or it is absent, wherever its log ends.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;

use cloudai_core::effect::Row;
use cloudai_core::state::Status;
use cloudai_store::Store;
use cloudai_store::sqlite::SqliteStore;
use common::*;
use rusqlite::Connection;
use std::fs::{self, OpenOptions};
use std::path::Path;
use tempfile::TempDir;

/// In memory where that can be: thousands of crashes need no disk that is synced.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

const FILE: &str = "cloudai.db";
const LOG: &str = "cloudai.db-wal";
/// The smallest pages that SQLite has: small enough to try every byte of a commit.
const SMALL: u32 = 512;
/// Those that a master's data has.
const USUAL: u32 = 4096;
/// The head of a page in the log.
const FRAME_HEAD: u64 = 24;

/// What a crash leaves: the database, and its log with a commit A and then a commit B.
struct Left {
    dir: TempDir,
    log: Vec<u8>,
    /// Where the log ended after A.
    after_a: u64,
    frame: u64,
}

/// A: a task waits, another has ended. B: the first one runs, one more was submitted.
fn rows_a() -> Vec<Row> {
    vec![task(1).row(), task(2).in_status(Status::Failed, "w1").row(), Row::Worker(worker("w1", 1))]
}

fn rows_b() -> Vec<Row> {
    vec![
        task(1).in_status(Status::Running, "w1").row(),
        task(3).key("k").row(),
        Row::WorkerRemoved("w1".parse().unwrap()),
    ]
}

impl Left {
    async fn with_pages(size: u32) -> Self {
        let (source, dir) = (folder(), folder());
        let empty = Connection::open(source.path().join(FILE)).unwrap();
        empty.pragma_update(None, "page_size", size).unwrap();
        empty.execute_batch("CREATE TABLE t (x); DROP TABLE t; VACUUM").unwrap();
        drop(empty);
        let store = SqliteStore::open(source.path()).unwrap();
        let term = store.lead().await.unwrap();
        store.commit(term, at(1), &rows_a()).await.unwrap();
        let length = || fs::metadata(source.path().join(LOG)).unwrap().len();
        let after_a = length();
        store.commit(term, at(2), &rows_b()).await.unwrap();
        assert!(length() > after_a, "B stands in the log behind A");
        fs::copy(source.path().join(FILE), dir.path().join(FILE)).unwrap();
        let log = fs::read(source.path().join(LOG)).unwrap();
        Self { dir, log, after_a, frame: FRAME_HEAD + u64::from(size) }
    }

    fn end(&self) -> u64 {
        self.log.len() as u64
    }

    /// Opens the database with a log that a crash left, and asks for all that matters.
    async fn is_whole(&self, what: &str, log: &[u8], b: bool) {
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap();
        let file = dir.path().join(FILE);
        fs::copy(self.dir.path().join(FILE), &file).unwrap();
        fs::write(dir.path().join(LOG), log).unwrap();
        let store = SqliteStore::open(dir.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let ended = task(2).in_status(Status::Failed, "w1").record();
        assert_eq!(store.task(id(2)).await.unwrap(), Some(ended), "{what}: A is whole");
        let loaded = store.load().await.unwrap();
        let expected = if b {
            vec![task(1).in_status(Status::Running, "w1").record(), task(3).key("k").record()]
        } else {
            vec![task(1).record()]
        };
        assert_eq!(loaded.tasks, expected, "{what}: B is {}", if b { "whole" } else { "absent" });
        assert_eq!((loaded.workers.len(), loaded.last_order), if b { (0, 3) } else { (1, 2) }, "{what}");
        self.goes_on(&store, what).await;
    }

    /// The next master leads and commits.
    async fn goes_on(&self, store: &SqliteStore, what: &str) {
        let term = store.lead().await.unwrap();
        store.commit(term, at(3), &[task(4).row()]).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(store.task(id(4)).await.unwrap(), Some(task(4).record()), "{what}: C is there");
    }
}

fn is_sound(dir: &Path) {
    let database = Connection::open(dir.join(FILE)).unwrap();
    let told: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(told, "ok");
}

#[tokio::test]
async fn a_log_that_ends_at_any_byte_of_the_last_commit_has_it_whole_or_not_at_all() {
    let left = Left::with_pages(SMALL).await;
    for cut in left.after_a..=left.end() {
        let log = &left.log[..usize::try_from(cut).unwrap()];
        left.is_whole(&format!("cut at byte {cut}"), log, cut == left.end()).await;
    }
}

#[tokio::test]
async fn pages_of_the_usual_size_are_cut_alike_around_each_of_their_edges() {
    let left = Left::with_pages(USUAL).await;
    let edges: Vec<_> = (left.after_a..=left.end()).step_by(usize::try_from(left.frame).unwrap()).collect();
    assert_eq!(edges.last(), Some(&left.end()), "the log is made of whole frames");
    for edge in edges {
        for cut in [edge - 1, edge, edge + 1, edge + FRAME_HEAD, edge + FRAME_HEAD + 1, edge + left.frame / 2] {
            if (left.after_a..=left.end()).contains(&cut) {
                let log = &left.log[..usize::try_from(cut).unwrap()];
                left.is_whole(&format!("cut at byte {cut}"), log, cut == left.end()).await;
            }
        }
    }
}

#[tokio::test]
async fn a_log_whose_length_was_written_before_its_bytes_has_the_last_commit_not_at_all() {
    let left = Left::with_pages(SMALL).await;
    let end = usize::try_from(left.end()).unwrap();
    for cut in (left.after_a..left.end()).step_by(67) {
        let mut log = left.log[..usize::try_from(cut).unwrap()].to_vec();
        log.resize(end, 0);
        left.is_whole(&format!("zeros from byte {cut} on"), &log, log == left.log).await;
    }
    // One bit of any page spoils the whole of B and nothing before it.
    for at in (left.after_a..left.end()).step_by(67) {
        let mut log = left.log.clone();
        log[usize::try_from(at).unwrap()] ^= 0x10;
        left.is_whole(&format!("byte {at} turned"), &log, false).await;
    }
}

#[tokio::test]
async fn a_database_that_was_cut_and_goes_on_is_sound() {
    let left = Left::with_pages(SMALL).await;
    for cut in (left.after_a..=left.end()).step_by(usize::try_from(left.frame / 2).unwrap()) {
        let dir = folder();
        fs::copy(left.dir.path().join(FILE), dir.path().join(FILE)).unwrap();
        fs::write(dir.path().join(LOG), &left.log).unwrap();
        OpenOptions::new().write(true).open(dir.path().join(LOG)).unwrap().set_len(cut).unwrap();
        let store = SqliteStore::open(dir.path()).unwrap();
        left.goes_on(&store, &format!("cut at byte {cut}")).await;
        drop(store);
        is_sound(dir.path());
    }
}
