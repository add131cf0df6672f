//! What really happened: the schedule that a cluster made itself, judged as far as it can be.

use super::metrics::{judge, judge_times};
use super::report::Outcome;
use super::run::Assignment;
use super::workload::Workload;

/// What it is called beside strategies.
pub const ACTUAL: &str = "as_it_happened";

/// So many workers are named.
const NAMED: usize = 5;

/// A schedule that really happened.
#[derive(Clone, Debug)]
pub struct Actual {
    /// The schedule and its numbers, under the name [`ACTUAL`]. Workers are places in `workers`.
    pub outcome: Outcome,
    /// Names: those of the workload in its order, then those that it does not have.
    pub workers: Vec<String>,
    /// Why only its times are judged, as a sentence; none when all of it is.
    pub times_only: Option<String>,
}

impl Actual {
    /// Judges a schedule with one entry for each task, in their order. `others` are the names of workers that the
    /// workload does not have: the places after its own.
    #[must_use]
    pub fn of(workload: &Workload, others: Vec<String>, assignments: Vec<Assignment>) -> Self {
        let (metrics, elsewhere) = match elsewhere(&others) {
            None => match judge(workload, &assignments) {
                metrics if metrics.feasible => (metrics, None),
                broken => {
                    let first = broken.errors.first().cloned().unwrap_or_default();
                    let why = format!("in a way that the workers of now do not allow ({first})");
                    (judge_times(workload, &assignments), Some(why))
                }
            },
            elsewhere => (judge_times(workload, &assignments), elsewhere),
        };
        let why = |how| format!("{ACTUAL} ran {how}: how full workers were, and the gap to the bound, are left out.");
        let workers = workload.workers.iter().map(|worker| worker.id.clone()).chain(others).collect();
        let outcome = Outcome { strategy: ACTUAL.into(), replay: None, assignments, metrics };
        Self { outcome, workers, times_only: elsewhere.map(why) }
    }
}

/// What is said of workers that are no more.
fn elsewhere(others: &[String]) -> Option<String> {
    let named = others.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if others.len() > NAMED { ", ..." } else { "" };
    (!others.is_empty()).then(|| format!("partly on workers that are gone since ({named}{more})"))
}
