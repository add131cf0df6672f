//! A predictor that learns from the records of tasks, and knows the names behind its numbers.

use super::task::{run_of, shown};
use super::{Accuracy, ClassSummary, Features, Knobs, Level, Prediction, Predictor, State, StateError};
use crate::task::TaskRecord;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Runs that are learned in one round, at some ten microseconds each; more are let go, as the next
/// ones tell the same.
pub const LEARNED_A_ROUND: usize = 32;
/// Predictions that are kept for tasks alike until something is learned.
const KEPT: usize = 4_096;
/// Names of users, images and commands that are kept for each class that is.
const NAMES: usize = 4;

/// Learns from tasks that ended, predicts for those that wait.
#[derive(Clone, Debug)]
pub struct Learner {
    knobs: Knobs,
    predictor: Predictor,
    names: BTreeMap<u64, Arc<str>>,
    version: u64,
    learned: usize,
    /// Predictions of tasks alike, made at `known_at`.
    known: BTreeMap<Features, Prediction>,
    known_at: u64,
}

/// All that a learner knows, to be stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    predictor: State,
    names: BTreeMap<u64, Arc<str>>,
}

/// What is known of one kind of task: of a user, an image and the shape of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Whose.
    pub user: Option<Arc<str>>,
    /// The image.
    pub image: Option<Arc<str>>,
    /// The beginning of the command; none for the image's own.
    pub command: Option<Arc<str>>,
    /// What is known of its runs.
    pub summary: ClassSummary,
    /// For the next one without an estimate.
    pub prediction: Prediction,
}

impl Default for Learner {
    fn default() -> Self {
        Self::with(Knobs::default(), Predictor::new(Knobs::default()), BTreeMap::new())
    }
}

impl Learner {
    fn with(knobs: Knobs, predictor: Predictor, names: BTreeMap<u64, Arc<str>>) -> Self {
        Self { knobs, predictor, names, version: 0, learned: 0, known: BTreeMap::new(), known_at: 0 }
    }

    /// Grows when predictions may have changed.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// A round begins: what was learned counts from now on, and as many runs may be learned again.
    pub fn begin_round(&mut self) {
        self.learned = 0;
        if self.known_at != self.version {
            self.known.clear();
            self.known_at = self.version;
        }
    }

    /// Learns from a task that just ended, where it says anything; the first [`LEARNED_A_ROUND`] of a
    /// round only.
    pub fn learn(&mut self, task: &TaskRecord) {
        let Some(run) = run_of(task).filter(|_| self.learned < LEARNED_A_ROUND) else { return };
        let features = Features::of(task);
        self.predictor.learn(&features, run);
        self.learned += 1;
        self.version += 1;
        self.name(features.user, || task.owner.as_str().to_owned());
        self.name(features.image, || task.spec.image.clone());
        self.name(features.shape, || shown(task));
        if self.names.len() > NAMES * self.knobs.classes_max {
            self.forget_names();
        }
    }

    fn name(&mut self, number: u64, name: impl FnOnce() -> String) {
        self.names.entry(number).or_insert_with(|| name().into());
    }

    fn forget_names(&mut self) {
        let numbers = self.predictor.classes().flat_map(|class| [class.user, class.image, class.shape]);
        let used: BTreeSet<u64> = numbers.flatten().collect();
        self.names.retain(|number, _| used.contains(number));
    }

    /// How long a task will run, by what was known when the round began.
    pub fn predict(&mut self, task: &TaskRecord) -> Prediction {
        let features = Features::of(task);
        if let Some(known) = self.known.get(&features) {
            return *known;
        }
        let prediction = self.predictor.predict(&features);
        if self.known.len() >= KEPT {
            self.known.clear();
        }
        self.known.insert(features, prediction);
        prediction
    }

    /// The same by all that is known now, for whoever only looks.
    #[must_use]
    pub fn foresee(&self, task: &TaskRecord) -> Prediction {
        self.foresee_like(&Features::of(task))
    }

    /// The same of tasks like this, with a record or without.
    #[must_use]
    pub fn foresee_like(&self, features: &Features) -> Prediction {
        self.predictor.predict(features)
    }

    /// Sets what can be set of the predictor.
    pub fn set_knobs(&mut self, knobs: Knobs) {
        if self.knobs != knobs {
            self.knobs = knobs;
            self.predictor.set_knobs(knobs);
            self.version += 1;
        }
    }

    /// What can be set of the predictor.
    #[must_use]
    pub const fn knobs(&self) -> Knobs {
        self.knobs
    }

    /// How good predictions were.
    #[must_use]
    pub fn accuracy(&self) -> Accuracy {
        self.predictor.accuracy()
    }

    /// What is known of kinds of tasks, those that ended last first, at most so many; and how many there are.
    #[must_use]
    pub fn kinds(&self, most: usize) -> (Vec<Kind>, usize) {
        let mut kinds: Vec<_> = self.predictor.classes().filter(|class| class.level == Level::Kind).collect();
        let all = kinds.len();
        kinds.reverse();
        (kinds.into_iter().take(most).map(|class| self.kind(class)).collect(), all)
    }

    fn kind(&self, summary: ClassSummary) -> Kind {
        let name = |number: Option<u64>| self.names.get(&number?).filter(|name| !name.is_empty()).cloned();
        let number = |number: Option<u64>| number.unwrap_or_default();
        let features = Features {
            user: number(summary.user),
            image: number(summary.image),
            shape: number(summary.shape),
            size: 0,
            estimate: None,
        };
        Kind {
            user: name(summary.user),
            image: name(summary.image),
            command: name(summary.shape),
            summary,
            prediction: self.predictor.predict(&features),
        }
    }

    /// All that it knows.
    #[must_use]
    pub fn stored(&mut self) -> Stored {
        self.forget_names();
        Stored { predictor: self.predictor.state(), names: self.names.clone() }
    }

    /// Goes on with what another one knew.
    /// # Errors
    /// [`StateError`] when it is of another form; then nothing changes.
    pub fn restore(&mut self, stored: Stored) -> Result<(), StateError> {
        self.predictor = Predictor::restore(self.knobs, stored.predictor)?;
        self.names = stored.names;
        self.version += 1;
        Ok(())
    }
}
