//! A log that grows: where it ends and how to find a place in it.

use super::frame::{self, HEAD, MAGIC};
use super::make_dir;
use crate::bulk::{BulkError, LogPosition, LogRecord};
use cloudai_core::ids::Attempt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Bytes between two entries of an index: what a read at a random place reads in vain at most.
pub(super) const MARK_EVERY: u64 = 256 * 1024;
/// Bytes read from a file at a time.
pub(super) const CHUNK: usize = 256 * 1024;

/// The end of a log and an index of it.
#[derive(Clone, Debug)]
pub(super) struct Growing {
    pub(super) position: LogPosition,
    pub(super) end: u64,
    /// The end at the last fsync.
    pub(super) synced: u64,
    /// Rising; the first is where the records begin.
    marks: Vec<Mark>,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) record: u64,
    pub(super) offset: u64,
    /// The latest time of the records from here to the next mark.
    latest: u64,
}

/// The records of an open file from a mark on, up to the end that the log had.
#[derive(Debug)]
pub(super) struct Records {
    file: BufReader<File>,
    attempt: Attempt,
    number: u64,
    offset: u64,
    end: u64,
}

impl Growing {
    pub(super) fn empty() -> Self {
        let start = MAGIC.len() as u64;
        let first = Mark { record: 0, offset: start, latest: 0 };
        Self { position: LogPosition::default(), end: start, synced: start, marks: vec![first] }
    }

    /// Reads a file through, behind its magic, and cuts what a crash left of a last, torn append.
    pub(super) fn open(file: &File, path: &Path) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut log = Self::empty();
        // What an earlier process wrote may be in no more than the kernel's memory.
        log.synced = 0;
        if length < MAGIC.len() as u64 {
            file.set_len(0)?;
            return Ok(log);
        }
        let mut reader = BufReader::with_capacity(CHUNK, file);
        reader.seek(SeekFrom::Start(log.end))?;
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
        if self.marks.last().is_none_or(|mark| self.end - mark.offset >= MARK_EVERY) {
            self.marks.push(Mark { record: self.position.records, offset: self.end, latest: 0 });
        }
        if let Some(mark) = self.marks.last_mut() {
            mark.latest = mark.latest.max(record.time_ns);
        }
        self.position.records += 1;
        self.position.bytes += record.data.len() as u64;
        self.end += frame::size(record);
    }

    pub(super) fn append(&mut self, path: &Path, records: &[LogRecord]) -> io::Result<()> {
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
    pub(super) fn find(&self, record: u64) -> Option<Mark> {
        let after = self.marks.partition_point(|mark| mark.record <= record);
        (record < self.position.records).then(|| self.marks.get(after.saturating_sub(1)).copied())?
    }

    /// The first place with a record at or after a time before the next one.
    pub(super) fn find_time(&self, time_ns: u64) -> Option<Mark> {
        let marks = self.marks.iter().filter(|_| self.position.records > 0);
        marks.copied().find(|mark| mark.latest >= time_ns)
    }

    /// What is there from a mark on. The file is opened here: it stays the same one when the log
    /// gets another form meanwhile.
    pub(super) fn records(&self, path: &Path, attempt: Attempt, from: Mark) -> io::Result<Records> {
        let mut file = BufReader::with_capacity(CHUNK, File::open(path)?);
        file.seek(SeekFrom::Start(from.offset))?;
        Ok(Records { file, attempt, number: from.record, offset: from.offset, end: self.end })
    }
}

impl Records {
    /// The next record with its number; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, LogRecord)>, BulkError> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let record = frame::decode(&mut self.file, self.end - self.offset)?;
        let record = record.ok_or(BulkError::Damaged { attempt: self.attempt, first: self.number, next: None })?;
        self.offset += frame::size(&record);
        self.number += 1;
        Ok(Some((self.number - 1, record)))
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

    #[test]
    fn a_read_at_any_place_begins_at_most_one_mark_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.log");
        let line = "x".repeat(1000);
        let record = LogRecord { time_ns: 1, stream: LogStream::Stdout, data: line.into() };
        let mut log = Growing::empty();
        log.append(&path, &vec![record; 2000]).unwrap();
        let opened = Growing::open(&OpenOptions::new().read(true).write(true).open(&path).unwrap(), &path).unwrap();
        for log in [log, opened] {
            for number in 0..2000 {
                let mark = log.find(number).unwrap();
                assert!(
                    mark.record <= number && (number - mark.record) * 1017 <= MARK_EVERY + 1017,
                    "{number}: {mark:?}"
                );
            }
            assert_eq!(log.find(2000), None);
        }
    }
}
