//! The format of a log file that grows; numbers are little-endian. docs/log-format.md has it for all readers.
//!
//! ```text
//! file  = "CAILOG\0\x01" frame*
//! frame = length u32   bytes of data
//!         check  u32   CRC-32 (IEEE) of the length, the time, the stream and the data
//!         time   u64   nanoseconds since the epoch
//!         stream u8    1 stdout, 2 stderr
//!         data
//! ```
//! The check makes a torn end recognisable: a frame counts only when it is whole.

use crate::bulk::{LogRecord, LogStream};
use bytes::Bytes;
use std::io::{self, ErrorKind, Read};

/// What a log file begins with; the last byte is the version of the format.
pub(super) const MAGIC: [u8; 8] = *b"CAILOG\0\x01";
/// Bytes of a frame before its data.
pub(super) const HEAD: usize = 17;

/// The bytes of the file that a record takes.
pub(super) fn size(record: &LogRecord) -> u64 {
    (HEAD + record.data.len()) as u64
}

/// Adds a record to a buffer.
pub(super) fn encode(record: &LogRecord, out: &mut Vec<u8>) -> io::Result<()> {
    let wrong = |_| io::Error::new(ErrorKind::InvalidInput, "a log record is larger than 4 GiB");
    let length = u32::try_from(record.data.len()).map_err(wrong)?.to_le_bytes();
    let time = record.time_ns.to_le_bytes();
    let stream = [stream_code(record.stream)];
    let check = crc(&[&length, &time, &stream, &record.data]);
    out.extend_from_slice(&length);
    out.extend_from_slice(&check.to_le_bytes());
    out.extend_from_slice(&time);
    out.extend_from_slice(&stream);
    out.extend_from_slice(&record.data);
    Ok(())
}

/// The next record, of which the file has at most `left` bytes; none when no whole frame is there.
pub(super) fn decode(file: &mut impl Read, left: u64) -> io::Result<Option<LogRecord>> {
    let mut head = [0; HEAD];
    if left < HEAD as u64 || !fill(file, &mut head)? {
        return Ok(None);
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3, t0, t1, t2, t3, t4, t5, t6, t7, stream] = head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    let Some(stream_word) = stream_of(stream) else { return Ok(None) };
    if u64::from(length) > left - HEAD as u64 {
        return Ok(None);
    }
    let mut data = vec![0; length as usize];
    if !fill(file, &mut data)? || crc(&[&head[..4], &head[8..], &data]) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Ok(None);
    }
    let time_ns = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    Ok(Some(LogRecord { time_ns, stream: stream_word, data: Bytes::from(data) }))
}

/// A stream as every format writes it.
pub(super) fn stream_code(stream: LogStream) -> u8 {
    match stream {
        LogStream::Stdout => 1,
        LogStream::Stderr => 2,
    }
}

pub(super) fn stream_of(code: u8) -> Option<LogStream> {
    match code {
        1 => Some(LogStream::Stdout),
        2 => Some(LogStream::Stderr),
        _ => None,
    }
}

/// Whether the file had as many bytes as asked for.
pub(super) fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// CRC-32 of pieces that follow each other.
pub(super) fn crc(pieces: &[&[u8]]) -> u32 {
    let mut sum = u32::MAX;
    for piece in pieces {
        for byte in *piece {
            sum = TABLE[usize::from((sum.to_le_bytes()[0]) ^ byte)] ^ (sum >> 8);
        }
    }
    !sum
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let mut sum = byte;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte as usize] = sum;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_the_common_crc_32() {
        assert_eq!(crc(&[b"1234", b"56789"]), 0xcbf4_3926);
    }

    #[test]
    fn a_frame_with_any_bit_turned_is_no_record() {
        let record = LogRecord { time_ns: 1, stream: LogStream::Stderr, data: Bytes::from_static(b"a line\n") };
        let mut good = Vec::new();
        encode(&record, &mut good).unwrap();
        assert_eq!(decode(&mut &good[..], good.len() as u64).unwrap().as_ref(), Some(&record));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&mut &bad[..], bad.len() as u64).unwrap(), None, "bit {bit}");
        }
    }
}
