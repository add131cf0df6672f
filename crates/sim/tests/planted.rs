//! Proof that the rules have teeth: with a planted fault switched on, seeds must fail.
//!
//! One fault at a time: `cargo test -p cloudai-sim --features <name> --test planted`.

mod planted {
    use cloudai_sim::world::World;

    /// Seeds of which at least one must find the fault.
    const SEEDS: u64 = 200;

    /// With the switched-on fault some of so many seeds breaks one of these rules.
    fn is_found(seeds: u64, rules: &[&str]) {
        let run = |seed| World::faulty(seed, false).expect("specs are within their ranges").run();
        let failure = (0..seeds).find_map(|seed| run(seed).err()).expect("no seed finds the planted fault");
        assert!(rules.iter().any(|rule| failure.rule.starts_with(rule)), "another rule than {rules:?}:\n{failure}");
        assert!(failure.to_string().contains("replay: SEED="), "{failure}");
    }

    /// The suite fails when a fault is not caught.
    #[test]
    #[cfg(not(any(
        feature = "fault_accept_stale_attempt",
        feature = "fault_acknowledge_early",
        feature = "fault_drop_outbox",
        feature = "fault_forget_dependents",
        feature = "fault_forget_release",
        feature = "fault_forget_tombstones",
        feature = "fault_ignore_lease",
        feature = "fault_ignore_shrinking",
        feature = "fault_keep_refused",
        feature = "fault_mix_lives",
        feature = "fault_skip_capacity_check",
        feature = "fault_skip_sync",
        feature = "fault_start_too_early",
        feature = "fault_trust_any_worker"
    )))]
    #[should_panic(expected = "no seed finds the planted fault")]
    fn a_fault_that_no_seed_finds_is_a_failure() {
        is_found(SEEDS / 50, &[]);
    }

    #[test]
    #[cfg(feature = "fault_accept_stale_attempt")]
    fn a_master_that_accepts_stale_attempts_is_caught() {
        is_found(SEEDS, &["3.3.2", "3.3.4"]);
    }

    #[test]
    #[cfg(feature = "fault_acknowledge_early")]
    fn a_master_that_answers_before_its_store_has_it_is_caught() {
        is_found(SEEDS, &["3.3.1"]);
    }

    #[test]
    #[cfg(feature = "fault_drop_outbox")]
    fn a_worker_that_tells_an_end_only_once_is_caught() {
        is_found(SEEDS, &["liveness"]);
    }

    #[test]
    #[cfg(feature = "fault_forget_tombstones")]
    fn a_worker_that_forgets_what_it_ran_is_caught() {
        is_found(SEEDS, &["3.3.2", "3.3.4"]);
    }

    #[test]
    #[cfg(feature = "fault_forget_dependents")]
    fn a_master_whose_jobs_do_not_hear_of_ends_is_caught() {
        is_found(SEEDS, &["6", "liveness"]);
    }

    #[test]
    #[cfg(feature = "fault_forget_release")]
    fn a_master_that_forgets_to_release_is_caught() {
        is_found(SEEDS, &["3.3.3"]);
    }

    #[test]
    #[cfg(feature = "fault_ignore_lease")]
    fn a_worker_that_goes_on_without_a_lease_is_caught() {
        is_found(SEEDS, &["3.3.4"]);
    }

    #[test]
    #[cfg(feature = "fault_ignore_shrinking")]
    fn a_master_that_goes_on_giving_what_a_worker_had_is_caught() {
        is_found(SEEDS, &["3.3.3"]);
    }

    #[test]
    #[cfg(feature = "fault_keep_refused")]
    fn a_master_that_keeps_what_the_store_refused_is_caught() {
        is_found(SEEDS, &["3.3.1"]);
    }

    #[test]
    #[cfg(feature = "fault_mix_lives")]
    fn a_master_that_takes_another_lifes_attempts_for_its_own_is_caught() {
        is_found(SEEDS, &["3.3.2"]);
    }

    #[test]
    #[cfg(feature = "fault_trust_any_worker")]
    fn a_master_that_gives_work_to_silent_workers_is_caught() {
        is_found(SEEDS, &["3.3.4"]);
    }

    #[test]
    #[cfg(feature = "fault_skip_capacity_check")]
    fn a_master_that_trusts_its_strategy_is_caught() {
        is_found(SEEDS, &["3.3.3"]);
    }

    #[test]
    #[cfg(feature = "fault_skip_sync")]
    fn a_store_that_answers_before_its_disk_has_it_is_caught() {
        is_found(SEEDS, &["3.3.1"]);
    }

    #[test]
    #[cfg(feature = "fault_start_too_early")]
    fn a_master_that_starts_what_must_wait_for_others_is_caught() {
        is_found(SEEDS, &["6"]);
    }
}
