//! Strategies side by side: a bar for each, metric by metric.

use super::{Anchor, Svg, WIDTH, fitting};
use crate::replay::meaning::{Better, COMPARED, Meaning};
use crate::replay::metrics::Metrics;

/// The metrics that are drawn.
const DRAWN: [&str; 5] = ["makespan_s", "wait_mean_s", "bsld_mean", "util_main", "load_std"];
const LEFT: f64 = 150.0;
const RIGHT: f64 = WIDTH - 130.0;
const ROW: f64 = 20.0;

/// A panel for each metric; the baseline's bars are grey.
pub(crate) fn bars(strategies: &[(&str, &Metrics)], baseline: &str, bound: Option<f64>) -> Svg {
    let metrics: Vec<&Meaning> = COMPARED.iter().filter(|meaning| DRAWN.contains(&meaning.key)).collect();
    let panel = 44.0 + ROW * strategies.len() as f64;
    let about = format!(
        "Longer bars are larger numbers; the heading says which way is better. Bars of the baseline, {baseline}, are grey. \
         The dashed line is the lower bound, which no schedule can beat."
    );
    let mut svg = Svg::new("Strategies side by side", about, 34.0 + panel * metrics.len() as f64);
    for (at, meaning) in metrics.iter().enumerate() {
        let bound = bound.filter(|_| meaning.key == "makespan_s");
        one(&mut svg, meaning, strategies, (baseline, bound), 34.0 + panel * at as f64);
    }
    svg
}

fn one(
    svg: &mut Svg,
    meaning: &Meaning,
    strategies: &[(&str, &Metrics)],
    (baseline, bound): (&str, Option<f64>),
    top: f64,
) {
    let numbers: Vec<f64> = strategies.iter().map(|(_, metrics)| (meaning.of)(metrics)).collect();
    let longest = numbers.iter().copied().chain(bound).fold(0.0, f64::max);
    let wide = |number: f64| if longest > 0.0 { number.max(0.0) / longest * (RIGHT - LEFT) } else { 0.0 };
    let better = match meaning.better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
    };
    let unit = match meaning.key {
        "makespan_s" | "wait_mean_s" => "s",
        "util_main" => "% of the busiest resource",
        "load_std" => "standard deviation of the workers' loads",
        _ => "times as long as it ran",
    };
    svg.text((8.0, top + 18.0), "c-text c-strong", Anchor::Start, &format!("{} ({unit}): {better}", meaning.label));
    let best = meaning.best(&numbers);
    for (at, ((name, _), number)) in strategies.iter().zip(&numbers).enumerate() {
        let y = top + 28.0 + ROW * at as f64;
        let class = if *name == baseline { "c-base" } else { "c-bar" };
        svg.text((LEFT - 8.0, y + 12.0), "c-text", Anchor::End, &fitting(name, 20));
        svg.rect((LEFT, y), (wide(*number).max(1.0), ROW - 5.0), class, None);
        let mark = if best == Some(*number) { " best" } else { "" };
        let said = format!("{}{mark}", meaning.shown(*number));
        let class = if mark.is_empty() { "c-text" } else { "c-text c-strong" };
        svg.text((LEFT + wide(*number) + 6.0, y + 12.0), class, Anchor::Start, &said);
    }
    if let Some(bound) = bound {
        let x = LEFT + wide(bound);
        svg.line((x, top + 24.0), (x, top + 28.0 + ROW * strategies.len() as f64), "c-bound");
        let said = format!("lower bound {}", meaning.shown(bound));
        svg.text((WIDTH - 8.0, top + 18.0), "c-dim", Anchor::End, &format!("dashed: {said}"));
    }
}
