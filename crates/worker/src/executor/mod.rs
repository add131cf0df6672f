//! What runs an attempt: a container engine, or a fake for tests of everything else.
//!
//! An executor runs one attempt from pull to the last log record and tells how it ended. It
//! decides nothing about tasks: retries, results and limits of the cluster are not its business.

pub mod docker;
pub mod exec;
pub mod fake;
pub mod fences;
pub mod login;

use crate::vault::Given;
use crate::volumes::Mounted;
use async_trait::async_trait;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, Incarnation, JobId, WorkerId};
use cloudai_core::resources::Allocation;
use cloudai_core::spec::TaskSpec;
use cloudai_core::task::{Cause, Outcome, Step};
use exec::{ExecError, ExecWish, Execution};
use fences::Fences;
use login::ImageLogins;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::sync::{mpsc, watch};

/// Runs attempts. One executor serves all attempts of a worker at once.
#[async_trait]
pub trait Executor: Send + Sync + std::fmt::Debug + 'static {
    /// `docker` or `fake`.
    fn name(&self) -> &'static str;

    /// Asks the engine for its name and version, as `docker 20.10.24`.
    /// # Errors
    /// [`EngineError`] with what happened and what to do when no engine answers.
    async fn engine(&self) -> Result<String, EngineError>;

    /// Asks whether the engine answers at all, as cheaply as it can be asked.
    /// # Errors
    /// [`EngineError`] as of [`Executor::engine`].
    async fn ping(&self) -> Result<(), EngineError>;

    /// Runs an attempt to its end and returns after the last log record was handed over.
    ///
    /// The container is left behind, ended, until [`Executor::remove`]. With `job.resume` an
    /// existing container is taken over wherever it stands (created, running or ended) and one
    /// that is not there any more is [`Cause::Vanished`]; without it an existing container of
    /// the same name is taken over too, since only this attempt can have made it, but one that
    /// ran before is never started again.
    ///
    /// The outcome's `log` counts every record of the container, those of `job.skip_records`
    /// included, and is `complete` when the engine has no more of them; what of it the caller
    /// kept, and `outputs`, are the caller's to say. Its `used` is what could be measured: a lower
    /// bound of what the container took. Dropping the future leaves the container as it is: a later
    /// `run` with `resume` takes it over.
    async fn run(&self, job: &Job, io: JobIo) -> Outcome;

    /// Removes what is left of an attempt; one that is not there is no error.
    async fn remove(&self, attempt: Attempt, incarnation: Incarnation) -> Result<(), EngineError>;

    /// The archive (tar) of a file or folder in an ended container's own file system; none where there is no such path.
    /// # Errors
    /// [`EngineError`] when the engine does not give it.
    async fn archive(
        &self,
        _attempt: Attempt,
        _incarnation: Incarnation,
        _path: &str,
    ) -> Result<Option<Archive>, EngineError> {
        Ok(None)
    }

    /// Begins a program in the running container of an attempt, beside its own.
    /// # Errors
    /// [`ExecError`].
    async fn exec(
        &self,
        _attempt: Attempt,
        _incarnation: Incarnation,
        _wish: &ExecWish,
    ) -> Result<Execution, ExecError> {
        Err(ExecError::NotPossible(self.name()))
    }

    /// How full the engine's own disk is, in percent, and where it is; none where that is not known.
    async fn disk(&self) -> Option<(f64, String)> {
        None
    }

    /// Removes the image that was not used for longest among those that this worker pulled and
    /// nothing uses; answers its name, none when there is none.
    /// # Errors
    /// [`EngineError`] when the engine does not answer.
    async fn remove_unused_image(&self) -> Result<Option<String>, EngineError> {
        Ok(None)
    }

    /// The names of the images that the engine has, those first that this worker used last; none where it tells none.
    /// # Errors
    /// [`EngineError`] when the engine does not answer.
    async fn images(&self) -> Result<Vec<String>, EngineError> {
        Ok(Vec::new())
    }

    /// Waits until this worker brought an image to the engine, or removed one, since this was waited for last.
    async fn images_moved(&self) {
        std::future::pending().await
    }

    /// The attempts of this cluster and worker of which a container exists, each with the life of
    /// the cluster's data that ordered it.
    async fn existing(&self) -> Result<Vec<(Attempt, Incarnation)>, EngineError>;
}

/// The bytes of an archive.
pub type Archive = Pin<Box<dyn AsyncRead + Send>>;

/// Whose containers these are: written on each as labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's id.
    pub cluster: Arc<str>,
    /// Which life of its data.
    pub incarnation: Incarnation,
    /// This worker.
    pub worker: WorkerId,
}

impl Identity {
    /// The same worker in another life of the cluster's data.
    #[must_use]
    pub fn in_life(&self, incarnation: Incarnation) -> Self {
        Self { incarnation, ..self.clone() }
    }
}

/// One attempt to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which.
    pub attempt: Attempt,
    /// Whose; the same as the executor's own.
    pub identity: Identity,
    /// The job of its task.
    pub job: Option<JobId>,
    /// What.
    pub spec: Arc<TaskSpec>,
    /// With how much of this worker.
    pub allocation: Allocation,
    /// The host's folder that the container sees as `/out`; the executor makes it when it starts one
    /// that can write there.
    pub out_dir: PathBuf,
    /// What the container finds before it starts; it lies there already.
    pub inputs: Vec<Placed>,
    /// What of the host the container sees.
    pub volumes: Vec<Mounted>,
    /// The secrets that the container is given.
    pub secrets: Vec<Given>,
    /// What the container is kept within.
    pub fences: Fences,
    /// What is stored for its image's registry; asked when the image is pulled.
    pub logins: Arc<dyn ImageLogins>,
    /// Whether a container may exist already.
    pub resume: bool,
    /// Log records that were handed over in an earlier life of this worker and are skipped; they
    /// are counted as [`JobIo::logs`] brought them. None until the master has told: nothing is
    /// handed over before.
    pub skip_records: watch::Receiver<Option<u64>>,
}

/// A file or folder of the host that the container sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where it lies on this host.
    pub host: PathBuf,
    /// Where the container sees it.
    pub path: String,
    /// The container may change it: it is the attempt's own.
    pub writable: bool,
}

impl Job {
    /// What no other job of this worker shares.
    #[must_use]
    pub const fn key(&self) -> (Attempt, Incarnation) {
        (self.attempt, self.identity.incarnation)
    }

    /// How many log records are skipped, once that is known.
    pub async fn skip(&self) -> u64 {
        let mut skip = self.skip_records.clone();
        // The sender goes away only with everybody who wants the log.
        let known = skip.wait_for(Option::is_some).await.ok().and_then(|skip| *skip);
        known.unwrap_or(u64::MAX)
    }
}

/// What a running attempt tells and hears.
#[derive(Debug)]
pub struct JobIo {
    /// How far it is.
    pub steps: Teller,
    /// Its output, in order. A full channel slows the reading down, never the container's death.
    pub logs: mpsc::Sender<LogRecord>,
    /// The wish that it end.
    pub stop: watch::Receiver<Option<Stop>>,
}

/// Tells how far one attempt is, on a channel that all attempts share.
#[derive(Clone, Debug)]
pub struct Teller {
    attempt: Attempt,
    told: mpsc::Sender<(Attempt, Progress)>,
}

impl Teller {
    /// For one attempt.
    #[must_use]
    pub const fn new(attempt: Attempt, told: mpsc::Sender<(Attempt, Progress)>) -> Self {
        Self { attempt, told }
    }

    /// Tells that it reached a step. Nobody may be there to hear it any more.
    pub async fn step(&self, step: Step) {
        let _ = self.told.send((self.attempt, Progress::Step(step))).await;
    }

    /// Tells a word about the current step, unless others have more to tell than is heard.
    pub fn detail(&self, word: String) {
        let _ = self.told.try_send((self.attempt, Progress::Detail(word)));
    }
}

/// How far a running attempt is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It reached a step.
    Step(Step),
    /// A word for people about the current step, as `pulling 43%`.
    Detail(String),
}

/// The wish that an attempt end. The first one gives the cause; a later one can only shorten the
/// time until SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// What the outcome's cause will be, unless it ends by itself first.
    pub cause: Cause,
}

/// One piece of output of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Nanoseconds since the epoch, by the engine's clock.
    pub time_ns: u64,
    /// Standard error, else standard output.
    pub stderr: bool,
    /// The bytes as they were written, line end included: a line, or a piece of at most 16 KiB of
    /// a longer one.
    pub data: Bytes,
}

/// Why the engine could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nothing answers where the engine should be.
    #[error("no container engine answers at {address}: {why}; {}", start(address))]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why.
        why: String,
    },
    /// Nothing answers at any of the usual places; which, and why.
    #[error(
        "no container engine was found: {0}; start one with `systemctl start docker` or \
         `systemctl start podman.socket`, or name its socket with --engine"
    )]
    NoneFound(String),
    /// The engine refused or failed.
    #[error("the container engine failed: {0}")]
    Failed(String),
}

/// How an engine is started that should be at an address.
fn start(address: &str) -> &'static str {
    if address.contains("podman") {
        "start it with `systemctl start podman.socket` (of a user: `systemctl --user start podman.socket`)"
    } else if address.contains("docker") {
        "start it with `systemctl start docker` or `dockerd`, then look with `docker info`"
    } else {
        "start the engine that is to listen there (`systemctl start docker` or `systemctl start podman.socket`), or \
         name another with --engine"
    }
}
