//! `cloudai bench`: how fast this build is on this machine, measured over the real ways in.
//!
//! All benchmarks but [`Placing`], which thinks alone, start real processes of this very binary with an
//! empty environment, talk to them as any client does, and end them. Speed is measured here and nowhere else: no test looks
//! at a clock. `bed.rs` owns the processes, `folder.rs` their data, `bound.rs` and `stop.rs` see to it
//! that neither outlives the benchmark, `figures.rs` has the arithmetic, `report.rs` what is told; one
//! file for each benchmark.

mod bed;
mod bound;
mod dispatch;
mod docker;
mod figures;
mod folder;
mod latency;
mod list;
mod load;
mod logs;
mod memory;
mod number;
mod placing;
mod report;
mod stop;
mod submit;

pub(crate) use bound::Bound;
pub(crate) use dispatch::Dispatch;
pub(crate) use docker::Docker;
pub(crate) use latency::Latency;
pub(crate) use list::List;
pub(crate) use logs::Logs;
pub(crate) use memory::Memory;
pub(crate) use number::upto;
pub(crate) use placing::Placing;
pub(crate) use submit::Submit;

use crate::exit::Failure;
use bed::{Bed, Make};
use figures::Figure;
use folder::Folder;
pub(crate) use report::Report;
use std::path::PathBuf;
use stop::Stop;

/// What all benchmarks take.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How often it is run; each run has processes and data of its own.
    pub(crate) runs: u32,
    /// Where the data of the runs lies: the disk that is measured.
    pub(crate) dir: PathBuf,
}

impl Plan {
    /// A new folder for the data of a run.
    fn folder(&self) -> Result<Folder, Failure> {
        Folder::make(&self.dir)
    }
}

/// One thing that can be measured.
pub(crate) trait Benchmark: serde::Serialize {
    /// Its word on the command line.
    const NAME: &'static str;
    /// What a row of it means, for people.
    const WHAT: &'static str;

    /// Looks, before anything is measured, for what it needs of this machine.
    /// # Errors
    /// It is not there.
    async fn prepare(&mut self, _: &Plan) -> Result<(), Failure> {
        Ok(())
    }

    /// Measures once, with everything new; leaves nothing behind, also when it is stopped.
    /// # Errors
    /// What went wrong, or that it was stopped.
    async fn measure(&self, plan: &Plan, stop: &Stop) -> Result<Vec<Figure>, Failure>;
}

/// Measures once on a cluster of real processes, which a run has for itself: made before, ended after it.
async fn on_cluster(
    plan: &Plan,
    stop: &Stop,
    make: &Make,
    run: impl AsyncFnOnce(&mut Bed) -> Result<Vec<Figure>, Failure>,
) -> Result<Vec<Figure>, Failure> {
    let mut bed = stop.unless(Bed::make(plan.folder()?, make)).await?;
    let figures = run(&mut bed).await;
    let ended = bed.end().await;
    figures.and_then(|figures| ended.map(|()| figures))
}

/// Runs a benchmark as often as planned; tells of each run through `said`. However it ends, no
/// process and no folder of it is left.
/// # Errors
/// What stopped it.
pub(crate) async fn measure<B: Benchmark>(
    bench: &mut B,
    plan: &Plan,
    mut said: impl FnMut(&str),
) -> Result<Report, Failure> {
    let stop = Stop::on_signals()?;
    stop.unless(bench.prepare(plan)).await?;
    let mut runs = Vec::new();
    for number in 1..=plan.runs {
        let figures = Box::pin(bench.measure(plan, &stop)).await?;
        if let Some(first) = figures.first() {
            said(&format!("{} {number}/{}: {first}", B::NAME, plan.runs));
        }
        runs.push(figures);
    }
    Report::new(bench, plan, runs)
}
