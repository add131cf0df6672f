//! What is wrong with a document, field by field, for readers of small documents.

use crate::spec::{FieldError, SpecError, Value};
use crate::text::distance;
use std::collections::BTreeMap;

/// Fields by their names.
pub type Fields<'a> = BTreeMap<&'a str, &'a Value>;

/// What is wrong so far.
#[derive(Clone, Debug, Default)]
pub struct Wrong(Vec<FieldError>);

impl Wrong {
    /// Notes that a field is wrong.
    pub fn add(&mut self, path: impl Into<String>, value: Option<&Value>, problem: impl Into<String>) {
        self.0.push(FieldError { path: path.into(), value: value.map(ToString::to_string), problem: problem.into() });
    }

    /// Takes over what another reader found.
    pub fn take(&mut self, found: SpecError) {
        self.0.extend(found.0);
    }

    /// The known fields of a map at a path, which is empty for the whole document; `null` counts as absent. `of` says what
    /// has these fields, as "a template".
    pub fn fields<'a>(&mut self, path: &str, entries: &'a [(String, Value)], known: &[&str], of: &str) -> Fields<'a> {
        let mut fields = Fields::new();
        for (name, value) in entries {
            let at = if path.is_empty() { shown(name) } else { format!("{path}.{}", shown(name)) };
            if !known.contains(&name.as_str()) {
                self.add(at, None, format!("is no field of {of}: {}", near(name, known)));
            } else if *value != Value::Null && fields.insert(name.as_str(), value).is_some() {
                self.add(at, None, "is given twice");
            }
        }
        fields
    }

    /// How much is wrong.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// All of it.
    #[must_use]
    pub fn into_error(self) -> SpecError {
        SpecError(self.0)
    }
}

/// The name that a wrong one was to be, else all there are.
pub(super) fn near(wrong: &str, known: &[&str]) -> String {
    let short: String = wrong.chars().take(40).collect();
    let found = known.iter().map(|name| (distance(&short, name), *name)).min();
    match found {
        None => "it has none".into(),
        Some((slips, name)) if slips <= 2.max(name.len() / 3) => format!("did you mean {name}?"),
        Some(_) => format!("there are {}", known.join(", ")),
    }
}

/// A name in an error: no longer than a line.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}
