//! Which files of a container are kept when it has ended: patterns over their paths.
//!
//! `*` stands for any part of one name, `?` for one byte of it, `**` for any number of folders, `[a-z]` for one byte of
//! some, `{a,b}` for one of some words. A pattern that names a folder takes all that is in it. What begins with no `/` is
//! below `/out`.

use crate::path::{is_plain, is_within};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::collections::BTreeSet;

/// The folder that is kept whole when a task says nothing.
const DEFAULT: &str = "/out";
/// The most patterns of one task.
pub(super) const MOST: usize = 64;
/// The longest one, in bytes.
const LONGEST: usize = 1024;
/// What is no plain character.
const WILD: [char; 8] = ['*', '?', '[', ']', '{', '}', '!', '\\'];

/// The compiled patterns of a task.
#[derive(Clone, Debug)]
pub struct Outputs {
    set: GlobSet,
    patterns: Vec<String>,
    /// What is never kept, with all that lies within it.
    never: Vec<String>,
}

impl Outputs {
    /// What is kept by these patterns, or by the default. They were checked when the spec was read: one that can not
    /// be read takes nothing.
    #[must_use]
    pub fn of(patterns: Option<&[String]>) -> Self {
        let default = [DEFAULT.to_owned()];
        let patterns: Vec<String> = patterns.unwrap_or(&default).iter().map(|pattern| full(pattern)).collect();
        let mut set = GlobSetBuilder::new();
        for glob in patterns.iter().flat_map(|pattern| [pattern.clone(), format!("{pattern}/**")]) {
            if let Ok(glob) = GlobBuilder::new(&glob).literal_separator(true).build() {
                set.add(glob);
            }
        }
        Self { set: set.build().unwrap_or_default(), patterns, never: Vec::new() }
    }

    /// The same without these files and folders of the container, whatever patterns say: secrets.
    #[must_use]
    pub fn without(self, never: Vec<String>) -> Self {
        Self { never, ..self }
    }

    fn is_never(&self, path: &str) -> bool {
        self.never.iter().any(|never| path == never || is_within(path, never))
    }

    /// Whether a file is kept, by its absolute path in the container.
    #[must_use]
    pub fn takes(&self, path: &str) -> bool {
        self.set.is_match(path) && !self.is_never(path)
    }

    /// The files or folders outside `/out` below which all that is kept there lies, none within another.
    #[must_use]
    pub fn roots(&self) -> Vec<String> {
        let roots: BTreeSet<String> = self.patterns.iter().map(|pattern| root(pattern)).collect();
        let within = |path: &str| roots.iter().any(|root| is_within(path, root));
        let outer = |path: &&String| !is_of_out(path) && !within(path) && !self.is_never(path);
        roots.iter().filter(outer).cloned().collect()
    }

    /// Whether anything of `/out` may be kept.
    #[must_use]
    pub fn any_of_out(&self) -> bool {
        self.patterns.iter().any(|pattern| is_of_out(&root(pattern)))
    }
}

fn is_of_out(path: &str) -> bool {
    path == DEFAULT || is_within(path, DEFAULT)
}

/// Whether a text is a pattern.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    let full = full(pattern);
    if pattern.is_empty() || pattern.len() > LONGEST || pattern.chars().any(char::is_control) {
        return Err(format!("must be a pattern of 1 to {LONGEST} bytes without control characters"));
    }
    if full.strip_prefix('/').is_some_and(|path| !is_plain(path)) {
        return Err("must not have empty parts, . or .. among its parts".into());
    }
    if root(&full).is_empty() {
        return Err("would look through the whole image: begin it with a folder, as /data/**/*.csv".into());
    }
    let built = GlobBuilder::new(&full).literal_separator(true).build();
    built.map(drop).map_err(|error| format!("is no pattern: {}", error.kind()))
}

/// The absolute path of a pattern.
fn full(pattern: &str) -> String {
    let trimmed = pattern.trim_end_matches('/');
    let trimmed = trimmed.strip_prefix("./").unwrap_or(trimmed);
    if pattern.starts_with('/') { trimmed.to_owned() } else { format!("{DEFAULT}/{trimmed}") }
}

/// The folder before the first part that is no plain name; the pattern itself where all are.
fn root(pattern: &str) -> String {
    let plain = pattern.split('/').take_while(|part| !part.contains(WILD));
    plain.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(patterns: &[&str]) -> Outputs {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        Outputs::of(Some(&patterns))
    }

    #[test]
    fn what_is_never_kept_is_taken_by_no_pattern() {
        let outputs = outputs(&["/run/**", "/run/secrets/token", "*.csv"]).without(vec!["/run/secrets/token".into()]);
        assert!(outputs.takes("/run/other") && outputs.takes("/run/secrets/token2") && outputs.takes("/out/a.csv"));
        assert!(!outputs.takes("/run/secrets/token") && !outputs.takes("/run/secrets/token/x"));
        assert_eq!(outputs.roots(), ["/run"]);
        let alone = Outputs::of(Some(&["/run/secrets/token".to_owned()])).without(vec!["/run/secrets/token".into()]);
        assert!(alone.roots().is_empty(), "nothing is asked for");
    }

    #[test]
    fn a_pattern_takes_what_it_says() {
        for (pattern, taken, left) in [
            ("*.csv", &["/out/a.csv"][..], &["/out/b/a.csv", "/data/a.csv", "/out/a.csv2"][..]),
            ("**/*.csv", &["/out/a.csv", "/out/b/c/a.csv"], &["/out/a.txt"]),
            ("/out", &["/out/a", "/out/b/c"], &["/output"]),
            ("model/", &["/out/model", "/out/model/a/b"], &["/out/models"]),
            ("./a", &["/out/a", "/out/a/b"], &["/out/b"]),
            ("/data/run-?/{a,b}.log", &["/data/run-1/a.log", "/data/run-2/b.log"], &["/data/run-10/a.log"]),
            ("/data/[0-9]*", &["/data/1", "/data/12/x"], &["/data/a1"]),
        ] {
            let outputs = outputs(&[pattern]);
            taken.iter().for_each(|path| assert!(outputs.takes(path), "{pattern} takes {path}"));
            left.iter().for_each(|path| assert!(!outputs.takes(path), "{pattern} leaves {path}"));
        }
    }

    #[test]
    fn without_patterns_all_of_out_is_kept_and_with_none_nothing() {
        assert!(Outputs::of(None).takes("/out/a/b") && Outputs::of(None).roots().is_empty());
        assert!(!outputs(&[]).takes("/out/a") && !outputs(&[]).any_of_out());
        assert!(Outputs::of(None).any_of_out() && outputs(&["/data", "x/*"]).any_of_out());
        assert!(!outputs(&["/data", "/output/x"]).any_of_out());
    }

    #[test]
    fn folders_outside_are_looked_through_once() {
        let roots = outputs(&["/data/a/*.csv", "/data/a/b/**", "/data", "/out/x/*", "y", "/var/log/app.log"]).roots();
        assert_eq!(roots, ["/data", "/var/log/app.log"]);
        assert_eq!(outputs(&["/a/b*/c"]).roots(), ["/a"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_reason() {
        for (bad, why) in [
            ("", "1 to 1024"),
            ("a\nb", "control"),
            ("../x", ".."),
            ("/a/./b", ".."),
            ("a//b", "empty"),
            ("/**/x", "whole image"),
            ("/", "whole image"),
            ("/*", "whole image"),
            ("a[", "no pattern"),
            ("a{b", "no pattern"),
        ] {
            let problem = check(bad).unwrap_err();
            assert!(problem.contains(why), "{bad:?}: {problem}");
        }
        assert!(check(&"x".repeat(LONGEST + 1)).is_err());
        for good in ["*.csv", "/out/**", "/data/results", "a b", "ü/*", "/a/{b,c}/**"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }
}
