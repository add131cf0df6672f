//! Which workers a task may run on by their labels and by where its kin run, and which it would rather.

use super::Value;
use super::read::Reader;
use crate::kin::{self, Spread};
use crate::label::{Constraint, MOST, Operator, Preference, WEIGHT, check_key};
use std::ops::RangeInclusive;

const OF_CONSTRAINT: [&str; 3] = ["label", "op", "values"];
const OF_SPREAD: [&str; 2] = ["label", "weight"];
const OF_PREFERENCE: [&str; 2] = ["expr", "weight"];
const CONSTRAINTS: &str = "must be a list of constraints, as [\"zone = eu\", \"gpu.model in (a100, h100)\"]";
const AFFINITY: &str = "must be a list of preferences, as [{\"expr\": \"zone = eu\", \"weight\": 50}]";

const APART: &str = "must be a list of labels, as [\"worker.id\"]";
const SPREAD: &str = "must be a list of labels, as [\"zone\"] or [{\"label\": \"zone\", \"weight\": 50}]";
const TWICE: &str = "names a label that is named before";
const NO_LABEL: &str = "is missing: name a label of workers, or a fact, as zone or worker.id";

/// Reads what must hold of a worker.
pub(super) fn constraints(task: &mut Reader<'_>) -> Vec<Constraint> {
    let Some(value) = task.get("constraints") else { return Vec::new() };
    let Value::List(items) = value else {
        task.wrong("constraints", CONSTRAINTS);
        return Vec::new();
    };
    if items.len() > MOST {
        task.wrong("constraints", &format!("has more than {MOST} entries"));
    }
    let mut constraints = Vec::with_capacity(items.len().min(MOST));
    for (index, item) in items.iter().enumerate().take(MOST) {
        constraints.extend(constraint(task, &format!("constraints[{index}]"), item));
    }
    constraints
}

/// One as a text, or as a map of its parts.
fn constraint<'a>(task: &mut Reader<'a>, path: &str, item: &'a Value) -> Option<Constraint> {
    let made = match item {
        Value::Text(text) => text.parse::<Constraint>(),
        Value::Map(entries) => {
            let mut reader = Reader::within(entries, "constraints", &OF_CONSTRAINT);
            let made = of_parts(&mut reader);
            task.take_errors(path, reader);
            made?
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => {
            Err(format!("must be a text, as \"zone = eu\", or a map with any of {}", OF_CONSTRAINT.join(", ")))
        }
    };
    match made {
        Ok(constraint) => Some(constraint),
        Err(problem) => {
            task.error(path.to_owned(), Some(item.to_string()), problem);
            None
        }
    }
}

/// Of the parts that are there; none where one of them is wrong by itself.
fn of_parts(reader: &mut Reader<'_>) -> Option<Result<Constraint, String>> {
    for (field, missing) in [
        ("label", "is missing: name a label of workers, or a fact, as zone or gpu.model"),
        ("op", "is missing: one of =, !=, in, notin, exists, !"),
    ] {
        if reader.get(field).is_none() {
            reader.error(field.into(), None, missing.into());
        }
    }
    let key = reader.checked("label", |key| check_key(key).map(|()| key.to_owned()));
    let operator = reader.checked("op", Operator::of_word);
    let values = if reader.get("values").is_some() { reader.texts("values") } else { Some(Vec::new()) };
    Some(Constraint::of(&key?, operator?, values?))
}

/// A label by which workers are told apart: each has one value of it, where it has any.
fn check_domain(key: &str) -> Result<(), &'static str> {
    if key == "image" {
        return Err("is no place: a worker has many images; name a label, or a fact as worker.id");
    }
    check_key(key)
}

/// Reads what a task would rather have.
pub(super) fn affinity(task: &mut Reader<'_>) -> Vec<Preference> {
    let mut preferences = Vec::new();
    for (index, mut reader) in task.maps("affinity", MOST, AFFINITY, &OF_PREFERENCE) {
        let expr = reader.parsed_text::<Constraint>("expr", "is missing: say what is preferred, as \"zone = eu\"");
        let weight = weight_within(&mut reader, -100..=100, "must be a whole number from -100 to 100, and not 0");
        preferences.extend(expr.map(|expr| Preference { expr, weight }));
        task.take_errors(&format!("affinity[{index}]"), reader);
    }
    preferences
}

fn weight_within(reader: &mut Reader<'_>, allowed: RangeInclusive<i32>, expected: &str) -> i32 {
    let weight = match reader.get("weight") {
        None => return WEIGHT,
        Some(Value::Int(weight)) => i32::try_from(*weight).ok(),
        Some(_) => None,
    };
    weight.filter(|weight| *weight != 0 && allowed.contains(weight)).unwrap_or_else(|| {
        reader.wrong("weight", expected);
        WEIGHT
    })
}

/// Reads by what a task is kept apart from its kin.
pub(super) fn anti_affinity(task: &mut Reader<'_>) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for (path, item) in entries(task, "anti_affinity", APART) {
        let made = match item {
            Value::Text(key) => check_domain(key).map(|()| key),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
                Err("must be a text, as \"worker.id\"")
            }
        };
        match made {
            Ok(key) if keys.contains(key) => task.error(path, Some(item.to_string()), TWICE.into()),
            Ok(key) => keys.push(key.clone()),
            Err(problem) => task.error(path, Some(item.to_string()), problem.into()),
        }
    }
    keys
}

/// Reads over what a task would rather be spread with its kin.
pub(super) fn spread(task: &mut Reader<'_>) -> Vec<Spread> {
    let mut all: Vec<Spread> = Vec::new();
    for (path, item) in entries(task, "spread", SPREAD) {
        let made = match item {
            Value::Text(key) => match check_domain(key) {
                Ok(()) => Some(Spread { label: key.clone(), weight: WEIGHT }),
                Err(problem) => {
                    task.error(path.clone(), Some(item.to_string()), problem.into());
                    None
                }
            },
            Value::Map(entries) => {
                let mut reader = Reader::within(entries, "spread", &OF_SPREAD);
                if reader.get("label").is_none() {
                    reader.error("label".into(), None, NO_LABEL.into());
                }
                let label = reader.checked("label", |key| check_domain(key).map(|()| key.to_owned()));
                let weight = weight_within(&mut reader, 1..=100, "must be a whole number from 1 to 100");
                task.take_errors(&path, reader);
                label.map(|label| Spread { label, weight })
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => {
                let problem = format!("must be a text, as \"zone\", or a map with any of {}", OF_SPREAD.join(", "));
                task.error(path.clone(), Some(item.to_string()), problem);
                None
            }
        };
        match made {
            Some(made) if all.iter().any(|one| one.label == made.label) => {
                task.error(path, Some(item.to_string()), TWICE.into());
            }
            made => all.extend(made),
        }
    }
    all
}

/// The entries of a list of labels, each with its path; at most so many as are allowed.
fn entries<'a>(task: &mut Reader<'a>, name: &str, expected: &str) -> Vec<(String, &'a Value)> {
    let Some(value) = task.get(name) else { return Vec::new() };
    let Value::List(items) = value else {
        task.wrong(name, expected);
        return Vec::new();
    };
    if items.len() > kin::MOST {
        task.wrong(name, &format!("has more than {} entries", kin::MOST));
    }
    items.iter().enumerate().take(kin::MOST).map(|(index, item)| (format!("{name}[{index}]"), item)).collect()
}

/// The document that [`spread`] reads back.
pub(super) fn write_spread(spread: &[Spread]) -> Value {
    let map = |one: &Spread| {
        Value::Map(vec![
            ("label".into(), Value::Text(one.label.clone())),
            ("weight".into(), Value::Int(one.weight.into())),
        ])
    };
    Value::List(spread.iter().map(map).collect())
}

/// The document that [`constraints`] reads back.
pub(super) fn write_constraints(constraints: &[Constraint]) -> Value {
    Value::List(constraints.iter().map(|constraint| Value::Text(constraint.to_string())).collect())
}

/// The document that [`affinity`] reads back.
pub(super) fn write_affinity(preferences: &[Preference]) -> Value {
    let map = |preference: &Preference| {
        Value::Map(vec![
            ("expr".into(), Value::Text(preference.expr.to_string())),
            ("weight".into(), Value::Int(preference.weight.into())),
        ])
    };
    Value::List(preferences.iter().map(map).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{SpecError, TaskSpec};

    fn read(fields: &str) -> Result<TaskSpec, SpecError> {
        TaskSpec::from_value(&serde_json::from_str(&format!("{{\"image\": \"a\", {fields}}}")).unwrap())
    }

    #[test]
    fn constraints_and_preferences_are_read_and_written_back_and_no_worker_is_told_of_them() {
        let spec = read(
            r#""constraints": ["zone in (us, eu)", {"label": "disk", "op": "=", "values": ["ssd"]}, {"label": "a", "op": "!"}],
               "affinity": [{"expr": "rack = 1"}, {"expr": "exists slow", "weight": -100}]"#,
        )
        .unwrap();
        let shown: Vec<_> = spec.constraints.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["zone in (eu, us)", "disk = ssd", "!a"]);
        let weights: Vec<_> = spec.affinity.iter().map(|one| (one.expr.to_string(), one.weight)).collect();
        assert_eq!(weights, [("rack = 1".to_owned(), 50), ("exists slow".to_owned(), -100)]);
        assert_eq!(TaskSpec::from_value(&spec.to_value()), Ok(spec.clone()));
        let stored = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<TaskSpec>(&stored).unwrap(), spec);
        let told = serde_json::to_string(&spec.for_worker()).unwrap();
        assert!(!told.contains("constraints") && !told.contains("affinity"), "{told}");
        assert_eq!(read(r#""name": "n""#).unwrap().constraints, []);
    }

    #[test]
    fn labels_to_be_apart_by_and_to_be_spread_over_are_read_and_written_back_and_no_worker_is_told_of_them() {
        let spec = read(
            r#""anti_affinity": ["worker.id", "rack"], "spread": ["zone", {"label": "disk"}, {"label": "os", "weight": 7}]"#,
        )
        .unwrap();
        assert_eq!(spec.anti_affinity, ["worker.id", "rack"]);
        let weights: Vec<_> = spec.spread.iter().map(|one| (one.label.as_str(), one.weight)).collect();
        assert_eq!(weights, [("zone", 50), ("disk", 50), ("os", 7)]);
        assert_eq!(TaskSpec::from_value(&spec.to_value()), Ok(spec.clone()));
        let stored = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<TaskSpec>(&stored).unwrap(), spec);
        let told = serde_json::to_string(&spec.for_worker()).unwrap();
        assert!(!told.contains("anti_affinity") && !told.contains("spread"), "{told}");
        let most = serde_json::json!(["a", "b", "c", "d", "e", "f", "g", "h"]);
        assert!(read(&format!(r#""anti_affinity": {most}, "spread": {most}"#)).is_ok());
    }

    #[test]
    fn every_wrong_constraint_and_preference_is_named() {
        let texts = |count: usize| serde_json::json!(vec!["zone = eu"; count]);
        let rows = [
            (r#""constraints": "zone = eu""#.to_owned(), "constraints", "list of constraints"),
            (r#""constraints": ["zone = eu", "zone ~ eu"]"#.into(), "constraints[1]", "expected zone = eu"),
            (r#""constraints": [7]"#.into(), "constraints[0]", "must be a text"),
            (r#""constraints": [{"op": "exists"}]"#.into(), "constraints[0].label", "is missing"),
            (r#""constraints": [{"label": "zone"}]"#.into(), "constraints[0].op", "is missing"),
            (r#""constraints": [{"label": "zone", "op": "like"}]"#.into(), "constraints[0].op", "one of ="),
            (r#""constraints": [{"label": "zone", "op": "in"}]"#.into(), "constraints[0]", "takes values"),
            (
                r#""constraints": [{"label": "zone", "op": "=", "value": "x"}]"#.into(),
                "constraints[0].value",
                "no field of constraints",
            ),
            (format!(r#""constraints": {}"#, texts(33)), "constraints", "more than 32"),
            (r#""anti_affinity": "zone""#.into(), "anti_affinity", "list of labels"),
            (r#""anti_affinity": ["zone", "a b"]"#.into(), "anti_affinity[1]", "no label name"),
            (r#""anti_affinity": [{"label": "zone"}]"#.into(), "anti_affinity[0]", "must be a text"),
            (r#""anti_affinity": ["zone", "disk", "zone"]"#.into(), "anti_affinity[2]", "named before"),
            (format!(r#""anti_affinity": {}"#, texts(9)), "anti_affinity", "more than 8"),
            (r#""spread": {"label": "zone"}"#.into(), "spread", "list of labels"),
            (r#""spread": [7]"#.into(), "spread[0]", "must be a text"),
            (r#""spread": ["a b"]"#.into(), "spread[0]", "no label name"),
            (r#""spread": [{"weight": 7}]"#.into(), "spread[0].label", "is missing"),
            (r#""spread": [{"label": "a b"}]"#.into(), "spread[0].label", "no label name"),
            (r#""spread": [{"label": "a", "weight": 0}]"#.into(), "spread[0].weight", "1 to 100"),
            (r#""spread": [{"label": "a", "weight": 101}]"#.into(), "spread[0].weight", "1 to 100"),
            (r#""spread": [{"label": "a", "by": 1}]"#.into(), "spread[0].by", "no field of spread"),
            (r#""spread": ["zone", {"label": "zone", "weight": 7}]"#.into(), "spread[1]", "named before"),
            (format!(r#""spread": {}"#, texts(9)), "spread", "more than 8"),
            (r#""affinity": {}"#.into(), "affinity", "list of preferences"),
            (r#""affinity": ["zone = eu"]"#.into(), "affinity[0]", "must be a map"),
            (r#""affinity": [{"weight": 5}]"#.into(), "affinity[0].expr", "is missing"),
            (r#""affinity": [{"expr": "zone"}]"#.into(), "affinity[0].expr", "expected zone = eu"),
            (r#""affinity": [{"expr": "zone = eu", "weight": 0}]"#.into(), "affinity[0].weight", "not 0"),
            (r#""affinity": [{"expr": "zone = eu", "weight": 101}]"#.into(), "affinity[0].weight", "-100 to 100"),
        ];
        for (fields, path, said) in rows {
            let SpecError(errors) = read(&fields).unwrap_err();
            let found = errors.iter().find(|error| error.path == path);
            assert!(found.is_some_and(|error| error.problem.contains(said)), "{fields}: {errors:?}");
        }
        assert!(read(&format!(r#""constraints": {}"#, texts(32))).is_ok());
    }
}
