//! Lies beside the proposals of a good strategy: stale, repeated, oversized and misplaced ones. A
//! cluster that trusts its strategy does not survive them.

use crate::rng::Rng;
use cloudai_core::event::{Placement, PlacementRefusal};
use cloudai_core::feasible;
use cloudai_core::ids::WorkerId;
use cloudai_core::strategy::{View, Waiting};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Proposals of the past that are kept to be made again.
const REMEMBERED: usize = 64;

/// How a strategy may lie, by the names that counts have.
pub const LIES: [&str; 9] = [
    "lie: a placement of the past",
    "lie: a placement made twice",
    "lie: more than is free",
    "lie: a worker that takes no work",
    "lie: a worker that is not there",
    "lie: a task pinned elsewhere",
    "lie: a worker beside kin",
    "lie: one of a gang alone",
    "lie: an attempt that is not the next one",
];

/// How often each lie was told.
#[derive(Clone, Debug, Default)]
pub struct Lies(Arc<[AtomicU64; LIES.len()]>);

impl Lies {
    /// Every lie with its count.
    pub fn counted(&self) -> impl Iterator<Item = (&'static str, u64)> {
        LIES.iter().zip(self.0.iter()).map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
    }
}

/// A liar.
#[derive(Debug)]
pub struct Hostile {
    rng: Rng,
    per_mille: u64,
    /// Every worker that there may be.
    workers: Vec<WorkerId>,
    past: Vec<Placement>,
    told: Lies,
}

impl Hostile {
    /// Lies in so many rounds of a thousand.
    #[must_use]
    pub fn new(rng: Rng, per_mille: u64, workers: &[WorkerId], told: Lies) -> Self {
        let mut workers = workers.to_vec();
        workers.extend("nobody".parse());
        Self { rng, per_mille, workers, past: Vec::new(), told }
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        from.get(self.rng.index(from.len())).cloned()
    }

    /// A lie of this kind, where there is something to lie about.
    fn lie(&mut self, kind: usize, view: &View, honest: &[Placement]) -> Option<Placement> {
        match kind {
            0 => {
                let past = std::mem::take(&mut self.past);
                let over = |one: &&Placement| !view.each_waiting().any(|task| task.attempt() == one.attempt);
                let stale: Vec<_> = past.iter().filter(over).cloned().collect();
                self.past = past;
                self.pick(&stale)
            }
            1 => {
                let twin = self.pick(honest)?;
                let workers = self.workers.clone();
                let worker = if self.rng.chance(500) { twin.worker.clone() } else { self.pick(&workers)? };
                Some(Placement { worker, ..twin })
            }
            2 => self.misplace(view, |view, task, worker| {
                let found = view.fleet().get(worker);
                let why = found.and_then(|seen| feasible::fits(task.spec(), seen.record(), seen.free()).err());
                matches!(why, Some(PlacementRefusal::Lack(_)))
            }),
            3 => self.misplace(view, |view, _, worker| {
                view.fleet().get(worker).is_some_and(|seen| !seen.record().takes_work())
            }),
            4 => self.misplace(view, |view, _, worker| view.fleet().get(worker).is_none()),
            5 => self.misplace(view, |_, task, worker| task.spec().worker_id.as_ref().is_some_and(|pin| pin != worker)),
            6 => self.misplace(view, |view, task, worker| {
                let Some(seen) = view.fleet().get(worker) else { return false };
                let room = feasible::fits(task.spec(), seen.record(), seen.free()).is_ok();
                room && view.fleet().beside(task.record(), seen.record()).is_some()
            }),
            7 => self.misplace(view, |view, task, worker| {
                let of_gang = task.spec().container.env.contains_key("CLOUDAI_GANG_SIZE");
                let found = view.fleet().get(worker).filter(|_| of_gang);
                found.is_some_and(|seen| feasible::fits(task.spec(), seen.record(), seen.free()).is_ok())
            }),
            _ => {
                let mut one = self.pick(honest)?;
                one.attempt.number = if self.rng.chance(500) { one.attempt.number + 1 } else { one.attempt.number - 1 };
                Some(one)
            }
        }
    }

    /// A waiting task on a worker where it must not go for this reason.
    fn misplace(&mut self, view: &View, wrong: impl Fn(&View, &Waiting, &WorkerId) -> bool) -> Option<Placement> {
        let pairs = view.each_waiting().flat_map(|task| self.workers.iter().map(move |worker| (task, worker)));
        let wrong: Vec<_> = pairs
            .filter(|(task, worker)| wrong(view, task, worker))
            .map(|(task, worker)| Placement { attempt: task.attempt(), worker: worker.clone() })
            .collect();
        self.pick(&wrong)
    }
}

impl Hostile {
    /// The proposals of a round with lies among them.
    pub fn lie_beside(&mut self, view: &View, honest: Vec<Placement>) -> Vec<Placement> {
        let mut all = honest.clone();
        if self.rng.chance(self.per_mille) {
            for _ in 0..self.rng.between((1, 6)) {
                let kind = self.rng.index(LIES.len());
                if let Some(lie) = self.lie(kind, view, &honest) {
                    self.told.0[kind].fetch_add(1, Ordering::Relaxed);
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
