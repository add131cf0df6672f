//! Labels of workers and facts about them, and what tasks ask of both: constraints that must hold, preferences that weigh.

mod parse;

pub use parse::Operator;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The longest key of a label, in bytes.
const LONGEST_KEY: usize = 100;
/// The longest value that a constraint names or an operator sets, in bytes.
const LONGEST_VALUE: usize = 200;
/// The longest constraint as a text, in bytes.
pub const LONGEST: usize = 1024;
/// The most constraints, and the most preferences, of one task.
pub const MOST: usize = 32;
/// How much a preference weighs that says nothing of it; at most 100 each way.
pub const WEIGHT: i32 = 50;

/// Keys that mean what a worker is or has, whatever label of that name it has.
pub const FACTS: [&str; 7] = ["arch", "executor", "gpu.model", IMAGE, "os", "version", "worker.id"];
/// The fact of which images there are: values are compared in their normal form.
pub const IMAGE: &str = "image";

/// What a worker's labels become: a key is given a value, or taken away.
pub type Changes = BTreeMap<String, Option<String>>;

/// What a task asks of the label or fact of a key. As a text it is read back as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Constraint {
    key: String,
    test: Test,
}

/// What must hold of the values under a key; lists are in order, without twins, and not empty. Of images the values are
/// in their normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

/// A constraint that need not hold, and how much it weighs that it does: -100 to 100, below 0 that it does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Preference {
    /// What is wished for.
    pub expr: Constraint,
    /// Not 0.
    pub weight: i32,
}

/// Whether a label may be called so.
/// # Errors
/// What is allowed.
pub fn check_key(key: &str) -> Result<(), &'static str> {
    if !key.is_empty() && key.len() <= LONGEST_KEY && key.chars().all(is_key_char) {
        Ok(())
    } else {
        Err("is no label name: 1 to 100 of a-z A-Z 0-9 . _ - /")
    }
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-/".contains(c)
}

/// Whether an operator may give a label this value: one that constraints can name, or none.
/// # Errors
/// What is allowed.
pub fn check_value(value: &str) -> Result<(), &'static str> {
    let bare = value.trim() == value && !value.chars().any(|c| c.is_control() || ",()\"'".contains(c));
    if bare && value.len() <= LONGEST_VALUE {
        Ok(())
    } else {
        Err("is no value of a label: at most 200 bytes, without commas, quotes, parentheses and control characters, \
             and no space at an end")
    }
}

/// Changes labels.
pub fn change(labels: &mut BTreeMap<String, String>, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => drop(labels.insert(key.clone(), value.clone())),
            None => drop(labels.remove(key)),
        }
    }
}

impl Constraint {
    /// The label or fact that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether it is about what a worker is, which nobody can set.
    #[must_use]
    pub fn is_of_fact(&self) -> bool {
        FACTS.contains(&self.key.as_str())
    }

    /// Whether it holds where these are the values under its key: none where there is no such label. What is not to be
    /// one of some values may as well not be there.
    pub fn holds<'a>(&self, mut values: impl Iterator<Item = &'a str>) -> bool {
        let is_in = |list: &[String], value: &str| list.iter().any(|one| one == value);
        match &self.test {
            Test::In(list) => values.any(|value| is_in(list, value)),
            Test::NotIn(list) => !values.any(|value| is_in(list, value)),
            Test::Exists => values.next().is_some(),
            Test::Absent => values.next().is_none(),
        }
    }

    /// Whether it is about the images that a worker's engine has.
    #[must_use]
    pub fn is_of_images(&self) -> bool {
        self.key == IMAGE
    }

    /// An image with which it holds.
    pub(crate) fn image(&self) -> Option<&str> {
        match &self.test {
            Test::In(list) if self.is_of_images() => list.first().map(String::as_str),
            Test::In(_) | Test::NotIn(_) | Test::Exists | Test::Absent => None,
        }
    }

    /// The values that it would like to see.
    fn wanted(&self) -> impl Iterator<Item = &str> {
        let (list, any): (&[String], Option<&str>) = match &self.test {
            Test::In(list) => (list.as_slice(), None),
            Test::Exists => (&[], Some("true")),
            Test::NotIn(_) | Test::Absent => (&[], None),
        };
        list.iter().map(String::as_str).chain(any)
    }

    /// Bytes of its texts.
    fn weight(&self) -> usize {
        let list: &[String] = match &self.test {
            Test::In(list) | Test::NotIn(list) => list.as_slice(),
            Test::Exists | Test::Absent => &[],
        };
        self.key.len() + list.iter().map(|value| value.len() + 2).sum::<usize>() + 12
    }
}

/// Bytes of text in constraints and preferences.
#[must_use]
pub(crate) fn weight(constraints: &[Constraint], preferences: &[Preference]) -> usize {
    let constraints = constraints.iter().map(Constraint::weight);
    constraints.chain(preferences.iter().map(|preference| preference.expr.weight() + 24)).sum()
}

/// The fewest changes of a worker's labels with which all of these hold, facts left aside; none where nothing helps.
/// To take a label away goes before any value.
#[must_use]
pub fn remedy(constraints: &[Constraint], labels: &BTreeMap<String, String>) -> Option<Changes> {
    let mut changes = Changes::new();
    for constraint in constraints.iter().filter(|constraint| !constraint.is_of_fact()) {
        let key = &constraint.key;
        let alike = || constraints.iter().filter(move |other| other.key == *key);
        let all_hold = |value: Option<&str>| alike().all(|one| one.holds(value.into_iter()));
        if changes.contains_key(key) || all_hold(labels.get(key).map(String::as_str)) {
            continue;
        }
        let wanted = alike().flat_map(Constraint::wanted).map(Some);
        let value = std::iter::once(None).chain(wanted).find(|value| all_hold(*value))?;
        changes.insert(key.clone(), value.map(ToOwned::to_owned));
    }
    Some(changes)
}

/// Changes as an operator types them: `zone=eu disk-`.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a>(pub &'a Changes);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            match value {
                Some(value) if value.chars().all(|c| is_key_char(c) || ":@+=".contains(c)) => {
                    write!(f, "{space}{key}={value}")?;
                }
                // For a shell.
                Some(value) => write!(f, "{space}'{key}={value}'")?,
                None => write!(f, "{space}{key}-")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            Test::In(values) => match values.as_slice() {
                [value] => write!(f, "{key} = {value}"),
                several => write!(f, "{key} in ({})", several.join(", ")),
            },
            Test::NotIn(values) => match values.as_slice() {
                [value] => write!(f, "{key} != {value}"),
                several => write!(f, "{key} notin ({})", several.join(", ")),
            },
            Test::Exists => write!(f, "exists {key}"),
            Test::Absent => write!(f, "!{key}"),
        }
    }
}

impl TryFrom<String> for Constraint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> Self {
        constraint.to_string()
    }
}

#[cfg(test)]
mod tests;
