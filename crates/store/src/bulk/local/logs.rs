//! The log files: positions in memory, one write per append, an index for reads.
//!
//! What is on disk when: an append is one write, without fsync, so it survives the end of the
//! process but not of the machine; [`Logs::sync`] makes everything before it survive that too.
//! A log whose attempt has ended gets its final form ([`Logs::seal`]) under the same name: one
//! rename, before which the whole new file is on disk, so that at every moment one of both forms
//! is there and whole.
//! Files are opened for each call: 10,000 running containers need no 10,000 handles.

use super::growing::{Growing, Records};
use super::sealed::{Sealed, Unsealable};
use super::{folder, frame, segment, shard, sync_names};
use crate::bulk::{BulkError, LogPosition, LogRecord};
use cloudai_core::ids::{Attempt, TaskId};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Logs whose position is remembered, above the number of attempts that write at a time: a
/// forgotten one is read through again. A position takes some hundred bytes.
const REMEMBERED: usize = 16_384;
/// A file of so many bytes takes one block of the disk in any form: it stays as it is.
const SMALL: u64 = 4096;

/// All log files below a folder.
#[derive(Debug)]
pub(super) struct Logs {
    root: PathBuf,
    known: Mutex<Known>,
    /// One log is sealed or removed at a time.
    sealing: Mutex<()>,
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

/// What is known of a log, by its form.
#[derive(Clone, Debug)]
enum Log {
    Growing(Growing),
    Sealed(Arc<Sealed>),
}

/// Where a read goes on once nobody waits for the log any more.
enum Source {
    Growing(Records),
    Sealed(File, Arc<Sealed>),
}

impl Logs {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, known: Mutex::default(), sealing: Mutex::default() }
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
            None => Log::open(&path, attempt)?,
        };
        let done = work(&path, &mut log);
        if !matches!(done, Err(BulkError::Unavailable(_))) {
            *held = Some(log);
        }
        done
    }

    pub(super) fn append(&self, attempt: Attempt, first: u64, records: &[LogRecord]) -> Result<LogPosition, BulkError> {
        self.with(attempt, |path, log| {
            let have = log.position().records;
            let known = have.checked_sub(first).ok_or(BulkError::Gap { have })?;
            let fresh = usize::try_from(known).ok().and_then(|known| records.get(known..)).unwrap_or_default();
            match log {
                _ if fresh.is_empty() => {}
                Log::Growing(log) => log.append(path, fresh)?,
                Log::Sealed(_) => return Err(BulkError::Sealed { have }),
            }
            Ok(log.position())
        })
    }

    pub(super) fn position(&self, attempt: Attempt) -> Result<LogPosition, BulkError> {
        self.with(attempt, |_, log| Ok(log.position()))
    }

    pub(super) fn sync(&self, attempt: Attempt) -> Result<LogPosition, BulkError> {
        self.with(attempt, |path, log| {
            if let Log::Growing(log) = log
                && log.end > log.synced
            {
                File::open(path)?.sync_all()?;
                sync_names(path, &self.root)?;
                log.synced = log.end;
            }
            Ok(log.position())
        })
    }

    /// Reads beside appends: what was whole when it began.
    pub(super) fn read(&self, attempt: Attempt, from: u64, max_bytes: usize) -> Result<Vec<LogRecord>, BulkError> {
        let source = self.with(attempt, |path, log| {
            Ok(match log {
                Log::Growing(log) => match log.find(from) {
                    Some(mark) => Some(Source::Growing(log.records(path, attempt, mark)?)),
                    None => None,
                },
                Log::Sealed(log) => Some(Source::Sealed(File::open(path)?, Arc::clone(log))),
            })
        })?;
        match source {
            None => Ok(Vec::new()),
            Some(Source::Growing(records)) => read_growing(records, from, max_bytes),
            Some(Source::Sealed(file, log)) => log.read(&file, from, max_bytes),
        }
    }

    /// The number of the first record at or after a time; that after the last when there is none.
    pub(super) fn since(&self, attempt: Attempt, time_ns: u64) -> Result<u64, BulkError> {
        let (source, end) = self.with(attempt, |path, log| {
            let source = match log {
                Log::Growing(log) => match log.find_time(time_ns) {
                    Some(mark) => Some(Source::Growing(log.records(path, attempt, mark)?)),
                    None => None,
                },
                Log::Sealed(log) => Some(Source::Sealed(File::open(path)?, Arc::clone(log))),
            };
            Ok((source, log.position().records))
        })?;
        match source {
            None => Ok(end),
            Some(Source::Sealed(file, log)) => log.since(&file, time_ns),
            Some(Source::Growing(mut records)) => {
                while let Some((number, record)) = records.next()? {
                    if record.time_ns >= time_ns {
                        return Ok(number);
                    }
                }
                Ok(end)
            }
        }
    }

    /// Whether a log of this size gets another form at its end.
    pub(super) fn is_worth_sealing(position: LogPosition) -> bool {
        let heads = position.records.saturating_mul(frame::HEAD as u64);
        position.bytes.saturating_add(heads).saturating_add(frame::MAGIC.len() as u64) > SMALL
    }

    /// Gives a log its final form, unless it has it or is too small; whether it did. The log is
    /// free for others but for the moment of the rename. Ends early when it is not `wanted` any more.
    pub(super) fn seal(&self, attempt: Attempt, wanted: &AtomicBool) -> Result<bool, BulkError> {
        let _alone = lock(&self.sealing);
        let grown = self.with(attempt, |path, log| match log {
            Log::Growing(log) if Self::is_worth_sealing(log.position) => match log.find(0) {
                Some(mark) => Ok(Some((log.records(path, attempt, mark)?, log.end))),
                None => Ok(None),
            },
            Log::Growing(_) | Log::Sealed(_) => Ok(None),
        })?;
        let Some((records, end)) = grown else { return Ok(false) };
        let part = self.path(attempt).with_extension("log.part");
        let written = Sealed::write(&part, attempt, records, wanted).and_then(|sealed| {
            Ok(self.with(attempt, |path, log| match log {
                Log::Growing(grown) if grown.end == end => {
                    fs::rename(&part, path)?;
                    *log = Log::Sealed(Arc::new(sealed));
                    sync_names(path, &self.root)?;
                    Ok(true)
                }
                // It went on meanwhile: whoever asked knew too little.
                Log::Growing(_) | Log::Sealed(_) => Ok(false),
            })?)
        });
        if !matches!(written, Ok(true)) {
            // Best effort: the next try writes over it.
            let _ = fs::remove_file(&part);
        }
        match written {
            Ok(sealed) => Ok(sealed),
            Err(Unsealable::Bulk(error)) => Err(error),
            Err(Unsealable::TooLarge) => {
                tracing::warn!(%attempt, "log was left as it grew, a record is too large for the final form");
                Ok(false)
            }
        }
    }

    /// The logs of one part of the folder that are worth a final form and do not have it; none
    /// when there is no such part.
    pub(super) fn unsealed(&self, part: u32) -> Result<Option<Vec<Attempt>>, BulkError> {
        let Some(shard) = shard(part) else { return Ok(None) };
        let mut found = Vec::new();
        for folder in entries(&self.root.join(shard))? {
            let Some(task) = name_of(&folder).and_then(|name| name.parse::<TaskId>().ok()) else { continue };
            for file in entries(&folder)? {
                if let Some(number) = attempt_number(&file)
                    && is_unsealed(&file)?
                {
                    found.push(Attempt { task, number });
                }
            }
        }
        Ok(Some(found))
    }

    /// Removes all logs of a task. What a crash interrupts the next call finishes.
    pub(super) fn remove(&self, task: TaskId) -> Result<(), BulkError> {
        let folder = folder(&self.root, task);
        if !folder.exists() {
            return Ok(());
        }
        let _alone = lock(&self.sealing);
        for file in entries(&folder)? {
            if let Some(number) = attempt_number(&file) {
                let attempt = Attempt { task, number };
                let slot = lock(&self.known).slot(attempt);
                let mut held = lock(&slot);
                // The slot stays: somebody may wait for it, and a log has one.
                *held = None;
                remove_file(&file)?;
            }
        }
        Ok(super::remove_dir(&folder)?)
    }
}

fn read_growing(mut records: Records, from: u64, max_bytes: usize) -> Result<Vec<LogRecord>, BulkError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    loop {
        let (number, record) = match records.next() {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(found),
            // What comes before it is good.
            Err(BulkError::Damaged { .. }) if !found.is_empty() => return Ok(found),
            Err(error) => return Err(error),
        };
        if number >= from {
            bytes += record.data.len();
            if bytes > max_bytes && !found.is_empty() {
                return Ok(found);
            }
            found.push(record);
        }
    }
}

/// What is in a folder; nothing when it is not there.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// The attempt whose log a file is; none for what is left of a sealing.
fn attempt_number(file: &Path) -> Option<u32> {
    name_of(file)?.strip_suffix(".log")?.parse().ok()
}

fn is_unsealed(path: &Path) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    if file.metadata()?.len() <= SMALL {
        return Ok(false);
    }
    let mut magic = [0; frame::MAGIC.len()];
    file.read_exact(&mut magic)?;
    Ok(magic == frame::MAGIC)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
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
    fn position(&self) -> LogPosition {
        match self {
            Self::Growing(log) => log.position,
            Self::Sealed(log) => log.position(),
        }
    }

    /// Looks at a file: the last byte of its magic tells the form.
    fn open(path: &Path, attempt: Attempt) -> io::Result<Self> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::Growing(Growing::empty())),
            Err(error) => return Err(error),
        };
        let mut magic = [0; frame::MAGIC.len()];
        if !frame::fill(&mut &file, &mut magic)? || magic == frame::MAGIC {
            return Growing::open(&file, path).map(Self::Growing);
        }
        if magic == segment::MAGIC {
            return Sealed::open(&file, attempt).map(|log| Self::Sealed(Arc::new(log)));
        }
        let why = format!("{} is no log of this version", path.display());
        Err(io::Error::new(ErrorKind::InvalidData, why))
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
}
