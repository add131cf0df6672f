//! How close what was said of lengths came to the truth.

/// Of so many runs that ended last, about: older ones fade.
const LATELY: f64 = 64.0;

/// The mean closeness of lengths that were said to those that came true, the shorter in the longer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Closeness {
    sum: f64,
    runs: f64,
}

impl Closeness {
    /// A run for which `said` was said took `truth`, both in milliseconds.
    #[allow(clippy::cast_precision_loss)] // milliseconds far below 2^53
    pub(super) fn note(&mut self, said: u64, truth: u64) {
        let close = said.min(truth).max(1) as f64 / said.max(truth).max(1) as f64;
        let fade = 1.0 - 1.0 / LATELY;
        self.sum = self.sum * fade + close;
        self.runs = self.runs * fade + 1.0;
    }

    /// 0 to 1; what is said counts for true until a run tells otherwise, and one that came true counts still.
    pub(super) fn mean(self) -> f64 {
        (self.sum + 1.0) / (self.runs + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_counts_for_true_until_runs_tell_otherwise() {
        let mut seen = Closeness::default();
        assert!((seen.mean() - 1.0).abs() < 1e-9);
        seen.note(30, 10);
        assert!((seen.mean() - 2.0 / 3.0).abs() < 1e-9);
        (0..1000).for_each(|_| seen.note(10, 20));
        assert!((seen.mean() - 0.5).abs() < 0.02);
        (0..1000).for_each(|_| seen.note(7, 7));
        assert!(seen.mean() > 0.99, "what was long ago is forgotten");
    }
}
