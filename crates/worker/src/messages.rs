//! What the parts of a worker say to each other.

use crate::reaper::Ordered;
use cloudai_core::agent::AgentEvent;
use cloudai_core::ids::{Attempt, CommandSeq, Incarnation, Session};
use cloudai_core::task::Outcome;
use cloudai_proto::v1 as pb;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What the shell is told.
#[derive(Debug)]
pub(crate) enum Input {
    /// Something for the agent.
    Agent(AgentEvent),
    /// What does a heartbeat say?
    Beat(oneshot::Sender<Option<Beat>>),
    /// What is held?
    Held(oneshot::Sender<Vec<pb::TaskInfo>>),
    /// Which attempts are held?
    Holds(oneshot::Sender<BTreeSet<Ordered>>),
}

/// What a heartbeat says.
#[derive(Debug)]
pub(crate) struct Beat {
    pub(crate) session: Session,
    pub(crate) seen: CommandSeq,
    pub(crate) held: Vec<pb::TaskInfo>,
    pub(crate) draining: bool,
}

/// An end on its way to the master.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) attempt: Attempt,
    pub(crate) incarnation: Incarnation,
    pub(crate) outcome: Arc<Outcome>,
}
