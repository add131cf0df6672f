//! The final form of logs: as it is documented, whole after a crash at any byte, readable around damage.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests")]

use cloudai_core::ids::{Attempt, TaskId};
use cloudai_store::bulk::local::LocalBulk;
use cloudai_store::bulk::{BulkError, BulkStore, LogRecord, LogStream};
use sha2::{Digest, Sha256};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// In memory where that can be: thousands of crashes need no disk that is synced.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn attempt(task: u128) -> Attempt {
    Attempt { task: TaskId::new(task), number: 1 }
}

const LOG: Attempt = Attempt { task: TaskId::new(1), number: 1 };

/// A line that zstd makes nothing of.
fn noise(n: u64) -> LogRecord {
    let digest = |part: u64| hex::encode(Sha256::digest((n * 100 + part).to_le_bytes()));
    let text: String = (0..16).map(digest).collect();
    record(n, &text)
}

fn record(n: u64, text: &str) -> LogRecord {
    let stream = if n.is_multiple_of(3) { LogStream::Stderr } else { LogStream::Stdout };
    LogRecord { time_ns: 1000 + n, stream, data: format!("{n} {text}\n").into() }
}

fn path_of(dir: &Path, log: Attempt) -> PathBuf {
    let id = log.task.to_string();
    dir.join("logs").join(&id[id.len() - 2..]).join(&id).join(format!("{}.log", log.number))
}

async fn everything(store: &LocalBulk, log: Attempt) -> Vec<LogRecord> {
    store.read_log(log, 0, usize::MAX).await.unwrap()
}

async fn written(dir: &Path, records: &[LogRecord]) -> LocalBulk {
    let store = LocalBulk::open(dir).unwrap();
    store.append_log(LOG, 0, records).await.unwrap();
    store
}

/// What docs/log-format.md says, in the shortest words: a reader that knows nothing of the store.
struct Plain {
    /// Records and where they lie in the file, block by block.
    blocks: Vec<(Range<u64>, Range<usize>)>,
    records: Vec<LogRecord>,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn size(bytes: &[u8]) -> usize {
    usize::try_from(number(bytes)).unwrap()
}

fn read_plainly(file: &[u8]) -> Plain {
    assert_eq!(&file[..8], b"CAILOG\0\x02");
    let trailer = &file[file.len() - 72..];
    assert_eq!(&trailer[64..], b"CAIEND\0\x02");
    let (index, count) = (size(&trailer[48..56]), size(&trailer[56..60]));
    assert_eq!(index + count * 48 + 72, file.len());
    let (mut blocks, mut records, mut hash) = (Vec::new(), Vec::new(), Sha256::new());
    for entry in file[index..file.len() - 72].chunks(48) {
        let (offset, packed) = (size(&entry[24..32]), size(&entry[36..40]));
        let content = zstd::decode_all(&file[offset..offset + packed]).unwrap();
        assert_eq!(content.len(), size(&entry[40..44]));
        let (first, mut rest) = (records.len() as u64, content.as_slice());
        while !rest.is_empty() {
            let length = size(&rest[..4]);
            let stream = if rest[12] == 1 { LogStream::Stdout } else { LogStream::Stderr };
            let data = rest[13..13 + length].to_vec();
            hash.update(&data);
            records.push(LogRecord { time_ns: number(&rest[4..12]), stream, data: data.into() });
            rest = &rest[13 + length..];
        }
        let own = &records[usize::try_from(first).unwrap()..];
        assert_eq!(number(&entry[..8]), first);
        assert_eq!(number(&entry[8..16]), own[0].time_ns);
        assert_eq!(number(&entry[16..24]), own.iter().map(|record| record.time_ns).max().unwrap());
        assert_eq!(number(&entry[32..36]), own.len() as u64);
        blocks.push((first..records.len() as u64, offset..offset + packed));
    }
    assert_eq!(number(&trailer[..8]), records.len() as u64);
    assert_eq!(number(&trailer[8..16]), records.iter().map(|record| record.data.len() as u64).sum::<u64>());
    assert_eq!(trailer[16..48], hash.finalize()[..]);
    Plain { blocks, records }
}

#[tokio::test]
async fn a_sealed_log_is_what_the_document_says_and_needs_no_store_to_be_read() {
    let dir = folder();
    let mut records: Vec<_> = (0..1500).map(noise).collect();
    records[7].data = "".into();
    records[8].data = vec![b'x'; 3_000_000].into();
    let store = written(dir.path(), &records).await;
    assert!(store.seal_log(LOG).await.unwrap());
    let plain = read_plainly(&fs::read(path_of(dir.path(), LOG)).unwrap());
    assert_eq!(plain.records, records);
    assert!(plain.blocks.len() > 3);
    let opened = LocalBulk::open(dir.path()).unwrap();
    for store in [store, opened] {
        assert_eq!(everything(&store, LOG).await, records);
        assert_eq!(store.log_position(LOG).await.unwrap().records, 1500);
        for (block, _) in &plain.blocks {
            for from in [block.start, block.end - 1] {
                let read = store.read_log(LOG, from, 1).await.unwrap();
                assert_eq!(read, records[usize::try_from(from).unwrap()..][..1], "{from}");
            }
        }
    }
}

#[tokio::test]
async fn text_takes_a_fraction_of_its_size() {
    let dir = folder();
    let records: Vec<_> = (0..10_000).map(|n| record(n, "epoch done, loss 0.0123, all is well")).collect();
    let store = written(dir.path(), &records).await;
    let path = path_of(dir.path(), LOG);
    let before = fs::metadata(&path).unwrap().len();
    store.seal_log(LOG).await.unwrap();
    let after = fs::metadata(&path).unwrap().len();
    assert!(after * 5 < before, "{before} became {after}");
}

/// A log in both forms: as it grew, and sealed.
async fn both_forms(records: &[LogRecord]) -> (Vec<u8>, Vec<u8>) {
    let dir = folder();
    let store = written(dir.path(), records).await;
    let path = path_of(dir.path(), LOG);
    let grown = fs::read(&path).unwrap();
    assert!(store.seal_log(LOG).await.unwrap());
    (grown, fs::read(path).unwrap())
}

#[tokio::test]
async fn a_crash_at_any_byte_of_the_sealing_leaves_the_log_whole_and_it_is_sealed_later() {
    let records: Vec<_> = (0..300).map(|n| record(n, "same")).collect();
    let (grown, sealed) = both_forms(&records).await;
    let dir = folder();
    let path = path_of(dir.path(), LOG);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let part = path.with_extension("log.part");
    for cut in 0..=sealed.len() {
        fs::write(&path, &grown).unwrap();
        fs::write(&part, &sealed[..cut]).unwrap();
        let store = LocalBulk::open(dir.path()).unwrap();
        assert_eq!(everything(&store, LOG).await, records, "{cut}");
        if cut.is_multiple_of(200) {
            assert_eq!(unsealed(&store).await, [LOG], "{cut}");
        }
        assert!(store.seal_log(LOG).await.unwrap(), "{cut}");
        assert_eq!(everything(&store, LOG).await, records, "{cut}");
        assert!(!part.exists(), "{cut}");
        assert_eq!(fs::read(&path).unwrap(), sealed, "{cut}");
    }
    // After the rename there is nothing else to do.
    let store = LocalBulk::open(dir.path()).unwrap();
    assert_eq!(everything(&store, LOG).await, records);
    assert_eq!(unsealed(&store).await, []);
}

#[tokio::test]
async fn a_sealed_log_that_is_cut_has_its_whole_blocks_and_never_a_wrong_record() {
    let records: Vec<_> = (0..1000).map(noise).collect();
    let (_, sealed) = both_forms(&records).await;
    let blocks = read_plainly(&sealed).blocks;
    let dir = folder();
    let path = path_of(dir.path(), LOG);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let ends = blocks.iter().map(|(_, bytes)| bytes.end);
    let near = ends.flat_map(|end| [end - 1, end, end + 1]).chain([8, 9, sealed.len() - 1, sealed.len() - 72]);
    for cut in near.chain((0..32).map(|part| 8 + (sealed.len() - 8) * part / 32)) {
        fs::write(&path, &sealed[..cut]).unwrap();
        let store = LocalBulk::open(dir.path()).unwrap();
        let whole = blocks.iter().rev().find(|(_, bytes)| bytes.end <= cut).map_or(0, |(numbers, _)| numbers.end);
        assert_eq!(everything(&store, LOG).await, records[..usize::try_from(whole).unwrap()], "{cut}");
        assert_eq!(store.log_position(LOG).await.unwrap().records, whole, "{cut}");
    }
}

#[tokio::test]
async fn a_damaged_block_is_told_by_its_records_and_the_rest_is_readable() {
    let records: Vec<_> = (0..1500).map(noise).collect();
    let (_, sealed) = both_forms(&records).await;
    let blocks = read_plainly(&sealed).blocks;
    let dir = folder();
    let path = path_of(dir.path(), LOG);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for (bad, bytes) in &blocks {
        let mut file = sealed.clone();
        file[bytes.start + bytes.len() / 2] ^= 1;
        fs::write(&path, &file).unwrap();
        let store = LocalBulk::open(dir.path()).unwrap();
        assert_eq!(store.log_position(LOG).await.unwrap().records, 1500);
        let (mut next, mut read) = (0, Vec::new());
        let mut told = Vec::new();
        while next < 1500 {
            match store.read_log(LOG, next, usize::MAX).await {
                Ok(more) => {
                    next += more.len() as u64;
                    read.extend(more);
                }
                Err(error @ BulkError::Damaged { attempt: LOG, next: Some(after), .. }) => {
                    told.push(error.to_string());
                    next = after;
                }
                other => panic!("{other:?}"),
            }
        }
        let good = [&records[..usize::try_from(bad.start).unwrap()], &records[usize::try_from(bad.end).unwrap()..]];
        assert_eq!(read, good.concat(), "{bad:?}");
        let last = bad.end - 1;
        let said = format!(
            "the log of {LOG} is damaged from record {} on up to record {last}: what follows is read from {} on",
            bad.start, bad.end
        );
        assert_eq!(told, [said]);
        let within = store.read_log(LOG, last, 1).await;
        assert!(matches!(within, Err(BulkError::Damaged { first, .. }) if first == last), "{within:?}");
        // Which of its records a time means is not known any more: from its first on nothing is missed.
        assert_eq!(store.log_since(LOG, 1000 + last).await.unwrap(), bad.start);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn readers_of_a_log_that_is_being_sealed_see_each_record_once_and_in_order() {
    let dir = folder();
    let records: Arc<Vec<_>> = Arc::new((0..3000).map(noise).collect());
    let store = written(dir.path(), &records).await;
    let over = Arc::new(AtomicBool::new(false));
    let (began, begun) = tokio::sync::oneshot::channel();
    let reader = tokio::spawn({
        let (store, records, over) = (store.clone(), Arc::clone(&records), Arc::clone(&over));
        async move {
            let mut began = Some(began);
            let mut passes = 0;
            loop {
                let last = over.load(Ordering::SeqCst);
                let mut next = 0;
                loop {
                    let read = store.read_log(LOG, next, 20_000).await.unwrap();
                    if read.is_empty() {
                        break;
                    }
                    let from = usize::try_from(next).unwrap();
                    assert_eq!(read, records[from..from + read.len()]);
                    next += read.len() as u64;
                    began.take().map(|began| began.send(()));
                }
                assert_eq!(next, 3000);
                passes += 1;
                if last {
                    return passes;
                }
            }
        }
    });
    begun.await.unwrap();
    assert!(store.seal_log(LOG).await.unwrap());
    over.store(true, Ordering::SeqCst);
    assert!(reader.await.unwrap() > 0);
}

#[tokio::test]
async fn what_is_added_while_a_log_is_being_sealed_is_not_lost() {
    let dir = folder();
    let records: Vec<_> = (0..2000).map(noise).collect();
    let store = written(dir.path(), &records[..1500]).await;
    let (sealed, added) = tokio::join!(store.seal_log(LOG), store.append_log(LOG, 1500, &records[1500..]));
    // Whichever came first: no record is in neither form.
    match added {
        Ok(kept) => assert_eq!(kept.records, 2000),
        Err(BulkError::Sealed { have }) => assert!(have == 1500 && sealed.unwrap()),
        Err(error) => panic!("{error}"),
    }
    let kept = usize::try_from(store.log_position(LOG).await.unwrap().records).unwrap();
    assert_eq!(everything(&LocalBulk::open(dir.path()).unwrap(), LOG).await, records[..kept]);
}

async fn unsealed(store: &LocalBulk) -> Vec<Attempt> {
    let mut found = Vec::new();
    let mut part = 0;
    while let Some(mut more) = store.unsealed_logs(part).await.unwrap() {
        found.append(&mut more);
        part += 1;
    }
    assert_eq!(part, 1024);
    found.sort();
    found
}

#[tokio::test]
async fn logs_that_a_master_did_not_get_to_are_found_after_its_start_and_small_ones_are_left() {
    let dir = folder();
    let store = LocalBulk::open(dir.path()).unwrap();
    let long: Vec<_> = (0..300).map(|n| record(n, "x")).collect();
    let tasks = [1, 2, 33, u128::from(u64::MAX), u128::MAX >> 1];
    for task in tasks {
        store.append_log(attempt(task), 0, &long).await.unwrap();
    }
    for task in 500..520 {
        store.append_log(attempt(task), 0, &long[..3]).await.unwrap();
    }
    store.seal_log(attempt(2)).await.unwrap();
    store.append_file(attempt(3), "f", 0, "x".into()).await.unwrap();
    let expected = [1, 33, u128::from(u64::MAX), u128::MAX >> 1].map(attempt);
    assert_eq!(unsealed(&LocalBulk::open(dir.path()).unwrap()).await, expected);
}

#[tokio::test]
async fn a_removal_that_was_interrupted_is_finished_by_the_next() {
    let dir = folder();
    let records: Vec<_> = (0..300).map(|n| record(n, "x")).collect();
    let store = written(dir.path(), &records).await;
    let second = Attempt { number: 2, ..LOG };
    store.append_log(second, 0, &records).await.unwrap();
    store.seal_log(second).await.unwrap();
    // A crash between two files, with what a sealing left.
    let path = path_of(dir.path(), LOG);
    fs::write(path.with_extension("log.part"), "left").unwrap();
    fs::remove_file(&path).unwrap();
    let store = LocalBulk::open(dir.path()).unwrap();
    store.remove(LOG.task).await.unwrap();
    assert!(!path.parent().unwrap().exists());
    assert_eq!(everything(&store, second).await, []);
}

/// Both forms of one log as they were when they were first written, by a program of a few lines
/// that knew docs/log-format.md and nothing else. These never change.
const FORM_1: &str = concat!(
    "4341494c4f47000104000000cfb73b9001002a36fe9c9717016f6e650a07000000940ef4c702002a36fe9c97170274776f3a",
    "20ff0a00000000b56ed03c00002a36fe9c9717011100000086f7dc9d09002a36fe9c9717016c6173742c20776974686f7574",
    "20656e64",
);
const FORM_2: &str = concat!(
    "4341494c4f47000228b52ffd04682901000400000001002a36fe9c9717016f6e650a0700000002002a36fe9c97170274776f",
    "3a20ff0aa401c1c728b52ffd0468350100f0002a36fe9c97170111000000096c6173742c20776974686f757420656e640200",
    "30292f70051f34d46e000000000000000001002a36fe9c971702002a36fe9c97170800000000000000020000003200000025",
    "0000006bf1c2be020000000000000000002a36fe9c971709002a36fe9c97173a0000000000000002000000330000002b0000",
    "0031683fc304000000000000001c00000000000000eec3967cde76c9f27da2cb4b87044135277aaf254f61ec0ef5158c208b",
    "a6ef026d0000000000000002000000f34993f4434149454e440002",
);

#[tokio::test]
async fn logs_of_the_first_version_are_read_for_good() {
    let record = |time: u64, stream, data: &'static [u8]| LogRecord {
        time_ns: 1_700_000_000_000_000_000 + time,
        stream,
        data: data.into(),
    };
    let (out, err) = (LogStream::Stdout, LogStream::Stderr);
    let records = [
        record(1, out, b"one\n"),
        record(2, err, b"two: \xff\n"),
        record(0, out, b""),
        record(9, out, b"last, without end"),
    ];
    for form in [FORM_1, FORM_2] {
        let dir = folder();
        let path = path_of(dir.path(), LOG);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, hex::decode(form).unwrap()).unwrap();
        let store = LocalBulk::open(dir.path()).unwrap();
        assert_eq!(everything(&store, LOG).await, records);
        assert_eq!(store.read_log(LOG, 3, 1).await.unwrap(), records[3..]);
        for (time, first) in [(0, 0), (2, 1), (3, 3), (9, 3), (10, 4)] {
            assert_eq!(store.log_since(LOG, 1_700_000_000_000_000_000 + time).await.unwrap(), first, "{time}");
        }
        assert_eq!(fs::read(&path).unwrap(), hex::decode(form).unwrap(), "reading changes nothing");
    }
    assert_eq!(read_plainly(&hex::decode(FORM_2).unwrap()).records, records);
}
