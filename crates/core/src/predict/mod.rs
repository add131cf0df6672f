//! How long a task will run: learned from runs that ended, never needed for correctness.
//!
//! A run counts in nine classes ([`Level`]), from those that are equal in everything to all runs.
//! Several [`Expert`]s guess from them; for each user and kind the one is asked that was least
//! wrong so far, where wrong is what the shorter of guess and truth lacks in the longer. The
//! upper end comes from how much longer than predicted the runs of the class were.
//!
//! Nothing is known at the start: then the prediction is the user's estimate, mean and upper
//! alike, or [`Knobs::cold_ms`] with four times that as the upper end, with confidence 0. A user's
//! first task is predicted from everyone's runs.
//!
//! Whole numbers only, no clock, no chance: two predictors that learned the same are
//! equal. A prediction looks up nine classes and allocates nothing; memory is bounded by
//! [`Knobs::classes_max`].

mod accuracy;
mod class;
mod classes;
mod expert;
mod learner;
mod logs;
mod points;
mod quantile;
mod stored;
mod summary;
mod task;
#[cfg(test)]
mod tests;

pub use accuracy::{Accuracy, Figures};
pub use class::Level;
pub use expert::Expert;
pub use learner::{Kind, LEARNED_A_ROUND, Learner, Stored};
pub use stored::{State, StateError};
pub use summary::ClassSummary;
pub use task::run_of;

use accuracy::Score;
use class::{Sample, Track};
use classes::Classes;
use expert::{Choice, EXPERTS, LONGER, choose, track};
use logs::{Log, ONE, log, millis};
use points::{Asked, Kin, Points, Take};

/// What tells jobs of one kind: hashes or small ids made outside, so that the predictor is the
/// same for the master (user, image, command shape) and for traces (user, size, estimate). What
/// is not known is 0 for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Features {
    /// Whose task it is.
    pub user: u64,
    /// What it runs.
    pub image: u64,
    /// Its command without what differs from run to run.
    pub shape: u64,
    /// What it asks for.
    pub size: u64,
    /// The user's own estimate in ms.
    pub estimate: Option<u64>,
}

/// How long a run will take, in milliseconds; `1 <= mean <= upper`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// The best single guess: for ordering.
    pub mean: u64,
    /// What [`Knobs::upper_permille`] of runs do not exceed: for reservations.
    pub upper: u64,
    /// The expected closeness of `mean` to the truth (the shorter in the longer), 0 to 100.
    pub confidence: u8,
    /// Whose guess it is.
    pub expert: Expert,
}

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knobs {
    /// The share of runs that are to end within the upper end, in thousandths (1..=1000). As runs of
    /// one burst are predicted before the first of them has ended, fewer do: 900 held for 810 to 880
    /// of a thousand on logs of parallel machines, 950 for 880 to 940.
    pub upper_permille: u16,
    /// Most classes that are kept, at least 9: each takes 0.3 to 1 KiB, and 0.05 to 0.3 stored. On
    /// logs of 28,000 to 200,000 runs of 200 to 470 users, four times as many won half a percent.
    pub classes_max: usize,
    /// The prediction in ms while nothing is known and the user says nothing.
    pub cold_ms: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self { upper_permille: 900, classes_max: 4_096, cold_ms: 60_000 }
    }
}

/// Learns from runs that ended how long the next ones will take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predictor {
    knobs: Knobs,
    classes: Classes,
    score: Score,
}

impl Predictor {
    /// A predictor that knows nothing.
    #[must_use]
    pub fn new(knobs: Knobs) -> Self {
        Self { knobs, classes: Classes::default(), score: Score::default() }
    }

    /// Sets what can be set; what was learned stays.
    pub fn set_knobs(&mut self, knobs: Knobs) {
        self.knobs = knobs;
    }

    /// How long a task will run. At most the user's estimate, unless runs of this kind (or user,
    /// or all, where there are fewer than five) exceed theirs more than once in twenty.
    #[must_use]
    pub fn predict(&self, features: &Features) -> Prediction {
        let kin = self.classes.kin(features);
        self.first(&kin, features).prediction(features)
    }

    /// How long a task will run in all that runs for `age_ms` already; `mean` and `upper` are above
    /// its age. As at first while that is longer than the age; then by those runs like it that took
    /// longer; when there is none, it is held to take 1.4 times its age, at most an estimate that
    /// still holds, which then is the upper end.
    #[must_use]
    pub fn outlived(&self, features: &Features, age_ms: u64) -> Prediction {
        let kin = self.classes.kin(features);
        let first = self.first(&kin, features);
        let at_first = first.prediction(features);
        if at_first.mean > age_ms {
            return at_first;
        }
        let limit = features.estimate.filter(|estimate| *estimate > age_ms && first.asked.capped);
        let asked = Asked { capped: limit.is_some(), ..first.asked };
        let left = Points::of(&kin, asked, Take::RecentRatios).beyond(log(age_ms));
        let longer = log(age_ms) + LONGER;
        let mean = left.quantile(500).unwrap_or(longer);
        let upper = left.quantile(self.knobs.upper_permille).map(millis).or(limit);
        let most = limit.unwrap_or(u64::MAX);
        let mean = millis(mean).max(age_ms.saturating_add(1)).min(most);
        let upper = upper.unwrap_or_else(|| millis(longer + LONGER)).max(at_first.upper).min(most);
        Prediction { mean, upper: upper.max(mean), confidence: at_first.confidence / 2, expert: Expert::Outlived }
    }

    /// Learns how long a task ran. Only for runs whose end tells how long such tasks take: what was
    /// cancelled or lost with its worker says nothing.
    pub fn learn(&mut self, features: &Features, run_ms: u64) {
        let run = log(run_ms);
        let sample = Sample { run, ratio: features.estimate.map(|estimate| run - log(estimate)) };
        let kin = self.classes.kin(features);
        let first = self.first(&kin, features);
        let guesses = Expert::MEASURED.map(|expert| expert.guess(&kin, first.asked).unwrap_or(first.mean));
        self.score.add(first.mean, first.upper, run);
        self.remember(features, sample, &guesses, first.mean);
        self.classes.keep(self.knobs.classes_max.max(Level::ALL.len()));
    }

    /// How good predictions were.
    #[must_use]
    pub fn accuracy(&self) -> Accuracy {
        self.score.accuracy()
    }

    /// What is known, class by class, the longest unused first.
    pub fn classes(&self) -> impl Iterator<Item = ClassSummary> {
        self.classes.iter().map(|(key, class)| summary::of(key, class))
    }

    fn remember(&mut self, features: &Features, sample: Sample, guesses: &[Log; EXPERTS], predicted: Log) {
        for level in Level::ALL {
            let class = self.classes.used(level.key(features));
            class.remember(sample);
            if level.measures() {
                class.track.get_or_insert_with(Box::<Track>::default).add(guesses, predicted, sample);
            }
        }
    }

    fn first(&self, kin: &Kin<'_>, features: &Features) -> Guess {
        let measured = [Level::Kind, Level::User, Level::All].map(|level| track(kin, level));
        let disproved = measured.iter().flatten().find_map(|track| track.disproves_estimates());
        let asked = Asked { estimate: features.estimate.map(log), capped: !disproved.unwrap_or(false) };
        let choice = choose(kin, asked);
        let Some((choice, mean)) = choice.and_then(|choice| asked_in_turn(choice, kin, asked)) else {
            let mean = log(self.knobs.cold_ms);
            return Guess { asked, mean, upper: mean + 4 * LONGER, error: ONE, expert: Expert::Default };
        };
        let residual = measured.iter().flatten().find_map(|track| track.residuals.upper(self.knobs.upper_permille));
        let upper = residual.map(|residual| mean + residual).or(asked.estimate).unwrap_or(mean + 4 * LONGER);
        Guess { asked, mean, upper: asked.cap(upper).max(mean), error: choice.error, expert: choice.expert }
    }
}

/// The guess of the expert that was chosen; when it knows nothing of this kind, of one that
/// knows something of every kind.
fn asked_in_turn(choice: Choice, kin: &Kin<'_>, asked: Asked) -> Option<(Choice, Log)> {
    let of = |expert: Expert| Some((Choice { expert, ..choice }, expert.guess(kin, asked)?));
    of(choice.expert).or_else(|| of(Expert::Recent))
}

/// A prediction before it is made milliseconds.
#[derive(Clone, Copy, Debug)]
struct Guess {
    asked: Asked,
    mean: Log,
    upper: Log,
    error: u64,
    expert: Expert,
}

impl Guess {
    fn prediction(self, features: &Features) -> Prediction {
        let exact = |at: Log| match (self.asked.estimate, features.estimate) {
            (Some(log), Some(estimate)) if at == log => estimate.max(1),
            _ => millis(at),
        };
        let cap = features.estimate.filter(|_| self.asked.capped).map_or(u64::MAX, |estimate| estimate.max(1));
        let mean = exact(self.mean).min(cap);
        let share = ONE.saturating_sub(self.error) * 100 / ONE;
        Prediction {
            mean,
            upper: exact(self.upper).min(cap).max(mean),
            confidence: u8::try_from(share).unwrap_or(100),
            expert: self.expert,
        }
    }
}
