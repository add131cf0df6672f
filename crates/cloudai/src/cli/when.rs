//! Moments as people type them.

use crate::config::duration;
use jiff::Timestamp;
use std::time::Duration;

/// A moment as people type it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Ago(Duration),
    At(Timestamp),
}

/// A moment: so long ago, a day in UTC, or a time with its zone.
/// # Errors
/// What is expected.
pub(super) fn when(text: &str) -> Result<When, String> {
    // A date would be read from the beginning of a time as well.
    let date = || text.parse::<jiff::civil::Date>().ok().filter(|date| date.to_string() == text);
    let day = || date()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(When::At(at));
    }
    if let Some(day) = day() {
        return Ok(When::At(day.timestamp()));
    }
    duration(text).map(When::Ago).map_err(|_| {
        format!(
            "{text:?} is no time: expected how long ago, as 7d or 12h, or a time, as 2026-01-31 or 2026-01-31T08:00:00Z"
        )
    })
}

impl When {
    /// The moment, where now is this one.
    pub(super) fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(Timestamp::MIN),
            Self::At(at) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_age_a_day_or_a_time_with_its_zone() {
        let now: Timestamp = "2026-01-31T08:00:00Z".parse().unwrap();
        let rows = [
            ("7d", "2026-01-24T08:00:00Z"),
            ("90", "2026-01-31T07:58:30Z"),
            ("2026-01-30", "2026-01-30T00:00:00Z"),
            ("2026-01-30T09:00:00+01:00", "2026-01-30T08:00:00Z"),
        ];
        for (typed, at) in rows {
            assert_eq!(when(typed).unwrap().at(now).to_string(), at, "{typed}");
        }
        for wrong in ["soon", "", "2026-13-01", "2026-01-31T08:00:00"] {
            assert!(when(wrong).unwrap_err().contains("as 7d or 12h"), "{wrong}");
        }
    }
}
