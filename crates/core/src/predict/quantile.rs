//! How much longer runs are than predicted: the upper end of a prediction.

use super::logs::Log;

/// Residuals that are kept for each class that measures.
pub(super) const KEPT: usize = 64;

/// Fewer do not tell an upper end; a more general class does.
const ENOUGH: usize = 10;

/// The last residuals (actual less predicted, as logarithms), oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Residuals(pub(super) Vec<Log>);

impl Residuals {
    pub(super) fn add(&mut self, residual: Log) {
        if self.0.len() >= KEPT {
            self.0.remove(0);
        }
        self.0.push(residual);
    }

    /// The residual that so many of a thousand runs do not exceed, at least 0; `None` while there
    /// are too few runs to tell.
    ///
    /// It is the smallest one of which this holds for the next run as well, were runs
    /// exchangeable (split conformal prediction, Papadopoulos et al. 2002), or the greatest seen.
    pub(super) fn upper(&self, permille: u16) -> Option<Log> {
        if self.0.len() < ENOUGH {
            return None;
        }
        let mut sorted = [Log::MAX; KEPT];
        let kept = self.0.len().min(KEPT);
        sorted[..kept].copy_from_slice(&self.0[..kept]);
        sorted.sort_unstable();
        let rank = ((kept + 1) * usize::from(permille.min(1000))).div_ceil(1000);
        Some(sorted[rank.clamp(1, kept) - 1].max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_end_holds_for_its_share_of_runs() {
        let mut residuals = Residuals::default();
        for residual in 0..9 {
            residuals.add(residual);
        }
        assert_eq!(residuals.upper(900), None, "nine runs are too few");
        for residual in 9..200 {
            residuals.add(residual);
        }
        assert_eq!(residuals.0.len(), KEPT);
        let within = residuals.0.iter().filter(|r| **r <= residuals.upper(900).unwrap_or(0)).count();
        assert_eq!(within, 59, "of 64 runs");
        assert_eq!(residuals.upper(1000), Some(199));
    }

    #[test]
    fn an_upper_end_is_never_below_the_prediction() {
        let residuals = Residuals(vec![-50; 20]);
        assert_eq!(residuals.upper(900), Some(0));
    }
}
