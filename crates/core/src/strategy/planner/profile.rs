//! What a worker will have free from now on, as steps in time.

use crate::strategy::board::{Amounts, covers};

/// Free amounts over time: each step holds until the next, the last for ever.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    steps: Vec<(u64, Amounts)>,
}

impl Profile {
    /// Free amounts now, and what comes free at which times, in order.
    pub(super) fn new(now: u64, free: Amounts, ends: impl Iterator<Item = (u64, Amounts)>) -> Self {
        let mut steps = vec![(now, free)];
        for (at, amounts) in ends {
            let (last, free) = steps[steps.len() - 1];
            let mut more = free;
            (0..4).for_each(|kind| more[kind] += amounts[kind]);
            if at > last {
                steps.push((at, more));
            } else {
                let end = steps.len() - 1;
                steps[end].1 = more;
            }
        }
        Self { steps }
    }

    /// Becomes a copy of another without taking new memory.
    pub(super) fn copy(&mut self, other: &Self) {
        self.steps.clone_from(&other.steps);
    }

    /// The earliest start of so much for so long; `u64::MAX` when there will never be as much.
    pub(super) fn earliest(&self, amounts: &Amounts, length: u64) -> u64 {
        let mut from = 0;
        while from < self.steps.len() {
            if !covers(&self.steps[from].1, amounts) {
                from += 1;
                continue;
            }
            let start = self.steps[from].0;
            let end = start.saturating_add(length);
            let short = self.steps[from + 1..]
                .iter()
                .take_while(|(at, _)| *at < end)
                .position(|(_, free)| !covers(free, amounts));
            match short {
                Some(offset) => from += offset + 2,
                None => return start,
            }
        }
        u64::MAX
    }

    /// Takes so much from `start` on for so long; it must be there.
    pub(super) fn take(&mut self, start: u64, amounts: &Amounts, length: u64) {
        let end = start.saturating_add(length);
        let first = self.split(start);
        let last = self.split(end);
        for (_, free) in &mut self.steps[first..last] {
            (0..4).for_each(|kind| free[kind] = free[kind].saturating_sub(amounts[kind]));
        }
    }

    /// The step that begins at a time, made if there is none.
    fn split(&mut self, at: u64) -> usize {
        let step = self.steps.partition_point(|(begins, _)| *begins < at);
        if self.steps.get(step).is_none_or(|(begins, _)| *begins != at) {
            let free = self.steps[step.saturating_sub(1)].1;
            self.steps.insert(step, (at, free));
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_starts_where_it_fits_for_its_whole_length() {
        let mut profile = Profile::new(0, [2, 9, 9, 9], [(10, [2, 0, 0, 0])].into_iter());
        assert_eq!(profile.earliest(&[3, 0, 0, 0], 5), 10);
        profile.take(10, &[3, 0, 0, 0], 5);
        assert_eq!(profile.earliest(&[2, 0, 0, 0], 10), 0);
        assert_eq!(profile.earliest(&[2, 0, 0, 0], 11), 15);
        assert_eq!(profile.earliest(&[5, 0, 0, 0], 1), u64::MAX);
    }
}
