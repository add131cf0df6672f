//! How fast logs come in and go out: of many tasks at once, with people who follow one of them.

use super::bed::{Bed, Make};
use super::dispatch::until_ended;
use super::figures::Figure;
use super::number::upto;
use super::stop::Stop;
use super::{Benchmark, Plan, on_cluster};
use crate::client::Client;
use crate::exit::Failure;
use cloudai_master::http::dto::Task;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Bytes of a million.
const MB: u64 = 1_000_000;

/// Tasks that do nothing but print.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Logs {
    /// How many tasks print at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = upto::<u32, 1024>)]
    tasks: u32,
    /// How much each prints, in lines of 100 bytes
    #[arg(long, value_name = "MB", default_value_t = 100, value_parser = upto::<u64, 100_000>)]
    megabytes: u64,
    /// How many follow the first of them
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    followers: u32,
}

impl Benchmark for Logs {
    const NAME: &'static str = "logs";
    const WHAT: &'static str = "from the submission to the end of tasks whose whole logs are kept";

    async fn measure(&self, plan: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        let make = Make::fake(1, self.tasks);
        on_cluster(plan, stop, &make, async |bed| stop.unless(self.run(bed)).await).await
    }
}

impl Logs {
    async fn run(&self, bed: &mut Bed) -> Result<Vec<Figure>, Failure> {
        let before = bed.uses();
        let began = Instant::now();
        let first = self.submit(bed.client()).await?;
        let mut followers = JoinSet::new();
        for _ in 0..self.followers {
            let (client, id) = (bed.client().clone(), first.clone());
            followers.spawn(async move { read(&client, &id, true).await });
        }
        for _ in 1..self.tasks {
            self.submit(bed.client()).await?;
        }
        let ended = until_ended(bed, self.tasks.into()).await?;
        let took = ended.duration_since(began);
        let each = self.megabytes * MB;
        while let Some(read) = followers.join_next().await {
            check(read.map_err(|error| Failure::error(error.to_string()))??, each)?;
        }
        let behind = ended.elapsed();
        let after = bed.uses();
        let reading = Instant::now();
        check(read(bed.client(), &first, false).await?, each)?;
        let reading = reading.elapsed();
        let all = u64::from(self.tasks) * self.megabytes;
        let mut figures = vec![
            Figure::rate("ingest", "MB/s", all, took),
            Figure::rate("read back", "MB/s", self.megabytes, reading),
            Figure::cpu("cpu of master per MB", after.master.cpu_since(before.master), all),
            Figure::cpu("cpu of worker per MB", after.workers.cpu_since(before.workers), all),
            Figure::megabytes("memory of master, peak", after.master.peak),
            Figure::megabytes("memory of worker, peak", after.workers.peak),
        ];
        if self.followers > 0 {
            let all = u64::from(self.followers) * self.megabytes;
            figures.push(Figure::rate("to all followers", "MB/s", all, took + behind));
            figures.push(Figure::ms("last follower behind the last end", behind));
        }
        Ok(figures)
    }

    /// Submits one; answers its id.
    async fn submit(&self, client: &Client) -> Result<String, Failure> {
        let bytes = (self.megabytes * MB).to_string();
        let task = json!({
            "image": "fake:bench", "cpu_cores": 1, "memory_gb": 0.0625, "storage_gb": 0.001,
            "env": {"FAKE_LOG_BYTES": bytes},
        });
        let task: Task = client.post_bytes(&["api", "v1", "tasks"], task.to_string().into()).await?;
        Ok(task.id)
    }
}

/// How many bytes of its log a task's reader gets; a follower to its end.
async fn read(client: &Client, id: &str, follow: bool) -> Result<u64, Failure> {
    let query = [("format", "raw".to_owned()), ("follow", follow.to_string())];
    let mut answer = client.stream(&["api", "v1", "tasks", id, "logs"], &query).await?;
    let mut bytes = 0;
    while let Some(piece) = answer.chunk().await.map_err(|error| client.unreachable(&error))? {
        bytes += piece.len() as u64;
    }
    Ok(bytes)
}

fn check(read: u64, printed: u64) -> Result<(), Failure> {
    if read == printed {
        return Ok(());
    }
    Err(Failure::error(format!("of a log of {printed} bytes {read} were read")))
}
