//! What a benchmark tells: medians with their spread, and the machine that they are from.

use super::figures::{Figure, Shown};
use super::{Benchmark, Plan};
use crate::exit::Failure;
use crate::render::table::{Column, Table};
use serde::{Deserialize, Serialize};

/// All runs of one benchmark.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Its word on the command line.
    bench: String,
    /// What a row means.
    what: String,
    /// How large it was.
    settings: serde_json::Value,
    /// Where it ran.
    machine: Machine,
    /// One row for each figure.
    figures: Vec<Spread>,
    /// Every run as it was.
    runs: Vec<Vec<Figure>>,
}

/// A figure over all runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spread {
    name: String,
    unit: String,
    median: f64,
    least: f64,
    most: f64,
}

/// What the figures depend on beside the code.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Machine {
    version: String,
    /// How this binary was built: `ci` checks what `release` does not.
    checked_build: bool,
    cores: usize,
    processor: String,
    memory_bytes: u64,
    system: String,
}

impl Report {
    /// The figures of all runs together.
    /// # Errors
    /// The settings can not be written as JSON.
    pub(super) fn new<B: Benchmark>(bench: &B, plan: &Plan, runs: Vec<Vec<Figure>>) -> Result<Self, Failure> {
        let mut settings = serde_json::to_value(bench).map_err(|error| Failure::error(error.to_string()))?;
        if let Some(settings) = settings.as_object_mut() {
            settings.insert("runs".into(), plan.runs.into());
        }
        let figures = spreads(&runs);
        Ok(Self { bench: B::NAME.into(), what: B::WHAT.into(), settings, machine: Machine::here(), figures, runs })
    }

    /// For people.
    #[must_use]
    pub(crate) fn table(&self, width: Option<usize>, colour: bool) -> String {
        let columns = [
            Column::text("FIGURE", 0),
            Column::number("MEDIAN", 0),
            Column::number("LEAST", 1),
            Column::number("MOST", 1),
            Column::text("UNIT", 0),
        ];
        let mut table = Table::new(&columns);
        for figure in &self.figures {
            let shown = [figure.median, figure.least, figure.most].map(|value| Shown(value).to_string());
            let [median, least, most] = shown;
            let cells = [figure.name.clone(), median, least, most, figure.unit.clone()];
            table.row(cells.into_iter().map(Into::into).collect());
        }
        let Machine { cores, processor, system, .. } = &self.machine;
        let head = format!("{}: {} ({})", self.bench, self.what, settings_of(&self.settings));
        format!("{head}\n{}\n{cores} cores, {processor}, {system}", table.render(width, colour))
    }

    /// A section of a document.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}: {}.\n\n", self.bench, capital(&self.what), settings_of(&self.settings));
        text.push_str("| figure | median | least | most | unit |\n|---|---:|---:|---:|---|\n");
        for Spread { name, unit, median, least, most } in &self.figures {
            let [median, least, most] = [median, least, most].map(|value| Shown(*value).to_string());
            text.push_str(&format!("| {name} | {median} | {least} | {most} | {unit} |\n"));
        }
        text
    }

    /// A document of several reports, all of one machine.
    #[must_use]
    pub(crate) fn document(reports: &[Self]) -> String {
        let machine = reports.first().map(|report| report.machine.describe()).unwrap_or_default();
        let sections: Vec<_> = reports.iter().map(Self::markdown).collect();
        format!(
            "# Performance\n\nWritten by `make bench`; do not edit. What bounds these figures, and what was done about \
             it, stands in\n[performance/notes.md](performance/notes.md).\n\n{machine}\n\n{}",
            sections.join("\n")
        )
    }

    /// Its word on the command line.
    #[must_use]
    pub(crate) fn bench(&self) -> &str {
        &self.bench
    }
}

fn settings_of(settings: &serde_json::Value) -> String {
    let fields = settings.as_object().into_iter().flatten();
    fields.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
}

/// The median and the ends of each figure; a run without a figure leaves it out of count.
fn spreads(runs: &[Vec<Figure>]) -> Vec<Spread> {
    let Some(first) = runs.first() else { return Vec::new() };
    let of = |figure: &Figure| {
        let same = |other: &&Figure| other.name == figure.name;
        let mut values: Vec<f64> = runs.iter().filter_map(|run| run.iter().find(same)).map(|same| same.value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median =
            if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] };
        let (least, most) = (values[0], values[values.len() - 1]);
        Spread { name: figure.name.clone(), unit: figure.unit.clone().into_owned(), median, least, most }
    };
    first.iter().map(of).collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl Machine {
    fn describe(&self) -> String {
        let checks = if self.checked_build { "with overflow checks and debug assertions" } else { "without checks" };
        let gib = self.memory_bytes >> 30;
        format!(
            "Machine: {} cores ({}), {gib} GiB, {}; everything, client included, runs on it. cloudai {}, built {checks}.",
            self.cores, self.processor, self.system, self.version
        )
    }

    fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_once(':').map(|(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.and_then(|text| text.split_ascii_whitespace().next()?.parse::<u64>().ok());
        let uname = rustix::system::uname();
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            checked_build: cfg!(debug_assertions),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".into()),
            memory_bytes: kib.unwrap_or(0) * 1024,
            system: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_told_with_its_median_and_both_ends() {
        let run = |value| vec![Figure::new("rate", "1/s", value)];
        let rows =
            [(vec![3.0, 1.0, 2.0], (2.0, 1.0, 3.0)), (vec![4.0, 1.0], (2.5, 1.0, 4.0)), (vec![7.0], (7.0, 7.0, 7.0))];
        for (values, expected) in rows {
            let spreads = spreads(&values.into_iter().map(run).collect::<Vec<_>>());
            assert_eq!((spreads[0].median, spreads[0].least, spreads[0].most), expected);
        }
    }
}
