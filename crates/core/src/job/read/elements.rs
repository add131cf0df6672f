//! The elements of a task: `array`, `each` and how many of them at once.

use super::layers::Fields;
use super::shown;
use super::wrong::{Refused, Wrong};
use crate::job::item::variable;
use crate::job::{Elements, Indexes, Item, MAX_GANG};
use crate::spec::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most elements of one array.
pub(in crate::job) const MOST_ELEMENTS: u32 = 10_000_000;
/// The most items of one `each`.
const MOST_ITEMS: usize = 1_000_000;
/// The most values of one item.
const MOST_VALUES: usize = 256;
/// So many different sets of names may be in one list: each is looked at as a whole.
const MOST_SETS: usize = 1000;
/// What stands for a file that only the command line reads.
pub(in crate::job) const FILES: [&str; 2] = ["csv", "lines"];

const ARRAY: &str = "must be a number of elements, as 100, or ranges of indexes, as \"0-99\" or \"0-99:2%8\"";
const EACH: &str =
    "must be a list of texts, numbers or maps of such, or a map of lists, of which all combinations are made";

/// Reads the elements of a task; none where it is one task.
pub(super) fn read(own: &Fields<'_>, at: &str, wrong: &mut Wrong) -> Result<Option<Elements>, Refused> {
    let array = own.get("array").map(|value| array(value, format!("{at}.array"), wrong)).transpose();
    let each = own.get("each").map(|value| each(value, format!("{at}.each"), wrong)).transpose();
    let at_once = own.get("at_once").map(|value| at_once(value, format!("{at}.at_once"), wrong)).transpose();
    let gang = own.get("gang").map(|value| gang(value, format!("{at}.gang"), wrong)).transpose();
    let (array, each, at_once, gang) = (array?, each?, at_once?, gang?.unwrap_or(false));
    let (indexes, percent) = match (array, &each) {
        (Some((indexes, _)), Some(items)) if count(items.len()) != indexes.count() => {
            let (items, elements) = (items.len(), indexes.count());
            let problem = format!("has {items} items for the {elements} elements of array: each gets one");
            return Err(wrong.refuse(format!("{at}.each"), None, problem));
        }
        (Some(array), _) => array,
        (None, Some(items)) => (Indexes::up_to(count(items.len())), None),
        (None, None) if at_once.is_some() => {
            return Err(wrong.refuse(format!("{at}.at_once"), None, "is about elements: it needs array or each"));
        }
        (None, None) if gang => {
            return Err(wrong.refuse(format!("{at}.gang"), None, "is about elements: it needs array or each"));
        }
        (None, None) => return Ok(None),
    };
    if percent.is_some() && at_once.is_some() {
        return Err(wrong.refuse(format!("{at}.at_once"), None, "is said by the % of array already"));
    }
    let at_once = at_once.or(percent);
    if gang && at_once.is_some() {
        let problem = "starts all elements together: at_once, and the % of array, can not be beside it";
        return Err(wrong.refuse(format!("{at}.gang"), None, problem));
    }
    if gang && indexes.count() > MAX_GANG {
        let problem = format!("is of {} elements: at most {MAX_GANG} start together", indexes.count());
        return Err(wrong.refuse(format!("{at}.gang"), None, problem));
    }
    Ok(Some(Elements { indexes, at_once, gang, each: each.unwrap_or_default() }))
}

/// Whether all elements start together.
fn gang(value: &Value, path: String, wrong: &mut Wrong) -> Result<bool, Refused> {
    match value {
        Value::Bool(gang) => Ok(*gang),
        Value::Null | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
            Err(wrong.refuse(path, Some(value.to_string()), "must be true or false"))
        }
    }
}

/// A number of items, which [`MOST_ITEMS`] limits.
fn count(items: usize) -> u32 {
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// `100`, `"0-99:2"` or `"0-99:2%8"`, which says how many at once.
fn array(value: &Value, path: String, wrong: &mut Wrong) -> Result<(Indexes, Option<u32>), Refused> {
    let shown = || Some(value.to_string());
    match value {
        Value::Int(_) => match number(value) {
            Some(count) => Ok((Indexes::up_to(count), None)),
            None => Err(wrong.refuse(path, shown(), format!("must be 1 to {MOST_ELEMENTS} elements"))),
        },
        Value::Text(text) => {
            let (ranges, percent) = match text.split_once('%') {
                None => (text.as_str(), None),
                Some((ranges, digits)) => {
                    let at_once = digits.trim().parse().ok().and_then(|digits| number(&Value::Int(digits)));
                    let Some(at_once) = at_once else {
                        let problem = format!("must have a number from 1 to {MOST_ELEMENTS} behind its %");
                        return Err(wrong.refuse(path, shown(), problem));
                    };
                    (ranges, Some(at_once))
                }
            };
            match ranges.parse::<Indexes>() {
                Ok(indexes) if indexes.count() > MOST_ELEMENTS => {
                    Err(wrong.refuse(path, shown(), format!("has more than {MOST_ELEMENTS} elements")))
                }
                Ok(indexes) => Ok((indexes, percent)),
                Err(problem) => Err(wrong.refuse(path, None, problem)),
            }
        }
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            Err(wrong.refuse(path, shown(), ARRAY))
        }
    }
}

fn at_once(value: &Value, path: String, wrong: &mut Wrong) -> Result<u32, Refused> {
    let problem = || format!("must be a whole number from 1 to {MOST_ELEMENTS}");
    number(value).ok_or_else(|| wrong.refuse(path, Some(value.to_string()), problem()))
}

fn number(value: &Value) -> Option<u32> {
    let Value::Int(number) = value else { return None };
    u32::try_from(*number).ok().filter(|number| (1..=MOST_ELEMENTS).contains(number))
}

/// A list of items, or the combinations of lists.
fn each(value: &Value, path: String, wrong: &mut Wrong) -> Result<Vec<Item>, Refused> {
    match value {
        Value::List(items) if items.is_empty() => Err(wrong.refuse(path, None, "has no items")),
        Value::List(items) if items.len() > MOST_ITEMS => {
            Err(wrong.refuse(path, Some(value.to_string()), format!("has more than {MOST_ITEMS} items")))
        }
        Value::List(items) => listed(items, &path, wrong),
        Value::Map(entries) => match entries.as_slice() {
            [] => Err(wrong.refuse(path, None, "has no items")),
            [(word, Value::Text(_))] if FILES.contains(&word.as_str()) => {
                let problem = "is a file, which the command line reads (cloudai job run): give its rows as a list";
                Err(wrong.refuse(format!("{path}.{word}"), None, problem))
            }
            entries => combinations(entries, &path, wrong),
        },
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {
            Err(wrong.refuse(path, Some(value.to_string()), EACH))
        }
    }
}

fn listed(items: &[Value], path: &str, wrong: &mut Wrong) -> Result<Vec<Item>, Refused> {
    let mut sets = Sets::default();
    let mut read = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let here = || format!("{path}[{place}]");
        let item = match item {
            Value::Map(entries) => sets.item(entries, here, wrong),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
                scalar(item).map(Item::Plain).map_err(|problem| wrong.refuse(here(), Some(item.to_string()), problem))
            }
        };
        read.extend(item);
        if wrong.is_full() {
            return Err(Refused);
        }
    }
    if read.len() == items.len() { Ok(read) } else { Err(Refused) }
}

/// Which names items have: there are few sets of them for many items, and each is looked at once.
#[derive(Default)]
struct Sets<'a> {
    /// No names for a set that was refused.
    known: BTreeMap<Vec<&'a str>, Vec<Arc<str>>>,
    /// Those of the item before.
    last: Vec<&'a str>,
    names: Vec<Arc<str>>,
}

impl<'a> Sets<'a> {
    fn item(
        &mut self,
        entries: &'a [(String, Value)],
        here: impl Fn() -> String,
        wrong: &mut Wrong,
    ) -> Result<Item, Refused> {
        let same = self.last.len() == entries.len();
        let same = same && self.last.iter().zip(entries).all(|(known, (name, _))| known == name);
        if !same || self.last.is_empty() {
            self.last = entries.iter().map(|(name, _)| name.as_str()).collect();
            self.names.clear();
            if let Some(names) = self.known.get(&self.last) {
                self.names.clone_from(names);
            } else if self.known.len() == MOST_SETS {
                let problem = format!("has other names than any before, which had {MOST_SETS} sets of names");
                return Err(wrong.refuse(here(), None, problem));
            } else {
                let names = names(&self.last, &here, wrong);
                self.known.insert(self.last.clone(), names.clone().unwrap_or_default());
                self.names = names?;
            }
        }
        if self.names.is_empty() {
            return Err(Refused);
        }
        let mut values = BTreeMap::new();
        for (known, (name, value)) in self.names.iter().zip(entries) {
            let value = scalar(value).map_err(|problem| {
                wrong.refuse(format!("{}.{}", here(), shown(name)), Some(value.to_string()), problem)
            })?;
            values.insert(Arc::clone(known), value);
        }
        Ok(Item::Named(values))
    }
}

/// The names of values, if they may be called so.
fn names(given: &[&str], here: &impl Fn() -> String, wrong: &mut Wrong) -> Result<Vec<Arc<str>>, Refused> {
    if given.is_empty() || given.len() > MOST_VALUES {
        return Err(wrong.refuse(here(), None, format!("must have 1 to {MOST_VALUES} values")));
    }
    let mut variables = BTreeMap::new();
    for name in given {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 100 || !name.chars().all(good) {
            let problem = "is no name of a value: 1 to 100 of a-z A-Z 0-9 . _ -";
            return Err(wrong.refuse(format!("{}.{}", here(), shown(name)), None, problem));
        }
        if let Some(other) = variables.insert(variable(name), *name) {
            let problem = format!("would be the same variable as {other}, {}: call it otherwise", variable(name));
            return Err(wrong.refuse(format!("{}.{name}", here()), None, problem));
        }
    }
    Ok(given.iter().map(|name| Arc::from(*name)).collect())
}

/// All combinations of the values of lists. Names are taken in the order of the alphabet, whatever the document's is,
/// which not every form keeps; the values of the last one change fastest.
fn combinations(entries: &[(String, Value)], path: &str, wrong: &mut Wrong) -> Result<Vec<Item>, Refused> {
    let mut sorted: Vec<(&str, &Value)> = entries.iter().map(|(name, value)| (name.as_str(), value)).collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    let given: Vec<&str> = sorted.iter().map(|(name, _)| *name).collect();
    let names = names(&given, &|| path.to_owned(), wrong)?;
    let mut axes = Vec::with_capacity(sorted.len());
    for (name, value) in sorted {
        axes.push(axis(value, &format!("{path}.{name}"), wrong)?);
    }
    let total = axes.iter().try_fold(1_usize, |total, axis: &Vec<Arc<str>>| total.checked_mul(axis.len()));
    let Some(total) = total.filter(|total| *total <= MOST_ITEMS) else {
        return Err(wrong.refuse(path.to_owned(), None, format!("makes more than {MOST_ITEMS} combinations")));
    };
    let one = |number: usize| {
        let mut rest = number;
        let mut values = BTreeMap::new();
        for (name, axis) in names.iter().zip(&axes).rev() {
            values.insert(Arc::clone(name), Arc::clone(&axis[rest % axis.len()]));
            rest /= axis.len();
        }
        Item::Named(values)
    };
    Ok((0..total).map(one).collect())
}

/// The values of one name.
fn axis(value: &Value, path: &str, wrong: &mut Wrong) -> Result<Vec<Arc<str>>, Refused> {
    let Value::List(items) = value else {
        return Err(wrong.refuse(path.to_owned(), Some(value.to_string()), "must be a list of values, as [0.1, 0.01]"));
    };
    if items.is_empty() {
        return Err(wrong.refuse(path.to_owned(), None, "has no values"));
    }
    let mut values = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let value = scalar(item);
        values
            .push(value.map_err(|problem| wrong.refuse(format!("{path}[{place}]"), Some(item.to_string()), problem))?);
    }
    Ok(values)
}

/// A value as it is written into texts.
fn scalar(value: &Value) -> Result<Arc<str>, &'static str> {
    match value {
        Value::Text(text) if text.contains('\0') => Err("must not hold a NUL byte"),
        Value::Text(text) => Ok(text.as_str().into()),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => Ok(value.to_string().into()),
        Value::Null | Value::List(_) | Value::Map(_) => Err("must be a text, a number, true or false"),
    }
}
