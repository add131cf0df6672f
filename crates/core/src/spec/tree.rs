//! The list of a folder's files, by which a folder has a name of its own: the SHA-256 of the list.
//!
//! ```text
//! f 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 4 notes/a.txt
//! x 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 5 run.sh
//! d - 0 empty
//! ```
//! One line for each file (`x`: it can be run) and each folder that holds nothing, sorted by path as bytes, each ended by a
//! line feed; `\` and line feeds of a name are written `\\` and `\n`. The same files have the same list, whoever wrote
//! it. A list is checked when it is read: no path leaves the folder, is there twice, or lies within a file.

use crate::path::is_plain;
use crate::sha256::Sha256;

/// The most entries of a folder.
pub const MAX_ENTRIES: usize = 100_000;
/// The largest list, in bytes.
pub const MAX_BYTES: usize = 32 << 20;
/// The longest path, in bytes: what Linux takes, less the folders above it on a worker.
const MAX_PATH: usize = 3072;
/// The longest name in it, in bytes: what file systems take.
const MAX_NAME: usize = 255;
/// Parts of a path.
const MAX_DEPTH: usize = 64;

/// A folder's files and empty folders, sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<Entry>,
}

/// A file, or a folder that holds nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the folder.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File {
        /// Of its content.
        sha256: Sha256,
        /// Bytes.
        size: u64,
        /// Whether it can be run.
        executable: bool,
    },
    /// A folder that holds nothing.
    Folder,
}

/// Why a list is no folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// A line that is none.
    #[error("line {0} of the list of the folder is not \"f|x|d SHA256 SIZE PATH\"")]
    Line(usize),
    /// Not relative and plain.
    #[error("{0:?} is no path of a file: it is absolute, too long, or has empty parts, . or .. among its parts")]
    Path(String),
    /// It does not come after the one before it.
    #[error("{0:?} stands at the wrong place or twice in the list of the folder")]
    Order(String),
    /// It would lie within a file.
    #[error("{0:?} lies within a file of the same folder")]
    WithinFile(String),
    /// Too many.
    #[error("the folder has more than {MAX_ENTRIES} files: pack some of them into an archive")]
    TooMany,
    /// Too long.
    #[error("the list of the folder is larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
}

impl Tree {
    /// A folder of these entries, in any order.
    /// # Errors
    /// [`TreeError`].
    pub fn of(mut entries: Vec<Entry>) -> Result<Self, TreeError> {
        entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        check(&entries)?;
        Ok(Self { entries })
    }

    /// Reads a list.
    /// # Errors
    /// [`TreeError`].
    pub fn read(list: &[u8]) -> Result<Self, TreeError> {
        if list.len() > MAX_BYTES {
            return Err(TreeError::TooLarge);
        }
        let text = std::str::from_utf8(list).map_err(|_| TreeError::Line(1))?;
        let lines = text.split_inclusive('\n').take(MAX_ENTRIES + 1).enumerate();
        let entries: Vec<_> =
            lines.map(|(place, line)| entry(line).ok_or(TreeError::Line(place + 1))).collect::<Result<_, _>>()?;
        check(&entries)?;
        Ok(Self { entries })
    }

    /// The list.
    #[must_use]
    pub fn write(&self) -> String {
        let mut list = String::new();
        for Entry { path, kind } in &self.entries {
            let path = path.replace('\\', "\\\\").replace('\n', "\\n");
            list += &match kind {
                Kind::File { sha256, size, executable } => {
                    format!("{} {sha256} {size} {path}\n", if *executable { 'x' } else { 'f' })
                }
                Kind::Folder => format!("d - 0 {path}\n"),
            };
        }
        list
    }

    /// What is in it, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes of all files.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.files().fold(0, |sum, (_, size)| sum.saturating_add(size))
    }

    /// Hash and size of each file.
    pub fn files(&self) -> impl Iterator<Item = (Sha256, u64)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            Kind::File { sha256, size, .. } => Some((sha256, size)),
            Kind::Folder => None,
        })
    }
}

/// Reads a line with its end.
fn entry(line: &str) -> Option<Entry> {
    let mut words = line.strip_suffix('\n')?.splitn(4, ' ');
    let (kind, sha256, size, path) = (words.next()?, words.next()?, words.next()?, words.next()?);
    // As it is written, so that a folder has one list only.
    let size = size.parse::<u64>().ok().filter(|number| number.to_string() == size)?;
    let kind = match kind {
        "f" | "x" => Kind::File { sha256: sha256.parse().ok()?, size, executable: kind == "x" },
        "d" if sha256 == "-" && size == 0 => Kind::Folder,
        _ => return None,
    };
    Some(Entry { path: unescaped(path)?, kind })
}

fn unescaped(written: &str) -> Option<String> {
    let (mut path, mut rest) = (String::with_capacity(written.len()), written.chars());
    while let Some(letter) = rest.next() {
        path.push(match letter {
            '\\' => match rest.next()? {
                '\\' => '\\',
                'n' => '\n',
                _ => return None,
            },
            other => other,
        });
    }
    Some(path)
}

fn check(entries: &[Entry]) -> Result<(), TreeError> {
    if entries.len() > MAX_ENTRIES {
        return Err(TreeError::TooMany);
    }
    entries.iter().try_for_each(|entry| check_path(&entry.path))?;
    for (before, entry) in entries.iter().zip(entries.iter().skip(1)) {
        if before.path >= entry.path {
            return Err(TreeError::Order(entry.path.clone()));
        }
    }
    // What lies within an entry stands behind it, but not always next to it: `a`, `a-b`, `a/c`.
    let is_there = |path: &str| entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).is_ok();
    for entry in entries {
        let mut above = entry.path.match_indices('/').filter_map(|(end, _)| entry.path.get(..end));
        if above.any(is_there) {
            return Err(TreeError::WithinFile(entry.path.clone()));
        }
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), TreeError> {
    let fits = path.split('/').all(|part| part.len() <= MAX_NAME) && path.split('/').count() <= MAX_DEPTH;
    if is_plain(path) && fits && path.len() <= MAX_PATH {
        Ok(())
    } else {
        Err(TreeError::Path(path.chars().take(200).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: Sha256 = Sha256([0; 32]);

    fn file(path: &str) -> Entry {
        Entry { path: path.into(), kind: Kind::File { sha256: ZERO, size: 7, executable: false } }
    }

    fn folder(path: &str) -> Entry {
        Entry { path: path.into(), kind: Kind::Folder }
    }

    #[test]
    fn a_list_reads_back_as_it_was_written_whatever_the_names() {
        let run = Entry { path: "run.sh".into(), kind: Kind::File { sha256: ZERO, size: 0, executable: true } };
        let entries = vec![run, file("a b/\u{e9}"), file("line\nfeed"), file("back\\n"), folder("z/empty"), file("-")];
        let tree = Tree::of(entries).unwrap();
        assert_eq!(Tree::read(tree.write().as_bytes()), Ok(tree.clone()));
        assert_eq!((tree.size(), tree.files().count(), tree.entries().len()), (28, 5, 6));
        assert_eq!(Tree::read(b""), Ok(Tree::default()));
        assert_eq!(Tree::of(vec![]).unwrap().write(), "");
    }

    #[test]
    fn what_leaves_the_folder_or_stands_in_anothers_way_is_refused() {
        let long = "x".repeat(MAX_NAME + 1);
        let long_path = vec!["x".repeat(MAX_NAME); 13].join("/");
        let deep = ["d"; MAX_DEPTH + 1].join("/");
        for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b", &long, &long_path, &deep] {
            assert!(matches!(Tree::of(vec![file(bad)]), Err(TreeError::Path(_))), "{bad:?}");
        }
        let twice = Tree::of(vec![file("a"), file("a")]);
        assert_eq!(twice, Err(TreeError::Order("a".into())));
        for other in [file("a"), folder("a")] {
            let within = Tree::of(vec![other, file("a-b"), file("a/c/d")]);
            assert_eq!(within, Err(TreeError::WithinFile("a/c/d".into())));
        }
        assert!(Tree::of(vec![file("a-b"), file("a/c"), file("ab")]).is_ok());
    }

    #[test]
    fn a_list_has_one_form_only() {
        let good = format!("f {ZERO} 7 a\nf {ZERO} 7 b\n");
        assert!(Tree::read(good.as_bytes()).is_ok());
        let rows = [
            format!("f {ZERO} 7 b\nf {ZERO} 7 a\n"),
            format!("f {ZERO} 7 a"),
            format!("f {ZERO} 07 a\n"),
            format!("f {ZERO} +7 a\n"),
            format!("f {ZERO} 7 a\\\n"),
            format!("f {ZERO} 7 a\\t\n"),
            format!("g {ZERO} 7 a\n"),
            format!("d {ZERO} 0 a\n"),
            "d - 1 a\n".to_owned(),
            "f - 7 a\n".to_owned(),
            format!("f {ZERO} 7\n"),
            "\n".to_owned(),
        ];
        for bad in rows {
            assert!(Tree::read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(Tree::read(b"\xff\n"), Err(TreeError::Line(1)));
    }

    #[test]
    fn too_many_are_too_many() {
        let line = |place: usize| format!("d - 0 {place:06}\n");
        let list: String = (0..=MAX_ENTRIES).map(line).collect();
        assert_eq!(Tree::read(list.as_bytes()), Err(TreeError::TooMany));
    }
}
