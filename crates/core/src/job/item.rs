//! A parameter set of one element, and how it is written into what the element runs.

use crate::spec::TaskSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The variable that tells a member of a gang how many elements the gang has.
pub(super) const GANG_SIZE: &str = "CLOUDAI_GANG_SIZE";

/// What makes one element differ from the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Item {
    /// One text: `${item}`, and `CLOUDAI_ITEM` in the container.
    Plain(Arc<str>),
    /// Named values: `${item.NAME}`, and `CLOUDAI_ITEM_NAME`.
    Named(BTreeMap<Arc<str>, Arc<str>>),
}

impl Item {
    /// What `${...}` stands for; none for what this item has not.
    fn value<'a>(&'a self, name: &str) -> Option<&'a str> {
        match self {
            Self::Plain(text) => (name == "item").then_some(text),
            Self::Named(values) => values.get(name.strip_prefix("item.")?).map(AsRef::as_ref),
        }
    }

    /// The names of its values; none for one text.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Named(values) => values.keys().map(AsRef::as_ref).collect(),
        }
    }

    /// Whether another has values of the same names.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(_), Self::Plain(_)) => true,
            (Self::Named(one), Self::Named(other)) => one.len() == other.len() && one.keys().eq(other.keys()),
            (Self::Plain(_), Self::Named(_)) | (Self::Named(_), Self::Plain(_)) => false,
        }
    }

    /// Its longest value, in bytes.
    pub(super) fn longest(&self) -> usize {
        match self {
            Self::Plain(text) => text.len(),
            Self::Named(values) => values.values().map(|value| value.len()).max().unwrap_or(0),
        }
    }

    /// Bytes of its texts.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Plain(text) => text.len() + 4,
            Self::Named(values) => values.iter().map(|(name, value)| name.len() + value.len() + 6).sum(),
        }
    }

    /// The variables that the container has of it.
    fn variables(&self) -> Vec<(String, String)> {
        match self {
            Self::Plain(text) => vec![("CLOUDAI_ITEM".into(), text.to_string())],
            Self::Named(values) => values.iter().map(|(name, value)| (variable(name), value.to_string())).collect(),
        }
    }
}

/// The variable that has a named value.
pub(super) fn variable(name: &str) -> String {
    format!("CLOUDAI_ITEM_{}", name.to_ascii_uppercase().replace(['-', '.'], "_"))
}

/// What an element runs: the texts of its group's spec with its own values in their places.
///
/// `${index}` stands for its index, `${item}` and `${item.NAME}` for its parameters; `$${` is a plain `${`. Replaced
/// in `command`, `args`, `entrypoint`, the values of `env`, `workdir` and `outputs`.
/// # Errors
/// The first `${...}` that stands for nothing.
pub(super) fn of_element(spec: &TaskSpec, index: Option<u32>, item: Option<&Item>) -> Result<TaskSpec, String> {
    let mut spec = spec.clone();
    let container = &mut spec.container;
    let filled = |text: &mut String| -> Result<(), String> {
        if text.contains("${") {
            *text = fill(text, index, item)?;
        }
        Ok(())
    };
    let lists = [Some(&mut container.command), Some(&mut container.args), container.entrypoint.as_mut()];
    for text in lists.into_iter().flatten().chain(container.outputs.as_mut()).flatten() {
        filled(text)?;
    }
    container.env.values_mut().chain(container.workdir.as_mut()).try_for_each(filled)?;
    if let Some(item) = item {
        container.env.extend(item.variables());
    }
    Ok(spec)
}

/// The fields of a spec whose places stand for nothing, with what is wrong.
pub(super) fn wrong_places(spec: &TaskSpec, index: Option<u32>, item: Option<&Item>) -> Vec<(String, String)> {
    let container = &spec.container;
    let lists = [
        ("command", Some(&container.command)),
        ("args", Some(&container.args)),
        ("entrypoint", container.entrypoint.as_ref()),
        ("outputs", container.outputs.as_ref()),
    ];
    let listed = |(name, texts): (&'static str, Option<&'_ Vec<String>>)| {
        let texts = texts.into_iter().flatten().enumerate();
        texts
            .filter_map(|(at, text)| Some((format!("{name}[{at}]"), fill(text, index, item).err()?)))
            .collect::<Vec<_>>()
    };
    let mut wrong: Vec<_> = lists.into_iter().flat_map(listed).collect();
    let named = container.env.iter().map(|(name, text)| (format!("env.{name}"), text));
    let workdir = container.workdir.iter().map(|text| ("workdir".to_owned(), text));
    wrong.extend(named.chain(workdir).filter_map(|(path, text)| Some((path, fill(text, index, item).err()?))));
    wrong
}

/// How often a value is written into a spec at most.
pub(super) fn places(spec: &TaskSpec) -> usize {
    let container = &spec.container;
    let lists = [Some(&container.command), Some(&container.args), container.entrypoint.as_ref()];
    let texts = lists.into_iter().chain([container.outputs.as_ref()]).flatten().flatten();
    texts.chain(container.env.values()).chain(&container.workdir).map(|text| text.matches("${").count()).sum()
}

/// Whether any text of a spec has a place for a value.
pub(super) fn has_places(spec: &TaskSpec) -> bool {
    let container = &spec.container;
    let lists = [Some(&container.command), Some(&container.args), container.entrypoint.as_ref()];
    let mut texts = lists.into_iter().flatten().chain(&container.outputs).flatten();
    let more = container.env.values().chain(&container.workdir);
    texts.any(|text| text.contains("${")) || more.into_iter().any(|text| text.contains("${"))
}

fn fill(text: &str, index: Option<u32>, item: Option<&Item>) -> Result<String, String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, place) = rest.split_at(at);
        if let Some(plain) = before.strip_suffix('$') {
            filled.push_str(plain);
            filled.push_str("${");
            rest = &place[2..];
            continue;
        }
        filled.push_str(before);
        let Some(end) = place.find('}') else { return Err(format!("{text:?} has a ${{ without its }}")) };
        let name = &place[2..end];
        let value = match (name, index) {
            ("index", Some(index)) => Some(index.to_string()),
            (name, _) => item.and_then(|item| item.value(name)).map(ToOwned::to_owned),
        };
        match value {
            Some(value) => filled.push_str(&value),
            // A variable of a shell is the shell's: only what could be meant for us is a mistake.
            None if name == "index" || name == "item" || name.starts_with("item.") => {
                return Err(format!("${{{name}}} stands for nothing here: {}", known(index, item)));
            }
            None => filled.push_str(&place[..=end]),
        }
        rest = &place[end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// What there is, for whoever wrote something else.
fn known(index: Option<u32>, item: Option<&Item>) -> String {
    let mut names: Vec<String> = index.map(|_| "${index}".to_owned()).into_iter().collect();
    match item {
        Some(Item::Plain(_)) => names.push("${item}".into()),
        Some(Item::Named(values)) => names.extend(values.keys().map(|name| format!("${{item.{name}}}"))),
        None => {}
    }
    if names.is_empty() {
        return "the task has neither array nor each".into();
    }
    format!("there is {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Item {
        Item::Named(BTreeMap::from([("lr".into(), "0.1".into()), ("batch-size".into(), "8".into())]))
    }

    #[test]
    fn values_stand_where_their_names_are_and_other_variables_stay() {
        let item = named();
        let rows = [
            ("--lr=${item.lr}", "--lr=0.1"),
            ("${index}/${item.batch-size}", "7/8"),
            ("${HOME}/x", "${HOME}/x"),
            ("$HOME ${", "$HOME ${"),
            ("$${item.lr}", "${item.lr}"),
            ("no place", "no place"),
        ];
        for (text, expected) in rows {
            let filled = fill(text, Some(7), Some(&item));
            if text.ends_with("${") {
                assert!(filled.unwrap_err().contains("without its }"));
            } else {
                assert_eq!(filled.unwrap(), expected, "{text}");
            }
        }
        assert_eq!(fill("${item}", None, Some(&Item::Plain("a b".into()))).unwrap(), "a b");
    }

    #[test]
    fn a_value_that_is_not_there_is_said_with_those_that_are() {
        let why = fill("${item.rate}", Some(1), Some(&named())).unwrap_err();
        assert!(why.contains("${item.rate}") && why.contains("${item.lr}"), "{why}");
        assert!(fill("${index}", None, None).unwrap_err().contains("neither array nor each"));
    }

    #[test]
    fn the_container_has_the_values_as_variables() {
        assert_eq!(named().variables()[0], ("CLOUDAI_ITEM_BATCH_SIZE".into(), "8".into()));
        assert_eq!(Item::Plain("x".into()).variables(), [("CLOUDAI_ITEM".to_owned(), "x".to_owned())]);
    }
}
