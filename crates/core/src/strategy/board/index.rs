//! Which workers have room, without asking each: maxima over blocks of 16, over blocks of those, and so
//! on.

use super::Amounts;

/// Members of a block, on every level.
const WIDTH: usize = 16;

/// The free amounts of all workers with their maxima.
///
/// A demand that exceeds a maximum fits nowhere below it. With 10,000 workers there are 625 maxima
/// over workers, 40 over those and 3 above: a search touches a few of each. That one maximum of all
/// four amounts covers a demand does not mean that one worker does; then the search goes on behind.
#[derive(Clone, Debug, Default)]
pub(in crate::strategy) struct Index {
    free: Vec<Amounts>,
    /// From those of workers upward; the last has a block at most.
    maxima: Vec<Vec<Amounts>>,
}

impl Index {
    /// One that knows all of these.
    pub(in crate::strategy) fn of(free: Vec<Amounts>) -> Self {
        let workers = free.len();
        let mut index = Self { free, maxima: Vec::new() };
        index.grow(workers);
        index
    }

    /// The amounts of workers on level 0, above them maxima.
    fn level(&self, level: usize) -> &[Amounts] {
        if level == 0 { &self.free } else { &self.maxima[level - 1] }
    }

    /// Notes what is free on a worker; 0 of everything for one that takes no work.
    pub(in crate::strategy) fn set(&mut self, worker: usize, free: Amounts) {
        if self.free.len() <= worker {
            self.grow(worker + 1);
        }
        let mut before = std::mem::replace(&mut self.free[worker], free);
        let mut now = free;
        let mut at = worker;
        for level in 0..self.maxima.len() {
            let from = at - at % WIDTH;
            let of = self.level(level);
            let renewed =
                renewed(&self.maxima[level][at / WIDTH], &of[from..(from + WIDTH).min(of.len())], &before, &now);
            at /= WIDTH;
            before = std::mem::replace(&mut self.maxima[level][at], renewed);
            now = renewed;
            if before == now {
                return;
            }
        }
    }

    /// Makes room for so many workers: those that come one by one cost little each.
    fn grow(&mut self, workers: usize) {
        self.free.resize(workers, [0; 4]);
        let mut below = workers;
        let mut level = 0;
        while below > WIDTH {
            let count = below.div_ceil(WIDTH);
            if level == self.maxima.len() {
                let maxima = self.level(level).chunks(WIDTH).map(maximum).collect();
                self.maxima.push(maxima);
            }
            self.maxima[level].resize(count, [0; 4]);
            (below, level) = (count, level + 1);
        }
    }

    /// How many workers it knows.
    pub(in crate::strategy) const fn len(&self) -> usize {
        self.free.len()
    }

    /// What is free on a worker.
    pub(in crate::strategy) fn free(&self, worker: usize) -> &Amounts {
        &self.free[worker]
    }

    /// More than any worker has, resource by resource.
    pub(in crate::strategy) fn most(&self) -> Amounts {
        maximum(self.level(self.maxima.len()))
    }

    /// The first worker from `from` on that has as much of everything.
    pub(in crate::strategy) fn next(&self, from: usize, demand: &Amounts) -> Option<usize> {
        let (mut level, mut at) = self.upward(0, from);
        loop {
            let maximum = self.level(level).get(at)?;
            if !covers(maximum, demand) {
                (level, at) = self.upward(level, at + 1);
            } else if level == 0 {
                return Some(at);
            } else {
                (level, at) = (level - 1, at * WIDTH);
            }
        }
    }

    /// The highest place that begins with this one.
    const fn upward(&self, mut level: usize, mut at: usize) -> (usize, usize) {
        while at.is_multiple_of(WIDTH) && level < self.maxima.len() {
            (level, at) = (level + 1, at / WIDTH);
        }
        (level, at)
    }
}

/// Whether there is as much of everything.
pub(super) fn covers(free: &Amounts, demand: &Amounts) -> bool {
    (free[0] >= demand[0]) & (free[1] >= demand[1]) & (free[2] >= demand[2]) & (free[3] >= demand[3])
}

/// The larger of both, resource by resource.
pub(super) fn larger(a: &Amounts, b: &Amounts) -> Amounts {
    [a[0].max(b[0]), a[1].max(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

fn maximum(of: &[Amounts]) -> Amounts {
    of.iter().fold([0; 4], |most, each| larger(&most, each))
}

/// A block's maximum after one of its members changed: computed anew only where that one had it.
fn renewed(was: &Amounts, block: &[Amounts], before: &Amounts, now: &Amounts) -> Amounts {
    let shrank = (0..4).any(|kind| before[kind] == was[kind] && now[kind] < before[kind]);
    if shrank { maximum(block) } else { larger(was, now) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_next_worker_with_room_is_the_one_that_a_plain_look_finds(
            steps in prop::collection::vec((0usize..9000, prop::array::uniform4(0u64..5)), 1..200),
            demand in prop::array::uniform4(0u64..5),
            from in 0usize..9000,
        ) {
            let (mut index, mut plain) = (Index::default(), vec![[0; 4]; 9000]);
            index.set(8999, [0; 4]);
            for (worker, free) in steps {
                index.set(worker, free);
                plain[worker] = free;
                let most = plain.iter().fold([0; 4], |most, free| larger(&most, free));
                prop_assert_eq!(index.most(), most);
            }
            let found = (from..9000).find(|worker| covers(&plain[*worker], &demand));
            prop_assert_eq!(index.next(from, &demand), found);
            prop_assert_eq!(Index::of(plain).next(from, &demand), found);
        }
    }
}
