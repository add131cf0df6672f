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
        let times_only = match others.as_slice() {
            [] => {
                let metrics = judge(workload, &assignments);
                if metrics.feasible {
                    return Self::with(
                        workload,
                        others,
                        Outcome { strategy: ACTUAL.into(), assignments, metrics },
                        None,
                    );
                }
                "on workers that offered more then than they do now".to_owned()
            }
            others => {
                let named = others.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = if others.len() > NAMED { ", ..." } else { "" };
                format!("partly on workers that are gone since ({named}{more})")
            }
        };
        let why = format!("{ACTUAL} ran {times_only}: how full workers were, and the gap to the bound, are left out.");
        let metrics = judge_times(workload, &assignments);
        Self::with(workload, others, Outcome { strategy: ACTUAL.into(), assignments, metrics }, Some(why))
    }

    fn with(workload: &Workload, others: Vec<String>, outcome: Outcome, times_only: Option<String>) -> Self {
        let workers = workload.workers.iter().map(|worker| worker.id.clone()).chain(others).collect();
        Self { outcome, workers, times_only }
    }
}
