//! The smallest change with which a task fits.

use super::fit::lacks;
use crate::ids::WorkerId;
use crate::label::Changes;
use crate::need::Traits;
use crate::resources::{Demand, Free, Kind, MIB, WHOLE};
use crate::spec::TaskSpec;
use crate::strategy::{Fleet, Seen};
use crate::unmet::Unmet;
use crate::worker::Idle;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How many changes of what a task asks for are told.
const MOST: usize = 3;
/// The least memory that a task may ask for.
const LEAST_MEMORY: u64 = 6 * MIB;

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The task asks for less; then it fits there.
    Ask(Asked),
    /// The task is pinned to no worker; then it fits there.
    Unpin(WorkerId),
    /// A worker with room is given work again.
    Open(WorkerId, Idle),
    /// A worker's labels are changed; then it fits there.
    Label(WorkerId, Changes),
}

/// What a task would ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Where it fits then.
    pub worker: WorkerId,
    /// The resources of which less must be asked for, and how much at most.
    pub at_most: Vec<(Kind, u64)>,
    /// Whether the GPU must be allowed to be of any model.
    pub any_model: bool,
}

impl Asked {
    /// The demand with this change.
    #[must_use]
    pub fn apply(&self, demand: &Demand) -> Demand {
        let mut changed = demand.clone();
        for (kind, amount) in &self.at_most {
            match kind {
                Kind::Cpu => changed.cpu_milli = *amount,
                Kind::Memory => changed.memory = *amount,
                Kind::Storage => changed.storage = *amount,
                Kind::Gpu => changed.gpu_milli = *amount,
            }
        }
        if self.any_model {
            changed.gpu_model = None;
        }
        changed
    }

    /// How much is changed: fewer things first, then the largest part that is given up, then all parts together.
    #[allow(clippy::cast_precision_loss, reason = "only compared")]
    fn compare(&self, other: &Self, demand: &Demand) -> Ordering {
        let things = |asked: &Self| asked.at_most.len() + usize::from(asked.any_model);
        let given = |(kind, to): &(Kind, u64)| 1.0 - *to as f64 / demand.amount(*kind).max(1) as f64;
        let largest = |asked: &Self| asked.at_most.iter().map(given).fold(0.0, f64::max);
        let all = |asked: &Self| asked.at_most.iter().map(given).sum::<f64>();
        let by_size = things(self).cmp(&things(other)).then(largest(self).total_cmp(&largest(other)));
        by_size.then(all(self).total_cmp(&all(other))).then_with(|| self.worker.cmp(&other.worker))
    }
}

/// The smallest changes with which a task that fits nowhere fits now.
pub(super) fn now(spec: &TaskSpec, fleet: &Fleet) -> Vec<Change> {
    let (demand, workers) = (&spec.demand, meeting(spec, fleet));
    let workers = || workers.iter().copied();
    let allowed = |seen: &&Seen| spec.worker_id.as_ref().is_none_or(|pin| *pin == seen.record().id);
    let open = |seen: &&Seen| seen.record().takes_work();
    let mut changes = smallest(demand, workers().filter(allowed).filter(open).map(|seen| (seen, seen.free().clone())));
    let room = |seen: &&Seen| seen.free().pick(demand).is_ok();
    if spec.worker_id.is_some()
        && let Some(other) = workers().filter(open).find(room)
    {
        changes.push(Change::Unpin(other.record().id.clone()));
    }
    let closed = |seen: &Seen| {
        let idle = seen.record().idle_while(!seen.held().is_empty())?;
        matches!(idle, Idle::Cordoned | Idle::Draining | Idle::Drained | Idle::Quarantined).then_some(idle)
    };
    let mut kept = workers().filter(allowed).filter(room);
    changes.extend(kept.find_map(|seen| Some(Change::Open(seen.record().id.clone(), closed(seen)?))));
    changes.extend(relabelled(spec, fleet.each().filter(allowed).filter(open).filter(room)));
    changes
}

/// The smallest changes with which some worker could run a task at all.
pub(super) fn at_all(spec: &TaskSpec, fleet: &Fleet) -> Vec<Change> {
    let (demand, workers) = (&spec.demand, meeting(spec, fleet));
    let workers = || workers.iter().copied();
    let known = || workers().filter(|seen| seen.record().connected_at.is_some());
    let allowed = |seen: &&Seen| spec.worker_id.as_ref().is_none_or(|pin| *pin == seen.record().id);
    let whole = |seen: &Seen| Free::all(&seen.record().capacity);
    let mut changes = smallest(demand, known().filter(allowed).map(|seen| (seen, whole(seen))));
    if spec.worker_id.is_some()
        && let Some(other) = known().find(|seen| whole(seen).pick(demand).is_ok())
    {
        changes.push(Change::Unpin(other.record().id.clone()));
    }
    let large = |seen: &&Seen| whole(seen).pick(demand).is_ok();
    let came = |seen: &&Seen| seen.record().connected_at.is_some();
    changes.extend(relabelled(spec, fleet.each().filter(came).filter(allowed).filter(large)));
    changes
}

/// The workers that meet what the task needs beyond amounts: it can not do without.
fn meeting<'a>(spec: &TaskSpec, fleet: &'a Fleet) -> Vec<&'a Seen> {
    let meets = |seen: &&Seen| spec.unmet(Traits::of(seen.record())).next().is_none();
    fleet.each().filter(meets).collect()
}

/// The fewest labels with which one of these workers meets what the task needs, where labels are all that it misses.
fn relabelled<'a>(spec: &TaskSpec, workers: impl Iterator<Item = &'a Seen>) -> Option<Change> {
    let changed = workers.filter_map(|seen| {
        let record = &**seen.record();
        let changes = Unmet::nearest(spec, std::iter::once(record))?.remedy()?;
        Some((record.id.clone(), changes))
    });
    let (worker, changes) = changed.min_by_key(|(_, changes)| changes.len())?;
    Some(Change::Label(worker, changes))
}

/// The smallest change for each set of things that are changed, the smallest first.
fn smallest<'a>(demand: &Demand, workers: impl Iterator<Item = (&'a Seen, Free)>) -> Vec<Change> {
    let mut best: BTreeMap<(Vec<Kind>, bool), Asked> = BTreeMap::new();
    for asked in workers.filter_map(|(seen, free)| less(demand, &seen.record().id, &free)) {
        let things = (asked.at_most.iter().map(|(kind, _)| *kind).collect(), asked.any_model);
        match best.get(&things) {
            Some(known) if known.compare(&asked, demand).is_le() => {}
            Some(_) | None => drop(best.insert(things, asked)),
        }
    }
    let mut all: Vec<Asked> = best.into_values().collect();
    all.sort_by(|one, other| one.compare(other, demand));
    all.truncate(MOST);
    all.into_iter().map(Change::Ask).collect()
}

/// What must be asked for less on a worker; none where it has nothing left of something.
fn less(demand: &Demand, worker: &WorkerId, free: &Free) -> Option<Asked> {
    let mut change = Asked { worker: worker.clone(), at_most: Vec::new(), any_model: false };
    for lack in lacks(demand, free) {
        match lack.kind {
            Kind::Cpu | Kind::Storage | Kind::Memory => {
                let least = match lack.kind {
                    Kind::Cpu => 1,
                    Kind::Memory => LEAST_MEMORY,
                    Kind::Storage | Kind::Gpu => 0,
                };
                change.at_most.push((lack.kind, Some(lack.have).filter(|have| *have >= least)?));
            }
            Kind::Gpu if demand.gpu_model.is_some() && lack.have == 0 => {
                change.any_model = true;
                let any = Demand { gpu_model: None, ..demand.clone() };
                if let Some(lack) = lacks(&any, free).find(|lack| lack.kind == Kind::Gpu) {
                    change.at_most.push((Kind::Gpu, devices(free, lack.have)?));
                }
            }
            Kind::Gpu => change.at_most.push((Kind::Gpu, devices(free, lack.have)?)),
        }
    }
    (!change.at_most.is_empty() || change.any_model).then_some(change)
}

/// Whole devices, else the largest share of one.
fn devices(free: &Free, whole: u64) -> Option<u64> {
    let share = || free.devices().iter().map(|(_, left)| *left).filter(|left| (1..WHOLE).contains(left)).max();
    if whole > 0 { Some(whole) } else { share() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::GIB;

    #[test]
    fn of_two_changes_with_the_same_largest_part_the_one_that_gives_up_less_is_smaller() {
        let demand = Demand { cpu_milli: 4000, memory: 8 * GIB, storage: 0, gpu_milli: 0, gpu_model: None };
        let asked = |worker: &str, memory: u64| Asked {
            worker: worker.parse().unwrap(),
            at_most: vec![(Kind::Cpu, 1000), (Kind::Memory, memory * GIB)],
            any_model: false,
        };
        let (less, more) = (asked("w1", 2), asked("w3", 3));
        assert_eq!(less.compare(&more, &demand), Ordering::Greater);
        assert_eq!(more.compare(&asked("w4", 3), &demand), Ordering::Less, "then by name");
    }
}
