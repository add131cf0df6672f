//! The JSON of `/api/v1`: what clients send and get. The command line reads the same types.

pub mod advice;
pub mod audit;
mod auth;
pub mod consumed;
mod duty;
pub mod events;
mod exec;
pub mod explain;
mod files;
mod job_forecast;
mod jobs;
mod join_tokens;
mod logs;
mod policy;
mod schedules;
mod secrets;
mod templates;
mod usage;

pub use auth::{ApiKey, Me, Once, Project, Tokens, User, Who};
pub use duty::Duty;
pub use exec::{ExecEnd, ExecSaid, STDERR, STDIN, STDOUT};
pub use files::{Blob, File, Files, KeptFile, Link};
pub use job_forecast::{JobForecast, NotCounted, PartForecast};
pub use jobs::{ArrayCounts, Job, JobCounts, JobNeed, JobPart};
pub use join_tokens::IssuedToken;
pub use logs::{LogCut, LogDamage, LogEntry, LogLine, LogState};
pub use policy::Policy;
pub use schedules::{Schedule, ScheduleError, ScheduleRun, TemplateUse};
pub use secrets::{Registry, Rotated, Secret};
pub use templates::{Template, TemplateVersion};
pub use usage::Usage;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A list and where it goes on.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// The rows.
    pub items: Vec<T>,
    /// For `cursor=`; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A task of the queue.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Queued {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// Which it is, from 1, in the order in which the strategy in use looks at tasks; absent of those that have no
    /// turn: held, waiting for their time, or larger than every worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u64>,
}

/// A task. Times are ISO 8601 in UTC with milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// `task-<ulid>`, an array element with `.<index>`.
    pub id: String,
    /// For people.
    pub name: Option<String>,
    /// The image's reference.
    pub image: String,
    /// Whose it is.
    pub user_id: String,
    /// The job it belongs to.
    pub job_id: Option<String>,
    /// Its name in the job; absent of a task without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_task: Option<String>,
    /// Which element of an array it is; absent of what is no array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// How its elements stand, where it is an array as a whole; absent of what is one task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<ArrayCounts>,
    /// One of the six words.
    pub status: String,
    /// Where exactly it stands; absent once it ended.
    pub phase: Option<String>,
    /// Why it waits again, failed or was cancelled.
    pub reason: Option<String>,
    /// What happened, or what it waits for, and what to do next; may be empty.
    pub message: String,
    /// The number of its latest attempt; 0 before the first.
    pub attempt: u32,
    /// The code of its program, when one ran to its end.
    pub exit_code: Option<i32>,
    /// Whether the kernel killed a process of it for its memory.
    pub oom_killed: bool,
    /// Whether it failed with its retries used up.
    #[serde(default)]
    pub dead: bool,
    /// The task that this one runs again.
    #[serde(default)]
    pub retry_of: Option<String>,
    /// The task that runs this one again; absent without one, and in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_by: Option<String>,
    /// `oom_killed`, `log_incomplete`, `outputs_incomplete`.
    pub warnings: Vec<String>,
    /// The worker of its latest attempt.
    pub worker_id: Option<String>,
    /// -100 to 100.
    pub priority: i32,
    /// What it asks for; of one that has several requests the one that it was given, or the first while it waits.
    pub resources: Resources,
    /// How many requests it has, of which the first that fits is taken; absent of one that has one. Which they are is in
    /// its document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<usize>,
    /// Free words.
    pub labels: BTreeMap<String, String>,
    /// When it was accepted.
    pub created_at: String,
    /// When the container of its latest attempt started.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Its start time, while it waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// When it is tried again, while it waits for that (`backoff`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<String>,
    /// Where and when the strategy plans to start it, while it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
    /// When one of its limits ends it: the earliest of those that count now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// How long its user thinks that it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<f64>,
    /// When it should have ended: the document's `deadline` as a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<String>,
    /// Its start time: the document's `not_before` as a time, also when it is past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Grows with each change.
    pub version: u64,
    /// Every execution, oldest first.
    pub attempts: Vec<Attempt>,
    /// The task file's fields; only where one task is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<serde_json::Value>,
}

/// A place in the strategy's plan: it is followed if all ends as thought, and changes with what comes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Planned {
    /// Where.
    pub worker_id: String,
    /// When.
    pub at: String,
}

/// Amounts, in the units of the task file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// Cores.
    pub cpu_cores: f64,
    /// GiB.
    pub memory_gb: f64,
    /// GiB.
    pub storage_gb: f64,
    /// Devices.
    pub gpu_cores: f64,
}

/// One execution of a task.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// From 1.
    pub attempt: u32,
    /// Where.
    pub worker_id: String,
    /// Which of the task's requests it was given, from 1; absent of a task that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u32>,
    /// `pending`, `running` or how it ended.
    pub status: String,
    /// Why it ended so.
    pub reason: Option<String>,
    /// What happened.
    pub message: String,
    /// The code of its program.
    pub exit_code: Option<i32>,
    /// Whether its end is the task's end.
    pub accepted: bool,
    /// When the place was given.
    pub assigned_at: String,
    /// When its container started.
    pub started_at: Option<String>,
    /// When it ended or was given up.
    pub ended_at: Option<String>,
    /// Records of its log that were kept; unknown while it runs, and when its end was never reported.
    pub log_records: Option<u64>,
    /// Bytes of output in them.
    pub log_bytes: Option<u64>,
    /// What came after them and was not kept, because a log may be only so large; absent of logs that are not cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_cut: Option<LogCut>,
    /// What it took; absent where nothing of that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// `POST /api/v1/tasks/batch`: up to 1,000 task documents, all accepted or none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Batch<T> {
    /// The tasks.
    pub tasks: Vec<T>,
}

/// The fate of one task of a batch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// Its id.
    pub id: String,
    /// False when an earlier submission had the same idempotency key.
    pub fresh: bool,
}

/// A worker.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Worker {
    /// Its name.
    pub id: String,
    /// `registered`, `active`, `draining`, `engine_away`, `disk_pressure`, `deaf` or `inactive`.
    pub status: String,
    /// Why its container engine does not answer, and what to do; only while it is `engine_away`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_away: Option<String>,
    /// How full its disk is; only while that keeps it from work, as `disk_pressure`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_pressure: Option<String>,
    /// What keeps it from work apart from its status; absent while it takes work as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duty: Option<Duty>,
    /// Where it can be reached.
    pub address: Option<String>,
    /// What it offers.
    pub capacity: Resources,
    /// What its attempts hold.
    pub allocated: Resources,
    /// The rest.
    pub available: Resources,
    /// Its devices.
    pub gpus: Vec<Gpu>,
    /// How many attempts it holds.
    pub tasks: usize,
    /// Free words, which constraints of tasks look at: as it told them, and changed as operators said.
    pub labels: BTreeMap<String, String>,
    /// What operators said of them: the value that a label has, `null` where it was taken away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operator_labels: BTreeMap<String, Option<String>>,
    /// Folders of its host and volumes of its engine that tasks may see, as `/data` or `scratch`; `:ro` stands behind
    /// what may only be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<String>,
    /// The images that its engine has, at most 256, as constraints name them; only where one worker is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Whether programs may be run in its containers (`task exec`): not where its operator forbids it or its version can not.
    /// Absent of one that never told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<bool>,
    /// CloudAI's version on it.
    pub version: String,
    /// `docker` or `fake`.
    pub executor: String,
    /// The engine's name and version.
    pub engine: String,
    /// When it was last heard.
    pub last_seen: Option<String>,
    /// When what it holds is given up, unless it is heard before; only while it is `inactive` and that is to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives_up_at: Option<String>,
    /// When it was added.
    pub registered_at: String,
}

/// A device of a worker.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Gpu {
    /// Its id.
    pub id: String,
    /// Its model.
    pub model: String,
}

/// `POST /api/v1/workers`: adds a worker before it comes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorker {
    /// Its name.
    pub id: String,
    /// `ip:port`.
    #[serde(default)]
    pub address: Option<String>,
}

/// `GET /api/v1/cluster`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// The cluster's id.
    pub cluster: String,
    /// Which life of its data.
    pub incarnation: u64,
    /// The leading master's term.
    pub term: u64,
    /// The master's version.
    pub version: String,
    /// The strategy in use.
    pub strategy: String,
    /// `ok`, or what is wrong with the store.
    pub store: String,
    /// Seconds since the master started.
    pub uptime_s: u64,
    /// How many workers.
    pub workers: WorkerCounts,
    /// How many tasks, by status word; those without a turn are in none of them.
    pub tasks: BTreeMap<String, u64>,
    /// How many tasks of jobs have had no turn yet: they wait for others, and stand in no list but their job's.
    #[serde(default)]
    pub without_turn: u64,
    /// The sum over workers that are connected and well, those that get no new work included.
    pub capacity: Resources,
    /// The sum over all attempts.
    pub allocated: Resources,
}

/// `GET /api/v1/strategies`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Strategies {
    /// The one that places now.
    pub current: String,
    /// All of them.
    pub items: Vec<Strategy>,
    /// What can be set of them; each reads those that it knows.
    pub knobs: Vec<Knob>,
}

/// What can place tasks.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Strategy {
    /// Its name.
    pub name: String,
    /// What it is good for.
    pub about: String,
    /// Whether it places now.
    pub current: bool,
}

/// What can be set of strategies.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Knob {
    /// Its name.
    pub name: String,
    /// What it does.
    pub about: String,
    /// What it is set to.
    pub value: f64,
    /// What it is while nobody sets it.
    pub default: f64,
    /// The least allowed value.
    pub least: f64,
    /// The greatest allowed value.
    pub most: f64,
}

/// `GET /api/v1/strategies/predictions`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Predictions {
    /// Runs that were learned from.
    pub runs: u64,
    /// How good predictions were, over all runs.
    pub total: Figures,
    /// The same, older runs counting for less and less.
    pub recent: Figures,
    /// How many kinds of tasks are known.
    pub kinds: usize,
    /// Kinds of tasks, those that ended last first.
    #[serde(flatten)]
    pub list: List<KindOfTask>,
}

/// How good predictions were.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// The shorter of predicted and actual time in the longer, in the mean: 1 is exact.
    pub closeness: f64,
    /// Share of runs that took no longer than the predicted upper end.
    pub within_upper: f64,
    /// Distance of predicted and actual time in doublings, in the mean.
    pub log2_error: f64,
}

/// Tasks of one user, image and shape of the command.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KindOfTask {
    /// Whose.
    pub user_id: Option<String>,
    /// The image.
    pub image: Option<String>,
    /// The beginning of the command; absent for the image's own.
    pub command: Option<String>,
    /// Runs that were learned from.
    pub runs: u64,
    /// The shortest of the last 24.
    pub shortest_s: f64,
    /// The median of them.
    pub median_s: f64,
    /// The longest of them.
    pub longest_s: f64,
    /// How long the next is thought to run, without an estimate of its user.
    pub mean_s: f64,
    /// How long at most, in `upper_quantile` of cases.
    pub upper_s: f64,
    /// Whose guess it is.
    pub expert: String,
    /// How close to the truth it is thought to be, 0 to 100.
    pub confidence: u8,
}

/// `POST /api/v1/cluster/restore`: what the master begins again with.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Restore {
    /// The cluster's id.
    pub cluster: String,
    /// The new life of its data.
    pub incarnation: u64,
    /// Where the database will lie that is replaced, on the master's machine.
    pub kept: String,
    /// What is restored.
    pub backup: Backup,
}

/// What a backup says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    /// The version that made it.
    pub version: String,
    /// Which life of the data it is of.
    pub incarnation: u64,
    /// The term of the master that led.
    pub term: u64,
    /// The time of its last commit, in milliseconds since the epoch.
    pub last_commit_ms: u64,
    /// Bytes of the database.
    pub size: u64,
}

/// Workers by state.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct WorkerCounts {
    /// All that are known.
    pub total: usize,
    /// Those that take work as it comes.
    pub active: usize,
    /// How many are in each state, as `worker list` names it: a status, or the duty of one that is
    /// `active` apart from that. States without workers are absent.
    #[serde(default)]
    pub states: BTreeMap<String, usize>,
}

/// `GET /api/v1/cluster/join-token`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JoinToken {
    /// What a worker shows to join.
    pub join_token: String,
}

/// Every error (RFC 9457, `application/problem+json`).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `about:blank`, or a page about the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable word: `invalid`, `unsatisfiable`, `not_found`, `conflict`, `unavailable`,
    /// `too_large`, `unauthenticated`, `forbidden`, `policy_denied`, `too_many_requests`, `internal`,
    /// `method_not_allowed`, `unsupported`, `timeout`.
    pub code: String,
    /// What happened and why.
    pub detail: String,
    /// The call or command that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Every wrong field of a document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Where, as `env.PATH` or `tasks[3].cpu_cores`.
    pub path: String,
    /// The refused value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is allowed.
    pub problem: String,
}

/// What a comparison of ledgers, tasks and workers' words found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reconciled {
    /// Nothing was mended.
    pub dry_run: bool,
    /// How many workers were compared.
    pub workers: usize,
    /// Those that have told nothing since they or the master came: of them only the books were compared.
    pub unheard: Vec<String>,
    /// What differed.
    pub differences: Vec<Difference>,
    /// There are more: ask again.
    pub more: bool,
}

/// Two that should agree and do not.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Of which worker.
    pub worker_id: String,
    /// About which task; absent when it is about the worker alone.
    pub task_id: Option<String>,
    /// Which attempt of it.
    pub attempt: Option<u32>,
    /// `leaked`, `unbooked`, `misbooked`, `miscounted`, `stray`, `missing`.
    pub what: String,
    /// The same as a sentence.
    pub message: String,
    /// What mends it.
    pub mend: String,
}

/// An event of the engine.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Happened {
    /// When.
    pub at: String,
    /// What kind.
    pub kind: String,
    /// About which task; the first of several.
    pub task_id: Option<String>,
    /// Which attempt of it.
    pub attempt: Option<u32>,
    /// About which worker.
    pub worker_id: Option<String>,
    /// How many tasks it is about.
    pub count: usize,
    /// Why it changed nothing, in one word; absent when it was applied.
    pub refused: Option<String>,
}
