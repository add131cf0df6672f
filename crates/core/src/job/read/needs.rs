//! What a task waits for: `needs`, or `depends_on` as other documents call it.

use super::layers::Fields;
use super::names::Names;
use super::shown;
use super::wrong::{Refused, Wrong};
use crate::ids::TaskId;
use crate::job::{Need, On};
use crate::spec::Value;
use crate::task::DependsWhen;
use std::collections::BTreeSet;

const WHENS: [DependsWhen; 3] = [DependsWhen::Success, DependsWhen::Failure, DependsWhen::Any];
const FORM: &str =
    "must be the name of a task, a list of names, or of maps as {\"task\": \"a\", \"when\": \"success|failure|any\"}";

/// Reads the needs of the task of this number, each once.
pub(super) fn read(number: u32, (own, at): (&Fields<'_>, &str), names: &Names<'_>, wrong: &mut Wrong) -> Vec<Need> {
    let (field, value) = match (own.get("needs"), own.get("depends_on")) {
        (None, None) => return Vec::new(),
        (Some(needs), None) => ("needs", *needs),
        (None, Some(depends_on)) => ("depends_on", *depends_on),
        (Some(_), Some(_)) => {
            wrong.add(format!("{at}.depends_on"), None, "can not be beside needs, which is the same");
            return Vec::new();
        }
    };
    let path = format!("{at}.{field}");
    let one = |value: &Value, path: String, wrong: &mut Wrong| need(value, path, (number, names), wrong).ok();
    match value {
        Value::List(items) => {
            let (mut needs, mut seen) = (Vec::with_capacity(items.len()), BTreeSet::new());
            for (index, item) in items.iter().enumerate() {
                let path = format!("{path}[{index}]");
                let Some(need) = one(item, path.clone(), wrong) else { continue };
                if seen.insert(need.on) {
                    needs.push(need);
                } else {
                    wrong.add(path, Some(item.to_string()), "is needed already: each task is named once");
                }
            }
            needs
        }
        Value::Text(_) | Value::Map(_) => one(value, path, wrong).into_iter().collect(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            wrong.add(path, Some(value.to_string()), FORM);
            Vec::new()
        }
    }
}

/// `NAME`, or `{task = NAME, when = ...}`.
fn need(value: &Value, path: String, of: (u32, &Names<'_>), wrong: &mut Wrong) -> Result<Need, Refused> {
    let (mut name, mut when) = (None, DependsWhen::Success);
    match value {
        Value::Text(text) => name = Some((text, path.clone())),
        Value::Map(entries) => {
            for (field, value) in entries {
                match (field.as_str(), value) {
                    ("task", Value::Text(text)) => name = Some((text, format!("{path}.task"))),
                    ("when", _) => when = read_when(value, format!("{path}.when"), wrong)?,
                    ("task", _) => {
                        return Err(wrong.refuse(format!("{path}.task"), Some(value.to_string()), "must be a text"));
                    }
                    _ => {
                        let path = format!("{path}.{}", shown(field));
                        return Err(wrong.refuse(path, None, "is no field of a need: there are task and when"));
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => {}
    }
    let Some((name, path)) = name else { return Err(wrong.refuse(path, Some(value.to_string()), FORM)) };
    Ok(Need { on: on(name, path, of, wrong)?, when })
}

fn read_when(value: &Value, path: String, wrong: &mut Wrong) -> Result<DependsWhen, Refused> {
    let known = WHENS.into_iter().find(|when| *value == Value::Text(when.word().into()));
    known.ok_or_else(|| wrong.refuse(path, Some(value.to_string()), "is not one of success, failure, any"))
}

/// A task of the job by its name, any other by its id.
fn on(name: &str, path: String, (number, names): (u32, &Names<'_>), wrong: &mut Wrong) -> Result<On, Refused> {
    if name.starts_with(TaskId::PREFIX) {
        return name.parse().map(On::Task).map_err(|error| wrong.refuse(path, None, error.to_string()));
    }
    let problem = match names.number(name) {
        Some(group) if group != number => return Ok(On::Group(group)),
        Some(_) => "is the task itself, which can not wait for its own end".into(),
        None => names.unknown(name),
    };
    Err(wrong.refuse(path, Some(format!("{name:?}")), problem))
}
