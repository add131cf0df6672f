//! Strategies as rows that fit 80 columns.

use crate::render::Screen;
use crate::render::quantity::NOTHING;
use crate::render::table::{Cell, Column, Table};
use cloudai_sim::replay::meaning::{COMPARED, Meaning};
use cloudai_sim::replay::{Comparison, Metrics, Outcome, figure, meaning};

/// The widest that a table is for people, unless they ask for the wide one.
const WIDTH: usize = 80;
/// Bold.
const BEST: &str = "1";

/// A column: the metric and how short it is written.
type Short = (&'static str, Column, fn(f64) -> String);

fn columns() -> [Short; 9] {
    let short: fn(f64) -> String = figure::short;
    let share: fn(f64) -> String = |share| format!("{:.0}%", share * 100.0);
    let finer: fn(f64) -> String = |share| format!("{:.1}%", share * 100.0);
    let count: fn(f64) -> String = |number| format!("{number:.0}");
    let spread: fn(f64) -> String = |number| format!("{number:.3}").trim_start_matches('0').to_owned();
    [
        ("makespan_s", Column::number("MAKESPAN", 0), |number| match number {
            many if many >= 999_999.5 => figure::short(many),
            number => figure::plain(number),
        }),
        ("gap", Column::number("GAP", 0), finer),
        ("wait_mean_s", Column::number("WAIT", 0), short),
        ("wait_p95_s", Column::number("P95", 0), short),
        ("bsld_mean", Column::number("BSLD", 0), short),
        ("util_main", Column::number("UTIL", 0), share),
        ("load_std", Column::number("LOAD", 0), spread),
        ("starved", Column::number("STARV", 0), count),
        ("deadline_misses", Column::number("LATE", 0), count),
    ]
}

fn known(key: &str) -> Option<&'static Meaning> {
    COMPARED.iter().find(|meaning| meaning.key == key)
}

/// The table; the best of each column is bold.
pub(super) fn of(outcomes: &[&Outcome], baseline: Option<&str>, screen: &Screen) -> String {
    let shown = columns();
    let mut heads = vec![Column::name("STRATEGY", 0)];
    heads.extend(shown.iter().map(|(_, column, _)| *column));
    if screen.wide() && baseline.is_some() {
        heads.push(Column::number("MAKESPAN VS BASELINE", 0));
    }
    let base = outcomes.iter().find(|one| Some(one.strategy.as_str()) == baseline);
    let mut table = Table::new(&heads);
    for outcome in outcomes {
        let mut cells: Vec<Cell> = vec![outcome.strategy.clone().into()];
        for (key, _, form) in &shown {
            let Some(meaning) = known(key) else { continue };
            let all: Vec<f64> = outcomes.iter().map(|one| (meaning.of)(&one.metrics)).collect();
            let number = (meaning.of)(&outcome.metrics);
            if number.is_nan() {
                cells.push(NOTHING.into());
                continue;
            }
            let is_best = meaning.best(&all).is_some_and(|best| form(best) == form(number));
            cells.push(if is_best { Cell::coloured(form(number), BEST) } else { form(number).into() });
        }
        if screen.wide() && baseline.is_some() {
            let from = base.map_or(f64::NAN, |base| base.metrics.makespan_s);
            cells.push(figure::change(from, outcome.metrics.makespan_s).into());
        }
        table.row(cells);
    }
    let width = screen.width.map_or(WIDTH, |width| width.min(WIDTH));
    table.render((!screen.wide()).then_some(width), screen.colour)
}

/// What the columns mean.
pub(super) fn legend(metrics: &Metrics) -> String {
    let bound = &metrics.bounds;
    wrapped(&format!(
        "Times are seconds. GAP: how far the makespan is above the lower bound, which no schedule beats: {}, {}. \
         WAIT: mean; P95: 95 of 100 tasks wait no longer. BSLD: bounded slowdown. LOAD: spread between workers. STARV: \
         tasks starved. LATE: deadlines missed, of {}.",
        figure::seconds(bound.lower_bound),
        meaning::of_bound(bound.binding()),
        metrics.deadlines,
    ))
}

/// A text in lines that fit.
pub(super) fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + 1 + word.len() > WIDTH);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// How the shortest schedule and the shortest waits differ from the baseline.
pub(super) fn against(comparison: &Comparison) -> Option<String> {
    let base = comparison.baseline()?;
    let makespan = comparison.shortest().filter(|best| best.strategy != base.strategy);
    let waits = comparison.outcomes.iter().min_by(|a, b| a.metrics.wait_mean_s.total_cmp(&b.metrics.wait_mean_s));
    let waits = waits.filter(|best| best.strategy != base.strategy);
    let told = |best: &Outcome, what: &str, of: fn(&Metrics) -> f64| {
        format!("{what} {} by {}", figure::change(of(&base.metrics), of(&best.metrics)), best.strategy)
    };
    let parts: Vec<_> = [
        makespan.map(|best| told(best, "makespan", |metrics| metrics.makespan_s)),
        waits.map(|best| told(best, "mean wait", |metrics| metrics.wait_mean_s)),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| format!("Against {}: {}.", base.strategy, parts.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;

    fn outcome(strategy: &str, makespan_s: f64) -> Outcome {
        let mut metrics =
            Metrics { makespan_s, gap: 12.345, wait_mean_s: 123_456.0, wait_p95_s: 999_499.0, ..Metrics::default() };
        (metrics.bsld_mean, metrics.util_main, metrics.load_std) = (19_753.53, 0.999, 0.123_4);
        (metrics.starved, metrics.deadline_misses, metrics.deadlines) = (12_345, 1_234, 5_000);
        metrics.bounds.each = vec![("lb_excl", 123_456.0)];
        metrics.bounds.lower_bound = 123_456.0;
        Outcome { strategy: strategy.into(), replay: None, assignments: Vec::new(), metrics }
    }

    fn screen(format: Format) -> Screen {
        let width = None;
        Screen { format, format_given: true, terminal: false, messages_terminal: false, width, colour: false }
    }

    #[test]
    fn the_table_fits_eighty_columns_unless_the_wide_one_is_asked_for() {
        let outcomes = [outcome("ai_multi_objective", 7_706_607.0), outcome("greedy", 999_999.0)];
        let outcomes = outcomes.each_ref();
        let table = of(&outcomes, Some("greedy"), &screen(Format::Table));
        let all = format!("{table}\n{}", legend(&outcomes[0].metrics));
        assert!(all.lines().all(|line| line.chars().count() <= 80), "{all}");
        let wide = of(&outcomes, Some("greedy"), &screen(Format::Wide));
        assert!(wide.contains("VS BASELINE") && wide.contains("ai_multi_objective"), "{wide}");
    }
}
