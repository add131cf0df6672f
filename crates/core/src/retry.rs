//! Which ends are tried again, how often and when: budgets by cause (SPEC 3.1 `retries`).

use crate::ids::Attempt;
use crate::task::Spent;
use std::time::Duration;

/// A budget of retries; the user's failures and OOM have none until they can be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Lost workers and failures of engines.
    WorkerLost,
    /// Pulls that failed.
    ImagePull,
}

/// Retries per budget (SPEC 3.1: `worker_lost` 3, `image_pull` 3).
pub const RETRIES: u32 = 3;
/// Before the first retry.
const INITIAL: Duration = Duration::from_secs(1);
/// Each retry waits so many times longer than the one before.
const FACTOR: u32 = 2;
/// No retry waits longer.
const LONGEST: Duration = Duration::from_secs(60);

impl Budget {
    /// Uses one retry up.
    ///
    /// Answers its number, from 1; none when the budget is spent.
    pub fn spend(self, spent: &mut Spent) -> Option<u32> {
        let used = match self {
            Self::WorkerLost => &mut spent.worker_lost,
            Self::ImagePull => &mut spent.image_pull,
        };
        if *used >= RETRIES {
            return None;
        }
        *used += 1;
        Some(*used)
    }
}

/// How long to wait before a retry: exponential, less up to a quarter of it so that tasks that
/// failed together do not come back together. The part taken off depends on the attempt alone.
#[must_use]
pub fn delay(retry: u32, attempt: Attempt) -> Duration {
    let factor = FACTOR.saturating_pow(retry.saturating_sub(1));
    let full = INITIAL.saturating_mul(factor).min(LONGEST);
    full.mul_f64(1.0 - 0.25 * spread(attempt))
}

/// A number from 0 to 1 that differs between attempts (SplitMix64, Steele et al. 2014).
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "any bits will do")]
fn spread(attempt: Attempt) -> f64 {
    let ulid = attempt.task.ulid();
    let mut z = (ulid as u64) ^ ((ulid >> 64) as u64) ^ (u64::from(attempt.number) << 32);
    z ^= u64::from(attempt.task.index().unwrap_or(0));
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;

    #[test]
    fn delays_double_up_to_a_minute_less_a_quarter_at_most() {
        for (retry, full) in [(1, 1), (2, 2), (3, 4), (7, 60), (40, 60)] {
            let full = Duration::from_secs(full);
            for number in 1..50 {
                let delay = delay(retry, Attempt { task: TaskId::new(9), number });
                assert!(delay <= full && delay >= full.mul_f64(0.75), "{retry}: {delay:?}");
            }
        }
    }

    #[test]
    fn budgets_are_apart() {
        let mut spent = Spent::default();
        assert_eq!((0..5).filter_map(|_| Budget::ImagePull.spend(&mut spent)).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(Budget::WorkerLost.spend(&mut spent), Some(1));
    }
}
