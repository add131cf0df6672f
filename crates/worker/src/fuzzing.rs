//! What goes between a worker and its master, as fuzzing reads and writes it.

use crate::convert::{self, Specs};
use cloudai_core::effect::Command;
use cloudai_core::ids::{Attempt, CommandSeq, Incarnation, WorkerId};
use cloudai_core::resources::Capacity;
use cloudai_core::task::Outcome;
use cloudai_core::timing::Timing;
use cloudai_proto::v1 as pb;

/// A command of the master with its place in the session.
/// # Errors
/// What makes no sense.
pub fn command(command: pb::Command) -> Result<(CommandSeq, Command), String> {
    convert::command(command, &mut Specs::default()).map_err(|error| error.to_string())
}

/// The times that a master tells at a registration.
#[must_use]
pub fn timing(ack: &pb::RegisterAck) -> Timing {
    convert::registered(ack).timing
}

/// What a worker tells of itself.
#[must_use]
pub fn told(worker: &WorkerId, capacity: &Capacity) -> pb::WorkerInfo {
    convert::worker_info(worker, capacity)
}

/// The end of an attempt as a worker tells it.
#[must_use]
pub fn end(worker: &WorkerId, attempt: Attempt, incarnation: Incarnation, outcome: &Outcome) -> pb::TaskResult {
    convert::task_result(worker, attempt, incarnation, outcome)
}
