//! The indexes of an array: few ranges for many numbers.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The most ranges of one array.
const MOST_SPANS: usize = 1000;

/// Every `step`-th number from `first` to `last`, both among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The smallest.
    pub first: u32,
    /// The largest; one that a step leads to.
    pub last: u32,
    /// At least 1.
    pub step: u32,
}

impl Span {
    const fn count(self) -> u32 {
        // A span of all numbers is refused where it is read.
        (self.last - self.first) / self.step + 1
    }

    const fn ordinal_of(self, index: u32) -> Option<u32> {
        if index < self.first || index > self.last || !(index - self.first).is_multiple_of(self.step) {
            return None;
        }
        Some((index - self.first) / self.step)
    }
}

/// The indexes of an array, rising: `0-99:2,200,300-310`. The place of an index among them is its *ordinal*, from 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Indexes(Vec<Span>);

impl Indexes {
    /// The numbers from 0 on, so many; at least one.
    #[must_use]
    pub fn up_to(count: u32) -> Self {
        Self(vec![Span { first: 0, last: count.max(1) - 1, step: 1 }])
    }

    /// The ranges.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|span| span.count()).sum()
    }

    /// The index at a place.
    #[must_use]
    pub fn nth(&self, ordinal: u32) -> Option<u32> {
        let mut before = 0;
        for span in &self.0 {
            let count = span.count();
            if ordinal - before < count {
                return Some(span.first + (ordinal - before) * span.step);
            }
            before += count;
        }
        None
    }

    /// The place of an index.
    #[must_use]
    pub fn ordinal_of(&self, index: u32) -> Option<u32> {
        let mut before = 0;
        for span in &self.0 {
            if let Some(ordinal) = span.ordinal_of(index) {
                return Some(before + ordinal);
            }
            before += span.count();
        }
        None
    }

    /// How many indexes are smaller than this number: the place of the first that is not.
    #[must_use]
    pub fn before(&self, index: u32) -> u32 {
        let below = |span: &Span| match index.checked_sub(span.first) {
            None | Some(0) => 0,
            Some(reach) => reach.div_ceil(span.step).min(span.count()),
        };
        self.0.iter().map(below).sum()
    }
}

const FORM: &str = "expected ranges of numbers, as 0-99, 0-99:2 (every second one) or 1,5,9-20";

impl FromStr for Indexes {
    type Err = String;

    /// Ranges in rising order that do not overlap, at most 1,000.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut spans: Vec<Span> = Vec::new();
        for part in text.split(',') {
            let span = span(part.trim()).ok_or_else(|| format!("{part:?} is no range of indexes: {FORM}"))?;
            if let Some(before) = spans.last().filter(|before| before.last >= span.first) {
                return Err(format!(
                    "{part:?} begins before {} ends: ranges rise and have no index twice",
                    before.last
                ));
            }
            spans.push(span);
            if spans.len() > MOST_SPANS {
                return Err(format!("has more than {MOST_SPANS} ranges"));
            }
        }
        Ok(Self(spans))
    }
}

/// `7`, `0-99` or `0-99:2`.
fn span(text: &str) -> Option<Span> {
    let (range, step) = text.split_once(':').map_or((text, Some(1)), |(range, step)| (range, number(step)));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last, step) = (number(first)?, number(last)?, step.filter(|step| *step > 0)?);
    // The largest number of all is left out, so that counts fit.
    let reach = last.checked_sub(first).filter(|_| last < u32::MAX)?;
    let last = last - reach % step;
    Some(Span { first, last, step: if first == last { 1 } else { step } })
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Span { first, last, step }) in self.0.iter().enumerate() {
            f.write_str(if place > 0 { "," } else { "" })?;
            match (first == last, step) {
                (true, _) => write!(f, "{first}")?,
                (false, 1) => write!(f, "{first}-{last}")?,
                (false, step) => write!(f, "{first}-{last}:{step}")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Indexes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Indexes> for String {
    fn from(indexes: Indexes) -> Self {
        indexes.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn indexes(text: &str) -> Indexes {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_read_as_they_are_written() {
        let rows = [
            ("7", "7", 1),
            ("0-99", "0-99", 100),
            ("0-99:2", "0-98:2", 50),
            ("1-1000:2", "1-999:2", 500),
            ("1, 5,9-20", "1,5,9-20", 14),
            ("3-3:5", "3", 1),
        ];
        for (text, shown, count) in rows {
            assert_eq!((indexes(text).to_string().as_str(), indexes(text).count()), (shown, count), "{text}");
        }
        for bad in ["", "a", "1-", "-1", "5-3", "0-9:0", "0-9:", "1,,2", "0-4294967295", "+1", "1.5", "0-9%4"] {
            assert!(bad.parse::<Indexes>().unwrap_err().contains("0-99:2"), "{bad:?}");
        }
        for bad in ["1,1", "0-9,5", "9,1"] {
            assert!(bad.parse::<Indexes>().unwrap_err().contains("rise"), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn an_index_and_its_place_lead_to_each_other(
            spans in prop::collection::vec((1u32..20, 0u32..30, 1u32..4), 1..6),
        ) {
            let (mut from, mut parts, mut plain) = (0, Vec::new(), Vec::new());
            for (gap, length, step) in spans {
                let (first, last) = (from + gap, from + gap + length);
                parts.push(format!("{first}-{last}:{step}"));
                plain.extend((first..=last).step_by(step as usize));
                from = last;
            }
            let indexes = indexes(&parts.join(","));
            prop_assert_eq!(indexes.count() as usize, plain.len());
            prop_assert_eq!(indexes.nth(indexes.count()), None);
            for number in 0..from + 3 {
                let place = plain.iter().position(|index| *index == number).map(|place| u32::try_from(place).unwrap());
                prop_assert_eq!(indexes.ordinal_of(number), place);
                prop_assert_eq!(indexes.before(number) as usize, plain.iter().filter(|index| **index < number).count());
                if let Some(place) = place {
                    prop_assert_eq!(indexes.nth(place), Some(number));
                }
            }
            prop_assert_eq!(indexes.to_string().parse::<Indexes>().unwrap(), indexes);
        }
    }
}
