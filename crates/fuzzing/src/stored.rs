//! What lies on disks: records of the store, and logs in both of their forms.

use crate::check::is_kept;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, TaskId};
use cloudai_core::job::{JobPlan, JobRecord};
use cloudai_core::task::TaskRecord;
use cloudai_core::worker::WorkerRecord;
use cloudai_store::bulk::LogRecord;
use cloudai_store::bulk::local::fuzzing as logs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

/// A stored record as JSON: by the first byte of a task, a worker, a job or the plan of a job. What is read is stored
/// as it is.
/// # Panics
/// That does not hold.
pub fn record(data: &[u8]) {
    let Some((kind, json)) = data.split_first() else { return };
    match kind % 4 {
        0 => of::<TaskRecord>(json),
        1 => of::<WorkerRecord>(json),
        2 => of::<JobRecord>(json),
        _ => of::<JobPlan>(json),
    }
}

fn of<T: Serialize + DeserializeOwned + PartialEq + Debug>(json: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<T>(json) {
        is_kept(&record);
    }
}

/// Bytes of a log. What is read of a growing log is what was written; cut anywhere it loses only its end. A sealed log
/// gives back what went in, and one of which a byte has changed gives none but that.
/// # Panics
/// One of that does not hold.
pub fn log(data: &[u8]) {
    let (records, taken) = logs::records_of(data).expect("bytes are read");
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    let whole = data.get(..taken).expect("no more is read than there is");
    assert_eq!(logs::frames_of(&records).expect("records are written"), whole);
    let (fewer, _) = logs::records_of(data.get(..data.len() / 2).unwrap_or_default()).expect("bytes are read");
    assert!(records.starts_with(&fewer), "a torn log has other records");
    if let Some(records) = logs::records_of_block(Bytes::copy_from_slice(data)) {
        assert_eq!(logs::block_of(&records).expect("records are written"), data);
    }
    numbers_rise(data);
    if !records.is_empty() {
        is_sealed(&records, data);
    }
}

const fn attempt() -> Attempt {
    Attempt { task: TaskId::new(1), number: 1 }
}

/// Any bytes as a sealed log.
fn numbers_rise(data: &[u8]) {
    let mut file = tempfile::tempfile().expect("a file is made");
    file.write_all(data).expect("a file is written");
    let (position, found) = logs::read_sealed(&file, attempt()).expect("a file is read");
    assert!(found.is_sorted_by(|before, after| before.0 < after.0), "a record is there twice");
    assert!(found.iter().all(|(number, _)| *number < position.records), "more is read than there is");
}

fn is_sealed(records: &[LogRecord], data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder is made");
    let file = logs::seal(&folder.path().join("1.log"), records).expect("a log is sealed");
    let (position, found) = logs::read_sealed(&file, attempt()).expect("a file is read");
    assert_eq!((position.records, found.len()), (records.len() as u64, records.len()));
    assert!(found.iter().map(|(_, record)| record).eq(records), "a sealed log has other records");
    damage(&file, data);
    let (_, found) = logs::read_sealed(&file, attempt()).expect("a file is read");
    for (number, record) in found {
        let written = usize::try_from(number).ok().and_then(|number| records.get(number));
        assert_eq!(Some(&record), written, "record {number} of a damaged log");
    }
}

/// Changes a byte, at a place that the bytes themselves say.
fn damage(file: &File, data: &[u8]) {
    let length = file.metadata().expect("a file has a length").len();
    let place = data.iter().fold(0_u64, |place, byte| place.wrapping_mul(31).wrapping_add(u64::from(*byte))) % length;
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).expect("a file is read");
    file.write_all_at(&[byte[0] ^ 0x10], place).expect("a file is written");
}
