//! Amounts, times and ages for people: short, with units, never rounded to a wrong zero.

use cloudai_core::resources::{Bytes, GIB};
use cloudai_core::text::{typed_size, typed_time};
use jiff::Timestamp;
use std::time::Duration;

/// What stands for something that is not there.
pub(crate) const NOTHING: &str = "-";

/// Cores or devices: `4`, `0.5`.
#[must_use]
pub(crate) fn cores(number: f64) -> String {
    let text = format!("{number:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// GiB, short: `8G`, `512M`, `1.5G`.
#[must_use]
pub(crate) fn gigabytes(number: f64) -> String {
    let (number, unit) = match number {
        small if small < 1.0 && small > 0.0 => (small * 1024.0, "M"),
        large if large >= 1024.0 => (large / 1024.0, "T"),
        number => (number, "G"),
    };
    // Three digits: 1.5G, 64.5M, 512M.
    let text = if number < 10.0 { format!("{number:.2}") } else { format!("{number:.1}") };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// GiB in words: `1.5 GiB`.
#[must_use]
pub(crate) fn long_gigabytes(number: f64) -> String {
    Bytes(bytes(number)).to_string()
}

/// GiB as they are typed after a flag: `2g`, `512m`.
#[must_use]
pub(crate) fn typed_gigabytes(number: f64) -> String {
    typed_size(bytes(number))
}

/// Seconds as they are typed after a flag: `90s`, `2m`.
#[must_use]
pub(crate) fn typed_seconds(number: f64) -> String {
    typed_time(Duration::try_from_secs_f64(number).unwrap_or_default())
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shown with one decimal"
)]
fn bytes(gigabytes: f64) -> u64 {
    (gigabytes.max(0.0) * GIB as f64).round() as u64
}

/// A count: exact to 9,999, then short.
#[must_use]
pub(crate) fn count(number: u64) -> String {
    match number {
        0..=999 => number.to_string(),
        1_000..=9_999 => format!("{},{:03}", number / 1000, number % 1000),
        10_000..=999_999 => format!("{}.{}k", number / 1000, number % 1000 / 100),
        _ => format!("{}.{}M", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

/// A duration: `0.4s`, `41s`, `6m12s`, `3h05m`, `2d04h`.
#[must_use]
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=9 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        10..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The time between two moments of the API; none when either is missing or no time.
#[must_use]
pub(crate) fn between(from: Option<&str>, to: Option<&str>) -> Option<Duration> {
    let (from, to): (Timestamp, Timestamp) = (from?.parse().ok()?, to?.parse().ok()?);
    Some(Duration::try_from(to.duration_since(from)).unwrap_or_default())
}

/// How long ago a moment of the API was: `6m12s`, `?` when it is no time.
#[must_use]
pub(crate) fn age(moment: &str, now: Timestamp) -> String {
    let Ok(moment) = moment.parse::<Timestamp>() else { return "?".into() };
    let age = Duration::try_from(now.duration_since(moment)).unwrap_or_default();
    // Tenths of a second make no sense for an age.
    if age.as_secs() < 10 { format!("{}s", age.as_secs()) } else { duration(age) }
}

/// How far a moment of the API lies ahead: `in 6m12s`, `now` when it has come.
#[must_use]
pub(crate) fn until(moment: &str, now: Timestamp) -> String {
    let Ok(moment) = moment.parse::<Timestamp>() else { return "?".into() };
    match Duration::try_from(moment.duration_since(now)) {
        Ok(ahead) if ahead.as_secs() > 0 => format!("in {}", duration(ahead)),
        Ok(_) | Err(_) => "now".into(),
    }
}

/// A moment of the API with its age: `2026-11-21 14:02:05Z (6m12s ago)`, of one to come `(in 6m12s)`.
#[must_use]
pub(crate) fn moment(moment: &str, now: Timestamp) -> String {
    match moment.parse::<Timestamp>() {
        Ok(time) => {
            let day = time.strftime("%Y-%m-%d %H:%M:%SZ");
            match Duration::try_from(time.duration_since(now)) {
                Ok(ahead) if ahead.as_secs() > 0 => format!("{day} (in {})", duration(ahead)),
                Ok(_) | Err(_) => format!("{day} ({} ago)", age(moment, now)),
            }
        }
        Err(_) => moment.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short_and_keep_small_ones_apart_from_zero() {
        for (number, text) in [
            (0.5, "512M"),
            (4.0, "4G"),
            (1.5, "1.5G"),
            (0.0625, "64M"),
            (2048.0, "2T"),
            (0.0, "0G"),
            (10.0, "10G"),
            (100.0, "100G"),
        ] {
            assert_eq!(gigabytes(number), text);
        }
        for (number, text) in [(4.0, "4"), (0.5, "0.5"), (0.001, "0.001"), (10.0, "10"), (0.0, "0")] {
            assert_eq!(cores(number), text);
        }
        for (number, text) in [(999, "999"), (1_204, "1,204"), (12_345, "12.3k"), (1_250_000, "1.2M")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let rows = [(400, "0.4s"), (41_000, "41s"), (372_000, "6m12s"), (11_100_000, "3h05m"), (187_200_000, "2d04h")];
        for (millis, text) in rows {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn ages_of_the_future_are_zero_and_of_no_time_unknown() {
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        assert_eq!(age("2026-01-01T00:00:00.500Z", now), "59s");
        assert_eq!(age("2026-01-01T00:02:00Z", now), "0s");
        assert_eq!(age("soon", now), "?");
        assert_eq!(until("2026-01-01T00:01:41Z", now), "in 41s");
        assert_eq!([until("2026-01-01T00:01:00Z", now), until("soon", now)], ["now", "?"]);
        assert_eq!(moment("2025-12-31T23:01:00.000Z", now), "2025-12-31 23:01:00Z (1h00m ago)");
        assert_eq!(moment("2026-01-01T02:01:00.000Z", now), "2026-01-01 02:01:00Z (in 2h00m)");
    }
}
