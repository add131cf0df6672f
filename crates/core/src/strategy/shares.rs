//! Fair share: who had much of the cluster lately goes a little later (decayed usage; Kay & Lauder,
//! CACM'88).

use std::collections::BTreeSet;

/// After so long a use counts half: a day, in milliseconds.
const HALF: f64 = 86_400_000.0;
/// Uses count from a time on, by growing weights; beyond this power of 2 they are counted anew.
const POWERS: f64 = 500.0;
/// The most doublings by which a user is before or behind.
const MOST: i8 = 3;

/// What each user had, and whose jobs wait.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    /// Of a doubling of use in the size of jobs, as a power of 2; 0 for no part.
    weight: f64,
    used: Vec<f64>,
    since: u64,
    /// By how many doublings each had more than the mean.
    levels: Vec<i8>,
    waiting: Vec<BTreeSet<usize>>,
    owners: Vec<Option<usize>>,
}

impl Shares {
    pub(super) const fn new(weight: f64) -> Self {
        Self { weight, used: Vec::new(), since: 0, levels: Vec::new(), waiting: Vec::new(), owners: Vec::new() }
    }

    /// What a user's jobs are larger by than they are.
    pub(super) fn factor(&self, user: usize) -> f64 {
        let level = self.levels.get(user).copied().unwrap_or(0);
        if level == 0 || self.weight == 0.0 { 1.0 } else { 2f64.powf(self.weight * f64::from(level)) }
    }

    /// A user's job waits.
    pub(super) fn waits(&mut self, user: usize, job: usize) {
        if self.weight == 0.0 {
            return;
        }
        if self.used.len() <= user {
            self.used.resize(user + 1, 0.0);
            self.levels.resize(user + 1, 0);
            self.waiting.resize(user + 1, BTreeSet::new());
        }
        if self.owners.len() <= job {
            self.owners.resize(job + 1, None);
        }
        self.owners[job] = Some(user);
        self.waiting[user].insert(job);
    }

    /// A job waits no more.
    pub(super) fn leaves(&mut self, job: usize) {
        if let Some(user) = self.owners.get_mut(job).and_then(Option::take) {
            self.waiting[user].remove(&job);
        }
    }

    /// A user is given so much: share of the cluster times milliseconds. Answers whose jobs have
    /// another size now.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // times; a small logarithm
    pub(super) fn given(&mut self, user: usize, work: f64, now: u64) -> Option<usize> {
        if self.weight == 0.0 || user >= self.used.len() {
            return None;
        }
        let mut power = now.saturating_sub(self.since) as f64 / HALF;
        if power > POWERS {
            self.used.iter_mut().for_each(|used| *used *= 2f64.powf(-power));
            (self.since, power) = (now, 0.0);
        }
        self.used[user] += work * 2f64.powf(power);
        let users = u32::try_from(self.used.len()).unwrap_or(u32::MAX);
        let mean = self.used.iter().sum::<f64>() / f64::from(users);
        let doublings = (self.used[user] / mean).log2().clamp(-f64::from(MOST), f64::from(MOST)) as i8;
        (std::mem::replace(&mut self.levels[user], doublings) != doublings).then_some(user)
    }

    /// A user's waiting jobs.
    pub(super) fn of(&self, user: usize) -> impl Iterator<Item = usize> {
        self.waiting.get(user).into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_had_more_than_others_goes_later_until_it_is_forgotten() {
        let mut shares = Shares::new(1.0);
        (0..4).for_each(|user| shares.waits(user, user));
        assert_eq!(shares.given(0, 1000.0, 0), Some(0));
        assert_eq!((shares.factor(0), shares.factor(1)), (4.0, 1.0), "four times the mean");
        let later = 86_400_000 * 10;
        assert_eq!(shares.given(1, 1000.0, later), Some(1));
        shares.given(0, 0.0, later);
        assert_eq!((shares.factor(0), shares.factor(1)), (0.125, 2f64.powf(1.0)), "ten days halve ten times");
    }
}
