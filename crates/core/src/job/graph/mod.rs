//! A plan as a graph: its levels, what hangs on each of its tasks, and drawings of it.
//!
//! Everything costs in proportion to the tasks and their needs, elements not counted.

mod dot;
mod layout;
mod svg;
mod text;

pub use dot::dot;
pub use svg::{MOST_DRAWN, TooLarge, svg};
pub use text::text;

use super::order::order;
use super::{Group, JobPlan, Need, On};
use std::time::Duration;

/// How long a task is taken to run of which nobody says it.
const UNSAID: Duration = Duration::from_secs(60);

/// The word for where a group stands, by its place in the plan; none where only the plan is shown.
pub type Words<'a> = Option<&'a dyn Fn(u32) -> &'static str>;

/// Of each group the most others that follow one another before it: 0 for those that need none.
#[must_use]
pub fn levels(plan: &JobPlan) -> Vec<u32> {
    let needs = needs(plan);
    let mut levels = vec![0; needs.len()];
    for number in order(&needs).unwrap_or_default() {
        let before = needs[number as usize].iter().map(|need| levels[*need as usize] + 1).max();
        levels[number as usize] = before.unwrap_or(0);
    }
    levels
}

/// Of each group how long what needs it will take, along the longest way, without its own time: estimates where there
/// are, an array as long as one of its elements.
#[must_use]
pub fn tails(plan: &JobPlan) -> Vec<Duration> {
    tails_by(plan, |group| group.spec.estimate.unwrap_or(UNSAID))
}

/// The same where somebody else says how long a group takes.
#[must_use]
pub fn tails_by(plan: &JobPlan, mut length: impl FnMut(&Group) -> Duration) -> Vec<Duration> {
    let needs = needs(plan);
    let mut tails = vec![Duration::ZERO; needs.len()];
    for number in order(&needs).unwrap_or_default().into_iter().rev() {
        let own = plan.group(number).map_or(Duration::ZERO, &mut length);
        let through = tails[number as usize].saturating_add(own);
        for need in &needs[number as usize] {
            let tail = &mut tails[*need as usize];
            *tail = through.max(*tail);
        }
    }
    tails
}

/// Of each group the others that it needs, each once.
fn needs(plan: &JobPlan) -> Vec<Vec<u32>> {
    let of = |group: &Group| {
        let mut needs: Vec<u32> = group.needs.iter().filter_map(Need::group).collect();
        needs.retain(|need| (*need as usize) < plan.groups.len());
        needs.sort_unstable();
        needs.dedup();
        needs
    };
    plan.groups.iter().map(of).collect()
}

/// A group in a drawing: its name, and how many elements it has.
fn label(group: &Group) -> String {
    match &group.elements {
        Some(elements) => format!("{} x{}", group.name, elements.indexes.count()),
        None => group.name.to_string(),
    }
}

/// What is needed, by its name or id.
fn needed(plan: &JobPlan, on: On) -> String {
    match on {
        On::Group(number) => plan.group(number).map_or_else(String::new, |group| group.name.to_string()),
        On::Task(task) => task.to_string(),
    }
}

#[cfg(test)]
mod tests;
