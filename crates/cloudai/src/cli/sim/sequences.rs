//! The sequences of a published comparison, and their mean.

use super::beside;
use super::source::Source;
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use crate::render::table::{Cell, Column, Table};
use cloudai_sim::replay::protocol::{self, DRAWN_FROM, JOBS, STARTS};
use cloudai_sim::replay::{Metrics, Replay, Workload, figure};
use serde::Serialize;
use std::path::Path;

/// What a strategy made of the sequences.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Its name.
    pub(super) strategy: String,
    /// The mean over the sequences of their mean bounded slowdowns.
    pub(super) bsld_mean: f64,
    /// The mean of their mean waits.
    pub(super) wait_mean_s: f64,
    /// The mean of their longest waits.
    wait_max_s: f64,
    /// The mean of their utilizations.
    util_main: f64,
    /// Each mean bounded slowdown.
    bsld: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    workload: &'a str,
    protocol: &'static str,
    slice: usize,
    starts: [usize; 10],
    jobs: usize,
    strategies: &'a [Row],
}

/// Runs strategies on the sequences of a trace.
/// # Errors
/// The trace is too short, or a strategy can not schedule it.
pub(super) fn rows(workload: &Workload, slice: usize, replays: &[Replay]) -> Result<Vec<Row>, Failure> {
    let sequences = protocol::sequences(workload, slice).ok_or_else(|| {
        Failure::usage(format!("{} has too few jobs for the protocol", workload.name))
            .why(format!("it takes {DRAWN_FROM} jobs after the first {slice}; the trace has {}", workload.tasks.len()))
            .next("a smaller --slice, or leave out --protocol to run the whole trace")
    })?;
    let metrics = beside(replays, |replay| protocol::run(replay, &sequences).map_err(super::refused))?;
    replays.iter().zip(metrics).map(|(replay, metrics)| row(&replay.strategy, &metrics)).collect()
}

fn row(strategy: &str, metrics: &[Metrics]) -> Result<Row, Failure> {
    if let Some(wrong) = metrics.iter().find(|metrics| !metrics.feasible) {
        let what = format!("a schedule of {strategy} breaks rules: this is a fault of ours");
        return Err(wrong.errors.iter().take(5).fold(Failure::error(what), |failure, error| failure.why(error)));
    }
    let mean = |of: fn(&Metrics) -> f64| metrics.iter().map(of).sum::<f64>() / metrics.len() as f64;
    Ok(Row {
        strategy: strategy.to_owned(),
        bsld_mean: mean(|one| one.bsld_mean),
        wait_mean_s: mean(|one| one.wait_mean_s),
        wait_max_s: mean(|one| one.wait_max_s),
        util_main: mean(|one| one.util_main),
        bsld: metrics.iter().map(|one| one.bsld_mean).collect(),
    })
}

/// Runs strategies on the sequences and tells what came of it.
/// # Errors
/// As `rows`; the report can not be written.
pub(super) fn run(
    source: &Source,
    workload: &Workload,
    replays: &[Replay],
    out: Option<&Path>,
    screen: &Screen,
) -> Result<Exit, Failure> {
    let rows = rows(workload, source.slice, replays)?;
    let report = Report {
        workload: &workload.name,
        protocol: "rlscheduler",
        slice: source.slice,
        starts: STARTS,
        jobs: JOBS,
        strategies: &rows,
    };
    if let Some(dir) = out {
        let file = dir.join("rlscheduler.json");
        let text = serde_json::to_string_pretty(&report).map_err(|error| Failure::error(error.to_string()))?;
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&file, text + "\n"))
            .map_err(|error| Failure::error(format!("{} can not be written", file.display())).why(error.to_string()))?;
        screen.note(&format!("report: {}", file.display()));
    }
    let best = rows.iter().min_by(|a, b| a.bsld_mean.total_cmp(&b.bsld_mean));
    let id = best.map(|best| best.strategy.clone()).unwrap_or_default();
    screen.one(&report, &id, || people(&rows, screen)).map(|()| Exit::Ok)
}

fn people(rows: &[Row], screen: &Screen) -> String {
    let columns = [
        Column::name("STRATEGY", 0),
        Column::number("BSLD", 0),
        Column::number("WAIT", 0),
        Column::number("LONGEST", 0),
        Column::number("UTIL", 0),
    ];
    let mut table = Table::new(&columns);
    for row in rows {
        let (bsld, wait) = (format!("{:.2}", row.bsld_mean), figure::short(row.wait_mean_s));
        let cells = [row.strategy.clone(), bsld, wait, figure::short(row.wait_max_s), figure::percent(row.util_main)];
        table.row(cells.into_iter().map(Cell::from).collect());
    }
    let mut each = Table::new(&[Column::name("STRATEGY", 0), Column::text("BSLD OF EACH SEQUENCE", 0)]);
    for row in rows {
        let numbers: Vec<_> = row.bsld.iter().map(|number| format!("{:>5}", figure::short(*number))).collect();
        each.row(vec![row.strategy.clone().into(), numbers.join(" ").into()]);
    }
    format!(
        "{}\n\n{}\n\nBSLD: bounded slowdown, the mean over ten sequences of {JOBS} jobs, each on an empty\n\
         machine; WAIT and LONGEST: their mean and longest waits in seconds, likewise.",
        table.render(screen.width, screen.colour),
        each.render(None, screen.colour),
    )
}
