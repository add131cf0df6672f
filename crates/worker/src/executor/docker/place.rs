//! Where a worker's engine is: named, remembered, or the first of the usual places that answers.

use super::{DockerExecutor, DockerOptions};
use crate::executor::{EngineError, Executor, Identity};
use crate::files;
use cloudai_core::ids::{Incarnation, WorkerId};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::info;

/// Docker's own socket.
const DOCKER: &str = "unix:///var/run/docker.sock";
/// Podman's, of the system.
const PODMAN: &str = "unix:///run/podman/podman.sock";
/// That of the engine below Docker, by which containers can be made as well.
const CONTAINERD: &str = "unix:///run/containerd/containerd.sock";
/// Those of a user, in `XDG_RUNTIME_DIR`.
const OF_USER: [&str; 2] = ["docker.sock", "podman/podman.sock"];
/// Where a worker notes which engine has its containers.
const FILE: &str = "engine";

/// Where an engine may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// There and nowhere else: `unix://PATH` or `tcp://127.0.0.1:PORT`.
    Named(String),
    /// Where this worker's last engine was, else the first of these that answers.
    Usual(Vec<String>),
}

impl Places {
    /// The usual places of a user with this `XDG_RUNTIME_DIR`: Docker before Podman, the system's
    /// before the user's own.
    #[must_use]
    pub fn usual(runtime_dir: Option<&str>) -> Self {
        let own = |dir: &str| OF_USER.map(|name| format!("unix://{dir}/{name}"));
        let own = runtime_dir.filter(|dir| !dir.is_empty()).map(own).into_iter().flatten();
        Self::Usual([DOCKER, PODMAN].map(ToOwned::to_owned).into_iter().chain(own).collect())
    }

    /// The sockets of engines, that at this address first: whoever may write to one of them is root of this machine.
    pub(crate) fn sockets(&self, address: &str) -> Vec<PathBuf> {
        let usual: &[String] = match self {
            Self::Named(_) => &[],
            Self::Usual(places) => places,
        };
        let all = [address].into_iter().chain(usual.iter().map(String::as_str)).chain([DOCKER, PODMAN, CONTAINERD]);
        all.filter_map(|address| address.strip_prefix("unix://")).map(PathBuf::from).collect()
    }

    /// Finds the engine of the worker whose folder this is; answers its address and its name and
    /// version.
    ///
    /// A worker stays with the engine that it once had: its containers are there, also while that
    /// engine is away.
    /// # Errors
    /// None answers, or the folder can not be used.
    pub async fn find(
        &self,
        worker: &WorkerId,
        dir: &Path,
        options: &DockerOptions,
    ) -> Result<(String, String), EngineError> {
        let found = match self {
            Self::Named(address) => hello(worker, address, options).await?,
            Self::Usual(places) => match remembered(dir)? {
                Some(address) => hello(worker, &address, options).await.map_err(|error| stays(&error))?,
                None => first(worker, places, options).await?,
            },
        };
        files::replace(dir, FILE, found.0.as_bytes()).map_err(|why| note_failed(&why))?;
        info!(address = found.0, engine = found.1, "engine found");
        Ok(found)
    }
}

async fn first(worker: &WorkerId, places: &[String], options: &DockerOptions) -> Result<(String, String), EngineError> {
    let mut tried = Vec::new();
    for address in places {
        match hello(worker, address, options).await {
            Ok(found) => return Ok(found),
            Err(EngineError::Unreachable { address, why, .. }) => tried.push(format!("{address} ({why})")),
            Err(other) => return Err(other),
        }
    }
    Err(EngineError::NoneFound(tried.join(", ")))
}

/// Asks one place.
async fn hello(worker: &WorkerId, address: &str, options: &DockerOptions) -> Result<(String, String), EngineError> {
    let nobody = Identity { cluster: Arc::from(""), incarnation: Incarnation(0), worker: worker.clone() };
    let options = DockerOptions { address: address.to_owned(), ..options.clone() };
    let name = DockerExecutor::connect(nobody, &options)?.engine().await?;
    Ok((options.address, name))
}

fn remembered(dir: &Path) -> Result<Option<String>, EngineError> {
    match std::fs::read_to_string(dir.join(FILE)) {
        Ok(address) => Ok(Some(address.trim().to_owned()).filter(|address| !address.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(note_failed(&error)),
    }
}

fn note_failed(why: &io::Error) -> EngineError {
    EngineError::Failed(format!("the file {FILE} in the worker's data folder can not be used: {why}"))
}

/// Another engine would be taken for one on which all containers have vanished.
fn stays(error: &EngineError) -> EngineError {
    EngineError::Failed(format!(
        "{error}. This worker ran its tasks there; to move it to another engine, name that with --engine"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker() -> WorkerId {
        "w1".parse().unwrap()
    }

    #[test]
    fn the_usual_places_are_the_systems_then_the_users() {
        let Places::Usual(places) = Places::usual(Some("/run/user/7")) else { panic!() };
        let expected = [
            "unix:///var/run/docker.sock",
            "unix:///run/podman/podman.sock",
            "unix:///run/user/7/docker.sock",
            "unix:///run/user/7/podman/podman.sock",
        ];
        assert_eq!(places, expected);
        assert_eq!(Places::usual(None), Places::usual(Some("")));
    }

    #[test]
    fn the_sockets_of_engines_are_the_workers_own_and_all_usual_ones() {
        let own = Places::Named("unix:///x/own.sock".into()).sockets("unix:///x/own.sock");
        let names: Vec<_> = own.iter().map(|path| path.to_str().unwrap()).collect();
        let usual = ["/var/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock"];
        assert_eq!((names[0], &names[1..]), ("/x/own.sock", &usual[..]));
        let users = Places::usual(Some("/run/user/7")).sockets("tcp://127.0.0.1:2375");
        assert!(
            users.contains(&"/run/user/7/docker.sock".into()) && !users.iter().any(|path| path.starts_with("tcp:"))
        );
    }

    #[tokio::test]
    async fn no_engine_anywhere_is_told_with_every_place_that_was_tried() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| format!("unix://{}/{name}", dir.path().display());
        let places = Places::Usual(vec![place("a.sock"), place("b.sock")]);
        let error = places.find(&worker(), dir.path(), &DockerOptions::default()).await.unwrap_err();
        let text = error.to_string();
        for words in [place("a.sock").as_str(), place("b.sock").as_str(), "--engine", "podman.socket"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!dir.path().join(FILE).exists(), "what was not found is not remembered");
    }

    #[tokio::test]
    async fn a_worker_stays_with_the_engine_that_has_its_containers() {
        let dir = tempfile::tempdir().unwrap();
        let gone = format!("unix://{}/gone.sock", dir.path().display());
        std::fs::write(dir.path().join(FILE), &gone).unwrap();
        let error = Places::usual(None).find(&worker(), dir.path(), &DockerOptions::default()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&gone) && text.contains("name that with --engine"), "{text}");
    }
}
