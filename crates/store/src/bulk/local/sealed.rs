//! A log in its final form: made from one that grew, read by its index.

use super::growing::Records;
use super::segment::{BLOCK, Block, Fault, Index, MAGIC, MAX_BLOCK, RECORD_HEAD, split, unpack, write_record};
use crate::bulk::{BulkError, LogPosition, LogRecord};
use cloudai_core::ids::Attempt;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, compress_bound, find_frame_compressed_size};

/// The usual level: some hundred megabytes a second, a few percent more than the quickest.
const LEVEL: i32 = 3;

/// What is known of a sealed log: enough to find any record of it.
#[derive(Debug)]
pub(super) struct Sealed {
    attempt: Attempt,
    index: Index,
}

/// Why a log is not sealed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsealable {
    /// It stays as it is for good.
    #[error("a record is too large for the final form")]
    TooLarge,
    /// It stays as it is for now.
    #[error(transparent)]
    Bulk(#[from] BulkError),
}

impl From<io::Error> for Unsealable {
    fn from(error: io::Error) -> Self {
        Self::Bulk(error.into())
    }
}

/// A file on its way to become a sealed log.
pub(super) struct Writer {
    file: BufWriter<File>,
    pack: Compressor<'static>,
    index: Index,
    hash: Sha256,
    /// The block that is being filled: its content, and its entry as far as it is known.
    content: Vec<u8>,
    open: Block,
}

const EMPTY: Block = Block { first: 0, time_ns: 0, latest_ns: 0, offset: 0, records: 0, packed: 0, size: 0, check: 0 };

impl Writer {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        // Readable: what was written is checked before it takes its place.
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path);
        let mut file = BufWriter::new(options?);
        file.write_all(&MAGIC)?;
        let mut pack = Compressor::new(LEVEL)?;
        pack.set_parameter(CParameter::ChecksumFlag(true))?;
        let index = Index { position: LogPosition::default(), sha256: [0; 32], blocks: Vec::new() };
        let open = Block { offset: MAGIC.len() as u64, ..EMPTY };
        Ok(Self { file, pack, index, hash: Sha256::new(), content: Vec::new(), open })
    }

    pub(super) fn push(&mut self, record: &LogRecord) -> io::Result<()> {
        if self.open.records == 0 {
            self.open.time_ns = record.time_ns;
        }
        self.open.latest_ns = self.open.latest_ns.max(record.time_ns);
        self.open.records += 1;
        self.index.position.records += 1;
        self.index.position.bytes += record.data.len() as u64;
        self.hash.update(&record.data);
        write_record(record, &mut self.content)?;
        if self.content.len() >= BLOCK { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> io::Result<()> {
        if self.open.records == 0 {
            return Ok(());
        }
        let packed = self.pack.compress(&self.content)?;
        self.open.size = u32::try_from(self.content.len()).map_err(io::Error::other)?;
        self.open.packed = u32::try_from(packed.len()).map_err(io::Error::other)?;
        self.open.check = super::frame::crc(&[&packed]);
        self.file.write_all(&packed)?;
        self.index.blocks.push(self.open);
        self.open = Block { first: self.open.next(), offset: self.open.end(), ..EMPTY };
        self.content.clear();
        Ok(())
    }

    /// Writes the index; then all of it is on disk, under its present name.
    pub(super) fn finish(mut self) -> io::Result<(File, Index)> {
        self.close_block()?;
        self.index.sha256 = self.hash.finalize().into();
        self.file.write_all(&self.index.write()?)?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok((file, self.index))
    }
}

impl Sealed {
    /// Writes all records to a new file beside the log, and reads it back.
    pub(super) fn write(
        path: &Path,
        attempt: Attempt,
        mut records: Records,
        wanted: &AtomicBool,
    ) -> Result<Self, Unsealable> {
        let mut writer = Writer::new(path)?;
        while let Some((_, record)) = records.next()? {
            if !wanted.load(Ordering::Relaxed) {
                return Err(io::Error::from(io::ErrorKind::Interrupted).into());
            }
            if record.data.len() > MAX_BLOCK - BLOCK - RECORD_HEAD {
                return Err(Unsealable::TooLarge);
            }
            writer.push(&record)?;
        }
        let (file, index) = writer.finish()?;
        let sealed = Self { attempt, index };
        if sealed.is_as_written(&file)? {
            Ok(sealed)
        } else {
            Err(io::Error::other(format!("the final form of the log of {attempt} is not what was written")).into())
        }
    }

    /// Whether a file has this index and every block of it the records that were hashed.
    fn is_as_written(&self, file: &File) -> io::Result<bool> {
        let io_only = |fault| match fault {
            Fault::Damaged => Ok(false),
            Fault::Io(error) => Err(error),
        };
        match Index::read(file) {
            Ok(index) if index == self.index => {}
            Ok(_) => return Ok(false),
            Err(fault) => return io_only(fault),
        }
        let mut hash = Sha256::new();
        for block in &self.index.blocks {
            match block.records(file) {
                Ok(records) => records.iter().for_each(|(_, record)| hash.update(&record.data)),
                Err(fault) => return io_only(fault),
            }
        }
        Ok(hash.finalize().as_slice() == self.index.sha256)
    }

    /// Reads the index of a file; one whose index is damaged is read through instead.
    pub(super) fn open(file: &File, attempt: Attempt) -> io::Result<Self> {
        let index = match Index::read(file) {
            Ok(index) => index,
            Err(Fault::Io(error)) => return Err(error),
            Err(Fault::Damaged) => {
                let index = salvage(file)?;
                let records = index.position.records;
                tracing::error!(%attempt, records, "index of a log was damaged, read what follows from its beginning");
                index
            }
        };
        Ok(Self { attempt, index })
    }

    pub(super) fn position(&self) -> LogPosition {
        self.index.position
    }

    /// Records from number `from` on, no more than about `max_bytes` of them and at least one.
    pub(super) fn read(&self, file: &File, from: u64, max_bytes: usize) -> Result<Vec<LogRecord>, BulkError> {
        let start = self.index.blocks.partition_point(|block| block.next() <= from);
        let (mut found, mut bytes) = (Vec::new(), 0);
        for block in self.index.blocks.iter().skip(start) {
            let records = match block.records(file) {
                Ok(records) => records,
                // What comes before it is good.
                Err(_) if !found.is_empty() => break,
                Err(fault) => return Err(self.fault(fault, block, from)),
            };
            for (_, record) in records.into_iter().filter(|(number, _)| *number >= from) {
                bytes += record.data.len();
                if bytes > max_bytes && !found.is_empty() {
                    return Ok(found);
                }
                found.push(record);
            }
        }
        Ok(found)
    }

    /// The number of the first record at or after a time; of a damaged block, of its first.
    pub(super) fn since(&self, file: &File, time_ns: u64) -> Result<u64, BulkError> {
        let Some(block) = self.index.blocks.iter().find(|block| block.latest_ns >= time_ns) else {
            return Ok(self.index.position.records);
        };
        match block.records(file) {
            Ok(records) => {
                let first = records.iter().find(|(_, record)| record.time_ns >= time_ns);
                Ok(first.map_or_else(|| block.next(), |(number, _)| *number))
            }
            Err(Fault::Damaged) => Ok(block.first),
            Err(Fault::Io(error)) => Err(error.into()),
        }
    }

    fn fault(&self, fault: Fault, block: &Block, from: u64) -> BulkError {
        match fault {
            Fault::Damaged => {
                BulkError::Damaged { attempt: self.attempt, first: block.first.max(from), next: Some(block.next()) }
            }
            Fault::Io(error) => error.into(),
        }
    }
}

/// The index that the blocks of a file tell by themselves, up to the first that is not whole.
fn salvage(file: &File) -> io::Result<Index> {
    let length = file.metadata()?.len();
    let mut index = Index { position: LogPosition::default(), sha256: [0; 32], blocks: Vec::new() };
    let mut open = Block { offset: MAGIC.len() as u64, ..EMPTY };
    let mut buffer = Vec::new();
    while open.offset < length {
        let most = (length - open.offset).min(compress_bound(MAX_BLOCK) as u64);
        buffer.resize(usize::try_from(most).unwrap_or_default(), 0);
        file.read_exact_at(&mut buffer, open.offset)?;
        let packed = find_frame_compressed_size(&buffer).ok().and_then(|length| buffer.get(..length));
        let Some((packed, content)) = packed.and_then(|packed| Some((packed, unpack(packed, MAX_BLOCK)?))) else {
            break;
        };
        let size = content.len();
        let Some(records) = split(content).filter(|records| !records.is_empty()) else { break };
        open.records = u32::try_from(records.len()).unwrap_or(u32::MAX);
        open.time_ns = records.first().map_or(0, |record| record.time_ns);
        open.latest_ns = records.iter().map(|record| record.time_ns).max().unwrap_or_default();
        open.packed = u32::try_from(packed.len()).unwrap_or(u32::MAX);
        open.size = u32::try_from(size).unwrap_or(u32::MAX);
        open.check = super::frame::crc(&[packed]);
        index.position.records += u64::from(open.records);
        index.position.bytes += records.iter().map(|record| record.data.len() as u64).sum::<u64>();
        index.blocks.push(open);
        open = Block { first: open.next(), offset: open.end(), ..EMPTY };
    }
    Ok(index)
}
