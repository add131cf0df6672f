//! The two forms of an archive, each made piece by piece.

use bytes::Bytes;
use cloudai_core::task::OutputFile;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};
use zip::{CompressionMethod, DateTime};

/// What a tar is counted in.
const BLOCK: u64 = 512;
/// From this size on a zip needs other records for a file.
const LARGE: u64 = u32::MAX as u64;

/// Makes an archive of files that come one after the other.
pub(super) trait Pack: Send {
    /// What stands before a file's bytes.
    fn begin(&mut self, file: &OutputFile) -> io::Result<Bytes>;
    /// The next bytes of the file.
    fn data(&mut self, data: Bytes) -> io::Result<Bytes>;
    /// What stands behind them.
    fn end_file(&mut self, file: &OutputFile) -> io::Result<Bytes>;
    /// What stands behind all files.
    fn end(&mut self) -> io::Result<Bytes>;
}

/// `.tar`: plain, with GNU's records for long names.
pub(super) struct Tar {
    /// Seconds since the epoch: what all files have.
    pub(super) time_s: u64,
}

impl Pack for Tar {
    fn begin(&mut self, file: &OutputFile) -> io::Result<Bytes> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(file.size);
        header.set_mode(0o644);
        header.set_mtime(self.time_s);
        let mut builder = tar::Builder::new(Vec::new());
        // The content follows piece by piece.
        builder.append_data(&mut header, &file.path, io::empty())?;
        // Not `into_inner`, which would end the archive here.
        Ok(Bytes::copy_from_slice(builder.get_ref()))
    }

    fn data(&mut self, data: Bytes) -> io::Result<Bytes> {
        Ok(data)
    }

    fn end_file(&mut self, file: &OutputFile) -> io::Result<Bytes> {
        let over = file.size % BLOCK;
        Ok(if over > 0 { zeros(BLOCK - over) } else { Bytes::new() })
    }

    fn end(&mut self) -> io::Result<Bytes> {
        Ok(zeros(2 * BLOCK))
    }
}

fn zeros(count: u64) -> Bytes {
    Bytes::from(vec![0; usize::try_from(count).unwrap_or_default()])
}

/// `.zip`: stored as they are, sizes and checksums behind each file, as it must be where nothing can be gone back to.
pub(super) struct Zip {
    writer: Option<ZipWriter<StreamWriter<Outbox>>>,
    outbox: Outbox,
    time: DateTime,
}

/// What was written and not taken yet.
#[derive(Clone, Default)]
struct Outbox(Arc<Mutex<Vec<u8>>>);

impl Outbox {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Outbox {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Zip {
    /// All files have this time, in seconds since the epoch, by UTC: a zip knows no zones.
    pub(super) fn new(time_s: u64) -> Self {
        let outbox = Outbox::default();
        Self { writer: Some(ZipWriter::new_stream(outbox.clone())), outbox, time: time(time_s).unwrap_or_default() }
    }

    fn writer(&mut self) -> io::Result<&mut ZipWriter<StreamWriter<Outbox>>> {
        self.writer.as_mut().ok_or_else(|| io::Error::other("the archive has ended"))
    }
}

impl Pack for Zip {
    fn begin(&mut self, file: &OutputFile) -> io::Result<Bytes> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .unix_permissions(0o644)
            .last_modified_time(self.time)
            .large_file(file.size >= LARGE);
        self.writer()?.start_file(&*file.path, options)?;
        Ok(self.outbox.take())
    }

    fn data(&mut self, data: Bytes) -> io::Result<Bytes> {
        self.writer()?.write_all(&data)?;
        Ok(self.outbox.take())
    }

    fn end_file(&mut self, _file: &OutputFile) -> io::Result<Bytes> {
        self.writer()?.flush()?;
        Ok(self.outbox.take())
    }

    fn end(&mut self) -> io::Result<Bytes> {
        if let Some(writer) = self.writer.take() {
            writer.finish()?;
        }
        Ok(self.outbox.take())
    }
}

fn time(time_s: u64) -> Option<DateTime> {
    let time = jiff::Timestamp::from_second(i64::try_from(time_s).ok()?).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    let small = |part: i8| u8::try_from(part).ok();
    let year = u16::try_from(time.year()).ok()?;
    let (month, day) = (small(time.month())?, small(time.day())?);
    DateTime::from_date_and_time(year, month, day, small(time.hour())?, small(time.minute())?, small(time.second())?)
        .ok()
}
