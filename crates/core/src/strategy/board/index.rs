//! Which workers have room, without asking each: maxima over blocks of 64, and over blocks of those.

use super::Amounts;

/// Workers in a block, and blocks in a group.
const WIDTH: usize = 64;

/// The free amounts of all workers with their maxima, two levels of them.
///
/// A demand that exceeds a maximum fits nowhere below it. With 10,000 workers a search touches 3
/// groups, then the blocks of one, then the workers of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    free: Vec<Amounts>,
    blocks: Vec<Amounts>,
    groups: Vec<Amounts>,
}

impl Index {
    /// Notes what is free on a worker; 0 of everything for one that takes no work.
    pub(super) fn set(&mut self, worker: usize, free: Amounts) {
        while self.free.len() <= worker {
            self.free.push([0; 4]);
        }
        self.blocks.resize(self.free.len().div_ceil(WIDTH), [0; 4]);
        self.groups.resize(self.blocks.len().div_ceil(WIDTH), [0; 4]);
        let before = std::mem::replace(&mut self.free[worker], free);
        let block = worker / WIDTH;
        if renew(&mut self.blocks[block], &self.free, block, &before, &free) {
            let group = block / WIDTH;
            self.groups[group] = maxima(&self.blocks, group);
        }
    }

    /// How many workers it knows.
    pub(super) const fn len(&self) -> usize {
        self.free.len()
    }

    /// What is free on a worker.
    pub(super) fn free(&self, worker: usize) -> &Amounts {
        &self.free[worker]
    }

    /// More than any worker has, resource by resource.
    pub(super) fn most(&self) -> Amounts {
        self.groups.iter().fold([0; 4], |most, group| larger(&most, group))
    }

    /// The first worker from `from` on that has as much of everything.
    pub(super) fn next(&self, from: usize, demand: &Amounts) -> Option<usize> {
        let mut worker = from;
        while worker < self.free.len() {
            let block = worker / WIDTH;
            if worker.is_multiple_of(WIDTH * WIDTH) && !covers(&self.groups[block / WIDTH], demand) {
                worker += WIDTH * WIDTH;
                continue;
            }
            if !covers(&self.blocks[block], demand) {
                worker = (block + 1) * WIDTH;
                continue;
            }
            let end = ((block + 1) * WIDTH).min(self.free.len());
            match self.free[worker..end].iter().position(|free| covers(free, demand)) {
                Some(offset) => return Some(worker + offset),
                None => worker = end,
            }
        }
        None
    }
}

/// Whether there is as much of everything.
pub(super) fn covers(free: &Amounts, demand: &Amounts) -> bool {
    free[0] >= demand[0] && free[1] >= demand[1] && free[2] >= demand[2] && free[3] >= demand[3]
}

/// The larger of both, resource by resource.
pub(super) fn larger(a: &Amounts, b: &Amounts) -> Amounts {
    [a[0].max(b[0]), a[1].max(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

fn maxima(of: &[Amounts], block: usize) -> Amounts {
    let end = ((block + 1) * WIDTH).min(of.len());
    of[block * WIDTH..end].iter().fold([0; 4], |most, each| larger(&most, each))
}

/// Renews a maximum after one of its members changed; answers whether it is another one.
fn renew(maximum: &mut Amounts, of: &[Amounts], block: usize, before: &Amounts, now: &Amounts) -> bool {
    let was = *maximum;
    let shrank = (0..4).any(|kind| before[kind] == was[kind] && now[kind] < before[kind]);
    *maximum = if shrank { maxima(of, block) } else { larger(&was, now) };
    *maximum != was
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
        }
    }
}
