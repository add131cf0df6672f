//! From a document to a [`Template`]: every wrong field named at once, by its path.

use super::fill::{OPEN, Piece, pieces, plain};
use super::param::{Bounds, Kind, Param, as_float, integer};
use super::wrong::{Fields, Wrong, near, shown};
use super::{Makes, Template};
use crate::ids::TemplateName;
use crate::spec::{SpecError, Value};
use std::collections::BTreeSet;

/// The most parameters of a template.
pub const MAX_PARAMS: usize = 100;
/// The most choices of a parameter.
const MAX_CHOICES: usize = 100;
/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 2000;
/// The longest name of a parameter.
const MAX_NAME: usize = 63;

const FIELDS: [&str; 5] = ["name", "description", "params", "task", "job"];
const OF_PARAM: [&str; 6] = ["type", "default", "min", "max", "choices", "description"];

pub(super) fn template(document: &Value) -> Result<Template, SpecError> {
    let mut wrong = Wrong::default();
    let Value::Map(entries) = document else {
        let expected = "expected a map of fields, as {\"params\": {}, \"task\": {\"image\": \"busybox\"}}";
        wrong.add("template", None, format!("is {}: {expected}", document.kind()));
        return Err(wrong.into_error());
    };
    let fields = wrong.fields("", entries, &FIELDS, "a template");
    let name = name(&fields, &mut wrong);
    let description = description("description", &fields, &mut wrong);
    let (params, declared) = params(&fields, &mut wrong);
    let made = made(&fields, &mut wrong);
    if let Some((makes, document)) = made {
        let mut places = Places { declared: &declared, used: BTreeSet::new() };
        places.look(makes.word(), document, &mut wrong);
        for name in declared.iter().filter(|name| !places.used.contains(*name)) {
            wrong.add(
                of_param(name),
                None,
                format!("has no place in the {}: write {OPEN}{name}}} there", makes.word()),
            );
        }
    }
    match made {
        Some((makes, document)) if wrong.is_none() => {
            Ok(Template { name, description, params, makes, document: document.clone() })
        }
        Some(_) | None => Err(wrong.into_error()),
    }
}

fn name(fields: &Fields<'_>, wrong: &mut Wrong) -> Option<TemplateName> {
    let given = fields.get("name").copied()?;
    let Value::Text(text) = given else {
        wrong.add("name", Some(given), "must be a text");
        return None;
    };
    text.parse().map_err(|why: crate::ids::IdError| wrong.add("name", None, why.to_string())).ok()
}

fn description(path: &str, fields: &Fields<'_>, wrong: &mut Wrong) -> Option<String> {
    let given = fields.get("description").copied()?;
    match given {
        Value::Text(text) if text.len() <= MAX_DESCRIPTION && !text.contains('\0') => Some(text.clone()),
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Map(_) => {
            wrong.add(path, Some(given), format!("must be a text of {MAX_DESCRIPTION} bytes at most"));
            None
        }
    }
}

/// What is made, and its document.
fn made<'a>(fields: &Fields<'a>, wrong: &mut Wrong) -> Option<(Makes, &'a Value)> {
    let field = |makes: Makes| fields.get(makes.word()).map(|document| (makes, *document));
    let (makes, document) = match (field(Makes::Task), field(Makes::Job)) {
        (Some(made), None) | (None, Some(made)) => made,
        (Some(_), Some(_)) => {
            wrong.add("job", None, "can not be beside task: a template makes one of them");
            return None;
        }
        (None, None) => {
            wrong.add("task", None, "is missing: a template has a task, or a job, as {\"image\": \"busybox\"}");
            return None;
        }
    };
    if !matches!(document, Value::Map(_)) {
        wrong.add(makes.word(), Some(document), "must be a map of fields");
        return None;
    }
    Some((makes, document))
}

/// The parameters that are right, and the names of all.
fn params<'a>(fields: &Fields<'a>, wrong: &mut Wrong) -> (Vec<Param>, Vec<&'a str>) {
    let (mut params, mut declared) = (Vec::new(), Vec::new());
    let Some(given) = fields.get("params").copied() else { return (params, declared) };
    let Value::Map(entries) = given else {
        wrong.add("params", Some(given), "must be a map of parameters, as {\"lr\": {\"type\": \"number\"}}");
        return (params, declared);
    };
    if entries.len() > MAX_PARAMS {
        wrong.add("params", Some(given), format!("has more than {MAX_PARAMS} parameters"));
        return (params, declared);
    }
    for (name, value) in entries {
        let path = of_param(name);
        if declared.contains(&name.as_str()) {
            wrong.add(path, None, "is given twice");
            continue;
        }
        declared.push(name.as_str());
        if !is_name(name) {
            wrong.add(path, None, format!("is no name of a parameter: 1 to {MAX_NAME} of a-z A-Z 0-9 _ -"));
        } else if let Value::Map(entries) = value {
            params.extend(param(name, &path, entries, wrong));
        } else {
            wrong.add(path, Some(value), "must be a map with its type, as {\"type\": \"number\", \"default\": 0.1}");
        }
    }
    (params, declared)
}

fn param(name: &str, path: &str, entries: &[(String, Value)], wrong: &mut Wrong) -> Option<Param> {
    let fields = wrong.fields(path, entries, &OF_PARAM, "a parameter");
    let description = description(&format!("{path}.description"), &fields, wrong);
    let kind = kind(path, &fields, wrong)?;
    let default = fields.get("default").copied().and_then(|value| match kind.value(value) {
        Ok(value) => Some(value),
        Err(problem) => {
            wrong.add(format!("{path}.default"), Some(value), problem);
            None
        }
    });
    Some(Param { name: name.to_owned(), kind, default, description })
}

fn kind(path: &str, fields: &Fields<'_>, wrong: &mut Wrong) -> Option<Kind> {
    let at = format!("{path}.type");
    let word = match fields.get("type").copied() {
        Some(Value::Text(word)) => word.as_str(),
        Some(other) => {
            wrong.add(at, Some(other), format!("must be one of {}", Kind::WORDS.join(", ")));
            return None;
        }
        None => {
            wrong.add(at, None, format!("is missing: it is one of {}", Kind::WORDS.join(", ")));
            return None;
        }
    };
    let before = wrong.count();
    let kind = match word {
        "number" => Kind::Number(bounds(path, fields, as_float, wrong)),
        "integer" => Kind::Integer(bounds(path, fields, integer, wrong)),
        "text" => Kind::Text,
        "bool" => Kind::Bool,
        "choice" => Kind::Choice(choices(path, fields, wrong)),
        other => {
            let problem = format!("{:?} is no type: there are {}", shown(other), Kind::WORDS.join(", "));
            wrong.add(at, None, problem);
            return None;
        }
    };
    let (bounded, chosen) = match kind {
        Kind::Number(_) | Kind::Integer(_) => (true, false),
        Kind::Text | Kind::Bool => (false, false),
        Kind::Choice(_) => (false, true),
    };
    for (field, belongs, whose) in
        [("min", bounded, "numbers"), ("max", bounded, "numbers"), ("choices", chosen, "the type choice")]
    {
        if !belongs && fields.contains_key(field) {
            wrong.add(format!("{path}.{field}"), None, format!("is for {whose}, and this is of the type {word}"));
        }
    }
    (wrong.count() == before).then_some(kind)
}

/// `min` and `max`, each by the type's own reading.
fn bounds<T: Copy + PartialOrd>(
    path: &str,
    fields: &Fields<'_>,
    read: fn(&Value) -> Option<T>,
    wrong: &mut Wrong,
) -> Bounds<T> {
    let mut bound = |field: &str| {
        let value = fields.get(field).copied()?;
        let number = read(value);
        if number.is_none() {
            wrong.add(format!("{path}.{field}"), Some(value), "must be a number of the parameter's type");
        }
        number
    };
    let bounds = Bounds { min: bound("min"), max: bound("max") };
    if let (Some(min), Some(max)) = (bounds.min, bounds.max)
        && min > max
    {
        wrong.add(format!("{path}.max"), fields.get("max").copied(), "is less than min");
    }
    bounds
}

/// What one may choose from: plain values, no two alike.
fn choices(path: &str, fields: &Fields<'_>, wrong: &mut Wrong) -> Vec<Value> {
    let at = format!("{path}.choices");
    let items = match fields.get("choices").copied() {
        Some(Value::List(items)) if (1..=MAX_CHOICES).contains(&items.len()) => items,
        given => {
            wrong.add(at, given, format!("must be a list of 1 to {MAX_CHOICES} values, as [\"sgd\", \"adam\"]"));
            return Vec::new();
        }
    };
    let mut words = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let problem = match plain(item) {
            None => Some("must be a text, a number or a truth value"),
            Some(word) => (!words.insert(word)).then_some("is there twice"),
        };
        if let Some(problem) = problem {
            wrong.add(format!("{at}[{index}]"), Some(item), problem);
        }
    }
    items.clone()
}

/// Looks for places in every text of a document.
struct Places<'a> {
    declared: &'a [&'a str],
    used: BTreeSet<&'a str>,
}

impl<'a> Places<'a> {
    fn look(&mut self, path: &str, value: &'a Value, wrong: &mut Wrong) {
        match value {
            Value::Text(text) => self.look_at(path, text, wrong),
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.look(&format!("{path}[{index}]"), item, wrong);
                }
            }
            Value::Map(entries) => {
                for (name, inner) in entries {
                    let path = format!("{path}.{}", shown(name));
                    if name.contains(OPEN) {
                        wrong.add(path.as_str(), None, "has a place in its name: places stand in values");
                    }
                    self.look(&path, inner, wrong);
                }
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        }
    }

    fn look_at(&mut self, path: &str, text: &'a str, wrong: &mut Wrong) {
        let pieces = match pieces(text) {
            Ok(pieces) => pieces,
            Err(problem) => return wrong.add(path, None, problem),
        };
        for piece in pieces {
            let Piece::Place(name) = piece else { continue };
            if self.declared.contains(&name) {
                self.used.insert(name);
            } else {
                let near = near(name, self.declared);
                wrong.add(path, None, format!("{OPEN}{}}} is no parameter of the template: {near}", shown(name)));
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain)
}

fn of_param(name: &str) -> String {
    format!("params.{}", shown(name))
}
