//! How long one task takes from the submission to its known end when nothing else is to be done.

use super::bed::{Bed, Make};
use super::figures::{Figure, Sample};
use super::number::upto;
use super::stop::Stop;
use super::{Benchmark, Plan, load, on_cluster};
use crate::exit::Failure;
use cloudai_master::http::dto::Task;
use tokio::time::Instant;

/// One idle worker, one task after the other.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Latency {
    /// How many tasks, one after the other
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = upto::<u64, 1_000_000>)]
    tasks: u64,
}

impl Benchmark for Latency {
    const NAME: &'static str = "latency";
    const WHAT: &'static str = "one task alone, from sending the submission to hearing of its end";

    async fn measure(&self, plan: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        on_cluster(plan, stop, &Make::fake(1, 16), async |bed| stop.unless(self.run(bed)).await).await
    }
}

impl Latency {
    async fn run(&self, bed: &mut Bed) -> Result<Vec<Figure>, Failure> {
        let client = bed.client();
        let mut sample = Sample::default();
        for _ in 0..self.tasks {
            let began = Instant::now();
            let task: Task = client.post_bytes(&["api", "v1", "tasks"], load::one()).await?;
            let wait = [("wait_s", "60".to_owned())];
            let ended: Task = client.get(&["api", "v1", "tasks", &task.id], &wait).await?;
            sample.add(began.elapsed());
            if ended.status != "completed" {
                return Err(Failure::error(format!("task {} is {}", ended.id, ended.status)).why(ended.message));
            }
        }
        Ok(sample.figures("submit to end"))
    }
}
