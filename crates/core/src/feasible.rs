//! Whether a task fits a worker, and why not: one rule for placing, strategies and explain.

use crate::event::PlacementRefusal;
use crate::ids::WorkerId;
use crate::resources::{Allocation, Capacity, Free};
use crate::spec::TaskSpec;
use crate::worker::WorkerRecord;

/// What the task would hold of this worker now.
/// # Errors
/// The first reason against it, in the order: pinned elsewhere, takes no work, short of something.
pub fn fits(spec: &TaskSpec, worker: &WorkerRecord, free: &Free) -> Result<Allocation, PlacementRefusal> {
    may_run(spec, &worker.id)?;
    if !worker.takes_work() {
        return Err(PlacementRefusal::WorkerUnavailable);
    }
    free.pick(&spec.demand).map_err(PlacementRefusal::Lack)
}

/// Whether the worker could run the task if nothing else ran there and it were active.
/// # Errors
/// The first reason against it.
pub fn could_ever(spec: &TaskSpec, worker: &WorkerId, capacity: &Capacity) -> Result<(), PlacementRefusal> {
    may_run(spec, worker)?;
    Free::all(capacity).pick(&spec.demand).map(drop).map_err(PlacementRefusal::Lack)
}

fn may_run(spec: &TaskSpec, worker: &WorkerId) -> Result<(), PlacementRefusal> {
    match &spec.worker_id {
        Some(pinned) if pinned != worker => Err(PlacementRefusal::Pinned),
        Some(_) | None => Ok(()),
    }
}

/// Whether any of the workers could ever run the task; inactive ones may return, and where no
/// worker ever told its capacity nothing is known to be impossible.
/// # Errors
/// A sentence with what is asked for and the most there is.
pub fn satisfiable<'a>(spec: &TaskSpec, workers: impl Iterator<Item = &'a WorkerRecord> + Clone) -> Result<(), String> {
    if let Some(pinned) = &spec.worker_id
        && !workers.clone().any(|worker| worker.id == *pinned)
    {
        return Err(format!("worker {pinned} is not known; see the known ones with: cloudai worker list"));
    }
    let mut known = workers.filter(|worker| worker.connected_at.is_some()).peekable();
    if known.peek().is_none() {
        return Ok(());
    }
    let mut lacks = Vec::new();
    for worker in known {
        match could_ever(spec, &worker.id, &worker.capacity) {
            Ok(()) => return Ok(()),
            Err(PlacementRefusal::Lack(lack)) => lacks.push(lack),
            Err(PlacementRefusal::Pinned | PlacementRefusal::Stale | PlacementRefusal::WorkerUnavailable) => {}
        }
    }
    if lacks.is_empty() {
        return Ok(()); // pinned to a worker that has not told its capacity yet
    }
    let kind = lacks.iter().map(|lack| lack.kind).max().unwrap_or(crate::resources::Kind::Cpu);
    let of_kind = || lacks.iter().filter(|lack| lack.kind == kind);
    let need = of_kind().map(|lack| lack.need).max().unwrap_or(0);
    let have = of_kind().map(|lack| lack.have).max().unwrap_or(0);
    Err(format!("it asks for {}, the largest worker offers {}", kind.show(need), kind.show(have)))
}
