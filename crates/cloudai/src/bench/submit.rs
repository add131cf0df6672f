//! How fast tasks are taken in: many in a call, and one in a call.

use super::bed::{Bed, Make};
use super::figures::{Figure, Sample};
use super::number::upto;
use super::stop::Stop;
use super::{Benchmark, Plan, load, on_cluster};
use crate::exit::Failure;
use cloudai_master::http::dto::Task;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// A master without workers: what is submitted is stored and waits.
#[derive(Clone, Debug, serde::Serialize, clap::Args)]
pub(crate) struct Submit {
    /// Tasks in calls of a thousand
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = upto::<u64, 10_000_000>)]
    tasks: u64,
    /// Tasks in calls of their own
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = upto::<u64, 1_000_000>)]
    single: u64,
    /// Connections that submit
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = upto::<u32, 64>)]
    connections: u32,
}

impl Benchmark for Submit {
    const NAME: &'static str = "submit";
    const WHAT: &'static str = "submissions until each is acknowledged, which is when it is on disk";

    async fn measure(&self, plan: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure> {
        on_cluster(plan, stop, &Make::fake(0, 1), async |bed| stop.unless(self.run(bed)).await).await
    }
}

impl Submit {
    async fn run(&self, bed: &mut Bed) -> Result<Vec<Figure>, Failure> {
        let before = bed.uses().master;
        let began = Instant::now();
        load::submit(bed, self.tasks, self.connections).await?;
        let many = began.elapsed();
        let between = bed.uses().master;
        let began = Instant::now();
        let sample = self.one_by_one(bed).await?;
        let single = began.elapsed();
        let after = bed.uses().master;
        let mut figures = vec![
            Figure::rate("in batches", "tasks/s", self.tasks, many),
            Figure::cpu("cpu of master per task in batches", between.cpu_since(before), self.tasks),
            Figure::rate("one by one", "tasks/s", self.single, single),
            Figure::cpu("cpu of master per single task", after.cpu_since(between), self.single),
        ];
        figures.extend(sample.figures("single"));
        Ok(figures)
    }
}

impl Submit {
    async fn one_by_one(&self, bed: &Bed) -> Result<Sample, Failure> {
        let left = Arc::new(AtomicU64::new(self.single));
        let mut calls: JoinSet<Result<Sample, Failure>> = JoinSet::new();
        for _ in 0..self.connections {
            let (client, left) = (bed.client().clone(), Arc::clone(&left));
            calls.spawn(async move {
                let mut sample = Sample::default();
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let began = Instant::now();
                    let _: Task = client.post_bytes(&["api", "v1", "tasks"], load::one()).await?;
                    sample.add(began.elapsed());
                }
                Ok(sample)
            });
        }
        let mut whole = Sample::default();
        while let Some(ended) = calls.join_next().await {
            whole.join(ended.map_err(|error| Failure::error(error.to_string()))??);
        }
        Ok(whole)
    }
}
