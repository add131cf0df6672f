//! Whether a task fits a worker, and why not: one rule for placing, strategies and explain.

use crate::event::PlacementRefusal;
use crate::kin::Domains;
use crate::need::Traits;
use crate::resources::{Allocation, Capacity, Demand, Free, Kind, Lack};
use crate::spec::TaskSpec;
use crate::unmet::Unmet;
use crate::worker::WorkerRecord;

/// What a task would be given on a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// What it would hold.
    pub allocation: Allocation,
    /// Which of its requests that is, from 0 on.
    pub request: u8,
}

/// What the task would hold of this worker now: the first of its requests that fits, as far as the worker goes by
/// itself. What runs elsewhere is asked by [`crate::kin::apart`].
/// # Errors
/// The first reason against it, in the order: pinned elsewhere, needs that are not met, takes no work, short of something.
pub fn fits(spec: &TaskSpec, worker: &WorkerRecord, free: &Free) -> Result<Fit, PlacementRefusal> {
    may_run(spec, worker)?;
    if !worker.takes_work() {
        return Err(PlacementRefusal::WorkerUnavailable);
    }
    pick(spec, &worker.capacity, free).map_err(PlacementRefusal::Lack)
}

/// The first of a task's requests that fits what is left of a worker of this capacity.
/// # Errors
/// What is short for the request that [`nearest`] names.
pub fn pick(spec: &TaskSpec, capacity: &Capacity, free: &Free) -> Result<Fit, Lack> {
    let lack = match free.pick(&spec.demand) {
        Ok(allocation) => return Ok(Fit { allocation, request: 0 }),
        Err(lack) => lack,
    };
    for (request, demand) in (1..).zip(&spec.alternatives) {
        if let Ok(allocation) = free.pick(demand) {
            return Ok(Fit { allocation, request });
        }
    }
    Err(free.pick(nearest(spec, capacity)).err().unwrap_or(lack))
}

/// The first of a task's requests that a worker of this capacity could hold if nothing ran there, else the first of all:
/// what to tell of it where none fits.
#[must_use]
pub fn nearest<'s>(spec: &'s TaskSpec, capacity: &Capacity) -> &'s Demand {
    if spec.alternatives.is_empty() {
        return &spec.demand;
    }
    let whole = Free::all(capacity);
    spec.demands().find(|demand| whole.pick(demand).is_ok()).unwrap_or(&spec.demand)
}

/// Whether the worker could run the task if nothing else ran there and it were active.
/// # Errors
/// The first reason against it.
pub fn could_ever(spec: &TaskSpec, worker: &WorkerRecord) -> Result<(), PlacementRefusal> {
    may_run(spec, worker)?;
    pick(spec, &worker.capacity, &Free::all(&worker.capacity)).map(drop).map_err(PlacementRefusal::Lack)
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
            // What runs beside it is not asked about here: it ends.
            Err(
                PlacementRefusal::Pinned
                | PlacementRefusal::Stale
                | PlacementRefusal::WorkerUnavailable
                | PlacementRefusal::Beside(_)
                | PlacementRefusal::Gang,
            ) => {}
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
    let asked = match spec.requests() {
        1 => "it asks".to_owned(),
        count => format!("none of its {count} requests fits any worker: the first asks"),
    };
    Err(format!("{asked} for {}, the largest worker{of_those} offers {}", kind.show(need), kind.show(have)))
}

/// Whether the workers could run so many such tasks at once if nothing else ran: as [`satisfiable`] of one.
/// # Errors
/// A sentence; where one could run it says how many could.
pub fn gang_satisfiable<'a>(
    spec: &TaskSpec,
    size: u32,
    workers: impl Iterator<Item = &'a WorkerRecord> + Clone,
) -> Result<(), String> {
    satisfiable(spec, workers.clone())?;
    let (mut room, mut apart) = (0, Domains::of(&spec.anti_affinity));
    for worker in workers.filter(|worker| worker.connected_at.is_some()) {
        if could_ever(spec, worker).is_ok() {
            room += apart.room(worker, so_many(spec, Free::all(&worker.capacity), size - room));
        }
        if room >= size {
            return Ok(());
        }
    }
    // Where nobody is known who could run one nothing is known to be impossible.
    if room == 0 {
        return Ok(());
    }
    Err(format!("its gang of {size} starts together, and the workers that are known could run {room} of it at once"))
}

/// How many such tasks have room on a worker now, at most so many.
#[must_use]
pub fn room(spec: &TaskSpec, worker: &WorkerRecord, free: &Free, most: u32) -> u32 {
    if fits(spec, worker, free).is_ok() { so_many(spec, free.clone(), most) } else { 0 }
}

fn so_many(spec: &TaskSpec, mut free: Free, most: u32) -> u32 {
    let mut count = 0;
    while count < most
        && let Ok(allocation) = free.pick(&spec.demand)
        && free.take(&allocation).is_ok()
    {
        count += 1;
    }
    count
}
