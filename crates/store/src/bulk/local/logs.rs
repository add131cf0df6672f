//! The log files: positions in memory, one write per append, a sparse index for reads.
//!
//! What is on disk when: an append is one write, without fsync, so it survives the end of the
//! process but not of the machine; [`Logs::sync`] makes everything before it survive that too.
//! Files are opened for each call: 10,000 running containers need no 10,000 handles.

use super::frame::{self, HEAD, MAGIC};
use super::{folder, make_dir, sync_names};
use crate::bulk::{BulkError, LogPosition, LogRecord};
use cloudai_core::ids::Attempt;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Logs whose position is remembered, above the number of attempts that write at a time: a
/// forgotten one is read through again. A position takes some hundred bytes.
const REMEMBERED: usize = 16_384;
/// Bytes between two entries of an index: what a read at a random place reads in vain at most.
const MARK_EVERY: u64 = 256 * 1024;
/// Bytes read from a file at a time.
const CHUNK: usize = 256 * 1024;

/// All log files below a folder.
#[derive(Debug)]
pub(super) struct Logs {
    root: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    logs: HashMap<Attempt, Slot>,
    clock: u64,
}

#[derive(Debug)]
struct Slot {
    used: u64,
    log: Arc<Mutex<Option<Log>>>,
}

/// Where a log ends and how to find a place in it.
#[derive(Clone, Debug)]
struct Log {
    position: LogPosition,
    end: u64,
    /// The end at the last fsync.
    synced: u64,
    /// (record, offset), rising; the first is (0, after the magic).
    marks: Vec<(u64, u64)>,
}

impl Logs {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, known: Mutex::default() }
    }

    fn path(&self, attempt: Attempt) -> PathBuf {
        folder(&self.root, attempt.task).join(format!("{}.log", attempt.number))
    }

    /// Works on a log that nobody else works on; an error makes its file be read anew next time.
    fn with<T>(
        &self,
        attempt: Attempt,
        work: impl FnOnce(&Path, &mut Log) -> Result<T, BulkError>,
    ) -> Result<T, BulkError> {
        let slot = lock(&self.known).slot(attempt);
        let path = self.path(attempt);
        let mut held = lock(&slot);
        let mut log = match held.take() {
            Some(log) => log,
            None => Log::open(&path)?,
        };
        let done = work(&path, &mut log);
        if !matches!(done, Err(BulkError::Unavailable(_))) {
            *held = Some(log);
        }
        done
    }

    pub(super) fn append(&self, attempt: Attempt, first: u64, records: &[LogRecord]) -> Result<LogPosition, BulkError> {
        self.with(attempt, |path, log| {
            let have = log.position.records;
            let known = have.checked_sub(first).ok_or(BulkError::Gap { have })?;
            let fresh = usize::try_from(known).ok().and_then(|known| records.get(known..)).unwrap_or_default();
            if !fresh.is_empty() {
                log.append(path, fresh)?;
            }
            Ok(log.position)
        })
    }

    pub(super) fn position(&self, attempt: Attempt) -> Result<LogPosition, BulkError> {
        self.with(attempt, |_, log| Ok(log.position))
    }

    pub(super) fn sync(&self, attempt: Attempt) -> Result<LogPosition, BulkError> {
        self.with(attempt, |path, log| {
            if log.end > log.synced {
                File::open(path)?.sync_all()?;
                sync_names(path, &self.root)?;
                log.synced = log.end;
            }
            Ok(log.position)
        })
    }

    /// Reads beside appends: what was whole when it began.
    pub(super) fn read(&self, attempt: Attempt, from: u64, max_bytes: usize) -> Result<Vec<LogRecord>, BulkError> {
        let found = self.with(attempt, |path, log| Ok(log.find(from).map(|at| (path.to_owned(), at, log.end))))?;
        let Some((path, (mut number, mut offset), end)) = found else { return Ok(Vec::new()) };
        let mut file = BufReader::with_capacity(CHUNK, File::open(path)?);
        file.seek(SeekFrom::Start(offset))?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        while offset < end {
            let record = frame::decode(&mut file, end - offset)?.ok_or_else(damaged)?;
            offset += frame::size(&record);
            if number >= from {
                bytes += record.data.len();
                if bytes > max_bytes && !records.is_empty() {
                    break;
                }
                records.push(record);
            }
            number += 1;
        }
        Ok(records)
    }
}

fn damaged() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a log file was damaged after it was written")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    /// The one slot of a log: nobody else writes its file while it is locked.
    fn slot(&mut self, attempt: Attempt) -> Arc<Mutex<Option<Log>>> {
        self.clock += 1;
        if self.logs.len() >= REMEMBERED && !self.logs.contains_key(&attempt) {
            self.forget();
        }
        let slot = self.logs.entry(attempt).or_insert_with(|| Slot { used: 0, log: Arc::default() });
        slot.used = self.clock;
        Arc::clone(&slot.log)
    }

    /// Forgets the older half of the logs that nobody works on.
    fn forget(&mut self) {
        let mut used: Vec<u64> = self.logs.values().map(|slot| slot.used).collect();
        let half = used.len() / 2;
        let (_, middle, _) = used.select_nth_unstable(half);
        let middle = *middle;
        self.logs.retain(|_, slot| slot.used >= middle || Arc::strong_count(&slot.log) > 1);
    }
}

impl Log {
    fn empty() -> Self {
        let start = MAGIC.len() as u64;
        Self { position: LogPosition::default(), end: start, synced: start, marks: vec![(0, start)] }
    }

    /// Reads a file through and cuts what a crash left of a last, torn append.
    fn open(path: &Path) -> io::Result<Self> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::empty()),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        let mut log = Self::empty();
        // What an earlier process wrote may be in no more than the kernel's memory.
        log.synced = 0;
        let mut reader = BufReader::with_capacity(CHUNK, &file);
        let mut magic = [0; MAGIC.len()];
        if !frame::fill(&mut reader, &mut magic)? {
            file.set_len(0)?;
            return Ok(log);
        }
        if magic != MAGIC {
            let why = format!("{} is no log of this version", path.display());
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        while let Some(record) = frame::decode(&mut reader, length.saturating_sub(log.end))? {
            log.count(&record);
        }
        if log.end < length {
            tracing::warn!(path = %path.display(), bytes = length - log.end, "torn end of a log was cut");
            file.set_len(log.end)?;
        }
        Ok(log)
    }

    /// Moves the end behind one more record.
    fn count(&mut self, record: &LogRecord) {
        if self.marks.last().is_none_or(|(_, offset)| self.end - offset >= MARK_EVERY) {
            self.marks.push((self.position.records, self.end));
        }
        self.position.records += 1;
        self.position.bytes += record.data.len() as u64;
        self.end += frame::size(record);
    }

    fn append(&mut self, path: &Path, records: &[LogRecord]) -> io::Result<()> {
        let fresh = self.position.records == 0;
        let bytes: usize = records.iter().map(|record| HEAD + record.data.len()).sum();
        let mut out = Vec::with_capacity(MAGIC.len() + bytes);
        if fresh {
            out.extend_from_slice(&MAGIC);
        }
        records.iter().try_for_each(|record| frame::encode(record, &mut out))?;
        let start = if fresh { 0 } else { self.end };
        let file = open_to_append(path, fresh)?;
        if let Err(error) = file.write_all_at(&out, start) {
            // Best effort: what can not be cut now is cut when the file is read anew.
            let _ = file.set_len(start);
            return Err(error);
        }
        records.iter().for_each(|record| self.count(record));
        Ok(())
    }

    /// The nearest known place at or before a record; none when there is no such record.
    fn find(&self, record: u64) -> Option<(u64, u64)> {
        let after = self.marks.partition_point(|(number, _)| *number <= record);
        (record < self.position.records).then(|| self.marks.get(after.saturating_sub(1)).copied())?
    }
}

fn open_to_append(path: &Path, fresh: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(fresh).mode(0o600);
    match options.open(path) {
        Err(error) if fresh && error.kind() == ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), make_dir)?;
            options.open(path)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::LogStream;
    use cloudai_core::ids::TaskId;

    fn attempt(ulid: u128) -> Attempt {
        Attempt { task: TaskId::new(ulid), number: 1 }
    }

    fn record(text: &str) -> LogRecord {
        LogRecord { time_ns: 1, stream: LogStream::Stdout, data: text.to_owned().into() }
    }

    #[test]
    fn a_forgotten_log_goes_on_where_it_was_and_the_memory_stays_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::new(dir.path().to_owned());
        logs.append(attempt(0), 0, &[record("one")]).unwrap();
        for other in 1..=REMEMBERED as u128 * 2 {
            lock(&logs.known).slot(attempt(other));
        }
        let remembered = lock(&logs.known);
        assert!(remembered.logs.len() <= REMEMBERED);
        assert!(!remembered.logs.contains_key(&attempt(0)));
        drop(remembered);
        assert_eq!(logs.append(attempt(0), 1, &[record("two")]).unwrap().records, 2);
        assert_eq!(logs.read(attempt(0), 0, 100).unwrap(), [record("one"), record("two")]);
    }

    #[test]
    fn a_log_that_somebody_works_on_is_never_forgotten() {
        let mut known = Known::default();
        let held = known.slot(attempt(0));
        for other in 1..=REMEMBERED as u128 * 2 {
            known.slot(attempt(other));
        }
        assert!(Arc::ptr_eq(&held, &known.slot(attempt(0))));
    }

    #[test]
    fn a_read_at_any_place_begins_at_most_one_mark_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Logs::new(dir.path().to_owned());
        let line = "x".repeat(1000);
        let records: Vec<_> = (0..2000).map(|_| record(&line)).collect();
        logs.append(attempt(1), 0, &records).unwrap();
        for logs in [&logs, &Logs::new(dir.path().to_owned())] {
            let check = |_: &Path, log: &mut Log| {
                for number in 0..2000 {
                    let (mark, _) = log.find(number).unwrap();
                    assert!(mark <= number && (number - mark) * 1017 <= MARK_EVERY + 1017, "{number} from {mark}");
                }
                assert_eq!(log.find(2000), None);
                Ok(())
            };
            logs.with(attempt(1), check).unwrap();
        }
    }
}
