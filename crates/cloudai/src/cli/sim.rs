//! `cloudai sim`: strategies on recorded workloads, without a master.

mod bench;
mod sequences;
mod source;
mod table;

pub(super) use bench::{Scheduling, run as bench};

use crate::exit::{Exit, Failure};
use crate::render::Screen;
use clap::Subcommand;
use cloudai_core::strategy;
use cloudai_sim::replay::report::WriteError;
use cloudai_sim::replay::{Comparison, Outcome, Replay, ReplayError, Runtimes, Workload};
use serde_json::json;
use source::Source;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs one strategy and writes its schedule, numbers and drawings
    #[command(before_help = "  cloudai sim run --tasks t.csv --workers w.csv --strategy greedy --out reports\n  \
                         cloudai sim run --swf HPC2N.swf.gz --strategy greedy --runtimes predicted --out reports\n  \
                         cloudai sim run --swf HPC2N.swf.gz --strategy greedy --protocol rlscheduler")]
    Run(Run),
    /// Runs several strategies on the same workload and makes a page that compares them
    #[command(before_help = "  cloudai sim compare --tasks t.csv --workers w.csv --out reports\n  \
                         cloudai sim compare --swf HPC2N.swf.gz --strategies greedy,round_robin --out reports\n  \
                         cloudai sim compare --swf lublin_256.swf --protocol rlscheduler --json")]
    Compare(Compare),
}

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    #[command(flatten)]
    source: Source,
    /// The strategy, by the name that a master takes
    #[arg(long, value_name = "NAME")]
    strategy: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub(super) struct Compare {
    #[command(flatten)]
    source: Source,
    /// The strategies, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    strategies: Vec<String>,
    /// What the others are held against
    #[arg(long, value_name = "NAME", default_value = "greedy")]
    baseline: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// The run times that strategies are told: true, said by users, or learned from tasks that have ended
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    runtimes: Told,
    /// Of the strategies' own random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The folder that gets a folder for each strategy; what is there of the same name is replaced
    #[arg(long, value_name = "DIR", required_unless_present = "protocol")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Told {
    Exact,
    #[default]
    Estimate,
    Predicted,
}

impl From<Told> for Runtimes {
    fn from(told: Told) -> Self {
        match told {
            Told::Exact => Self::Exact,
            Told::Estimate => Self::Estimate,
            Told::Predicted => Self::Predicted,
        }
    }
}

impl How {
    fn replay(&self, strategy: &str) -> Replay {
        Replay { strategy: strategy.to_owned(), runtimes: self.runtimes.into(), seed: self.seed }
    }

    fn replays(&self, strategies: &[String]) -> Vec<Replay> {
        strategies.iter().map(|name| self.replay(name)).collect()
    }

    /// Where the report goes: clap asks for it unless a protocol says that there is none.
    fn out(&self) -> Result<&Path, Failure> {
        self.out.as_deref().ok_or_else(|| Failure::usage("--out is missing").next("add --out DIR"))
    }
}

pub(super) fn run(command: Command, screen: &Screen) -> Result<Exit, Failure> {
    match command {
        Command::Run(run) => run.run(screen),
        Command::Compare(compare) => compare.run(screen),
    }
}

impl Run {
    fn run(self, screen: &Screen) -> Result<Exit, Failure> {
        check(&self.strategy)?;
        let workload = self.source.read()?;
        if self.source.is_protocol() {
            let replays = self.how.replays(&[self.strategy]);
            return sequences::run(&self.source, &workload, &replays, self.how.out.as_deref(), screen);
        }
        let out = self.how.out()?;
        let outcome = Outcome::of(&self.how.replay(&self.strategy), &workload).map_err(refused)?;
        let dir = outcome.write(out, &workload).map_err(unwritten)?;
        feasible(std::slice::from_ref(&outcome))?;
        let value = json!({
            "workload": workload.name, "strategy": outcome.strategy, "metrics": outcome.metrics, "report": dir,
        });
        let people = || {
            let table = table::of(std::slice::from_ref(&outcome), None, screen);
            format!("{table}\n\n{}\nreport: {}", table::legend(&outcome.metrics), dir.display())
        };
        screen.one(&value, &dir.display().to_string(), people).map(|()| Exit::Ok)
    }
}

impl Compare {
    fn run(self, screen: &Screen) -> Result<Exit, Failure> {
        let strategies = self.chosen()?;
        let workload = self.source.read()?;
        let replays = self.how.replays(&strategies);
        if self.source.is_protocol() {
            return sequences::run(&self.source, &workload, &replays, self.how.out.as_deref(), screen);
        }
        let out = self.how.out()?;
        let outcomes = outcomes(&workload, &replays, |name| screen.hint(&format!("scheduled by {name}")))?;
        let comparison = Comparison { workload, baseline: self.baseline, runtimes: self.how.runtimes.into(), outcomes };
        let page = comparison.write(out).map_err(unwritten)?;
        feasible(&comparison.outcomes)?;
        let rows: Vec<_> = comparison
            .outcomes
            .iter()
            .map(|one| json!({ "strategy": one.strategy, "metrics": one.metrics, "report": out.join(&one.strategy) }))
            .collect();
        let value = json!({
            "workload": comparison.workload.name, "baseline": comparison.baseline, "strategies": rows, "page": page,
        });
        screen.one(&value, &page.display().to_string(), || told(&comparison, &page, screen)).map(|()| Exit::Ok)
    }

    /// The strategies to run, the baseline first unless it is among them elsewhere.
    fn chosen(&self) -> Result<Vec<String>, Failure> {
        let mut names = self.strategies.clone();
        if names.is_empty() {
            names = strategy::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        if !names.contains(&self.baseline) {
            names.insert(0, self.baseline.clone());
        }
        let mut seen = std::collections::BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names.iter().try_for_each(|name| check(name))?;
        Ok(names)
    }
}

/// What people are told of a comparison.
fn told(comparison: &Comparison, page: &Path, screen: &Screen) -> String {
    let mut lines = vec![table::of(&comparison.outcomes, Some(&comparison.baseline), screen), String::new()];
    lines.extend(comparison.outcomes.first().map(|one| table::legend(&one.metrics)));
    lines.extend(table::against(comparison));
    lines.push(format!("page: {}", page.display()));
    lines.join("\n")
}

/// Refuses a name that no strategy has.
fn check(name: &str) -> Result<(), Failure> {
    if strategy::by_name(name).is_some() {
        return Ok(());
    }
    let known: Vec<_> = strategy::ALL.iter().map(|(name, _)| *name).collect();
    Err(Failure::usage(format!("no strategy is called {name:?}"))
        .why(format!("there are {}", known.join(", ")))
        .next(format!("--strategy {}", known.first().copied().unwrap_or_default())))
}

/// Runs strategies beside each other, as many as there are cores; in the order of `replays`.
fn outcomes(workload: &Workload, replays: &[Replay], ended: impl Fn(&str) + Sync) -> Result<Vec<Outcome>, Failure> {
    beside(replays, |replay| {
        let outcome = Outcome::of(replay, workload).map_err(refused)?;
        ended(&replay.strategy);
        Ok(outcome)
    })
}

/// Does something with each item on as many threads as there are cores; the first failure ends it.
fn beside<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<R, Failure> + Sync) -> Result<Vec<R>, Failure> {
    let next = Mutex::new(items.iter().enumerate());
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let take = || next.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(items.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, item)) = take() {
                    let result = work(item);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A schedule that breaks a rule is an error of the strategy, not a result.
fn feasible(outcomes: &[Outcome]) -> Result<(), Failure> {
    let Some(wrong) = outcomes.iter().find(|one| !one.metrics.feasible) else { return Ok(()) };
    let what = format!("the schedule of {} breaks rules: this is a fault of ours", wrong.strategy);
    let failure = Failure::error(what).next("report it with the workload and the lines above");
    Err(wrong.metrics.errors.iter().take(5).fold(failure, |failure, error| failure.why(error)))
}

fn refused(error: ReplayError) -> Failure {
    match error {
        ReplayError::Unsatisfiable { .. } => Failure::new(Exit::Unsatisfiable, "unsatisfiable", error.to_string())
            .next("give the cluster a worker that is large enough, or leave the task out"),
        ReplayError::NoSuchStrategy(_) => Failure::usage(error.to_string()),
    }
}

fn unwritten(error: WriteError) -> Failure {
    Failure::error(error.to_string()).why(error.source.to_string()).next("choose another folder: --out DIR")
}
