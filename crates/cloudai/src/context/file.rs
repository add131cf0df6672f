//! The file of contexts: read as a whole, written as a whole by one at a time, and nobody else's to read.

use crate::config::Surroundings;
use crate::exit::Failure;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// All contexts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contexts {
    /// The name of the one that is used when no address is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// By their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) contexts: BTreeMap<String, Entry>,
}

/// One master, and how its user is known there. Its `Debug` shows nothing secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Where it is.
    pub(crate) addr: String,
    /// Under which name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// An API key, which goes before the tokens of a sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// The access token of a sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access: Option<String>,
    /// Until when that is good, in seconds of this machine's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access_until: Option<i64>,
    /// What the next access token is had for, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh: Option<String>,
    /// Whose certificates are trusted there, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_pem: Option<String>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("addr", &self.addr).field("user", &self.user).finish_non_exhaustive()
    }
}

impl Entry {
    /// Forgets who is signed in.
    pub(crate) fn sign_out(&mut self) {
        (self.token, self.access, self.access_until, self.refresh) = (None, None, None, None);
    }

    /// Whether there is anything by which its user is known.
    #[must_use]
    pub(crate) fn is_signed_in(&self) -> bool {
        self.token.is_some() || self.access.is_some() || self.refresh.is_some()
    }
}

/// The file of contexts, which may not be there yet.
#[derive(Clone, Debug)]
pub(crate) struct ContextFile {
    path: PathBuf,
}

/// The right to write the file: nobody else has it meanwhile.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    /// It is held while this is open.
    _lock: File,
}

impl ContextFile {
    /// The file of a user.
    /// # Errors
    /// Nothing says where it is.
    pub(crate) fn of(from: &dyn Surroundings) -> Result<Self, Failure> {
        let path = super::place(from).ok_or_else(|| {
            Failure::usage("there is no place for contexts")
                .why(format!("neither {}, XDG_CONFIG_HOME nor HOME is set", super::FOLDER))
                .next(format!("set {} to a folder", super::FOLDER))
        })?;
        Ok(Self { path })
    }

    /// All contexts; none where there is no file.
    /// # Errors
    /// It can not be read, others can read it, or it is broken: then with the line.
    pub(crate) fn load(&self) -> Result<Contexts, Failure> {
        let shown = self.path.display();
        let read = File::open(&self.path).and_then(|mut file| {
            let mut text = String::new();
            let mode = file.metadata()?.permissions().mode();
            file.read_to_string(&mut text).map(|_| (text, mode))
        });
        let (text, mode) = match read {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contexts::default()),
            Err(error) => {
                return Err(Failure::usage(format!("{shown} can not be read"))
                    .why(error.to_string())
                    .next(format!("mend that, or set {} to another folder", super::FOLDER)));
            }
        };
        if mode & 0o077 != 0 {
            return Err(Failure::usage(format!("{shown} can be read by others"))
                .why("it has the keys by which you are known")
                .next(format!("chmod 600 {shown}, and sign in again where others may have looked: cloudai login")));
        }
        toml::from_str(&text).map_err(|error| {
            let before = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes().iter().take(before).filter(|byte| **byte == b'\n').count() + 1;
            Failure::usage(format!("{shown}:{line} can not be read"))
                .why(error.message())
                .next("mend it, or remove the file and sign in again: cloudai login")
        })
    }

    /// Waits until nobody else writes the file. The wait stops the thread.
    /// # Errors
    /// The folder can not be used.
    pub(crate) fn writer(&self) -> Result<Writer, Failure> {
        let lock = self.lock().map_err(|error| self.unwritable(&error))?;
        Ok(Writer { path: self.path.clone(), _lock: lock })
    }

    fn lock(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let beside = self.path.with_extension("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(beside)?;
        rustix::io::retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive))?;
        Ok(lock)
    }

    /// Changes what is in the file, whatever others do to it at the same time.
    /// # Errors
    /// It can not be read or written.
    pub(crate) fn change<T>(&self, how: impl FnOnce(&mut Contexts) -> T) -> Result<T, Failure> {
        let writer = self.writer()?;
        let mut contexts = self.load()?;
        let answer = how(&mut contexts);
        writer.write(&contexts)?;
        Ok(answer)
    }

    fn unwritable(&self, error: &io::Error) -> Failure {
        Failure::error(format!("{} can not be written", self.path.display()))
            .why(error.to_string())
            .next(format!("set {} to a folder that this user may write to", super::FOLDER))
    }
}

impl Writer {
    /// Puts these contexts in the place of those before: all or nothing.
    /// # Errors
    /// They can not be written.
    pub(crate) fn write(&self, contexts: &Contexts) -> Result<(), Failure> {
        let text = toml::to_string(contexts).map_err(|error| Failure::error(error.to_string()))?;
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        // A temporary file is its user's alone from the beginning.
        let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)
        });
        let file = ContextFile { path: self.path.clone() };
        written.map(drop).map_err(|error| file.unwritable(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &tempfile::TempDir) -> ContextFile {
        ContextFile { path: dir.path().join("new/folder/contexts.toml") }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn entry(number: usize) -> Entry {
        Entry { addr: format!("https://m{number}:1"), token: Some("caik_secret".into()), ..Entry::default() }
    }

    #[test]
    fn what_is_written_is_read_again_and_nobody_elses() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        assert_eq!(file.load(), Ok(Contexts::default()));
        let mut all = Contexts { current: Some("prod".into()), ..Contexts::default() };
        let full = Entry {
            user: Some("ann".into()),
            access: Some("a.b.c".into()),
            access_until: Some(1_800_000_000),
            refresh: Some("cair_secret".into()),
            ca_pem: Some("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into()),
            ..entry(1)
        };
        all.contexts.insert("prod".into(), full);
        all.contexts.insert("m1.example.org".into(), entry(2));
        file.change(|contexts| *contexts = all.clone()).unwrap();
        assert_eq!(file.load(), Ok(all.clone()));
        assert_eq!((mode(&file.path), mode(file.path.parent().unwrap())), (0o600, 0o700));
        assert!(!format!("{all:?}").contains("secret"));
        file.change(|contexts| contexts.contexts.values_mut().for_each(Entry::sign_out)).unwrap();
        assert!(!std::fs::read_to_string(&file.path).unwrap().contains("secret"));
        assert!(file.load().unwrap().contexts.values().all(|entry| !entry.is_signed_in()));
    }

    #[test]
    fn two_writers_lose_nothing_of_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let file = file.clone();
                scope.spawn(move || {
                    for number in 0..25 {
                        let name = format!("w{writer}-{number}");
                        file.change(|contexts| contexts.contexts.insert(name, entry(number))).unwrap();
                    }
                });
            }
        });
        assert_eq!(file.load().unwrap().contexts.len(), 100);
    }

    #[test]
    fn a_broken_file_is_told_with_its_line_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        file.change(|contexts| contexts.contexts.insert("a".into(), entry(1))).unwrap();
        for (text, line) in [("current = \"a\"\nb == 5\n", 2), ("\n\n[contexts.a]\naddr = 5\n", 4)] {
            std::fs::write(&file.path, text).unwrap();
            let failure = file.load().unwrap_err();
            assert!(failure.what.contains(&format!("contexts.toml:{line} can not be read")), "{failure}");
            assert!(file.change(|contexts| contexts.current = None).is_err());
            assert_eq!(std::fs::read_to_string(&file.path).unwrap(), text);
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_what_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        file.change(|contexts| contexts.contexts.insert("a".into(), entry(1))).unwrap();
        std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let failure = file.load().unwrap_err().to_string();
        assert!(failure.contains("can be read by others") && failure.contains("chmod 600"), "{failure}");
        assert!(!failure.contains("secret"), "{failure}");
    }
}
