//! Faults that users of other systems reported: each is a test of this name, so that a reader of the
//! list finds the proof, or waits here with the reason.

use crate::repo::{File, Violation};
use crate::rust;
use std::collections::BTreeMap;

/// Where this list stands.
const HERE: &str = "crates/cloudai/tests/tidy/field.rs";

/// Those that are tests.
const TESTS: [&str; 23] = [
    "agent_restart_adopts",
    "assign_to_gone_worker_requeues",
    "cancel_kills_running",
    "cancel_while_worker_down",
    "disconnect_counts_to_limit",
    "exited_container_not_restarted",
    "fast_exit_logs_complete",
    "finished_during_failover_is_completed",
    "forget_does_not_starve_heartbeats",
    "gc_never_reruns",
    "no_preempt_loop",
    "oom_child_exit0_flag",
    "pull_error_unblocks_waiters",
    "pull_time_not_run_time",
    "scheduler_blip_does_not_kill_worker",
    "sigkill_is_not_oom",
    "start_api_500_but_container_runs",
    "task_ids_unique_in_one_second",
    "transient_rpc_is_not_failure",
    "two_agents_one_dockerd",
    "unsatisfiable_flagged_busy_is_not",
    "worker_dead_frees_slots",
    "zombie_purged_once",
];

/// Those that nothing can show yet, and what they wait for.
const LATER: [(&str, &str); 3] = [
    ("dep_failure_marks_aborted_reason", "tasks that depend on others come with jobs"),
    ("no_workers_for_blocked_deps", "tasks that depend on others come with jobs"),
    ("parent_cancel_cancels_children", "tasks that depend on others come with jobs"),
];

/// Names without a test, and reasons that are none any more.
pub(crate) fn missing(files: &[File]) -> Vec<Violation> {
    let written = files.iter().filter(|file| file.is_written_rust());
    let found: BTreeMap<_, _> = written
        .flat_map(|file| rust::functions(&file.text).into_iter().map(move |function| (file, function)))
        .filter(|(_, function)| function.is_test)
        .map(|(file, function)| (function.name.clone(), file.violation(function.line, "")))
        .collect();
    let absent = TESTS.iter().filter(|name| !found.contains_key(**name));
    let absent = absent.map(|name| Violation {
        path: HERE.into(),
        line: 1,
        what: format!("no test is called {name}: write it, or say in LATER what it waits for"),
        item: None,
    });
    let there = LATER.iter().filter_map(|(name, reason)| Some((name, reason, found.get(*name)?)));
    let there = there.map(|(name, reason, test)| Violation {
        path: test.path.clone(),
        line: test.line,
        what: format!("{name} is there: move it to TESTS, it no longer waits ({reason})"),
        item: None,
    });
    absent.chain(there).collect()
}

#[cfg(test)]
mod proofs {
    use super::*;

    fn tests(names: &[&str]) -> File {
        let text: String = names.iter().map(|name| format!("#[test]\nfn {name}() {{}}\n")).collect();
        File::new("crates/core/tests/x.rs", &text)
    }

    #[test]
    fn a_missing_name_and_a_reason_that_is_none_any_more_are_told() {
        assert_eq!(missing(&[tests(&TESTS)]), []);
        assert_eq!(missing(&[tests(&TESTS[1..])]).len(), 1);
        let told = missing(&[tests(&TESTS), tests(&[LATER[0].0])]);
        assert_eq!((told.len(), told[0].line), (1, 2), "{}", told[0]);
        let no_test = File::new("crates/core/src/x.rs", &format!("fn {}() {{}}\n", TESTS[0]));
        assert_eq!(missing(&[no_test, tests(&TESTS[1..])]).len(), 1, "what only has the name is no test");
    }
}
