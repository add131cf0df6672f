//! Places in texts, and the values that are put there.

use super::param::Param;
use super::wrong::{near, shown};
use crate::spec::{FieldError, SpecError, Value};
use std::collections::BTreeMap;

/// What a place begins with.
pub(super) const OPEN: &str = "${param.";

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// It stays as it is.
    Plain(&'a str),
    /// The place of the parameter of this name.
    Place(&'a str),
}

/// The parts of a text, in order; `$${param.` is a plain `${param.`.
/// # Errors
/// A place that does not end.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(OPEN) {
        let (before, place) = rest.split_at(at);
        let behind = &place[OPEN.len()..];
        if let Some(plain) = before.strip_suffix('$') {
            pieces.extend([Piece::Plain(plain), Piece::Plain(OPEN)]);
            rest = behind;
            continue;
        }
        let Some(end) = behind.find('}') else { return Err(format!("has a {OPEN} without its }}")) };
        pieces.extend([Piece::Plain(before), Piece::Place(&behind[..end])]);
        rest = &behind[end + 1..];
    }
    pieces.push(Piece::Plain(rest));
    pieces.retain(|piece| *piece != Piece::Plain(""));
    Ok(pieces)
}

/// The value of every parameter.
/// # Errors
/// Every parameter that is unknown, missing or not what it may be.
pub(super) fn values<'a>(params: &'a [Param], given: &Value) -> Result<BTreeMap<&'a str, Value>, SpecError> {
    let no_map = || {
        let problem = "must be a map of parameters to values, as {\"lr\": 0.1}".to_owned();
        SpecError(vec![FieldError { path: "params".into(), value: Some(given.to_string()), problem }])
    };
    let entries: &[(String, Value)] = match given {
        Value::Null => &[],
        Value::Map(entries) => entries,
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => return Err(no_map()),
    };
    let (mut values, mut errors, mut seen) = (BTreeMap::new(), Vec::new(), Vec::<&str>::new());
    for (name, value) in entries {
        let path = format!("params.{}", shown(name));
        let mut wrong = |value: Option<String>, problem: String| {
            errors.push(FieldError { path: path.clone(), value, problem });
        };
        let Some(param) = params.iter().find(|param| param.name == *name) else {
            let known: Vec<_> = params.iter().map(|param| param.name.as_str()).collect();
            wrong(None, format!("is no parameter of the template: {}", near(name, &known)));
            continue;
        };
        if seen.contains(&name.as_str()) {
            wrong(None, "is given twice".into());
        } else if *value != Value::Null {
            seen.push(name);
            match param.kind.value(value) {
                Ok(value) => drop(values.insert(param.name.as_str(), value)),
                Err(problem) => wrong(Some(value.to_string()), problem),
            }
        }
    }
    for param in params.iter().filter(|param| !seen.contains(&param.name.as_str())) {
        match &param.default {
            Some(value) => drop(values.insert(param.name.as_str(), value.clone())),
            None => errors.push(FieldError {
                path: format!("params.{}", param.name),
                value: None,
                problem: format!("is missing: it must be {}", param.kind.allowed()),
            }),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(SpecError(errors)) }
}

/// A document with these values in its places.
pub(super) fn filled(document: &Value, values: &BTreeMap<&str, Value>) -> Value {
    match document {
        Value::Text(text) => filled_text(text, values),
        Value::List(items) => Value::List(items.iter().map(|item| filled(item, values)).collect()),
        Value::Map(entries) => {
            Value::Map(entries.iter().map(|(name, value)| (name.clone(), filled(value, values))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => document.clone(),
    }
}

/// A text with values in its places; the value itself where the text is nothing but one place.
fn filled_text(text: &str, values: &BTreeMap<&str, Value>) -> Value {
    // A template whose places do not end is refused when it is read.
    let pieces = pieces(text).unwrap_or_else(|_| vec![Piece::Plain(text)]);
    if let [Piece::Place(name)] = pieces.as_slice()
        && let Some(value) = values.get(*name)
    {
        return value.clone();
    }
    let mut filled = String::with_capacity(text.len());
    for piece in pieces {
        match piece {
            Piece::Plain(plain) => filled.push_str(plain),
            Piece::Place(name) => filled.push_str(&values.get(name).and_then(plain).unwrap_or_default()),
        }
    }
    Value::Text(filled)
}

/// A value as it stands within a text; none of what has parts.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}
