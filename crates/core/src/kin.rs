//! Kin: tasks of one name. Which of them may not stand beside each other, and which would rather not: one rule for
//! placing, strategies and explanations.

use crate::event::PlacementRefusal;
use crate::ids::{JobId, UserId, WorkerId};
use crate::need::Traits;
use crate::task::TaskRecord;
use crate::worker::WorkerRecord;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The most labels from which a task is kept apart, and the most over which it is spread.
pub const MOST: usize = 8;
/// The fact by which a worker is a domain of its own.
const EACH: &str = "worker.id";

/// A label over which a task would rather be spread, and how much each of its kin that is there weighs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spread {
    /// The label or fact.
    pub label: String,
    /// 1 to 100.
    pub weight: i32,
}

/// What tasks that are kin have in common: their name, and their job, or their owner where they are of no job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kin {
    home: Home,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Home {
    Job(JobId),
    Owner(UserId),
}

impl Kin {
    /// That of a task; none of one without a name, and of one that asks for nothing of its kin: it is in nobody's way.
    #[must_use]
    pub fn of(task: &TaskRecord) -> Option<Self> {
        if task.spec.anti_affinity.is_empty() && task.spec.spread.is_empty() {
            return None;
        }
        let name = task.spec.name.clone()?;
        let home = task.job.map_or_else(|| Home::Owner(task.owner.clone()), Home::Job);
        Some(Self { home, name })
    }
}

/// Where kin have their workers now, attempts of all steps counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours(BTreeMap<Kin, BTreeMap<WorkerId, usize>>);

impl Neighbours {
    /// A task has this worker from now on.
    pub fn enter(&mut self, task: &TaskRecord, worker: &WorkerId) {
        if let Some(kin) = Kin::of(task) {
            *self.0.entry(kin).or_default().entry(worker.clone()).or_insert(0) += 1;
        }
    }

    /// A task has this worker no more.
    pub fn leave(&mut self, task: &TaskRecord, worker: &WorkerId) {
        let Some(kin) = Kin::of(task) else { return };
        let Some(on) = self.0.get_mut(&kin) else { return };
        if let Some(count) = on.get_mut(worker) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                on.remove(worker);
            }
        }
        if on.is_empty() {
            self.0.remove(&kin);
        }
    }

    /// A task has another worker than before, or one, or none.
    pub fn moved(&mut self, before: &TaskRecord, after: &TaskRecord) {
        let (was, is) = (before.active().map(|at| &at.worker), after.active().map(|at| &at.worker));
        if was != is {
            was.into_iter().for_each(|worker| self.leave(before, worker));
            is.into_iter().for_each(|worker| self.enter(after, worker));
        }
    }

    /// The workers that kin have, and how many of them each.
    pub fn on(&self, kin: &Kin) -> impl Iterator<Item = (&WorkerId, usize)> {
        self.0.get(kin).into_iter().flatten().map(|(worker, count)| (worker, *count))
    }

    /// How many kin have a worker that is one with this one under a key. Under most keys it costs a look at each of
    /// their workers; kept apart by the key, these are few.
    fn count<'a>(
        &self,
        kin: &Kin,
        key: &str,
        worker: &WorkerRecord,
        known: impl Fn(&WorkerId) -> Option<&'a WorkerRecord>,
    ) -> usize {
        let Some(on) = self.0.get(kin) else { return 0 };
        if key == EACH {
            return on.get(&worker.id).copied().unwrap_or(0);
        }
        let is_one = |id: &WorkerId| *id == worker.id || known(id).is_some_and(|other| are_one(key, worker, other));
        on.iter().filter(|(id, _)| is_one(id)).map(|(_, count)| *count).sum()
    }
}

/// Whether two workers are in one domain under a key: it has the same first value for both. One that has no such label
/// stands for itself.
#[must_use]
pub fn are_one(key: &str, one: &WorkerRecord, other: &WorkerRecord) -> bool {
    let first = |worker| Traits::of(worker).values(key).next();
    one.id == other.id || first(one).is_some_and(|value| first(other) == Some(value))
}

/// Domains that members of a gang take one after another, as far as they are to stand apart.
#[derive(Debug)]
pub struct Domains<'a> {
    keys: &'a [String],
    taken: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Domains<'a> {
    /// Of tasks that stand apart by these keys; none is taken yet.
    #[must_use]
    pub const fn of(keys: &'a [String]) -> Self {
        Self { keys, taken: BTreeSet::new() }
    }

    /// How many of so many that would fit on a worker may go there, beside those that were let in before: one at the
    /// most where they stand apart. They are taken to go there.
    pub fn room(&mut self, worker: &'a WorkerRecord, fit: u32) -> u32 {
        if self.keys.is_empty() || fit == 0 {
            return fit;
        }
        let traits = Traits::of(worker);
        let domain = |key: &'a String| traits.values(key).next().map(|value| (key.as_str(), value));
        if self.keys.iter().filter_map(domain).any(|domain| self.taken.contains(&domain)) {
            return 0;
        }
        self.taken.extend(self.keys.iter().filter_map(domain));
        1
    }
}

/// What keeps a task from a worker: one of its kin that has a worker of the same domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The label or fact by which they are to stand apart.
    pub label: String,
    /// What both workers have of it; none where it is the same worker, which has no such label.
    pub value: Option<String>,
}

impl Beside {
    /// What under this key.
    #[must_use]
    pub fn of(key: &str, worker: &WorkerRecord) -> Self {
        let value = Traits::of(worker).values(key).next();
        Self { label: key.to_owned(), value: value.map(ToOwned::to_owned) }
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = &self.label;
        match self.value.as_deref() {
            Some("") => write!(f, "a task of the same name runs on a worker with {label} without a value"),
            Some(value) => write!(f, "a task of the same name runs on a worker with {label} = {value}"),
            None => write!(f, "a task of the same name runs there, and it has no {label}"),
        }
    }
}

/// What of its kin keeps a task from a worker now, where `neighbours` are in their places and `known` tells of the
/// other workers; none where nothing does.
pub fn beside<'a>(
    task: &TaskRecord,
    worker: &WorkerRecord,
    neighbours: &Neighbours,
    known: impl Fn(&WorkerId) -> Option<&'a WorkerRecord>,
) -> Option<Beside> {
    let keys = &task.spec.anti_affinity;
    if keys.is_empty() {
        return None;
    }
    let kin = Kin::of(task)?;
    let taken = |key: &&String| neighbours.count(&kin, key, worker, &known) > 0;
    keys.iter().find(taken).map(|key| Beside::of(key, worker))
}

/// Whether a task may have a worker as far as its kin go: as [`beside`].
/// # Errors
/// What keeps it from there.
pub fn apart<'a>(
    task: &TaskRecord,
    worker: &WorkerRecord,
    neighbours: &Neighbours,
    known: impl Fn(&WorkerId) -> Option<&'a WorkerRecord>,
) -> Result<(), PlacementRefusal> {
    beside(task, worker, neighbours, known).map_or(Ok(()), |beside| Err(PlacementRefusal::Beside(beside)))
}

/// How much a task would rather have a worker: for the labels that hold there, less for kin that are near.
pub fn liking<'a>(
    task: &TaskRecord,
    worker: &WorkerRecord,
    neighbours: &Neighbours,
    known: impl Fn(&WorkerId) -> Option<&'a WorkerRecord>,
) -> i32 {
    let labels = task.spec.liking(Traits::of(worker));
    let Some(kin) = Kin::of(task).filter(|_| !task.spec.spread.is_empty()) else { return labels };
    let near = |over: &Spread| weighed(over.weight, neighbours.count(&kin, &over.label, worker, &known));
    task.spec.spread.iter().map(near).fold(labels, i32::saturating_sub)
}

/// What so many kin weigh against a worker.
#[must_use]
pub fn weighed(weight: i32, count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX).saturating_mul(weight)
}

/// Bytes of text in both.
#[must_use]
pub(crate) fn weight(apart: &[String], spread: &[Spread]) -> usize {
    apart.iter().map(|key| key.len() + 3).chain(spread.iter().map(|over| over.label.len() + 24)).sum()
}

#[cfg(test)]
mod tests;
