//! What is known of a class, for people.

use super::class::{Class, Key, Level};
use super::expert::Expert;
use super::logs::{ONE, millis};

/// What is known of the runs of one class; features in which they may differ are `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassSummary {
    /// How special it is.
    pub level: Level,
    /// Whose runs they are.
    pub user: Option<u64>,
    /// What they run.
    pub image: Option<u64>,
    /// The shape of their command.
    pub shape: Option<u64>,
    /// What they ask for.
    pub size: Option<u64>,
    /// Their estimate in ms.
    pub estimate: Option<u64>,
    /// Ended runs ever.
    pub runs: u64,
    /// The shortest, the median and the longest of the remembered runs, in ms.
    pub lengths: [u64; 3],
    /// Who was least wrong for them, and by how much in thousandths: only of levels that measure
    /// ([`Level::Kind`], [`Level::User`], [`Level::All`]).
    pub best: Option<(Expert, u64)>,
}

pub(super) fn of(key: &Key, class: &Class) -> ClassSummary {
    let mut runs: Vec<_> = class.samples.iter().map(|sample| sample.run).collect();
    runs.sort_unstable();
    let at = |index: usize| runs.get(index).map_or(0, |run| millis(*run));
    let best = class.track.as_ref().and_then(|track| {
        let errors = Expert::MEASURED.into_iter().zip(track.errors);
        errors.map(|(expert, sum)| (expert, sum * 1000 / track.weight.max(ONE))).min_by_key(|(_, error)| *error)
    });
    ClassSummary {
        level: key.level,
        user: key.user,
        image: key.image,
        shape: key.shape,
        size: key.size,
        estimate: key.estimate,
        runs: class.runs,
        lengths: [at(0), at(runs.len() / 2), at(runs.len().saturating_sub(1))],
        best,
    }
}
