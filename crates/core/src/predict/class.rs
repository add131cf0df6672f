//! What is remembered of one kind of run, and how kinds are formed from specific to general.

use super::Features;
use super::expert::EXPERTS;
use super::logs::{Log, ONE, closeness};
use super::quantile::Residuals;

/// How many features two runs share to be of one class, from the most specific level to all runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Equal in everything, the user's estimate included.
    Same,
    /// Equal but for the size.
    Estimate,
    /// Equal but for the estimate.
    Size,
    /// User, image and shape of the command.
    Kind,
    /// As [`Level::Same`], of any user.
    AnyoneSame,
    /// As [`Level::Estimate`], of any user.
    AnyoneEstimate,
    /// Image and shape of the command, of any user.
    AnyoneKind,
    /// The user.
    User,
    /// Every run.
    All,
}

/// Number of levels.
pub(super) const LEVELS: usize = 9;

/// The weight of one run of a level, for experts that follow the last runs and for those that
/// know the habit. A run counts once in every level that it shares, so that the more it shares
/// the more it weighs. Found by experiment on logs of three machines.
const WEIGHTS: [(u64, u64); LEVELS] =
    [(10, 20), (10, 20), (10, 20), (10, 20), (10, 2), (10, 2), (3, 2), (3, 2), (3, 1)];

impl Level {
    /// From specific to general.
    pub const ALL: [Self; LEVELS] = [
        Self::Same,
        Self::Estimate,
        Self::Size,
        Self::Kind,
        Self::AnyoneSame,
        Self::AnyoneEstimate,
        Self::AnyoneKind,
        Self::User,
        Self::All,
    ];

    /// The weight of a run for experts that follow the last runs.
    pub(super) const fn recent_weight(self) -> u64 {
        WEIGHTS[self as usize].0 * ONE
    }

    /// The weight of a run for experts that know the habit.
    pub(super) const fn habit_weight(self) -> u64 {
        WEIGHTS[self as usize].1 * ONE
    }

    /// Whether experts are measured at this level: where runs are many enough to tell who is right.
    pub(super) const fn measures(self) -> bool {
        match self {
            Self::Kind | Self::User | Self::All => true,
            Self::Same | Self::Estimate | Self::Size | Self::AnyoneSame | Self::AnyoneEstimate | Self::AnyoneKind => {
                false
            }
        }
    }

    /// The features that runs of a class of this level share; `None` where they may differ.
    pub(super) fn key(self, of: &Features) -> Key {
        let (user, kind, size, estimate) = match self {
            Self::Same => (true, true, true, true),
            Self::Estimate => (true, true, false, true),
            Self::Size => (true, true, true, false),
            Self::Kind => (true, true, false, false),
            Self::AnyoneSame => (false, true, true, true),
            Self::AnyoneEstimate => (false, true, false, true),
            Self::AnyoneKind => (false, true, false, false),
            Self::User => (true, false, false, false),
            Self::All => (false, false, false, false),
        };
        Key {
            level: self,
            user: user.then_some(of.user),
            image: kind.then_some(of.image),
            shape: kind.then_some(of.shape),
            size: size.then_some(of.size),
            estimate: of.estimate.filter(|_| estimate),
        }
    }
}

/// What the runs of one class share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) level: Level,
    pub(super) user: Option<u64>,
    pub(super) image: Option<u64>,
    pub(super) shape: Option<u64>,
    pub(super) size: Option<u64>,
    pub(super) estimate: Option<u64>,
}

/// One ended run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) run: Log,
    /// Run time in the user's estimate, where there was one.
    pub(super) ratio: Option<Log>,
}

/// Runs that a class remembers: enough to know a habit, few enough to forget what has changed.
pub(super) const REMEMBERED: usize = 24;

/// What is remembered of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Class {
    /// The last runs, oldest first.
    pub(super) samples: Vec<Sample>,
    /// Ended runs ever.
    pub(super) runs: u64,
    /// How well the experts did, at levels that measure.
    pub(super) track: Option<Box<Track>>,
}

impl Class {
    pub(super) fn remember(&mut self, sample: Sample) {
        if self.samples.len() >= REMEMBERED {
            self.samples.remove(0);
        }
        self.samples.push(sample);
        self.runs = self.runs.saturating_add(1);
    }
}

/// How well the experts did for runs of one class; older runs count for less and less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Track {
    /// Runs, each [`ONE`], faded.
    pub(super) weight: u64,
    /// The error of each expert (what closeness lacks to one), summed and faded.
    pub(super) errors: [u64; EXPERTS],
    /// Runs that exceeded their estimate, faded.
    pub(super) exceeded: u64,
    /// How much longer runs were than what was predicted.
    pub(super) residuals: Residuals,
}

/// Above what the weight of a track can become: fifty runs.
pub(super) const WEIGHT_MAX: u64 = 51 * ONE;

/// A run exceeds its estimate when it is longer by more than a sixteenth of a doubling (4 %):
/// machines that end runs at the estimate take a while to do so.
const GRACE: Log = 64;

impl Track {
    /// Adds the guesses of the experts for a run of which the predicted length is known.
    pub(super) fn add(&mut self, guesses: &[Log; EXPERTS], predicted: Log, sample: Sample) {
        self.weight = fade(self.weight) + ONE;
        for (error, guess) in self.errors.iter_mut().zip(guesses) {
            *error = fade(*error) + (ONE - closeness(*guess, sample.run));
        }
        let exceeded = sample.ratio.is_some_and(|ratio| ratio > GRACE);
        self.exceeded = fade(self.exceeded) + if exceeded { ONE } else { 0 };
        self.residuals.add(sample.run - predicted);
    }

    /// Whether more than one run in twenty exceeds its estimate; `None` while there are too few.
    pub(super) fn disproves_estimates(&self) -> Option<bool> {
        (self.weight > 4 * ONE).then(|| self.exceeded * 20 > self.weight)
    }
}

/// Half of what is remembered is from the last 34 runs.
const fn fade(sum: u64) -> u64 {
    sum / 50 * 49 + sum % 50 * 49 / 50
}
