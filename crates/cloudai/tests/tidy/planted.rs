//! Planted faults stand in three places; one that is missing in any of them is never looked for.

use crate::repo::{File, Repo, Violation};
use std::collections::BTreeSet;

/// The list of faults that there are.
const LIST: &str = "crates/core/src/planted.rs";
/// The tests that must catch them.
const TESTS: &str = "crates/sim/tests/planted.rs";

/// The faults that a text asks for or names as `Fault::Name`.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |rest: &'_ str| rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    text.split("Fault::").skip(1).map(|rest| &rest[..word(rest)]).filter(|name| !name.is_empty()).collect()
}

/// The variants of the list: lines that are one capitalised word.
fn listed(text: &str) -> BTreeSet<&str> {
    let words = text.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(','));
    words.filter(|word| word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphanumeric)).collect()
}

/// Faults that are not in every place.
pub(crate) fn halfway(repo: &Repo) -> Vec<Violation> {
    let file = |path: &str| File::new(path, repo.text(path).unwrap_or_default());
    let of_product = |file: &&File| {
        let path = file.path.as_str();
        (path.starts_with("crates/core/src/") || path.starts_with("crates/sim/src/")) && path != LIST
    };
    let code: Vec<&str> = repo.files().iter().filter(of_product).map(|file| file.text.as_str()).collect();
    missing(&file(LIST), &code, &file(TESTS))
}

fn missing(list: &File, code: &[&str], tests: &File) -> Vec<Violation> {
    let (listed, caught) = (listed(&list.text), named(&tests.text));
    let planted: BTreeSet<&str> = code.iter().flat_map(|text| named(text)).collect();
    let nowhere = listed.difference(&planted).map(|name| list.violation(1, format!("plants {name} nowhere")));
    let free = listed.difference(&caught).map(|name| tests.violation(1, format!("does not catch {name}")));
    nowhere.chain(free).collect()
}

#[cfg(test)]
mod proofs {
    use super::*;

    #[test]
    fn a_fault_that_is_not_planted_or_not_caught_is_told() {
        let list = File::new("list.rs", "pub enum Fault {\n    /// Words.\n    Lose,\n    Early,\n    Late,\n}\n");
        let code = "if planted::is(Fault::Lose) || planted::is(Fault::Early) {}";
        let tests = File::new("tests.rs", "planted(Fault::Lose, &[]); planted(Fault::Late, &[]);");
        let told: Vec<_> = missing(&list, &[code], &tests).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["list.rs:1: plants Late nowhere", "tests.rs:1: does not catch Early"]);
    }
}
