//! Small helpers for texts that people type.

use std::time::Duration;

/// The number of single-character edits between two texts (Levenshtein 1966).
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// A text in XML and HTML. What no document may hold becomes a space.
#[must_use]
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The text, or as many whole characters of its beginning as fit into so many bytes.
#[must_use]
pub fn shortened(text: &str, bytes: usize) -> String {
    text.chars()
        .scan(0, |used, c| {
            *used += c.len_utf8();
            (*used <= bytes).then_some(c)
        })
        .collect()
}

/// Reads a size with an optional binary unit: `512m`, `4g`, `1.5GiB`, `100` (bytes).
/// # Errors
/// What is allowed, when the text is none of it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: expected a number with an optional unit, as 512m, 4g, 1.5GiB");
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..split], text[split..].trim().to_ascii_lowercase());
    let step: u32 = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "ki" | "kib" => 1,
        "m" | "mb" | "mi" | "mib" => 2,
        "g" | "gb" | "gi" | "gib" => 3,
        "t" | "tb" | "ti" | "tib" => 4,
        "p" | "pb" | "pi" | "pib" => 5,
        _ => return Err(wrong()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.len() > 9 || (whole.is_empty() && part.is_empty()) {
        return Err(wrong());
    }
    let digits: u128 = format!("{whole}{part}").parse().map_err(|_| wrong())?;
    let bytes = digits.checked_mul(1 << (10 * step)).ok_or_else(wrong)?;
    let scale = 10u128.pow(u32::try_from(part.len()).unwrap_or(0));
    u64::try_from(bytes.div_ceil(scale)).map_err(|_| wrong())
}

/// A size as it is typed: whole MiB or GiB, rounded up; [`parse_size`] reads it.
#[must_use]
pub fn typed_size(bytes: u64) -> String {
    let mib = bytes.div_ceil(1 << 20);
    if mib.is_multiple_of(1024) { format!("{}g", mib / 1024) } else { format!("{mib}m") }
}

/// A time as it is typed: whole seconds, minutes or hours, rounded up.
#[must_use]
pub fn typed_time(time: Duration) -> String {
    match crate::time::millis(time).div_ceil(1000) {
        hours if hours > 0 && hours.is_multiple_of(3600) => format!("{}h", hours / 3600),
        minutes if minutes > 0 && minutes.is_multiple_of(60) => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{distance, parse_size, shortened, typed_size, typed_time};
    use std::time::Duration;

    #[test]
    fn amounts_are_written_as_they_are_typed() {
        let sizes = [(512 << 20, "512m"), (2 << 30, "2g"), (1, "1m"), (1025 << 20, "1025m")];
        for (bytes, text) in sizes {
            assert_eq!(typed_size(bytes), text);
            assert!(parse_size(text).unwrap() >= bytes);
        }
        let times = [(90_000, "90s"), (120_000, "2m"), (7_200_000, "2h"), (500, "1s"), (0, "0s")];
        for (millis, text) in times {
            assert_eq!(typed_time(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        let rows =
            [("100", 100), ("512m", 512 << 20), ("4g", 4 << 30), ("1.5GiB", 3 << 29), ("0.5k", 512), ("2 TB", 2 << 40)];
        for (text, bytes) in rows {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "g", ".", "-1", "1x", "1..2", "1e3", "99999999999999999999g", "1.0000000001g"] {
            assert!(parse_size(bad).unwrap_err().contains("is no size"), "{bad}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        let rows = [("abc", 3, "abc"), ("abc", 2, "ab"), ("aä", 2, "a"), ("", 0, "")];
        for (text, bytes, expected) in rows {
            assert_eq!(shortened(text, bytes), expected, "{text}");
        }
    }

    #[test]
    fn distance_counts_single_edits() {
        let rows = [("", "", 0), ("cpu", "cpus", 1), ("memroy", "memory", 2), ("abc", "", 3), ("kitten", "sitting", 3)];
        for (a, b, expected) in rows {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
