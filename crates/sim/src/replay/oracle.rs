//! Predicted run times on a trace: learned from tasks that ended before, as the master learns.

use super::workload::Workload;
use cloudai_core::predict::{Features, Knobs, Predictor};
use cloudai_core::strategy::board::Length;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many waiting tasks are thought of again when one has ended.
const AGAIN: usize = 32;

/// The predictor, and who waits to be predicted again.
#[derive(Debug)]
pub(super) struct Oracle {
    predictor: Predictor,
    features: Vec<Features>,
    /// Waiting tasks by user, and all of them in turn.
    by_user: BTreeMap<u64, BTreeSet<usize>>,
    turn: VecDeque<usize>,
    waits: Vec<bool>,
}

impl Oracle {
    pub(super) fn new(workload: &Workload, upper_permille: u16) -> Self {
        let mut users = BTreeMap::new();
        let mut sizes = BTreeMap::new();
        // 0 is that of no image.
        let mut images = BTreeMap::from([("", 0)]);
        let features = workload.tasks.iter().map(|task| {
            let next = users.len() as u64 + 1;
            let user = *users.entry(task.user.as_str()).or_insert(next);
            let next = sizes.len() as u64 + 1;
            let size = *sizes.entry(task.demand.map(f64::to_bits)).or_insert(next);
            let next = images.len() as u64;
            let image = *images.entry(task.image.as_str()).or_insert(next);
            let estimate = task.estimate_s.map(|estimate| super::run::millis(estimate).max(1));
            Features { user, image, shape: 0, size, estimate }
        });
        Self {
            predictor: Predictor::new(Knobs { upper_permille, ..Knobs::default() }),
            features: features.collect(),
            by_user: BTreeMap::new(),
            turn: VecDeque::new(),
            waits: vec![false; workload.tasks.len()],
        }
    }

    pub(super) fn arrived(&mut self, task: usize) -> Option<Length> {
        self.waits[task] = true;
        self.by_user.entry(self.features[task].user).or_default().insert(task);
        self.turn.push_back(task);
        self.predict(task)
    }

    pub(super) fn started(&mut self, task: usize) {
        self.waits[task] = false;
        if let Some(tasks) = self.by_user.get_mut(&self.features[task].user) {
            tasks.remove(&task);
        }
    }

    pub(super) fn ended(&mut self, task: usize, run_ms: u64) {
        self.predictor.learn(&self.features[task], run_ms);
    }

    /// Waiting tasks of the same user, and others in turn.
    pub(super) fn think_again(&mut self, ended: usize) -> Vec<(usize, Length)> {
        let own = self.by_user.get(&self.features[ended].user);
        let mut tasks: Vec<usize> = own.into_iter().flatten().copied().take(AGAIN).collect();
        for _ in 0..AGAIN.min(self.turn.len()) {
            if let Some(task) = self.turn.pop_front().filter(|task| self.waits[*task]) {
                tasks.push(task);
                self.turn.push_back(task);
            }
        }
        tasks.into_iter().filter_map(|task| Some((task, self.predict(task)?))).collect()
    }

    fn predict(&self, task: usize) -> Option<Length> {
        Length::learned(self.predictor.predict(&self.features[task]))
    }
}
