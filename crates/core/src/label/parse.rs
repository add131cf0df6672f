//! Constraints from texts, and from their parts.

use super::{Constraint, IMAGE, LONGEST, Test, check_key, check_value, is_key_char};
use crate::spec::ImageRef;
use std::str::FromStr;

/// How a constraint looks at the values under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `=`: one is this.
    Is,
    /// `!=`: none is this.
    IsNot,
    /// `in`: one is among these.
    In,
    /// `notin`: none is among these.
    NotIn,
    /// `exists`: there is one.
    Exists,
    /// `!`: there is none.
    Absent,
}

const EXPECTED: &str = "is no constraint: expected zone = eu, zone != eu, zone in (eu, us), zone notin (eu, us), \
                        exists zone or !zone";

impl Operator {
    /// The operator of a word.
    /// # Errors
    /// Which there are.
    pub fn of_word(word: &str) -> Result<Self, &'static str> {
        match word {
            "=" | "==" => Ok(Self::Is),
            "!=" => Ok(Self::IsNot),
            "in" => Ok(Self::In),
            "notin" | "not in" => Ok(Self::NotIn),
            "exists" => Ok(Self::Exists),
            "!" | "not exists" => Ok(Self::Absent),
            _ => Err("is no operator: one of =, !=, in, notin, exists, !"),
        }
    }
}

impl Constraint {
    /// A constraint of its parts.
    /// # Errors
    /// What is wrong: a key that no label can have, a number of values that does not go with the operator, a value that
    /// no text can name, or too much of all that.
    pub fn of(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, String> {
        check_key(key).map_err(|problem| format!("names {key:?}, which {problem}"))?;
        let allowed = match operator {
            Operator::Is | Operator::IsNot if values.len() != 1 => Err("takes one value with = and !="),
            Operator::In | Operator::NotIn if values.is_empty() => Err("takes values with in and notin, as (eu, us)"),
            Operator::Exists | Operator::Absent if !values.is_empty() => Err("takes no value with exists and !"),
            Operator::Is | Operator::IsNot | Operator::In | Operator::NotIn | Operator::Exists | Operator::Absent => {
                Ok(())
            }
        };
        allowed?;
        for value in &values {
            if value.is_empty() {
                return Err("has an empty value: whether there is a label at all is asked with exists".into());
            }
            check_value(value).map_err(|problem| format!("has {value:?}, which {problem}"))?;
        }
        if key == IMAGE {
            values = values.iter().map(|image| ImageRef::of(image).normal()).collect();
            if let Some(long) = values.iter().find(|image| check_value(image).is_err()) {
                return Err(format!("has {long:?}, which is longer than 200 bytes"));
            }
        }
        values.sort_unstable();
        values.dedup();
        let test = match operator {
            Operator::Is | Operator::In => Test::In(values),
            Operator::IsNot | Operator::NotIn => Test::NotIn(values),
            Operator::Exists => Test::Exists,
            Operator::Absent => Test::Absent,
        };
        let constraint = Self { key: key.to_owned(), test };
        match constraint.to_string().len() {
            0..=LONGEST => Ok(constraint),
            long => Err(format!("has {long} bytes as a text: at most {LONGEST} are allowed")),
        }
    }
}

impl FromStr for Constraint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(key) = text.strip_prefix('!') {
            let key = key.trim_start();
            return if check_key(key).is_ok() { Self::of(key, Operator::Absent, Vec::new()) } else { expected() };
        }
        let end = text.find(|c: char| !is_key_char(c)).unwrap_or(text.len());
        let (first, rest) = (&text[..end], text[end..].trim_start());
        let words: Vec<&str> = text.split_whitespace().collect();
        let (key, operator, values) = match words.as_slice() {
            ["not", "exists", key] | [key, "not", "exists"] => (*key, Operator::Absent, Vec::new()),
            ["exists", key] | [key, "exists"] if check_key(key).is_ok() => (*key, Operator::Exists, Vec::new()),
            _ => {
                let Some((operator, values)) = compared(rest) else { return expected() };
                (first, operator, values)
            }
        };
        if check_key(key).is_err() {
            return expected();
        }
        Self::of(key, operator, values)
    }
}

fn expected<T>() -> Result<T, String> {
    Err(EXPECTED.into())
}

/// What stands behind the key: an operator, and what it compares with.
fn compared(rest: &str) -> Option<(Operator, Vec<String>)> {
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((Operator::IsNot, one(value)));
    }
    if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
        return Some((Operator::Is, one(value)));
    }
    if let Some(list) = rest.strip_prefix("notin").or_else(|| rest.strip_prefix("not in")) {
        return Some((Operator::NotIn, listed(list)?));
    }
    Some((Operator::In, listed(rest.strip_prefix("in")?)?))
}

/// `(eu, us)`.
fn listed(text: &str) -> Option<Vec<String>> {
    let list = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    Some(list.split(',').map(|value| value.trim().to_owned()).collect())
}
