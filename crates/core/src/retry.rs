//! Which ends are tried again, how often and when: budgets by cause (SPEC 3.1 `retries`).

use crate::ids::Attempt;
use crate::resources::WHOLE;
use crate::spec::Retries;
use crate::task::Spent;
use crate::time::millis;
use std::time::Duration;

/// A budget of retries; those of the task's own failures are empty unless its spec says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Lost workers and failures of engines.
    WorkerLost,
    /// Pulls that failed.
    ImagePull,
    /// Ends for too little memory.
    Oom,
    /// Other ends of the program with a code that is not 0.
    ExitCode,
}

impl Budget {
    /// Retries used up so far.
    #[must_use]
    pub const fn used(self, spent: &Spent) -> u32 {
        match self {
            Self::WorkerLost => spent.worker_lost,
            Self::ImagePull => spent.image_pull,
            Self::Oom => spent.oom,
            Self::ExitCode => spent.exit_code,
        }
    }

    /// Uses one retry up; answers its number, from 1.
    pub const fn spend(self, spent: &mut Spent) -> u32 {
        let used = match self {
            Self::WorkerLost => &mut spent.worker_lost,
            Self::ImagePull => &mut spent.image_pull,
            Self::Oom => &mut spent.oom,
            Self::ExitCode => &mut spent.exit_code,
        };
        *used = used.saturating_add(1);
        *used
    }
}

/// How long to wait before a retry: exponential, less up to a quarter of it so that tasks that
/// failed together do not come back together. The part taken off depends on the attempt alone.
#[must_use]
pub fn delay(policy: &Retries, retry: u32, attempt: Attempt) -> Duration {
    let longest = millis(policy.longest);
    let longer = |wait: u64, _| (wait.saturating_mul(policy.factor_milli) / WHOLE).min(longest);
    let full = Duration::from_millis((1..retry).fold(millis(policy.initial).min(longest), longer));
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
                let delay = delay(&Retries::DEFAULT, retry, Attempt { task: TaskId::new(9), number });
                assert!(delay <= full && delay >= full.mul_f64(0.75), "{retry}: {delay:?}");
            }
        }
    }

    #[test]
    fn budgets_are_apart() {
        let mut spent = Spent::default();
        let budgets = [Budget::WorkerLost, Budget::ImagePull, Budget::Oom, Budget::ExitCode];
        for (times, budget) in (1..).zip(budgets) {
            assert_eq!((0..times).map(|_| budget.spend(&mut spent)).last(), Some(times));
        }
        assert_eq!(budgets.map(|budget| budget.used(&spent)), [1, 2, 3, 4]);
    }

    #[test]
    fn a_tasks_own_delays_grow_by_its_factor_up_to_its_longest() {
        let policy = Retries {
            initial: Duration::from_secs(10),
            factor_milli: 1500,
            longest: Duration::from_secs(20),
            ..Retries::DEFAULT
        };
        for (retry, full) in [(1, 10.0), (2, 15.0), (3, 20.0), (100, 20.0)] {
            let delay = delay(&policy, retry, Attempt { task: TaskId::new(9), number: retry }).as_secs_f64();
            assert!(delay <= full && delay >= full * 0.75, "{retry}: {delay}");
        }
    }
}
