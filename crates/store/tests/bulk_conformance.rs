//! What every bulk store must do, and what the local one does after a crash.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

mod common;
mod s3_server;

use bytes::Bytes;
use cloudai_core::ids::Attempt;
use cloudai_core::sha256::Sha256;
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::bulk::s3::Bucket;
use cloudai_store::bulk::{BulkError, BulkStore, LogPosition, LogRecord, LogStream, SmallFile, path_name};
use common::{attempt, id};
use s3_server::S3Server;
use sha2::Digest;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncReadExt;

fn local() -> (Arc<dyn BulkStore>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(LocalBulk::open(dir.path()).unwrap()), dir)
}

/// The contents of files in a bucket, everything else in a directory.
fn s3() -> (Arc<dyn BulkStore>, (tempfile::TempDir, S3Server)) {
    let (dir, server) = (tempfile::tempdir().unwrap(), S3Server::start());
    let bucket = Bucket::new(&server.settings("files")).unwrap();
    (Arc::new(LocalBulk::open_with(dir.path(), bucket).unwrap()), (dir, server))
}

macro_rules! backends {
    ($claims:tt $($backend:ident)+) => { $(backends!(@one $backend $claims);)+ };
    (@one $backend:ident [$($claim:ident)+]) => {
        mod $backend {
            $(#[tokio::test]
            async fn $claim() {
                let (store, _dir) = super::$backend();
                super::$claim(store).await;
            })+
        }
    };
}

backends!([
    records_are_read_back_as_they_were_written
    a_repeated_append_changes_nothing_and_an_overlapping_one_adds_the_rest
    a_gap_is_refused_with_what_is_kept
    attempts_and_elements_have_logs_of_their_own
    a_read_begins_anywhere_is_bounded_and_never_empty_before_the_end
    the_tail_of_a_log_begins_at_its_last_records
    a_log_that_was_never_written_is_empty
    a_synced_log_is_told_with_its_position
    many_writers_of_one_log_leave_each_record_once
    a_sealed_log_reads_as_it_did_and_takes_nothing_new
    a_time_finds_the_first_record_at_or_after_it_in_both_forms
    what_is_not_worth_another_form_stays_as_it_is
    the_files_of_one_attempt_are_told_by_their_names_and_go_alone
    a_removed_task_has_no_logs_and_no_files_and_others_keep_theirs
    a_finished_file_is_read_back_and_an_unfinished_one_is_not
    a_file_goes_on_where_it_was_and_a_repeated_piece_changes_nothing
    a_gap_in_a_file_is_refused_with_what_is_kept
    a_file_that_is_not_as_announced_is_gone_and_may_be_sent_again
    a_file_that_is_finished_stays_as_it_is
    an_empty_file_is_a_file
    small_files_are_kept_together_and_once
    a_path_that_would_leave_its_folder_is_refused_everywhere
    a_file_and_a_folder_may_have_one_name
] local s3);

fn line(n: u64) -> LogRecord {
    let stream = if n.is_multiple_of(3) { LogStream::Stderr } else { LogStream::Stdout };
    LogRecord { time_ns: n, stream, data: format!("line {n}\n").into() }
}

fn lines(range: std::ops::Range<u64>) -> Vec<LogRecord> {
    range.map(line).collect()
}

fn position(range: std::ops::Range<u64>) -> LogPosition {
    let bytes = lines(range.clone()).iter().map(|record| record.data.len() as u64).sum();
    LogPosition { records: range.end, bytes }
}

async fn everything(store: &dyn BulkStore, of: Attempt) -> Vec<LogRecord> {
    store.read_log(of, 0, usize::MAX).await.unwrap()
}

async fn records_are_read_back_as_they_were_written(store: Arc<dyn BulkStore>) {
    let odd: Vec<_> = [&b""[..], b"\n", b"\0\xff\xfe", &[b'x'; 300_000], b"no end"]
        .into_iter()
        .zip([0, u64::MAX, 1, 2, 3])
        .map(|(data, time_ns)| LogRecord { time_ns, stream: LogStream::Stderr, data: Bytes::copy_from_slice(data) })
        .collect();
    let kept = store.append_log(attempt(1, 1), 0, &odd).await.unwrap();
    assert_eq!(kept, LogPosition { records: 5, bytes: 300_010 });
    assert_eq!(store.log_position(attempt(1, 1)).await.unwrap(), kept);
    assert_eq!(everything(&*store, attempt(1, 1)).await, odd);
}

async fn a_repeated_append_changes_nothing_and_an_overlapping_one_adds_the_rest(store: Arc<dyn BulkStore>) {
    let log = attempt(1, 1);
    for (first, last, kept) in [(0, 3, 3), (0, 3, 3), (0, 2, 3), (2, 5, 5), (5, 6, 6), (6, 6, 6), (0, 9, 9)] {
        let answer = store.append_log(log, first, &lines(first..last)).await.unwrap();
        assert_eq!(answer, position(0..kept), "{first}..{last}");
    }
    assert_eq!(everything(&*store, log).await, lines(0..9));
}

async fn a_gap_is_refused_with_what_is_kept(store: Arc<dyn BulkStore>) {
    let log = attempt(1, 1);
    for have in [0, 2] {
        let answer = store.append_log(log, 3, &lines(3..4)).await;
        assert!(matches!(answer, Err(BulkError::Gap { have: kept }) if kept == have), "{answer:?}");
        store.append_log(log, have, &lines(have..2)).await.unwrap();
    }
    assert_eq!(everything(&*store, log).await, lines(0..2));
}

async fn attempts_and_elements_have_logs_of_their_own(store: Arc<dyn BulkStore>) {
    let element = Attempt { task: id(1).element(1), number: 1 };
    let logs = [attempt(1, 1), attempt(1, 2), attempt(2, 1), element];
    for (log, n) in logs.into_iter().zip(1..) {
        store.append_log(log, 0, &lines(0..n)).await.unwrap();
    }
    for (log, n) in logs.into_iter().zip(1..) {
        assert_eq!(everything(&*store, log).await, lines(0..n));
    }
}

async fn a_read_begins_anywhere_is_bounded_and_never_empty_before_the_end(store: Arc<dyn BulkStore>) {
    let log = attempt(1, 1);
    // Long enough for several entries of an index.
    let records: Vec<_> = (0..20_000).map(line).collect();
    for (number, piece) in records.chunks(777).enumerate() {
        store.append_log(log, number as u64 * 777, piece).await.unwrap();
    }
    for from in [0, 1, 776, 777, 9_999, 15_000, 19_999, 20_000, 30_000] {
        for max_bytes in [0, 1, 100, 5_000] {
            let read = store.read_log(log, from, max_bytes).await.unwrap();
            let start = usize::try_from(from).unwrap().min(records.len());
            assert_eq!(read, records[start..start + read.len()], "{from} {max_bytes}");
            assert_eq!(read.is_empty(), from >= 20_000, "{from} {max_bytes}");
            let bytes: usize = read.iter().map(|record| record.data.len()).sum();
            assert!(bytes <= max_bytes || read.len() == 1, "{from} {max_bytes}: {bytes}");
        }
    }
}

async fn the_tail_of_a_log_begins_at_its_last_records(store: Arc<dyn BulkStore>) {
    let log = attempt(1, 1);
    assert_eq!(store.log_tail(log, 5).await.unwrap(), 0);
    store.append_log(log, 0, &lines(0..10)).await.unwrap();
    for (count, first) in [(0, 10), (1, 9), (10, 0), (11, 0), (u64::MAX, 0)] {
        assert_eq!(store.log_tail(log, count).await.unwrap(), first, "{count}");
    }
}

async fn a_log_that_was_never_written_is_empty(store: Arc<dyn BulkStore>) {
    assert_eq!(store.log_position(attempt(1, 1)).await.unwrap(), LogPosition::default());
    assert_eq!(store.read_log(attempt(1, 1), 0, 100).await.unwrap(), []);
    assert_eq!(store.append_log(attempt(1, 1), 0, &[]).await.unwrap(), LogPosition::default());
    assert_eq!(store.sync_log(attempt(1, 1)).await.unwrap(), LogPosition::default());
}

async fn a_synced_log_is_told_with_its_position(store: Arc<dyn BulkStore>) {
    for (first, last) in [(0, 4), (4, 4), (4, 6)] {
        store.append_log(attempt(1, 1), first, &lines(first..last)).await.unwrap();
        assert_eq!(store.sync_log(attempt(1, 1)).await.unwrap(), position(0..last));
    }
}

async fn many_writers_of_one_log_leave_each_record_once(store: Arc<dyn BulkStore>) {
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            for first in 0..50 {
                store.append_log(attempt(1, 1), first, &lines(first..first + 3)).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    assert_eq!(everything(&*store, attempt(1, 1)).await, lines(0..52));
}

/// More than a block of the disk.
const LONG: u64 = 300;

async fn a_sealed_log_reads_as_it_did_and_takes_nothing_new(store: Arc<dyn BulkStore>) {
    let log = attempt(1, 1);
    let kept = store.append_log(log, 0, &lines(0..LONG)).await.unwrap();
    assert!(store.is_worth_sealing(kept));
    assert!(store.seal_log(log).await.unwrap());
    assert!(!store.seal_log(log).await.unwrap(), "once is enough");
    assert_eq!(store.log_position(log).await.unwrap(), kept);
    assert_eq!(store.sync_log(log).await.unwrap(), kept);
    assert_eq!(store.log_tail(log, 3).await.unwrap(), LONG - 3);
    for from in [0, 1, LONG / 2, LONG - 1, LONG, LONG + 1] {
        for max_bytes in [0, 1, 100, usize::MAX] {
            let read = store.read_log(log, from, max_bytes).await.unwrap();
            let end = from.min(LONG) + read.len() as u64;
            assert_eq!(read, lines(from.min(LONG)..end), "{from} {max_bytes}");
            assert!(read.is_empty() == (from >= LONG) && (max_bytes < usize::MAX || end == LONG), "{from} {max_bytes}");
        }
    }
    // What its worker tells again changes nothing.
    assert_eq!(store.append_log(log, LONG - 2, &lines(LONG - 2..LONG)).await.unwrap(), kept);
    let more = store.append_log(log, LONG, &lines(LONG..LONG + 1)).await;
    assert!(matches!(more, Err(BulkError::Sealed { have: LONG })), "{more:?}");
    let gap = store.append_log(log, LONG + 2, &lines(LONG..LONG + 1)).await;
    assert!(matches!(gap, Err(BulkError::Gap { have: LONG })), "{gap:?}");
    assert_eq!(everything(&*store, log).await, lines(0..LONG));
}

async fn a_time_finds_the_first_record_at_or_after_it_in_both_forms(store: Arc<dyn BulkStore>) {
    let log = attempt(1, 1);
    assert_eq!(store.log_since(log, 0).await.unwrap(), 0);
    // Long enough for several entries of an index; now and then a time goes back.
    let time = |n: u64| 10 * n - if n % 1000 == 7 { 50 } else { 0 };
    let data = "x".repeat(200);
    let record = |n| LogRecord { time_ns: time(n), stream: LogStream::Stdout, data: data.clone().into() };
    let records: Vec<_> = (0..5_000).map(record).collect();
    store.append_log(log, 0, &records).await.unwrap();
    for sealed in [false, true] {
        for since in [0, 1, 10, 9_999, 10_000, 10_020, 10_025, 25_000, 49_989, 49_990, 49_991, u64::MAX] {
            let expected = (0..5_000).find(|n| time(*n) >= since).unwrap_or(5_000);
            assert_eq!(store.log_since(log, since).await.unwrap(), expected, "{since} {sealed}");
        }
        assert_eq!(store.seal_log(log).await.unwrap(), !sealed);
    }
}

async fn what_is_not_worth_another_form_stays_as_it_is(store: Arc<dyn BulkStore>) {
    let (short, none) = (attempt(1, 1), attempt(2, 1));
    let kept = store.append_log(short, 0, &lines(0..3)).await.unwrap();
    for (log, kept) in [(short, kept), (none, LogPosition::default())] {
        assert!(!store.is_worth_sealing(kept));
        assert!(!store.seal_log(log).await.unwrap());
    }
    assert_eq!(store.append_log(short, 3, &lines(3..4)).await.unwrap(), position(0..4));
}

async fn a_removed_task_has_no_logs_and_no_files_and_others_keep_theirs(store: Arc<dyn BulkStore>) {
    store.remove(id(1)).await.unwrap();
    let element = Attempt { task: id(1).element(1), number: 1 };
    let gone = [attempt(1, 1), attempt(1, 2)];
    let kept = [attempt(2, 1), element];
    for log in gone.into_iter().chain(kept) {
        store.append_log(log, 0, &lines(0..LONG)).await.unwrap();
        store.append_file(log, "unfinished", 0, Bytes::from("x")).await.unwrap();
        store.append_file(log, "a/b", 0, Bytes::from("x")).await.unwrap();
        store.finish_file(log, "a/b", 1, sha(b"x")).await.unwrap();
    }
    store.seal_log(gone[0]).await.unwrap();
    store.remove(id(1)).await.unwrap();
    store.remove(id(1)).await.unwrap();
    for log in gone {
        assert_eq!(store.log_position(log).await.unwrap(), LogPosition::default());
        assert_eq!(everything(&*store, log).await, []);
        assert!(matches!(store.read_file(log, "a/b").await, Err(BulkError::NotFound)));
        assert_eq!(store.file_position(log, "unfinished").await.unwrap(), 0);
    }
    for log in kept {
        assert_eq!(everything(&*store, log).await, lines(0..LONG));
        assert_eq!(store.read_file(log, "a/b").await.unwrap().0, 1);
    }
    assert_eq!(store.append_log(gone[0], 0, &lines(0..1)).await.unwrap(), position(0..1));
}

fn sha(data: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(data).into())
}

fn small(path: &str, data: &'static [u8]) -> SmallFile {
    SmallFile { path: path.into(), sha256: sha(data), data: Bytes::from_static(data) }
}

async fn contents(store: &dyn BulkStore, path: &str) -> Vec<u8> {
    let (size, mut reader) = store.read_file(attempt(1, 1), path).await.unwrap();
    let mut data = Vec::new();
    reader.read_to_end(&mut data).await.unwrap();
    assert_eq!(size, data.len() as u64);
    data
}

async fn send(store: &dyn BulkStore, path: &str, data: &'static [u8]) {
    store.append_file(attempt(1, 1), path, 0, Bytes::from_static(data)).await.unwrap();
    store.finish_file(attempt(1, 1), path, data.len() as u64, sha(data)).await.unwrap();
}

async fn a_finished_file_is_read_back_and_an_unfinished_one_is_not(store: Arc<dyn BulkStore>) {
    let of = attempt(1, 1);
    assert!(matches!(store.read_file(of, "a/b.txt").await, Err(BulkError::NotFound)));
    store.append_file(of, "a/b.txt", 0, Bytes::from_static(b"hello")).await.unwrap();
    assert!(matches!(store.read_file(of, "a/b.txt").await, Err(BulkError::NotFound)));
    store.finish_file(of, "a/b.txt", 5, sha(b"hello")).await.unwrap();
    assert_eq!(contents(&*store, "a/b.txt").await, b"hello");
    assert!(matches!(store.read_file(attempt(1, 2), "a/b.txt").await, Err(BulkError::NotFound)));
}

async fn a_file_goes_on_where_it_was_and_a_repeated_piece_changes_nothing(store: Arc<dyn BulkStore>) {
    let of = attempt(1, 1);
    for (offset, data, kept) in [(0, "hel", 3), (0, "hel", 3), (1, "e", 3), (2, "lo", 4), (4, " you", 8), (8, "", 8)] {
        let answer = store.append_file(of, "f", offset, Bytes::from(data)).await.unwrap();
        assert_eq!(answer, kept, "{offset} {data}");
        assert_eq!(store.file_position(of, "f").await.unwrap(), kept);
    }
    store.finish_file(of, "f", 8, sha(b"helo you")).await.unwrap();
    assert_eq!(contents(&*store, "f").await, b"helo you");
}

async fn a_gap_in_a_file_is_refused_with_what_is_kept(store: Arc<dyn BulkStore>) {
    let of = attempt(1, 1);
    assert_eq!(store.file_position(of, "f").await.unwrap(), 0);
    let answer = store.append_file(of, "f", 1, Bytes::from("x")).await;
    assert!(matches!(answer, Err(BulkError::Gap { have: 0 })), "{answer:?}");
    store.append_file(of, "f", 0, Bytes::from("ab")).await.unwrap();
    let answer = store.append_file(of, "f", 3, Bytes::from("x")).await;
    assert!(matches!(answer, Err(BulkError::Gap { have: 2 })), "{answer:?}");
}

async fn a_file_that_is_not_as_announced_is_gone_and_may_be_sent_again(store: Arc<dyn BulkStore>) {
    let of = attempt(1, 1);
    for (size, sum) in [(5, sha(b"other")), (4, sha(b"hello")), (5, Sha256([0; 32]))] {
        store.append_file(of, "f", 0, Bytes::from("hello")).await.unwrap();
        let answer = store.finish_file(of, "f", size, sum).await;
        assert!(matches!(answer, Err(BulkError::Checksum)), "{answer:?}");
        assert_eq!(store.file_position(of, "f").await.unwrap(), 0);
    }
    send(&*store, "f", b"hello").await;
    assert_eq!(contents(&*store, "f").await, b"hello");
}

async fn a_file_that_is_finished_stays_as_it_is(store: Arc<dyn BulkStore>) {
    let of = attempt(1, 1);
    send(&*store, "f", b"hello").await;
    send(&*store, "f", b"hello").await;
    assert_eq!(store.append_file(of, "f", 9, Bytes::from("more")).await.unwrap(), 5);
    assert_eq!(store.file_position(of, "f").await.unwrap(), 5);
    assert!(matches!(store.finish_file(of, "f", 5, sha(b"other")).await, Err(BulkError::Checksum)));
    assert_eq!(contents(&*store, "f").await, b"hello");
}

async fn an_empty_file_is_a_file(store: Arc<dyn BulkStore>) {
    store.finish_file(attempt(1, 1), "never sent", 0, sha(b"")).await.unwrap();
    send(&*store, "sent", b"").await;
    for path in ["never sent", "sent"] {
        assert_eq!(contents(&*store, path).await, b"");
    }
}

async fn a_path_that_would_leave_its_folder_is_refused_everywhere(store: Arc<dyn BulkStore>) {
    let of = attempt(1, 1);
    for path in ["", "/etc/passwd", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "a\0b", &"x".repeat(4097)] {
        let refused = [
            store.append_file(of, path, 0, Bytes::from("x")).await.map(drop),
            store.file_position(of, path).await.map(drop),
            store.finish_file(of, path, 1, sha(b"x")).await,
            store.read_file(of, path).await.map(drop),
        ];
        for answer in refused {
            assert!(matches!(answer, Err(BulkError::BadPath(_))), "{path:?}: {answer:?}");
        }
    }
}

async fn the_files_of_one_attempt_are_told_by_their_names_and_go_alone(store: Arc<dyn BulkStore>) {
    let of = attempt(1, 1);
    assert_eq!(store.finished_files(of).await.unwrap(), []);
    send(&*store, "a/b", b"hello").await;
    send(&*store, "empty", b"").await;
    store.append_file(of, "half", 0, Bytes::from("ha")).await.unwrap();
    let small = SmallFile { path: "a/b".into(), sha256: sha(b"next"), data: Bytes::from("next") };
    store.put_files(attempt(1, 2), vec![small]).await.unwrap();
    let mut told = store.finished_files(of).await.unwrap();
    told.sort_unstable();
    let mut expected = vec![(path_name("a/b"), 5), (path_name("empty"), 0)];
    expected.sort_unstable();
    assert_eq!(told, expected, "what is not whole is not among them");
    for _ in 0..2 {
        store.remove_files(of).await.unwrap();
        assert_eq!(store.finished_files(of).await.unwrap(), []);
        assert_eq!(store.file_position(of, "half").await.unwrap(), 0);
        assert_eq!(store.finished_files(attempt(1, 2)).await.unwrap(), [(path_name("a/b"), 4)]);
    }
}

async fn a_file_and_a_folder_may_have_one_name(store: Arc<dyn BulkStore>) {
    let long: &'static str = Box::leak("y".repeat(4096).into_boxed_str());
    let paths = ["a", "a/b", "a/b/c", "a.part", "A", long];
    for path in paths {
        send(&*store, path, path.as_bytes()).await;
    }
    for path in paths {
        assert_eq!(contents(&*store, path).await, path.as_bytes());
    }
}

/// The one log file below a directory.
fn log_file(dir: &Path) -> PathBuf {
    let only = |path: PathBuf| fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    only(only(only(dir.join("logs"))))
}

#[tokio::test]
async fn a_log_torn_at_any_byte_is_cut_after_its_last_whole_record_and_goes_on() {
    let (store, dir) = local();
    store.append_log(attempt(1, 1), 0, &lines(0..6)).await.unwrap();
    let path = log_file(dir.path());
    let whole = fs::read(&path).unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let store = LocalBulk::open(dir.path()).unwrap();
        let kept = store.log_position(attempt(1, 1)).await.unwrap();
        let records = (0..=6).rev().find(|n| 8 + n * 17 + position(0..*n).bytes <= cut as u64).unwrap_or(0);
        assert_eq!(kept, position(0..records), "{cut}");
        assert_eq!(everything(&store, attempt(1, 1)).await, lines(0..records), "{cut}");
        assert_eq!(
            store.append_log(attempt(1, 1), kept.records, &lines(kept.records..6)).await.unwrap(),
            position(0..6)
        );
        assert_eq!(fs::read(&path).unwrap(), whole, "{cut}");
    }
}

#[tokio::test]
async fn a_log_whose_end_is_rubbish_is_cut_after_its_last_good_record() {
    let (store, dir) = local();
    store.append_log(attempt(1, 1), 0, &lines(0..3)).await.unwrap();
    let path = log_file(dir.path());
    let whole = fs::read(&path).unwrap();
    for rubbish in [&[0; 100][..], &[0xff; 100], b"x"] {
        fs::write(&path, [&whole[..], rubbish].concat()).unwrap();
        let store = LocalBulk::open(dir.path()).unwrap();
        assert_eq!(store.log_position(attempt(1, 1)).await.unwrap(), position(0..3));
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[tokio::test]
async fn a_file_of_another_format_is_not_cut() {
    let (store, dir) = local();
    store.append_log(attempt(1, 1), 0, &lines(0..3)).await.unwrap();
    fs::write(log_file(dir.path()), "something else entirely").unwrap();
    let store = LocalBulk::open(dir.path()).unwrap();
    assert!(matches!(store.log_position(attempt(1, 1)).await, Err(BulkError::Unavailable(_))));
    assert!(matches!(store.append_log(attempt(1, 1), 0, &lines(0..1)).await, Err(BulkError::Unavailable(_))));
    assert_eq!(fs::read_to_string(log_file(dir.path())).unwrap(), "something else entirely");
}

#[tokio::test]
async fn an_unfinished_file_goes_on_after_a_restart() {
    let (store, dir) = local();
    store.append_file(attempt(1, 1), "f", 0, Bytes::from("hel")).await.unwrap();
    let store = LocalBulk::open(dir.path()).unwrap();
    assert_eq!(store.file_position(attempt(1, 1), "f").await.unwrap(), 3);
    store.append_file(attempt(1, 1), "f", 3, Bytes::from("lo")).await.unwrap();
    store.finish_file(attempt(1, 1), "f", 5, sha(b"hello")).await.unwrap();
    assert_eq!(contents(&store, "f").await, b"hello");
}

#[tokio::test]
async fn only_the_owner_may_look_at_logs_and_files() {
    use std::os::unix::fs::PermissionsExt;
    let (store, dir) = local();
    store.append_log(attempt(1, 1), 0, &lines(0..1)).await.unwrap();
    send(&*store, "f", b"x").await;
    let mut folders = vec![dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", entry.path().display());
            folders.extend(metadata.is_dir().then(|| entry.path()));
        }
    }
}

async fn small_files_are_kept_together_and_once(store: Arc<dyn BulkStore>) {
    let of = attempt(1, 1);
    send(&*store, "kept", b"1").await;
    store.append_file(of, "begun", 0, Bytes::from_static(b"other bytes")).await.unwrap();
    let files = [("a/b", "1"), ("kept", "1"), ("begun", "2"), ("empty", "")];
    let given: Vec<_> = files.iter().map(|(path, data)| small(path, data.as_bytes())).collect();
    for _ in 0..2 {
        store.put_files(of, given.clone()).await.unwrap();
        for (path, data) in files {
            assert_eq!(contents(&*store, path).await, data.as_bytes(), "{path}");
        }
    }
    let other = store.put_files(of, vec![small("kept", b"3")]).await;
    assert!(matches!(other, Err(BulkError::Checksum)), "{other:?}");
    assert_eq!(contents(&*store, "kept").await, b"1");
    let out = store.put_files(of, vec![small("good", b""), small("../bad", b"")]).await;
    assert!(matches!(out, Err(BulkError::BadPath(_))), "{out:?}");
    let damaged = SmallFile { sha256: sha(b"sent"), ..small("damaged", b"came") };
    let out = store.put_files(of, vec![small("good", b""), damaged]).await;
    assert!(matches!(out, Err(BulkError::Checksum)), "{out:?}");
    for path in ["good", "damaged"] {
        assert!(
            matches!(store.read_file(of, path).await, Err(BulkError::NotFound)),
            "nothing of a call with a bad one"
        );
    }
}
