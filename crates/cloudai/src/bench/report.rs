//! What a benchmark tells: medians with their spread, and the machine that they are from.

use super::figures::{Figure, Shown};
use super::{Benchmark, Plan};
use crate::exit::Failure;
use crate::render::table::{Column, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caution: Option<String>,
}

/// What the figures depend on beside the code.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Machine {
    version: String,
    /// How this binary was built: `ci` checks what `release`, which users get, does not.
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
        let Machine { cores, processor, system, version, .. } = &self.machine;
        let build = self.machine.build();
        let cautions: String = self.cautions().iter().map(|caution| format!("{caution}\n")).collect();
        let head = format!("{}: {} ({})", self.bench, self.what, settings_of(&self.settings));
        let table = table.render(width, colour);
        format!("{head}\n{table}\n{cautions}{cores} cores, {processor}, {system}; cloudai {version}, {build}")
    }

    /// A section of a document.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}: {}.\n\n", self.bench, capital(&self.what), settings_of(&self.settings));
        text.push_str("| figure | median | least | most | unit |\n|---|---:|---:|---:|---|\n");
        for Spread { name, unit, median, least, most, .. } in &self.figures {
            let [median, least, most] = [median, least, most].map(|value| Shown(*value).to_string());
            text.push_str(&format!("| {name} | {median} | {least} | {most} | {unit} |\n"));
        }
        for caution in self.cautions() {
            text.push_str(&format!("\n{}.\n", capital(&caution)));
        }
        text
    }

    /// What to know before believing some of the figures.
    fn cautions(&self) -> Vec<String> {
        let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for spread in &self.figures {
            names.entry(spread.caution.as_deref().unwrap_or_default()).or_default().push(&spread.name);
        }
        names.remove("");
        names.into_iter().map(|(caution, names)| format!("{}: {caution}", names.join(", "))).collect()
    }

    /// Says whether reports may stand in one document: one of each benchmark, all of one machine and
    /// one build. Each comes with the name of its file.
    /// # Errors
    /// Two that do not go together.
    pub(crate) fn check_together(reports: &[(String, Self)]) -> Result<(), Failure> {
        for (at, (file, report)) in reports.iter().enumerate() {
            let earlier = &reports[..at];
            if let Some((other, _)) = earlier.iter().find(|(_, earlier)| earlier.bench == report.bench) {
                return Err(Failure::usage(format!("{other} and {file} are both of the benchmark {}", report.bench))
                    .why("a document has one section of each")
                    .next("leave one of them out"));
            }
            let (here, there) = (report.machine.describe(), reports[0].1.machine.describe());
            if here != there {
                return Err(Failure::usage("a document is of one machine and one build")
                    .why(format!("{}: {there}", reports[0].0))
                    .why(format!("{file}: {here}"))
                    .next("make a document of each, or measure again"));
            }
        }
        Ok(())
    }

    /// A document of several reports that go together.
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

    /// The median of its first figure, which is what it is about.
    #[must_use]
    pub(crate) fn headline(&self) -> String {
        self.figures.first().map(|figure| Shown(figure.median).to_string()).unwrap_or_default()
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
        let caution = runs.iter().flatten().filter(same).find_map(|same| same.caution.clone());
        Spread { name: figure.name.clone(), unit: figure.unit.clone().into_owned(), median, least, most, caution }
    };
    first.iter().map(of).collect()
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

impl Machine {
    /// How the binary was built.
    fn build(&self) -> &'static str {
        if self.checked_build { "profile ci: with checks that a release is without" } else { "profile release" }
    }

    fn describe(&self) -> String {
        let build = self.build();
        let gib = self.memory_bytes >> 30;
        format!(
            "Machine: {} cores ({}), {gib} GiB, {}; everything, client included, runs on it. cloudai {}, {build}.",
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

    fn report(bench: &str) -> Report {
        let figures = spreads(&[vec![Figure::new("rate", "1/s", 7.0).with_caution("is guessed")]]);
        let (what, settings) = ("what".into(), serde_json::json!({}));
        Report { bench: bench.into(), what, settings, machine: Machine::here(), figures, runs: Vec::new() }
    }

    #[test]
    fn what_makes_a_figure_doubtful_stands_below_it() {
        assert!(report("a").table(None, false).contains("\nrate: is guessed\n"));
        assert!(report("a").markdown().ends_with("\n\nRate: is guessed.\n"));
    }

    #[test]
    fn a_document_has_one_report_of_each_benchmark_and_all_are_of_one_machine_and_build() {
        let named = |file: &str, report: Report| (file.to_owned(), report);
        let other = |change: fn(&mut Machine)| {
            let mut other = report("b");
            change(&mut other.machine);
            other
        };
        assert_eq!(Report::check_together(&[named("1", report("a")), named("2", report("b"))]), Ok(()));
        let rows = [
            (report("a"), "benchmark a"),
            (other(|machine| machine.cores += 1), "one machine"),
            (other(|machine| machine.version.push('1')), "one machine"),
            (other(|machine| machine.checked_build = !machine.checked_build), "one machine"),
        ];
        for (second, said) in rows {
            let failure = Report::check_together(&[named("first", report("a")), named("second", second)]).unwrap_err();
            let told = failure.to_string();
            assert!(told.contains(said) && told.contains("first") && told.contains("second"), "{told}");
        }
    }

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
