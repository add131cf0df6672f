//! How fast the log of an attempt goes to the master: a token bucket that holds one second's worth. No IO, no clock.
//!
//! It makes who sends wait, and drops nothing: what comes faster stays where it is, in the engine's own log.

use std::time::Duration;
use tokio::time::Instant;

/// After a silence so much may go at once: what the rate allows in this time.
const BURST: Duration = Duration::from_secs(1);

/// One attempt's share of the way to the master.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Bytes a second; 0 for any number.
    rate: u64,
    /// When the bucket is full again; none before the first record.
    full_at: Option<Instant>,
}

impl Pace {
    /// So many bytes a second, or any number for 0.
    pub(crate) const fn of(rate: u64) -> Self {
        Self { rate, full_at: None }
    }

    /// How many of the next records, told by their sizes, go together: what one second allows, at least one.
    pub(crate) fn together(self, sizes: impl IntoIterator<Item = u64>) -> usize {
        let mut bytes = 0u64;
        let fits = |size: &u64| {
            bytes = bytes.saturating_add(*size);
            self.rate == 0 || bytes <= self.rate
        };
        sizes.into_iter().take_while(fits).count().max(1)
    }

    /// Takes so many bytes out of the bucket; how long they have to wait until they were in it.
    pub(crate) fn wait(&mut self, bytes: u64, now: Instant) -> Duration {
        if self.rate == 0 {
            return Duration::ZERO;
        }
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let begin = self.full_at.map_or(now, |full_at| full_at.max(now));
        let full_at = begin.checked_add(takes).unwrap_or(begin);
        self.full_at = Some(full_at);
        full_at.saturating_duration_since(now).saturating_sub(BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn after_a_silence_one_second_goes_at_once_and_then_as_much_as_the_rate_allows() {
        let (mut pace, begin) = (Pace::of(1000), Instant::now());
        let rows = [
            ("half a bucket", 0, 500, 0),
            ("the rest of it", 0, 500, 0),
            ("the bucket is empty", 0, 250, 250),
            ("and has been promised to others", 0, 250, 500),
            ("as soon as they had theirs", 500, 100, 100),
            ("it fills up while nobody takes", 1600, 1000, 0),
            ("and holds no more than a second", 60_000, 1000, 0),
            ("however long nobody took", 60_000, 1000, 1000),
        ];
        for (row, at, bytes, wait) in rows {
            assert_eq!(pace.wait(bytes, begin + millis(at)), millis(wait), "{row}");
        }
    }

    #[test]
    fn over_a_long_time_no_more_goes_than_the_rate_and_one_second() {
        let (mut pace, begin) = (Pace::of(10_000), Instant::now());
        let mut now = begin;
        for _ in 0..1000 {
            now += pace.wait(777, now);
        }
        let took = now - begin;
        assert!(took >= millis(77_700 - 1000) && took <= millis(77_700), "{took:?}");
    }

    #[test]
    fn a_record_larger_than_a_second_waits_for_its_turn_and_goes_whole() {
        let (mut pace, now) = (Pace::of(10), Instant::now());
        assert_eq!(pace.together([50, 1]), 1);
        assert_eq!(pace.wait(50, now), millis(4000));
        assert_eq!(pace.wait(1, now + millis(4000)), millis(100));
    }

    #[test]
    fn what_one_second_allows_goes_together() {
        let pace = Pace::of(10);
        assert_eq!([pace.together([4, 6, 1]), pace.together([4, 7]), pace.together([10])], [2, 1, 1]);
        assert_eq!(pace.together([u64::MAX, u64::MAX]), 1);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let (mut pace, now) = (Pace::of(0), Instant::now());
        assert_eq!(pace.together([u64::MAX; 3]), 3);
        assert_eq!([pace.wait(u64::MAX, now), pace.wait(u64::MAX, now)], [Duration::ZERO; 2]);
    }
}
