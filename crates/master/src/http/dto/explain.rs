//! `GET /api/v1/tasks/{id}/explain`.

use super::{Planned, Resources};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Why a task stands where it stands. What is not known or does not apply is absent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Which task.
    pub id: String,
    /// One of the six words.
    pub status: String,
    /// Where exactly it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// `waits`, `never`, `not_ready`, `placed` or `ended`.
    pub standing: String,
    /// The same in a sentence.
    pub message: String,
    /// The strategy in use.
    pub strategy: String,
    /// What the task asks for.
    pub needs: Resources,
    /// Only GPUs of this model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_model: Option<String>,
    /// Which in the queue it is, from 1, by priority and submission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// How many wait for a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<usize>,
    /// The worker that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// Since when it has it, or since when its container runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it has room on the worker where that is soonest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// The workers that come nearest, the nearest first; 50 at most.
    #[serde(default)]
    pub workers: Vec<Looked>,
    /// All workers by the first reason against each; `fits` without one.
    #[serde(default)]
    pub counts: BTreeMap<String, usize>,
    /// The smallest changes with which it fits now.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// The smallest changes with which a worker could run it at all, where none ever could.
    #[serde(default)]
    pub possible: Vec<Change>,
    /// The worker that the strategy would choose were the task alone, and the next two; of a placed
    /// task its worker as it is now.
    #[serde(default)]
    pub scores: Vec<Score>,
    /// What the strategy in use does with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Outlook>,
    /// What the other one would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<Outlook>,
}

/// When there is room, at the latest, if all ends as thought.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Start {
    /// When.
    pub at: String,
    /// The task that has to end last before; absent where there is room now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether the length of something that has to end is unknown and was taken for 5 minutes.
    pub guessed: bool,
}

/// One worker.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Looked {
    /// Its name.
    pub id: String,
    /// Whether the task fits there now.
    pub fits: bool,
    /// Whether it could run the task if it took work and nothing else ran there.
    pub ever: bool,
    /// Everything against it.
    pub against: Vec<Against>,
    /// Of a task that has several requests, the one of which this tells: the first that fits there, or that ever could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Resources>,
    /// The most that it could give now.
    pub free: Resources,
    /// What it offers.
    pub total: Resources,
    /// When the task has room there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
}

/// What stands against a worker.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Against {
    /// The word that programs branch on.
    pub code: String,
    /// For people.
    pub message: String,
    /// Of a resource that is short, in the unit of the task file: what is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<f64>,
    /// The most that could be given now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<f64>,
    /// What there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
}

/// A change that helps.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// `ask`, `unpin`, `undrain` or `label`.
    pub kind: String,
    /// For people.
    pub message: String,
    /// The worker that it fits then.
    pub worker_id: String,
    /// Of `ask`: fields of the task document and the most that they may say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub at_most: BTreeMap<String, f64>,
    /// Of `ask`: any GPU model must do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub any_model: bool,
    /// Of `ask`: in which of the task's requests, from 1; absent of a task that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u32>,
    /// Of `label`: labels with the values that they get; `null` for those that go.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Option<String>>,
}

/// How full a worker is with a task on it, from 0 to 1.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Score {
    /// Which.
    pub worker_id: String,
    /// The part that is used of each resource that it has: `cpu`, `memory`, `storage`, `gpu`.
    pub used: BTreeMap<String, f64>,
    /// The largest of them.
    pub level: f64,
    /// The sum of what is left.
    pub rest: f64,
    /// The sum of the weights of the task's preferences that hold there: it goes before all that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<i32>,
}

/// What a strategy does with a waiting task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Outlook {
    /// Its name.
    pub strategy: String,
    /// `now`, `no_room`, `taken`, `behind`, `kept` or `outside`.
    pub turn: String,
    /// For people.
    pub message: String,
    /// Where it starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    /// The task that goes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// When that one has room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind_start: Option<Start>,
    /// Tasks that it starts before, the first 20.
    pub before: Vec<String>,
    /// How many it starts before, or now where this one is not among them.
    pub starts: usize,
    /// Where and when it starts by the strategy's plan, where that has one and does not start it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
}
