//! The engine's times as nanoseconds since the epoch.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Now, by the clock that the engine's times are told by when it runs on this machine.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads RFC 3339 with up to nine digits of a second; none for another form and for times before
/// 1970, as the engine's year 1 for "not yet".
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    let digits = |from: usize, to: usize| number(text.get(from..to)?);
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| text.get(*at) != Some(mark)) || !matches!(text.get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let day = days(digits(0, 4)?, digits(5, 7)?, digits(8, 10)?)?;
    let second = day * 86_400 + digits(11, 13)? * 3600 + digits(14, 16)? * 60 + digits(17, 19)?;
    let (fraction, zone) = fraction(text.get(19..)?)?;
    let second = second.checked_sub_signed(offset(zone)?)?;
    second.checked_mul(SECOND)?.checked_add(fraction)
}

fn number(digits: &[u8]) -> Option<u64> {
    let digit = |sum: u64, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'));
    digits.iter().try_fold(0, digit)
}

/// `.123Z` as nanoseconds and the zone behind them.
fn fraction(rest: &[u8]) -> Option<(u64, &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let scale = u32::try_from(length).ok().filter(|length| (1..=9).contains(length))?;
    Some((number(&rest[..length])? * 10_u64.pow(9 - scale), &rest[length..]))
}

/// `Z` or `+02:00` as seconds east.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] => {
            let seconds = number(hours)? * 3600 + number(&[*m1, *m2])? * 60;
            let seconds = i64::try_from(seconds).ok()?;
            Some(if *sign == b'+' { seconds } else { -seconds })
        }
        _ => None,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that begin in March.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap = year / 4 - year / 100 + year / 400;
    // 719,468 days lie between March of year 0 and the epoch.
    (year * 365 + leap + (153 * month + 2) / 5 + day - 1).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        let rows: [(&str, Option<u64>); 9] = [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00.000000001Z", Some(1)),
            ("2000-02-29T12:00:00.5Z", Some(951_825_600_500_000_000)),
            ("2026-11-21T11:22:33.123456789Z", Some(1_795_260_153_123_456_789)),
            ("2026-11-21T13:22:33.123456789+02:00", Some(1_795_260_153_123_456_789)),
            ("0001-01-01T00:00:00Z", None),
            ("2026-11-21", None),
            ("", None),
            ("2026-13-01T00:00:00Z", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }
}
