//! A task as strategies see it.

use super::{Data, Image};
use crate::predict::Prediction;
use crate::strategy::numbers::{NOWHERE, differ, small};

/// A task as strategies see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// What it asks for first: the number of a [`Class`](super::Class). What runs may hold [another](super::Board::held).
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
    /// How long what must follow it takes at least, in milliseconds: the longest chain of tasks of its job that wait
    /// for its end. 0 for most.
    pub tail: u64,
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
            tail: 0,
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

/// A length as it is kept, in five bytes: exact up to 34 years, and whatever is longer is as long as that.
#[derive(Clone, Copy, Debug)]
struct Millis([u8; 5]);

impl Millis {
    const ZERO: Self = Self([0; 5]);
    /// The longest.
    const MOST: u64 = (1 << 40) - 1;

    fn of(millis: u64) -> Self {
        let [a, b, c, d, e, ..] = millis.min(Self::MOST).to_le_bytes();
        Self([a, b, c, d, e])
    }

    const fn get(self) -> u64 {
        let [a, b, c, d, e] = self.0;
        u64::from_le_bytes([a, b, c, d, e, 0, 0, 0])
    }
}

/// A job as it is kept, in a cache line: there may be a million, and a round looks at them in no order. Four bytes of
/// the line are left. Times that are 0 are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    arrival: u64,
    order: u64,
    deadline: u64,
    estimate: Millis,
    mean: Millis,
    upper: Millis,
    tail: Millis,
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
            deadline: job.deadline.map_or(0, |deadline| deadline.max(1)),
            estimate: job.estimate.map_or(Millis::ZERO, |estimate| Millis::of(estimate.max(1))),
            mean: Millis::ZERO,
            upper: Millis::ZERO,
            tail: Millis::of(job.tail),
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
            estimate: time(self.estimate.get()),
            predicted: time(self.mean.get()).map(|mean| Length { mean, upper: self.upper.get() }),
            deadline: time(self.deadline),
            tail: self.tail.get(),
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
        (self.mean, self.upper) = (Millis::of(predicted.mean.max(1)), Millis::of(predicted.upper.max(1)));
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
    use proptest::prelude::*;

    const YEAR: u64 = 365 * 86_400_000;

    fn bare() -> Job {
        Job {
            class: 3,
            arrival: 0,
            order: 7,
            priority: -100,
            user: 9,
            estimate: None,
            predicted: None,
            deadline: None,
            tail: 0,
            image: Image::of("busybox"),
            data: Data::of("tree:1"),
        }
    }

    #[test]
    fn a_job_is_kept_as_it_was_told_in_a_cache_line() {
        let length = Length { mean: 5, upper: 8 };
        let full =
            Job { priority: 100, estimate: Some(4), predicted: Some(length), deadline: Some(6), tail: 3, ..bare() };
        let year = Length { mean: YEAR - 1, upper: YEAR };
        let long = Job { estimate: Some(YEAR + 1), predicted: Some(year), tail: 3 * YEAR, ..full };
        for (job, place) in
            [(bare(), Place::Waits), (full, Place::Runs(2)), (full, Place::Nowhere), (long, Place::Waits)]
        {
            let kept = Kept::new(&job, place);
            assert_eq!((kept.job(), kept.place()), (job, place));
        }
        assert_eq!(size_of::<Kept>(), 64);
    }

    #[test]
    fn what_is_longer_than_any_life_is_as_long_as_is_kept() {
        let length = Length { mean: u64::MAX, upper: u64::MAX };
        let job = Job { estimate: Some(u64::MAX), predicted: Some(length), tail: u64::MAX, ..bare() };
        let kept = Kept::new(&job, Place::Waits).job();
        assert_eq!((kept.estimate, kept.tail), (Some(Millis::MOST), Millis::MOST));
        assert_eq!(kept.predicted, Some(Length { mean: Millis::MOST, upper: Millis::MOST }));
    }

    proptest! {
        #[test]
        fn lengths_are_kept_to_the_millisecond(
            estimate in prop::option::of(1..=Millis::MOST),
            predicted in prop::option::of((1..=Millis::MOST, 1..=Millis::MOST)),
            tail in 0..=Millis::MOST,
            deadline in prop::option::of(1..u64::MAX),
            again in 1..=Millis::MOST,
        ) {
            let predicted = predicted.map(|(mean, upper)| Length { mean, upper });
            let job = Job { estimate, predicted, tail, deadline, ..bare() };
            let mut kept = Kept::new(&job, Place::Waits);
            prop_assert_eq!(kept.job(), job);
            let predicted = Length { mean: again, upper: again };
            kept.predict(predicted);
            prop_assert_eq!(kept.job(), Job { predicted: Some(predicted), ..job });
        }
    }
}
