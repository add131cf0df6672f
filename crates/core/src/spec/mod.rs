//! What a task is to run and under which limits: the validated form of SPEC 3.1.
//!
//! A document (`Value`) becomes a [`TaskSpec`] in `read.rs`, which names every wrong field at
//! once. Nothing else makes one, so a spec that exists is within its ranges.

mod address;
mod again;
mod fields;
mod filled;
mod image;
mod inputs;
mod names;
mod outputs;
mod placement;
mod places;
mod read;
mod registry;
mod requests;
mod retries;
mod schema;
mod secrets;
mod size;
pub mod tree;
mod value;
mod volumes;
mod write;

pub use address::Address;
pub use again::CHANGES;
pub use fields::{LATER, LIVE};
pub use image::ImageRef;
pub use inputs::{IN_NO_JOB, Input, Source, wrong_input};
pub use outputs::Outputs;
pub use registry::RegistryName;
pub use retries::{DEFAULT_RETRIES, MAX_RETRIES, Retries, RetryOn};
pub use secrets::{SecretPlace, SecretUse};
pub use value::Value;
pub use volumes::Volume;

pub(crate) use fields::{nearest, refusal};
pub(crate) use filled::wrong_when_filled;
pub(crate) use names::{is_task_name, task_or_element};
pub(crate) use read::{Form, MAX_ITEMS, Reader, as_number, of_fields, to_units};
pub(crate) use schema::{properties, shape};

use crate::ids::WorkerId;
use crate::kin::{self, Spread};
use crate::label::{self, Constraint, Preference};
use crate::need::{Need, Traits};
use crate::resources::Demand;
use crate::time::{Timestamp, as_millis, opt_millis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The largest spec, as JSON, in bytes.
pub const MAX_SPEC_BYTES: usize = 256 * 1024;
/// Run, pull and other limits are at most one year.
pub const MAX_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// A task's validated description.
///
/// Times are whole milliseconds; absent optional fields are the image's or the cluster's default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// The image's reference, as `python:3.12` or `host:5000/team/train@sha256:...`.
    pub image: String,
    /// A name for people; need not be unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the container does: program, arguments, environment, surroundings.
    #[serde(flatten)]
    pub container: ContainerSpec,
    /// What it may use; the first of its requests, where it has several.
    pub demand: Demand,
    /// The others in order: each is what it may use where those before it fit nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Demand>,
    /// -100 to 100, higher goes earlier; how much it counts is the strategy's.
    #[serde(default)]
    pub priority: i32,
    /// How long it may wait, run, pull and take to stop.
    #[serde(default)]
    pub limits: Limits,
    /// Which failures it is tried again after; [`Retries::DEFAULT`] when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// What becomes of it while its worker and the master do not hear each other.
    #[serde(default, skip_serializing_if = "OnDisconnect::is_stop")]
    pub on_disconnect: OnDisconnect,
    /// It is not placed before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<When>,
    /// How long its owner thinks that it runs: strategies plan with it, nothing ends by it.
    #[serde(default, with = "opt_millis", skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Duration>,
    /// When it should have ended: strategies plan with it, nothing ends by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<When>,
    /// It is not placed until somebody releases it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold: bool,
    /// The only worker that may run it (`dispatch`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<WorkerId>,
    /// What must hold of the labels of its worker and of what that is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<Constraint>,
    /// What of that it would rather have; it waits for none of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affinity: Vec<Preference>,
    /// Labels and facts of which its worker may share none with the worker of a task of its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anti_affinity: Vec<String>,
    /// Labels and facts over which it would rather be spread with those; it waits for none of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<Spread>,
    /// Accept it although no registered worker could ever run it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_pending: bool,
    /// A second submission of the same owner with this key answers with the first task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Arc<str>>,
    /// Free words to find tasks by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What becomes of an attempt whose worker and master do not hear each other for a lease
/// (SPEC 3.3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// The worker stops it, then the master gives it to another.
    #[default]
    Stop,
    /// It runs on, and the master waits: until the worker is back or removed, or the task's total
    /// time is over.
    Keep,
}

impl OnDisconnect {
    /// Whether this is the default.
    #[must_use]
    pub fn is_stop(&self) -> bool {
        *self == Self::Stop
    }
}

/// What the engine is told about the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Follows `command`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Replaces the image's entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables beside the image's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where the program starts: an absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// `name`, `uid` or `uid:gid`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// None by default.
    pub network: Network,
    /// When the image is pulled.
    pub pull_policy: PullPolicy,
    /// Bytes of `/dev/shm`; the engine's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    /// Mount points of memory file systems with their size in bytes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, u64>,
    /// The image's files can not be changed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only_root: bool,
    /// Which of its files are kept, as [`Outputs`] reads them; all of `/out` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<String>>,
    /// What it finds before it starts; no two in each other's way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// What of its worker's host it sees; no two in each other's way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Which stored secrets it is given; never what they hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretUse>,
}

/// The network of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Loopback only.
    #[default]
    None,
    /// The engine's default bridge.
    Bridge,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// When the worker has not got it.
    #[default]
    Missing,
    /// Before each attempt.
    Always,
    /// Never: an image that is not there is an error.
    Never,
}

/// A moment in the life of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// A time, by the master's clock.
    At(Timestamp),
    /// So long after its submission.
    After(#[serde(with = "as_millis")] Duration),
}

/// The earliest start of a task.
pub type NotBefore = When;

impl When {
    /// The moment for a task that was submitted at this time.
    #[must_use]
    pub fn of(self, submitted: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::After(wait) => submitted + wait,
        }
    }
}

/// Time limits of a task and of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Run time, from the container's start; none when absent.
    #[serde(with = "opt_millis", skip_serializing_if = "Option::is_none")]
    pub run: Option<Duration>,
    /// Time to wait for a place, anew whenever it may be placed; none when absent.
    #[serde(with = "opt_millis", skip_serializing_if = "Option::is_none")]
    pub queue: Option<Duration>,
    /// Time from its submission to its end, over all attempts; none when absent.
    #[serde(with = "opt_millis", skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
    /// Time to pull the image.
    #[serde(with = "as_millis")]
    pub pull: Duration,
    /// Time between SIGTERM and SIGKILL (0 to 60 s).
    #[serde(with = "as_millis")]
    pub kill_after: Duration,
}

/// One hour: a slow registry and a large image are no failure, a hung pull is.
pub const DEFAULT_PULL: Duration = Duration::from_secs(3600);
/// Time between SIGTERM and SIGKILL when a spec says nothing.
pub const DEFAULT_KILL_AFTER: Duration = Duration::from_secs(10);

impl Default for Limits {
    fn default() -> Self {
        Self { run: None, queue: None, total: None, pull: DEFAULT_PULL, kill_after: DEFAULT_KILL_AFTER }
    }
}

/// What is wrong with one field of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where: `cpu_cores`, `env.PATH`, `args[3]`.
    pub path: String,
    /// The refused value, shortened; none when the field is missing or unknown.
    pub value: Option<String>,
    /// What is wrong and what is allowed, one sentence.
    pub problem: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}: {} {}", self.path, value, self.problem),
            None => write!(f, "{}: {}", self.path, self.problem),
        }
    }
}

/// Every wrong field of a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct SpecError(pub Vec<FieldError>);

impl TaskSpec {
    /// Reads a document, checking every field.
    /// # Errors
    /// All wrong fields at once: unknown (with the nearest valid name), of a wrong type, out of
    /// range, or of a feature that is still to come.
    pub fn from_value(document: &Value) -> Result<Self, SpecError> {
        read::spec(document)
    }

    /// The same, where it can be in no job: it finds nothing that another task of its job left.
    /// # Errors
    /// Every input that is such.
    pub fn without_job(self) -> Result<Self, SpecError> {
        let wrong = inputs::of_a_job(&self.container.inputs);
        if wrong.is_empty() { Ok(self) } else { Err(SpecError(wrong)) }
    }

    /// The document that reads back as this spec.
    #[must_use]
    pub fn to_value(&self) -> Value {
        write::document(self)
    }

    /// The document of what a worker needs to know: what runs and within which limits. What only
    /// the master decides by is left out, so that a worker of an older version, which knows no
    /// field of it, is not stranded by one.
    #[must_use]
    pub fn for_worker(&self) -> Value {
        write::worker_document(self)
    }

    /// What an ended task of this spec is run again as: without what was about its own submission, its
    /// key, its hold, its start time and a deadline that is a time.
    #[must_use]
    pub fn to_run_again(&self) -> Self {
        let deadline = self.deadline.filter(|deadline| matches!(deadline, When::After(_)));
        Self { idempotency_key: None, hold: false, not_before: None, deadline, ..self.clone() }
    }

    /// The same with other values for some of [`CHANGES`], named as in a document.
    /// # Errors
    /// Every wrong field at once, as [`TaskSpec::from_value`]; also those that a retry does not change.
    pub fn run_again_with(&self, changes: &Value) -> Result<Self, SpecError> {
        again::with(self, changes)
    }

    /// Its requests: what it may use, the first that fits. One, or 2 to 8.
    pub fn demands(&self) -> impl DoubleEndedIterator<Item = &Demand> + Clone {
        std::iter::once(&self.demand).chain(&self.alternatives)
    }

    /// The last of them, which is taken where no other fits.
    #[must_use]
    pub fn last_request(&self) -> &Demand {
        self.alternatives.last().unwrap_or(&self.demand)
    }

    /// How many requests it has.
    #[must_use]
    pub fn requests(&self) -> usize {
        1 + self.alternatives.len()
    }

    /// One of its requests, from 0 on; the first where there is no such.
    #[must_use]
    pub fn request(&self, number: u8) -> &Demand {
        self.demands().nth(number.into()).unwrap_or(&self.demand)
    }

    /// What it needs of its worker beyond amounts, each once, in order.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let accesses = self.container.volumes.iter().map(|volume| Need::Access(volume.access.clone()));
        let mut needs: Vec<Need> = accesses.chain(self.constraints.iter().cloned().map(Need::Label)).collect();
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    /// What of that a worker does not meet, what concerns its host first.
    pub fn unmet<'a>(&'a self, worker: Traits<'a>) -> impl Iterator<Item = Need> + 'a {
        let accesses = self.container.volumes.iter().map(|volume| &volume.access);
        let accesses = accesses.filter(move |access| !worker.offer(access)).cloned().map(Need::Access);
        let labels = self.constraints.iter().filter(move |constraint| !worker.satisfy(constraint));
        accesses.chain(labels.cloned().map(Need::Label))
    }

    /// How much it would rather have a worker: the weights of the preferences that hold there.
    #[must_use]
    pub fn liking(&self, worker: Traits<'_>) -> i32 {
        let held = self.affinity.iter().filter(|preference| worker.satisfy(&preference.expr));
        held.map(|preference| preference.weight).sum()
    }

    /// Bytes of the texts that make some specs larger than others.
    #[must_use]
    pub fn weight(&self) -> usize {
        let texts = |list: &[String]| list.iter().map(String::len).sum::<usize>();
        let pairs =
            |map: &BTreeMap<String, String>| map.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let ContainerSpec { command, args, entrypoint, env, outputs, inputs: found, .. } = &self.container;
        let lists = [entrypoint, outputs].map(|list| list.as_deref().map_or(0, texts));
        let labels = label::weight(&self.constraints, &self.affinity) + kin::weight(&self.anti_affinity, &self.spread);
        let inputs = inputs::weight(found) + labels;
        let requests = requests::weight(&self.alternatives);
        texts(command)
            + texts(args)
            + lists.iter().sum::<usize>()
            + pairs(env)
            + pairs(&self.labels)
            + inputs
            + requests
    }

    /// Bytes of all its texts, which [`MAX_SPEC_BYTES`] limits.
    pub(crate) fn bytes(&self) -> usize {
        size::of(self)
    }

    /// Which failures it is tried again after.
    #[must_use]
    pub fn retry_policy(&self) -> &Retries {
        static DEFAULT: Retries = Retries::DEFAULT;
        self.retries.as_ref().unwrap_or(&DEFAULT)
    }

    /// The smallest spec: an image with every default.
    /// # Errors
    /// As [`TaskSpec::from_value`].
    pub fn of_image(image: &str) -> Result<Self, SpecError> {
        Self::from_value(&Value::Map(vec![("image".into(), Value::Text(image.into()))]))
    }
}
