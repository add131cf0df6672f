//! When jobs will have waited too long.

use super::numbers::small;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Jobs by the time until which they wait patiently.
///
/// A job that waits no more is left in: whoever takes it out asks whether it still counts. So that no
/// more than half of them are such, whoever puts them in sweeps when it is [`Patience::swollen`].
#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    until: BinaryHeap<Reverse<(u64, u32)>>,
}

/// Fewer are never swept.
const FEW: usize = 1024;

impl Patience {
    /// A job waits patiently until then.
    pub(super) fn put(&mut self, until: u64, job: usize) {
        self.until.push(Reverse((until, small(job))));
    }

    /// A job whose time is over.
    pub(super) fn take_over(&mut self, now: u64) -> Option<(u64, usize)> {
        let Reverse((until, job)) = *self.until.peek().filter(|Reverse((until, _))| *until <= now)?;
        self.until.pop();
        Some((until, job as usize))
    }

    /// Whether most of them must be such as wait no more, when so many wait.
    pub(super) fn swollen(&self, waiting: usize) -> bool {
        self.until.len() > FEW.max(2 * waiting)
    }

    /// Keeps those that still count, each once.
    pub(super) fn sweep(&mut self, counts: impl Fn(u64, usize) -> bool) {
        let mut until = std::mem::take(&mut self.until).into_vec();
        until.retain(|Reverse((until, job))| counts(*until, *job as usize));
        until.sort_unstable();
        until.dedup(); // of a job that was put in again
        self.until = until.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_come_out_when_their_time_is_over_unless_they_were_swept() {
        let mut patience = Patience::default();
        for job in 0..3000_u32 {
            patience.put(u64::from(job / 2), job as usize);
        }
        assert_eq!(patience.take_over(0), Some((0, 0)));
        assert!(!patience.swollen(1500) && patience.swollen(1400));
        patience.sweep(|_, job| job % 1000 == 1);
        let over: Vec<_> = std::iter::from_fn(|| patience.take_over(1000)).collect();
        assert_eq!(over, [(0, 1), (500, 1001), (1000, 2001)]);
    }
}
