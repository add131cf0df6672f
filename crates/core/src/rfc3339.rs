//! Times as people write them (RFC 3339), to milliseconds.

use crate::time::Timestamp;

/// The last millisecond of the year 9999: no later time can be written.
const LAST: i64 = 253_402_300_799_999;
const DAYS_PER_400_YEARS: i64 = 146_097;
/// From the first of March of the year 0 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Why a text names no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTime {
    /// It has another form.
    Form,
    /// The calendar has no such day.
    Day,
    /// No day has such a time.
    Clock,
    /// A zone is missing, or is none.
    Zone,
    /// It is after the year 9999.
    TooLate,
}

/// The time that a text with its zone names, as `2026-01-31T08:00:00Z` or
/// `2026-01-31T09:00:00.5+01:00`; what is before 1970 becomes 1970.
/// # Errors
/// [`NoTime`].
pub fn parse(text: &str) -> Result<Timestamp, NoTime> {
    let (date, rest) = text.split_at_checked(10).ok_or(NoTime::Form)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2]).ok_or(NoTime::Form)?;
    if !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day) {
        return Err(NoTime::Day);
    }
    let (clock, rest) =
        rest.strip_prefix(['T', 't', ' ']).and_then(|rest| rest.split_at_checked(8)).ok_or(NoTime::Form)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2]).ok_or(NoTime::Form)?;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(NoTime::Clock);
    }
    let (millis, zone) = fraction(rest).ok_or(NoTime::Form)?;
    let offset = minutes_of(zone).ok_or(NoTime::Zone)?;
    let minutes = (days_of(year, month, day) * 24 + hour) * 60 + minute - offset;
    let at = (minutes * 60 + second) * 1000 + millis;
    if at > LAST { Err(NoTime::TooLate) } else { Ok(Timestamp::from_millis(u64::try_from(at).unwrap_or(0))) }
}

/// A time in UTC, as [`parse`] reads it.
#[must_use]
pub fn format(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(LAST).min(LAST);
    let (seconds, rest) = (millis / 1000, millis % 1000);
    let (year, month, day) = date_of(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:03}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Three numbers of exactly so many digits.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut found = [0; 3];
    for (number, digits) in found.iter_mut().zip(digits) {
        *number = parts.next().and_then(|part| plain(part, digits))?;
    }
    parts.next().is_none().then_some(found)
}

fn plain(text: &str, digits: usize) -> Option<i64> {
    let good = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

/// Milliseconds of a fraction of a second, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = text.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
    let (digits, rest) = text.split_at(end);
    let millis: String = digits.chars().chain("00".chars()).take(3).collect();
    Some((millis.parse().ok()?, rest))
}

/// Minutes that a zone is ahead of UTC.
fn minutes_of(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = if zone.starts_with('+') { 1 } else { -1 };
    let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_once(':')?;
    let (hours, minutes) = (plain(hours, 2)?, plain(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 on; years are counted from March, so that a leap day is their last.
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * DAYS_PER_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
}

/// The inverse of [`days_of`].
const fn date_of(days: i64) -> (i64, i64, i64) {
    let (era, day) = ((days + EPOCH).div_euclid(DAYS_PER_400_YEARS), (days + EPOCH).rem_euclid(DAYS_PER_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / (DAYS_PER_400_YEARS - 1)) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    if month < 10 { (era * 400 + year, month + 3, of_month) } else { (era * 400 + year + 1, month - 9, of_month) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_zone_and_written_in_utc() {
        let rows = [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
            ("2024-11-15T13:30:00.005Z", 1_731_677_400_005, "2024-11-15T13:30:00.005Z"),
            ("2024-11-15T14:30:00.0059+01:00", 1_731_677_400_005, "2024-11-15T13:30:00.005Z"),
            ("2024-11-15 08:00:00-05:30", 1_731_677_400_000, "2024-11-15T13:30:00Z"),
            ("2024-02-29t23:59:59z", 1_709_251_199_000, "2024-02-29T23:59:59Z"),
            ("2000-02-29T00:00:00.1Z", 951_782_400_100, "2000-02-29T00:00:00.100Z"),
            ("1969-12-31T23:59:59Z", 0, "1970-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ];
        for (text, millis, written) in rows {
            assert_eq!(parse(text), Ok(Timestamp::from_millis(millis)), "{text}");
            assert_eq!(format(Timestamp::from_millis(millis)), written);
        }
    }

    #[test]
    fn what_is_no_time_says_why() {
        let rows = [
            ("", NoTime::Form),
            ("tomorrow", NoTime::Form),
            ("2024-11-15", NoTime::Form),
            ("2024-11-15T13:30:00", NoTime::Zone),
            ("2024-11-15T13:30Z", NoTime::Form),
            ("2023-02-29T00:00:00Z", NoTime::Day),
            ("1900-02-29T00:00:00Z", NoTime::Day),
            ("2024-13-01T00:00:00Z", NoTime::Day),
            ("2024-00-01T00:00:00Z", NoTime::Day),
            ("2024-04-31", NoTime::Day),
            ("2024-01-01T24:00:00Z", NoTime::Clock),
            ("2024-01-01T00:60:00Z", NoTime::Clock),
            ("2024-01-01T00:00:60Z", NoTime::Clock),
            ("2024-01-01T00:00:00.Z", NoTime::Form),
            ("2024-01-01T00:00:00+1:00", NoTime::Zone),
            ("2024-01-01T00:00:00+24:00", NoTime::Zone),
            ("2024-1-01T00:00:00Z0", NoTime::Form),
            ("+024-01-01T00:00:00Z", NoTime::Form),
            ("9999-12-31T23:59:59-01:00", NoTime::TooLate),
            ("2024-01-01T00:00:00é", NoTime::Zone),
            ("2024-01-0éT00:00:00Z", NoTime::Form),
        ];
        for (text, why) in rows {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn every_day_is_read_as_it_is_written() {
        for day in (0..2_932_896).step_by(13) {
            let at = Timestamp::from_millis(day * 86_400_000 + 3_723_004);
            assert_eq!(parse(&format(at)), Ok(at));
        }
    }
}
