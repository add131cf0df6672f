//! Attempts as containers of an engine on this machine that speaks Docker's API: Docker or Podman.
//!
//! Reading order: `place` (where the engine is), `run` (the way of an attempt), `pull`
//! (with `credentials` and their `helper`s), `create` (what a container is made
//! with), `wait` (its end), `doer` (whose doing that was), `images` (which there are, and which may be removed), `storage`, `meter`
//! (what memory and processors it takes), `logs`, `outcome` (the sentences), `exec` (programs beside them); `seen`, `error` and `stamp` read
//! the engine's answers.

mod bare;
mod create;
mod credentials;
mod doer;
mod error;
mod exec;
mod helper;
mod images;
mod logs;
mod meter;
mod outcome;
mod ownership;
mod place;
mod pull;
mod run;
mod seen;
mod stamp;
mod storage;
mod wait;

use super::exec::{ExecError, ExecWish, Execution};
use super::{Archive, EngineError, Executor, Identity, Job, JobIo};
use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::SystemVersion;
use bollard::query_parameters::{
    DownloadFromContainerOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptions, RemoveContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use cloudai_core::ids::{Attempt, Incarnation};
use cloudai_core::task::Outcome;
use create::{Host, Kind};
pub use credentials::Logins;
use error::{Backoff, Fault, PATIENCE, chain, patiently};
use futures::{StreamExt, stream};
pub use place::Places;
pub(crate) use run::NO_NAMESPACES;
use seen::inspect;
use std::collections::HashMap;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::Instant;
use tokio_util::io::StreamReader;

/// Where the engine is when nothing else is said.
const DEFAULT_SOCKET: &str = "unix:///var/run/docker.sock";
/// Until the head of an answer; a create may copy a large image's volume first.
const CALL_TIMEOUT_S: u64 = 120;
/// An answer that is sent piece by piece does not pause for longer.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a first contact may take, and a look whether the engine is there: somebody waits for it.
const HELLO: Duration = Duration::from_secs(5);
/// The file by which NVIDIA's driver is controlled, where there is one.
const GPU_DRIVER: &str = "/dev/nvidiactl";

/// How the engine is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DockerOptions {
    /// `unix://PATH` or `tcp://127.0.0.1:PORT`: output folders are of this machine, so is the engine.
    pub address: String,
    /// How long a running attempt waits for an engine that went away.
    pub patience: Duration,
    /// Whose credentials registries are shown.
    pub logins: Logins,
    /// Between two measurements of an attempt's use of the disk, at least.
    pub measure: Duration,
    /// Where the images are written down that are pulled; without it they are known for one life.
    pub images: Option<PathBuf>,
}

impl Default for DockerOptions {
    fn default() -> Self {
        let (address, logins) = (DEFAULT_SOCKET.into(), Logins::default());
        Self { address, patience: PATIENCE, logins, measure: storage::EVERY, images: None }
    }
}

impl DockerOptions {
    /// The defaults, with `DOCKER_HOST` and `DOCKER_CONFIG` honoured.
    #[must_use]
    pub fn from_env() -> Self {
        let defaults = Self { logins: Logins::from_env(), ..Self::default() };
        let address = std::env::var("DOCKER_HOST").ok().filter(|address| !address.is_empty());
        Self { address: address.unwrap_or(defaults.address), ..defaults }
    }
}

/// What attempts share: the connection, the pulls that are under way, what the host can do.
#[derive(Debug)]
struct Engine {
    docker: Docker,
    address: String,
    patience: Duration,
    pulls: pull::Pulls,
    /// Which images this worker pulled, and which are in use.
    images: images::Images,
    host: OnceCell<Host>,
    /// Where the engine keeps its things, once it was asked.
    root: OnceLock<PathBuf>,
    measure: Duration,
    /// Held by the attempt whose use of the disk is being measured.
    measuring: Semaphore,
}

impl Engine {
    /// An answer that must come at once.
    async fn soon<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, EngineError> {
        let unreachable = |why| EngineError::Unreachable { address: self.address.clone(), why };
        match tokio::time::timeout(HELLO, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(unreachable(chain(&error))),
            Err(_) => Err(unreachable(format!("no answer within {} s", HELLO.as_secs()))),
        }
    }

    /// What the engine's machine can do; asked once.
    async fn host(&self) -> Result<Host, Fault> {
        let ask = async || {
            let info = patiently(self.patience, || self.docker.info()).await?;
            let (kind, _) = read_version(patiently(self.patience, || self.docker.version()).await?);
            if let Some(root) = info.docker_root_dir {
                self.root.get_or_init(|| root.into());
            }
            let cpus = info.ncpu.and_then(|cpus| u64::try_from(cpus).ok()).unwrap_or(1);
            let user_namespaces = has_user_namespaces(&info.security_options.unwrap_or_default());
            Ok(Host { kind, cpus, gpu_driver: Path::new(GPU_DRIVER).exists(), user_namespaces })
        };
        self.host.get_or_try_init(ask).await.copied()
    }
}

/// Whether root inside of an engine's containers is nobody on its machine: by its `userns-remap`, or because all of it
/// runs as a user.
fn has_user_namespaces(options: &[String]) -> bool {
    options.iter().flat_map(|option| option.split(',')).any(|word| matches!(word, "name=userns" | "name=rootless"))
}

/// Which engine a version is of, and its number.
fn read_version(version: SystemVersion) -> (Kind, String) {
    let components = version.components.unwrap_or_default();
    let podman = components.iter().any(|component| component.name.starts_with("Podman"));
    (if podman { Kind::Podman } else { Kind::Docker }, version.version.unwrap_or_default())
}

/// Runs attempts as containers; see the module.
#[derive(Debug)]
pub struct DockerExecutor {
    engine: Engine,
    identity: Identity,
}

impl DockerExecutor {
    /// Prepares the connection of a worker. [`Executor::engine`] tells whether anything answers.
    /// # Errors
    /// [`EngineError::Unreachable`] when the address is of another form, or its socket is not there.
    pub fn connect(identity: Identity, options: &DockerOptions) -> Result<Self, EngineError> {
        let address = &options.address;
        let unreachable = |why: String| EngineError::Unreachable { address: address.clone(), why };
        let local = ["127.", "localhost", "[::1]"];
        let rest = address.strip_prefix("tcp://").or_else(|| address.strip_prefix("http://"));
        let docker = match rest {
            Some(host) if local.iter().any(|name| host.starts_with(name)) => {
                Docker::connect_with_http(address, CALL_TIMEOUT_S, API_DEFAULT_VERSION)
            }
            None if address.starts_with("unix://") => {
                Docker::connect_with_unix(address, CALL_TIMEOUT_S, API_DEFAULT_VERSION)
            }
            _ => {
                let why = "the address must be unix://PATH or tcp://127.0.0.1:PORT, an engine of this machine";
                return Err(unreachable(why.into()));
            }
        };
        let docker = docker.map_err(|error| unreachable(chain(&error)))?;
        let (address, patience) = (address.clone(), options.patience);
        let engine = Engine {
            docker,
            address,
            patience,
            pulls: pull::Pulls::new(options.logins.clone()),
            images: images::Images::open(options.images.clone()),
            host: OnceCell::new(),
            root: OnceLock::new(),
            measure: options.measure,
            measuring: Semaphore::new(1),
        };
        Ok(Self { engine, identity })
    }

    /// The engine's real count of cores, above which it refuses a container.
    /// # Errors
    /// The engine does not answer.
    pub async fn cpus(&self) -> Result<u64, EngineError> {
        Ok(self.engine.host().await?.cpus)
    }

    /// Whether root inside of its containers is nobody on its machine.
    /// # Errors
    /// The engine does not answer.
    pub async fn has_user_namespaces(&self) -> Result<bool, EngineError> {
        Ok(self.engine.host().await?.user_namespaces)
    }
}

#[async_trait]
impl Executor for DockerExecutor {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn engine(&self) -> Result<String, EngineError> {
        // Version negotiation does nothing in this client version, and will once that is mended.
        let hello = async {
            let docker = self.engine.docker.clone().negotiate_version().await?;
            docker.version().await
        };
        let (kind, number) = read_version(self.engine.soon(hello).await?);
        Ok(format!("{} {number}", kind.name()).trim_end().to_owned())
    }

    async fn ping(&self) -> Result<(), EngineError> {
        self.engine.soon(self.engine.docker.ping()).await.map(drop)
    }

    async fn run(&self, job: &Job, io: JobIo) -> Outcome {
        let _image = self.engine.images.pin(&job.spec.image).await;
        Box::pin(run::run(&self.engine, job, io)).await
    }

    async fn remove(&self, attempt: Attempt, incarnation: Incarnation) -> Result<(), EngineError> {
        let identity = self.identity.in_life(incarnation);
        let name = create::name(&identity, attempt);
        let found = inspect(&self.engine.docker, &name, self.engine.patience).await?;
        let id = match found {
            Some(seen) if seen.is_of(&identity, attempt) => seen.id,
            // Somebody else's of the same name is not ours to remove.
            Some(_) | None => return Ok(()),
        };
        let begin = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            match self.engine.docker.remove_container(&id, Some(options)).await.map_err(Fault::from) {
                // A conflict: the engine is removing it already.
                Ok(()) | Err(Fault::Gone(_) | Fault::Conflict(_)) => return Ok(()),
                Err(fault) if fault.may_pass() && begin.elapsed() < self.engine.patience => backoff.pause().await,
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    async fn archive(
        &self,
        attempt: Attempt,
        incarnation: Incarnation,
        path: &str,
    ) -> Result<Option<Archive>, EngineError> {
        let identity = self.identity.in_life(incarnation);
        // Without the container nothing is there, which is another thing than without the path.
        let found = inspect(&self.engine.docker, &create::name(&identity, attempt), self.engine.patience).await?;
        let Some(seen) = found.filter(|seen| seen.is_of(&identity, attempt)) else {
            return Err(EngineError::Failed("the container is gone".into()));
        };
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let parts = self.engine.docker.download_from_container(&seen.id, Some(options));
        let parts = tokio_stream::StreamExt::timeout(parts, SILENCE);
        let mut parts = Box::pin(parts.map(|part| part.unwrap_or(Err(Error::RequestTimeoutError))));
        let first = match parts.next().await.transpose().map_err(Fault::from) {
            Ok(first) => first.unwrap_or_default(),
            Err(Fault::Gone(_)) => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        let parts = stream::once(ready(Ok(first))).chain(parts);
        Ok(Some(Box::pin(StreamReader::new(parts.map(|part| part.map_err(std::io::Error::other))))))
    }

    async fn exec(&self, attempt: Attempt, incarnation: Incarnation, wish: &ExecWish) -> Result<Execution, ExecError> {
        let identity = self.identity.in_life(incarnation);
        let name = create::name(&identity, attempt);
        let found = inspect(&self.engine.docker, &name, HELLO).await.map_err(EngineError::from)?;
        match found.filter(|seen| seen.is_of(&identity, attempt) && seen.stage == seen::Stage::Running) {
            // Boxed: few of many calls need so much room.
            Some(seen) => Box::pin(exec::begin(&self.engine, &seen.id, wish)).await,
            None => Err(ExecError::NotRunning),
        }
    }

    async fn disk(&self) -> Option<(f64, String)> {
        // Asked for the folder; a failure is seen by whoever pings.
        self.engine.host().await.ok()?;
        let root = self.engine.root.get()?;
        Some((crate::disk_watch::used_percent(root)?, root.display().to_string()))
    }

    async fn remove_unused_image(&self) -> Result<Option<String>, EngineError> {
        Ok(self.engine.images.remove_oldest(&self.engine.docker).await?)
    }

    async fn images(&self) -> Result<Vec<String>, EngineError> {
        let list = || self.engine.docker.list_images(None::<ListImagesOptions>);
        let list = patiently(Duration::ZERO, list).await?;
        Ok(self.engine.images.by_use(list.into_iter().flat_map(images::names).collect()))
    }

    async fn images_moved(&self) {
        self.engine.images.moved().await;
    }

    async fn existing(&self) -> Result<Vec<(Attempt, Incarnation)>, EngineError> {
        let labels = create::worker_labels(&self.identity).map(|(key, value)| format!("{key}={value}"));

        let filters = HashMap::from([("label".to_owned(), labels.to_vec())]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let list =
            patiently(self.engine.patience, || self.engine.docker.list_containers(Some(options.clone()))).await?;
        let mut attempts: Vec<_> =
            list.into_iter().filter_map(|container| create::attempt_of(&container.labels?)).collect();
        attempts.sort_unstable();
        Ok(attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::has_user_namespaces;

    #[test]
    fn user_namespaces_are_told_by_what_the_engine_says_of_itself() {
        let said = |options: &[&str]| has_user_namespaces(&options.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert!(said(&["name=seccomp,profile=builtin", "name=userns"]));
        assert!(said(&["name=rootless"]));
        assert!(!said(&["name=apparmor", "name=seccomp,profile=userns", "name=cgroupns"]));
        assert!(!said(&[]));
    }
}
