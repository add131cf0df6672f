//! Planted faults stand in three places; one that is missing in any of them is never looked for.

use crate::repo::{File, Repo, Violation};
use std::collections::BTreeSet;

/// The faults that a line of a place names.
type Names = fn(&str) -> Vec<&str>;

/// Where each fault stands.
const PLACES: [(&str, Names); 3] = [
    // The list that is run.
    ("Makefile", |line| words(line).collect()),
    // The feature that switches it on.
    ("crates/sim/Cargo.toml", |line| words(line.split('=').next().unwrap_or_default()).collect()),
    // The test that must catch it.
    ("crates/sim/tests/planted.rs", |line| {
        if line.trim().starts_with("#[cfg(feature") { words(line).collect() } else { Vec::new() }
    }),
];

/// The faults that a line names; what is behind a `#` alone is a comment.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let code = if line.starts_with("# ") { "" } else { line };
    code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("fault_"))
}

/// Faults that are not in every place.
pub(crate) fn halfway(repo: &Repo) -> Vec<Violation> {
    let texts = PLACES.map(|(path, _)| File::new(path, repo.text(path).unwrap_or_default()));
    missing(&texts)
}

fn missing(places: &[File; 3]) -> Vec<Violation> {
    let named: Vec<BTreeSet<&str>> =
        places.iter().zip(PLACES).map(|(file, (_, names))| file.text.lines().flat_map(names).collect()).collect();
    let all: BTreeSet<_> = named.iter().flatten().copied().collect();
    let lacks = |(file, there): (&File, &BTreeSet<&str>)| {
        let absent = all.iter().filter(|name| !there.contains(**name));
        absent.map(|name| file.violation(1, format!("lacks {name}, which the other places have"))).collect::<Vec<_>>()
    };
    places.iter().zip(&named).flat_map(lacks).collect()
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn a_fault_that_is_not_run_or_not_caught_is_told() {
        let list = File::new("Makefile", "# fault_old is gone\nFAULTS := fault_a \\\n\tfault_b\n");
        let features = File::new("Cargo.toml", "fault_a = [\"core/fault_x\"]\nfault_b = []\nfault_c = []\n");
        let tests = File::new("planted.rs", "    #[cfg(feature = \"fault_a\")]\n    fault_b\n");
        let told = missing(&[list, features, tests]);
        let told: Vec<_> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "Makefile:1: lacks fault_c, which the other places have",
                "planted.rs:1: lacks fault_b, which the other places have",
                "planted.rs:1: lacks fault_c, which the other places have"
            ]
        );
    }
}
