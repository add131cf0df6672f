//! A parameter: what it may be, and what it is when nobody says.

use super::fill::plain;
use crate::spec::Value;
use std::fmt::Display;

/// A parameter of a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// What its places are called: `${param.NAME}`.
    pub name: String,
    /// What it may be.
    pub kind: Kind,
    /// What it is when nothing is given; without one it must be given.
    pub default: Option<Value>,
    /// For people.
    pub description: Option<String>,
}

/// What a parameter may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number.
    Number(Bounds<f64>),
    /// A whole number.
    Integer(Bounds<i64>),
    /// A text.
    Text,
    /// True or false.
    Bool,
    /// One of these.
    Choice(Vec<Value>),
}

/// The least and the greatest allowed number; any where absent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds<T> {
    /// The least.
    pub min: Option<T>,
    /// The greatest.
    pub max: Option<T>,
}

impl<T: Copy + PartialOrd + Display> Bounds<T> {
    fn hold(&self, number: T) -> bool {
        self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
    }

    fn words(&self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!(" from {min} to {max}"),
            (Some(min), None) => format!(" of at least {min}"),
            (None, Some(max)) => format!(" of at most {max}"),
            (None, None) => String::new(),
        }
    }
}

impl Kind {
    /// Every word of `type`.
    pub const WORDS: [&str; 5] = ["number", "integer", "text", "bool", "choice"];

    /// The word of its `type`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Integer(_) => "integer",
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Choice(_) => "choice",
        }
    }

    /// What is allowed, as it follows "must be".
    #[must_use]
    pub fn allowed(&self) -> String {
        match self {
            Self::Number(bounds) => format!("a number{}", bounds.words()),
            Self::Integer(bounds) => format!("a whole number{}", bounds.words()),
            Self::Text => "a text".into(),
            Self::Bool => "true or false".into(),
            Self::Choice(choices) => {
                let words: Vec<_> = choices.iter().filter_map(plain).collect();
                format!("one of {}", words.join(", "))
            }
        }
    }

    /// The value that a given one means.
    /// # Errors
    /// What is allowed.
    pub fn value(&self, given: &Value) -> Result<Value, String> {
        let found = match self {
            Self::Number(bounds) => {
                number(given).filter(|value| as_float(value).is_some_and(|number| bounds.hold(number)))
            }
            Self::Integer(bounds) => integer(given).filter(|number| bounds.hold(*number)).map(Value::Int),
            Self::Text => text(given).map(|text| Value::Text(text.to_owned())),
            Self::Bool => truth(given).map(Value::Bool),
            Self::Choice(choices) => {
                let given = plain(given);
                choices.iter().find(|choice| given.is_some() && plain(choice) == given).cloned()
            }
        };
        found.ok_or_else(|| format!("must be {}", self.allowed()))
    }
}

/// A finite number, as it is or as a text.
fn number(given: &Value) -> Option<Value> {
    match given {
        Value::Int(_) => Some(given.clone()),
        Value::Float(number) => number.is_finite().then(|| given.clone()),
        Value::Text(text) => {
            let text = text.trim();
            let whole = text.parse().ok().map(Value::Int);
            whole.or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float))
        }
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// A number for comparisons.
#[allow(clippy::cast_precision_loss, reason = "a bound is not more exact than that")]
pub(super) fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
    }
}

/// A whole number, as it is or as a text.
pub(super) fn integer(given: &Value) -> Option<i64> {
    match given {
        Value::Int(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn text(given: &Value) -> Option<&str> {
    match given {
        Value::Text(text) => Some(text),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn truth(given: &Value) -> Option<bool> {
    match given {
        Value::Bool(value) => Some(*value),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Null | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    }
}
