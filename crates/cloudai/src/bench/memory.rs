//! What a long queue costs: memory, the time to submit it, the time to start again with it.

use super::bed::{Bed, Make};
use super::figures::{Figure, Used, as_f64};
use super::number::upto;
use super::stop::Stop;
use super::{Benchmark, Plan, load, on_cluster};
use crate::exit::Failure;
use tokio::time::Instant;

/// From so many tasks on the queue outweighs by far what submitting it takes.
const LARGE: u64 = 1_000_000;
const BUFFERS: &str =
    "buffers of submitting count here, some 70 MB of however many tasks; after a restart there are none";

/// A master without workers, and a queue that only grows.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Memory {
    /// How many tasks wait
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = upto::<u64, 10_000_000>)]
    tasks: u64,
    /// Connections that submit
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = upto::<u32, 64>)]
    connections: u32,
}

impl Benchmark for Memory {
    const NAME: &'static str = "memory";
    const WHAT: &'static str = "a queue of so many tasks: what it costs, and a restart after a crash with it";

    async fn measure(&self, plan: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        on_cluster(plan, stop, &Make::fake(0, 1), async |bed| stop.unless(self.run(bed)).await).await
    }
}

impl Memory {
    async fn run(&self, bed: &mut Bed) -> Result<Vec<Figure>, Failure> {
        let empty = bed.uses().master.resident;
        let began = Instant::now();
        load::submit(bed, self.tasks, self.connections).await?;
        let submitted = began.elapsed();
        let full = bed.uses().master;
        let restarted = bed.restart_master().await?;
        let queued = bed.look().await?.tasks.get("queued").copied().unwrap_or(0);
        if queued != self.tasks {
            return Err(Failure::error(format!("{queued} of {} tasks are there after the restart", self.tasks)));
        }
        let again = bed.uses().master;
        let each = |used: Used| as_f64(used.resident.saturating_sub(empty)) / as_f64(self.tasks);
        let per_task = Figure::new("memory per task", "bytes", each(full));
        let per_task = if self.tasks < LARGE { per_task.with_caution(BUFFERS) } else { per_task };
        Ok(vec![
            Figure::megabytes("memory of master, peak", full.peak),
            per_task,
            Figure::new("memory per task, after restart", "bytes", each(again)),
            Figure::seconds("submitted in", submitted),
            Figure::seconds("restarted in", restarted),
            Figure::megabytes("memory after restart, peak", again.peak),
        ])
    }
}
