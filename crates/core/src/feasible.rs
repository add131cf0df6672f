//! Whether a task fits a worker, and why not: one rule for placing, strategies and explain.

use crate::event::PlacementRefusal;
use crate::need::Traits;
use crate::resources::{Allocation, Free, Kind};
use crate::spec::TaskSpec;
use crate::unmet::Unmet;
use crate::worker::WorkerRecord;

/// What the task would hold of this worker now.
/// # Errors
/// The first reason against it, in the order: pinned elsewhere, needs that are not met, takes no work, short of something.
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
    let unmet = spec.unmet(Traits::of(worker)).next();
    unmet.map_or(Ok(()), |need| Err(PlacementRefusal::Unmet(need)))
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
    let known = workers.filter(|worker| worker.connected_at.is_some());
    if known.clone().next().is_none() {
        return Ok(());
    }
    let (mut lacks, mut misses) = (Vec::new(), false);
    for worker in known.clone() {
        match could_ever(spec, worker) {
            Ok(()) => return Ok(()),
            Err(PlacementRefusal::Lack(lack)) => lacks.push(lack),
            Err(PlacementRefusal::Unmet(_)) => misses = true,
            Err(PlacementRefusal::Pinned | PlacementRefusal::Stale | PlacementRefusal::WorkerUnavailable) => {}
        }
    }
    if lacks.is_empty() {
        let allowed = known.clone().filter(|worker| spec.worker_id.as_ref().is_none_or(|pinned| *pinned == worker.id));
        // Else it is pinned to a worker that has not told its capacity yet.
        return Unmet::nearest(spec, allowed).map_or(Ok(()), |nearest| Err(nearest.never(known)));
    }
    let kind = lacks.iter().map(|lack| lack.kind).max().unwrap_or(Kind::Cpu);
    let of_kind = || lacks.iter().filter(|lack| lack.kind == kind);
    let need = of_kind().map(|lack| lack.need).max().unwrap_or(0);
    let have = of_kind().map(|lack| lack.have).max().unwrap_or(0);
    let of_those = if misses { " that meets its needs" } else { "" };
    Err(format!("it asks for {}, the largest worker{of_those} offers {}", kind.show(need), kind.show(have)))
}
