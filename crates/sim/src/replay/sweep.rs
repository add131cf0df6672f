//! What is in use on a worker, from one start or end to the next.

use super::run::Assignment;
use super::workload::Workload;

/// Moments closer than this, in seconds, are one: in between nothing is in use or free. After months it is what
/// sums of times are rounded by.
fn instant(time: f64) -> f64 {
    f64::max(1e-9, 4.0 * f64::EPSILON * time)
}

/// What is in use on one worker after each moment at which that changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sweep {
    /// The moments, ascending.
    pub(super) times: Vec<f64>,
    /// What is in use from each on.
    pub(super) used: Vec<[f64; 4]>,
}

impl Sweep {
    /// Of the assignments of one worker. Ends come before starts of the same moment.
    pub(super) fn of<'a>(workload: &Workload, assignments: impl IntoIterator<Item = &'a Assignment>) -> Self {
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for one in assignments {
            let demand = workload.tasks[one.task].demand;
            starts.push((one.start_s, 1.0_f64, demand));
            ends.push((one.end_s, -1.0, demand));
        }
        let mut changes = starts;
        changes.append(&mut ends);
        changes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut sweep = Self::default();
        let mut used = [0.0; 4];
        for (at, (time, sign, demand)) in changes.iter().enumerate() {
            for (used, demand) in used.iter_mut().zip(demand) {
                *used += sign * demand;
            }
            if changes.get(at + 1).is_none_or(|next| next.0 - time > instant(*time)) {
                sweep.times.push(*time);
                sweep.used.push(used);
            }
        }
        sweep
    }

    /// The load after each moment: the largest share of any resource that the worker has.
    pub(super) fn shares(&self, capacity: [f64; 4]) -> Vec<f64> {
        self.used.iter().map(|used| dominant_share(*used, capacity)).collect()
    }
}

/// The largest share of any resource that there is.
pub(super) fn dominant_share(used: [f64; 4], capacity: [f64; 4]) -> f64 {
    let shares = used.iter().zip(capacity).map(|(used, capacity)| if capacity > 0.0 { used / capacity } else { 0.0 });
    shares.fold(f64::NEG_INFINITY, f64::max)
}

/// The assignments of each worker, in the order of the tasks.
pub(super) fn by_worker(workload: &Workload, assignments: &[Assignment]) -> Vec<Vec<Assignment>> {
    let mut of = vec![Vec::new(); workload.workers.len()];
    let mut ordered: Vec<_> = assignments.to_vec();
    ordered.sort_by_key(|one| one.task);
    for one in ordered {
        if let Some(worker) = of.get_mut(one.worker) {
            worker.push(one);
        }
    }
    of
}
