//! The checker catches what it is there for: each test breaks one thing in a history without fault.

use super::history::Tried;
use super::*;
use crate::witness::{Mark, in_order};

const WHOLE: Demand = Demand { cpu_milli: 2000, memory_mib: 1024 };

/// Runs on w1 from 10 to 20 and exits with 0.
fn history() -> History {
    let mut history = History { capacities: workers(), ..History::default() };
    history.add("task-a", "a", 0);
    history
}

fn workers() -> BTreeMap<String, Demand> {
    ["w1", "w2"].map(|worker| (worker.to_owned(), WHOLE)).into()
}

impl History {
    fn add(&mut self, id: &str, name: &str, exit: i32) {
        let demand = Demand { cpu_milli: 1000, memory_mib: 512 };
        self.asked.insert(name.into(), Asked { demand, exit });
        self.acknowledged.push((id.into(), name.into()));
        let (status, reason) = if exit == 0 { ("completed", "") } else { ("failed", "exit_code") };
        let (status, reason) = (status.to_owned(), reason.to_owned());
        let attempts = vec![tried(1, "w1", &reason, Some(exit), true)];
        self.listed.push(Task { id: id.into(), name: name.into(), status, reason, exit_code: Some(exit), attempts });
        self.ran(id, 1, "w1", (10.0, 20.0), exit);
    }

    fn ran(&mut self, id: &str, number: u32, worker: &str, (from, to): (f64, f64), exit: i32) {
        let attempt = (id.to_owned(), number);
        self.marks.push(Mark::Start { t: from, worker: worker.into(), attempt: attempt.clone() });
        self.marks.push(Mark::End { t: to, attempt, exit });
    }

    /// The first attempt was on w1 and is lost, the second was on w2.
    fn lost_once(mut self) -> Self {
        self.listed[0].attempts = vec![tried(1, "w1", "worker_lost", None, false), tried(2, "w2", "", Some(0), true)];
        self.ran("task-a", 2, "w2", (30.0, 40.0), 0);
        self.harm("w1", Harm::Cut)
    }

    /// From 12 to 25.
    fn harm(mut self, worker: &str, what: Harm) -> Self {
        self.harm.push(Span { what, worker: Some(worker.into()), from: 12.0, to: 25.0 });
        self
    }

    fn first(&mut self) -> &mut Task {
        &mut self.listed[0]
    }

    fn found(mut self) -> Vec<String> {
        self.marks = in_order(self.marks);
        violations(&self)
    }
}

fn tried(number: u32, worker: &str, reason: &str, exit_code: Option<i32>, accepted: bool) -> Tried {
    let (worker, reason) = (worker.to_owned(), reason.to_owned());
    Tried { number, worker, reason, exit_code, accepted, assigned: 9.0, ended: Some(41.0) }
}

/// What is found is this and nothing else.
#[track_caller]
fn caught(history: History, what: &str) {
    let found = history.found();
    assert!(found.len() == 1 && found[0].contains(what), "expected one violation about {what:?}: {found:#?}");
}

#[test]
fn a_history_without_fault_has_no_violation() {
    assert_eq!(history().found(), [] as [String; 0]);
    assert_eq!(history().lost_once().found(), [] as [String; 0]);
    let mut failed = history();
    failed.add("task-b", "b", 3);
    assert_eq!(failed.found(), [] as [String; 0]);
}

#[test]
fn a_task_that_was_cancelled_while_it_waited_needs_no_result() {
    let mut waited = history();
    waited.asked.insert("b".into(), waited.asked["a"]);
    let (id, name) = ("task-b".to_owned(), "b".to_owned());
    let (status, reason) = ("cancelled".to_owned(), "user".to_owned());
    waited.listed.push(Task { id, name, status, reason, exit_code: None, attempts: Vec::new() });
    caught(waited.clone(), "cancelled user");
    waited.cancelled.insert("task-b".into());
    assert_eq!(waited.found(), [] as [String; 0]);
}

#[test]
fn a_lost_task_is_caught() {
    let mut lost = history();
    lost.acknowledged.push(("task-z".into(), "z".into()));
    caught(lost, "acknowledged and is lost");
}

#[test]
fn a_task_that_never_ended_is_caught() {
    let mut waits = history();
    waits.first().status = "running".into();
    assert!(waits.found().iter().any(|why| why.contains("running")));
}

#[test]
fn a_submission_that_became_two_tasks_is_caught() {
    let mut twice = history();
    let copy = Task { id: "task-b".into(), ..twice.listed[0].clone() };
    twice.listed.insert(0, copy);
    twice.ran("task-b", 1, "w1", (10.0, 20.0), 0);
    caught(twice, "are one submission");
}

#[test]
fn a_task_that_nobody_asked_for_is_caught() {
    let mut fresh = history();
    fresh.asked.clear();
    caught(fresh, "never asked for");
}

#[test]
fn two_accepted_results_are_caught() {
    let mut two = history().lost_once();
    two.first().attempts[0] = tried(1, "w1", "", Some(0), true);
    caught(two, "accepted attempts [1, 2]");
}

#[test]
fn no_accepted_result_is_caught() {
    let mut none = history();
    none.first().attempts[0].accepted = false;
    assert!(none.found().iter().any(|why| why.contains("accepted attempts []")));
}

#[test]
fn a_result_that_is_not_the_last_attempts_is_caught() {
    let mut early = history().lost_once();
    early.first().attempts[0].accepted = true;
    early.first().attempts[1].accepted = false;
    assert!(early.found().iter().any(|why| why.contains("accepted attempts [1] of 2")));
}

#[test]
fn an_attempt_that_ran_twice_is_caught() {
    let mut twice = history();
    twice.ran("task-a", 1, "w1", (21.0, 22.0), 0);
    caught(twice, "was started twice");
}

#[test]
fn more_than_a_worker_has_is_caught() {
    let mut full = history();
    full.add("task-b", "b", 0);
    assert_eq!(full.clone().found(), [] as [String; 0], "two fit");
    full.add("task-c", "c", 0);
    caught(full, "w1 was over-committed at 10.000");
}

#[test]
fn what_ends_when_another_starts_makes_room_for_it() {
    let mut full = history();
    full.asked.get_mut("a").unwrap().demand = WHOLE;
    full.add("task-b", "b", 0);
    full.marks.retain(
        |mark| !matches!(mark, Mark::Start { attempt, .. } | Mark::End { attempt, .. } if attempt.0 == "task-b"),
    );
    full.ran("task-b", 1, "w1", (20.0, 30.0), 0);
    assert_eq!(full.found(), [] as [String; 0]);
}

#[test]
fn a_run_of_an_attempt_that_the_master_never_gave_is_caught() {
    let mut more = history();
    more.ran("task-a", 2, "w2", (30.0, 40.0), 0);
    caught(more, "attempt 2 ran, and the master does not know of it");
    let mut other = history();
    other.ran("task-y", 1, "w2", (30.0, 40.0), 0);
    caught(other, "task-y ran and is not listed");
    let mut elsewhere = history();
    elsewhere.first().attempts[0].worker = "w2".into();
    caught(elsewhere, "is said to be on w2 and ran on w1");
}

#[test]
fn a_completed_task_without_an_end_in_the_witness_is_caught() {
    let mut open = history();
    open.marks.pop();
    let found = open.found();
    assert!(found.iter().any(|why| why.contains("exited with 0, seen is None")), "{found:?}");
    assert!(found.iter().any(|why| why.contains("still runs on w1")), "{found:?}");
    let mut never = history();
    never.marks.clear();
    caught(never, "exited with 0, seen is None");
    let mut killed = history();
    killed.marks.pop();
    killed.marks.push(Mark::Killed { t: 15.0, worker: "w1".into() });
    caught(killed, "exited with 0, seen is Some(Killed)");
}

#[test]
fn another_exit_code_than_the_witness_saw_is_caught() {
    let mut other = history();
    other.asked.get_mut("a").unwrap().exit = 4;
    let task = other.first();
    (task.status, task.reason, task.exit_code) = ("failed".into(), "exit_code".into(), Some(4));
    task.attempts[0].exit_code = Some(4);
    caught(other, "exited with 4, seen is Some(Exit(0))");
}

#[test]
fn a_failure_that_was_not_asked_for_is_caught() {
    let mut odd = history();
    odd.asked.get_mut("a").unwrap().exit = 5;
    caught(odd, "it was asked to exit 5");
}

#[test]
fn a_task_may_fail_for_lost_workers_only_when_so_many_were_lost() {
    let fails = |losses: u32| {
        let mut fails = history();
        let task = fails.first();
        (task.status, task.reason, task.exit_code) = ("failed".into(), "worker_lost".into(), None);
        task.attempts = (1..=losses).map(|number| tried(number, "w1", "worker_lost", None, number == losses)).collect();
        fails.harm("w1", Harm::Killed)
    };
    assert_eq!(fails(4).found(), [] as [String; 0]);
    caught(fails(3), "3 attempts lost");
    let mut unharmed = fails(4);
    unharmed.harm[0].worker = Some("w2".into());
    caught(unharmed, "was lost and nothing had been done");
}

#[test]
fn an_attempt_that_is_given_up_for_nothing_is_caught() {
    let mut drained = history().lost_once();
    drained.first().attempts[0].reason = "preempted".into();
    caught(drained, "was given up for \"preempted\"");
}

#[test]
fn an_attempt_goes_back_only_when_it_never_began_and_something_was_done() {
    let back = || {
        let mut back = history().lost_once();
        back.first().attempts[0].reason = "drained".into();
        back
    };
    caught(back(), "was given up for \"drained\"");
    let unbegun = || {
        let mut unbegun = back();
        unbegun.marks.retain(|mark| !matches!(mark, Mark::Start { attempt, .. } | Mark::End { attempt, .. } if *attempt == ("task-a".into(), 1)));
        unbegun
    };
    assert_eq!(unbegun().found(), [] as [String; 0]);
    let mut unharmed = unbegun();
    unharmed.harm[0].worker = Some("w2".into());
    caught(unharmed, "attempt 1 went back and nothing had been done");
}

#[test]
fn attempts_that_overlap_are_caught_unless_nobody_could_stop_the_earlier() {
    let overlap = || {
        let mut overlap = history().lost_once();
        overlap.marks[1] = Mark::End { t: 35.0, attempt: ("task-a".into(), 1), exit: 143 };
        overlap
    };
    caught(overlap(), "attempt 1 ran on w1 to 35.000, a later one on w2 from 30.000");
    caught(overlap().harm("w2", Harm::Paused), "a later one on w2");
    caught(overlap().harm("w1", Harm::Killed), "a later one on w2");
    assert_eq!(overlap().harm("w1", Harm::Paused).found(), [] as [String; 0]);
    let outlived = History { outlive: true, ..overlap().harm("w1", Harm::Killed) };
    assert_eq!(outlived.found(), [] as [String; 0]);
}
