//! What a long queue costs: memory, the time to submit it, the time to start again with it.

use super::bed::{Bed, Make};
use super::figures::Figure;
use super::{Benchmark, Plan, load};
use crate::exit::Failure;
use tokio::time::Instant;

/// A master without workers, and a queue that only grows.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Memory {
    /// How many tasks wait
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    tasks: u64,
    /// Connections that submit
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    connections: u32,
}

impl Benchmark for Memory {
    const NAME: &'static str = "memory";
    const WHAT: &'static str = "a queue of so many tasks: what it costs, and a restart after a crash with it";

    async fn run(&self, plan: &Plan) -> Result<Vec<Figure>, Failure> {
        let mut bed = Bed::make(plan, &Make::fake(0, 1)).await?;
        let empty = bed.uses().master.resident;
        let began = Instant::now();
        load::submit(&bed, self.tasks, self.connections).await?;
        let submitted = began.elapsed();
        let full = bed.uses().master;
        let restarted = bed.restart_master().await?;
        let queued = bed.look().await?.tasks.get("queued").copied().unwrap_or(0);
        if queued != self.tasks {
            return Err(Failure::error(format!("{queued} of {} tasks are there after the restart", self.tasks)));
        }
        let again = bed.uses().master;
        Ok(vec![
            Figure::megabytes("memory of master, peak", full.peak),
            Figure::new("memory per task", "bytes", per(full.resident.saturating_sub(empty), self.tasks)),
            Figure::seconds("submitted in", submitted),
            Figure::seconds("restarted in", restarted),
            Figure::megabytes("memory after restart, peak", again.peak),
        ])
    }
}

fn per(bytes: u64, tasks: u64) -> f64 {
    super::figures::as_f64(bytes) / super::figures::as_f64(tasks)
}
