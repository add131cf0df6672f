//! The stored form of a predictor: compact, with a version, the same whatever the inside becomes.

use super::accuracy::Score;
use super::class::{Class, Key, Level, REMEMBERED, Sample, Track, WEIGHT_MAX};
use super::classes::Classes;
use super::expert::EXPERTS;
use super::logs::{LONGEST, Log};
use super::quantile::{KEPT, Residuals};
use super::{Knobs, Predictor};
use serde::{Deserialize, Serialize};

/// All that a predictor knows, to be stored; its knobs are not part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    score: Score,
    /// The longest unused first.
    classes: Vec<Row>,
}

/// Why a stored form can not be taken up. Begin with [`Predictor::new`]: predictions are never
/// needed for correctness and learned again soon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Another version of the software wrote it.
    #[error("predictions were stored in form {0}, this version knows form {VERSION}")]
    Version(u32),
    /// It holds what no predictor stores.
    #[error("class {0} of the stored predictions has a level that does not exist")]
    Level(usize),
}

/// Changes whenever the meaning of what is stored does.
const VERSION: u32 = 1;

/// A class: its level, the features that its runs share, how many they were, their lengths and
/// ratios to the estimates, and its track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row(u8, [Option<u64>; 5], u64, Vec<(i32, Option<i32>)>, Option<TrackRow>);

/// Weight, errors of the experts, exceeded estimates, residuals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TrackRow(u64, [u64; EXPERTS], u64, Vec<i32>);

impl Predictor {
    /// All that it knows.
    #[must_use]
    pub fn state(&self) -> State {
        State { version: VERSION, score: self.score, classes: self.classes.iter().map(row).collect() }
    }

    /// A predictor that knows what another one did.
    ///
    /// # Errors
    /// [`StateError`] when the state is of another form.
    pub fn restore(knobs: Knobs, state: State) -> Result<Self, StateError> {
        if state.version != VERSION {
            return Err(StateError::Version(state.version));
        }
        let mut classes = Classes::default();
        for (at, row) in state.classes.into_iter().enumerate() {
            let level = *Level::ALL.get(usize::from(row.0)).ok_or(StateError::Level(at))?;
            let key = key(level, &row);
            *classes.used(key) = class(row);
        }
        classes.keep(knobs.classes_max.max(Level::ALL.len()));
        Ok(Self { knobs, classes, score: state.score })
    }
}

fn row((key, class): (&Key, &Class)) -> Row {
    let features = [key.user, key.image, key.shape, key.size, key.estimate];
    let samples = class.samples.iter().map(|sample| (sample.run, sample.ratio)).collect();
    let track = class.track.as_ref();
    let track = track.map(|t| TrackRow(t.weight, t.errors, t.exceeded, t.residuals.0.clone()));
    Row(key.level as u8, features, class.runs, samples, track)
}

fn key(level: Level, row: &Row) -> Key {
    let [user, image, shape, size, estimate] = row.1;
    Key { level, user, image, shape, size, estimate }
}

fn class(Row(_, _, runs, samples, track): Row) -> Class {
    let sample = |(run, ratio): (Log, Option<Log>)| Sample { run: run.clamp(0, LONGEST), ratio: ratio.map(bounded) };
    let samples = last(samples, REMEMBERED).into_iter().map(sample).collect();
    let track = track.map(|TrackRow(weight, errors, exceeded, residuals)| {
        let weight = weight.min(WEIGHT_MAX);
        let residuals = last(residuals, KEPT).into_iter().map(bounded).collect();
        Box::new(Track {
            weight,
            errors: errors.map(|error| error.min(weight)),
            exceeded: exceeded.min(weight),
            residuals: Residuals(residuals),
        })
    });
    Class { samples, runs, track }
}

/// A ratio of two times that exist, whatever was stored.
fn bounded(ratio: Log) -> Log {
    ratio.clamp(-LONGEST, LONGEST)
}

/// The last of a list that is longer than any that was stored by us.
fn last<T>(mut list: Vec<T>, most: usize) -> Vec<T> {
    list.drain(..list.len().saturating_sub(most));
    list
}
