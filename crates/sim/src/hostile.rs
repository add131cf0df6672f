//! A strategy that lies: beside the proposals of a good one it makes stale, repeated, oversized
//! and misplaced ones. A cluster that trusts its strategy does not survive it.

use crate::rng::Rng;
use cloudai_core::event::Placement;
use cloudai_core::ids::{Attempt, WorkerId};
use cloudai_core::strategy::{Strategy, View};

/// Proposals of the past that are kept to be made again.
const REMEMBERED: usize = 64;

/// A good strategy and the lies beside it.
#[derive(Debug)]
pub struct Hostile {
    inner: Box<dyn Strategy>,
    rng: Rng,
    per_mille: u64,
    /// Every worker that there is, dead or alive, and one that never was.
    workers: Vec<WorkerId>,
    past: Vec<Placement>,
}

impl Hostile {
    /// Lies in so many rounds of a thousand.
    #[must_use]
    pub fn new(inner: Box<dyn Strategy>, rng: Rng, per_mille: u64, workers: &[WorkerId]) -> Self {
        let mut workers = workers.to_vec();
        workers.extend("nobody".parse());
        Self { inner, rng, per_mille, workers, past: Vec::new() }
    }

    fn lie(&mut self, view: &View, honest: &[Placement]) -> Option<Placement> {
        let worker = self.workers.get(self.rng.index(self.workers.len()))?.clone();
        match self.rng.below(4) {
            // Stale: it was good once.
            0 => self.past.get(self.rng.index(self.past.len())).cloned(),
            // Twice in one round, perhaps on two workers.
            1 => {
                let twin = honest.get(self.rng.index(honest.len()))?.clone();
                Some(if self.rng.chance(500) { twin } else { Placement { worker, ..twin } })
            }
            // Anywhere, whether it fits or not: oversized, dead, unknown, pinned elsewhere.
            2 => {
                let waiting: Vec<_> = view.queue().collect();
                let task = *waiting.get(self.rng.index(waiting.len()))?;
                let number = u32::try_from(self.rng.between((1, 3))).ok()?;
                Some(Placement { attempt: Attempt { task, number }, worker })
            }
            // An attempt that is not the next one.
            _ => {
                let mut one = honest.get(self.rng.index(honest.len()))?.clone();
                one.attempt.number = if self.rng.chance(500) { one.attempt.number + 1 } else { one.attempt.number - 1 };
                Some(one)
            }
        }
    }
}

impl Strategy for Hostile {
    fn name(&self) -> &'static str {
        "hostile"
    }

    fn place(&mut self, view: &View) -> Vec<Placement> {
        let honest = self.inner.place(view);
        let mut all = honest.clone();
        if self.rng.chance(self.per_mille) {
            for _ in 0..self.rng.between((1, 6)) {
                if let Some(lie) = self.lie(view, &honest) {
                    let at = self.rng.index(all.len() + 1);
                    all.insert(at, lie);
                }
            }
        }
        self.past.extend(honest);
        let old = self.past.len().saturating_sub(REMEMBERED);
        self.past.drain(..old);
        all
    }
}
