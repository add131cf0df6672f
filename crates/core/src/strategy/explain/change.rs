//! The smallest change with which a task fits.

use super::fit::lacks;
use crate::ids::WorkerId;
use crate::label::{self, Changes};
use crate::need::Traits;
use crate::resources::{Demand, Free, Kind, MIB, WHOLE};
use crate::spec::TaskSpec;
use crate::strategy::{Fleet, Seen};
use crate::task::TaskRecord;
use crate::unmet::Unmet;
use crate::worker::{Idle, WorkerRecord};
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
    /// In which of its requests, from 0 on; none where it has one alone.
    pub request: Option<u8>,
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

    /// What it changes of the task: the demand that it is about.
    #[must_use]
    pub fn of<'s>(&self, spec: &'s TaskSpec) -> &'s Demand {
        spec.request(self.request.unwrap_or_default())
    }

    /// How much is changed: fewer things first, then the largest part that is given up, then all parts together.
    #[allow(clippy::cast_precision_loss, reason = "only compared")]
    fn compare(&self, other: &Self, spec: &TaskSpec) -> Ordering {
        let things = |asked: &Self| asked.at_most.len() + usize::from(asked.any_model);
        let given = |asked: &Self| -> Vec<f64> {
            let demand = asked.of(spec);
            let part = |(kind, to): &(Kind, u64)| 1.0 - *to as f64 / demand.amount(*kind).max(1) as f64;
            asked.at_most.iter().map(part).collect()
        };
        let (mine, others) = (given(self), given(other));
        let largest = |parts: &[f64]| parts.iter().copied().fold(0.0, f64::max);
        let all = |parts: &[f64]| parts.iter().sum::<f64>();
        let by_size = things(self).cmp(&things(other)).then(largest(&mine).total_cmp(&largest(&others)));
        let by_all = by_size.then(all(&mine).total_cmp(&all(&others)));
        by_all.then_with(|| (self.request, &self.worker).cmp(&(other.request, &other.worker)))
    }
}

/// The smallest changes with which a task that fits nowhere fits now. None lets it stand beside its kin: these end.
pub(super) fn now(record: &TaskRecord, fleet: &Fleet) -> Vec<Change> {
    let spec = &*record.spec;
    let mut workers = meeting(spec, fleet);
    workers.retain(|seen| fleet.beside(record, seen.record()).is_none());
    let workers = || workers.iter().copied();
    let allowed = |seen: &&Seen| spec.worker_id.as_ref().is_none_or(|pin| *pin == seen.record().id);
    let open = |seen: &&Seen| seen.record().takes_work();
    let mut changes = smallest(spec, workers().filter(allowed).filter(open).map(|seen| (seen, seen.free().clone())));
    let room = |seen: &&Seen| has_room(spec, seen.free());
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
    let apart = |worker: &WorkerRecord| fleet.beside(record, worker).is_none();
    changes.extend(relabelled(spec, fleet.each().filter(allowed).filter(open).filter(room), apart));
    changes
}

/// The smallest changes with which some worker could run a task at all.
pub(super) fn at_all(spec: &TaskSpec, fleet: &Fleet) -> Vec<Change> {
    let workers = meeting(spec, fleet);
    let workers = || workers.iter().copied();
    let known = || workers().filter(|seen| seen.record().connected_at.is_some());
    let allowed = |seen: &&Seen| spec.worker_id.as_ref().is_none_or(|pin| *pin == seen.record().id);
    let whole = |seen: &Seen| Free::all(&seen.record().capacity);
    let mut changes = smallest(spec, known().filter(allowed).map(|seen| (seen, whole(seen))));
    if spec.worker_id.is_some()
        && let Some(other) = known().find(|seen| has_room(spec, &whole(seen)))
    {
        changes.push(Change::Unpin(other.record().id.clone()));
    }
    let large = |seen: &&Seen| has_room(spec, &whole(seen));
    let came = |seen: &&Seen| seen.record().connected_at.is_some();
    changes.extend(relabelled(spec, fleet.each().filter(came).filter(allowed).filter(large), |_| true));
    changes
}

/// The workers that meet what the task needs beyond amounts: it can not do without.
fn meeting<'a>(spec: &TaskSpec, fleet: &'a Fleet) -> Vec<&'a Seen> {
    let meets = |seen: &&Seen| spec.unmet(Traits::of(seen.record())).next().is_none();
    fleet.each().filter(meets).collect()
}

/// The fewest labels with which one of these workers meets what the task needs, where labels are all that it misses and
/// it may have the worker as that is then.
fn relabelled<'a>(
    spec: &TaskSpec,
    workers: impl Iterator<Item = &'a Seen>,
    may_have: impl Fn(&WorkerRecord) -> bool,
) -> Option<Change> {
    let changed = workers.filter_map(|seen| {
        let record = &**seen.record();
        let changes = Unmet::nearest(spec, std::iter::once(record))?.remedy()?;
        let mut after = WorkerRecord::clone(record);
        label::change(&mut after.labels, &changes);
        may_have(&after).then(|| (record.id.clone(), changes))
    });
    let (worker, changes) = changed.min_by_key(|(_, changes)| changes.len())?;
    Some(Change::Label(worker, changes))
}

/// Whether one of a task's requests fits.
fn has_room(spec: &TaskSpec, free: &Free) -> bool {
    spec.demands().any(|demand| free.pick(demand).is_ok())
}

/// The smallest change for each set of things that are changed in one of its requests, the smallest first.
fn smallest<'a>(spec: &TaskSpec, workers: impl Iterator<Item = (&'a Seen, Free)>) -> Vec<Change> {
    let mut best: BTreeMap<(Option<u8>, Vec<Kind>, bool), Asked> = BTreeMap::new();
    for (seen, free) in workers {
        let choice = !spec.alternatives.is_empty();
        let each = (0..).zip(spec.demands()).filter_map(|(request, demand)| {
            let asked = less(demand, &seen.record().id, &free)?;
            Some(Asked { request: choice.then_some(request), ..asked })
        });
        for asked in each {
            let kinds = asked.at_most.iter().map(|(kind, _)| *kind).collect();
            let things = (asked.request, kinds, asked.any_model);
            match best.get(&things) {
                Some(known) if known.compare(&asked, spec).is_le() => {}
                Some(_) | None => drop(best.insert(things, asked)),
            }
        }
    }
    let mut all: Vec<Asked> = best.into_values().collect();
    all.sort_by(|one, other| one.compare(other, spec));
    all.truncate(MOST);
    all.into_iter().map(Change::Ask).collect()
}

/// What must be asked for less on a worker; none where it has nothing left of something.
fn less(demand: &Demand, worker: &WorkerId, free: &Free) -> Option<Asked> {
    let mut change = Asked { worker: worker.clone(), at_most: Vec::new(), any_model: false, request: None };
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
        let mut spec = TaskSpec::of_image("a").unwrap();
        spec.demand = Demand { cpu_milli: 4000, memory: 8 * GIB, storage: 0, gpu_milli: 0, gpu_model: None };
        let asked = |worker: &str, memory: u64| Asked {
            worker: worker.parse().unwrap(),
            at_most: vec![(Kind::Cpu, 1000), (Kind::Memory, memory * GIB)],
            any_model: false,
            request: None,
        };
        let (less, more) = (asked("w1", 2), asked("w3", 3));
        assert_eq!(less.compare(&more, &spec), Ordering::Greater);
        assert_eq!(more.compare(&asked("w4", 3), &spec), Ordering::Less, "then by name");
    }
}
