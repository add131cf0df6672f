//! A sorted set of submission orders. These are dense, so 64 of them share a word: a million take
//! some hundred kilobytes, where a set of numbers would take fifteen megabytes.

use std::collections::BTreeMap;

const BITS: u64 = 64;

/// Sorted submission orders.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Bit `n` of word `w` is order `64 w + n`; no word is empty.
    words: BTreeMap<u64, u64>,
}

impl Orders {
    pub(super) fn insert(&mut self, order: u64) {
        *self.words.entry(order / BITS).or_default() |= 1 << (order % BITS);
    }

    pub(super) fn remove(&mut self, order: u64) {
        if let Some(word) = self.words.get_mut(&(order / BITS)) {
            *word &= !(1 << (order % BITS));
            if *word == 0 {
                self.words.remove(&(order / BITS));
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Those above an order, or all, rising.
    pub(super) fn rising(&self, above: Option<u64>) -> impl Iterator<Item = u64> {
        let words = self.words.range(above.map_or(0, |above| above / BITS)..);
        let orders = words.flat_map(|(word, bits)| bits_of(*bits).map(move |bit| word * BITS + bit));
        orders.skip_while(move |order| above.is_some_and(|above| *order <= above))
    }

    /// Those below an order, or all, falling.
    pub(super) fn falling(&self, below: Option<u64>) -> impl Iterator<Item = u64> {
        let words = self.words.range(..=below.map_or(u64::MAX, |below| below / BITS));
        let orders = words.rev().flat_map(|(word, bits)| bits_of(*bits).rev().map(move |bit| word * BITS + bit));
        orders.skip_while(move |order| below.is_some_and(|below| *order >= below))
    }
}

fn bits_of(word: u64) -> impl DoubleEndedIterator<Item = u64> {
    (0..BITS).filter(move |bit| word & (1 << bit) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::ops::Bound;

    proptest! {
        #[test]
        fn it_is_a_sorted_set(
            changes in prop::collection::vec((any::<bool>(), prop_oneof![0u64..300, Just(u64::MAX), 5000u64..5100]), 0..200),
            edge in prop::option::of(prop_oneof![0u64..400, Just(u64::MAX), 4990u64..5110]),
        ) {
            let (mut orders, mut plain) = (Orders::default(), BTreeSet::new());
            for (insert, order) in changes {
                if insert {
                    orders.insert(order);
                    plain.insert(order);
                } else {
                    orders.remove(order);
                    plain.remove(&order);
                }
            }
            prop_assert_eq!(orders.is_empty(), plain.is_empty());
            let from = edge.map_or(Bound::Unbounded, Bound::Excluded);
            let above = plain.range((from, Bound::Unbounded)).copied();
            prop_assert!(orders.rising(edge).eq(above));
            let below = plain.range((Bound::Unbounded, from)).rev().copied();
            prop_assert!(orders.falling(edge).eq(below));
        }
    }
}
