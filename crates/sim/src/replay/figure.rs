//! Numbers for people: few digits, with a unit where one is asked for.

/// Days, hours, minutes, seconds: the largest of which at least one is there.
const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];

/// A number as it is read: `12,345`, `118.2`, `2.17`, `0.053`.
#[must_use]
pub fn plain(number: f64) -> String {
    match number.abs() {
        small if small < 1e-9 => "0".to_owned(),
        small if small < 1.0 => format!("{number:.3}"),
        small if small < 10.0 => format!("{number:.2}"),
        middle if middle < 999.95 => format!("{number:.1}"),
        _ => grouped(number),
    }
}

/// An amount: `4`, `1,100`, `0.5`.
#[must_use]
pub fn amount(number: f64) -> String {
    if number.fract().abs() < 1e-9 { grouped(number) } else { plain(number) }
}

/// Thousands apart, without decimals.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut out = String::from(if number < 0.0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number in five characters: `118`, `20.3`, `1.27k`, `7.71M`.
#[must_use]
pub fn short(number: f64) -> String {
    let digits = |number: f64| match number.abs() {
        small if small < 9.995 => format!("{number:.2}"),
        middle if middle < 99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    };
    match number.abs() {
        small if small < 0.005 => "0".to_owned(),
        small if small < 999.5 => digits(number),
        middle if middle < 999_500.0 => format!("{}k", digits(number / 1e3)),
        _ => format!("{}M", digits(number / 1e6)),
    }
}

/// A share: `5.4%`.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// Seconds, and in a larger unit when they are many: `118.2 s`, `12,345 s (3.4 h)`.
#[must_use]
pub fn seconds(number: f64) -> String {
    let larger = UNITS.iter().find(|(unit, _)| number >= 10.0 * unit || (number >= *unit && *unit > 60.0));
    match larger {
        Some((unit, name)) => format!("{} s ({:.1} {name})", plain(number), number / unit),
        None => format!("{} s", plain(number)),
    }
}

/// Seconds in one unit: `41 s`, `6 min`, `3.5 h`.
#[must_use]
pub fn rough_seconds(number: f64) -> String {
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| number >= 2.0 * unit).unwrap_or((1.0, "s"));
    let amount = plain(number / unit);
    let amount = if amount.contains('.') { amount.trim_end_matches('0').trim_end_matches('.') } else { &amount };
    format!("{amount} {name}")
}

/// How a number differs from another one: `-35.2%`, `+4.0%`, `same`.
#[must_use]
pub fn change(from: f64, to: f64) -> String {
    let share = if from.abs() > 1e-12 { (to - from) / from } else { f64::NAN };
    match share {
        _ if (to - from).abs() <= 1e-9 * from.abs().max(1e-9) => "same".to_owned(),
        share if share.is_nan() => format!("+{}", plain(to - from)),
        share if share.abs() < 0.0005 => "same".to_owned(),
        share if share > 9.995 => format!("{}x", plain(1.0 + share)),
        share => format!("{:+.1}%", share * 100.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_small_ones_apart_from_zero() {
        let rows = [
            (0.0, "0", "0", "0"),
            (0.053, "0.053", "0.05", "0.053"),
            (2.174, "2.17", "2.17", "2.17"),
            (118.24, "118.2", "118", "118.2"),
            (999.96, "1,000", "1.00k", "1,000"),
            (12_345.6, "12,346", "12.3k", "12,346"),
            (7_706_607.0, "7,706,607", "7.71M", "7,706,607"),
            (4.0, "4.00", "4.00", "4"),
        ];
        for (number, long, five, whole) in rows {
            assert_eq!((plain(number), short(number), amount(number)), (long.into(), five.into(), whole.into()));
        }
    }

    #[test]
    fn times_have_a_unit_and_large_ones_a_second() {
        assert_eq!(seconds(118.2), "118.2 s");
        assert_eq!(seconds(720.0), "720.0 s (12.0 min)");
        assert_eq!(seconds(12_345.0), "12,345 s (3.4 h)");
        let rough = [(41.0, "41 s"), (360.0, "6 min"), (12_600.0, "3.5 h"), (864_000.0, "10 d")];
        assert!(rough.iter().all(|(number, said)| rough_seconds(*number) == *said));
    }

    #[test]
    fn a_change_says_how_much_and_which_way() {
        let rows = [(180.0, 118.2, "-34.3%"), (100.0, 104.0, "+4.0%"), (5.0, 5.0, "same"), (0.0, 2.0, "+2.00")];
        assert!(rows.iter().all(|(from, to, said)| change(*from, *to) == *said));
        assert_eq!(change(1.0, 50.0), "50.0x");
    }
}
