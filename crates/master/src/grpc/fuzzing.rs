//! What workers and agents send, read as their calls read it.

use super::{agent, convert, end as ends, exec};
use cloudai_core::effect::Dispatch;
use cloudai_core::event::{EndReport, Heartbeat, Placement, Registration};
use cloudai_core::ids::{Incarnation, Session, Term};
use cloudai_core::time::Timestamp;
use cloudai_proto::v1 as pb;
use tonic::Status;

/// The life of the data that workers are taken to mean where they name none.
const PRESENT: Incarnation = Incarnation(7);

/// A worker's introduction.
/// # Errors
/// What is wrong with it.
pub fn registration(info: pb::WorkerInfo) -> Result<Registration, String> {
    convert::registration(info, PRESENT).map_err(words)
}

/// A heartbeat.
/// # Errors
/// What is wrong with it.
pub fn heartbeat(beat: &pb::Heartbeat) -> Result<Heartbeat, String> {
    convert::heartbeat(beat, PRESENT, Timestamp::ZERO).map(|(heartbeat, _)| heartbeat).map_err(words)
}

/// The end of an attempt.
/// # Errors
/// It names no attempt.
pub fn end(result: pb::TaskResult) -> Result<EndReport, String> {
    ends::report(result).map_err(words)
}

/// Whether a message of a program that runs in a container is understood.
/// # Errors
/// It is not.
pub fn program(message: pb::ExecFromWorker) -> Result<(), String> {
    exec::read(message).map(drop).map_err(|lost| lost.to_string())
}

/// An agent's proposals, each by itself.
#[must_use]
pub fn proposals(proposals: &[pb::Proposal]) -> Vec<Result<Placement, String>> {
    agent::read(proposals)
}

/// Commands as they go to a worker.
/// # Errors
/// A spec can not be written.
pub fn commands(session: Session, term: Term, dispatches: Vec<Dispatch>) -> Result<pb::CommandBatch, String> {
    convert::commands(session, term, dispatches).map_err(words)
}

fn words(status: Status) -> String {
    status.message().to_owned()
}
