//! Proof that the rules have teeth: with a planted fault seeds must fail.
//!
//! `cargo test -p cloudai-sim --features planted --test planted`; without the feature nothing is planted, and the one
//! test that is left shows that the proof itself can fail.

use cloudai_sim::world::World;

/// Seeds of which at least one must find the fault.
const SEEDS: u64 = 200;

/// Some of so many seeds breaks one of these rules.
fn is_found(seeds: u64, rules: &[&str]) {
    let run = |seed| World::faulty(seed, false).expect("specs are within their ranges").run();
    let failure = (0..seeds).find_map(|seed| run(seed).err()).expect("no seed finds the planted fault");
    assert!(rules.iter().any(|rule| failure.rule.starts_with(rule)), "another rule than {rules:?}:\n{failure}");
    assert!(failure.to_string().contains("replay: SEED="), "{failure}");
}

/// The suite fails when a fault is not caught.
#[test]
#[should_panic(expected = "no seed finds the planted fault")]
fn a_fault_that_no_seed_finds_is_a_failure() {
    is_found(SEEDS / 50, &[]);
}

#[cfg(feature = "planted")]
mod planted {
    use super::{SEEDS, is_found};
    use cloudai_core::planted::{self, Fault};

    /// With the fault some seed breaks one of these rules.
    fn planted(fault: Fault, rules: &[&str]) {
        planted::with(fault, || is_found(SEEDS, rules));
    }

    #[test]
    fn a_master_that_accepts_stale_attempts_is_caught() {
        planted(Fault::AcceptStaleAttempt, &["3.3.2", "3.3.4"]);
    }

    #[test]
    fn a_master_that_answers_before_its_store_has_it_is_caught() {
        planted(Fault::AcknowledgeEarly, &["3.3.1"]);
    }

    #[test]
    fn a_worker_that_tells_an_end_only_once_is_caught() {
        planted(Fault::DropOutbox, &["liveness"]);
    }

    #[test]
    fn a_worker_that_forgets_what_it_ran_is_caught() {
        planted(Fault::ForgetTombstones, &["3.3.2", "3.3.4"]);
    }

    #[test]
    fn a_master_whose_jobs_do_not_hear_of_ends_is_caught() {
        planted(Fault::ForgetDependents, &["6", "liveness"]);
    }

    #[test]
    fn a_master_that_forgets_to_release_is_caught() {
        planted(Fault::ForgetRelease, &["3.3.3"]);
    }

    #[test]
    fn a_worker_that_goes_on_without_a_lease_is_caught() {
        planted(Fault::IgnoreLease, &["3.3.4"]);
    }

    #[test]
    fn a_master_that_goes_on_giving_what_a_worker_had_is_caught() {
        planted(Fault::IgnoreShrinking, &["3.3.3"]);
    }

    #[test]
    fn a_master_that_keeps_what_the_store_refused_is_caught() {
        planted(Fault::KeepRefused, &["3.3.1"]);
    }

    #[test]
    fn a_master_that_takes_another_lifes_attempts_for_its_own_is_caught() {
        planted(Fault::MixLives, &["3.3.2"]);
    }

    #[test]
    fn a_master_that_gives_work_to_silent_workers_is_caught() {
        planted(Fault::TrustAnyWorker, &["3.3.4"]);
    }

    #[test]
    fn a_master_that_trusts_its_strategy_is_caught() {
        planted(Fault::SkipCapacityCheck, &["3.3.3"]);
    }

    #[test]
    fn a_store_that_answers_before_its_disk_has_it_is_caught() {
        planted(Fault::SkipSync, &["3.3.1"]);
    }

    #[test]
    fn a_master_that_starts_what_must_wait_for_others_is_caught() {
        planted(Fault::StartTooEarly, &["6"]);
    }

    #[test]
    fn a_master_that_puts_kin_together_is_caught() {
        planted(Fault::StandBeside, &["3.1"]);
    }

    #[test]
    fn a_master_that_starts_part_of_a_gang_is_caught() {
        planted(Fault::SplitGang, &["6"]);
    }
}
