//! What a worker must remember when its process ends: one JSON line for each entry.
//!
//! A torn last line, as a crash leaves it, was never acted on and is dropped. The journal is
//! written anew, with what still counts, at every start and when most of it has been forgotten.

use cloudai_core::agent::JournalEntry;
use cloudai_core::ids::Attempt;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// It is written anew once it has this many lines for each that still counts,
const LINES_PER_LIVE: usize = 4;
/// and at least so many: a few MiB.
const LINES_MIN: usize = 4096;

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    file: File,
    lines: usize,
    /// The last entry of each attempt that is not forgotten: it tells all.
    live: BTreeMap<Attempt, JournalEntry>,
}

impl Journal {
    /// Opens the journal of a data folder; answers what it holds.
    /// # Errors
    /// It can not be read or written.
    pub fn open(dir: &Path) -> io::Result<(Self, Vec<JournalEntry>)> {
        let mut live = BTreeMap::new();
        for entry in read(&path(dir))? {
            fold(&mut live, entry);
        }
        let entries: Vec<_> = live.values().cloned().collect();
        let file = write_anew(dir, &entries)?;
        Ok((Self { dir: dir.to_owned(), file, lines: entries.len(), live }, entries))
    }

    /// Writes entries down; starts and ends are on disk when this returns, one sync for all.
    /// # Errors
    /// They can not be written.
    pub fn append(&mut self, entries: Vec<JournalEntry>) -> io::Result<()> {
        self.file.write_all(&lines(&entries)?)?;
        if entries.iter().any(|entry| !matches!(entry, JournalEntry::Forgotten(_))) {
            self.file.sync_data()?;
        }
        self.lines += entries.len();
        for entry in entries {
            fold(&mut self.live, entry);
        }
        if self.lines >= LINES_MIN.max(self.live.len() * LINES_PER_LIVE) {
            let live: Vec<_> = self.live.values().cloned().collect();
            self.file = write_anew(&self.dir, &live)?;
            self.lines = live.len();
        }
        Ok(())
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join("journal.jsonl")
}

/// Replaces the journal; a crash leaves the old one or the new one.
fn write_anew(dir: &Path, entries: &[JournalEntry]) -> io::Result<File> {
    let fresh = dir.join("journal.new");
    let mut file = File::create(&fresh)?;
    file.write_all(&lines(entries)?)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path(dir))?;
    File::open(dir)?.sync_all()?;
    OpenOptions::new().append(true).open(path(dir))
}

fn lines(entries: &[JournalEntry]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut bytes, entry)?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn read(path: &Path) -> io::Result<Vec<JournalEntry>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(io::Error::from)).collect()
}

fn fold(live: &mut BTreeMap<Attempt, JournalEntry>, entry: JournalEntry) {
    match &entry {
        JournalEntry::Started(order, _) => live.insert(order.attempt, entry),
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
        journal.append(vec![ended(1), ended(2), forgotten]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(2)]);
        assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(2)]);
    }

    #[test]
    fn a_journal_in_use_stays_small_and_keeps_what_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(vec![ended(0)]).unwrap();
        for number in 1..=30_000 {
            let forgotten = JournalEntry::Forgotten(Attempt { task: TaskId::new(1), number });
            journal.append(vec![forgotten]).unwrap();
        }
        journal.append(vec![ended(1)]).unwrap();
        let text = std::fs::read_to_string(path(dir.path())).unwrap();
        assert!(text.lines().count() <= LINES_MIN, "{} lines", text.lines().count());
        drop(journal);
        assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(0), ended(1)]);
    }

    #[test]
    fn a_line_torn_at_any_byte_is_dropped_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(vec![ended(1)]).unwrap();
        let path = path(dir.path());
        let one = std::fs::read(&path).unwrap().len();
        journal.append(vec![ended(2)]).unwrap();
        let both = std::fs::read(&path).unwrap();
        for cut in one..both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(1)], "cut at {cut}");
        }
    }
}
