//! Who guesses, and who is asked.

use super::class::{Level, Track};
use super::logs::{Log, OCTAVE, ONE, log, millis};
use super::points::{Asked, Kin, Points, Take};

/// Experts of which the error is measured.
pub(super) const EXPERTS: usize = 5;

/// Whose guess a prediction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expert {
    /// What the last runs like this one took most often, as a share of their estimates.
    Recent,
    /// The median of many runs like this one, as a share of their estimates.
    Habit,
    /// What the last runs like this one took most often, whatever was estimated.
    Repeat,
    /// The mean of the user's last two runs of this kind (Tsafrir et al. 2007).
    LastTwo,
    /// The user's own estimate.
    Estimate,
    /// Nobody knows anything: the length that the configuration says.
    Default,
    /// The runs that took longer than this one does already.
    Outlived,
}

impl Expert {
    /// Those of which the error is measured; of two that are equally good, the first is asked.
    pub(super) const MEASURED: [Self; EXPERTS] =
        [Self::Recent, Self::Habit, Self::Repeat, Self::LastTwo, Self::Estimate];

    /// Its name for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Recent => "recent",
            Self::Habit => "habit",
            Self::Repeat => "repeat",
            Self::LastTwo => "last_two",
            Self::Estimate => "estimate",
            Self::Default => "default",
            Self::Outlived => "outlived",
        }
    }

    /// What its error is held to be more than measured. Errors are measured at the end of a run, when
    /// runs of the same burst have ended that were still to end when it was submitted: that flatters
    /// those most that look at fewest runs.
    const fn handicap(self) -> u64 {
        match self {
            Self::LastTwo => ONE / 20,
            Self::Repeat => ONE / 50,
            Self::Recent | Self::Habit | Self::Estimate | Self::Default | Self::Outlived => 0,
        }
    }

    /// Its guess; `None` when it knows nothing.
    pub(super) fn guess(self, kin: &Kin<'_>, asked: Asked) -> Option<Log> {
        let points = |take| Points::of(kin, asked, take);
        match self {
            Self::Recent => points(Take::RecentRatios).typical(),
            Self::Habit => points(Take::HabitRatios).quantile(500),
            Self::Repeat => points(Take::RecentRuns).typical(),
            Self::LastTwo => last_two(kin).map(|guess| asked.cap(guess)),
            Self::Estimate => asked.estimate,
            Self::Default | Self::Outlived => None,
        }
    }
}

fn last_two(kin: &Kin<'_>) -> Option<Log> {
    let class = kin[Level::Kind as usize].or(kin[Level::User as usize])?;
    match class.samples.as_slice() {
        [.., a, b] => Some(log(millis(a.run).midpoint(millis(b.run)))),
        [only] => Some(only.run),
        [] => None,
    }
}

/// A choice among the experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) expert: Expert,
    /// How far its guesses are expected from the truth, of [`ONE`].
    pub(super) error: u64,
}

/// So many runs of a class make its own measure count as much as that of the more general one.
const PRIOR: u64 = 20;

/// The expert with the smallest error for runs like this one. Errors of a class start from those
/// of the more general class and lean on them while its runs are few; before the first run every
/// expert is held for all wrong, and the estimate is taken.
pub(super) fn choose(kin: &Kin<'_>, asked: Asked) -> Option<Choice> {
    let errors = errors(kin);
    if kin[Level::All as usize].is_none() {
        return asked.estimate.map(|_| Choice { expert: Expert::Estimate, error: ONE });
    }
    let able = |expert: &Expert| *expert != Expert::Estimate || asked.estimate.is_some();
    let choices = Expert::MEASURED.into_iter().zip(errors).filter(|(expert, _)| able(expert));
    choices.map(|(expert, error)| Choice { expert, error }).min_by_key(|choice| choice.error + choice.expert.handicap())
}

fn errors(kin: &Kin<'_>) -> [u64; EXPERTS] {
    let mut errors = [ONE; EXPERTS];
    let general_first = Level::ALL.into_iter().rev().filter(|level| level.measures());
    for track in general_first.filter_map(|level| track(kin, level)) {
        for (error, sum) in errors.iter_mut().zip(track.errors) {
            *error = (sum + PRIOR * *error) * ONE / (track.weight + PRIOR * ONE);
        }
    }
    errors
}

/// What is measured of the class of this level.
pub(super) fn track<'a>(kin: &Kin<'a>, level: Level) -> Option<&'a Track> {
    kin[level as usize].and_then(|class| class.track.as_deref())
}

/// How much longer a run is held to take than it did, when all that is known were shorter: 1.4 times.
pub(super) const LONGER: Log = OCTAVE / 2;
