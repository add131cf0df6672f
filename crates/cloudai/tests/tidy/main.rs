//! The rules of the house as tests: what CONVENTIONS.md says in words and the compiler can not see.
//!
//! Each test looks at the whole repository, collects every violation and prints them all as `path:line: what`.
//! `repo` reads the files, `rust` understands just enough of the language, `rules` judges one file at a time,
//! `field` and `planted` hold the tests that there must be.

mod field;
mod planted;
mod repo;
mod rules;
mod rust;

use repo::{Repo, Violation, assert_none};

/// The violations that `rule` finds in the Rust code that people wrote.
fn in_rust(rule: fn(&repo::File) -> Vec<Violation>) -> Vec<Violation> {
    Repo::read().files().iter().filter(|file| file.is_written_rust()).flat_map(rule).collect()
}

#[test]
fn crates_depend_only_on_what_the_design_allows() {
    assert_none(&Repo::read().files().iter().flat_map(rules::crate_edges).collect::<Vec<_>>());
}

#[test]
fn every_source_file_says_what_it_owns() {
    assert_none(&in_rust(rules::module_docs));
}

#[test]
fn files_and_functions_stay_readable_and_no_exception_outlives_its_reason() {
    let repo = Repo::read();
    let exceptions = repo.text(rules::EXCEPTIONS_FILE).unwrap_or_default();
    let long: Vec<_> = repo.files().iter().filter(|file| file.is_written_rust()).flat_map(rules::sizes).collect();
    assert_none(&rules::without_exceptions(long, exceptions));
}

#[test]
fn no_channel_is_unbounded() {
    assert_none(&in_rust(rules::unbounded_channels));
}

#[test]
fn log_messages_are_lowercase_and_without_full_stop() {
    assert_none(&in_rust(rules::log_messages));
}

#[test]
fn every_test_is_named_after_what_it_proves() {
    assert_none(&in_rust(rules::test_names));
}

#[test]
fn every_report_of_other_systems_is_a_test_or_has_a_reason() {
    assert_none(&field::missing(Repo::read().files()));
}

#[test]
fn every_planted_fault_is_run_and_must_be_caught() {
    assert_none(&planted::halfway(&Repo::read()));
}

#[test]
fn no_file_names_a_path_of_one_persons_machine() {
    assert_none(&Repo::read().files().iter().flat_map(rules::home_paths).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_to_be_done_later() {
    assert_none(&Repo::read().files().iter().flat_map(rules::unfinished).collect::<Vec<_>>());
}

#[test]
fn every_decision_record_has_a_status() {
    assert_none(&Repo::read().files().iter().flat_map(rules::decision_status).collect::<Vec<_>>());
}
