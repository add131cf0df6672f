//! `cloudai sim`: strategies on recorded workloads, or on the history of a master.

mod bench;
mod history;
mod sequences;
mod source;
mod table;

pub(super) use bench::{Scheduling, run as bench};

use super::Context;
use crate::config::key_value;
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use clap::Subcommand;
use cloudai_core::strategy::{self, Knobs};
use cloudai_sim::replay::actual::ACTUAL;
use cloudai_sim::replay::report::WriteError;
use cloudai_sim::replay::written::write_workload;
use cloudai_sim::replay::{Comparison, Outcome, Replay, ReplayError, Runtimes, Workload};
use history::History;
use serde_json::{Map, Value, json};
use source::Source;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs one strategy and writes its schedule, numbers and drawings
    #[command(before_help = "  cloudai sim run --tasks t.csv --workers w.csv --strategy greedy --out reports\n  \
                         cloudai sim run --swf HPC2N.swf.gz --strategy greedy --runtimes predicted --out reports\n  \
                         cloudai sim run --swf HPC2N.swf.gz --strategy greedy --protocol rlscheduler\n  \
                         cloudai sim run --from-history --since 7d --strategy ai --out reports")]
    Run(Run),
    /// Runs several strategies on the same workload and makes a page that compares them
    #[command(before_help = "  cloudai sim compare --tasks t.csv --workers w.csv --out reports\n  \
                         cloudai sim compare --swf HPC2N.swf.gz --strategies greedy,round_robin --out reports\n  \
                         cloudai sim compare --swf lublin_256.swf --protocol rlscheduler --json\n  \
                         cloudai sim compare --from-history --since 7d --strategies ai,greedy --out reports")]
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
    /// What the others are held against [default: greedy; with --from-history as_it_happened]
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// The run times that strategies are told: true; said by users and, where they say nothing, learned from tasks that
    /// have ended, as a master tells them; or learned always
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    runtimes: Told,
    /// Of the strategies' own random numbers, by which plans are improved: others show what is chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// What can be set of strategies, as in docs/configuration.md ([strategy]); may be repeated
    #[arg(long = "knob", value_name = "K=V", value_parser = key_value)]
    knobs: Vec<(String, String)>,
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
    fn replays(&self, strategies: &[String]) -> Result<Vec<Replay>, Failure> {
        let (runtimes, knobs) = (self.runtimes.into(), self.knobs()?);
        Ok(strategies.iter().map(|name| Replay { strategy: name.clone(), runtimes, knobs }).collect())
    }

    fn knobs(&self) -> Result<Knobs, Failure> {
        let mut knobs = Knobs { seed: self.seed, ..Knobs::default() };
        let mut named = BTreeSet::new();
        for (name, value) in &self.knobs {
            let wrong =
                |why: String| Failure::usage(format!("--knob {name}={value}: {why}")).next("cloudai sim run --help");
            let known = name.replace('-', "_");
            knobs.set(&known, value).map_err(|error| wrong(error.to_string()))?;
            if !named.insert(known) {
                return Err(wrong("it is given twice".to_owned()));
            }
        }
        Ok(knobs)
    }

    /// What strategies were set to, for programs and for people.
    fn settings(&self) -> Result<(Value, String), Failure> {
        let changed: Vec<_> = self.knobs()?.changed().map(|(knob, value)| (knob.name, value)).collect();
        let runtimes = Runtimes::from(self.runtimes).word();
        let rest = [format!("seed {}", self.seed), format!("run times: {runtimes}")];
        let words = changed.iter().map(|(name, value)| format!("{name}={value}")).chain(rest);
        let words = words.collect::<Vec<_>>().join(", ");
        let knobs: Map<_, _> = changed.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Ok((json!({ "seed": self.seed, "runtimes": runtimes, "knobs": knobs }), words))
    }

    /// Where the report goes: clap asks for it unless a protocol says that there is none.
    fn out(&self) -> Result<&Path, Failure> {
        self.out.as_deref().ok_or_else(|| Failure::usage("--out is missing").next("add --out DIR"))
    }
}

/// What is run, and what is known of it when it is a history.
struct Subject {
    workload: Workload,
    history: Option<History>,
}

impl Command {
    fn source(&self) -> &Source {
        match self {
            Self::Run(run) => &run.source,
            Self::Compare(compare) => &compare.source,
        }
    }

    /// Whether a master is asked; else files are enough.
    pub(super) fn asks_master(&self) -> bool {
        self.source().history.from_history
    }

    fn run(self, of: Subject, screen: &Screen) -> Result<Exit, Failure> {
        match self {
            Self::Run(run) => run.run(of, screen),
            Self::Compare(compare) => compare.run(of, screen),
        }
    }

    /// Refuses strategies that there are not, before anything is read.
    fn check(&self) -> Result<(), Failure> {
        match self {
            Self::Run(run) => check(&run.strategy),
            Self::Compare(compare) => compare.chosen().map(drop),
        }
    }
}

/// Runs what is in files.
/// # Errors
/// A file can not be read or written, a strategy is unknown or fails.
pub(super) fn run(command: Command, screen: &Screen) -> Result<Exit, Failure> {
    command.check()?;
    let workload = command.source().read()?;
    command.run(Subject { workload, history: None }, screen)
}

/// Runs the history of a master.
/// # Errors
/// As [`run`]; the master can not be asked, or has nothing that can be replayed.
pub(super) async fn run_history(command: Command, cx: &Context) -> Result<Exit, Failure> {
    command.check()?;
    let asked = &command.source().history;
    let (workload, history) = history::fetch(asked, matches!(command, Command::Compare(_)), cx).await?;
    history.notes.iter().for_each(|note| cx.screen.note(note));
    if let Some(name) = &asked.workload_out {
        let [tasks, workers] = write_workload(&workload, name)
            .map_err(|error| unwritten_by("another name: --workload-out NAME", &error))?;
        let (tasks, workers) = (tasks.display(), workers.display());
        cx.screen.note(&format!("Kept. Replay it with --tasks {tasks} --workers {workers}"));
    }
    command.run(Subject { workload, history: Some(history) }, &cx.screen)
}

impl Run {
    fn run(self, of: Subject, screen: &Screen) -> Result<Exit, Failure> {
        let replays = self.how.replays(&[self.strategy])?;
        let workload = &of.workload;
        if self.source.is_protocol() {
            return sequences::run(&self.source, workload, &replays, self.how.out.as_deref(), screen);
        }
        let out = self.how.out()?;
        let outcomes = outcomes(workload, &replays, |_| ())?;
        let Some(outcome) = outcomes.first() else { return Ok(Exit::Ok) };
        let dir = outcome.write(out, workload).map_err(unwritten)?;
        feasible(&outcomes)?;
        let (settings, words) = self.how.settings()?;
        let mut value = json!({
            "workload": workload.name, "strategy": outcome.strategy, "settings": settings, "metrics": outcome.metrics,
            "report": dir,
        });
        if let Some(history) = &of.history {
            value["history"] = json!(history.told());
        }
        let people = || {
            let table = table::of(&[outcome], None, screen);
            format!("{table}\n\n{}\nset: {words}\nreport: {}", table::legend(&outcome.metrics), dir.display())
        };
        screen.one(&value, &dir.display().to_string(), people).map(|()| Exit::Ok)
    }
}

impl Compare {
    fn run(self, of: Subject, screen: &Screen) -> Result<Exit, Failure> {
        let strategies = self.chosen()?;
        let replays = self.how.replays(&strategies)?;
        if self.source.is_protocol() {
            return sequences::run(&self.source, &of.workload, &replays, self.how.out.as_deref(), screen);
        }
        let out = self.how.out()?;
        let outcomes = outcomes(&of.workload, &replays, |name| screen.hint(&format!("scheduled by {name}")))?;
        let (baseline, runtimes) = (self.baseline().to_owned(), self.how.runtimes.into());
        let told = of.history.as_ref().map(|history| json!(history.told()));
        let (actual, notes) = of.history.map(|history| (history.actual, history.notes)).unzip();
        let mut notes = notes.unwrap_or_default();
        let (settings, words) = self.how.settings()?;
        notes.push(format!("Strategies were set to: {words}."));
        let comparison = Comparison { workload: of.workload, baseline, runtimes, outcomes, actual, notes };
        let page = comparison.write(out).map_err(unwritten)?;
        feasible(&comparison.outcomes)?;
        let row = |one: &Outcome| json!({ "strategy": one.strategy, "metrics": one.metrics, "report": out.join(&one.strategy) });
        let rows: Vec<_> = comparison.outcomes.iter().map(row).collect();
        let mut value = json!({
            "workload": comparison.workload.name, "baseline": comparison.baseline, "settings": settings,
            "strategies": rows, "page": page,
        });
        if let Some(actual) = &comparison.actual {
            value[ACTUAL] = row(&actual.outcome);
            value["history"] = json!(told);
        }
        screen.one(&value, &page.display().to_string(), || people(&comparison, &page, screen)).map(|()| Exit::Ok)
    }

    /// What the others are held against: reality, where it is known.
    fn baseline(&self) -> &str {
        let default = if self.source.history.from_history { ACTUAL } else { "greedy" };
        self.baseline.as_deref().unwrap_or(default)
    }

    /// The strategies to run, the baseline first unless it is among them elsewhere or none.
    fn chosen(&self) -> Result<Vec<String>, Failure> {
        let mut names = self.strategies.clone();
        if names.is_empty() {
            names = strategy::placing().into_iter().map(ToOwned::to_owned).collect();
        }
        let baseline = self.baseline();
        let is_reality = self.source.history.from_history && baseline == ACTUAL;
        if !is_reality && !names.iter().any(|name| name == baseline) {
            names.insert(0, baseline.to_owned());
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names.iter().try_for_each(|name| check(name))?;
        Ok(names)
    }
}

/// What people are told of a comparison.
fn people(comparison: &Comparison, page: &Path, screen: &Screen) -> String {
    let rows: Vec<&Outcome> = comparison.rows().collect();
    let mut lines = vec![table::of(&rows, Some(&comparison.baseline), screen), String::new()];
    lines.extend(comparison.outcomes.first().map(|one| table::legend(&one.metrics)));
    if comparison.actual.is_some() {
        lines.push(table::wrapped(&format!(
            "{ACTUAL}: the starts and ends that were recorded; pulls, retries, holds and drains are in it alone."
        )));
    }
    lines.extend(table::against(comparison));
    lines.push(format!("page: {}", page.display()));
    lines.join("\n")
}

/// Refuses a name that no strategy has.
fn check(name: &str) -> Result<(), Failure> {
    if strategy::placing().contains(&name) {
        return Ok(());
    }
    let what = match name {
        strategy::EXTERNAL => "external can not be simulated: a program outside decides".to_owned(),
        other => format!("no strategy is called {other:?}"),
    };
    Err(Failure::usage(what).why(format!("there are {}", strategy::placing().join(", "))).next("name one of these"))
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
    unwritten_by("choose another folder: --out DIR", &error)
}

fn unwritten_by(next: &str, error: &WriteError) -> Failure {
    Failure::error(error.to_string()).why(error.source.to_string()).next(next)
}
