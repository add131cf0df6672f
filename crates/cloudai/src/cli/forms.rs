//! Files that people write in TOML, YAML or JSON, as they are: what their fields mean is not known here.

mod text;

use crate::exit::Failure;
use cloudai_core::spec::{MAX_SPEC_BYTES, Value};
use std::io::Read;
use std::path::Path;
use text::parse;

/// What a file is to hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    what: &'static str,
    /// Much more than any valid one, in bytes.
    longest: u64,
    /// Where its fields are told.
    fields: &'static str,
}

impl Kind {
    /// One task.
    pub(super) const TASK: Self =
        Self { what: "task file", longest: 4 * MAX_SPEC_BYTES as u64, fields: "docs/task-file.md" };
    /// The tasks of a job.
    pub(super) const JOB: Self = Self { what: "job file", longest: 256 << 20, fields: "docs/job-file.md" };
    /// A task or a job with places for parameters.
    pub(super) const TEMPLATE: Self = Self { what: "template", longest: 1 << 20, fields: "docs/templates.md" };
    /// What is submitted when its time comes.
    pub(super) const SCHEDULE: Self = Self { what: "schedule", longest: 1 << 20, fields: "docs/schedules.md" };

    /// Reads a file by its ending; `-` is stdin.
    /// # Errors
    /// It can not be read, or is of none of the forms.
    pub(super) fn read(self, path: &Path) -> Result<Value, Failure> {
        let text = self.text(path)?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        let parsed = parse(&ending, &text).and_then(|value: Value| match value {
            Value::Map(_) => Ok(value),
            other => Err(format!("it is {}: expected fields with their values", other.kind())),
        });
        parsed.map_err(|problem| {
            let failure = Failure::usage(format!("{} was not understood", name_of(path))).why(problem.trim_end());
            let known = ENDINGS.contains(&ending.as_str());
            let failure = if known { failure } else { failure.why("its form was guessed: an ending would tell it") };
            let Self { what, fields, .. } = self;
            failure.next(format!("a {what} is TOML (.toml), YAML (.yaml, .yml) or JSON (.json); its fields: {fields}"))
        })
    }

    /// The text of such a file.
    fn text(self, path: &Path) -> Result<String, Failure> {
        let (most, mut text) = (self.longest, String::new());
        let got = if is_stdin(path) {
            std::io::stdin().lock().take(most + 1).read_to_string(&mut text)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_string(&mut text))
        };
        got.map_err(|error| unreadable(path, &error))?;
        if text.len() as u64 > most {
            return Err(Failure::usage(format!("{} is too long for a {}", path.display(), self.what)));
        }
        Ok(text)
    }
}

/// Endings that tell the form of a file.
const ENDINGS: [&str; 4] = ["toml", "yaml", "yml", "json"];

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What a file is called in messages.
pub(super) fn name_of(path: &Path) -> String {
    if is_stdin(path) { "stdin".into() } else { path.display().to_string() }
}

/// Where paths begin that a file names: where it lies, or here for what comes from stdin.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|_| !is_stdin(path)).unwrap_or_else(|| Path::new(""))
}

/// A file that can not be read.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} can not be read", path.display())).why(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_task_says_which_forms_there_are() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text, guessed) in [("bad.json", "{", false), ("task.txt", "hello", true), ("t.yaml", "- a", false)] {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let failure = Kind::TASK.read(&path).unwrap_err();
            assert!(failure.what.ends_with("was not understood") && failure.next.contains(".yml"), "{failure}");
            assert_eq!(failure.why.iter().any(|why| why.contains("guessed")), guessed, "{failure}");
        }
        let failure = Kind::JOB.read(&dir.path().join("bad.json")).unwrap_err();
        assert!(failure.next.starts_with("a job file is TOML") && failure.next.ends_with("docs/job-file.md"));
    }

    #[test]
    fn paths_begin_where_the_file_lies() {
        for (file, folder) in [("jobs/a.toml", "jobs"), ("a.toml", ""), ("-", ""), ("/data/a.toml", "/data")] {
            assert_eq!(folder_of(Path::new(file)), Path::new(folder), "{file}");
        }
    }
}
