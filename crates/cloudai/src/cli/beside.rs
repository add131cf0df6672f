//! A file that gets its name when it is whole, not before.

use crate::exit::{Exit, Failure};
use std::io;
use std::path::{Path, PathBuf};

/// A file in the making, under a name of its own beside the one that it is to have.
#[derive(Debug)]
pub(super) struct Beside {
    to: PathBuf,
    part: PathBuf,
}

impl Beside {
    /// One that may replace another.
    /// # Errors
    /// The path names no file.
    pub(super) fn of(to: &Path) -> Result<Self, Failure> {
        let name = to.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", to.display())))?;
        let part = to.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
        Ok(Self { to: to.to_owned(), part })
    }

    /// One that replaces nothing; `what` it is, as `a backup`.
    /// # Errors
    /// Something is there, or the path names no file.
    pub(super) fn new(to: &Path, what: &str) -> Result<Self, Failure> {
        if to.exists() {
            return Err(Failure::new(Exit::Conflict, "conflict", format!("{} is there already", to.display()))
                .why(format!("{what} replaces nothing"))
                .next("give another name"));
        }
        Self::of(to)
    }

    /// Where it is written.
    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Gives it its name if it was made.
    /// # Errors
    /// Why it was not made, or that it can not have its name.
    pub(super) fn done<T>(
        self,
        made: Result<T, Failure>,
        unwritable: fn(&Path, &io::Error) -> Failure,
    ) -> Result<T, Failure> {
        let made = made?;
        std::fs::rename(&self.part, &self.to).map_err(|error| unwritable(&self.to, &error))?;
        Ok(made)
    }
}

/// Also of one that nobody waits for any more nothing stays.
impl Drop for Beside {
    fn drop(&mut self) {
        // What has its name is not there; a rest that can not be removed is harmless.
        let _ = std::fs::remove_file(&self.part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: &Path, error: &io::Error) -> Failure {
        Failure::error(format!("{}: {error}", path.display()))
    }

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_nothing_stays_of_one_that_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("f");
        for (made, there) in [(Err(Failure::error("no")), 0), (Ok(7), 1)] {
            let file = Beside::new(&to, "a test").unwrap();
            std::fs::write(file.part(), "x").unwrap();
            assert!(!to.exists());
            let is_made = made.is_ok();
            assert_eq!(file.done(made, failed).is_ok(), is_made);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), there);
        }
        assert_eq!(Beside::new(&to, "a test").unwrap_err().exit, Exit::Conflict);
        assert!(Beside::of(&to).is_ok() && Beside::of(Path::new("/")).is_err());
    }
}
