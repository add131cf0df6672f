//! What a worker's agent wants done, in order.

use crate::effect::StartOrder;
use crate::event::Held;
use crate::ids::{Attempt, Incarnation};
use crate::task::{Cause, Outcome};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEffect {
    /// Write this down, on disk, before doing what follows.
    Journal(JournalEntry),
    /// Give the attempt to the executor.
    Launch {
        /// What to run.
        order: Arc<StartOrder>,
        /// In which life of the cluster it was ordered.
        incarnation: Incarnation,
        /// Whether an earlier life of this worker may have begun it.
        resume: bool,
    },
    /// Ask the executor to end an attempt; a later order with less grace replaces an earlier one.
    Halt {
        /// Which.
        attempt: Attempt,
        /// Time between SIGTERM and SIGKILL.
        grace: Duration,
        /// What its outcome's cause will be.
        cause: Cause,
    },
    /// Tell the master of a step; may be lost, heartbeats repeat it.
    Tell(Held),
    /// Tell the master of an end, until it acknowledges.
    Report {
        /// Which.
        attempt: Attempt,
        /// In which life of the cluster it was ordered.
        incarnation: Incarnation,
        /// How it ended.
        outcome: Arc<Outcome>,
    },
    /// Remove what is left of the attempt here: container, folder.
    Discard {
        /// Which.
        attempt: Attempt,
        /// In which life of the cluster it was ordered.
        incarnation: Incarnation,
    },
}

/// What must survive the worker's process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum JournalEntry {
    /// An attempt is about to be begun.
    Started(Arc<StartOrder>, Incarnation),
    /// It is about to be stopped, for this cause: however it ends now, that is no end of its own.
    Stopping(Arc<StartOrder>, Incarnation, Cause),
    /// An attempt is over.
    Ended(Attempt, Arc<Outcome>, Incarnation),
    /// The master has acknowledged its end.
    Forgotten(Attempt),
}
