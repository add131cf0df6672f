//! What is left of a schedule on disk: numbers, the schedule itself, drawings, and a page that compares several.

use super::actual::{ACTUAL, Actual};
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
    /// How it was run; none of what really happened.
    pub replay: Option<Replay>,
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
    /// What really happened, where that is known.
    pub actual: Option<Actual>,
    /// What else is to be known of the workload, a sentence or more each.
    pub notes: Vec<String>,
}

/// The drawings of one schedule, by the names of their files.
#[derive(Debug)]
pub(super) struct Drawings(pub(super) Vec<(&'static str, Svg)>);

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
        Ok(Self { strategy: replay.strategy.clone(), replay: Some(replay.clone()), assignments, metrics })
    }

    /// Writes `performance_metrics.txt`, `metrics.json`, `assignments.csv` and three drawings into a folder of the
    /// strategy's name in `dir`, which it returns.
    /// # Errors
    /// [`WriteError`].
    pub fn write(&self, dir: &Path, workload: &Workload) -> Result<PathBuf, WriteError> {
        let drawings = self.drawings(workload, None, frame(workload, [self]));
        self.write_with(dir, workload, &names(workload), &drawings)
    }

    fn write_with(
        &self,
        dir: &Path,
        workload: &Workload,
        workers: &[&str],
        drawings: &Drawings,
    ) -> Result<PathBuf, WriteError> {
        let dir = dir.join(&self.strategy);
        let json = self.json().map_err(|error| failed(&dir, error.into()))?;
        let schedule = csv::assignments(workload, workers, &self.assignments).map_err(|error| failed(&dir, error))?;
        put(&dir, "performance_metrics.txt", &self.text(workload))?;
        put(&dir, "metrics.json", &(json + "\n"))?;
        put(&dir, "assignments.csv", &schedule)?;
        for (name, svg) in &drawings.0 {
            put(&dir, name, &svg.alone())?;
        }
        Ok(dir)
    }

    fn drawings(&self, workload: &Workload, baseline: Option<&Self>, frame: (f64, f64)) -> Drawings {
        let base = baseline.filter(|base| base.strategy != self.strategy);
        let base = base.map(|base| (base.strategy.as_str(), waits_of(workload, &base.assignments)));
        let waits = waits_of(workload, &self.assignments);
        let mut drawings = Vec::with_capacity(3);
        if !self.metrics.times_only {
            drawings.push(("gantt.svg", plot::gantt(workload, &self.assignments, frame)));
            drawings.push(("utilization.svg", plot::utilization(workload, &self.assignments, frame)));
        }
        let base = base.as_ref().map(|(name, waits)| (*name, waits.as_slice()));
        drawings.push(("waits.svg", plot::waits(&waits, base)));
        Drawings(drawings)
    }

    /// Every number, and under `replay` how the strategy was run.
    fn json(&self) -> serde_json::Result<String> {
        #[derive(serde::Serialize)]
        struct Written<'a> {
            #[serde(flatten)]
            metrics: &'a Metrics,
            #[serde(skip_serializing_if = "Option::is_none")]
            replay: Option<&'a Replay>,
        }
        serde_json::to_string_pretty(&Written { metrics: &self.metrics, replay: self.replay.as_ref() })
    }

    /// Every number with what it means.
    fn text(&self, workload: &Workload) -> String {
        let mut out = match self.strategy.as_str() {
            ACTUAL => format!("Workload {} as it really happened\n\n", workload.name),
            strategy => format!("Strategy {strategy} on workload {}\n\n", workload.name),
        };
        for (name, value) in self.metrics.entries() {
            let shown = match value {
                Value::Number(number) if number.is_f64() => number.as_f64().map_or_else(String::new, six_digits),
                Value::Array(lines) if lines.is_empty() => continue,
                other => other.to_string(),
            };
            let meaning = meaning::of_entry(&name);
            let _ = writeln!(out, "{}", format!("{name:<22} {shown:<12} {meaning}").trim_end());
        }
        for (at, (name, value)) in self.replay.iter().flat_map(Replay::settings).enumerate() {
            let title = if at == 0 { "\nRun with\n" } else { "" };
            let _ =
                writeln!(out, "{title}{name:<22} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
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
    /// Writes the folder of every row, `comparison.svg` and `index.html`, whose path it returns.
    /// # Errors
    /// [`WriteError`].
    pub fn write(&self, dir: &Path) -> Result<PathBuf, WriteError> {
        let frame = frame(&self.workload, self.rows());
        let baseline = self.baseline();
        // What really happened may name more of them.
        let workers = match &self.actual {
            Some(actual) => actual.workers.iter().map(String::as_str).collect(),
            None => names(&self.workload),
        };
        let mut drawn = Vec::with_capacity(self.outcomes.len() + 1);
        for outcome in self.rows() {
            let drawings = outcome.drawings(&self.workload, baseline, frame);
            outcome.write_with(dir, &self.workload, &workers, &drawings)?;
            drawn.push(drawings);
        }
        let rows: Vec<_> = self.rows().map(|one| (one.strategy.as_str(), &one.metrics)).collect();
        let bound = self.outcomes.first().map(|one| one.metrics.bounds.lower_bound);
        let bars = plot::bars(&rows, &self.baseline, bound);
        put(dir, "comparison.svg", &bars.alone())?;
        put(dir, "index.html", &page::page(self, &bars, &drawn))?;
        Ok(dir.join("index.html"))
    }

    /// What is compared: what really happened, where that is known, then the strategies.
    pub fn rows(&self) -> impl Iterator<Item = &Outcome> {
        self.actual.iter().map(|actual| &actual.outcome).chain(&self.outcomes)
    }

    /// The row that the others are held against, when it is among them.
    #[must_use]
    pub fn baseline(&self) -> Option<&Outcome> {
        self.rows().find(|one| one.strategy == self.baseline)
    }

    /// The schedule of a strategy with the shortest makespan.
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
        Runtimes::Estimate => {
            "what a master knows of run times: what users estimated, else what tasks that had ended taught, never the true \
             ones"
        }
        Runtimes::Predicted => "run times predicted from the tasks that had ended, never the true ones",
    }
}

fn names(workload: &Workload) -> Vec<&str> {
    workload.workers.iter().map(|worker| worker.id.as_str()).collect()
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

pub(super) fn failed(path: &Path, source: std::io::Error) -> WriteError {
    WriteError { path: path.to_owned(), source }
}

pub(super) fn put(dir: &Path, name: &str, text: &str) -> Result<(), WriteError> {
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    let path = dir.join(name);
    std::fs::write(&path, text).map_err(|error| failed(&path, error))
}
