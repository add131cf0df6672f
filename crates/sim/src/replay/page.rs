//! The page that compares strategies: one file without scripts that needs nothing else.

use super::actual::ACTUAL;
use super::figure::{amount, percent, rough_seconds, seconds};
use super::meaning::{COMPARED, Meaning, of_bound};
use super::metrics::Metrics;
use super::plot::{STYLE, Svg};
use super::report::{Comparison, Drawings, Outcome, bound_sentence};
use cloudai_core::strategy::about;
use cloudai_core::text::xml;
use std::fmt::Write;

/// What the row of reality is, and why strategies do better than they would.
const HAPPENED: &str = "it is what really happened, by the starts and ends that were recorded. Images that were pulled, \
     containers that took time to start, retries, holds, drains and lost workers made tasks wait then; no strategy here \
     meets them. Replayed as well, the strategy that was in use then shows how much that is.";
const CSS: &str = include_str!("page.css");

/// The whole page.
pub(super) fn page(comparison: &Comparison, bars: &Svg, drawn: &[Drawings]) -> String {
    let name = xml(&comparison.workload.name);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: strategies compared</title>\n<style>\n{CSS}{STYLE}\n</style>\n</head>\n<body>\n\
         <h1>{name}: strategies compared</h1>\n"
    );
    out.push_str(&what(comparison));
    if comparison.actual.is_some() {
        let _ = writeln!(out, "<p><b>{ACTUAL}</b> is no strategy: {HAPPENED}</p>");
    }
    for note in &comparison.notes {
        let _ = writeln!(out, "<p>{}</p>", xml(note));
    }
    out.push_str(&findings(comparison));
    out.push_str(&table(comparison));
    out.push_str(&bounds(comparison));
    let _ = writeln!(out, "<h2>Side by side</h2>\n{}", chart(bars));
    out.push_str("<h2>Each strategy</h2>\n");
    for (at, (outcome, drawings)) in comparison.rows().zip(drawn).enumerate() {
        out.push_str(&strategy(outcome, drawings, at == 0 || Some(outcome.strategy.as_str()) == shortest(comparison)));
    }
    out.push_str(&meanings());
    out.push_str("</body>\n</html>\n");
    out
}

fn shortest(comparison: &Comparison) -> Option<&str> {
    comparison.shortest().map(|best| best.strategy.as_str())
}

/// What was compared.
fn what(comparison: &Comparison) -> String {
    let workload = &comparison.workload;
    let total = |at: usize| amount(workload.workers.iter().map(|worker| worker.capacity[at]).sum());
    let arrivals = workload.tasks.iter().map(|task| task.arrival_s);
    let (first, last) = arrivals.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), t| (a.min(t), b.max(t)));
    let arrive = match last - first {
        span if span > 0.0 => format!("They arrive over {}.", rough_seconds(span)),
        _ => "They all arrive at once.".to_owned(),
    };
    let due = workload.tasks.iter().filter(|task| task.deadline_s.is_some()).count();
    let strategies = match comparison.outcomes.len() {
        1 => "one strategy".to_owned(),
        count => format!("{count} strategies"),
    };
    let due = if due > 0 { format!(" {} of them have a deadline.", amount(due as f64)) } else { String::new() };
    format!(
        "<p>The same workload, <b>{}</b>, was scheduled by {}: {} tasks on {} workers, which together have {} \
         cores, {} GB of memory, {} GB of disk and {} GPUs. {arrive}{due} The strategies knew {}. Numbers in grey are the \
         difference to the baseline, <b>{}</b>.</p>\n",
        xml(&workload.name),
        strategies,
        amount(workload.tasks.len() as f64),
        amount(workload.workers.len() as f64),
        total(0),
        total(1),
        total(2),
        total(3),
        comparison.told(),
        xml(&comparison.baseline),
    )
}

/// What a reader should take away.
fn findings(comparison: &Comparison) -> String {
    let quickest = best_at(comparison, |metrics| metrics.makespan_s);
    let Some(first) = quickest.first() else { return String::new() };
    let mut out = format!(
        "<div class=\"box\"><p><b>Shortest makespan:</b> {} {} after {}, {} above the lower bound.",
        named(&quickest),
        if quickest.len() == 1 { "finishes" } else { "finish" },
        seconds(first.metrics.makespan_s),
        percent(first.metrics.gap),
    );
    if let Some(base) = comparison.baseline().filter(|base| quickest.iter().all(|one| one.strategy != base.strategy)) {
        let change = COMPARED[0].changed(base.metrics.makespan_s, first.metrics.makespan_s);
        let _ = write!(out, " Against {}: {change}.", xml(&base.strategy));
    }
    let patient = best_at(comparison, |metrics| metrics.wait_mean_s);
    if let Some(first) = patient.first() {
        let (names, waits) = (named(&patient), seconds(first.metrics.wait_mean_s));
        let _ = write!(out, "</p><p><b>Shortest waits:</b> with {names} a task waits {waits} on average.");
    }
    if let Some(actual) = &comparison.actual {
        let metrics = &actual.outcome.metrics;
        let (makespan, waits) = (seconds(metrics.makespan_s), seconds(metrics.wait_mean_s));
        let _ = write!(
            out,
            "</p><p><b>What really happened</b> took {makespan}, and a task waited {waits} on average, for all reasons."
        );
    }
    let starving: Vec<String> = comparison
        .outcomes
        .iter()
        .filter(|one| one.metrics.starved > 0)
        .map(|one| format!("{} ({})", xml(&one.strategy), one.metrics.starved))
        .collect();
    let starved = if starving.is_empty() { "nowhere".to_owned() } else { starving.join(", ") };
    let _ = writeln!(out, "</p><p><b>Tasks starved:</b> {starved}.</p></div>");
    out
}

/// The strategies with the fewest seconds of something: what is shown alike is as good.
fn best_at(comparison: &Comparison, of: fn(&Metrics) -> f64) -> Vec<&Outcome> {
    let least = comparison.outcomes.iter().map(|one| of(&one.metrics)).fold(f64::INFINITY, f64::min);
    comparison.outcomes.iter().filter(|one| seconds(of(&one.metrics)) == seconds(least)).collect()
}

/// Their names, as part of a sentence.
fn named(outcomes: &[&Outcome]) -> String {
    let names: Vec<String> = outcomes.iter().map(|one| xml(&one.strategy)).collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn table(comparison: &Comparison) -> String {
    let due = comparison.rows().any(|one| one.metrics.deadlines > 0);
    let shown: Vec<&Meaning> = COMPARED.iter().filter(|meaning| due || meaning.key != "deadline_misses").collect();
    let mut out = String::from("<h2>Results</h2>\n<table>\n<thead><tr><th scope=\"col\">Strategy</th>");
    for meaning in &shown {
        let _ = write!(out, "<th scope=\"col\">{}</th>", meaning.label);
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for outcome in comparison.rows() {
        let base = if outcome.strategy == comparison.baseline { " <small>baseline</small>" } else { "" };
        let _ = write!(out, "<tr><th scope=\"row\">{}{base}</th>", xml(&outcome.strategy));
        for meaning in &shown {
            out.push_str(&cell(comparison, outcome, meaning));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n<p class=\"dim\">What each column means is said at the end of this page.</p>\n");
    out
}

fn cell(comparison: &Comparison, outcome: &Outcome, meaning: &Meaning) -> String {
    let number = (meaning.of)(&outcome.metrics);
    let all: Vec<f64> = comparison.rows().map(|one| (meaning.of)(&one.metrics)).collect();
    // What looks the same is as good.
    let best = meaning.best(&all).is_some_and(|best| meaning.shown(best) == meaning.shown(number));
    let class = if best { " class=\"best\"" } else { "" };
    let change = match comparison.baseline() {
        Some(base) if base.strategy != outcome.strategy => {
            format!("<small>{}</small>", meaning.changed((meaning.of)(&base.metrics), number))
        }
        Some(_) | None => String::new(),
    };
    format!("<td data-label=\"{}\"{class}><span>{}</span>{change}</td>", meaning.label, meaning.shown(number))
}

fn bounds(comparison: &Comparison) -> String {
    let Some(first) = comparison.outcomes.first() else { return String::new() };
    let reached = comparison.outcomes.iter().any(|one| percent(one.metrics.gap) == percent(0.0));
    let can = if reached {
        "here one is as short: no schedule can end sooner"
    } else {
        "whether one can be that short is not known"
    };
    let mut out = format!(
        "<h2>The lower bound</h2>\n<p>{} It holds for every schedule that never interrupts a task and runs it on one \
         worker; {can}. The gap says how much longer a makespan is. Where tasks \
         arrive over time, the last arrival often decides the makespan of any schedule: look at the waits then.</p>\n\
         <p class=\"dim\">The bound is the highest of these:</p>\n<ul>\n",
        xml(&bound_sentence(&first.metrics))
    );
    for (name, bound) in first.metrics.bounds.each.iter().filter(|(_, bound)| *bound > 0.0) {
        let counts = if *name == first.metrics.bounds.binding() { " <b>(the bound)</b>" } else { "" };
        let _ = writeln!(out, "<li>{}: {}{counts}</li>", seconds(*bound), of_bound(name));
    }
    out.push_str("</ul>\n");
    out
}

fn chart(svg: &Svg) -> String {
    // Wide drawings are scrolled on small screens: the frame can be reached by keyboard.
    let caption = xml(&svg.about);
    format!("<figure><div tabindex=\"0\">{}</div><figcaption>{caption}</figcaption></figure>", svg.inline())
}

fn strategy(outcome: &Outcome, drawings: &Drawings, open: bool) -> String {
    let name = xml(&outcome.strategy);
    let open = if open { " open" } else { "" };
    let metrics = &outcome.metrics;
    let about = about(&outcome.strategy).map(|about| format!("<p>{}</p>\n", xml(about))).unwrap_or_default();
    format!(
        "<details{open}><summary>{name}: makespan {}, mean wait {}</summary>\n{about}{}\n\
         <p class=\"dim\">Files: <a href=\"{name}/performance_metrics.txt\">all numbers</a>, <a \
         href=\"{name}/metrics.json\">as JSON</a>, <a href=\"{name}/assignments.csv\">the schedule</a>.</p></details>\n",
        seconds(metrics.makespan_s),
        seconds(metrics.wait_mean_s),
        drawings.0.iter().map(|(_, svg)| chart(svg)).collect::<Vec<_>>().join("\n"),
    )
}

fn meanings() -> String {
    let mut out = String::from("<h2>What the numbers mean</h2>\n<dl>\n");
    for meaning in COMPARED {
        let better = match meaning.better {
            super::meaning::Better::Lower => "Lower is better.",
            super::meaning::Better::Higher => "Higher is better.",
        };
        let _ = writeln!(out, "<dt>{}</dt><dd>{} {better}</dd>", meaning.label, meaning.sentence);
    }
    out.push_str("</dl>\n");
    out
}
