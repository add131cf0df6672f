//! How long tasks waited: which part of them no longer than any time.

use super::{Anchor, Svg, WIDTH, number};
use crate::replay::figure::rough_seconds;
use crate::replay::stats::{percentile, sorted, whole};
use std::fmt::Write;

const LEFT: f64 = 60.0;
const RIGHT: f64 = WIDTH - 40.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 232.0;
/// As many points of a curve as can be seen.
const POINTS: usize = 200;
/// The times that may be written under the curve, in seconds.
const MARKS: [(f64, &str); 10] = [
    (0.0, "0"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3_600.0, "1 h"),
    (36_000.0, "10 h"),
    (345_600.0, "4 d"),
    (2_592_000.0, "30 d"),
    (31_536_000.0, "1 y"),
];

/// The waits of a strategy, and those of the baseline as a dashed line.
pub(crate) fn waits(waits: &[f64], baseline: Option<(&str, &[f64])>) -> Svg {
    let all = sorted(waits.iter().copied());
    let base = baseline.map(|(name, waits)| (name, sorted(waits.iter().copied())));
    let longest = all.last().copied().unwrap_or_default();
    let longest = base.iter().filter_map(|(_, waits)| waits.last().copied()).fold(longest, f64::max).max(1.0);
    let about = format!(
        "The curve shows which part of the tasks waited no longer than the time below it: half of them at most {}, 95% at \
         most {}. The further left, the better. Above 1 s the time axis is logarithmic.",
        rough_seconds(percentile(&all, 50.0)),
        rough_seconds(percentile(&all, 95.0)),
    );
    let mut svg = Svg::new("Waiting times (cumulative distribution)", about, BOTTOM + 42.0);
    let x = |wait: f64| LEFT + (1.0 + wait.max(0.0)).log10() / (1.0 + longest).log10() * (RIGHT - LEFT);
    frame(&mut svg, longest, &x);
    let mut legend = LEFT;
    let mut name = |svg: &mut Svg, class: &str, name: &str| {
        svg.line((legend, 38.0), (legend + 28.0, 38.0), class);
        svg.text((legend + 34.0, 42.0), "c-dim", Anchor::Start, name);
        legend += 180.0;
    };
    name(&mut svg, "c-line c-r0", "this strategy");
    if let Some((of, base)) = &base {
        name(&mut svg, "c-line c-dimline", of);
        svg.path(&curve(base, &x), "c-line c-dimline");
    }
    svg.path(&curve(&all, &x), "c-line c-r0");
    for percent in [50.0, 95.0] {
        let wait = percentile(&all, percent);
        let at = (x(wait), height(percent / 100.0));
        svg.dot(at, "c-r0");
        let said = format!("{percent}%: {}", rough_seconds(wait));
        // Below and to the right of a curve that only rises there is room.
        let (x, anchor) = if at.0 + 120.0 < RIGHT { (at.0 + 8.0, Anchor::Start) } else { (RIGHT, Anchor::End) };
        svg.text((x, at.1 + 18.0), "c-text", anchor, &said);
    }
    svg
}

fn height(share: f64) -> f64 {
    BOTTOM - share * (BOTTOM - TOP)
}

fn frame(svg: &mut Svg, longest: f64, x: &impl Fn(f64) -> f64) {
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let y = height(percent / 100.0);
        svg.line((LEFT, y), (RIGHT, y), "c-grid");
        svg.text((LEFT - 6.0, y + 4.0), "c-dim", Anchor::End, &format!("{percent}%"));
    }
    let mut free = f64::NEG_INFINITY;
    for (seconds, name) in MARKS.into_iter().filter(|(seconds, _)| *seconds <= longest) {
        svg.line((x(seconds), TOP), (x(seconds), BOTTOM), "c-grid");
        if x(seconds) > free {
            svg.text((x(seconds), BOTTOM + 15.0), "c-dim", Anchor::Middle, name);
            free = x(seconds) + 44.0;
        }
    }
    svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), "c-axis");
    let middle = f64::midpoint(LEFT, RIGHT);
    svg.text((middle, BOTTOM + 32.0), "c-dim", Anchor::Middle, "wait at most (time); upwards: part of the tasks (%)");
}

/// A step for each task, or as many as can be seen.
fn curve(waits: &[f64], x: &impl Fn(f64) -> f64) -> String {
    let mut d = format!("M{} {}", number(LEFT), number(height(0.0)));
    let points = waits.len().min(POINTS);
    for point in 1..=points {
        let share = point as f64 / points as f64;
        let at = whole((share * waits.len() as f64).round()).clamp(1, waits.len()) - 1;
        let _ = write!(d, "H{}V{}", number(x(waits[at])), number(height(share)));
    }
    let _ = write!(d, "H{}", number(RIGHT));
    d
}
