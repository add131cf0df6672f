//! Waiting jobs in the order in which they are looked at: all together, and class by class.

use std::collections::BTreeSet;
use std::ops::Bound;

/// A job's place: smaller is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// 0 for a job that waited too long, 1 for others.
    tier: u8,
    /// A number that is not negative, as its bits: they are in the same order.
    value: u64,
    order: u64,
}

impl Key {
    /// The place of a job of a size that is not negative.
    pub(super) fn of(size: f64, order: u64) -> Self {
        Self { tier: 1, value: size.max(0.0).to_bits(), order }
    }

    /// Whether it waited too long.
    pub(super) const fn is_promoted(&self) -> bool {
        self.tier == 0
    }

    /// The place of one that waited too long since a time.
    pub(super) const fn promoted(since: u64, order: u64) -> Self {
        Self { tier: 0, value: since, order }
    }
}

/// The line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    places: Vec<Option<(Key, usize)>>,
    all: BTreeSet<(Key, usize)>,
    classes: Vec<BTreeSet<(Key, usize)>>,
    /// The classes that have jobs, in no order that counts, and where each stands here.
    active: Vec<usize>,
    at: Vec<usize>,
}

impl Line {
    /// Puts a job in, or elsewhere.
    pub(super) fn put(&mut self, job: usize, class: usize, key: Key) {
        self.remove(job);
        while self.places.len() <= job {
            self.places.push(None);
        }
        while self.classes.len() <= class {
            self.classes.push(BTreeSet::new());
            self.at.push(0);
        }
        self.places[job] = Some((key, class));
        self.all.insert((key, job));
        if self.classes[class].is_empty() {
            self.at[class] = self.active.len();
            self.active.push(class);
        }
        self.classes[class].insert((key, job));
    }

    /// Takes a job out; answers whether it was in.
    pub(super) fn remove(&mut self, job: usize) -> bool {
        let Some((key, class)) = self.places.get_mut(job).and_then(Option::take) else { return false };
        self.all.remove(&(key, job));
        self.classes[class].remove(&(key, job));
        if self.classes[class].is_empty() {
            let at = self.at[class];
            self.active.swap_remove(at);
            if let Some(moved) = self.active.get(at) {
                self.at[*moved] = at;
            }
        }
        true
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<usize> {
        self.all.first().map(|(_, job)| *job)
    }

    /// Every job in order.
    pub(super) fn jobs(&self) -> impl Iterator<Item = usize> {
        self.all.iter().map(|(_, job)| *job)
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The classes that have jobs.
    pub(super) fn active(&self) -> &[usize] {
        &self.active
    }

    /// The first of a class behind a place.
    pub(super) fn of_class(&self, class: usize, after: Option<(Key, usize)>) -> Option<(Key, usize)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.classes[class].range((from, Bound::Unbounded)).next().copied()
    }

    /// A job's place.
    pub(super) fn key(&self, job: usize) -> Option<Key> {
        self.places.get(job).copied().flatten().map(|(key, _)| key)
    }
}
