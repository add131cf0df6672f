//! Files that a container left outside `/out`: taken out of the archives that its engine makes of folders.
//!
//! They are written under names of our own, numbers, so that no name in an archive leads anywhere. Only regular files
//! are taken; a further name of a file (a hard link) is taken as a file of its own.

use crate::client::Backoff;
use crate::executor::{Archive, Executor, Job};
use crate::outputs::{Collected, Found, Limits, OutputProblem};
use cloudai_core::spec::Outputs;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tar::EntryType;
use tokio::task::spawn_blocking;
use tokio_util::io::SyncIoBridge;

/// Entries of any kind in one archive: a folder may hold far more than is wanted of it.
const MAX_ENTRIES: usize = 1_000_000;
/// How often an archive is begun that the engine breaks off: for half a minute about.
const TRIES: u32 = 10;

/// Adds what is wanted outside `/out` to what was found there; the files are put into the folder `to`.
/// # Errors
/// As [`crate::outputs::collect`], or the engine does not give them.
pub(crate) async fn collect(
    executor: &dyn Executor,
    job: &Job,
    (wanted, limits): (Arc<Outputs>, Limits),
    to: &Path,
    mut found: Collected,
) -> Result<Collected, OutputProblem> {
    let roots = wanted.roots();
    if roots.is_empty() {
        return Ok(found);
    }
    for (number, root) in roots.iter().enumerate() {
        let folder = to.join(number.to_string());
        let (mut wait, mut tries) = (Backoff::new(Duration::from_millis(200), Duration::from_secs(5)), 1);
        found = loop {
            let begun = Unpacking::begin(root, &folder, Arc::clone(&wanted), limits, found.clone());
            match one(executor, job, root, begun).await {
                Err(OutputProblem::Engine { .. }) if tries < TRIES => tries += 1,
                done => break done?,
            }
            tokio::time::sleep(wait.wait()).await;
        };
    }
    found.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    match found.files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        Some(pair) => Err(OutputProblem::Twice { path: pair[0].path.clone() }),
        None => Ok(found),
    }
}

/// What lies below one root.
async fn one(executor: &dyn Executor, job: &Job, root: &str, unpacking: Unpacking) -> Result<Collected, OutputProblem> {
    let broken = |why: String| OutputProblem::Engine { path: root.to_owned(), why };
    let archive = executor.archive(job.attempt, job.identity.incarnation, root).await;
    let Some(archive) = archive.map_err(|error| broken(error.to_string()))? else { return Ok(unpacking.found) };
    let reader: SyncIoBridge<Archive> = SyncIoBridge::new(archive);
    let unpacked = spawn_blocking(move || unpacking.run(reader)).await;
    unpacked.unwrap_or_else(|panic| Err(broken(panic.to_string())))
}

struct Unpacking {
    root: String,
    /// The folder that the names in the archive begin in.
    above: String,
    to: PathBuf,
    wanted: Arc<Outputs>,
    limits: Limits,
    found: Collected,
    /// Where files lie, by their names in the archive.
    known: BTreeMap<String, PathBuf>,
}

impl Unpacking {
    fn begin(root: &str, to: &Path, wanted: Arc<Outputs>, limits: Limits, found: Collected) -> Self {
        let above = root.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
        Self { root: root.to_owned(), above, to: to.to_owned(), wanted, limits, found, known: BTreeMap::new() }
    }

    fn broken(&self, why: &io::Error) -> OutputProblem {
        OutputProblem::Engine { path: self.root.clone(), why: why.to_string() }
    }

    fn unwritten(&self, source: io::Error) -> OutputProblem {
        OutputProblem::Unreadable { path: self.root.clone(), source }
    }

    fn run(mut self, archive: impl Read) -> Result<Collected, OutputProblem> {
        // What an earlier try left.
        match std::fs::remove_dir_all(&self.to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.unwritten(error)),
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(&self.to).map_err(|error| self.unwritten(error))?;
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().map_err(|error| self.broken(&error))?;
        for (count, entry) in entries.enumerate() {
            if count >= MAX_ENTRIES {
                return Err(OutputProblem::TooMany { limit: self.limits.files });
            }
            let mut entry = entry.map_err(|error| self.broken(&error))?;
            self.entry(&mut entry)?;
        }
        Ok(self.found)
    }

    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), OutputProblem> {
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            return Ok(());
        }
        let name = plain(&entry.path_bytes());
        let path = match &name {
            Ok(name) => format!("{}/{name}", self.above),
            Err(shown) => format!("{}/{shown}", self.above),
        };
        if !self.wanted.takes(&path) {
            return Ok(());
        }
        let Ok(name) = name else {
            self.found.skip(&path, "its name is no plain UTF-8");
            return Ok(());
        };
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let size = entry.size();
                self.file(&path, name, size, |file| io::copy(entry, file))
            }
            EntryType::Link => {
                let first = entry.link_name_bytes().and_then(|first| plain(&first).ok());
                match first.and_then(|first| self.known.get(&first).cloned()) {
                    Some(first) => {
                        let mut first = File::open(first).map_err(|error| self.unwritten(error))?;
                        let size = first.metadata().map_err(|error| self.unwritten(error))?.len();
                        self.file(&path, name, size, |file| io::copy(&mut first, file))
                    }
                    None => {
                        self.found.skip(&path, "it is a second name of a file that is not kept");
                        Ok(())
                    }
                }
            }
            _ => {
                self.found.skip(&path, if kind.is_symlink() { "it is a link" } else { "it is no regular file" });
                Ok(())
            }
        }
    }

    fn file(
        &mut self,
        path: &str,
        name: String,
        size: u64,
        fill: impl FnOnce(&mut File) -> io::Result<u64>,
    ) -> Result<(), OutputProblem> {
        let abs = self.to.join(self.known.len().to_string());
        // Before a byte is written.
        self.found
            .file(Found { path: path.trim_start_matches('/').to_owned(), size, abs: abs.clone() }, self.limits)?;
        let mut file = File::create(&abs).map_err(|error| self.unwritten(error))?;
        match fill(&mut file) {
            Ok(copied) if copied == size => {}
            Ok(copied) => {
                return Err(self.broken(&io::Error::other(format!("{path} ends after {copied} of {size} bytes"))));
            }
            Err(error) => return Err(self.broken(&error)),
        }
        self.known.insert(name, abs);
        Ok(())
    }
}

/// A name of an archive as a plain relative path; else as it may be shown.
fn plain(name: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(name);
    let trimmed = text.strip_prefix("./").unwrap_or(&text);
    let is_plain = std::str::from_utf8(name).is_ok()
        && !trimmed.contains('\0')
        && trimmed.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if is_plain { Ok(trimmed.to_owned()) } else { Err(trimmed.chars().take(200).collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::task::Cause;
    use tar::{Builder, Header};

    const LIMITS: Limits = Limits { files: 3, bytes: 100 };

    /// An archive of entries: kind, name, content or what a link leads to.
    fn archive(entries: &[(EntryType, &[u8], &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (kind, name, content) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
            if is_link {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
            }
            let data = if is_link { "" } else { content };
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpack(
        patterns: &[&str],
        entries: &[(EntryType, &[u8], &str)],
    ) -> (tempfile::TempDir, Result<Collected, OutputProblem>) {
        let dir = tempfile::tempdir().unwrap();
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let wanted = Arc::new(Outputs::of(Some(&patterns)));
        let unpacking = Unpacking::begin("/work/run", &dir.path().join("kept/0"), wanted, LIMITS, Collected::default());
        let done = unpacking.run(archive(entries).as_slice());
        (dir, done)
    }

    #[test]
    fn wanted_files_are_taken_under_numbers_and_keep_their_paths() {
        let (_dir, found) = unpack(
            &["/work/run/*.csv", "/work/run/deep"],
            &[
                (EntryType::Directory, b"run/", ""),
                (EntryType::Regular, b"run/a.csv", "1,2"),
                (EntryType::Regular, b"run/a.txt", "no"),
                (EntryType::Regular, b"run/deep/x/y", ""),
                (EntryType::Link, b"run/b.csv", "run/a.csv"),
            ],
        );
        let found = found.unwrap();
        let files: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!(files, [("work/run/a.csv", 3), ("work/run/deep/x/y", 0), ("work/run/b.csv", 3)]);
        assert_eq!((found.bytes, found.skipped), (6, 0));
        assert_eq!(std::fs::read_to_string(&found.files[2].abs).unwrap(), "1,2");
        assert!(found.files.iter().all(|file| file.abs.file_name().unwrap().to_str().unwrap().parse::<u32>().is_ok()));
    }

    #[test]
    fn nothing_in_an_archive_leads_anywhere() {
        let outside = tempfile::tempdir().unwrap();
        let secret = outside.path().join("secret");
        std::fs::write(&secret, "s").unwrap();
        let (dir, found) = unpack(
            &["/work/run/**"],
            &[
                (EntryType::Symlink, b"run/link", secret.to_str().unwrap()),
                (EntryType::Regular, b"run/link/under", "x"),
                (EntryType::Regular, b"run/../../../evil", "x"),
                (EntryType::Regular, b"/run/abs", "x"),
                (EntryType::Regular, b"run/\xff", "x"),
                (EntryType::Link, b"run/hard", secret.to_str().unwrap()),
                (EntryType::Fifo, b"run/pipe", ""),
                (EntryType::Char, b"run/null", ""),
            ],
        );
        let found = found.unwrap();
        let files: Vec<_> = found.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(files, ["work/run/link/under"], "a file of its own, under a number");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "s");
        let notes = found.notes.join("\n");
        for note in
            ["link was left out: it is a link", "hard was left out: it is a second name", "pipe was left out: it is no"]
        {
            assert!(notes.contains(note), "{note}: {notes}");
        }
        let kept = std::fs::read_dir(dir.path().join("kept/0")).unwrap().count();
        assert_eq!((kept, std::fs::read_dir(dir.path()).unwrap().count()), (1, 1));
    }

    #[test]
    fn more_than_allowed_is_seen_before_it_is_written() {
        let large = "x".repeat(101);
        let (dir, found) = unpack(&["/work/run/**"], &[(EntryType::Regular, b"run/a", &large)]);
        assert_eq!(found.unwrap_err().cause(), Cause::StorageExceeded);
        assert_eq!(std::fs::read_dir(dir.path().join("kept/0")).unwrap().count(), 0);
        let names: [&[u8]; 4] = [b"run/1", b"run/2", b"run/3", b"run/4"];
        let (_dir, found) = unpack(&["/work/run/**"], &names.map(|name| (EntryType::Regular, name, "")));
        assert_eq!(found.unwrap_err().cause(), Cause::OutputError);
    }

    #[test]
    fn an_archive_that_breaks_off_is_the_engines_fault_and_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let whole = archive(&[(EntryType::Regular, b"run/a", &"x".repeat(90))]);
        for length in [600, 100, 0] {
            let wanted = Arc::new(Outputs::of(Some(&["/work/run".to_owned()])));
            let unpacking = Unpacking::begin("/work/run", &dir.path().join("k"), wanted, LIMITS, Collected::default());
            let done = unpacking.run(&whole[..length]);
            assert!(length == 0 || matches!(done, Err(OutputProblem::Engine { .. })), "{length}: {done:?}");
        }
    }
}
