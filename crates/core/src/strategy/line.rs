//! Waiting jobs in the order in which they are looked at, class by class.

use super::numbers::{NOWHERE, small};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ops::Bound;

/// A job's place in the line of a strategy: smaller is looked at first. No two jobs have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Since when a job waits too long; [`SIZED`] and above, the size of others.
    rank: u64,
    order: u64,
}

/// Sizes are not negative: the bits of such numbers are in the same order, and leave this one free.
const SIZED: u64 = 1 << 63;

impl Key {
    /// The place of a job of a size that is not negative.
    pub(super) fn of(size: f64, order: u64) -> Self {
        Self { rank: SIZED | size.max(0.0).to_bits(), order }
    }

    /// The place of one that waited too long since a time, or that is planned to start then.
    pub(super) const fn promoted(since: u64, order: u64) -> Self {
        Self { rank: if since < SIZED { since } else { SIZED - 1 }, order }
    }

    /// The place of one that is long against the whole backlog: before all others but those that waited too long, the
    /// largest first.
    pub(super) fn critical(size: f64, order: u64) -> Self {
        Self { rank: SIZED - 1 - (size.max(0.0).to_bits() >> 1), order }
    }

    /// Behind all in the line.
    pub(super) const fn last(order: u64) -> Self {
        Self { rank: u64::MAX, order }
    }

    /// The key whose [`Key::parts`] these are.
    #[must_use]
    pub const fn at(rank: u64, order: u64) -> Self {
        Self { rank, order }
    }

    /// Two numbers that say all of it, in the order in which they count.
    #[must_use]
    pub const fn parts(self) -> (u64, u64) {
        (self.rank, self.order)
    }

    /// Whether it waited too long.
    pub(super) const fn is_promoted(&self) -> bool {
        self.rank < SIZED
    }
}

/// The line.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    places: Vec<Place>,
    classes: Vec<BTreeSet<(Key, u32)>>,
    /// The first of each class that has jobs.
    heads: BTreeMap<(Key, u32), u32>,
    waiting: usize,
}

/// Where a job stands; its class is [`NOWHERE`] when it does not.
#[derive(Clone, Copy, Debug)]
struct Place {
    key: Key,
    class: u32,
}

impl Line {
    /// One of these jobs, each with its class: quicker than to put one after the other.
    pub(super) fn of(jobs: impl IntoIterator<Item = (usize, usize, Key)>) -> Self {
        let mut line = Self::default();
        let mut classes: Vec<Vec<(Key, u32)>> = Vec::new();
        for (job, class, key) in jobs {
            if line.places.len() <= job {
                line.places.resize(job + 1, Place { key, class: NOWHERE });
            }
            if classes.len() <= class {
                classes.resize(class + 1, Vec::new());
            }
            line.places[job] = Place { key, class: small(class) };
            classes[class].push((key, small(job)));
            line.waiting += 1;
        }
        line.classes = classes.into_iter().map(BTreeSet::from_iter).collect();
        let heads = line.classes.iter().enumerate().filter_map(|(class, jobs)| Some((*jobs.first()?, small(class))));
        line.heads = heads.collect();
        line
    }

    /// Puts a job in, or elsewhere.
    pub(super) fn put(&mut self, job: usize, class: usize, key: Key) {
        self.remove(job);
        if self.places.len() <= job {
            self.places.resize(job + 1, Place { key, class: NOWHERE });
        }
        if self.classes.len() <= class {
            self.classes.resize(class + 1, BTreeSet::new());
        }
        self.places[job] = Place { key, class: small(class) };
        let head = self.classes[class].first().copied();
        self.classes[class].insert((key, small(job)));
        self.renew_head(class, head);
        self.waiting += 1;
    }

    /// Takes a job out; answers whether it was in.
    pub(super) fn remove(&mut self, job: usize) -> bool {
        let Some(place) = self.places.get_mut(job).filter(|place| place.class != NOWHERE) else { return false };
        let class = std::mem::replace(&mut place.class, NOWHERE) as usize;
        let key = place.key;
        let head = self.classes[class].first().copied();
        self.classes[class].remove(&(key, small(job)));
        self.renew_head(class, head);
        self.waiting -= 1;
        true
    }

    fn renew_head(&mut self, class: usize, before: Option<(Key, u32)>) {
        let now = self.classes[class].first().copied();
        if before == now {
            return;
        }
        before.map(|before| self.heads.remove(&before));
        now.map(|now| self.heads.insert(now, small(class)));
    }

    /// The first of all.
    pub(super) fn first(&self) -> Option<usize> {
        self.heads.first_key_value().map(|((_, job), _)| *job as usize)
    }

    /// The jobs behind a place, or all, in order; each costs a little more the more classes there are.
    pub(super) fn rising(&self, after: Option<Key>) -> impl Iterator<Item = (Key, usize)> {
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded((key, u32::MAX)));
        let first = |(class, jobs): (usize, &BTreeSet<_>)| {
            jobs.range((from, Bound::Unbounded)).next().map(|job| Reverse((*job, class)))
        };
        let mut heads: BinaryHeap<_> = self.classes.iter().enumerate().filter_map(first).collect();
        std::iter::from_fn(move || {
            let Reverse(((key, job), class)) = heads.pop()?;
            let next = self.behind(class, key, job as usize);
            heads.extend(next.map(|(key, job)| Reverse(((key, small(job)), class))));
            Some((key, job as usize))
        })
    }

    /// Every job, in no order.
    pub(super) fn each(&self) -> impl Iterator<Item = usize> {
        self.classes.iter().flatten().map(|(_, job)| *job as usize)
    }

    /// Every job of a class.
    pub(super) fn of_class(&self, class: usize) -> impl Iterator<Item = usize> {
        self.classes[class].iter().map(|(_, job)| *job as usize)
    }

    /// How many.
    pub(super) const fn len(&self) -> usize {
        self.waiting
    }

    /// The classes that have jobs, each with its first, in the order of those.
    pub(super) fn heads(&self) -> impl Iterator<Item = (Key, usize, usize)> {
        self.heads.iter().map(|((key, job), class)| (*key, *job as usize, *class as usize))
    }

    /// The first of a class behind a place.
    pub(super) fn behind(&self, class: usize, key: Key, job: usize) -> Option<(Key, usize)> {
        let from = Bound::Excluded((key, small(job)));
        self.classes[class].range((from, Bound::Unbounded)).next().map(|(key, job)| (*key, *job as usize))
    }

    /// The class of a job that stands here.
    pub(super) fn class(&self, job: usize) -> Option<usize> {
        self.places.get(job).filter(|place| place.class != NOWHERE).map(|place| place.class as usize)
    }

    /// A job's place.
    pub(super) fn key(&self, job: usize) -> Option<Key> {
        self.places.get(job).filter(|place| place.class != NOWHERE).map(|place| place.key)
    }
}
