//! The formats of logs as fuzzing reads and writes them: bytes and records, without a folder of logs around them.

use super::frame;
use super::sealed::{Sealed, Writer};
use super::segment;
use crate::bulk::{BulkError, LogPosition, LogRecord};
use bytes::Bytes;
use cloudai_core::ids::Attempt;
use std::fs::File;
use std::io;
use std::path::Path;

/// So many bytes of a sealed log are read at a time.
const CHUNK: usize = 1 << 20;

/// The whole records at the beginning of what follows the magic of a growing log, and how many bytes they take.
/// # Errors
/// None that bytes could cause.
pub fn records_of(mut bytes: &[u8]) -> io::Result<(Vec<LogRecord>, u64)> {
    let (mut records, mut taken) = (Vec::new(), 0);
    loop {
        let left = bytes.len() as u64;
        let Some(record) = frame::decode(&mut bytes, left)? else { return Ok((records, taken)) };
        taken += frame::size(&record);
        records.push(record);
    }
}

/// The bytes of records in a growing log.
/// # Errors
/// A record is larger than 4 GiB.
pub fn frames_of(records: &[LogRecord]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    records.iter().try_for_each(|record| frame::encode(record, &mut bytes))?;
    Ok(bytes)
}

/// The records of an unpacked block of a sealed log; none when it is not made of whole ones.
#[must_use]
pub fn records_of_block(content: Bytes) -> Option<Vec<LogRecord>> {
    segment::split(content)
}

/// What an unpacked block of these records is.
/// # Errors
/// A record is larger than 4 GiB.
pub fn block_of(records: &[LogRecord]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    records.iter().try_for_each(|record| segment::write_record(record, &mut content))?;
    Ok(content)
}

/// Writes a sealed log to a new file.
/// # Errors
/// The file can not be written.
pub fn seal(path: &Path, records: &[LogRecord]) -> io::Result<File> {
    let mut writer = Writer::new(path)?;
    records.iter().try_for_each(|record| writer.push(record))?;
    writer.finish().map(|(file, _)| file)
}

/// All that can be read of a sealed log, each record with its number, and how much it says that it has.
/// # Errors
/// The file can not be read.
pub fn read_sealed(file: &File, attempt: Attempt) -> Result<(LogPosition, Vec<(u64, LogRecord)>), BulkError> {
    let log = Sealed::open(file, attempt)?;
    let (mut from, mut found) = (0, Vec::new());
    while from < log.position().records {
        match log.read(file, from, CHUNK) {
            Ok(records) if records.is_empty() => break,
            Ok(records) => {
                let numbered = (from..).zip(records);
                found.extend(numbered);
                from = found.last().map_or(from, |(last, _)| last + 1);
            }
            Err(BulkError::Damaged { next: Some(next), .. }) if next > from => from = next,
            Err(BulkError::Damaged { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok((log.position(), found))
}
