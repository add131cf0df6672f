//! Ends and logs whose calls or answers are lost.

use crate::gate::Faults;
use crate::world::{TIMING, World, over_seeds, task, task_with};
use cloudai_core::state::Status;
use cloudai_core::task::{LogCut, LogEnd};
use std::time::Duration;

/// Lines of a log that takes several calls.
fn lines(count: usize) -> String {
    (0..count).map(|line| format!("line {line}\n")).collect()
}

#[test]
fn a_report_whose_answer_was_lost_is_told_again_and_counts_once() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        gate.set(Faults { lose_report_answers: 3, ..Faults::default() });
        let id = world.submit(task_with(&[("FAKE_EXIT", "7"), ("FAKE_DURATION_MS", "1000")]));
        let record = world.ended(id);
        world.until("the worker has its answer", |_| gate.reports().len() >= 4);
        world.run_for(TIMING.lease);
        assert_eq!(gate.reports().len(), 4, "told until it was answered, and no longer");
        assert_eq!(world.task(id), record, "the repetitions changed nothing");
        assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Failed, 1, 1));
    });
}

/// While every call fails nothing is lost: what runs goes on, what ended is told later.
#[test]
fn calls_that_fail_for_less_than_a_lease_fail_no_attempt() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        let ends = world.running(task_with(&[("FAKE_DURATION_MS", "5000"), ("FAKE_STDOUT", "one\ntwo")]));
        let lasts = world.running(task("40000"));
        gate.set(Faults { down: true, ..Faults::default() });
        gate.break_stream();
        let waits = world.submit(task("0"));
        world.run_for(Duration::from_secs(20));
        assert_eq!(world.status(ends), Status::Running, "nobody could tell");
        gate.set(Faults::default());
        for id in [ends, lasts, waits] {
            let record = world.ended(id);
            assert_eq!((record.status(), record.number(), world.starts(id)), (Status::Completed, 1, 1), "{record:#?}");
        }
        let attempt = world.task(ends).attempt();
        assert_eq!(world.log(attempt), "one\ntwo\n");
    });
}

#[test]
fn a_log_that_is_cut_on_its_way_goes_on_without_gap_or_repetition() {
    over_seeds(|seed| {
        let (mut world, gate) = World::new(seed).gated();
        gate.set(Faults { cut_logs: 2, lose_log_answers: 4, ..Faults::default() });
        let text = lines(5000);
        let id = world.submit(task_with(&[("FAKE_STDOUT", &text)]));
        let record = world.ended(id);
        assert!(gate.logs() >= 5 + 4, "{} calls", gate.logs());
        assert_eq!(world.log(record.attempt()), text, "it is whole once the task has ended");
        let log = record.attempts[0].end.as_ref().unwrap().log;
        assert_eq!((record.status(), log.records, log.complete), (Status::Completed, 5000, true));
    });
}

#[test]
fn a_task_ends_after_its_log_also_when_the_link_breaks_on_the_way() {
    over_seeds(|seed| {
        let mut world = World::new(seed).workers(&["w1"]);
        let text = lines(20_000);
        let id = world.submit(task_with(&[("FAKE_STDOUT", &text)]));
        let attempt = cloudai_core::ids::Attempt { task: id, number: 1 };
        world.until("a part of its log is kept", |world| world.starts(id) > 0 && !world.log(attempt).is_empty());
        assert!(world.log(attempt).len() < text.len(), "the rest is still to come");
        world.sim.partition("w1", "master");
        world.run_for(Duration::from_secs(5));
        assert!(world.task(id).finished().is_none());
        world.sim.repair("w1", "master");
        let record = world.ended(id);
        assert_eq!((record.status(), record.number()), (Status::Completed, 1));
        assert_eq!(world.log(attempt), text);
    });
}

#[test]
fn a_log_that_is_cut_says_how_much_is_missing_whatever_is_lost_on_its_way() {
    over_seeds(|seed| {
        // Within the first call, when the worker does not know the limit, and later.
        for count in [300, 1500] {
            let (text, kept) = (lines(5000), lines(count));
            let bytes = kept.len() as u64;
            let (mut world, gate) = World::limiting_logs(seed, bytes).gated();
            gate.set(Faults { cut_logs: 2, lose_log_answers: 2, ..Faults::default() });
            let id = world.submit(task_with(&[("FAKE_STDOUT", &text)]));
            let record = world.ended(id);
            assert_eq!(world.log(record.attempt()), kept);
            let cut = Some(LogCut { records: 5000 - count as u64, bytes: text.len() as u64 - bytes });
            let log = record.attempts[0].end.as_ref().unwrap().log;
            assert_eq!(log, LogEnd { records: count as u64, bytes, complete: false, cut });
            assert_eq!((record.status(), record.number()), (Status::Completed, 1));
        }
    });
}

#[test]
fn a_rate_makes_a_log_late_and_cuts_nothing() {
    over_seeds(|seed| {
        let mut world = World::new(seed).log_rate(2000).workers(&["w1"]);
        let text = lines(2000);
        let begin = world.now();
        let id = world.submit(task_with(&[("FAKE_STDOUT", &text)]));
        let record = world.ended(id);
        assert_eq!(world.log(record.attempt()), text);
        let log = record.attempts[0].end.as_ref().unwrap().log;
        assert_eq!((record.status(), log.records, log.complete), (Status::Completed, 2000, true));
        // What one second allows goes at once.
        let least = Duration::from_secs(text.len() as u64 / 2000 - 1);
        assert!(world.now() - begin >= least, "{:?}", world.now() - begin);
    });
}
