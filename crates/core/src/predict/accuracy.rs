//! How good predictions were.

use super::logs::{Log, OCTAVE, ONE, closeness};
use serde::{Deserialize, Serialize};

/// How good predictions were, over all ended runs and lately.
///
/// Measured against the prediction as it would be just before the run's end is learned, which is
/// a little better than the one at its submission when runs of its class ended in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Ended runs.
    pub runs: u64,
    /// Over all of them.
    pub total: Figures,
    /// Older runs count for less and less: half of it is from the last 693.
    pub recent: Figures,
}

/// Means over runs, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The shorter of predicted and actual time in the longer: 1,000 is exact.
    pub closeness_milli: u64,
    /// Share of runs that took no longer than the upper end.
    pub within_upper_milli: u64,
    /// Distance of predicted and actual time in doublings: 1,000 is wrong by a factor of two.
    pub log2_error_milli: u64,
}

/// Sums of the same over runs, kept until asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Score {
    runs: u64,
    total: Sums,
    recent: Sums,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums {
    weight: u64,
    closeness: u64,
    within: u64,
    apart: u64,
}

impl Score {
    pub(super) fn add(&mut self, predicted: Log, upper: Log, run: Log) {
        self.runs = self.runs.saturating_add(1);
        let one = Sums {
            weight: ONE,
            closeness: closeness(predicted, run),
            within: if run <= upper { ONE } else { 0 },
            apart: u64::from(predicted.abs_diff(run)) * (ONE / u64::from(OCTAVE.cast_unsigned())),
        };
        self.total = self.total.plus(one);
        self.recent = self.recent.faded().plus(one);
    }

    pub(super) fn accuracy(&self) -> Accuracy {
        Accuracy { runs: self.runs, total: self.total.figures(), recent: self.recent.figures() }
    }
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self {
            weight: self.weight.saturating_add(other.weight),
            closeness: self.closeness.saturating_add(other.closeness),
            within: self.within.saturating_add(other.within),
            apart: self.apart.saturating_add(other.apart),
        }
    }

    fn faded(self) -> Self {
        let fade = |sum: u64| sum - sum / 1000;
        Self {
            weight: fade(self.weight),
            closeness: fade(self.closeness),
            within: fade(self.within),
            apart: fade(self.apart),
        }
    }

    fn figures(self) -> Figures {
        let mean =
            |sum: u64| u64::try_from(u128::from(sum) * 1000 / u128::from(self.weight.max(1))).unwrap_or(u64::MAX);
        Figures {
            closeness_milli: mean(self.closeness),
            within_upper_milli: mean(self.within),
            log2_error_milli: mean(self.apart),
        }
    }
}
