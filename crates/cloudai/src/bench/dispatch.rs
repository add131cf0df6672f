//! How many tasks a second go all the way: submitted, stored, placed, started, ended, stored.

use super::bed::{Bed, Make};
use super::figures::Figure;
use super::number::upto;
use super::stop::Stop;
use super::{Benchmark, Plan, load, on_cluster};
use crate::exit::{Exit, Failure};
use cloudai_master::http::dto::{List, Task};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two looks at how many are done; costs the master some ten microseconds each.
const PACE: Duration = Duration::from_millis(10);
/// The code of the failure that a task of the benchmark has failed.
pub(super) const FAILED: &str = "task_failed";

/// A cluster of workers that only act, and tasks that do nothing.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Dispatch {
    /// How many tasks
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = upto::<u64, 10_000_000>)]
    tasks: u64,
    /// How many workers
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = upto::<u32, 64>)]
    workers: u32,
    /// Tasks that run at once on a worker
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = upto::<u32, 4096>)]
    slots: u32,
    /// Connections that submit
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = upto::<u32, 64>)]
    connections: u32,
}

impl Benchmark for Dispatch {
    const NAME: &'static str = "dispatch";
    const WHAT: &'static str = "from the first submission to the last result, every step of each task on disk";

    async fn measure(&self, plan: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        on_cluster(plan, stop, &Make::fake(self.workers, self.slots), async |bed| stop.unless(self.run(bed)).await)
            .await
    }
}

impl Dispatch {
    async fn run(&self, bed: &mut Bed) -> Result<Vec<Figure>, Failure> {
        let before = bed.uses();
        let began = Instant::now();
        let submitting = async { load::submit(bed, self.tasks, self.connections).await.map(|()| began.elapsed()) };
        let (submitted, ended) = tokio::try_join!(submitting, until_ended(bed, self.tasks))?;
        let took = ended.duration_since(began);
        let after = bed.uses();
        Ok(vec![
            Figure::rate("rate", "tasks/s", self.tasks, took),
            Figure::rate("submitted at", "tasks/s", self.tasks, submitted),
            Figure::cpu("cpu of master per task", after.master.cpu_since(before.master), self.tasks),
            Figure::cpu("cpu of workers per task", after.workers.cpu_since(before.workers), self.tasks),
            Figure::cpu("cpu of client per task", after.client.cpu_since(before.client), self.tasks),
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
            return Err(failed(bed).await);
        }
        if count("completed") == tasks {
            return Ok(Instant::now());
        }
        sleep(PACE).await;
    }
}

/// Why the first of the tasks that failed did so.
async fn failed(bed: &Bed) -> Failure {
    let query = [("status", "failed"), ("sort", "created"), ("limit", "1")].map(|(name, value)| (name, value.into()));
    let why = match bed.client().get::<List<Task>>(&["api", "v1", "tasks"], &query).await {
        Ok(list) => list.items.into_iter().next().map_or_else(|| "it was cancelled".into(), |task| task.message),
        Err(failure) => failure.what,
    };
    Failure::new(Exit::Error, FAILED, "a task of the benchmark failed").why(why)
}
