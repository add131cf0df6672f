//! The rules of a worker's agent, one test each.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use cloudai_core::agent::{Agent, AgentEffect, AgentEvent, JournalEntry};
use cloudai_core::effect::{Command, StartOrder, StopOrder};
use cloudai_core::event::{HeldStage, LastSent};
use cloudai_core::ids::{Attempt, CommandSeq, Incarnation, Session, Term, UserId};
use cloudai_core::resources::Free;
use cloudai_core::spec::{TaskSpec, Value};
use cloudai_core::task::{Cause, Outcome, Step};
use cloudai_core::testing::{START, cores, spec, task_id};
use cloudai_core::time::Timestamp;
use cloudai_core::timing::Timing;
use std::sync::Arc;
use std::time::Duration;

const S: fn(u64) -> Duration = Duration::from_secs;

struct TestAgent {
    agent: Agent,
    now: Timestamp,
    journal: Vec<JournalEntry>,
}

impl TestAgent {
    fn new() -> Self {
        let mut agent = Self { agent: Agent::new(Timing::default(), cores(2)), now: START, journal: vec![] };
        agent.register(1);
        agent
    }

    fn apply(&mut self, event: AgentEvent) -> Vec<AgentEffect> {
        let effects = self.agent.apply(self.now, event);
        for effect in &effects {
            if let AgentEffect::Journal(entry) = effect {
                self.journal.push(entry.clone());
            }
        }
        effects
    }

    /// The next life of the same worker, and what it does first.
    fn restarted(self) -> (Self, Vec<AgentEffect>) {
        let (agent, effects) = Agent::restore(Timing::default(), cores(2), self.journal.clone(), self.now);
        (Self { agent, ..self }, effects)
    }

    fn register(&mut self, session: u64) -> Vec<AgentEffect> {
        self.apply(AgentEvent::Registered {
            session: Session(session),
            incarnation: Incarnation(1),
            term: Term(1),
            timing: Timing::default(),
            sent_at: self.now,
        })
    }

    fn command(&mut self, session: u64, term: u64, seq: u64, command: Command) -> Vec<AgentEffect> {
        self.apply(AgentEvent::Command { session: Session(session), term: Term(term), seq: CommandSeq(seq), command })
    }

    fn start(&mut self, seq: u64, attempt: Attempt) -> Vec<AgentEffect> {
        self.command(1, 1, seq, start(attempt))
    }

    fn renew(&mut self) {
        self.apply(AgentEvent::Renewed { session: Session(1), sent_at: self.now, draining: false });
    }
}

fn last_sent(session: u64, seq: u64) -> LastSent {
    LastSent { session: Session(session), seq: CommandSeq(seq) }
}

fn attempt(task: u128, number: u32) -> Attempt {
    Attempt { task: task_id(task), number }
}

fn order(attempt: Attempt, spec: Arc<TaskSpec>) -> Command {
    let allocation = Free::all(&cores(8)).pick(&spec.demand).unwrap();
    let (owner, submitted_at) = (UserId::local(), Timestamp::ZERO);
    Command::Start(Arc::new(StartOrder { attempt, owner, job: None, submitted_at, spec, allocation, unreadable: None }))
}

/// One core of the worker's two.
fn start(attempt: Attempt) -> Command {
    let spec = spec(&[]);
    order(attempt, spec)
}

fn stop(attempt: Attempt) -> Command {
    Command::Stop(StopOrder { attempt, kill_after: S(10) })
}

fn launched(effects: &[AgentEffect]) -> Vec<Attempt> {
    let launch = |effect: &AgentEffect| match effect {
        AgentEffect::Launch { order, .. } => Some(order.attempt),
        _ => None,
    };
    effects.iter().filter_map(launch).collect()
}

fn reported(effects: &[AgentEffect]) -> Vec<(Attempt, Cause)> {
    let report = |effect: &AgentEffect| match effect {
        AgentEffect::Report { attempt, outcome, .. } => Some((*attempt, outcome.cause)),
        _ => None,
    };
    effects.iter().filter_map(report).collect()
}

fn halted(effects: &[AgentEffect]) -> Vec<(Attempt, Cause)> {
    let halt = |effect: &AgentEffect| match effect {
        AgentEffect::Halt { attempt, cause, .. } => Some((*attempt, *cause)),
        _ => None,
    };
    effects.iter().filter_map(halt).collect()
}

fn acknowledged(sent: LastSent) -> AgentEvent {
    AgentEvent::Acknowledged { attempt: attempt(1, 1), incarnation: Incarnation(1), sent }
}

fn ended(attempt: Attempt) -> AgentEvent {
    AgentEvent::Ended(attempt, Arc::new(Outcome::exit(0)))
}

#[test]
fn a_start_is_journalled_before_the_container_is_made() {
    let mut agent = TestAgent::new();
    let effects = agent.start(1, attempt(1, 1));
    assert!(matches!(effects[0], AgentEffect::Journal(JournalEntry::Started(..))));
    assert!(matches!(effects[1], AgentEffect::Launch { resume: false, .. }));
}

#[test]
fn an_end_is_journalled_before_it_is_told_and_told_until_acknowledged() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    let effects = agent.apply(ended(attempt(1, 1)));
    assert!(matches!(effects[0], AgentEffect::Journal(JournalEntry::Ended(..))));
    assert_eq!(reported(&effects), [(attempt(1, 1), Cause::Exited)]);
    for _ in 0..3 {
        agent.now = agent.agent.next_deadline(agent.now).unwrap();
        assert_eq!(reported(&agent.apply(AgentEvent::Tick)), [(attempt(1, 1), Cause::Exited)]);
    }
    let effects = agent.apply(acknowledged(last_sent(1, 1)));
    assert!(matches!(effects[1], AgentEffect::Discard { .. }));
    assert!(agent.agent.is_idle() && agent.agent.next_deadline(agent.now).is_none());
}

#[test]
fn commands_of_other_sessions_older_terms_and_old_numbers_are_dropped() {
    let mut agent = TestAgent::new();
    assert!(agent.command(2, 1, 1, start(attempt(1, 1))).is_empty(), "another session");
    assert_eq!(launched(&agent.command(1, 5, 3, start(attempt(2, 1)))).len(), 1);
    assert!(agent.command(1, 4, 4, start(attempt(3, 1))).is_empty(), "an older term");
    assert!(agent.command(1, 5, 3, start(attempt(4, 1))).is_empty(), "the same number");
    assert!(agent.command(1, 5, 2, start(attempt(4, 1))).is_empty(), "an older number");
}

#[test]
fn a_delayed_start_never_runs_an_ended_attempt_again() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.apply(ended(attempt(1, 1)));
    // The master sent the start again as number 2 before it heard of the end.
    agent.apply(acknowledged(last_sent(1, 2)));
    assert!(launched(&agent.start(2, attempt(1, 1))).is_empty());
    assert!(agent.agent.is_idle());
}

#[test]
fn an_acknowledgement_from_another_session_lets_no_delayed_start_through() {
    for other in [0, 2] {
        let mut agent = TestAgent::new();
        agent.start(1, attempt(1, 1));
        agent.apply(ended(attempt(1, 1)));
        // The master has begun a session that this worker has not heard of, or knows none.
        agent.apply(acknowledged(last_sent(other, 0)));
        assert!(agent.agent.is_idle());
        assert!(launched(&agent.start(2, attempt(1, 1))).is_empty(), "sent again before the end was known");
        assert!(launched(&agent.start(9, attempt(1, 1))).is_empty());
        assert_eq!(launched(&agent.start(10, attempt(1, 2))), [attempt(1, 2)]);
    }
}

#[test]
fn a_repeated_start_of_an_ended_attempt_is_answered_with_its_end() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.apply(ended(attempt(1, 1)));
    let effects = agent.start(2, attempt(1, 1));
    assert!(launched(&effects).is_empty());
    assert_eq!(reported(&effects), [(attempt(1, 1), Cause::Exited)]);
}

#[test]
fn a_stop_of_what_never_came_ends_it_for_good() {
    let mut agent = TestAgent::new();
    let effects = agent.command(1, 1, 2, stop(attempt(1, 1)));
    assert_eq!(reported(&effects), [(attempt(1, 1), Cause::Stopped)]);
    assert!(launched(&agent.start(3, attempt(1, 1))).is_empty());
}

#[test]
fn attempts_that_do_not_fit_beside_what_runs_wait_for_room() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.start(2, attempt(2, 1));
    assert!(launched(&agent.start(3, attempt(3, 1))).is_empty());
    assert_eq!(launched(&agent.apply(ended(attempt(1, 1)))), [attempt(3, 1)]);
}

#[test]
fn an_attempt_that_is_larger_than_the_whole_worker_goes_back_at_once() {
    let mut agent = TestAgent::new();
    // It was placed when the worker had more: nothing that ends here would make room for it.
    let large = order(attempt(1, 1), spec(&[("cpu_cores", Value::Int(3))]));
    let effects = agent.command(1, 1, 1, large.clone());
    assert!(launched(&effects).is_empty());
    assert_eq!(reported(&effects), [(attempt(1, 1), Cause::WorkerStopped)]);
    assert!(matches!(effects[0], AgentEffect::Journal(JournalEntry::Ended(..))), "{effects:?}");
    assert_eq!(reported(&agent.command(1, 1, 2, large)), [(attempt(1, 1), Cause::WorkerStopped)]);
    assert_eq!(launched(&agent.start(3, attempt(2, 1))), [attempt(2, 1)], "others are not held up by it");
}

#[test]
fn a_newer_attempt_stops_the_older_one_first() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    let effects = agent.start(2, attempt(1, 2));
    assert_eq!(halted(&effects), [(attempt(1, 1), Cause::Stopped)]);
}

#[test]
fn what_is_to_be_kept_runs_on_without_a_lease_and_waits_for_no_clock() {
    let mut agent = TestAgent::new();
    let keep = spec(&[("on_disconnect", Value::Text("keep".into()))]);
    assert_eq!(launched(&agent.command(1, 1, 1, order(attempt(1, 1), keep))), [attempt(1, 1)]);
    agent.start(2, attempt(2, 1));
    agent.now = agent.now + S(100);
    assert_eq!(halted(&agent.apply(AgentEvent::Tick)), [(attempt(2, 1), Cause::LeaseEnded)]);
    agent.now = agent.now + S(1000);
    assert_eq!(halted(&agent.apply(AgentEvent::Tick)), []);
    assert_eq!(agent.agent.next_deadline(agent.now), None);
    agent.register(2);
    assert_eq!(halted(&agent.command(2, 1, 1, stop(attempt(1, 1)))), [(attempt(1, 1), Cause::Stopped)]);
}

#[test]
fn without_a_renewed_lease_it_stops_before_the_master_gives_up() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.now = agent.now + S(50);
    agent.renew();
    let deadline = agent.agent.next_deadline(agent.now).unwrap();
    assert_eq!(deadline.since(agent.now), S(100), "lease 120 - kill_after 10 - margin 10");
    agent.now = deadline;
    assert_eq!(halted(&agent.apply(AgentEvent::Tick)), [(attempt(1, 1), Cause::LeaseEnded)]);
    assert!(halted(&agent.apply(AgentEvent::Tick)).is_empty(), "once");
    assert!(launched(&agent.start(2, attempt(2, 1))).is_empty(), "nothing new without a lease");
    agent.renew();
    assert_eq!(launched(&agent.start(3, attempt(2, 1))), [attempt(2, 1)]);
}

#[test]
fn a_restarted_worker_takes_over_what_it_began_and_reports_what_ended() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.start(2, attempt(2, 1));
    agent.apply(ended(attempt(2, 1)));
    let (mut agent, effects) = agent.restarted();
    assert_eq!(launched(&effects), [attempt(1, 1)]);
    assert!(effects.iter().all(|effect| matches!(effect, AgentEffect::Launch { resume: true, .. })));
    let stages: Vec<_> = agent.agent.held().iter().map(|held| held.stage).collect();
    assert_eq!(stages, [HeldStage::At(Step::Assigned), HeldStage::Ended]);
    assert_eq!(reported(&agent.register(2)), [(attempt(2, 1), Cause::Exited)]);
}

#[test]
fn an_end_by_a_signal_of_a_container_that_was_found_dead_is_not_the_programs() {
    let codes = [(143, Cause::Vanished), (137, Cause::Vanished), (255, Cause::Vanished), (1, Cause::Exited)];
    for (code, cause) in codes {
        for found_dead in [true, false] {
            let mut agent = TestAgent::new();
            agent.start(1, attempt(1, 1));
            let (mut agent, _) = agent.restarted();
            agent.register(2);
            if !found_dead {
                agent.apply(AgentEvent::Step(attempt(1, 1), Step::Running));
            }
            let ended = AgentEvent::Ended(attempt(1, 1), Arc::new(Outcome::exit(code)));
            let cause = if found_dead { cause } else { Cause::Exited };
            assert_eq!(reported(&agent.apply(ended)), [(attempt(1, 1), cause)], "{code} {found_dead}");
        }
    }
}

#[test]
fn what_was_being_stopped_when_the_worker_died_did_not_end_by_itself() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.start(2, attempt(2, 1));
    agent.command(1, 1, 3, stop(attempt(1, 1)));
    let (mut agent, effects) = agent.restarted();
    assert_eq!(launched(&effects), [attempt(1, 1), attempt(2, 1)]);
    assert_eq!(halted(&effects), [(attempt(1, 1), Cause::Stopped)], "the stop goes on");
    agent.register(2);
    for (task, step, cause) in [(1, Step::Running, Cause::Stopped), (2, Step::Assigned, Cause::Exited)] {
        agent.apply(AgentEvent::Step(attempt(task, 1), step));
        let ended = AgentEvent::Ended(attempt(task, 1), Arc::new(Outcome::exit(0)));
        assert_eq!(
            reported(&agent.apply(ended)),
            [(attempt(task, 1), cause)],
            "a program may end well when it is asked"
        );
    }
}

#[test]
fn a_stop_that_was_begun_by_an_earlier_life_is_not_the_engines_failure() {
    for (exit_code, cause) in [(Some(143), Cause::Stopped), (None, Cause::EngineError)] {
        let mut agent = TestAgent::new();
        agent.start(1, attempt(1, 1));
        agent.command(1, 1, 2, stop(attempt(1, 1)));
        let (mut agent, _) = agent.restarted();
        agent.apply(AgentEvent::Step(attempt(1, 1), Step::Running));
        let outcome = Outcome { exit_code, ..Outcome::of(Cause::EngineError, "somebody stopped it") };
        let ended = AgentEvent::Ended(attempt(1, 1), Arc::new(outcome));
        assert_eq!(reported(&agent.apply(ended)), [(attempt(1, 1), cause)]);
    }
}

#[test]
fn a_task_with_a_long_grace_is_not_begun_when_it_would_have_to_stop() {
    let slow = |number| {
        let spec = spec(&[("kill_after_s", Value::Int(60))]);
        order(attempt(number, 1), spec)
    };
    let mut agent = TestAgent::new();
    agent.now = agent.now + S(49);
    assert_eq!(launched(&agent.command(1, 1, 1, slow(1))).len(), 1);
    agent.now = agent.now + S(1);
    assert!(launched(&agent.command(1, 1, 2, slow(2))).is_empty(), "lease 120 - kill_after 60 - margin 10");
}

#[test]
fn a_shutdown_stops_everything_and_starts_nothing() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.agent.apply(agent.now, AgentEvent::Disowned);
    assert_eq!(halted(&agent.apply(AgentEvent::Shutdown)), [(attempt(1, 1), Cause::WorkerStopped)]);
    assert!(launched(&agent.start(2, attempt(2, 1))).is_empty());
}

#[test]
fn a_shutdown_stops_what_runs_once_the_master_knows_or_soon() {
    let renewed = |sent_at, draining| AgentEvent::Renewed { session: Session(1), sent_at, draining };
    let stops = [(attempt(1, 1), Cause::WorkerStopped)];
    for told in [true, false] {
        let mut agent = TestAgent::new();
        agent.start(1, attempt(1, 1));
        assert!(!agent.agent.heartbeat().unwrap().draining);
        assert_eq!(halted(&agent.apply(AgentEvent::Shutdown)), []);
        assert!(agent.agent.heartbeat().unwrap().draining);
        assert!(launched(&agent.start(2, attempt(2, 1))).is_empty());
        let before = agent.now;
        assert_eq!(halted(&agent.apply(renewed(before, false))), [], "composed before the shutdown");
        assert_eq!(agent.agent.next_deadline(agent.now), Some(before + S(2)));
        agent.now = agent.now + S(1);
        assert_eq!(halted(&agent.apply(AgentEvent::Tick)), []);
        if told {
            assert_eq!(halted(&agent.apply(renewed(before, true))), stops);
        } else {
            agent.now = agent.now + S(1);
            assert_eq!(halted(&agent.apply(AgentEvent::Tick)), stops);
        }
        assert_eq!(halted(&agent.apply(AgentEvent::Shutdown)), [], "once");
    }
}

#[test]
fn a_heartbeat_tells_everything_that_is_held() {
    let mut agent = TestAgent::new();
    agent.start(4, attempt(1, 1));
    agent.apply(AgentEvent::Step(attempt(1, 1), Step::Running));
    let beat = agent.agent.heartbeat().unwrap();
    assert_eq!((beat.session, beat.seen), (Session(1), CommandSeq(4)));
    assert_eq!(beat.held[0].stage, HeldStage::At(Step::Running));
    agent.apply(AgentEvent::Disowned);
    assert!(agent.agent.heartbeat().is_none());
}

impl TestAgent {
    /// A registration with data that was restored: another life, led under this term.
    fn restored(&mut self, term: u64) -> Vec<AgentEffect> {
        self.apply(AgentEvent::Registered {
            session: Session(2),
            incarnation: Incarnation(7),
            term: Term(term),
            timing: Timing::default(),
            sent_at: self.now,
        })
    }
}

fn discarded(effects: &[AgentEffect]) -> Vec<(Attempt, Incarnation)> {
    let discard = |effect: &AgentEffect| match effect {
        AgentEffect::Discard { attempt, incarnation } => Some((*attempt, *incarnation)),
        _ => None,
    };
    effects.iter().filter_map(discard).collect()
}

#[test]
fn a_term_counts_within_one_life_of_the_data() {
    let mut agent = TestAgent::new();
    agent.command(1, 9, 1, start(attempt(1, 1)));
    agent.register(3);
    assert_eq!(agent.agent.heartbeat().unwrap().session, Session(1), "an older term of the same life");
    agent.restored(2);
    assert_eq!(agent.agent.heartbeat().unwrap().session, Session(2), "older data leads now");
    assert_eq!(launched(&agent.command(2, 2, 1, start(attempt(2, 1)))), [attempt(2, 1)]);
    assert!(agent.command(2, 1, 2, start(attempt(3, 1))).is_empty(), "and its older terms do not count");
}

#[test]
fn what_another_life_of_the_data_ordered_is_stopped_forgotten_and_told_to_nobody() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.start(2, attempt(2, 1));
    agent.start(3, attempt(3, 1));
    agent.apply(ended(attempt(2, 1)));
    agent.start(4, attempt(4, 1));
    // One and three run, two has ended and is not acknowledged, four waits for room.
    let effects = agent.restored(1);
    assert_eq!(halted(&effects), [(attempt(1, 1), Cause::Stopped), (attempt(3, 1), Cause::Stopped)]);
    let life = Incarnation(1);
    assert_eq!(discarded(&effects), [(attempt(2, 1), life), (attempt(4, 1), life)]);
    assert_eq!(reported(&effects), []);
    assert_eq!(agent.agent.heartbeat().unwrap().held, []);
    assert_eq!(agent.agent.attempts().count(), 2, "it is here until it has ended");
    agent.now = agent.now + S(3600);
    assert_eq!(reported(&agent.apply(AgentEvent::Tick)), []);
    let effects = agent.apply(ended(attempt(1, 1)));
    assert_eq!((reported(&effects), discarded(&effects)), (vec![], vec![(attempt(1, 1), life)]));
    agent.apply(ended(attempt(3, 1)));
    assert!(agent.agent.is_idle() && agent.agent.is_consistent());
}

#[test]
fn an_attempt_of_the_same_number_begins_only_when_the_other_lifes_is_gone() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    agent.start(2, attempt(2, 3));
    agent.restored(1);
    assert!(launched(&agent.command(2, 1, 1, start(attempt(1, 1)))).is_empty(), "two of one name");
    agent.apply(ended(attempt(1, 1)));
    assert_eq!(launched(&agent.command(2, 1, 2, start(attempt(1, 1)))), [attempt(1, 1)], "sent again");
    assert_eq!(reported(&agent.apply(ended(attempt(1, 1)))), [(attempt(1, 1), Cause::Exited)]);
    // A late answer to what the other life's had reported.
    let late = |incarnation| AgentEvent::Acknowledged {
        attempt: attempt(1, 1),
        incarnation: Incarnation(incarnation),
        sent: last_sent(1, 1),
    };
    assert_eq!(discarded(&agent.apply(late(1))), []);
    assert_eq!(discarded(&agent.apply(late(7))), [(attempt(1, 1), Incarnation(7))]);
    // A higher number of the other life is no reason to take a lower one for old.
    assert_eq!(launched(&agent.command(2, 1, 3, start(attempt(2, 1)))), [attempt(2, 1)]);
}

#[test]
fn a_worker_that_restarts_between_two_lives_of_the_data_stops_what_the_first_ordered() {
    let mut agent = TestAgent::new();
    agent.start(1, attempt(1, 1));
    let (mut agent, effects) = agent.restarted();
    assert_eq!(launched(&effects), [attempt(1, 1)], "nobody has told of another life yet");
    assert_eq!(agent.agent.held().len(), 1);
    assert_eq!(halted(&agent.restored(1)), [(attempt(1, 1), Cause::Stopped)]);
    let (mut agent, effects) = agent.restarted();
    assert_eq!(halted(&effects), [(attempt(1, 1), Cause::Stopped)], "the stop goes on");
    agent.restored(1);
    assert_eq!(reported(&agent.apply(ended(attempt(1, 1)))), []);
    assert!(agent.agent.is_idle());
}
