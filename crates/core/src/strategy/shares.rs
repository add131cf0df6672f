//! Fair share: who had much of the cluster lately goes a little later (decayed usage; Kay & Lauder,
//! CACM'88).

use super::numbers::{NOWHERE, small};

/// After so long a use counts half: a day, in milliseconds.
const HALF: f64 = 86_400_000.0;
/// Uses count from a time on, by growing weights; beyond this power of 2 they are counted anew.
const POWERS: f64 = 500.0;
/// What all users together may have before shares of it say something: ten minutes of the cluster.
const SMALL: f64 = 600.0;
/// By so much of a doubling a user must have left a level for another to count: each change puts all
/// jobs of the user elsewhere.
const CLEAR: f64 = 0.75;
/// The most doublings by which a user is before or behind.
const MOST: i8 = 3;

/// What each user had, and whose jobs wait.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    /// Of a doubling of use in the size of jobs, as a power of 2; 0 for no part.
    weight: f64,
    used: Vec<f64>,
    /// The sum of that.
    total: f64,
    since: u64,
    /// By how many doublings each had more than the mean.
    levels: Vec<i8>,
    waiting: Vec<Vec<u32>>,
    /// Whose a job is and where it stands among that user's; [`NOWHERE`] for one that does not wait.
    /// Kept here: its number may mean another job on the board already.
    at: Vec<(u32, u32)>,
}

impl Shares {
    pub(super) const fn new(weight: f64) -> Self {
        Self { weight, used: Vec::new(), total: 0.0, since: 0, levels: Vec::new(), waiting: Vec::new(), at: Vec::new() }
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
            self.waiting.resize(user + 1, Vec::new());
        }
        if self.at.len() <= job {
            self.at.resize(job + 1, (0, NOWHERE));
        }
        self.at[job] = (small(user), small(self.waiting[user].len()));
        self.waiting[user].push(small(job));
    }

    /// Nothing waits.
    pub(super) fn forget_jobs(&mut self) {
        self.waiting.iter_mut().for_each(Vec::clear);
        self.at.clear();
    }

    /// A job waits no more; it may have been told before.
    pub(super) fn leaves(&mut self, job: usize) {
        let Some((user, at)) = self.at.get_mut(job).filter(|(_, at)| *at != NOWHERE) else { return };
        let at = std::mem::replace(at, NOWHERE) as usize;
        let waiting = &mut self.waiting[*user as usize];
        waiting.swap_remove(at);
        if let Some(moved) = waiting.get(at) {
            self.at[*moved as usize].1 = small(at);
        }
    }

    /// A user is given so much: share of the cluster times seconds. Answers whose jobs have
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
            self.total = self.used.iter().sum();
        }
        let work = work * 2f64.powf(power);
        self.used[user] += work;
        self.total += work;
        let users = self.used.len() as f64;
        let (mean, little) = (self.total / users, SMALL / users * 2f64.powf(power));
        let doublings = ((self.used[user] + little) / (mean + little)).log2();
        if (doublings - f64::from(self.levels[user])).abs() < CLEAR {
            return None;
        }
        let level = doublings.round().clamp(-f64::from(MOST), f64::from(MOST)) as i8;
        (std::mem::replace(&mut self.levels[user], level) != level).then_some(user)
    }

    /// A user's waiting jobs.
    pub(super) fn of(&self, user: usize) -> impl Iterator<Item = usize> {
        self.waiting.get(user).into_iter().flatten().map(|job| *job as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_had_more_than_others_goes_later_until_it_is_forgotten() {
        let mut shares = Shares::new(1.0);
        (0..4).for_each(|user| shares.waits(user, user));
        assert_eq!(shares.given(0, 1e6, 0), Some(0));
        assert_eq!((shares.factor(0), shares.factor(1)), (4.0, 1.0), "four times the mean");
        let later = 86_400_000 * 10;
        assert_eq!(shares.given(1, 1e6, later), Some(1));
        shares.given(0, 0.0, later);
        assert_eq!((shares.factor(0), shares.factor(1)), (0.125, 4.0), "ten days halve ten times");
    }

    #[test]
    fn a_little_use_says_nothing_and_a_change_must_be_clear() {
        let mut shares = Shares::new(1.0);
        (0..2).for_each(|user| shares.waits(user, user));
        assert_eq!(shares.given(0, 300.0, 0), None, "minutes of the cluster");
        assert_eq!(shares.given(1, 1e6, 0), Some(1));
        assert_eq!(shares.given(0, 5e5, 0), None);
        assert_eq!(shares.given(1, 0.0, 0), None, "1.3 times the mean was called twice it, and still is");
        assert_eq!((shares.factor(0), shares.factor(1)), (1.0, 2.0));
    }
}
