//! What the runs of all classes of a task say about its length, as weighted points.

use super::class::{Class, LEVELS, Level, REMEMBERED};
use super::logs::{LONGEST, Log, ONE, closeness};

/// The classes of a task from specific to general, as far as anything is known of them.
pub(super) type Kin<'a> = [Option<&'a Class>; LEVELS];

/// Runs of each class to which experts look that follow the last runs.
const RECENT: usize = 8;

/// What is asked for: how long is a run with this estimate, and may it be longer than that?
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) estimate: Option<Log>,
    /// No guess is above the estimate.
    pub(super) capped: bool,
}

impl Asked {
    /// The guess, or the estimate where that is the most that it can be.
    pub(super) fn cap(&self, guess: Log) -> Log {
        self.estimate.filter(|_| self.capped).map_or(guess, |most| guess.min(most))
    }
}

/// Which runs are looked at, how they are weighed and what of them is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// The last runs, as shares of their estimates; each weighs four fifths of the next.
    RecentRatios,
    /// The last runs as they were.
    RecentRuns,
    /// Many runs, as shares of their estimates; each weighs 3 % less than the next.
    HabitRatios,
}

/// Possible lengths of a run with their weights, shortest first. On the stack: a prediction
/// allocates nothing.
pub(super) struct Points {
    at: [(Log, u64); LEVELS * REMEMBERED],
    len: usize,
}

impl Points {
    pub(super) fn of(kin: &Kin<'_>, asked: Asked, take: Take) -> Self {
        let mut points = Self { at: [(0, 0); LEVELS * REMEMBERED], len: 0 };
        for (level, class) in Level::ALL.into_iter().zip(kin) {
            let Some(class) = class else { continue };
            points.add(level, class, asked, take);
        }
        points.at[..points.len].sort_unstable();
        points
    }

    fn add(&mut self, level: Level, class: &Class, asked: Asked, take: Take) {
        let (mut weight, most, scaled) = match take {
            Take::RecentRatios => (level.recent_weight(), RECENT, true),
            Take::RecentRuns => (level.recent_weight(), RECENT, false),
            Take::HabitRatios => (level.habit_weight(), REMEMBERED, true),
        };
        for sample in class.samples.iter().rev().take(most) {
            let ratio = sample.ratio.filter(|_| scaled).zip(asked.estimate);
            let guess = ratio.map_or(sample.run, |(ratio, estimate)| (estimate + ratio).clamp(0, LONGEST));
            if let Some(point) = self.at.get_mut(self.len) {
                *point = (asked.cap(guess), weight);
                self.len += 1;
            }
            weight = match take {
                Take::RecentRatios | Take::RecentRuns => weight * 4 / 5,
                Take::HabitRatios => weight * 97 / 100,
            };
        }
    }

    fn all(&self) -> &[(Log, u64)] {
        &self.at[..self.len]
    }

    /// Only what is longer than this.
    pub(super) fn beyond(mut self, log: Log) -> Self {
        let first = self.all().partition_point(|(at, _)| *at <= log);
        self.at.copy_within(first..self.len, 0);
        self.len -= first;
        self
    }

    /// The point to which the others are closest, in the mean: what makes the best guess of a
    /// length when there are several usual ones. Linear, as closeness is a power: that to all
    /// points before one is that of its neighbour, less what lies between.
    pub(super) fn typical(&self) -> Option<Log> {
        let points = self.all();
        let mut near = [0; LEVELS * REMEMBERED];
        let mut sum = 0;
        let mut last = None;
        for (near, (at, weight)) in near.iter_mut().zip(points) {
            sum = sum * closeness(*at, last.unwrap_or(*at)) / ONE + weight;
            *near = sum;
            last = Some(*at);
        }
        (sum, last) = (0, None);
        let mut best: Option<(u64, Log)> = None;
        for (near, (at, weight)) in near.iter().zip(points).rev() {
            sum = sum * closeness(*at, last.unwrap_or(*at)) / ONE;
            let total = near + sum;
            if best.is_none_or(|(most, _)| total >= most) {
                best = Some((total, *at));
            }
            sum += weight;
            last = Some(*at);
        }
        best.map(|(_, at)| at)
    }

    /// The point that so many thousandths of the weight do not exceed.
    pub(super) fn quantile(&self, permille: u16) -> Option<Log> {
        let total: u64 = self.all().iter().map(|(_, weight)| weight).sum();
        let mut below = 0;
        let reached = self.all().iter().find(|(_, weight)| {
            below += weight;
            below * 1000 >= total * u64::from(permille)
        });
        reached.map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predict::class::Sample;
    use crate::predict::logs::log;

    fn points(runs: &[u64]) -> Points {
        let mut class = Class::default();
        for run in runs {
            class.remember(Sample { run: log(*run), ratio: None });
        }
        let mut kin: Kin<'_> = [None; LEVELS];
        kin[0] = Some(&class);
        Points::of(&kin, Asked { estimate: None, capped: true }, Take::HabitRatios)
    }

    #[test]
    fn the_typical_length_of_two_usual_ones_is_one_of_them() {
        let two = points(&[1_000, 60_000, 1_010, 61_000, 60_500]);
        assert_eq!(two.typical(), Some(log(60_500)));
        assert_eq!(points(&[]).typical(), None);
    }

    #[test]
    fn the_typical_length_is_the_one_with_the_greatest_sum_of_closeness() {
        let points = points(&[10, 500, 17, 23_000, 18, 900, 1_200, 64, 700, 1]);
        let sum = |to: Log| points.all().iter().map(|(at, weight)| closeness(*at, to) * weight / ONE).sum::<u64>();
        let best = points.all().iter().map(|(at, _)| sum(*at)).max();
        let found = points.typical().map(sum);
        assert!(best.zip(found).is_some_and(|(best, found)| best - found <= best / 1000), "{best:?} {found:?}");
    }

    #[test]
    fn beyond_an_age_only_longer_runs_are_left() {
        let left = points(&[10, 20, 30, 40]).beyond(log(20));
        assert_eq!((left.quantile(1), left.quantile(1000)), (Some(log(30)), Some(log(40))));
        assert_eq!(points(&[10, 20]).beyond(log(20)).quantile(500), None);
    }
}
