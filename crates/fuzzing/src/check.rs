//! What several targets claim alike.

use cloudai_core::spec::{SpecError, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// The text that bytes are.
pub(crate) fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// A refused document: at least one field is named, and each says what is wrong with it.
pub(crate) fn names_fields(error: &SpecError, document: &Value) {
    assert!(!error.0.is_empty(), "refused without a reason: {document:?}");
    for field in &error.0 {
        assert!(!field.problem.is_empty(), "{field:?} says nothing");
        assert!(!field.path.is_empty() || has_nameless(document), "{field:?} names no field");
    }
}

/// Whether a document has a field without a name, which can be named no better.
fn has_nameless(document: &Value) -> bool {
    match document {
        Value::Map(entries) => entries.iter().any(|(name, value)| name.is_empty() || has_nameless(value)),
        Value::List(items) => items.iter().any(has_nameless),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => false,
    }
}

/// Whether JSON holds a document as it is: it has no word for some fractions, and not every reader takes the last digit
/// of the others for the same.
pub(crate) fn is_exact(document: &Value) -> bool {
    match document {
        Value::Float(_) => false,
        Value::Map(entries) => entries.iter().all(|(_, value)| is_exact(value)),
        Value::List(items) => items.iter().all(is_exact),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) => true,
    }
}

/// What is stored as JSON is read as the same.
pub(crate) fn is_kept<T: Serialize + DeserializeOwned + PartialEq + Debug>(what: &T) {
    let text = serde_json::to_string(what).expect("a record is written");
    let read: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text} is not read again: {error}"));
    assert_eq!(read, *what, "stored as {text}");
}
