//! `cloudai bench`: how fast this build is on this machine, measured over the real ways in.
//!
//! Every benchmark starts real processes of this very binary with an empty environment, talks to
//! them as any client does, and ends them. Speed is measured here and nowhere else: no test looks
//! at a clock. `bed.rs` owns the processes, `figures.rs` the arithmetic, `report.rs` what is told;
//! one file for each benchmark.

mod bed;
mod dispatch;
mod docker;
mod figures;
mod latency;
mod list;
mod load;
mod memory;
mod report;
mod submit;

pub(crate) use dispatch::Dispatch;
pub(crate) use docker::Docker;
pub(crate) use latency::Latency;
pub(crate) use list::List;
pub(crate) use memory::Memory;
pub(crate) use submit::Submit;

use crate::exit::Failure;
use figures::Figure;
pub(crate) use report::Report;
use std::path::PathBuf;

/// What all benchmarks take.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How often it is run; each run has processes and data of its own.
    pub(crate) runs: u32,
    /// Where the data of the runs lies: the disk that is measured.
    pub(crate) dir: PathBuf,
}

/// One thing that can be measured.
pub(crate) trait Benchmark: serde::Serialize {
    /// Its word on the command line.
    const NAME: &'static str;
    /// What a row of it means, for people.
    const WHAT: &'static str;

    /// Measures once.
    /// # Errors
    /// What went wrong, with the end of what the processes told.
    async fn run(&self, plan: &Plan) -> Result<Vec<Figure>, Failure>;
}

/// Runs a benchmark as often as planned; tells of each run through `said`.
/// # Errors
/// What stopped it.
pub(crate) async fn measure<B: Benchmark>(
    bench: &B,
    plan: &Plan,
    mut said: impl FnMut(&str),
) -> Result<Report, Failure> {
    let mut runs = Vec::new();
    for number in 1..=plan.runs {
        let figures = Box::pin(bench.run(plan)).await?;
        if let Some(first) = figures.first() {
            said(&format!("{} {number}/{}: {first}", B::NAME, plan.runs));
        }
        runs.push(figures);
    }
    Report::new(bench, plan, runs)
}
