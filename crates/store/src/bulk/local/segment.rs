//! The final form of a log: compressed blocks, then an index of them that is found from the end.
//!
//! docs/log-format.md has every byte. Numbers are little-endian.
//!
//! ```text
//! file    = "CAILOG\0\x02" block* entry* trailer
//! block   = one zstd frame; its content: record*
//! record  = length u32, time u64, stream u8, data
//! entry   = first u64, time u64, latest u64, offset u64, records u32, packed u32, size u32, check u32
//! trailer = records u64, bytes u64, sha256 [32], index u64, blocks u32, check u32, "CAIEND\0\x02"
//! ```
//! A block's check covers its packed bytes, the trailer's the entries and the trailer before it.

use super::frame::{crc, stream_code, stream_of};
use crate::bulk::{LogPosition, LogRecord};
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a sealed log begins with.
pub(super) const MAGIC: [u8; 8] = *b"CAILOG\0\x02";
/// What it ends with.
pub(super) const END: [u8; 8] = *b"CAIEND\0\x02";
/// A block is closed when it has so many bytes of records.
pub(super) const BLOCK: usize = 256 * 1024;
/// No block has more, so that reading one is bounded whatever its index says. Records come in
/// messages of a quarter of it at most.
pub(super) const MAX_BLOCK: usize = 16 * 1024 * 1024;
/// Bytes of a record before its data.
pub(super) const RECORD_HEAD: usize = 13;
/// Bytes of an entry of the index.
pub(super) const ENTRY: usize = 48;
/// Bytes of the trailer.
pub(super) const TRAILER: usize = 72;

/// An entry of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The number of its first record.
    pub(super) first: u64,
    /// The time of its first record.
    pub(super) time_ns: u64,
    /// The latest time of its records: streams are read side by side and clocks are set.
    pub(super) latest_ns: u64,
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// How many records it has.
    pub(super) records: u32,
    /// Its bytes in the file.
    pub(super) packed: u32,
    /// Its bytes once unpacked.
    pub(super) size: u32,
    /// CRC-32 of its bytes in the file.
    pub(super) check: u32,
}

/// What stands at the end of a sealed log, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) position: LogPosition,
    /// SHA-256 of the data of all records, one after the other.
    pub(super) sha256: [u8; 32],
    pub(super) blocks: Vec<Block>,
}

/// Why a piece of a sealed log was not read.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is not what was written.
    Damaged,
    /// The system did not answer.
    Io(io::Error),
}

impl From<io::Error> for Fault {
    /// A disk that can not read a sector any more, or a file that is shorter than it was, is damage.
    fn from(error: io::Error) -> Self {
        const EIO: i32 = 5;
        if error.kind() == io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(EIO) {
            Self::Damaged
        } else {
            Self::Io(error)
        }
    }
}

impl Block {
    /// The number after its last record.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(u64::from(self.records))
    }

    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.packed))
    }

    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.first, self.time_ns, self.latest_ns, self.offset] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.records, self.packed, self.size, self.check] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn read(entry: &mut &[u8]) -> Option<Self> {
        Some(Self {
            first: take_u64(entry)?,
            time_ns: take_u64(entry)?,
            latest_ns: take_u64(entry)?,
            offset: take_u64(entry)?,
            records: take_u32(entry)?,
            packed: take_u32(entry)?,
            size: take_u32(entry)?,
            check: take_u32(entry)?,
        })
    }

    /// Its bytes, unpacked: never more than its entry says, nor than any block has.
    pub(super) fn unpack(&self, file: &File) -> Result<Bytes, Fault> {
        let size = self.size as usize;
        if size > MAX_BLOCK || self.packed as usize > zstd::zstd_safe::compress_bound(MAX_BLOCK) {
            return Err(Fault::Damaged);
        }
        let mut packed = vec![0; self.packed as usize];
        file.read_exact_at(&mut packed, self.offset)?;
        if crc(&[&packed]) != self.check {
            return Err(Fault::Damaged);
        }
        unpack(&packed, size).filter(|unpacked| unpacked.len() == size).ok_or(Fault::Damaged)
    }

    /// Its records in order, each with its number.
    pub(super) fn records(&self, file: &File) -> Result<Vec<(u64, LogRecord)>, Fault> {
        let records = split(self.unpack(file)?).ok_or(Fault::Damaged)?;
        let counted = records.len() == self.records as usize;
        if counted { Ok((self.first..).zip(records).collect()) } else { Err(Fault::Damaged) }
    }
}

/// Unpacks a frame into no more than `most` bytes; none when it is none, or would become more.
pub(super) fn unpack(packed: &[u8], most: usize) -> Option<Bytes> {
    zstd::bulk::decompress(packed, most).ok().map(Bytes::from)
}

/// Adds a record to the content of a block.
pub(super) fn write_record(record: &LogRecord, out: &mut Vec<u8>) -> io::Result<()> {
    let length = u32::try_from(record.data.len()).map_err(io::Error::other)?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&record.time_ns.to_le_bytes());
    out.push(stream_code(record.stream));
    out.extend_from_slice(&record.data);
    Ok(())
}

/// The records of a block's content; none when it is not made of whole ones.
pub(super) fn split(content: Bytes) -> Option<Vec<LogRecord>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < content.len() {
        let mut head = content.get(at..at + RECORD_HEAD)?;
        let length = take_u32(&mut head)? as usize;
        let time_ns = take_u64(&mut head)?;
        let stream = stream_of(*head.first()?)?;
        let start = at + RECORD_HEAD;
        at = start.checked_add(length).filter(|end| *end <= content.len())?;
        records.push(LogRecord { time_ns, stream, data: content.slice(start..at) });
    }
    Some(records)
}

impl Index {
    /// Entries and trailer as they stand at the end of a file.
    pub(super) fn write(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(self.blocks.len() * ENTRY + TRAILER);
        self.blocks.iter().for_each(|block| block.write(&mut out));
        let start = self.blocks.last().map_or(MAGIC.len() as u64, Block::end);
        let count = u32::try_from(self.blocks.len()).map_err(io::Error::other)?;
        out.extend_from_slice(&self.position.records.to_le_bytes());
        out.extend_from_slice(&self.position.bytes.to_le_bytes());
        out.extend_from_slice(&self.sha256);
        out.extend_from_slice(&start.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        let check = crc(&[&out]);
        out.extend_from_slice(&check.to_le_bytes());
        out.extend_from_slice(&END);
        Ok(out)
    }

    /// The index of a file, found from its end.
    pub(super) fn read(file: &File) -> Result<Self, Fault> {
        let length = file.metadata()?.len();
        let start = length.checked_sub(TRAILER as u64).ok_or(Fault::Damaged)?;
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, start)?;
        let (fields, check_and_end) = trailer.split_at(TRAILER - 12);
        let (check, end) = check_and_end.split_at(4);
        let mut rest = fields;
        let parsed = (|| {
            let (records, bytes) = (take_u64(&mut rest)?, take_u64(&mut rest)?);
            let sha256 = take(&mut rest)?;
            Some((LogPosition { records, bytes }, sha256, take_u64(&mut rest)?, take_u32(&mut rest)?))
        })();
        let (position, sha256, index, count) = parsed.ok_or(Fault::Damaged)?;
        let entries = u64::from(count) * ENTRY as u64;
        if end != END || index.checked_add(entries) != Some(start) {
            return Err(Fault::Damaged);
        }
        // No more than the file is long.
        let mut table = vec![0; usize::try_from(entries).map_err(|_| Fault::Damaged)?];
        file.read_exact_at(&mut table, index)?;
        if crc(&[&table, fields]).to_le_bytes() != check {
            return Err(Fault::Damaged);
        }
        let mut rest = table.as_slice();
        let blocks: Vec<Block> = std::iter::from_fn(|| Block::read(&mut rest)).collect();
        let index = Self { position, sha256, blocks };
        if index.fits(start - entries) { Ok(index) } else { Err(Fault::Damaged) }
    }

    /// Whether the blocks follow each other up to the index, and their records up to the last.
    fn fits(&self, index: u64) -> bool {
        let mut place = (MAGIC.len() as u64, 0);
        let follow = self.blocks.iter().all(|block| {
            let follows = (block.offset, block.first) == place && block.records > 0;
            place = (block.end(), block.next());
            follows
        });
        follow && place == (index, self.position.records)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*field)
}

fn take_u64(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

fn take_u32(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::LogStream;

    fn block_of(content: &[u8]) -> (Block, File) {
        let packed = zstd::bulk::compress(content, 3).unwrap();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&packed, 8).unwrap();
        let numbers = [content.len(), packed.len()].map(|number| u32::try_from(number).unwrap());
        let entry = Block {
            first: 0,
            time_ns: 1,
            latest_ns: 1,
            offset: 8,
            records: 1,
            packed: numbers[1],
            size: numbers[0],
            check: crc(&[&packed]),
        };
        (entry, file)
    }

    fn content() -> Vec<u8> {
        let record = LogRecord { time_ns: 1, stream: LogStream::Stdout, data: Bytes::from(vec![b'x'; 1000]) };
        let mut content = Vec::new();
        write_record(&record, &mut content).unwrap();
        content
    }

    #[test]
    fn a_block_is_never_unpacked_into_more_than_its_entry_says() {
        let (entry, file) = block_of(&content());
        assert_eq!(entry.records(&file).unwrap().len(), 1);
        let wrong = [
            Block { size: entry.size - 1, ..entry },
            Block { size: entry.size + 1, ..entry },
            Block { size: u32::MAX, ..entry },
            Block { packed: u32::MAX, ..entry },
            Block { records: 2, ..entry },
            Block { check: !entry.check, ..entry },
            Block { offset: 9, ..entry },
        ];
        for entry in wrong {
            assert!(matches!(entry.records(&file), Err(Fault::Damaged)), "{entry:?}");
        }
        // 64 MiB of zeros in some kilobytes.
        let (bomb, file) = block_of(&vec![0; 1 << 26]);
        for size in [1000, u32::MAX] {
            assert!(matches!(Block { size, ..bomb }.records(&file), Err(Fault::Damaged)), "{size}");
        }
    }

    #[test]
    fn an_index_with_any_bit_turned_is_damaged() {
        let (entry, file) = block_of(&content());
        let index = Index { position: LogPosition { records: 1, bytes: 1000 }, sha256: [7; 32], blocks: vec![entry] };
        let written = index.write().unwrap();
        file.write_all_at(&written, entry.end()).unwrap();
        assert_eq!(Index::read(&file).unwrap(), index);
        for bit in 0..written.len() * 8 {
            let mut bad = written.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            file.write_all_at(&bad, entry.end()).unwrap();
            assert!(matches!(Index::read(&file), Err(Fault::Damaged)), "bit {bit}");
        }
    }
}
