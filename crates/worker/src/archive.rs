//! Files that a container left outside `/out`: taken out of the archives that its engine makes of folders.
//!
//! They are written under names of our own, numbers, so that no name in an archive leads anywhere. Only regular files
//! are taken; a further name of a file (a hard link) is taken as a file of its own.

use crate::client::Backoff;
use crate::executor::{Archive, Executor, Job};
use crate::outputs::{Collected, Found, Limits, MAX_ENTRIES, OutputProblem};
use cloudai_core::path::is_plain;
use cloudai_core::spec::Outputs;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tar::EntryType;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::io::SyncIoBridge;

/// An archive that the engine breaks off is begun again for so long: it may be restarted.
const PATIENCE: Duration = Duration::from_secs(90);
/// The engine sends all of a folder, also what nobody wants: so many bytes beyond what may be kept.
const UNWANTED: u64 = 32 << 30;
/// Bytes copied at a time.
const CHUNK: usize = 128 * 1024;

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
    let (mut roots, mut number) = (VecDeque::from(wanted.roots()), 0);
    while let Some(root) = roots.pop_front() {
        let folder = to.join(number.to_string());
        number += 1;
        let (begin, mut wait) = (Instant::now(), Backoff::new(Duration::from_millis(200), Duration::from_secs(5)));
        let unpacked = loop {
            let begun = Unpacking::begin(&root, &folder, Arc::clone(&wanted), limits, found.clone());
            match one(executor, job, &root, begun).await {
                Err(OutputProblem::Engine { .. }) if begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(wait.wait()).await;
                }
                done => break done?,
            }
        };
        found = unpacked.found;
        roots.extend(unpacked.alone);
    }
    found.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    match in_the_way(&found) {
        Some(path) => Err(OutputProblem::Twice { path }),
        None => Ok(found),
    }
}

/// A name that two files have, or that lies in another file.
fn in_the_way(found: &Collected) -> Option<String> {
    let mut names = BTreeSet::new();
    let twice = found.files.iter().find(|file| !names.insert(file.path.as_str()));
    let is_in_a_file = |file: &&Found| file.path.match_indices('/').any(|(at, _)| names.contains(&file.path[..at]));
    twice.or_else(|| found.files.iter().find(is_in_a_file)).map(|file| file.path.clone())
}

/// What lies below one root.
async fn one(executor: &dyn Executor, job: &Job, root: &str, unpacking: Unpacking) -> Result<Unpacking, OutputProblem> {
    let broken = |why: String| OutputProblem::Engine { path: root.to_owned(), why };
    let archive = executor.archive(job.attempt, job.identity.incarnation, root).await;
    let Some(archive) = archive.map_err(|error| broken(error.to_string()))? else { return Ok(unpacking) };
    let reader: SyncIoBridge<Archive> = SyncIoBridge::new(archive);
    let unpacked = spawn_blocking(move || unpacking.run(reader)).await;
    unpacked.unwrap_or_else(|panic| Err(broken(panic.to_string())))
}

#[derive(Debug)]
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
    /// Files that are only named here, as further names of what is not wanted: asked for alone they come with their
    /// content.
    alone: Vec<String>,
}

/// Why a file was not copied.
enum Uncopied {
    Read(io::Error),
    Write(io::Error),
}

impl Unpacking {
    fn begin(root: &str, to: &Path, wanted: Arc<Outputs>, limits: Limits, found: Collected) -> Self {
        let above = root.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
        let (known, alone) = (BTreeMap::new(), Vec::new());
        Self { root: root.to_owned(), above, to: to.to_owned(), wanted, limits, found, known, alone }
    }

    fn broken(&self, why: &io::Error) -> OutputProblem {
        OutputProblem::Engine { path: self.root.clone(), why: why.to_string() }
    }

    fn unwritten(&self, source: io::Error) -> OutputProblem {
        OutputProblem::Unreadable { path: self.root.clone(), source }
    }

    fn run(mut self, archive: impl Read) -> Result<Self, OutputProblem> {
        // What an earlier try left.
        match std::fs::remove_dir_all(&self.to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(self.unwritten(error)),
            Ok(()) | Err(_) => {}
        }
        std::fs::create_dir_all(&self.to).map_err(|error| self.unwritten(error))?;
        let limit = self.limits.bytes.saturating_add(UNWANTED);
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().map_err(|error| self.broken(&error))?;
        for (count, entry) in entries.enumerate() {
            let mut entry = entry.map_err(|error| self.broken(&error))?;
            if count >= MAX_ENTRIES {
                return Err(OutputProblem::Crowded { path: self.root });
            }
            if entry.raw_file_position().saturating_add(entry.size()) > limit {
                return Err(OutputProblem::Huge { path: self.root, limit });
            }
            self.entry(&mut entry)?;
        }
        Ok(self)
    }

    fn entry(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), OutputProblem> {
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            return Ok(());
        }
        let name = plain(&entry.path_bytes());
        let shown = match &name {
            Ok(name) | Err(name) => name,
        };
        let path = format!("{}/{shown}", self.above);
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
                self.file(&path, name, size, entry)
            }
            EntryType::Link => self.further_name(path, name, entry),
            _ => {
                self.found.skip(&path, if kind.is_symlink() { "it is a link" } else { "it is no regular file" });
                Ok(())
            }
        }
    }

    fn further_name(
        &mut self,
        path: String,
        name: String,
        entry: &tar::Entry<'_, impl Read>,
    ) -> Result<(), OutputProblem> {
        let first = entry.link_name_bytes().and_then(|first| plain(&first).ok());
        match first.and_then(|first| self.known.get(&first).cloned()) {
            Some(first) => {
                let mut first = File::open(first).map_err(|error| self.unwritten(error))?;
                let size = first.metadata().map_err(|error| self.unwritten(error))?.len();
                self.file(&path, name, size, &mut first)
            }
            None if path == self.root => {
                self.found.skip(&path, "it is a further name of something that is not there");
                Ok(())
            }
            None => {
                self.alone.push(path);
                Ok(())
            }
        }
    }

    fn file(&mut self, path: &str, name: String, size: u64, content: &mut impl Read) -> Result<(), OutputProblem> {
        let abs = self.to.join(self.known.len().to_string());
        // Before a byte is written.
        self.found
            .file(Found { path: path.trim_start_matches('/').to_owned(), size, abs: abs.clone() }, self.limits)?;
        let mut file = File::create(&abs).map_err(|error| self.unwritten(error))?;
        match copy(content, &mut file) {
            Ok(copied) if copied == size => {}
            Ok(copied) => {
                let why = format!("{path} ends after {copied} of {size} bytes");
                return Err(self.broken(&io::Error::other(why)));
            }
            Err(Uncopied::Read(error)) => return Err(self.broken(&error)),
            Err(Uncopied::Write(error)) => return Err(self.unwritten(error)),
        }
        self.known.insert(name, abs);
        Ok(())
    }
}

fn copy(from: &mut impl Read, to: &mut File) -> Result<u64, Uncopied> {
    let (mut chunk, mut copied) = (vec![0; CHUNK], 0);
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(copied),
            Ok(length) => {
                to.write_all(&chunk[..length]).map_err(Uncopied::Write)?;
                copied += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Uncopied::Read(error)),
        }
    }
}

/// A name of an archive as a plain relative path; else as it may be shown.
fn plain(name: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(name);
    let trimmed = text.strip_prefix("./").unwrap_or(&text);
    if std::str::from_utf8(name).is_ok() && is_plain(trimmed) {
        Ok(trimmed.to_owned())
    } else {
        Err(trimmed.chars().take(200).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::{EngineError, Identity, JobIo};
    use async_trait::async_trait;
    use cloudai_core::ids::{Attempt, Incarnation, TaskId};
    use cloudai_core::resources::Allocation;
    use cloudai_core::spec::TaskSpec;
    use cloudai_core::task::{Cause, Outcome};
    use std::sync::atomic::{AtomicU32, Ordering};
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
        let unpacking = Unpacking::begin("/data/run", &dir.path().join("kept/0"), wanted, LIMITS, Collected::default());
        let done = unpacking.run(archive(entries).as_slice());
        (dir, done.map(|done| done.found))
    }

    #[test]
    fn wanted_files_are_taken_under_numbers_and_keep_their_paths() {
        let (_dir, found) = unpack(
            &["/data/run/*.csv", "/data/run/deep"],
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
        assert_eq!(files, [("data/run/a.csv", 3), ("data/run/deep/x/y", 0), ("data/run/b.csv", 3)]);
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
            &["/data/run/**"],
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
        assert_eq!(files, ["data/run/link/under"], "a file of its own, under a number");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "s");
        let notes = found.notes.join("\n");
        for note in ["link was left out: it is a link", "pipe was left out: it is no"] {
            assert!(notes.contains(note), "{note}: {notes}");
        }
        let kept = std::fs::read_dir(dir.path().join("kept/0")).unwrap().count();
        assert_eq!((kept, std::fs::read_dir(dir.path()).unwrap().count()), (1, 1));
    }

    #[test]
    fn more_than_allowed_is_seen_before_it_is_written() {
        let large = "x".repeat(101);
        let (dir, found) = unpack(&["/data/run/**"], &[(EntryType::Regular, b"run/a", &large)]);
        assert_eq!(found.unwrap_err().cause(), Cause::StorageExceeded);
        assert_eq!(std::fs::read_dir(dir.path().join("kept/0")).unwrap().count(), 0);
        let names: [&[u8]; 4] = [b"run/1", b"run/2", b"run/3", b"run/4"];
        let (_dir, found) = unpack(&["/data/run/**"], &names.map(|name| (EntryType::Regular, name, "")));
        assert_eq!(found.unwrap_err().cause(), Cause::OutputError);
    }

    /// Counts what is read.
    struct Counted<'a>(&'a [u8], &'a std::cell::Cell<usize>);

    impl Read for Counted<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.0.read(into)?;
            self.1.set(self.1.get() + length);
            Ok(length)
        }
    }

    #[test]
    fn an_archive_of_1_000_000_tiny_files_is_read_no_further_than_the_first_that_is_too_many() {
        let names: Vec<String> = (0..500).map(|number| format!("run/{number}")).collect();
        let entries: Vec<_> = names.iter().map(|name| (EntryType::Regular, name.as_bytes(), "x")).collect();
        let (dir, whole, read) = (tempfile::tempdir().unwrap(), archive(&entries), std::cell::Cell::new(0));
        let wanted = Arc::new(Outputs::of(Some(&["/data/run/**".to_owned()])));
        let kept = dir.path().join("kept");
        let unpacking = Unpacking::begin("/data/run", &kept, wanted, LIMITS, Collected::default());
        let problem = unpacking.run(Counted(&whole, &read)).unwrap_err();
        assert!(matches!(problem, OutputProblem::TooMany { limit: 3 }), "{problem}");
        assert!(read.get() < whole.len() / 10, "{} of {} bytes were read", read.get(), whole.len());
        assert_eq!(std::fs::read_dir(kept).unwrap().count(), 3);
    }

    #[test]
    fn an_archive_that_breaks_off_is_the_engines_fault() {
        let dir = tempfile::tempdir().unwrap();
        let whole = archive(&[(EntryType::Regular, b"run/a", &"x".repeat(90))]);
        for length in [600, 100] {
            let wanted = Arc::new(Outputs::of(Some(&["/data/run".to_owned()])));
            let unpacking = Unpacking::begin("/data/run", &dir.path().join("k"), wanted, LIMITS, Collected::default());
            let done = unpacking.run(&whole[..length]);
            assert!(matches!(done, Err(OutputProblem::Engine { .. })), "{length}: {done:?}");
        }
    }

    /// An engine that gives these archives, by path; the first times it breaks off.
    #[derive(Debug)]
    struct Given {
        archives: BTreeMap<&'static str, Vec<u8>>,
        broken: AtomicU32,
    }

    #[async_trait]
    impl Executor for Given {
        fn name(&self) -> &'static str {
            "given"
        }

        async fn engine(&self) -> Result<String, EngineError> {
            Ok("given".into())
        }

        async fn ping(&self) -> Result<(), EngineError> {
            Ok(())
        }

        async fn run(&self, _job: &Job, _io: JobIo) -> Outcome {
            Outcome::exit(0)
        }

        async fn remove(&self, _attempt: Attempt, _incarnation: Incarnation) -> Result<(), EngineError> {
            Ok(())
        }

        async fn existing(&self) -> Result<Vec<(Attempt, Incarnation)>, EngineError> {
            Ok(Vec::new())
        }

        async fn archive(&self, _: Attempt, _: Incarnation, path: &str) -> Result<Option<Archive>, EngineError> {
            let breaks = self.broken.load(Ordering::Relaxed);
            self.broken.store(breaks.saturating_sub(1), Ordering::Relaxed);
            let archive = self.archives.get(path).map(|bytes| {
                let length = if breaks > 0 { 600 } else { bytes.len() };
                io::Cursor::new(bytes[..length].to_vec())
            });
            Ok(archive.map(|bytes| -> Archive { Box::pin(bytes) }))
        }
    }

    async fn collected(
        patterns: &[&str],
        archives: impl IntoIterator<Item = (&'static str, Vec<u8>)>,
        found: Collected,
    ) -> Result<Collected, OutputProblem> {
        let executor = Given { archives: archives.into_iter().collect(), broken: AtomicU32::new(2) };
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let wanted = Arc::new(Outputs::of(Some(&patterns)));
        let dir = tempfile::tempdir().unwrap();
        let job = Job {
            attempt: Attempt { task: TaskId::new(1), number: 1 },
            identity: Identity { cluster: "c".into(), incarnation: Incarnation(1), worker: "w".parse().unwrap() },
            job: None,
            spec: Arc::new(TaskSpec::of_image("busybox").unwrap()),
            allocation: Allocation::default(),
            out_dir: dir.path().join("out"),
            inputs: Vec::new(),
            volumes: Vec::new(),
            secrets: Vec::new(),
            fences: crate::executor::fences::Fences::default(),
            logins: Arc::new(crate::executor::login::NoLogins),
            resume: false,
            skip_records: tokio::sync::watch::Sender::new(Some(0)).subscribe(),
        };
        collect(&executor, &job, (wanted, LIMITS), &dir.path().join("kept"), found).await
    }

    fn of_out(path: &str) -> Collected {
        let file = Found { path: path.into(), size: 1, abs: "/out".into() };
        Collected { files: vec![file], bytes: 1, ..Collected::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_breaks_off_is_asked_again_and_all_folders_are_looked_through() {
        let archives = [
            ("/data", archive(&[(EntryType::Regular, b"data/b.csv", "1"), (EntryType::Regular, b"data/x", "")])),
            ("/var/log/app.log", archive(&[(EntryType::Regular, b"app.log", "22")])),
        ];
        let patterns = ["/data/*.csv", "/var/log/app.log", "/nosuch/x"];
        let found = collected(&patterns, archives, of_out("a")).await.unwrap();
        let files: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!((files, found.bytes), (vec![("a", 1), ("data/b.csv", 1), ("var/log/app.log", 2)], 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_further_name_of_what_is_not_wanted_is_kept_with_its_content() {
        let linked = [(EntryType::Regular, &b"data/a.tmp"[..], "12"), (EntryType::Link, b"data/b.csv", "data/a.tmp")];
        let alone = archive(&[(EntryType::Regular, b"b.csv", "12")]);
        let archives = [("/data", archive(&linked)), ("/data/b.csv", alone)];
        let found = collected(&["/data/*.csv"], archives, Collected::default()).await.unwrap();
        let files: Vec<_> = found.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!(files, [("data/b.csv", 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_have_one_name_or_lie_in_a_file_is_refused() {
        let archives = || [("/data", archive(&[(EntryType::Regular, b"data/b.csv", "1")]))];
        for taken in ["data/b.csv", "data", "data/b.csv/x"] {
            let problem = collected(&["/data/*.csv"], archives(), of_out(taken)).await.unwrap_err();
            assert!(matches!(problem, OutputProblem::Twice { .. }), "{taken}: {problem}");
        }
        assert!(collected(&["/data/*.csv"], archives(), of_out("data-x")).await.is_ok());
    }
}
