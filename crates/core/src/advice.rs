//! What helps a task that came to its end by a limit: run again as it is, it comes to the same end.

use crate::resources::GIB;
use crate::task::TaskRecord;
use crate::text::{typed_size, typed_time};
use std::time::Duration;

/// What a task may have had too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    /// Memory that its program may use.
    Memory,
    /// Disk that its container may use.
    Disk,
    /// Time that an attempt may run.
    Run,
    /// Time in which it may wait for a place.
    Queue,
    /// Time that all of it may take.
    Total,
}

/// What happened, and the command that helps against it where there is one.
pub(crate) fn with_twice(message: String, task: &TaskRecord, of: Short) -> String {
    match twice(task, of) {
        Some(again) => format!("{message}; {again}"),
        None => message,
    }
}

/// The command that runs a task again with twice of what it had too little of; none where that has no limit.
pub(crate) fn twice(task: &TaskRecord, of: Short) -> Option<String> {
    let (demand, limits) = (&task.spec.demand, &task.spec.limits);
    let size = |bytes: u64| Some(typed_size(bytes.saturating_mul(2)));
    let time = |limit: Option<Duration>| limit.map(|limit| typed_time(limit.saturating_mul(2)));
    let (helps, flag, amount) = match of {
        Short::Memory => ("again with more memory", "--mem", size(demand.memory)),
        Short::Disk => ("again with more disk", "--disk", size(demand.storage.max(GIB / 2))),
        Short::Run => ("again with more time", "--timeout", time(limits.run)),
        Short::Queue => ("to wait longer", "--queue-timeout", time(limits.queue)),
        Short::Total => ("again with more time", "--total-timeout", time(limits.total)),
    };
    Some(format!("{helps}: cloudai task retry {} {flag} {}", task.id, amount?))
}
