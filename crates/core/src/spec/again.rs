//! What may differ when an ended task is run again: how much it gets and how long it may take, not
//! what it does.

use super::fields::nearest;
use super::{FieldError, SpecError, TaskSpec, Value, read, requests, write};

/// The fields that a retry may give other values.
pub const CHANGES: [&str; 8] = [
    "cpu_cores",
    "memory_gb",
    "storage_gb",
    "gpu_cores",
    "priority",
    "timeout_s",
    "queue_timeout_s",
    "total_timeout_s",
];

pub(super) fn with(spec: &TaskSpec, changes: &Value) -> Result<TaskSpec, SpecError> {
    let Value::Map(changes) = changes else {
        let problem = format!("is {}: expected a map of fields, as {{\"memory_gb\": 4}}", changes.kind());
        return Err(SpecError(vec![FieldError { path: "retry".into(), value: None, problem }]));
    };
    let mut fields = write::fields(&spec.to_run_again());
    let (mut seen, mut errors) = (Vec::new(), Vec::new());
    for (name, value) in changes {
        let known = CHANGES.contains(&name.as_str());
        if !known || seen.contains(&name) {
            let problem = if known { "is given twice".into() } else { refused(name) };
            errors.push(FieldError { path: name.chars().take(80).collect(), value: None, problem });
        } else if *value != Value::Null {
            fields.retain(|(field, _)| field != name);
            fields.push((name.clone(), value.clone()));
            if let Some((_, all)) = fields.iter_mut().find(|(field, _)| field == "requests") {
                requests::unsay(all, name);
            }
        }
        seen.push(name);
    }
    match read::spec(&Value::Map(fields)) {
        Ok(spec) if errors.is_empty() => Ok(spec),
        Ok(_) => Err(SpecError(errors)),
        Err(more) => Err(SpecError(errors.into_iter().chain(more.0).collect())),
    }
}

fn refused(name: &str) -> String {
    let near = nearest(name).filter(|near| CHANGES.contains(near));
    match near {
        Some(near) if near != name => format!("is no field of a retry: did you mean {near}?"),
        _ => format!("can not be changed by a retry, which takes {}: submit a new task", CHANGES.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::GIB;
    use crate::spec::When;
    use crate::time::Timestamp;
    use std::time::Duration;

    fn value(json: &str) -> Value {
        serde_json::from_str(json).unwrap()
    }

    fn spec() -> TaskSpec {
        let text = r#"{"image":"a","cpu_cores":0.3,"memory_gb":1,"timeout_s":60,"priority":5,"env":{"A":"1"},
            "hold":true,"idempotency_key":"k","retries":{"max":2,"on":["oom"]}}"#;
        TaskSpec::from_value(&value(text)).unwrap()
    }

    #[test]
    fn a_retry_changes_what_it_names_and_keeps_the_rest() {
        assert_eq!(spec().run_again_with(&value("{}")), Ok(spec().to_run_again()));
        assert_eq!(spec().run_again_with(&value(r#"{"memory_gb":null}"#)), Ok(spec().to_run_again()));
        let again = spec().run_again_with(&value(r#"{"memory_gb":2,"timeout_s":90,"priority":-1}"#)).unwrap();
        let due = TaskSpec { deadline: Some(When::At(Timestamp::from_millis(5))), ..spec() };
        assert_eq!(due.to_run_again().deadline, None);
        let due = TaskSpec { deadline: Some(When::After(Duration::from_secs(5))), ..spec() };
        assert_eq!(due.to_run_again().deadline, due.deadline);
        let mut expected = spec().to_run_again();
        expected.demand.memory = 2 * GIB;
        expected.limits.run = Some(Duration::from_secs(90));
        expected.priority = -1;
        assert_eq!(again, expected);
        for name in CHANGES {
            assert!(super::super::LIVE.contains(&name), "{name}");
        }
    }

    #[test]
    fn an_amount_that_is_changed_is_that_of_every_request_but_gpus_of_what_has_none() {
        let text = r#"{"image":"a","requests":[{"gpu_cores":1,"gpu_model":"t4","memory_gb":1},{"cpu_cores":8,"memory_gb":4}]}"#;
        let spec = TaskSpec::from_value(&value(text)).unwrap();
        let again = spec.run_again_with(&value(r#"{"memory_gb":6,"gpu_cores":2}"#)).unwrap();
        let told: Vec<_> = again.demands().map(|one| (one.cpu_milli, one.memory / GIB, one.gpu_milli)).collect();
        assert_eq!(told, [(1000, 6, 2000), (8000, 6, 0)]);
        let SpecError(errors) = spec.run_again_with(&value(r#"{"memory_gb":0.001}"#)).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(spec.run_again_with(&value("{}")), Ok(spec));
    }

    #[test]
    fn every_wrong_change_is_named() {
        let text = r#"{"memory_gb":0.001,"timeout_s":"soon","image":"b","memory":2,"priority":1,"priority":2}"#;
        let SpecError(errors) = spec().run_again_with(&value(text)).unwrap_err();
        let told: Vec<_> = errors.iter().map(|error| (error.path.as_str(), error.problem.as_str())).collect();
        let expected = [
            ("image", "can not be changed by a retry"),
            ("memory", "did you mean memory_gb?"),
            ("priority", "is given twice"),
            ("memory_gb", "is out of range"),
            ("timeout_s", "must be a number"),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for ((path, problem), (expected, part)) in told.iter().zip(expected) {
            assert!(*path == expected && problem.contains(part), "{path}: {problem}");
        }
        let SpecError(errors) = spec().run_again_with(&value("[]")).unwrap_err();
        assert!(errors[0].problem.contains("is a list: expected a map"), "{errors:?}");
    }
}
