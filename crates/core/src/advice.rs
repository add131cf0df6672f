//! What helps a task that came to its end by a limit: run again as it is, it comes to the same end.

use crate::resources::{Bytes, GIB};
use crate::task::TaskRecord;
use crate::text::{typed_size, typed_time};

/// Time that a task may have had too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// For a run of its program.
    Run,
    /// For the wait for a place.
    Queue,
    /// For all of it.
    Total,
}

/// Room that a task may have had too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// For its program.
    Memory,
    /// For its container's files.
    Disk,
}

/// What happened, and what helps against it where it does.
pub(crate) fn with(message: String, advice: Option<String>) -> String {
    match advice {
        Some(advice) => format!("{message}; {advice}"),
        None => message,
    }
}

/// The command that runs a task again with twice the time; none where it has no such limit.
pub(crate) fn longer(task: &TaskRecord, of: Limit) -> Option<String> {
    let limits = &task.spec.limits;
    let (helps, flag, limit) = match of {
        Limit::Run => ("again with more time", "--timeout", limits.run?),
        Limit::Queue => ("to wait longer", "--queue-timeout", limits.queue?),
        Limit::Total => ("again with more time", "--total-timeout", limits.total?),
    };
    Some(format!("{helps}: cloudai task retry {} {flag} {}", task.id, typed_time(limit.saturating_mul(2))))
}

/// The command that runs a task again with twice the room, or with the `most` that a worker has for it where
/// that is known and less.
pub(crate) fn larger(task: &TaskRecord, of: Room, most: Option<u64>) -> String {
    let demand = task.demand();
    let (word, flag, asked, twice) = match of {
        Room::Memory => ("memory", "--mem", demand.memory, demand.memory.saturating_mul(2)),
        Room::Disk => ("disk", "--disk", demand.storage, demand.storage.saturating_mul(2).max(GIB)),
    };
    let most = most.map_or(u64::MAX, |most| most & !(MIB - 1));
    if most <= asked {
        return format!("no worker has more {word} for it than these {}; see: cloudai worker list", Bytes(asked));
    }
    let helps = if most < twice { format!("all the {word} that a worker has") } else { format!("more {word}") };
    format!("again with {helps}: cloudai task retry {} {flag} {}", task.id, typed_size(twice.min(most)))
}

/// What sizes are typed in; less is none that can be asked for.
const MIB: u64 = 1 << 20;
