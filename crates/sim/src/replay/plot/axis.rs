//! Axes: which numbers are written beside them, and where.

use super::{Anchor, Svg};
use crate::replay::stats::whole;

/// Time from left to right.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeAxis {
    from: f64,
    span: f64,
    left: f64,
    width: f64,
}

impl TimeAxis {
    pub(super) fn new(from: f64, span: f64, left: f64, width: f64) -> Self {
        Self { from, span: if span > 0.0 { span } else { 1.0 }, left, width }
    }

    /// Where a moment is.
    pub(super) fn at(&self, time: f64) -> f64 {
        self.left + (time - self.from) / self.span * self.width
    }

    /// Lines from `top` to `bottom` with their times, and what they are under it.
    pub(super) fn draw(&self, svg: &mut Svg, top: f64, bottom: f64) {
        let (unit, name) = match self.span {
            short if short <= 600.0 => (1.0, "s"),
            short if short <= 3.0 * 3_600.0 => (60.0, "min"),
            middle if middle <= 5.0 * 86_400.0 => (3_600.0, "h"),
            _ => (86_400.0, "d"),
        };
        for tick in ticks(self.span / unit, 8.0) {
            let x = self.at(self.from + tick * unit);
            svg.line((x, top), (x, bottom), "c-grid");
            svg.text((x, bottom + 15.0), "c-dim", Anchor::Middle, &label(tick));
        }
        svg.line((self.left, bottom), (self.left + self.width, bottom), "c-axis");
        let middle = self.left + self.width / 2.0;
        svg.text((middle, bottom + 32.0), "c-dim", Anchor::Middle, &format!("time since the first arrival ({name})"));
    }
}

/// Round numbers from 0 to `most`, about so many of them.
pub(super) fn ticks(most: f64, about: f64) -> Vec<f64> {
    if !(most > 0.0 && most.is_finite()) {
        return vec![0.0];
    }
    let rough = most / about;
    let ten = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * ten).find(|step| *step >= rough).unwrap_or(10.0 * ten);
    (0..=whole((most / step + 1e-9).floor())).map(|at| at as f64 * step).collect()
}

/// A tick's number without needless digits.
pub(super) fn label(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
