//! A plan as lines for people.

use super::{Words, label, levels, needed};
use crate::job::{JobPlan, Need};
use crate::task::DependsWhen;
use std::fmt::Write;

/// Longer names push aside what stands behind them.
const WIDEST: usize = 40;
/// Of more needs the first are told, and how many there are.
const TOLD: usize = 8;

/// Level by level what may run when the levels before have ended: name, number of elements, needs.
#[must_use]
pub fn text(plan: &JobPlan, words: Words<'_>) -> String {
    let mut by_level: Vec<Vec<usize>> = Vec::new();
    for (number, level) in levels(plan).into_iter().enumerate() {
        let level = level as usize;
        if by_level.len() <= level {
            by_level.resize_with(level + 1, Vec::new);
        }
        by_level[level].push(number);
    }
    let labels: Vec<String> = plan.groups.iter().map(label).collect();
    let words: Vec<&str> = words.map_or_else(Vec::new, |words| (0_u32..).zip(&labels).map(|(n, _)| words(n)).collect());
    let (label_width, word_width) = (width(&labels), width(&words));
    let mut text = String::new();
    for (level, numbers) in by_level.iter().enumerate() {
        let _ = writeln!(text, "level {}", level + 1);
        for number in numbers {
            let mut line = format!("  {:label_width$}", labels[*number]);
            if let Some(word) = words.get(*number) {
                let _ = write!(line, "  {word:word_width$}");
            }
            let needs = needs(plan, &plan.groups[*number].needs);
            let _ = write!(line, "  {needs}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

fn width<T: AsRef<str>>(texts: &[T]) -> usize {
    texts.iter().map(|text| text.as_ref().len()).max().unwrap_or(0).min(WIDEST)
}

/// `needs a, b(failure)`; nothing for what needs nothing.
pub(super) fn needs(plan: &JobPlan, needs: &[Need]) -> String {
    let told = |need: &Need| match need.when {
        DependsWhen::Success => needed(plan, need.on),
        DependsWhen::Failure | DependsWhen::Any => format!("{}({})", needed(plan, need.on), need.when.word()),
    };
    let told: Vec<String> = needs.iter().take(TOLD).map(told).collect();
    match needs.len() {
        0 => String::new(),
        count if count > TOLD => format!("needs {} and {} more", told.join(", "), count - TOLD),
        _ => format!("needs {}", told.join(", ")),
    }
}
