//! A task as strategies see it.

use super::{Data, Image};
use crate::predict::Prediction;
use crate::strategy::numbers::{NOWHERE, differ, small};

/// A task as strategies see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// What it asks for: the number of a [`Class`](super::Class).
    pub class: usize,
    /// When it was submitted.
    pub arrival: u64,
    /// Its place among equals: smaller is earlier.
    pub order: u64,
    /// -100 to 100, higher is more urgent.
    pub priority: i32,
    /// Whose it is, as a number.
    pub user: usize,
    /// How long its user says that it runs; at least 1.
    pub estimate: Option<u64>,
    /// How long tasks like it ran.
    pub predicted: Option<Length>,
    /// When it should have ended.
    pub deadline: Option<u64>,
    /// What it runs.
    pub image: Image,
    /// What it finds.
    pub data: Data,
}

impl Job {
    /// A job of a class that came first of all, and of which is known only what its user says of its length.
    #[must_use]
    pub fn plain(class: usize, estimate: u64) -> Self {
        Self {
            class,
            arrival: 0,
            order: 0,
            priority: 0,
            user: 0,
            estimate: Some(estimate),
            predicted: None,
            deadline: None,
            image: Image::default(),
            data: Data::default(),
        }
    }
}

/// How long a job is thought to run, in milliseconds: on average, and at most in nine of ten cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// For orders; at least 1.
    pub mean: u64,
    /// For reservations; at least the mean.
    pub upper: u64,
}

impl Length {
    /// What was learned; nothing where nothing was.
    #[must_use]
    pub fn learned(prediction: Prediction) -> Option<Self> {
        (prediction.confidence > 0).then_some(Self { mean: prediction.mean, upper: prediction.upper })
    }

    /// Whether it is another by so much that what waits may be put elsewhere for it.
    pub(super) fn differs(self, other: Self) -> bool {
        differ(self.mean, other.mean) || differ(self.upper, other.upper)
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    Waits,
    Runs(usize),
}

/// A job as it is kept, in a cache line: there may be a million, and a round looks at them in no order.
/// Times that are 0 are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    arrival: u64,
    order: u64,
    estimate: u64,
    mean: u64,
    upper: u64,
    deadline: u64,
    class: u32,
    user: u32,
    /// The number of the worker where it runs, or one of the two that follow.
    place: u32,
    image: Image,
    data: Data,
    priority: i8,
}

const WAITS: u32 = NOWHERE - 1;

impl Kept {
    pub(super) fn new(job: &Job, place: Place) -> Self {
        let mut kept = Self {
            arrival: job.arrival,
            order: job.order,
            estimate: job.estimate.map_or(0, |estimate| estimate.max(1)),
            mean: 0,
            upper: 0,
            deadline: job.deadline.map_or(0, |deadline| deadline.max(1)),
            class: small(job.class),
            user: small(job.user),
            place: NOWHERE,
            image: job.image,
            data: job.data,
            priority: i8::try_from(job.priority.clamp(-100, 100)).unwrap_or_default(),
        };
        kept.put(place);
        if let Some(predicted) = job.predicted {
            kept.predict(predicted);
        }
        kept
    }

    pub(super) fn job(&self) -> Job {
        let time = |time: u64| Some(time).filter(|time| *time > 0);
        Job {
            class: self.class(),
            arrival: self.arrival,
            order: self.order,
            priority: self.priority.into(),
            user: self.user as usize,
            estimate: time(self.estimate),
            predicted: time(self.mean).map(|mean| Length { mean, upper: self.upper }),
            deadline: time(self.deadline),
            image: self.image,
            data: self.data,
        }
    }

    /// What a worker fetches for it.
    pub(super) const fn fetches(&self) -> (Image, Data) {
        (self.image, self.data)
    }

    pub(super) const fn class(&self) -> usize {
        self.class as usize
    }

    pub(super) fn predict(&mut self, predicted: Length) {
        (self.mean, self.upper) = (predicted.mean.max(1), predicted.upper.max(1));
    }

    pub(super) const fn place(&self) -> Place {
        match self.place {
            NOWHERE => Place::Nowhere,
            WAITS => Place::Waits,
            worker => Place::Runs(worker as usize),
        }
    }

    pub(super) const fn waits(&self) -> bool {
        self.place == WAITS
    }

    pub(super) fn put(&mut self, place: Place) {
        self.place = match place {
            Place::Nowhere => NOWHERE,
            Place::Waits => WAITS,
            Place::Runs(worker) => small(worker),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_kept_as_it_was_told_in_a_cache_line() {
        let bare = Job {
            class: 3,
            arrival: 0,
            order: 7,
            priority: -100,
            user: 9,
            estimate: None,
            predicted: None,
            deadline: None,
            image: Image::of("busybox"),
            data: Data::of("tree:1"),
        };
        let length = Length { mean: 5, upper: 8 };
        let full = Job { priority: 100, estimate: Some(4), predicted: Some(length), deadline: Some(6), ..bare };
        for (job, place) in [(bare, Place::Waits), (full, Place::Runs(2)), (full, Place::Nowhere)] {
            let kept = Kept::new(&job, place);
            assert_eq!((kept.job(), kept.place()), (job, place));
        }
        assert_eq!(size_of::<Kept>(), 64);
    }
}
