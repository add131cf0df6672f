//! Where the fields of a task come from: from itself, else from `defaults`, else from the job.

use super::wrong::Wrong;
use super::{OF_TASKS, OF_THE_JOB, shown};
use crate::spec::{LIVE, TaskSpec, Value, of_fields, refusal};
use std::collections::BTreeMap;

/// Fields of which each entry is looked for by itself.
const MIXED: [&str; 2] = ["env", "labels"];
/// Fields that a job says for all of its tasks.
const FOR_ALL: [&str; 2] = ["priority", "labels"];

/// Fields by their names.
pub(super) type Fields<'a> = BTreeMap<&'a str, &'a Value>;

/// What holds for tasks that do not say otherwise.
pub(super) struct Layers<'a> {
    defaults: Fields<'a>,
    job: Fields<'a>,
}

impl<'a> Layers<'a> {
    /// Takes what is for all tasks out of the fields of a job.
    pub(super) fn of(job: &Fields<'a>, wrong: &mut Wrong) -> Self {
        let mut layers = Self { defaults: Fields::new(), job: Fields::new() };
        for name in FOR_ALL {
            if let Some(value) = job.get(name).copied().filter(|value| **value != Value::Null) {
                layers.job.insert(name, value);
            }
        }
        match job.get("defaults").copied() {
            None | Some(Value::Null) => {}
            Some(Value::Map(entries)) => layers.read(entries, wrong),
            Some(other) => {
                wrong.add("defaults", Some(other.to_string()), "must be a map of fields that all tasks have");
            }
        }
        for (prefix, layer) in [("defaults.", &mut layers.defaults), ("", &mut layers.job)] {
            // Where a task has entries of its own those of a wrong map would be missed without a word.
            for name in MIXED {
                if layer.get(name).is_some_and(|value| !matches!(value, Value::Map(_))) {
                    let value = layer.remove(name).map(ToString::to_string);
                    wrong.add(format!("{prefix}{name}"), value, "must be a map");
                }
            }
        }
        layers
    }

    fn read(&mut self, entries: &'a [(String, Value)], wrong: &mut Wrong) {
        for (name, value) in entries {
            let path = format!("defaults.{}", shown(name));
            let name = name.as_str();
            if OF_THE_JOB.contains(&name) {
                wrong.add(path, None, "belongs to the job: write it beside defaults");
            } else if OF_TASKS.contains(&name) {
                wrong.add(path, None, "is said by each task for itself: it has no default");
            } else if !LIVE.contains(&name) {
                wrong.add(path, None, refusal(name));
            } else if *value != Value::Null && self.defaults.insert(name, value).is_some() {
                wrong.add(path, None, "is given twice");
            }
        }
    }

    /// What a task runs that has these fields of its own, `at` such a place.
    pub(super) fn spec(&self, own: &Fields<'_>, at: &str, wrong: &mut Wrong) -> Option<TaskSpec> {
        let mixed: Vec<_> = MIXED.into_iter().filter_map(|name| Some((name, self.mixed(name, own)?))).collect();
        let mut fields: Fields<'_> = Fields::new();
        for layer in [&self.job, &self.defaults, own] {
            fields.extend(layer.iter().map(|(name, value)| (*name, *value)));
        }
        fields.extend(mixed.iter().map(|(name, value)| (*name, value)));
        match of_fields(fields) {
            Ok(spec) => Some(spec),
            Err(error) => {
                let placed = error.0.into_iter().map(|error| (self.place(&error.path, own, at), error));
                placed.for_each(|(path, error)| wrong.add(path, error.value, error.problem));
                None
            }
        }
    }

    /// The entries of all layers that have the field, where more than one does.
    fn mixed(&self, name: &str, own: &Fields<'_>) -> Option<Value> {
        let layers = [self.job.get(name), self.defaults.get(name), own.get(name)];
        let maps: Vec<_> = layers.into_iter().flatten().map(|value| entries(value)).collect::<Option<_>>()?;
        if maps.len() < 2 {
            return None;
        }
        let mut mixed: BTreeMap<&str, &Value> = BTreeMap::new();
        for (key, value) in maps.into_iter().flatten() {
            mixed.insert(key, value);
        }
        Some(Value::Map(mixed.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()))
    }

    /// Where the field stands that a task's spec has: `tasks[3].env.A`, `defaults.env.A`, `labels.a`.
    pub(super) fn place(&self, path: &str, own: &Fields<'_>, at: &str) -> String {
        // What is wrong with the spec as a whole is told of the task.
        if path == "task" {
            return at.to_owned();
        }
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (field, rest) = path.split_at(end);
        let key = rest.strip_prefix('.').filter(|_| MIXED.contains(&field));
        // An entry of a map is where its key is, which a path has cut.
        let holds = |value: &Value, key: &str| {
            entries(value).is_none_or(|entries| entries.iter().any(|(known, _)| shown(known) == key))
        };
        let has = |layer: &Fields<'_>| layer.get(field).is_some_and(|value| key.is_none_or(|key| holds(value, key)));
        if has(own) {
            format!("{at}.{path}")
        } else if has(&self.defaults) {
            format!("defaults.{path}")
        } else if has(&self.job) {
            path.to_owned()
        } else {
            format!("{at}.{path}")
        }
    }
}

fn entries(value: &Value) -> Option<&[(String, Value)]> {
    match value {
        Value::Map(entries) => Some(entries),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => None,
    }
}
