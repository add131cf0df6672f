//! The text files of the repository, and how violations are told.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold nothing that people wrote.
const SKIPPED: [&str; 5] = [".git", ".run", "node_modules", "dist", "target"];

/// One text file; `path` is relative to the root, with `/` between its parts.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether this is Rust that people wrote and have to read: what `prost` generated is neither.
    pub(crate) fn is_written_rust(&self) -> bool {
        self.path.starts_with("crates/") && self.path.ends_with(".rs") && !self.path.contains("/src/gen/")
    }

    pub(crate) fn violation(&self, line: usize, what: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, what: what.into(), item: None }
    }

    /// One violation for each line that `judge` objects to.
    pub(crate) fn lines_where(&self, judge: impl Fn(&str) -> Option<String>) -> Vec<Violation> {
        let numbered = self.text.lines().enumerate();
        numbered.filter_map(|(at, line)| Some(self.violation(at + 1, judge(line)?))).collect()
    }
}

/// A broken rule: where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
    /// The function that it is about, when it is about one.
    pub(crate) item: Option<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Fails with all violations, one a line, so that an editor can jump to them.
pub(crate) fn assert_none(violations: &[Violation]) {
    let listed: String = violations.iter().map(|one| format!("\n{one}")).collect();
    assert!(violations.is_empty(), "{} violation(s):{listed}", violations.len());
}

pub(crate) struct Repo {
    files: Vec<File>,
}

impl Repo {
    /// Reads all text files, sorted by path; files that are no UTF-8 are left out.
    pub(crate) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut files = Vec::new();
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.join(&folder)).expect("a folder of the repository is readable") {
                let entry = entry.expect("a folder of the repository is readable");
                let path = folder.join(entry.file_name());
                let kind = entry.file_type().expect("an entry has a type");
                if kind.is_dir() && !skipped(&entry.path()) {
                    folders.push(path);
                } else if kind.is_file() {
                    files.extend(fs::read_to_string(entry.path()).ok().map(|text| File::new(&slashes(&path), &text)));
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(files.len() > 10, "the repository was not found at {}", root.display());
        Self { files }
    }

    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}

/// Whether a folder is made by tools: by its name, or because it is marked as a cache (any target directory of cargo).
fn skipped(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    SKIPPED.contains(&name) || folder.join("CACHEDIR.TAG").exists()
}

fn slashes(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[test]
fn all_violations_are_told_with_path_and_line() {
    let file = File::new("a/b.rs", "one\ntwo\nthree\n");
    let found = file.lines_where(|line| line.contains('t').then(|| format!("has a t: {line}")));
    let told: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["a/b.rs:2: has a t: two", "a/b.rs:3: has a t: three"]);
}

#[test]
fn generated_code_is_not_judged() {
    assert!(File::new("crates/proto/src/lib.rs", "").is_written_rust());
    assert!(!File::new("crates/proto/src/gen/cloudai.v1.rs", "").is_written_rust());
}

#[test]
fn the_walk_finds_this_file_and_nothing_of_the_build() {
    let repo = Repo::read();
    assert!(repo.text("crates/cloudai/tests/tidy/repo.rs").is_some());
    assert!(repo.files().iter().all(|file| !file.path.starts_with("target/") && !file.path.starts_with(".git/")));
}
