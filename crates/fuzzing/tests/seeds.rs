//! Every target over its seeds, `fuzz/seeds/TARGET/*`, and over what becomes of those by a few edits: what `make fuzz`
//! does for long, without a nightly compiler and in seconds.

use cloudai_core::job::{JobFile, TaskFile};
use cloudai_core::spec::Value;
use cloudai_core::template::Template;
use cloudai_fuzzing::{TARGETS, documents, wire};
use cloudai_master::fuzzing as master;
use cloudai_proto::DESCRIPTOR;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Inputs that are made for each target.
const CASES: u32 = 400;
/// What most formats give a meaning to.
const MARKS: &[u8] = b"{}[]()\",:;.%-+!=$#*/\\\n\r\t '0123456789eE\0";

/// A change of an input: at a place, of a kind, with a byte.
type Edit = (u16, u8, u8);

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The names in a folder without their endings.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let name = |path: PathBuf| path.file_stem().map(|name| name.to_string_lossy().into_owned());
    entries.filter_map(|entry| name(entry.expect("a folder is readable").path())).collect()
}

/// The seeds of a target with their paths, in order.
fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = fuzz().join("seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder is readable").path()).collect();
    paths.sort();
    let read = |path: PathBuf| (path.clone(), fs::read(path).expect("a seed is readable"));
    paths.into_iter().map(read).collect()
}

fn edit() -> impl Strategy<Value = Edit> {
    (any::<u16>(), 0_u8..5, prop_oneof![any::<u8>(), proptest::sample::select(MARKS)])
}

fn edited(seed: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut data = seed.to_vec();
    for (place, kind, byte) in edits {
        let at = usize::from(*place) % (data.len() + 1);
        let behind = (at + usize::from(*byte)).min(data.len());
        match kind {
            0 => data.insert(at, *byte),
            1 => data.iter_mut().skip(at).take(1).for_each(|old| *old = *byte),
            2 => drop(data.drain(at..(at + 1).min(data.len()))),
            3 => drop(data.drain(at..behind)),
            _ => {
                let again = data[at..behind].to_vec();
                data.splice(at..at, again);
            }
        }
    }
    data
}

#[test]
fn every_claim_holds_for_every_seed() {
    for target in &TARGETS {
        for (path, seed) in seeds(target.name) {
            let claims = std::panic::catch_unwind(|| (target.run)(&seed));
            assert!(claims.is_ok(), "a claim of {} does not hold for {}", target.name, path.display());
        }
    }
}

/// Else a claim about what is accepted would be one about nothing.
#[test]
fn documents_among_the_seeds_are_accepted_unless_they_are_called_wrong() {
    type Accepts = fn(&Value) -> bool;
    let readers: [(&str, Accepts); 4] = [
        ("task", |document| TaskFile::from_value(document).is_ok()),
        ("job", |document| JobFile::from_value(document).is_ok()),
        ("template", |document| Template::from_value(document).is_ok()),
        ("schedule", |document| master::schedule(document).is_ok()),
    ];
    for (name, accepts) in readers {
        for (path, seed) in seeds(name) {
            let accepted = documents::document(&seed).is_some_and(|document| accepts(&document));
            let wrong = path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with("wrong"));
            assert_eq!(accepted, !wrong, "{}", path.display());
        }
    }
}

#[test]
fn every_claim_holds_for_what_becomes_of_seeds_by_a_few_edits() {
    for target in &TARGETS {
        let seeds = seeds(target.name);
        let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
        let made = (0..seeds.len(), proptest::collection::vec(edit(), 1..8));
        let input = |(seed, edits): (usize, Vec<Edit>)| edited(&seeds[seed].1, &edits);
        let outcome = TestRunner::new(config).run(&made, |made| {
            (target.run)(&input(made));
            Ok(())
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Abort(why)) => panic!("{}: {why}", target.name),
            Err(TestError::Fail(why, made)) => {
                let found = input(made);
                panic!("a claim of {} does not hold: {why}\n  for: {}", target.name, found.escape_ascii())
            }
        }
    }
}

#[test]
fn every_target_has_a_program_and_seeds_and_there_are_no_others() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "a name is there twice");
    assert_eq!(names(&fuzz().join("seeds")), targets);
    assert_eq!(names(&fuzz().join("fuzz_targets")), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("the manifest is readable");
    for target in &TARGETS {
        assert!(!seeds(target.name).is_empty(), "{} has no seed", target.name);
        let program = fuzz().join("fuzz_targets").join(target.name).with_extension("rs");
        let program = fs::read_to_string(program).expect("a program is readable");
        assert!(program.contains(&format!("cloudai_fuzzing::run(\"{}\", data)", target.name)), "{program}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{}.rs\"", target.name)), "{}", target.name);
    }
}

#[test]
fn every_message_of_the_wire_is_fuzzed() {
    let files = FileDescriptorSet::decode(DESCRIPTOR).expect("the descriptor is read").file;
    let ours = files.iter().filter(|file| file.package() == "cloudai.v1");
    let known: BTreeSet<&str> = ours.flat_map(|file| &file.message_type).map(|message| message.name()).collect();
    // One has another name in Rust.
    let name = |name: &'static str| if name == "TaskId" { "TaskID" } else { name };
    let fuzzed: BTreeSet<&str> = wire::MESSAGES.iter().map(|(message, _)| name(message)).collect();
    assert_eq!(fuzzed, known);
}
