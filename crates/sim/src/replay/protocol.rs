//! The protocol of RLScheduler (Zhang et al., SC'20): ten sequences of 1,024 jobs out of 10,000.
//!
//! Each begins with an empty machine; what is compared is the mean of the ten mean bounded slowdowns.

use super::metrics::{Metrics, judge};
use super::run::{Replay, ReplayError};
use super::workload::Workload;

/// Where the sequences begin: what the original draws with its seed 1 for 10,000 jobs.
pub const STARTS: [usize; 10] = [1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085];
/// Jobs of a sequence.
pub const JOBS: usize = 1024;
/// Out of so many jobs the sequences are drawn.
pub const DRAWN_FROM: usize = 10_000;

/// The ten sequences, out of the jobs from place `slice` on. None when there are too few.
#[must_use]
pub fn sequences(workload: &Workload, slice: usize) -> Option<Vec<Workload>> {
    let jobs = workload.tasks.get(slice..slice.checked_add(DRAWN_FROM)?)?;
    let one = |start: &usize| {
        let mut tasks = jobs[*start..*start + JOBS].to_vec();
        let first = tasks.iter().map(|task| task.arrival_s).fold(f64::INFINITY, f64::min);
        tasks.iter_mut().for_each(|task| task.arrival_s -= first);
        let name = format!("{} from job {}", workload.name, slice + start);
        Workload { name, tasks, workers: workload.workers.clone() }
    };
    Some(STARTS.iter().map(one).collect())
}

/// What a strategy makes of each sequence.
/// # Errors
/// [`ReplayError`].
pub fn run(replay: &Replay, sequences: &[Workload]) -> Result<Vec<Metrics>, ReplayError> {
    sequences.iter().map(|sequence| Ok(judge(sequence, &replay.run(sequence)?))).collect()
}
