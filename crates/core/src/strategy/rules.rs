//! What a dispatcher can be told: in which order it looks at jobs, which worker it takes, what it
//! does about a job that fits nowhere.

use super::board::{Board, Job, Length};

/// Thought of a job about which nothing is known: five minutes.
pub const UNKNOWN: u64 = 300_000;

/// The shortest length against which what must follow a job is weighed, in milliseconds: what is over at once is not
/// worth that it goes before all others.
const SHORTEST: u64 = 1000;

/// In which order waiting jobs are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// As submitted.
    Submitted,
    /// Higher priority first, then as submitted.
    Priority,
    /// The smallest first: length to the power `length` times share of the cluster to the power
    /// `share`. `(1, 0)` is shortest job first, `(1, 1)` smallest area first; negative powers turn it
    /// round.
    Size {
        /// -2 to 2.
        length: f64,
        /// -2 to 2, where one worker is the whole cluster: what a large job takes, it takes from all.
        pool: f64,
        /// -2 to 2, where there are more: a large job finds room on few of them, and later on none.
        share: f64,
    },
}

/// Which of the workers that have room is taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seating {
    /// The first by its number.
    First,
    /// The next after the one that was taken last.
    Turn,
    /// The one that is left with the least: packs.
    Best,
    /// The one whose scarcest resource is used least afterwards: levels.
    Level,
    /// The one whose free amounts are most like the demand (Grandl et al., SIGCOMM'14, 3.2).
    Alike,
    /// The least sum of what speaks against it as `Level` and `Best`, less what speaks for it as
    /// `Alike`, each times its weight, 0 to 1.
    Weighed {
        /// Of levelling.
        level: f64,
        /// Of likeness.
        alike: f64,
        /// Of packing.
        best: f64,
    },
}

/// What a job that fits nowhere means for those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// They wait as well.
    Waits,
    /// They go before it.
    Passed,
    /// They go before it where that does not delay it (EASY; Lifka, JSSPP'95).
    Reserved,
}

/// Whose word about run times counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// The user's, where there is one.
    #[default]
    Estimate,
    /// What was learned, where something was.
    Predicted,
}

/// All of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// The order.
    pub order: Order,
    /// The worker.
    pub seating: Seating,
    /// The blocked head.
    pub blocked: Blocked,
    /// Whose word.
    pub source: Source,
    /// A job that waited for so many times its length goes first; 0 for never.
    pub patience: f64,
    /// The shortest length that counts for patience, in milliseconds.
    pub patience_floor: u64,
    /// A job whose deadline leaves it less than so many times its length goes first; 0 for never.
    pub slack: f64,
    /// How much a doubling of what its user had lately makes a job larger, as a power of 2; 0 for not.
    pub fair_share: f64,
    /// How much a step of priority divides a job's size by, as a power of 2.
    pub urgency: f64,
    /// How much what must follow a job counts: its size is divided by one more than so many times its tail, in lengths
    /// of its own (as the upward rank of HEFT, which is length and tail: Topcuoglu, Hariri, Wu, TPDS'02). 0 for not.
    pub rank: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self::PLAIN
    }
}

impl Source {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Estimate, Self::Predicted];

    /// How long a job is thought to run.
    #[must_use]
    pub fn length(self, job: &Job) -> Length {
        let said = job.estimate.map(|estimate| Length { mean: estimate.max(1), upper: estimate.max(1) });
        let known = match self {
            Self::Estimate => said.or(job.predicted),
            Self::Predicted => job.predicted.or(said),
        };
        known.unwrap_or(Length { mean: UNKNOWN, upper: UNKNOWN })
    }

    /// When a job that runs since `started` is thought to end; in the future.
    #[must_use]
    pub fn end_mean(self, job: &Job, started: u64, now: u64) -> u64 {
        let thought = started.saturating_add(self.length(job).mean);
        if thought > now { thought } else { self.end(job, started, now) }
    }

    /// When a job that runs since `started` is thought to have ended at the latest; in the future.
    /// One that outlived what was thought is given half its age more, but no more than its user said.
    #[must_use]
    pub fn end(self, job: &Job, started: u64, now: u64) -> u64 {
        let thought = started.saturating_add(self.length(job).upper);
        if thought > now {
            return thought;
        }
        let longer = now + (now.saturating_sub(started) / 2).max(1);
        match job.estimate.map(|estimate| started.saturating_add(estimate)) {
            Some(said) if said > now => said.min(longer),
            Some(_) | None => longer,
        }
    }
}

impl Rules {
    /// First come, first served: what the naive baselines do.
    pub const PLAIN: Self = Self {
        order: Order::Submitted,
        seating: Seating::First,
        blocked: Blocked::Waits,
        source: Source::Estimate,
        patience: 0.0,
        patience_floor: 0,
        slack: 0.0,
        fair_share: 0.0,
        urgency: 0.0,
        rank: 0.0,
    };

    /// A job's size: smaller goes first. Not negative.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53, only compared
    pub fn size(&self, board: &Board, job: &Job) -> f64 {
        match self.order {
            Order::Submitted => 0.0,
            Order::Priority => f64::from(100 - job.priority),
            Order::Size { length, pool, share } => {
                let share = if board.seats().len() > 1 { share } else { pool };
                let of_length = power(self.source.length(job).mean as f64, length);
                let of_share = power(board.classes()[job.class].share.max(1e-9), share);
                let size = of_length * of_share * power(2.0, -self.urgency * f64::from(job.priority));
                match self.tail(job) {
                    0 => size,
                    tail => size / (1.0 + self.rank * tail as f64 / self.source.length(job).mean.max(SHORTEST) as f64),
                }
            }
        }
    }

    /// How long what must follow a job takes at least, in milliseconds, where that counts; else 0.
    #[must_use]
    pub fn tail(&self, job: &Job) -> u64 {
        if self.rank > 0.0 { job.tail } else { 0 }
    }

    /// When a job is to go first: it has waited for too long, or its deadline is near and can still
    /// be met.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a time
    pub fn patient_until(&self, job: &Job) -> Option<u64> {
        // What was learned may be far too short: patience goes by the user's word, if there is one.
        let length = Source::Estimate.length(job).mean.max(self.patience_floor);
        let patient = (self.patience > 0.0).then(|| job.arrival.saturating_add((self.patience * length as f64) as u64));
        let needs = self.source.length(job).mean;
        let near = job.deadline.filter(|deadline| self.slack > 0.0 && *deadline >= job.arrival + needs);
        let urgent = near.map(|deadline| {
            deadline.saturating_sub(needs).saturating_sub((self.slack * needs as f64) as u64).max(job.arrival)
        });
        patient.into_iter().chain(urgent).min()
    }
}

/// A power, exact for the usual exponents.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent == 0.0 {
        1.0
    } else if exponent == 1.0 {
        base
    } else if exponent == -1.0 {
        1.0 / base
    } else {
        base.powf(exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::board::{Seat, Wanted};

    const SHORT_FIRST: Rules =
        Rules { order: Order::Size { length: 1.0, pool: 0.0, share: 0.0 }, rank: 1.0, ..Rules::PLAIN };

    /// Sizes of a job of a minute with these tails.
    fn sizes(rules: &Rules, tails: &[u64]) -> Vec<f64> {
        let mut board = Board::default();
        board.set_seat(0, Seat::plain([4, 4, 4, 0]));
        let class = board.class(Wanted { amounts: [1, 1, 1, 0], ..Wanted::default() });
        let job = |tail: &u64| Job { tail: *tail, ..Job::plain(class, 60_000) };
        tails.iter().map(|tail| rules.size(&board, &job(tail))).collect()
    }

    #[test]
    fn the_more_must_follow_a_job_the_earlier_it_goes() {
        assert_eq!(sizes(&SHORT_FIRST, &[0, 60_000, 540_000]), [60_000.0, 30_000.0, 6_000.0]);
        let half = Rules { rank: 0.5, ..SHORT_FIRST };
        assert_eq!(sizes(&half, &[0, 60_000]), [60_000.0, 40_000.0]);
        let large_first = Rules { order: Order::Size { length: -1.0, pool: 0.0, share: 0.0 }, ..SHORT_FIRST };
        assert!(sizes(&large_first, &[0, 1, 60_000]).is_sorted_by(|before, after| before > after));
    }

    #[test]
    fn a_size_is_as_ever_where_nothing_follows_or_that_does_not_count() {
        for order in [Order::Submitted, Order::Priority, SHORT_FIRST.order] {
            let with = Rules { order, urgency: 0.3, ..SHORT_FIRST };
            let without = Rules { rank: 0.0, ..with };
            assert_eq!(sizes(&with, &[0]), sizes(&without, &[0]));
            assert_eq!(sizes(&without, &[0]), sizes(&without, &[540_000]));
        }
    }

    #[test]
    fn what_is_over_at_once_is_weighed_as_a_second() {
        let mut board = Board::default();
        board.set_seat(0, Seat::plain([4, 4, 4, 0]));
        let class = board.class(Wanted { amounts: [1, 1, 1, 0], ..Wanted::default() });
        let job = Job { tail: 1_000, ..Job::plain(class, 1) };
        assert_eq!(SHORT_FIRST.size(&board, &job).to_bits(), 0.5_f64.to_bits());
    }
}
