//! Who holds what of a worker, and what that leaves: a change costs the same however many hold.

use crate::resources::{Allocation, Capacity, Free};
use std::collections::BTreeMap;

/// The allocations on one worker with their sum.
#[derive(Clone, Debug)]
pub struct Ledger<K> {
    held: BTreeMap<K, Allocation>,
    sum: Allocation,
    free: Free,
}

impl<K: Ord> Ledger<K> {
    /// A worker on which nobody holds anything.
    #[must_use]
    pub fn new(capacity: &Capacity) -> Self {
        Self { held: BTreeMap::new(), sum: Allocation::default(), free: Free::all(capacity) }
    }

    /// Notes what somebody holds from now on, in the place of what it held before.
    pub fn hold(&mut self, capacity: &Capacity, holder: K, allocation: Allocation) {
        self.sum.add(&allocation);
        if let Some(before) = self.held.insert(holder, allocation) {
            self.sum.subtract(&before);
        }
        self.resize(capacity);
    }

    /// Notes that somebody holds nothing any more.
    pub fn release(&mut self, capacity: &Capacity, holder: &K) {
        if let Some(before) = self.held.remove(holder) {
            self.sum.subtract(&before);
            self.resize(capacity);
        }
    }

    /// Takes in that the worker has become larger or smaller.
    pub fn resize(&mut self, capacity: &Capacity) {
        self.free = Free::left(capacity, &self.sum);
    }

    /// What each holds.
    #[must_use]
    pub const fn held(&self) -> &BTreeMap<K, Allocation> {
        &self.held
    }

    /// The sum of what all hold.
    #[must_use]
    pub const fn sum(&self) -> &Allocation {
        &self.sum
    }

    /// What nobody holds; nothing of a resource of which more is held than there is, as after a
    /// worker came back smaller.
    #[must_use]
    pub const fn free(&self) -> &Free {
        &self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{GIB, Gpu};
    use proptest::prelude::*;

    fn capacity() -> Capacity {
        let gpu = |id: usize| Gpu { id: id.to_string().into(), model: "a100".into() };
        Capacity { cpu_milli: 8000, memory: GIB, storage: GIB, gpus: (0..2).map(gpu).collect() }
    }

    proptest! {
        #[test]
        fn what_is_free_is_the_capacity_less_everything_that_is_held(
            steps in prop::collection::vec((0u8..6, 0u64..4000, 0u64..GIB, 0usize..3, 0u64..600), 1..60),
        ) {
            let capacity = capacity();
            let mut ledger = Ledger::new(&capacity);
            for (holder, cpu_milli, memory, device, milli) in steps {
                if cpu_milli < 1000 {
                    ledger.release(&capacity, &holder);
                } else {
                    let gpus = if device < 2 { vec![(device.to_string().into(), milli)] } else { Vec::new() };
                    ledger.hold(&capacity, holder, Allocation { cpu_milli, memory, storage: 1, gpus });
                }
                let mut sum = Allocation::default();
                ledger.held().values().for_each(|held| sum.add(held));
                prop_assert_eq!(ledger.free(), &Free::left(&capacity, &sum));
            }
            let holders: Vec<u8> = ledger.held().keys().copied().collect();
            holders.iter().for_each(|holder| ledger.release(&capacity, holder));
            prop_assert_eq!(ledger.free(), &Free::all(&capacity));
        }
    }
}
