//! Sets of numbers as ranges: the elements of an array that something befell.

use serde::{Deserialize, Serialize};

/// A set of numbers, kept as ranges `[from, to)` that rise and do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ranges(Vec<(u32, u32)>);

impl Ranges {
    /// Adds the numbers from `from` up to and without `to`; answers how many were not in yet.
    pub fn add(&mut self, from: u32, to: u32) -> u32 {
        if from >= to {
            return 0;
        }
        // All that touch the new one become one with it.
        let first = self.0.partition_point(|(_, end)| *end < from);
        let behind = self.0.partition_point(|(start, _)| *start <= to);
        let joined = &self.0[first..behind];
        let start = joined.first().map_or(from, |(start, _)| from.min(*start));
        let end = joined.last().map_or(to, |(_, end)| to.max(*end));
        let before: u32 = joined.iter().map(|(start, end)| end - start).sum();
        self.0.splice(first..behind, [(start, end)]);
        end - start - before
    }

    /// The same, where it does not matter what was in.
    pub fn insert(&mut self, from: u32, to: u32) {
        self.add(from, to);
    }

    /// Whether a number is in.
    #[must_use]
    pub fn contains(&self, number: u32) -> bool {
        self.around(number).is_some()
    }

    /// The first number from this one on that is not in.
    #[must_use]
    pub fn first_out(&self, number: u32) -> u32 {
        self.around(number).map_or(number, |(_, end)| end)
    }

    fn around(&self, number: u32) -> Option<(u32, u32)> {
        let place = self.0.partition_point(|(_, end)| *end <= number);
        self.0.get(place).copied().filter(|(start, _)| *start <= number)
    }

    /// How many numbers are in.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// How many numbers are in from this one on.
    #[must_use]
    pub fn count_from(&self, number: u32) -> u32 {
        self.0.iter().map(|(start, end)| end.saturating_sub((*start).max(number))).sum()
    }

    /// The ranges, `[from, to)`.
    pub fn each(&self) -> impl Iterator<Item = (u32, u32)> {
        self.0.iter().copied()
    }

    /// Whether no number is in.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(u32, u32)> for Ranges {
    /// Of ranges `[from, to)` in any order; those without a number count for nothing.
    fn from_iter<I: IntoIterator<Item = (u32, u32)>>(ranges: I) -> Self {
        let mut all = Self::default();
        ranges.into_iter().for_each(|(from, to)| all.insert(from, to));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_are_a_set_of_numbers(adds in prop::collection::vec((0u32..40, 0u32..12), 0..20)) {
            let (mut ranges, mut plain) = (Ranges::default(), BTreeSet::new());
            for (from, length) in adds {
                let fresh = (from..from + length).filter(|number| plain.insert(*number)).count();
                prop_assert_eq!(ranges.add(from, from + length) as usize, fresh);
            }
            let each: Vec<u32> = ranges.each().flat_map(|(from, to)| from..to).collect();
            prop_assert_eq!(&each, &plain.iter().copied().collect::<Vec<_>>());
            let touching = ranges.0.windows(2).any(|pair| pair[0].1 >= pair[1].0);
            prop_assert!(!touching, "{:?}", ranges);
            for number in 0..60 {
                prop_assert_eq!(ranges.contains(number), plain.contains(&number));
                prop_assert_eq!(ranges.count_from(number) as usize, plain.range(number..).count());
                let out = (number..).find(|number| !plain.contains(number)).unwrap();
                prop_assert_eq!(ranges.first_out(number), out);
            }
        }
    }
}
