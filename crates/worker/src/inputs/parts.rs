//! Contents while they grow in the cache: what came earlier is gone on with, what is whole and right is kept.

use super::Wanted;
use crate::cache::{Cache, Came};
use cloudai_core::sha256::Sha256;
use cloudai_proto::v1 as pb;
use sha2::Digest;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Bytes hashed at a time of what came earlier.
const CHUNK: usize = 256 * 1024;

/// A content that grows, and the hash of what there is of it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) content: Sha256,
    pub(super) path: PathBuf,
    pub(super) have: u64,
    pub(super) hash: sha2::Sha256,
}

impl Part {
    pub(super) fn open(cache: &Cache, wanted: Wanted, key: Sha256) -> io::Result<Self> {
        let Wanted { content, size } = wanted;
        let path = cache.part(content, key)?;
        let have = fs::metadata(&path).map_or(0, |part| part.len());
        // What is longer than it should be is no beginning of it.
        let have = if have <= size { have } else { 0 };
        let mut hash = sha2::Sha256::new();
        if have > 0 {
            io::copy(&mut BufReader::with_capacity(CHUNK, File::open(&path)?.take(have)), &mut hash)?;
        }
        Ok(Self { content, path, have, hash })
    }
}

/// Why what came is not kept.
pub(super) enum Unwritten {
    Disk(io::Error),
    Damaged,
}

impl From<io::Error> for Unwritten {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Writes contents as they come; keeps those that are whole and right.
pub(super) fn write_parts(
    cache: &Cache,
    parts: Vec<Part>,
    mut pieces: mpsc::Receiver<pb::content_chunk::What>,
) -> Result<(), Unwritten> {
    let mut whole = Vec::new();
    let written = write_in_turn(parts, &mut whole, &mut pieces);
    cache.keep(&whole)?;
    written
}

fn write_in_turn(
    parts: Vec<Part>,
    whole: &mut Vec<Came>,
    pieces: &mut mpsc::Receiver<pb::content_chunk::What>,
) -> Result<(), Unwritten> {
    let mut parts = parts.into_iter();
    let mut now: Option<Growing> = None;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            pb::content_chunk::What::Begin(size) => {
                let Some(part) = parts.next() else { return Err(Unwritten::Damaged) };
                now = Some(Growing::open(part, size)?);
            }
            pb::content_chunk::What::Data(data) => match &mut now {
                Some(growing) => growing.write(&data)?,
                None => return Err(Unwritten::Damaged),
            },
        }
        if now.as_ref().is_some_and(|growing| growing.left == 0)
            && let Some(growing) = now.take()
        {
            whole.push(growing.check()?);
        }
    }
    Ok(())
}

/// A content while it is written.
struct Growing {
    part: Part,
    file: File,
    left: u64,
}

impl Growing {
    fn open(part: Part, size: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(part.have == 0).open(&part.path)?;
        file.seek(SeekFrom::Start(part.have))?;
        let left = size.saturating_sub(part.have);
        Ok(Self { part, file, left })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Unwritten> {
        self.left = self.left.checked_sub(data.len() as u64).ok_or(Unwritten::Damaged)?;
        self.part.hash.update(data);
        Ok(self.file.write_all(data)?)
    }

    fn check(self) -> Result<Came, Unwritten> {
        let Part { content, path, hash, .. } = self.part;
        if Sha256(hash.finalize().into()) == content {
            return Ok(Came { content, part: path });
        }
        fs::remove_file(path)?;
        Err(Unwritten::Damaged)
    }
}
