//! `cloudai bench`.

use super::sim;
use crate::bench::{
    Benchmark, Bound, Dispatch, Docker, Latency, List, Logs, Memory, Placing, Plan, Report, Submit, measure, upto,
};
use crate::config::{ENGINE, Flags, Process, Resolver, User};
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use clap::Subcommand;
use cloudai_master::http::dto;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tasks a second, all the way from submission to result
    #[command(
        before_help = "  cloudai bench dispatch\n  cloudai bench dispatch --tasks 10000 --workers 16 --json out.json"
    )]
    Dispatch(Of<Dispatch>),
    /// The time from submission to end of one task alone
    #[command(before_help = "  cloudai bench latency\n  cloudai bench latency --tasks 200 --runs 1")]
    Latency(Of<Latency>),
    /// Containers a second, beside the engine's own calls
    #[command(before_help = "  cloudai bench docker\n  cloudai bench docker --concurrency 8 --image busybox\n  \
                         cloudai bench docker --engine unix:///run/podman/podman.sock")]
    Docker(Of<Docker>),
    /// Submissions a second, many in a call and one in a call
    #[command(before_help = "  cloudai bench submit\n  cloudai bench submit --connections 1")]
    Submit(Of<Submit>),
    /// What a queue of a million tasks costs
    #[command(before_help = "  cloudai bench memory\n  cloudai bench memory --tasks 100000 --runs 1")]
    Memory(Of<Memory>),
    /// Lists in a cluster with a million tasks, over every filter and order
    #[command(before_help = "  cloudai bench list\n  cloudai bench list --tasks 100000 --runs 1")]
    List(Of<List>),
    /// How fast logs come in, and reach those who follow them
    #[command(
        before_help = "  cloudai bench logs\n  cloudai bench logs --tasks 1 --followers 1000 --megabytes 1 --runs 1"
    )]
    Logs(Of<Logs>),
    /// How long a strategy thinks with a long queue and many workers
    #[command(before_help = "  cloudai bench placing\n  cloudai bench placing --strategy greedy_skip --runs 1")]
    Placing(Of<Placing>),
    /// Makes one document of what benchmarks wrote with --json
    #[command(before_help = "  cloudai bench report dispatch.json latency.json > performance.md")]
    Report {
        /// Files that benchmarks wrote
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// How good schedules are: every strategy on every workload of a folder, as a document
    #[command(hide = true)]
    #[command(before_help = "  cloudai bench scheduling --workloads crates/sim/tests/data --write docs/scheduling.md")]
    Scheduling(sim::Scheduling),
    /// What benchmarks start their processes with
    #[command(hide = true)]
    Bound(Bound),
}

/// A benchmark with what all of them take.
#[derive(Debug, clap::Args)]
pub(super) struct Of<B: clap::Args> {
    #[command(flatten)]
    bench: B,
    /// How often it is measured, with fresh processes and data each time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = upto::<u32, 100>)]
    runs: u32,
    /// Where the data lies while it runs: the disk that is measured [default: the system's folder for such]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// With --json: where to write it, instead of to stdout
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) async fn run(command: Command, named: Option<&Path>, json: bool, screen: &Screen) -> Result<Exit, Failure> {
    match command {
        Command::Dispatch(of) => of.run(json, screen).await,
        Command::Latency(of) => of.run(json, screen).await,
        Command::Docker(mut of) => {
            of.bench.engine = engine(named, of.bench.engine.as_ref())?;
            of.run(json, screen).await
        }
        Command::Submit(of) => of.run(json, screen).await,
        Command::Memory(of) => of.run(json, screen).await,
        Command::List(of) => of.run(json, screen).await,
        Command::Logs(of) => of.run(json, screen).await,
        Command::Placing(of) => of.run(json, screen).await,
        Command::Report { files } => {
            let named = |file: &PathBuf| Ok((file.display().to_string(), read(file)?));
            let reports = files.iter().map(named).collect::<Result<Vec<_>, Failure>>()?;
            Report::check_together(&reports)?;
            let items: Vec<_> = reports.into_iter().map(|(_, report)| report).collect();
            let list = dto::List { items, next_cursor: None };
            let id = |report: &Report| report.bench().to_owned();
            screen.list(&list, id, || Report::document(&list.items)).map(|()| Exit::Ok)
        }
        Command::Scheduling(bench) => sim::bench(&bench, screen),
        Command::Bound(bound) => bound.run().map(|()| Exit::Ok),
    }
}

/// The engine's address as a worker finds it: flag, environment, files; none for the usual places.
fn engine(named: Option<&Path>, flag: Option<&String>) -> Result<Option<String>, Failure> {
    let resolver = Resolver::open(&Process, named)?.given(Flags::default().with(&ENGINE, flag));
    resolver.check(User::Bench)?;
    resolver.value(&ENGINE)
}

fn read(file: &Path) -> Result<Report, Failure> {
    let unread = |why: String| Failure::error(format!("{} can not be read", file.display())).why(why);
    let text = std::fs::read(file).map_err(|error| unread(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| {
        unread(error.to_string()).next("give a file that a benchmark wrote: cloudai bench dispatch --json FILE")
    })
}

impl<B: Benchmark + clap::Args> Of<B> {
    async fn run(mut self, json: bool, screen: &Screen) -> Result<Exit, Failure> {
        if let Some(file) = self.file.as_ref().filter(|_| !json) {
            return Err(Failure::usage(format!("{} stands alone", file.display()))
                .why("a file is where --json writes to")
                .next(format!("cloudai bench {} --json {}", B::NAME, file.display())));
        }
        let plan = Plan { runs: self.runs, dir: self.dir.unwrap_or_else(std::env::temp_dir) };
        let report = measure(&mut self.bench, &plan, |line| screen.hint(line)).await?;
        let Some(file) = self.file else {
            return screen
                .one(&report, &report.headline(), || report.table(screen.width, screen.colour))
                .map(|()| Exit::Ok);
        };
        let text = serde_json::to_string_pretty(&report).map_err(|error| Failure::error(error.to_string()))?;
        std::fs::write(&file, text + "\n")
            .map_err(|error| Failure::error(format!("{} can not be written", file.display())).why(error.to_string()))?;
        screen.line(&report.table(screen.width, screen.colour))?;
        Ok(Exit::Ok)
    }
}
