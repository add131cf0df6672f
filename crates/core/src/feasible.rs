//! Whether a task fits a worker, and why not: one rule for placing, strategies and explain.

use crate::access::{self, Access};
use crate::event::PlacementRefusal;
use crate::resources::{Allocation, Free};
use crate::spec::TaskSpec;
use crate::worker::WorkerRecord;

/// What the task would hold of this worker now.
/// # Errors
/// The first reason against it, in the order: pinned elsewhere, takes no work, short of something.
pub fn fits(spec: &TaskSpec, worker: &WorkerRecord, free: &Free) -> Result<Allocation, PlacementRefusal> {
    may_run(spec, worker)?;
    if !worker.takes_work() {
        return Err(PlacementRefusal::WorkerUnavailable);
    }
    free.pick(&spec.demand).map_err(PlacementRefusal::Lack)
}

/// Whether the worker could run the task if nothing else ran there and it were active.
/// # Errors
/// The first reason against it.
pub fn could_ever(spec: &TaskSpec, worker: &WorkerRecord) -> Result<(), PlacementRefusal> {
    may_run(spec, worker)?;
    Free::all(&worker.capacity).pick(&spec.demand).map(drop).map_err(PlacementRefusal::Lack)
}

fn may_run(spec: &TaskSpec, worker: &WorkerRecord) -> Result<(), PlacementRefusal> {
    if spec.worker_id.as_ref().is_some_and(|pinned| *pinned != worker.id) {
        return Err(PlacementRefusal::Pinned);
    }
    if spec.container.volumes.is_empty() {
        return Ok(());
    }
    match access::first_missing(&spec.needs(), &worker.about.offers) {
        Some(need) => Err(PlacementRefusal::NotOffered(need.clone())),
        None => Ok(()),
    }
}

/// What no worker lets the task have, or not the one that it is pinned to.
fn nobody_offers(spec: &TaskSpec, need: &Access) -> String {
    let who = spec.worker_id.as_ref().map_or_else(|| "no worker".to_owned(), |pinned| format!("not {pinned}"));
    let how = if need.writable { "to be written to" } else { "to be read" };
    format!("it needs {} {how}, which {who} offers; {}", need.origin, need.advice("start a worker with"))
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
    let (mut lacks, mut not_offered) = (Vec::new(), None);
    for worker in known {
        match could_ever(spec, worker) {
            Ok(()) => return Ok(()),
            Err(PlacementRefusal::Lack(lack)) => lacks.push(lack),
            Err(PlacementRefusal::NotOffered(need)) => not_offered = not_offered.or(Some(need)),
            Err(PlacementRefusal::Pinned | PlacementRefusal::Stale | PlacementRefusal::WorkerUnavailable) => {}
        }
    }
    if lacks.is_empty() {
        // Else it is pinned to a worker that has not told its capacity yet.
        return not_offered.map_or(Ok(()), |need| Err(nobody_offers(spec, &need)));
    }
    let kind = lacks.iter().map(|lack| lack.kind).max().unwrap_or(crate::resources::Kind::Cpu);
    let of_kind = || lacks.iter().filter(|lack| lack.kind == kind);
    let need = of_kind().map(|lack| lack.need).max().unwrap_or(0);
    let have = of_kind().map(|lack| lack.have).max().unwrap_or(0);
    Err(format!("it asks for {}, the largest worker offers {}", kind.show(need), kind.show(have)))
}
