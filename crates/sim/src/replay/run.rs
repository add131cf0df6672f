//! One strategy on one workload.

use super::workload::Workload;

/// Which run times a strategy is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runtimes {
    /// The true ones, before they are known.
    Exact,
    /// What users said.
    #[default]
    Estimate,
    /// What was learned from tasks that ended before, for every strategy.
    Predicted,
}

/// Where and when a task ran. Times are seconds of the trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assignment {
    /// Its place in [`Workload::tasks`].
    pub task: usize,
    /// Its place in [`Workload::workers`].
    pub worker: usize,
    /// When it started.
    pub start_s: f64,
    /// When it ended.
    pub end_s: f64,
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Replay {
    /// One of `cloudai_core::strategy::ALL`.
    pub strategy: String,
    /// What it is told of run times.
    pub runtimes: Runtimes,
    /// Of the strategy's own random numbers.
    pub seed: u64,
}

/// Why there is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// No such strategy.
    #[error("no strategy is called {0}")]
    NoSuchStrategy(String),
    /// Larger than every worker.
    #[error("task {task} fits no worker: {why}")]
    Unsatisfiable {
        /// Its id.
        task: String,
        /// What it asks for and the most there is.
        why: String,
    },
}

impl Replay {
    /// The schedule that the strategy makes, in the order of the workload's tasks.
    /// # Errors
    /// [`ReplayError`].
    pub fn run(&self, _workload: &Workload) -> Result<Vec<Assignment>, ReplayError> {
        Err(ReplayError::NoSuchStrategy(self.strategy.clone()))
    }
}
