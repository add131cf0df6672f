//! Starts a worker.

use super::policy::Followed;
use super::{logging, stop};
use crate::config::{Delivery, Executor, ListenAt, USUAL_PORT, WorkerSettings};
use crate::exit::{Exit, Failure};
use anyhow::Context;
use cloudai_core::ids::WorkerId;
use cloudai_worker::executor::docker::{DockerOptions, Places};
use cloudai_worker::executor::fake::FakeOptions;
use cloudai_worker::probe::host::{Declared, Host, ProbeError};
use cloudai_worker::{Because, Called, Config, Engine, Listening, Refused, StartError, Worker};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Runs a worker until the process is asked to stop.
/// # Errors
/// When it can not start, or fails on the way.
pub(crate) async fn run_worker(settings: WorkerSettings) -> anyhow::Result<()> {
    let stop = stop::on_signal(logging::start(&settings.log)?)?;
    let policy = Followed::of(settings.policy.as_deref()).await?;
    let called = called(&settings).await?;
    let worker = Worker::prepare(config(settings, called, &policy)?).await?;
    worker.run(stop).await.map_err(|error| match &error {
        StartError::Refused(Refused { because: Because::Token, .. }) => {
            anyhow::Error::new(Failure::new(Exit::NotAllowed, "forbidden", error.to_string()))
        }
        StartError::Refused(Refused { because: Because::Name, .. }) => {
            anyhow::Error::new(Failure::new(Exit::Conflict, "conflict", error.to_string()))
        }
        _ => anyhow::Error::new(error),
    })
}

/// Takes the address where its master calls the worker, if it does.
async fn called(settings: &WorkerSettings) -> anyhow::Result<Option<Called>> {
    let Some(ListenAt { address, exact }) = settings.listen else { return Ok(None) };
    let listening = Listening::take(address, exact).await.map_err(|error| {
        Failure::error(format!("the worker can not listen on {address}"))
            .why(error.to_string())
            .next("give another --listen, or port 0 for a free one")
    })?;
    let push = match settings.delivery {
        Delivery::Subscribe => false,
        Delivery::Push => true,
    };
    Ok(Some(Called { listening, push }))
}

fn config(settings: WorkerSettings, called: Option<Called>, policy: &Followed) -> anyhow::Result<Config> {
    let data_dir = folder(&settings.data_dir, &settings.id);
    let offer = settings.offer;
    let declared =
        Declared { cpu_milli: offer.cpu_milli, memory: offer.memory, storage: offer.storage, gpus: offer.gpus };
    let capacity = capacity(&data_dir, &declared, settings.executor)?;
    let listens = called.as_ref().map_or(USUAL_PORT, |called| called.listening.address().port());
    let port = settings.port.unwrap_or(listens);
    Ok(Config {
        id: settings.id,
        master: settings.master,
        join_token: settings.join_token,
        called,
        address: settings.ip.map(|ip| SocketAddr::new(ip, port).to_string()).unwrap_or_default(),
        capacity,
        labels: settings.labels,
        engine: engine(settings.executor, settings.engine),
        data_dir,
        disk: settings.disk,
        offers: settings.offers,
        policy: policy.now(),
        exec: settings.exec,
        local_inputs: settings.local_inputs,
        log_rate: settings.log_rate,
    })
}

/// Each worker has a folder of its own, so that several may share a data directory, also with a
/// master.
pub(crate) fn folder(data_dir: &Path, id: &WorkerId) -> PathBuf {
    data_dir.join("workers").join(id.as_str())
}

/// What the worker offers: as declared, else what the host has less the reserve.
pub(super) fn capacity(
    data_dir: &Path,
    declared: &Declared,
    executor: Executor,
) -> anyhow::Result<cloudai_core::resources::Capacity> {
    std::fs::create_dir_all(data_dir)
        .with_context(|| format!("the data folder {} can not be made", data_dir.display()))?;
    let enforced = match executor {
        Executor::Docker => true,
        Executor::Fake => false,
    };
    Host::probe(data_dir)?.capacity(declared, enforced).map_err(|error| match error {
        ProbeError::TooMuch { .. } => anyhow::Error::new(Failure::usage(error.to_string())),
        other @ ProbeError::Unreadable { .. } => anyhow::Error::new(other),
    })
}

pub(super) fn engine(executor: Executor, named: Option<String>) -> Engine {
    match executor {
        Executor::Docker => {
            let usual = || Places::usual(std::env::var("XDG_RUNTIME_DIR").ok().as_deref());
            Engine::Docker(named.map_or_else(usual, Places::Named), DockerOptions::from_env())
        }
        Executor::Fake => {
            let path = |name| std::env::var_os(name).map(PathBuf::from);
            let (journal, host) = (path("CLOUDAI_FAKE_JOURNAL"), path("CLOUDAI_FAKE_HOST"));
            Engine::Fake(FakeOptions { journal, host, ..FakeOptions::default() })
        }
    }
}
