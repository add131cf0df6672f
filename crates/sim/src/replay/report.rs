//! What is left of a schedule on disk: numbers, the schedule itself, drawings, and a page that compares several.

use super::csv;
use super::meaning;
use super::metrics::{Metrics, judge, waits_of};
use super::plot::{self, Svg};
use super::run::{Assignment, Replay, ReplayError, Runtimes};
use super::workload::Workload;
use super::{figure, page};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The schedule that a strategy made, with its numbers.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its name.
    pub strategy: String,
    /// The schedule.
    pub assignments: Vec<Assignment>,
    /// How good it is.
    pub metrics: Metrics,
}

/// Schedules of one workload by several strategies.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was run.
    pub workload: Workload,
    /// The strategy that the others are held against.
    pub baseline: String,
    /// What they were told of run times.
    pub runtimes: Runtimes,
    /// One for each strategy.
    pub outcomes: Vec<Outcome>,
}

/// The drawings of one schedule.
#[derive(Debug)]
pub(super) struct Drawings {
    pub(super) gantt: Svg,
    pub(super) utilization: Svg,
    pub(super) waits: Svg,
}

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} can not be written", path.display())]
pub struct WriteError {
    /// Which one.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl Outcome {
    /// Runs a strategy and judges its schedule.
    /// # Errors
    /// [`ReplayError`].
    pub fn of(replay: &Replay, workload: &Workload) -> Result<Self, ReplayError> {
        let assignments = replay.run(workload)?;
        let metrics = judge(workload, &assignments);
        Ok(Self { strategy: replay.strategy.clone(), assignments, metrics })
    }

    /// Writes `performance_metrics.txt`, `metrics.json`, `assignments.csv` and three drawings into a folder of the
    /// strategy's name in `dir`, which it returns.
    /// # Errors
    /// [`WriteError`].
    pub fn write(&self, dir: &Path, workload: &Workload) -> Result<PathBuf, WriteError> {
        self.write_with(dir, workload, &self.drawings(workload, None, frame(workload, [self])))
    }

    fn write_with(&self, dir: &Path, workload: &Workload, drawings: &Drawings) -> Result<PathBuf, WriteError> {
        let dir = dir.join(&self.strategy);
        let json = serde_json::to_string_pretty(&self.metrics).map_err(|error| failed(&dir, error.into()))?;
        let schedule = csv::assignments(workload, &self.assignments).map_err(|error| failed(&dir, error))?;
        put(&dir, "performance_metrics.txt", &self.text(workload))?;
        put(&dir, "metrics.json", &(json + "\n"))?;
        put(&dir, "assignments.csv", &schedule)?;
        put(&dir, "gantt.svg", &drawings.gantt.alone())?;
        put(&dir, "utilization.svg", &drawings.utilization.alone())?;
        put(&dir, "waits.svg", &drawings.waits.alone())?;
        Ok(dir)
    }

    fn drawings(&self, workload: &Workload, baseline: Option<&Self>, frame: (f64, f64)) -> Drawings {
        let base = baseline.filter(|base| base.strategy != self.strategy);
        let base = base.map(|base| (base.strategy.as_str(), waits_of(workload, &base.assignments)));
        let waits = waits_of(workload, &self.assignments);
        Drawings {
            gantt: plot::gantt(workload, &self.assignments, frame),
            utilization: plot::utilization(workload, &self.assignments, frame),
            waits: plot::waits(&waits, base.as_ref().map(|(name, waits)| (*name, waits.as_slice()))),
        }
    }

    /// Every number with what it means.
    fn text(&self, workload: &Workload) -> String {
        let mut out = format!("Strategy {} on workload {}\n\n", self.strategy, workload.name);
        for (name, value) in self.metrics.entries() {
            let shown = match value {
                Value::Number(number) if number.is_f64() => number.as_f64().map_or_else(String::new, six_digits),
                Value::Array(lines) if lines.is_empty() => continue,
                other => other.to_string(),
            };
            let meaning = meaning::of_entry(&name);
            let _ = writeln!(out, "{}", format!("{name:<22} {shown:<12} {meaning}").trim_end());
        }
        out
    }
}

/// Six significant digits.
fn six_digits(number: f64) -> String {
    let before = number.abs().max(1e-4).log10().floor();
    let decimals = super::stats::whole(5.0 - before);
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl Comparison {
    /// Writes the folder of every strategy, `comparison.svg` and `index.html`, whose path it returns.
    /// # Errors
    /// [`WriteError`].
    pub fn write(&self, dir: &Path) -> Result<PathBuf, WriteError> {
        let frame = frame(&self.workload, &self.outcomes);
        let baseline = self.baseline();
        let mut drawn = Vec::with_capacity(self.outcomes.len());
        for outcome in &self.outcomes {
            let drawings = outcome.drawings(&self.workload, baseline, frame);
            outcome.write_with(dir, &self.workload, &drawings)?;
            drawn.push(drawings);
        }
        let strategies: Vec<_> = self.outcomes.iter().map(|one| (one.strategy.as_str(), &one.metrics)).collect();
        let bars = plot::bars(&strategies, &self.baseline);
        put(dir, "comparison.svg", &bars.alone())?;
        put(dir, "index.html", &page::page(self, &bars, &drawn))?;
        Ok(dir.join("index.html"))
    }

    /// The strategy that the others are held against, when it is among them.
    #[must_use]
    pub fn baseline(&self) -> Option<&Outcome> {
        self.outcomes.iter().find(|one| one.strategy == self.baseline)
    }

    /// The schedule with the shortest makespan.
    #[must_use]
    pub fn shortest(&self) -> Option<&Outcome> {
        self.outcomes.iter().min_by(|a, b| a.metrics.makespan_s.total_cmp(&b.metrics.makespan_s))
    }

    /// What the strategies were told, as the end of "They knew ...".
    #[must_use]
    pub fn told(&self) -> &'static str {
        told(self.runtimes)
    }
}

/// What strategies are told of run times, in words.
#[must_use]
pub fn told(runtimes: Runtimes) -> &'static str {
    match runtimes {
        Runtimes::Exact => "the exact run time of every task in advance",
        Runtimes::Estimate => "the run times that users estimated, never the true ones",
        Runtimes::Predicted => "run times predicted from the tasks that had ended, never the true ones",
    }
}

/// The first arrival, and the longest makespan.
fn frame<'a>(workload: &Workload, outcomes: impl IntoIterator<Item = &'a Outcome>) -> (f64, f64) {
    let first = workload.tasks.iter().map(|task| task.arrival_s).fold(f64::INFINITY, f64::min);
    let ends = outcomes.into_iter().flat_map(|one| one.assignments.iter().map(|one| one.end_s));
    let last = ends.filter(|end| end.is_finite()).fold(first, f64::max);
    (first, last - first)
}

/// A sentence about the lower bound and which of its kinds it is.
pub(super) fn bound_sentence(metrics: &Metrics) -> String {
    let (bound, name) = (figure::seconds(metrics.bounds.lower_bound), metrics.bounds.binding());
    format!("No schedule can be shorter than {bound}: {}.", meaning::of_bound(name))
}

fn failed(path: &Path, source: std::io::Error) -> WriteError {
    WriteError { path: path.to_owned(), source }
}

fn put(dir: &Path, name: &str, text: &str) -> Result<(), WriteError> {
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(|error| failed(&path, error))
}
