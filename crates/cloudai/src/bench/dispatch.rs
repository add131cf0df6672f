//! How many tasks a second go all the way: submitted, stored, placed, started, ended, stored.

use super::bed::{Bed, Make};
use super::figures::Figure;
use super::{Benchmark, Plan, load};
use crate::exit::Failure;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at how many are done; costs the master some ten microseconds each.
const PACE: Duration = Duration::from_millis(10);

/// A cluster of workers that only act, and tasks that do nothing.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Dispatch {
    /// How many tasks
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    tasks: u64,
    /// How many workers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    workers: u32,
    /// Tasks that run at once on a worker
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: u32,
    /// Connections that submit
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    connections: u32,
}

impl Benchmark for Dispatch {
    const NAME: &'static str = "dispatch";
    const WHAT: &'static str = "from the first submission to the last result, every step of each task on disk";

    async fn run(&self, plan: &Plan) -> Result<Vec<Figure>, Failure> {
        let bed = Bed::make(plan, &Make::fake(self.workers, self.slots)).await?;
        let before = bed.uses();
        let began = Instant::now();
        let submitting = async { load::submit(&bed, self.tasks, self.connections).await.map(|()| began.elapsed()) };
        let (submitted, ended) = tokio::try_join!(submitting, until_ended(&bed, self.tasks))?;
        let took = ended.duration_since(began);
        let after = bed.uses();
        Ok(vec![
            Figure::rate("rate", "tasks/s", self.tasks, took),
            Figure::rate("submitted at", "tasks/s", self.tasks, submitted),
            Figure::each("cpu of master per task", after.master.cpu_since(before.master), self.tasks),
            Figure::each("cpu of workers per task", after.workers.cpu_since(before.workers), self.tasks),
            Figure::each("cpu of client per task", after.client.cpu_since(before.client), self.tasks),
            Figure::megabytes("memory of master, peak", after.master.peak),
            Figure::megabytes("memory of a worker, peak", after.workers.peak / u64::from(self.workers)),
        ])
    }
}

/// Waits until so many tasks have completed.
/// # Errors
/// One that did not.
pub(super) async fn until_ended(bed: &Bed, tasks: u64) -> Result<Instant, Failure> {
    loop {
        let counts = bed.look().await?.tasks;
        let count = |status: &str| counts.get(status).copied().unwrap_or(0);
        if count("failed") + count("cancelled") > 0 {
            return Err(Failure::error("a task of the benchmark failed").why(format!("{counts:?}")));
        }
        if count("completed") == tasks {
            return Ok(Instant::now());
        }
        sleep(PACE).await;
    }
}
