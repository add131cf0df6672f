//! What a worker must remember when its process ends: one JSON line for each entry.
//!
//! A torn last line, as a crash leaves it, was never acted on and is dropped. At every start the
//! journal is written anew with what still counts.

use cloudai_core::agent::JournalEntry;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens the journal of a data folder; answers what it holds.
    /// # Errors
    /// It can not be read or written.
    pub fn open(dir: &Path) -> io::Result<(Self, Vec<JournalEntry>)> {
        let path = dir.join("journal.jsonl");
        let entries = live(read(&path)?);
        let fresh: PathBuf = dir.join("journal.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&lines(&entries)?)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        File::open(dir)?.sync_all()?;
        let file = OpenOptions::new().append(true).open(&path)?;
        Ok((Self { file }, entries))
    }

    /// Writes entries down; ends are on disk when this returns.
    /// # Errors
    /// They can not be written.
    pub fn append(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        self.file.write_all(&lines(entries)?)?;
        if entries.iter().any(|entry| matches!(entry, JournalEntry::Ended(..))) {
            self.file.sync_data()?;
        }
        Ok(())
    }
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

/// Entries of attempts that are not forgotten: the last of each tells all.
fn live(entries: Vec<JournalEntry>) -> Vec<JournalEntry> {
    let mut last = std::collections::BTreeMap::new();
    for entry in entries {
        let attempt = match &entry {
            JournalEntry::Started(order, _) => order.attempt,
            JournalEntry::Ended(attempt, ..) | JournalEntry::Forgotten(attempt) => *attempt,
        };
        last.insert(attempt, entry);
    }
    last.into_values().filter(|entry| !matches!(entry, JournalEntry::Forgotten(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::ids::{Attempt, Incarnation, TaskId};
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
    fn a_line_torn_at_any_byte_is_dropped_and_the_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.append(&[ended(1)]).unwrap();
        let path = dir.path().join("journal.jsonl");
        let one = std::fs::read(&path).unwrap().len();
        journal.append(&[ended(2)]).unwrap();
        let both = std::fs::read(&path).unwrap();
        for cut in one..both.len() {
            std::fs::write(&path, &both[..cut]).unwrap();
            assert_eq!(Journal::open(dir.path()).unwrap().1, [ended(1)], "cut at {cut}");
        }
    }
}
