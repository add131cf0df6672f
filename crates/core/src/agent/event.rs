//! What a worker's agent is told.

use crate::effect::Command;
use crate::event::LastSent;
use crate::ids::{Attempt, CommandSeq, Incarnation, Session, Term};
use crate::task::{Outcome, Step};
use crate::time::Timestamp;
use crate::timing::Timing;
use std::sync::Arc;

/// One input of an agent.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// The master took the registration that was sent at `sent_at`.
    Registered {
        /// The new session.
        session: Session,
        /// Which life of the cluster's data this is.
        incarnation: Incarnation,
        /// The leading master's term.
        term: Term,
        /// The cluster's times.
        timing: Timing,
        /// When the registration was sent.
        sent_at: Timestamp,
    },
    /// The master does not know the session (any more): register again.
    Disowned,
    /// A command came.
    Command {
        /// For which session.
        session: Session,
        /// Of which term.
        term: Term,
        /// Its place in the session.
        seq: CommandSeq,
        /// What to do.
        command: Command,
    },
    /// The executor took a step.
    Step(Attempt, Step),
    /// The executor is done with an attempt and its log and files are kept.
    Ended(Attempt, Arc<Outcome>),
    /// The master took an end in, or knows better: the attempt may be forgotten once the given
    /// command has been seen.
    Acknowledged {
        /// Which.
        attempt: Attempt,
        /// In which life of the cluster it was ordered.
        incarnation: Incarnation,
        /// The last command that the master had sent by then.
        sent: LastSent,
    },
    /// The heartbeat of this session that was sent at `sent_at` was acknowledged.
    Renewed {
        /// Which session.
        session: Session,
        /// When it was sent.
        sent_at: Timestamp,
        /// It told that the worker leaves.
        draining: bool,
    },
    /// The worker is to leave in good order.
    Shutdown,
    /// A deadline has come.
    Tick,
}
