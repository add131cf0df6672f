//! When a schedule's time comes: a cron expression in a time zone. Without a clock: whoever asks says from when on.
//!
//! The expression is of the zone's own time, which jumps twice a year in many zones:
//! - a time that does not exist that day comes as much later as the clock jumped: 02:30 becomes 03:30;
//! - a time that exists twice comes once, the first time; every hour (`*` as the hour) comes both times.

use cloudai_core::text::distance;
use cloudai_core::time::Timestamp;
use cronexpr::{Crontab, FallbackTimezoneOption, ParseOptions, parse_crontab_with};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::time::Duration;

/// The fields of an expression.
const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];
/// Words that stand for expressions.
const WORDS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];
/// The longest expression, in bytes: every minute of an hour by itself is shorter.
const LONGEST: usize = 200;
/// Spans of one offset from UTC that are looked at for one time: more than any zone has in eight years.
const SPANS: usize = 64;
/// What the library looks through for one time, less the leap day that it may leave out.
const FOUR_YEARS: i64 = 1460 * 86_400;
/// How often it is asked: eight years may lie between two leap days.
const LOOKS: i64 = 3;
/// The year 9900: behind it the library would count beyond its last year.
const LAST: i64 = 250_246_627_200;
/// How far back times that have come are looked for: each time further, and in the end from the beginning.
const BACK: [Duration; 4] = [
    Duration::from_secs(3600),
    Duration::from_secs(86_400),
    Duration::from_secs(31 * 86_400),
    Duration::from_secs(366 * 86_400),
];

/// Times that come again and again.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    pattern: Pattern,
    zone: TimeZone,
}

/// A cron expression, of times without a zone.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// As if the zone's own time were UTC, which never jumps.
    crontab: Crontab,
    every_hour: bool,
}

/// What holds from one jump of a zone's clock to the next, in seconds.
struct Span {
    /// What its own time is ahead of UTC.
    offset: i64,
    /// What it was ahead before.
    before: i64,
    /// When that changed.
    begin: i64,
    /// When it changes again.
    end: Option<i64>,
}

impl Times {
    pub(crate) fn new(pattern: Pattern, zone: TimeZone) -> Self {
        Self { pattern, zone }
    }

    /// # Errors
    /// What is wrong with the expression, or the zone.
    pub(crate) fn of(cron: &str, time_zone: &str) -> Result<Self, String> {
        let pattern = pattern(cron).map_err(|why| format!("{cron:?} {why}"))?;
        let zone = zone(time_zone).map_err(|why| format!("{time_zone:?} {why}"))?;
        Ok(Self::new(pattern, zone))
    }

    /// The first time after this one; none when none comes any more.
    pub(crate) fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        // Times are whole minutes: what is less than a second after one is after it.
        let mut from = i64::try_from(after.as_millis() / 1000).ok()? + 1;
        for _ in 0..SPANS {
            let span = self.span(from)?;
            let found = self.first_in(&span, from)?;
            match span.end {
                Some(end) if found >= end => from = end,
                Some(_) | None => return timestamp(found),
            }
        }
        None
    }

    /// The next so many.
    pub(crate) fn next(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last)).take(count).collect()
    }

    /// The last times after `since` that have come by now, at most so many, the earliest first.
    pub(crate) fn passed(&self, since: Timestamp, now: Timestamp, most: usize) -> Vec<Timestamp> {
        // Ever further back, so that the last of a million are found without the others.
        for back in BACK.map(Some).into_iter().chain([None]) {
            let from = back.map_or(since, |back| (now - back).max(since));
            let mut found = self.between(from, now);
            if found.len() >= most || from == since {
                return found.split_off(found.len().saturating_sub(most));
            }
        }
        Vec::new()
    }

    fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        let times = std::iter::successors(self.next_after(from), |last| self.next_after(*last));
        times.take_while(|time| *time <= to).collect()
    }

    /// The span in which a second is.
    fn span(&self, second: i64) -> Option<Span> {
        let offset_at = |second: i64| Some(i64::from(self.zone.to_offset(moment(second)?).seconds()));
        let offset = offset_at(second)?;
        // The transition at this very second counts as well.
        let jump = self.zone.preceding(moment(second + 1)?).next();
        let begin = jump.map(|jump| jump.timestamp().as_second());
        let end = self.zone.following(moment(second)?).next();
        Some(Span {
            offset,
            before: begin.map_or(Some(offset), |begin| offset_at(begin - 1))?,
            begin: begin.unwrap_or(i64::MIN / 2),
            end: end.map(|end| end.timestamp().as_second()),
        })
    }

    /// The first time from a second on, if the span never ended.
    fn first_in(&self, span: &Span, from: i64) -> Option<i64> {
        let mut local = from + span.offset;
        if span.offset < span.before && !self.pattern.every_hour {
            // What came before the clock was set back does not come again.
            local = local.max(span.begin + span.before);
        }
        let found = self.pattern.first_from(local).map(|local| local - span.offset);
        if span.offset <= span.before {
            return found;
        }
        // What was left out when the clock was set forward comes by the offset that was before.
        let left_out = self.pattern.first_from(from + span.before).filter(|local| *local < span.begin + span.offset);
        let late = left_out.map(|local| local - span.before);
        match (found, late) {
            (Some(found), Some(late)) => Some(found.min(late)),
            (found, late) => found.or(late),
        }
    }
}

impl Pattern {
    /// The first time at this second or later.
    fn first_from(&self, local: i64) -> Option<i64> {
        let look = |turn: i64| {
            let after = moment((local - 1 + turn * FOUR_YEARS).min(LAST))?;
            self.crontab.find_next(after).ok().map(|found| found.timestamp().as_second())
        };
        (0..LOOKS).find_map(look).filter(|found| *found <= LAST)
    }
}

/// Reads an expression of five fields, or a word for one.
/// # Errors
/// What is wrong with it, as it follows the expression.
pub(crate) fn pattern(cron: &str) -> Result<Pattern, String> {
    let text = cron.trim();
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let known = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    if text.starts_with('@') && known.is_none() {
        let words: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
        return Err(format!("is no word for an expression: there are {}", words.join(", ")));
    }
    let fields: Vec<&str> = known.map_or(text, |(_, expression)| *expression).split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let expected = format!("expected 5 ({}), as \"*/5 * * * *\", or @hourly, @daily, @weekly", FIELDS.join(", "));
        return Err(format!("has {} fields: {expected}", fields.len()));
    }
    if let Some((field, name)) = fields.iter().zip(FIELDS).find(|(field, _)| !is_plain(field)) {
        let allowed = "it takes numbers, names of three letters and *, with , - / between them";
        return Err(format!("has a wrong {name}, {field:?}: {allowed}"));
    }
    let crontab = crontab(&fields).map_err(|error| which(&fields, &error))?;
    Ok(Pattern { crontab, every_hour: fields.get(1) == Some(&"*") })
}

/// Whether a field has nothing but what every cron knows: what the library knows beyond that (`L`, `W`, `#`) it does not
/// find in December.
fn is_plain(field: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_name = |part: &str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    field.split([',', '-', '/']).all(|part| part == "*" || is_number(part) || is_name(part))
}

fn crontab(fields: &[&str]) -> Result<Crontab, cronexpr::Error> {
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::UTC;
    parse_crontab_with(&fields.join(" "), options)
}

/// Which field is wrong, and why.
fn which(fields: &[&str], error: &cronexpr::Error) -> String {
    for (place, (field, name)) in fields.iter().zip(FIELDS).enumerate() {
        let alone: Vec<&str> = (0..FIELDS.len()).map(|other| if other == place { *field } else { "*" }).collect();
        if let Err(error) = crontab(&alone) {
            return format!("has a wrong {name}, {field:?}: {}", reason(&error));
        }
    }
    format!("is no cron expression: {}", reason(error))
}

/// The last of the lines by which the library shows where a mistake is.
fn reason(error: &cronexpr::Error) -> String {
    let text = error.to_string();
    text.rsplit_once("^ ").map_or(text.as_str(), |(_, why)| why).to_owned()
}

/// The zone of this name, by the rules that this version was made with: the same on every machine.
/// # Errors
/// What is wrong with it, as it follows the name.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    let zones = TimeZoneDatabase::bundled();
    zones.get(name).map_err(|_| {
        let short: String = name.chars().take(40).collect::<String>().to_lowercase();
        let slips = |known: &str| distance(&short, &known.to_lowercase());
        let near = zones.available().map(|known| (slips(known.as_str()), known.as_str().to_owned())).min();
        let hint = near.filter(|(slips, _)| *slips <= 3).map(|(_, near)| format!(": did you mean {near}?"));
        format!("is no time zone of the IANA database, as Europe/Berlin or UTC{}", hint.unwrap_or_default())
    })
}

fn moment(second: i64) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(second).ok()
}

fn timestamp(second: i64) -> Option<Timestamp> {
    u64::try_from(second).ok()?.checked_mul(1000).map(Timestamp::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::rfc3339;

    fn at(text: &str) -> Timestamp {
        rfc3339::parse(text).unwrap()
    }

    fn times(cron: &str, zone: &str) -> Times {
        Times::of(cron, zone).unwrap()
    }

    /// The next times in UTC.
    fn next(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        times(cron, zone).next(at(after), count).into_iter().map(rfc3339::format).collect()
    }

    #[test]
    fn times_come_as_the_expression_says() {
        let rows = [
            ("*/5 * * * *", "2026-01-31T08:01:00Z", ["2026-01-31T08:05:00Z", "2026-01-31T08:10:00Z"]),
            ("*/5 * * * *", "2026-01-31T08:05:00Z", ["2026-01-31T08:10:00Z", "2026-01-31T08:15:00Z"]),
            ("*/5 * * * *", "2026-01-31T08:04:59.999Z", ["2026-01-31T08:05:00Z", "2026-01-31T08:10:00Z"]),
            ("*/5 * * * *", "2026-01-31T08:05:00.001Z", ["2026-01-31T08:10:00Z", "2026-01-31T08:15:00Z"]),
            ("30 7 * * MON-FRI", "2026-01-30T08:00:00Z", ["2026-02-02T07:30:00Z", "2026-02-03T07:30:00Z"]),
            ("@daily", "2026-01-30T08:00:00Z", ["2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z"]),
            ("@Hourly", "2026-01-30T08:00:00Z", ["2026-01-30T09:00:00Z", "2026-01-30T10:00:00Z"]),
            ("@weekly", "2026-01-30T08:00:00Z", ["2026-02-01T00:00:00Z", "2026-02-08T00:00:00Z"]),
            ("@monthly", "2026-01-30T08:00:00Z", ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]),
            ("@yearly", "2026-01-30T08:00:00Z", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
            ("  0  12  31  *  *", "2026-01-30T08:00:00Z", ["2026-01-31T12:00:00Z", "2026-03-31T12:00:00Z"]),
            // Eight years lie between two leap days when a century begins.
            ("0 0 29 2 *", "2095-01-01T00:00:00Z", ["2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"]),
        ];
        for (cron, after, expected) in rows {
            assert_eq!(next(cron, "UTC", after, 2), expected, "{cron} after {after}");
        }
        let berlin = ["2026-02-02T06:30:00Z", "2026-02-03T06:30:00Z"];
        assert_eq!(next("30 7 * * 1-5", "europe/berlin", "2026-01-30T08:00:00Z", 2), berlin);
    }

    #[test]
    fn a_time_that_does_not_exist_comes_later_and_one_that_exists_twice_comes_once() {
        let rows = [
            // Berlin, 2025-03-30: 02:00 becomes 03:00, at 01:00 in UTC.
            ("30 2 * * *", "Europe/Berlin", "2025-03-29T12:00:00Z", "2025-03-30T01:30:00Z", "2025-03-31T00:30:00Z"),
            ("0 3 * * *", "Europe/Berlin", "2025-03-29T12:00:00Z", "2025-03-30T01:00:00Z", "2025-03-31T01:00:00Z"),
            // 02:00 comes when 03:00 does: once.
            ("0 2,3 * * *", "Europe/Berlin", "2025-03-29T12:00:00Z", "2025-03-30T01:00:00Z", "2025-03-31T00:00:00Z"),
            ("*/30 * * * *", "Europe/Berlin", "2025-03-30T00:45:00Z", "2025-03-30T01:00:00Z", "2025-03-30T01:30:00Z"),
            // Berlin, 2025-10-26: 03:00 becomes 02:00, at 01:00 in UTC.
            ("30 2 * * *", "Europe/Berlin", "2025-10-25T12:00:00Z", "2025-10-26T00:30:00Z", "2025-10-27T01:30:00Z"),
            ("30 2 * * *", "Europe/Berlin", "2025-10-26T00:45:00Z", "2025-10-27T01:30:00Z", "2025-10-28T01:30:00Z"),
            ("*/30 1-4 * * *", "Europe/Berlin", "2025-10-26T00:15:00Z", "2025-10-26T00:30:00Z", "2025-10-26T02:00:00Z"),
            // Every hour comes in both.
            ("30 * * * *", "Europe/Berlin", "2025-10-25T23:45:00Z", "2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z"),
            ("30 2 * * *", "America/New_York", "2025-03-09T00:00:00Z", "2025-03-09T07:30:00Z", "2025-03-10T06:30:00Z"),
            ("30 1 * * *", "America/New_York", "2025-11-01T12:00:00Z", "2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"),
            // Half an hour, on Lord Howe Island.
            (
                "15 2 * * *",
                "Australia/Lord_Howe",
                "2025-10-04T12:00:00Z",
                "2025-10-04T15:45:00Z",
                "2025-10-05T15:15:00Z",
            ),
            (
                "45 1 * * *",
                "Australia/Lord_Howe",
                "2026-04-04T12:00:00Z",
                "2026-04-04T14:45:00Z",
                "2026-04-05T15:15:00Z",
            ),
            // Samoa had no 2011-12-30: its time comes when that of the 31st does.
            ("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", "2011-12-29T19:00:00Z", "2011-12-30T19:00:00Z"),
        ];
        for (cron, zone, after, first, second) in rows {
            assert_eq!(next(cron, zone, after, 2), [first, second], "{cron} {zone} after {after}");
        }
    }

    #[test]
    fn the_last_times_that_have_come_are_found_however_long_ago_the_others_were() {
        let every_minute = times("* * * * *", "UTC");
        let (long_ago, now) = (at("2020-01-01T00:00:00Z"), at("2026-01-31T08:00:30Z"));
        assert_eq!(every_minute.passed(long_ago, now, 1), [at("2026-01-31T08:00:00Z")]);
        let hundred = every_minute.passed(long_ago, now, 100);
        assert_eq!(
            (hundred.len(), hundred[0], hundred[99]),
            (100, at("2026-01-31T06:21:00Z"), at("2026-01-31T08:00:00Z"))
        );
        let yearly = times("@yearly", "UTC");
        assert_eq!(yearly.passed(long_ago, now, 1), [at("2026-01-01T00:00:00Z")]);
        assert_eq!(yearly.passed(long_ago, now, 100).len(), 6);
        assert_eq!(yearly.passed(at("2026-01-01T00:00:00Z"), now, 100), []);
        assert_eq!(every_minute.passed(now, long_ago, 1), [], "a clock that was set back");
    }

    #[test]
    fn what_is_no_expression_says_which_field_is_wrong() {
        let rows = [
            ("", "has 0 fields: expected 5 (minute, hour"),
            ("* * * *", "has 4 fields"),
            ("* * * * * UTC", "has 6 fields"),
            ("61 * * * *", "has a wrong minute, \"61\""),
            ("* 7-5 * * *", "has a wrong hour, \"7-5\""),
            ("* * 0 * *", "has a wrong day of the month, \"0\""),
            ("* * * JUNI *", "has a wrong month, \"JUNI\""),
            ("* * * * 8", "has a wrong day of the week, \"8\""),
            ("@reboot", "there are @hourly, @daily"),
            ("H * * * *", "has a wrong minute, \"H\""),
            ("0 0 L * *", "has a wrong day of the month, \"L\": it takes numbers"),
            ("0 0 * * 5#3", "has a wrong day of the week, \"5#3\""),
            ("0 é * * *", "has a wrong hour, \"é\""),
        ];
        for (cron, part) in rows {
            let why = pattern(cron).unwrap_err();
            assert!(why.contains(part) && !why.contains('\n'), "{cron}: {why}");
        }
        assert!(pattern(&"0,".repeat(101)).unwrap_err().contains("200 bytes"));
    }

    #[test]
    fn an_unknown_zone_is_told_with_the_nearest_and_a_time_that_never_comes_is_none() {
        assert!(zone("Europe/Berln").unwrap_err().ends_with("did you mean Europe/Berlin?"));
        assert!(zone("Mars/Olympus_Mons_East").unwrap_err().ends_with("as Europe/Berlin or UTC"));
        assert!(zone("").is_err());
        assert_eq!(times("0 0 30 2 *", "UTC").next_after(at("2026-01-01T00:00:00Z")), None);
        assert_eq!(times("* * * * *", "UTC").next_after(at("9999-12-31T00:00:00Z")), None);
    }
}
