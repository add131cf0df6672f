//! What a document names of the machine of whoever runs a template: files and folders that only the command line
//! brings.

use super::Makes;
use crate::sha256::Sha256;
use crate::spec::Value;

/// What an input's source begins with that is no path.
const SCHEMES: [&str; 6] = ["task", "blob", "tree", "http", "https", "s3"];
/// By which `each` names a file.
const FORMS: [&str; 2] = ["csv", "lines"];
/// Where a working directory of that machine lies in the container.
const WORKSPACE: &str = "/workspace";

/// A field of a part of a document that names a file.
enum Place<'a> {
    /// The source of the input at a place of the list.
    Input(usize, &'a mut String),
    /// A working directory.
    Workdir(&'a mut String),
    /// The items of an array, by this form.
    Each(&'a str),
}

/// The fields of a filled document that name a file or a folder, by their paths: `inputs[0].from`, `tasks[3].each.csv`.
#[must_use]
pub fn files_of(makes: Makes, document: &Value) -> Vec<String> {
    let mut document = document.clone();
    let mut found = Vec::new();
    for (before, part) in parts(makes, &mut document) {
        found.extend(places(part).into_iter().map(|place| match place {
            Place::Input(index, _) => format!("{before}inputs[{index}].from"),
            Place::Workdir(_) => format!("{before}workdir"),
            Place::Each(form) => format!("{before}each.{form}"),
        }));
    }
    found
}

/// A filled document as it may be checked, with any content in the place of files; none where what a file holds decides
/// whether it is valid.
pub(super) fn with_stand_ins(makes: Makes, mut document: Value) -> Option<Value> {
    for (_, part) in parts(makes, &mut document) {
        for place in places(part) {
            match place {
                Place::Input(_, from) => *from = format!("blob:{}", Sha256([0; 32])),
                Place::Workdir(folder) => WORKSPACE.clone_into(folder),
                Place::Each(_) => return None,
            }
        }
    }
    Some(document)
}

/// The parts of a document that have the fields of tasks, each with what stands before their names.
fn parts(makes: Makes, document: &mut Value) -> Vec<(String, &mut Value)> {
    let fields = match (makes, document) {
        (Makes::Task, document) => return vec![(String::new(), document)],
        (Makes::Job, Value::Map(fields)) => fields,
        (
            Makes::Job,
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_),
        ) => return Vec::new(),
    };
    let mut parts = Vec::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("defaults", defaults) => parts.push(("defaults.".to_owned(), defaults)),
            (word @ ("tasks" | "task"), Value::List(tasks)) => {
                parts.extend(tasks.iter_mut().enumerate().map(|(at, task)| (format!("{word}[{at}]."), task)));
            }
            _ => {}
        }
    }
    parts
}

fn places(part: &mut Value) -> Vec<Place<'_>> {
    let mut found = Vec::new();
    let Value::Map(fields) = part else { return found };
    for (name, value) in fields {
        if name == "inputs"
            && let Value::List(inputs) = value
        {
            let sources = inputs.iter_mut().enumerate().filter_map(|(at, input)| Some((at, source(input)?)));
            found.extend(sources.filter(|(_, from)| is_path(from)).map(|(at, from)| Place::Input(at, from)));
        } else if name == "workdir"
            && let Value::Text(folder) = value
        {
            found.extend(Some(folder).filter(|text| is_folder_of_a_user(text)).map(Place::Workdir));
        } else if name == "each"
            && let Value::Map(entries) = value
            && let [(form, Value::Text(_))] = entries.as_slice()
            && FORMS.contains(&form.as_str())
        {
            found.push(Place::Each(form));
        }
    }
    found
}

fn is_folder_of_a_user(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('/')
}

fn source(input: &mut Value) -> Option<&mut String> {
    let Value::Map(fields) = input else { return None };
    fields.iter_mut().find_map(|(name, value)| match (name.as_str(), value) {
        ("from", Value::Text(from)) => Some(from),
        _ => None,
    })
}

fn is_path(from: &str) -> bool {
    let scheme = from.split_once(':').map(|(scheme, _)| scheme);
    !from.is_empty() && scheme.is_none_or(|scheme| !SCHEMES.contains(&scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn files_and_folders_are_found_by_their_fields() {
        let task = r#"{"image": "a", "workdir": "src", "each": {"csv": "rows.csv"}, "inputs": [
            {"from": "./data", "path": "/d"}, {"from": "https://h/x", "path": "/x"}, {"from": "task:a/b", "path": "/b"},
            {"from": "", "path": "/e"}, {"from": "/abs/x", "path": "/y"}]}"#;
        let found = files_of(Makes::Task, &value(task));
        assert_eq!(found, ["workdir", "each.csv", "inputs[0].from", "inputs[4].from"]);
        let job = format!(r#"{{"defaults": {{"workdir": "."}}, "tasks": [{{"name": "a"}}, {task}]}}"#);
        let found = files_of(Makes::Job, &value(&job));
        let in_task = ["workdir", "each.csv", "inputs[0].from", "inputs[4].from"];
        let expected: Vec<String> = ["defaults.workdir".to_owned()]
            .into_iter()
            .chain(in_task.map(|field| format!("tasks[1].{field}")))
            .collect();
        assert_eq!(found, expected);
        for none in [
            r#"{"image": "a", "workdir": "/w", "each": {"csv": ["a"]}}"#,
            r#"{"each": {"csv": "a", "lines": "b"}, "workdir": ""}"#,
            "7",
        ] {
            assert_eq!(files_of(Makes::Task, &value(none)), [] as [String; 0], "{none}");
            assert_eq!(files_of(Makes::Job, &value(none)), [] as [String; 0], "{none}");
        }
    }

    #[test]
    fn what_files_hold_is_not_needed_to_check_the_rest() {
        let task = r#"{"image": "a", "workdir": "src", "inputs": [{"from": "x", "path": "/x"}]}"#;
        let checked = with_stand_ins(Makes::Task, value(task)).unwrap();
        assert!(Makes::Task.check(&value(task)).is_err() && Makes::Task.check(&checked).is_ok());
        assert_eq!(with_stand_ins(Makes::Task, value(r#"{"image": "a", "each": {"lines": "x"}}"#)), None);
    }
}
