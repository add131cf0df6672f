//! Random faults from seeds: every rule of SPEC 3.3 after every event, and an end to everything
//! once the faults end.
//!
//! `SEED=4711` runs that one seed with its trace on standard error; `SEEDS=20000` runs more of them.

use cloudai_sim::hostile::LIES;
use cloudai_sim::world::{Failure, Summary, World};
use std::collections::BTreeMap;

/// Seeds of an ordinary run.
const SEEDS: u64 = 5000;
/// Tests in this file that share the seeds: so many that each stays far below the time limit of a test.
const PARTS: usize = 16;

fn run(seed: u64, echo: bool) -> Result<Summary, Failure> {
    World::faulty(seed, echo).expect("specs are within their ranges").run()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one part of all seeds; `SEED` runs alone, in the first part.
fn part(part: usize) {
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) if part == 0 => vec![seed],
        Some(_) => return,
        None => (0..number("SEEDS").unwrap_or(SEEDS)).skip(part).step_by(PARTS).collect(),
    };
    let echo = number("SEED").is_some();
    let failed: Vec<_> = seeds.iter().filter_map(|seed| run(*seed, echo).err()).collect();
    if let Some(first) = failed.first() {
        let others: Vec<_> = failed.iter().filter_map(|failure| failure.seed).collect();
        panic!("seeds {others:?} break a rule; the first:\n{first}");
    }
}

macro_rules! parts {
    ($($name:ident $part:literal)+) => { $(
        #[test]
        fn $name() {
            assert!($part < PARTS);
            part($part);
        }
    )+ };
}

parts! {
    every_seed_keeps_every_rule_part_00 0
    every_seed_keeps_every_rule_part_01 1
    every_seed_keeps_every_rule_part_02 2
    every_seed_keeps_every_rule_part_03 3
    every_seed_keeps_every_rule_part_04 4
    every_seed_keeps_every_rule_part_05 5
    every_seed_keeps_every_rule_part_06 6
    every_seed_keeps_every_rule_part_07 7
    every_seed_keeps_every_rule_part_08 8
    every_seed_keeps_every_rule_part_09 9
    every_seed_keeps_every_rule_part_10 10
    every_seed_keeps_every_rule_part_11 11
    every_seed_keeps_every_rule_part_12 12
    every_seed_keeps_every_rule_part_13 13
    every_seed_keeps_every_rule_part_14 14
    every_seed_keeps_every_rule_part_15 15
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed, false).unwrap(), run(seed, false).unwrap());
        assert_eq!(first, second);
        assert_ne!(first.hash, run(seed + 100, false).unwrap().hash);
    }
}

/// What must come up again and again, or the seeds prove nothing about it.
const FAULTS: [&str; 77] = [
    "attempt drained",
    "attempt preempted",
    "backed up",
    "busy worker not removed",
    "cancelled",
    "clock of the master set ahead",
    "clock of the master set back",
    "commit fenced",
    "commit found no store",
    "commit lost by a power cut",
    "commit outlived its master",
    "commit stalled",
    "compared",
    "container exited before it was watched",
    "deadline of a drain came",
    "deaf worker heard again",
    "disk of a worker full",
    "engine of a worker away",
    "engine of a worker restarted",
    "gang submitted",
    "held at submission",
    "held",
    "job cancelled",
    "job completed",
    "job ended as cancelled",
    "job failed",
    "job held",
    "job known by its key",
    "job needs tasks of others",
    "job released",
    "job stopped by its failures",
    "job submitted held",
    "job submitted",
    "kill ignored by the engine",
    "late result superseded",
    "master paused",
    "name taken by its own container",
    "part of a job cancelled",
    "power of the master cut",
    "probe failed",
    "probe moved on",
    "probe opened its worker",
    "program tried again",
    "pull ended by its limit",
    "queue time over",
    "refused as beside its kin",
    "refused as its gang starts together",
    "refused as pinned elsewhere",
    "refused as stale",
    "refused as the worker takes no work",
    "refused as too large",
    "released",
    "restored",
    "restored on a bare machine",
    "retries used up",
    "row refused",
    "start answered with an error and carried out",
    "start time came",
    "stop ignored by the engine",
    "taken back from a deaf worker",
    "tasks cancelled before they had records",
    "total time over on a worker",
    "total time over while it waited",
    "user refused for now",
    "worker admitted",
    "worker came back smaller",
    "worker came back",
    "worker cordoned",
    "worker drained",
    "worker holds more than it has",
    "worker opened",
    "worker paused beyond its lease",
    "worker paused",
    "worker quarantined",
    "worker removed",
    "worker to be drained",
    "worker turned deaf",
];

#[test]
fn every_kind_of_fault_and_lie_happens_in_the_seeds() {
    let mut counts: BTreeMap<_, u64> = FAULTS.iter().chain(&LIES).map(|name| (*name, 0)).collect();
    for seed in 0..80 {
        for (name, count) in run(seed, false).unwrap().counts {
            let counted = counts.get_mut(name).unwrap_or_else(|| panic!("{name} is not listed"));
            *counted += count;
        }
    }
    let rare: Vec<_> = counts.iter().filter(|(_, count)| **count < 5).collect();
    assert!(rare.is_empty(), "too rare: {rare:?} of {counts:#?}");
}
