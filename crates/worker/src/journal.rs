//! What a worker must remember when its process ends: one JSON line for each entry.
//!
//! A torn last line, as a crash leaves it, was never acted on and is dropped. The journal is
//! written anew, with what still counts, at every start and when most of it has been forgotten.

use crate::files;
use cloudai_core::agent::JournalEntry;
use cloudai_core::ids::Attempt;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tracing::warn;

const FILE: &str = "journal.jsonl";
/// It is written anew once it has this many lines for each that still counts,
const LINES_PER_LIVE: usize = 4;
/// and at least so many: a few MiB.
const LINES_MIN: usize = 4096;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// Behind them lies what is left of a failed write.
    torn: bool,
    lines: usize,
    /// It is written anew at so many lines.
    full: usize,
    /// The last entry of each attempt that is not forgotten: it tells all.
    live: BTreeMap<Attempt, JournalEntry>,
}

impl Journal {
    /// Opens the journal of a data folder; answers what it holds.
    /// # Errors
    /// It can not be read or written.
    pub fn open(dir: &Path) -> io::Result<(Self, Vec<JournalEntry>)> {
        let (entries, length) = read(&path(dir))?;
        let (mut live, lines) = (BTreeMap::new(), entries.len());
        for entry in entries {
            fold(&mut live, entry);
        }
        let file = OpenOptions::new().append(true).create(true).open(path(dir))?;
        let mut journal = Self { dir: dir.to_owned(), file, length, torn: false, lines, full: 0, live };
        journal.file.set_len(length)?;
        journal.write_anew();
        let entries = journal.live.values().cloned().collect();
        Ok((journal, entries))
    }

    /// Writes entries down; all but forgotten ones are on disk when this returns, one sync for all.
    /// # Errors
    /// They can not be written; then none of them is.
    pub fn append(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        if self.torn {
            // Else part of a line would stand before the next one.
            self.file.set_len(self.length)?;
            self.torn = false;
        }
        let bytes = lines(entries)?;
        let sync = entries.iter().any(|entry| !matches!(entry, JournalEntry::Forgotten(_)));
        self.torn = true;
        self.write(&bytes, sync)?;
        self.torn = false;
        self.length += bytes.len() as u64;
        self.lines += entries.len();
        for entry in entries {
            fold(&mut self.live, entry.clone());
        }
        if self.lines >= self.full {
            self.write_anew();
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], sync: bool) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    /// Writes only what still counts. A journal that stays long is no loss: tried again later.
    fn write_anew(&mut self) {
        match self.try_write_anew() {
            Ok(()) => self.full = LINES_MIN.max(self.lines * LINES_PER_LIVE),
            Err(error) => {
                warn!(%error, "journal not written anew");
                self.full = self.lines + LINES_MIN;
            }
        }
    }

    fn try_write_anew(&mut self) -> io::Result<()> {
        let live: Vec<_> = self.live.values().cloned().collect();
        let bytes = lines(&live)?;
        files::replace(&self.dir, FILE, &bytes)?;
        self.file = OpenOptions::new().append(true).open(path(&self.dir))?;
        (self.length, self.lines) = (bytes.len() as u64, live.len());
        Ok(())
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

fn lines(entries: &[JournalEntry]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut bytes, entry)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

/// Its entries, and how many bytes their lines have.
fn read(path: &Path) -> io::Result<(Vec<JournalEntry>, u64)> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let entries: io::Result<_> = lines.map(|line| serde_json::from_slice(line).map_err(io::Error::from)).collect();
    Ok((entries?, whole as u64))
}

fn fold(live: &mut BTreeMap<Attempt, JournalEntry>, entry: JournalEntry) {
    match &entry {
        JournalEntry::Started(order, _) | JournalEntry::Stopping(order, ..) => live.insert(order.attempt, entry),
        JournalEntry::Ended(attempt, ..) => live.insert(*attempt, entry),
        JournalEntry::Forgotten(attempt) => live.remove(attempt),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::ids::{Incarnation, TaskId};
    use cloudai_core::task::Outcome;
    use std::sync::Arc;

    fn ended(number: u32) -> JournalEntry {
        let attempt = Attempt { task: TaskId::new(1), number };
        JournalEntry::Ended(attempt, Arc::new(Outcome::exit(0)), Incarnation(1))
    }

    #[test]
    fn entries_are_read_back_but_for_forgotten_ones() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, held) = Journal::open(dir.path()).unwrap();
        assert!(held.is_empty());
        let forgotten = JournalEntry::Forgotten(Attempt { task: TaskId::new(1), number: 1 });
        journal.append(&[ended(1), ended(2), forgotten]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(2)]);
        assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(2)]);
    }

    #[test]
    fn a_journal_in_use_stays_small_and_keeps_what_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&[ended(0)]).unwrap();
        for number in 1..=30_000 {
            let forgotten = JournalEntry::Forgotten(Attempt { task: TaskId::new(1), number });
            journal.append(&[forgotten]).unwrap();
        }
        journal.append(&[ended(1)]).unwrap();
        let text = std::fs::read_to_string(path(dir.path())).unwrap();
        assert!(text.lines().count() <= LINES_MIN, "{} lines", text.lines().count());
        drop(journal);
        assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(0), ended(1)]);
    }

    #[test]
    fn a_write_that_failed_halfway_leaves_no_torn_line_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&[ended(1)]).unwrap();
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let good = std::mem::replace(&mut journal.file, full);
        assert_eq!(journal.append(&[ended(2)]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        journal.file = good;
        journal.file.write_all(b"{\"Ended\"").unwrap();
        journal.append(&[ended(3)]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(1), ended(3)]);
    }

    #[test]
    fn a_line_torn_at_any_byte_is_dropped_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&[ended(1)]).unwrap();
        let path = path(dir.path());
        let one = std::fs::read(&path).unwrap().len();
        journal.append(&[ended(2)]).unwrap();
        let both = std::fs::read(&path).unwrap();
        for cut in one..both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(1)], "cut at {cut}");
        }
    }
}
