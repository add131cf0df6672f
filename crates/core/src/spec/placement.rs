//! Which workers a task may run on by their labels, and which it would rather.

use super::Value;
use super::read::Reader;
use crate::label::{Constraint, MOST, Operator, Preference, WEIGHT, check_key};

const OF_CONSTRAINT: [&str; 3] = ["label", "op", "values"];
const OF_PREFERENCE: [&str; 2] = ["expr", "weight"];
const CONSTRAINTS: &str = "must be a list of constraints, as [\"zone = eu\", \"gpu.model in (a100, h100)\"]";
const AFFINITY: &str = "must be a list of preferences, as [{\"expr\": \"zone = eu\", \"weight\": 50}]";

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

/// Reads what a task would rather have.
pub(super) fn affinity(task: &mut Reader<'_>) -> Vec<Preference> {
    let mut preferences = Vec::new();
    for (index, mut reader) in task.maps("affinity", MOST, AFFINITY, &OF_PREFERENCE) {
        let expr = reader.parsed_text::<Constraint>("expr", "is missing: say what is preferred, as \"zone = eu\"");
        let weight = weight(&mut reader);
        preferences.extend(expr.map(|expr| Preference { expr, weight }));
        task.take_errors(&format!("affinity[{index}]"), reader);
    }
    preferences
}

fn weight(reader: &mut Reader<'_>) -> i32 {
    let weight = match reader.get("weight") {
        None => return WEIGHT,
        Some(Value::Int(weight)) => i32::try_from(*weight).ok(),
        Some(_) => None,
    };
    weight.filter(|weight| *weight != 0 && (-100..=100).contains(weight)).unwrap_or_else(|| {
        reader.wrong("weight", "must be a whole number from -100 to 100, and not 0");
        WEIGHT
    })
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
