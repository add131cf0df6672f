//! A task document that asks for more than one task by itself: elements, or an end that is waited for. It is a job of
//! one named task.

use super::JobFile;
use crate::spec::{FieldError, SpecError, TaskSpec, Value, is_task_name};
use std::sync::Arc;

/// Fields by which a task document is a job.
const OF_JOBS: [&str; 6] = ["array", "at_once", "each", "gang", "needs", "depends_on"];
/// Fields of a task document that are the whole job's.
const OF_THE_WHOLE: [&str; 2] = ["hold", "idempotency_key"];
/// What the task is called in its job when its own name can not be.
const PLAIN: &str = "task";
/// Where the task stands in the job that is made of it.
const PLACE: &str = "tasks[0]";

/// What a task document asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskFile {
    /// One task by itself.
    Task(Box<TaskSpec>),
    /// A job of one named task.
    Job(JobFile),
}

impl TaskFile {
    /// Reads a document, checking every field.
    /// # Errors
    /// All wrong fields at once, by their places in this document.
    pub fn from_value(document: &Value) -> Result<Self, SpecError> {
        let alone = |document: &Value| TaskSpec::from_value(document).map(|spec| Self::Task(Box::new(spec)));
        let Value::Map(entries) = document else { return alone(document) };
        if Self::is_job(document) {
            return job(entries).map(Self::Job);
        }
        if !entries.iter().any(|(name, _)| OF_JOBS.contains(&name.as_str())) {
            return alone(document);
        }
        let rest = entries.iter().filter(|(name, _)| !OF_JOBS.contains(&name.as_str())).cloned();
        alone(&Value::Map(rest.collect()))
    }

    /// Whether a document is read as a job: by a field that says something.
    #[must_use]
    pub fn is_job(document: &Value) -> bool {
        let Value::Map(entries) = document else { return false };
        entries.iter().any(|(name, value)| OF_JOBS.contains(&name.as_str()) && says_something(name, value))
    }
}

/// Who needs nothing, or starts with nobody, may say so.
fn says_something(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(false) => name != "gang",
        Value::List(items) => !items.is_empty() || !matches!(name, "needs" | "depends_on"),
        Value::Bool(true) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::Map(_) => true,
    }
}

/// The job of a task with these fields; it is called as the task is.
fn job(entries: &[(String, Value)]) -> Result<JobFile, SpecError> {
    let (mut whole, mut task) = (Vec::new(), Vec::new());
    let mut name = None;
    for (field, value) in entries {
        match (field.as_str(), value) {
            ("name", Value::Text(text)) => {
                name = Some(text);
                whole.push((field.clone(), value.clone()));
            }
            ("name", _) => whole.push((field.clone(), value.clone())),
            (word, _) if OF_THE_WHOLE.contains(&word) => whole.push((field.clone(), value.clone())),
            _ => task.push((field.clone(), value.clone())),
        }
    }
    let called = name.filter(|name| is_task_name(name).is_ok()).map_or(PLAIN, String::as_str);
    task.push(("name".into(), Value::Text(called.into())));
    whole.push(("tasks".into(), Value::List(vec![Value::Map(task)])));
    let mut file = JobFile::from_value(&Value::Map(whole)).map_err(in_the_task)?;
    for group in &mut file.plan.groups {
        // For people it has the name that they gave, or none.
        if group.spec.name.as_ref() != name {
            Arc::make_mut(&mut group.spec).name = name.cloned();
        }
    }
    Ok(file)
}

/// What is wrong with the job, by its place in the document of the task.
fn in_the_task(error: SpecError) -> SpecError {
    let placed = |error: FieldError| {
        let path = match error.path.strip_prefix(PLACE) {
            Some("") => "task".to_owned(),
            Some(rest) => rest.strip_prefix('.').unwrap_or(rest).to_owned(),
            // Too many elements are told of the list as a whole.
            None if error.path == "tasks" => "array".to_owned(),
            None => error.path,
        };
        FieldError { path, ..error }
    };
    SpecError(error.0.into_iter().map(placed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TaskId;
    use crate::job::{Need, On};
    use crate::task::DependsWhen;

    fn read(text: &str) -> Result<TaskFile, SpecError> {
        TaskFile::from_value(&serde_json::from_str(text).unwrap())
    }

    fn job(text: &str) -> JobFile {
        match read(text) {
            Ok(TaskFile::Job(file)) => file,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_says_nothing_of_a_job_is_one_task() {
        for text in [
            r#"{"image": "a"}"#,
            r#"{"image": "a", "array": null, "each": null, "at_once": null}"#,
            r#"{"image": "a", "depends_on": [], "needs": []}"#,
        ] {
            let Ok(TaskFile::Task(spec)) = read(text) else { panic!("{text}") };
            assert_eq!(spec.image, "a", "{text}");
        }
        assert!(read("7").is_err() && read(r#"{"arrai": 1, "image": "a"}"#).is_err());
    }

    #[test]
    fn an_array_is_a_job_that_is_called_as_its_task_and_has_its_hold_and_its_key() {
        let file = job(r#"{"image": "a", "name": "fit", "array": "0-9%2", "hold": true, "idempotency_key": "k"}"#);
        assert_eq!((file.plan.name.as_deref(), file.hold), (Some("fit"), true));
        assert_eq!((file.idempotency_key.as_deref(), file.plan.tasks()), (Some("k"), 10));
        let group = &file.plan.groups[0];
        assert_eq!((&*group.name, group.spec.name.as_deref(), group.spec.hold), ("fit", Some("fit"), false));
        assert_eq!(group.elements.as_ref().unwrap().at_once, Some(2));
        assert_eq!(group.spec.idempotency_key, None, "the key is the job's: its tasks are found by their ids");
        assert_eq!(job(r#"{"image": "a", "each": ["x", "y"], "args": ["${item}"]}"#).plan.tasks(), 2);
    }

    #[test]
    fn a_name_that_no_task_of_a_job_may_have_is_kept_for_people() {
        let file = job(r#"{"image": "a", "name": "My fit #3", "array": 2}"#);
        let group = &file.plan.groups[0];
        let names = (file.plan.name.as_deref(), &*group.name, group.spec.name.as_deref());
        assert_eq!(names, (Some("My fit #3"), "task", Some("My fit #3")));
        let file = job(r#"{"image": "a", "array": 2}"#);
        assert_eq!((file.plan.name, file.plan.groups[0].spec.name.as_ref()), (None, None));
    }

    #[test]
    fn what_it_waits_for_is_a_need_of_something_outside() {
        let other = TaskId::new(7);
        for (given, when) in [
            (format!(r#"["{other}"]"#), DependsWhen::Success),
            (format!(r#""{other}""#), DependsWhen::Success),
            (format!(r#"[{{"task": "{other}", "when": "any"}}]"#), DependsWhen::Any),
        ] {
            let file = job(&format!(r#"{{"image": "a", "depends_on": {given}}}"#));
            assert_eq!(file.plan.groups[0].needs, [Need { on: On::Task(other), when }], "{given}");
            assert!(file.plan.groups[0].elements.is_none());
        }
    }

    #[test]
    fn every_wrong_field_is_named_by_its_place_in_the_task() {
        let rows = [
            (r#"{"image": "a", "array": {}}"#, "array"),
            (r#"{"image": "a", "array": 3, "cpus": 1}"#, "cpus"),
            (r#"{"image": "a", "array": 3, "args": ["${item.x}"]}"#, "args[0]"),
            (r#"{"image": "a", "array": 3, "name": 7}"#, "name"),
            (r#"{"image": "a", "array": 3, "name": "a", "name": "b"}"#, "name"),
            (r#"{"image": "a", "array": 3, "hold": 7}"#, "hold"),
            (r#"{"image": "a", "array": 3, "env": {"CLOUDAI_X": "1"}}"#, "env.CLOUDAI_X"),
            (r#"{"image": "a", "depends_on": ["other"]}"#, "depends_on[0]"),
            (r#"{"image": "a", "depends_on": [{"task": "task-x"}]}"#, "depends_on[0].task"),
            (r#"{"image": "a", "at_once": 3}"#, "at_once"),
            (r#"{"array": 3}"#, "image"),
            (r#"{"image": "a", "array": 3, "..": 1}"#, ".."),
            (r#"{"image": "a", "array": 3, "template": "t"}"#, "template"),
        ];
        for (text, path) in rows {
            let error = read(text).unwrap_err();
            assert!(error.0.iter().any(|field| field.path == path), "{text}: {error}");
            assert!(!error.to_string().contains(PLACE), "{text}: {error}");
        }
    }
}
