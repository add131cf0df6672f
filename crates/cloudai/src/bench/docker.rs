//! What this system adds to the container engine's own time: our way and the bare calls in turn.

use super::bed::{Bed, Make};
use super::dispatch::{FAILED, until_ended};
use super::figures::Figure;
use super::number::upto;
use super::stop::Stop;
use super::{Benchmark, Plan, on_cluster};
use crate::exit::Failure;
use cloudai_core::ids::{Attempt, Incarnation, TaskId, WorkerId};
use cloudai_core::spec::TaskSpec;
use cloudai_master::http::dto::{List, Submitted};
use cloudai_worker::executor::docker::{DockerExecutor, DockerOptions, Places};
use cloudai_worker::executor::fences::Fences;
use cloudai_worker::executor::login::NoLogins;
use cloudai_worker::executor::{Identity, Job};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Containers that run `true`, some at a time.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Docker {
    /// Containers of one round
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = upto::<u64, 1000>)]
    tasks: u64,
    /// Rounds of each way, in turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = upto::<u64, 100>)]
    rounds: u64,
    /// Containers at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = upto::<u64, 64>)]
    concurrency: u64,
    /// An image with a program `true`; it must be there
    #[arg(long, value_name = "IMAGE", default_value = "cloudai/busybox:latest")]
    image: String,
    /// The container engine's address, of Docker or Podman
    #[arg(long, value_name = "ADDR")]
    #[serde(skip)]
    pub(crate) engine: Option<String>,
    /// The engine that was found, and its version.
    #[arg(skip)]
    #[serde(rename = "engine")]
    found: String,
}

impl Benchmark for Docker {
    const NAME: &'static str = "docker";
    const WHAT: &'static str = "containers that run `true`: submitted as tasks, and by the engine's bare calls";

    /// Finds the engine, for the worker and the bare calls alike.
    async fn prepare(&mut self, plan: &Plan) -> Result<(), Failure> {
        let usual = || Places::usual(std::env::var("XDG_RUNTIME_DIR").ok().as_deref());
        let places = self.engine.take().map_or_else(usual, Places::Named);
        let folder = plan.folder()?;
        let found = places.find(&worker()?, folder.path(), &DockerOptions::from_env()).await;
        let (address, name) = found.map_err(|error| {
            Failure::error("there is no container engine to measure")
                .why(error.to_string())
                .next("name it: --engine ADDR")
        })?;
        (self.engine, self.found) = (Some(address), name);
        Ok(())
    }

    async fn measure(&self, plan: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        // What it makes outside its folder would be left if it were dropped: it heeds the wish to stop itself.
        on_cluster(plan, stop, &Make::docker(cores(), self.concurrency, &self.address()), async |bed| {
            self.run(bed, stop).await
        })
        .await
    }
}

impl Docker {
    async fn run(&self, bed: &mut Bed, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        let document = serde_json::json!({
            "image": self.image, "command": ["true"], "pull_policy": "never",
            "cpu_cores": super::figures::as_f64(cores() * 1000 / self.concurrency) / 1e3,
            "memory_gb": 0.0625, "storage_gb": 0.001,
        });
        let body: bytes::Bytes =
            serde_json::json!({ "tasks": vec![&document; usize::try_from(self.tasks).unwrap_or(1)] })
                .to_string()
                .into();
        let bare = Bare::new(&document, bed.dir(), self.address())?;
        // Once each for everything that is slow only the first time.
        stop.unless(self.ours(bed, body.clone(), 1)).await?;
        bare.run(self.tasks, self.concurrency, stop).await?;
        let (mut ours, mut bares) = (Duration::ZERO, Duration::ZERO);
        for round in 1..=self.rounds {
            ours += stop.unless(self.ours(bed, body.clone(), round + 1)).await?;
            bares += bare.run(self.tasks, self.concurrency, stop).await?;
        }
        let count = self.tasks * self.rounds;
        let (ours, bares) = (
            Figure::rate("tasks", "containers/s", count, ours),
            Figure::rate("bare calls", "containers/s", count, bares),
        );
        Ok(vec![Figure::new("share of the bare rate", "", ours.value / bares.value), ours, bares])
    }
}

impl Docker {
    fn address(&self) -> String {
        self.engine.clone().unwrap_or_default()
    }

    async fn ours(&self, bed: &Bed, body: bytes::Bytes, round: u64) -> Result<Duration, Failure> {
        let began = Instant::now();
        let _: List<Submitted> = bed.client().post_bytes(&["api", "v1", "tasks", "batch"], body).await?;
        let ended = until_ended(bed, self.tasks * round).await.map_err(|failure| {
            let next =
                "give an image that is there and has a program `true`: --image IMAGE (make images makes the default)";
            if failure.code == FAILED { failure.next(next) } else { failure }
        })?;
        Ok(ended.duration_since(began))
    }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, usize::from) as u64
}

/// Whose the bare containers are.
fn worker() -> Result<WorkerId, Failure> {
    "bench".parse().map_err(|error| Failure::error(format!("{error}")))
}

/// The engine without us.
struct Bare {
    executor: Arc<DockerExecutor>,
    job: Job,
}

impl Bare {
    fn new(document: &serde_json::Value, dir: &Path, address: String) -> Result<Self, Failure> {
        let unread = |error: &dyn std::fmt::Display| Failure::error(error.to_string());
        let value = serde_json::from_value(document.clone()).map_err(|error| unread(&error))?;
        let spec = TaskSpec::from_value(&value).map_err(|error| unread(&error))?;
        let identity = Identity { cluster: "bench".into(), incarnation: Incarnation(1), worker: worker()? };
        let free = cloudai_core::resources::Free::all(&cloudai_core::resources::Capacity {
            cpu_milli: u64::MAX,
            memory: u64::MAX,
            storage: u64::MAX,
            gpus: Vec::new(),
        });
        let allocation = free.pick(&spec.demand).map_err(|lack| unread(&lack))?;
        let executor =
            DockerExecutor::connect(identity.clone(), &DockerOptions { address, ..DockerOptions::from_env() });
        let job = Job {
            attempt: Attempt { task: TaskId::new(0), number: 1 },
            identity,
            job: None,
            spec: Arc::new(spec),
            allocation,
            out_dir: dir.join("bare"),
            inputs: Vec::new(),
            volumes: Vec::new(),
            secrets: Vec::new(),
            fences: Fences::default(),
            logins: Arc::new(NoLogins),
            resume: false,
            skip_records: watch::Sender::new(Some(0)).subscribe(),
        };
        Ok(Self { executor: Arc::new(executor.map_err(|error| unread(&error))?), job })
    }

    /// Whatever goes wrong, what has begun is brought to its end: no container is left.
    async fn run(&self, containers: u64, concurrency: u64, stop: &Stop) -> Result<Duration, Failure> {
        let places = Arc::new(Semaphore::new(usize::try_from(concurrency).unwrap_or(1)));
        let began = Instant::now();
        let mut running: JoinSet<Result<(), Failure>> = JoinSet::new();
        for number in 0..containers {
            let (places, executor, stop) = (Arc::clone(&places), Arc::clone(&self.executor), stop.clone());
            let mut job = self.job.clone();
            job.attempt.task = TaskId::new(number.into());
            job.out_dir = job.out_dir.join(number.to_string());
            running.spawn(async move {
                let _place = places.acquire_owned().await.map_err(|error| Failure::error(error.to_string()))?;
                stop.check()?;
                executor.bare(&job).await.map_err(|error| Failure::error(error.to_string()))
            });
        }
        let mut wrong = None;
        while let Some(ended) = running.join_next().await {
            if let Err(failure) = ended.map_err(|error| Failure::error(error.to_string())).flatten() {
                // The others need not begin.
                places.close();
                wrong.get_or_insert(failure);
            }
        }
        wrong.map_or_else(|| Ok(began.elapsed()), Err)
    }
}
