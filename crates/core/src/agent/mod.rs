//! What a worker decides: pure, as the cluster is.
//!
//! [`Agent::apply`] takes what the master ordered, what the executor told and the time, and
//! answers with what to do, in order: journal first, then act, then tell. Its rules:
//! - a command of another session, an older term or an old sequence number is dropped;
//! - an attempt that ever ran here is never started again: it is kept until the master has
//!   acknowledged its end, then remembered (a tombstone) until no delayed start can arrive;
//! - an end is reported again until it is acknowledged;
//! - what another life of the cluster's data ordered (before a backup was restored) is stopped and
//!   forgotten, and nobody is told of it;
//! - without a renewed lease it starts nothing, and stops what it runs before the master gives up.

mod alarms;
mod attempts;
mod effect;
mod event;
mod lease;
mod lives;
mod restore;

use alarms::Alarms;
pub use effect::{AgentEffect, JournalEntry};
pub use event::AgentEvent;

use crate::effect::{Command, StartOrder};
use crate::event::Held;
use crate::ids::{Attempt, CommandSeq, Incarnation, Session, TaskId, Term};
use crate::ledger::Ledger;
use crate::resources::Capacity;
use crate::task::{Cause, Outcome, Step};
use crate::time::Timestamp;
use crate::timing::Timing;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long an unacknowledged report rests before it is sent again.
const REPORT_AGAIN: Duration = Duration::from_secs(2);
/// How long a worker that leaves waits for the master to know before it stops what it runs. An end
/// that comes first would only bring the task back here.
const DRAIN_TELL: Duration = Duration::from_secs(2);

/// The decisions of one worker. Times are of its own boot clock.
#[derive(Clone, Debug)]
pub struct Agent {
    timing: Timing,
    capacity: Capacity,
    term: Term,
    /// The life of the cluster in which the term counts; known from the first registration on.
    incarnation: Option<Incarnation>,
    link: Option<Link>,
    /// When the last acknowledged heartbeat was sent: the lease runs from there.
    renewed: Option<Timestamp>,
    attempts: BTreeMap<Attempt, Slot>,
    alarms: Alarms,
    /// What the launched ones hold of this worker.
    room: Ledger<Attempt>,
    /// Those of state `Waiting`.
    waiting: BTreeSet<Attempt>,
    /// The highest attempt of each task that is over and acknowledged, until the given command of
    /// the present session has been seen.
    tombstones: BTreeMap<TaskId, Tombstone>,
    /// The tombstones by the command that they wait for.
    graves: BTreeSet<(CommandSeq, TaskId)>,
    stopping: Option<Stopping>,
}

/// The worker leaves.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    since: Timestamp,
    /// What ran is told to stop.
    halted: bool,
}

/// What a heartbeat says.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentBeat {
    /// In which registration.
    pub session: Session,
    /// The last command that was taken in.
    pub seen: CommandSeq,
    /// Everything held.
    pub held: Vec<Held>,
    /// Nothing new will be begun.
    pub draining: bool,
}

/// The present registration.
#[derive(Clone, Copy, Debug)]
struct Link {
    session: Session,
    incarnation: Incarnation,
    seen: CommandSeq,
}

#[derive(Clone, Copy, Debug)]
struct Tombstone {
    number: u32,
    until: CommandSeq,
}

/// One attempt that is here.
#[derive(Clone, Debug)]
struct Slot {
    incarnation: Incarnation,
    state: SlotState,
}

#[derive(Clone, Debug)]
enum SlotState {
    /// Accepted, and waits until an older attempt has left its room.
    Waiting(Arc<StartOrder>),
    /// With the executor.
    Launched { order: Arc<StartOrder>, step: Step, stop: bool, origin: Origin },
    /// Over; reported until acknowledged.
    Ended { outcome: Arc<Outcome>, reported: Timestamp },
}

/// Who began an attempt.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// This life of the worker.
    Here,
    /// An earlier life, which had perhaps begun to stop it.
    TakenOver { stopped: Option<Cause> },
}

impl Agent {
    /// A worker that holds nothing.
    #[must_use]
    pub fn new(timing: Timing, capacity: Capacity) -> Self {
        Self {
            timing,
            room: Ledger::new(&capacity),
            capacity,
            term: Term(0),
            incarnation: None,
            link: None,
            renewed: None,
            attempts: BTreeMap::new(),
            alarms: Alarms::default(),
            waiting: BTreeSet::new(),
            tombstones: BTreeMap::new(),
            graves: BTreeSet::new(),
            stopping: None,
        }
    }

    /// Takes one event in at `now`, which must not run backward; answers what to do, in order.
    pub fn apply(&mut self, now: Timestamp, event: AgentEvent) -> Vec<AgentEffect> {
        let mut out = Vec::new();
        match event {
            AgentEvent::Registered { session, incarnation, term, timing, sent_at } => {
                self.registered(&mut out, Link { session, incarnation, seen: CommandSeq(0) }, term, timing, sent_at);
            }
            AgentEvent::Disowned => self.link = None,
            AgentEvent::Command { session, term, seq, command } => {
                self.command(&mut out, now, session, term, seq, command)
            }
            AgentEvent::Step(attempt, step) => self.stepped(&mut out, attempt, step),
            AgentEvent::Ended(attempt, outcome) => self.ended(&mut out, now, attempt, outcome),
            AgentEvent::Acknowledged { attempt, incarnation, sent } => {
                self.acknowledged(&mut out, attempt, incarnation, sent);
            }
            AgentEvent::Renewed { session, sent_at, draining } => {
                self.renew(session, sent_at);
                self.halt_all_in_time(&mut out, now, draining);
            }
            AgentEvent::Shutdown => self.shutdown(&mut out, now),
            AgentEvent::Tick => self.tick(&mut out, now),
        }
        out
    }

    /// What a heartbeat says now; none without a session.
    #[must_use]
    pub fn heartbeat(&self) -> Option<AgentBeat> {
        let draining = self.stopping.is_some();
        self.link.map(|link| AgentBeat { session: link.session, seen: link.seen, held: self.held(), draining })
    }

    /// Everything held of what the present life of the cluster ordered, for a registration.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let own = self.attempts.iter().filter(|(_, slot)| !self.is_foreign(slot));
        own.map(|(attempt, slot)| Held { attempt: *attempt, incarnation: slot.incarnation, stage: slot.stage() })
            .collect()
    }

    /// All that is here, each with the life of the cluster in which it was ordered.
    pub fn attempts(&self) -> impl Iterator<Item = (Attempt, Incarnation)> {
        self.attempts.iter().map(|(attempt, slot)| (*attempt, slot.incarnation))
    }

    /// When the last heartbeat that was acknowledged had been sent.
    #[must_use]
    pub fn renewed(&self) -> Option<Timestamp> {
        self.renewed
    }

    /// Whether nothing runs and nothing waits to be acknowledged.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.attempts.is_empty()
    }

    /// When the next [`AgentEvent::Tick`] is due; always after `now`.
    #[must_use]
    pub fn next_deadline(&self, now: Timestamp) -> Option<Timestamp> {
        let reports = self.alarms.next_report();
        let lease = self.alarms.longest_grace().and_then(|grace| self.lease_stop(grace));
        let halt = self.stopping.filter(|stopping| !stopping.halted).map(|stopping| stopping.since + DRAIN_TELL);
        [reports, lease, halt].into_iter().flatten().min().map(|at| at.max(now + Duration::from_millis(1)))
    }

    fn registered(&mut self, out: &mut Vec<AgentEffect>, link: Link, term: Term, timing: Timing, sent_at: Timestamp) {
        // Data that was restored may have been led under fewer terms.
        if term < self.term && self.incarnation == Some(link.incarnation) {
            return;
        }
        self.term = term;
        self.timing = timing;
        self.link = Some(link);
        self.renewed = Some(sent_at);
        // Starts of earlier sessions can not arrive any more.
        self.tombstones.clear();
        self.graves.clear();
        self.enter_life(out, link.incarnation);
        self.report_all(out);
    }

    /// A command counts when it is of this session, of no older term, and new.
    fn command(
        &mut self,
        out: &mut Vec<AgentEffect>,
        now: Timestamp,
        session: Session,
        term: Term,
        seq: CommandSeq,
        command: Command,
    ) {
        let Some(link) = self.link.as_mut() else { return };
        if session != link.session || term < self.term || seq <= link.seen {
            return;
        }
        self.term = term;
        link.seen = seq;
        self.forget_graves_before(seq);
        match command {
            Command::Start(order) => self.start(out, now, order),
            Command::Stop(order) => self.stop(out, now, &order),
            Command::Ping => {}
        }
    }

    /// Changes an attempt that is here, and what follows of it for the clock.
    fn change<T>(&mut self, attempt: Attempt, change: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        let slot = self.attempts.get_mut(&attempt)?;
        self.alarms.clear(attempt, slot);
        let changed = change(slot);
        self.alarms.set(attempt, slot);
        Some(changed)
    }

    fn insert(&mut self, attempt: Attempt, slot: Slot) {
        self.alarms.set(attempt, &slot);
        if let Some(before) = self.attempts.insert(attempt, slot) {
            self.alarms.clear(attempt, &before);
        }
    }

    fn remove(&mut self, attempt: Attempt) {
        if let Some(slot) = self.attempts.remove(&attempt) {
            self.alarms.clear(attempt, &slot);
        }
    }

    /// Whether what is kept beside the attempts is what follows from them; tests ask after every
    /// event.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let waits =
            |(attempt, slot): (&Attempt, &Slot)| matches!(slot.state, SlotState::Waiting(_)).then_some(*attempt);
        let launched = |(attempt, slot): (&Attempt, &Slot)| match &slot.state {
            SlotState::Launched { order, .. } => Some((*attempt, order.allocation.clone())),
            SlotState::Waiting(_) | SlotState::Ended { .. } => None,
        };
        let graves = self.tombstones.iter().map(|(task, grave)| (grave.until, *task));
        self.alarms == Alarms::of(&self.attempts)
            && self.attempts.iter().filter_map(waits).eq(self.waiting.iter().copied())
            && self.attempts.iter().filter_map(launched).collect::<BTreeMap<_, _>>() == *self.room.held()
            && graves.collect::<BTreeSet<_>>() == self.graves
    }
}
