//! `cloudai bench scheduling`: every strategy on every workload of a folder, as a document.

use super::sequences::{Row, rows};
use super::source::unread;
use super::{Told, beside, check, feasible};
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use cloudai_core::strategy::{self, Knobs};
use cloudai_sim::replay::{Metrics, Outcome, Replay, Workload, csv, figure, swf};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Where the tables of a document begin and end.
const BEGIN: &str = "<!-- tables: begin (make bench-scheduling) -->";
const END: &str = "<!-- tables: end -->";

/// `workload,metric,value,by`: the best of the schedulers of others.
const OTHERS: &str = include_str!("others.csv");
/// `trace,by,bsld,source`: what was published of the sequences.
const PUBLISHED: &str = include_str!("published.csv");

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Scheduling {
    /// The folder with NAME.tasks.csv[.gz] and NAME.workers.csv
    #[arg(long, value_name = "DIR", default_value = "crates/sim/tests/data")]
    workloads: PathBuf,
    /// A folder with traces, lublin_256.swf.gz and HPC2N-2002-2.2-cln.swf.gz [default: swf in --workloads]
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
    /// The strategies, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    strategies: Vec<String>,
    /// The run times that strategies are told
    #[arg(long, value_name = "WHICH", value_enum, default_value_t)]
    runtimes: Told,
    /// Of the strategies' own random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Leaves out workloads with more tasks
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    most_tasks: usize,
    /// The document whose tables are written again, instead of printing them
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Runs them all.
/// # Errors
/// A file can not be used or written, a strategy is unknown or fails.
pub(in crate::cli) fn run(bench: &Scheduling, screen: &Screen) -> Result<Exit, Failure> {
    let mut names = bench.strategies.clone();
    if names.is_empty() {
        names = strategy::placing().into_iter().map(ToOwned::to_owned).collect();
    }
    names.iter().try_for_each(|name| check(name))?;
    let knobs = Knobs { seed: bench.seed, ..Knobs::default() };
    let replay = |strategy: &String| Replay { strategy: strategy.clone(), runtimes: bench.runtimes.into(), knobs };
    let replays: Vec<_> = names.iter().map(replay).collect();
    let mut text = format!("Strategies were told: {}.\n\n", cloudai_sim::replay::report::told(bench.runtimes.into()));
    text.push_str(&bench.tables(&replays, screen)?);
    text.push_str(&bench.sequences(&replays, screen)?);
    match &bench.write {
        None => screen.line(&text).map(|()| Exit::Ok),
        Some(file) => replace(file, &text).map(|()| Exit::Ok),
    }
}

impl Scheduling {
    fn tables(&self, replays: &[Replay], screen: &Screen) -> Result<String, Failure> {
        let mut out = String::from(
            "| workload | strategy | makespan s | gap | mean wait s | bsld | load_std | missed | starved |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        let mut left_out = Vec::new();
        for (tasks, workers) in self.pairs()? {
            let workload = csv::read_workload(&tasks, &workers).map_err(unread)?;
            if workload.tasks.len() > self.most_tasks {
                left_out.push(workload.name);
                continue;
            }
            screen.hint(&workload.name);
            let outcomes = beside(replays, |replay| Outcome::of(replay, &workload).map_err(super::refused))?;
            feasible(&outcomes)?;
            block(&mut out, &workload, &outcomes);
        }
        if !left_out.is_empty() {
            let _ = writeln!(out, "\nLeft out, over {} tasks: {}.", self.most_tasks, left_out.join(", "));
        }
        Ok(out)
    }

    /// The workloads of the folder, by name.
    fn pairs(&self) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
        let dir = &self.workloads;
        let failed = |error: std::io::Error| {
            Failure::error(format!("{} can not be read", dir.display()))
                .why(error.to_string())
                .next("cloudai bench scheduling --workloads DIR")
        };
        let mut pairs = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let Some(name) = name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(".tasks.csv") else { continue };
            pairs.push((path.clone(), dir.join(format!("{name}.workers.csv"))));
        }
        pairs.sort();
        if pairs.is_empty() {
            return Err(Failure::error(format!("{} has no workload", dir.display()))
                .why("a workload is NAME.tasks.csv or NAME.tasks.csv.gz with NAME.workers.csv"));
        }
        Ok(pairs)
    }

    /// The published sequences of the traces that are at hand.
    fn sequences(&self, replays: &[Replay], screen: &Screen) -> Result<String, Failure> {
        let dir = self.traces.clone().unwrap_or_else(|| self.workloads.join("swf"));
        let mut out = String::new();
        for (trace, file) in [("Lublin-1", "lublin_256.swf.gz"), ("HPC2N", "HPC2N-2002-2.2-cln.swf.gz")] {
            let path = dir.join(file);
            if !path.exists() {
                let _ = writeln!(out, "\n{trace}: not run, {file} was not at hand.");
                continue;
            }
            screen.hint(trace);
            let workload = swf::read_swf(&path, None).map_err(unread)?;
            let rows = rows(&workload, 0, replays)?;
            published(&mut out, trace, &rows);
        }
        Ok(out)
    }
}

/// The rows of one workload: each strategy, and the best of others in each column.
fn block(out: &mut String, workload: &Workload, outcomes: &[Outcome]) {
    let others: Vec<_> = lines(OTHERS).filter(|line| line[0] == workload.name).collect();
    let other = |key: &str| others.iter().find(|line| line[1] == key);
    for (at, outcome) in outcomes.iter().enumerate() {
        let name = if at == 0 { workload.name.as_str() } else { "" };
        let m: &Metrics = &outcome.metrics;
        // Bold where no scheduler of others is better.
        let cell = |key: &str, number: f64, shown: String| {
            let wins =
                other(key).and_then(|line| line[2].parse().ok()).is_some_and(|best: f64| number <= best * (1.0 + 1e-6));
            if wins { format!("**{shown}**") } else { shown }
        };
        let _ = writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
            outcome.strategy,
            cell("makespan_s", m.makespan_s, figure::plain(m.makespan_s)),
            figure::percent(m.gap),
            cell("wait_mean_s", m.wait_mean_s, figure::plain(m.wait_mean_s)),
            cell("bsld_mean", m.bsld_mean, figure::plain(m.bsld_mean)),
            cell("load_std", m.load_std, figure::plain(m.load_std)),
            match m.deadlines {
                0 => "-".to_owned(),
                all => cell("deadline_misses", m.deadline_misses as f64, format!("{} of {all}", m.deadline_misses)),
            },
            m.starved,
        );
    }
    if others.is_empty() {
        return;
    }
    let best = |key: &str| match other(key).map(|line| (line[2].parse::<f64>(), line[3])) {
        Some((Ok(number), by)) if key == "deadline_misses" => format!("{number:.0} ({by})"),
        Some((Ok(number), by)) => format!("{} ({by})", figure::plain(number)),
        Some((Err(_), _)) | None => "-".to_owned(),
    };
    let bound = outcomes.first().map_or(0.0, |one| one.metrics.bounds.lower_bound);
    let _ = writeln!(
        out,
        "| | *best of others* | {} | bound {} | {} | {} | {} | {} | |",
        best("makespan_s"),
        figure::plain(bound),
        best("wait_mean_s"),
        best("bsld_mean"),
        best("load_std"),
        best("deadline_misses"),
    );
    if let Some(line) = other("exact_makespan_s") {
        let _ = writeln!(out, "| | *best known, exact run times* | {} ({}) | | | | | | |", line[2], line[3]);
    }
}

fn published(out: &mut String, trace: &str, rows: &[Row]) {
    let _ = writeln!(
        out,
        "\n### {trace}: ten sequences of 1,024 jobs (RLScheduler's protocol)\n\n\
         | scheduler | mean bounded slowdown | mean wait s |\n|---|---|---|"
    );
    for row in rows {
        let _ = writeln!(out, "| {} | {:.2} | {} |", row.strategy, row.bsld_mean, figure::plain(row.wait_mean_s));
    }
    for line in lines(PUBLISHED).filter(|line| line[0] == trace) {
        let _ = writeln!(out, "| *{}* ({}) | {} | |", line[1], line[3], line[2]);
    }
}

/// The lines of a table of ours, without comments and head, as four fields.
fn lines(text: &'static str) -> impl Iterator<Item = [&'static str; 4]> {
    let data = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    data.filter_map(|line| {
        let mut fields = line.splitn(4, ',');
        Some([fields.next()?, fields.next()?, fields.next()?, fields.next()?])
    })
}

/// Puts a text between the marks of a document.
fn replace(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |what: &str, error: std::io::Error| {
        Failure::error(format!("{} can not be {what}", file.display())).why(error.to_string())
    };
    let old = std::fs::read_to_string(file).map_err(|error| failed("read", error))?;
    let parts = old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(Failure::error(format!("{} has no place for the tables", file.display()))
            .why(format!("it lies between the lines {BEGIN} and {END}")));
    };
    let new = format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", text.trim());
    std::fs::write(file, new).map_err(|error| failed("written", error))
}

#[cfg(test)]
mod tests {
    use super::{BEGIN, END, OTHERS, PUBLISHED, lines, replace};

    #[test]
    fn every_known_figure_is_a_number() {
        assert!(lines(OTHERS).count() > 20 && lines(PUBLISHED).count() > 4);
        for line in lines(OTHERS).chain(lines(PUBLISHED).map(|[trace, by, value, source]| [trace, by, value, source])) {
            assert!(line[2].parse::<f64>().is_ok(), "{line:?}");
        }
    }

    #[test]
    fn only_what_stands_between_the_marks_is_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.md");
        std::fs::write(&file, format!("# a\n{BEGIN}\nold\n{END}\n# b\n")).unwrap();
        replace(&file, "new\n").unwrap();
        let expected = format!("# a\n{BEGIN}\n\nnew\n\n{END}\n# b\n");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
        std::fs::write(&file, "# a\n").unwrap();
        assert!(replace(&file, "new").unwrap_err().what.contains("has no place for the tables"));
    }
}
