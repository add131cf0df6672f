//! `PATCH /api/v1/workers/{id}/labels`: labels that a worker gets and loses while it runs.

use super::dto::{FieldProblem, Worker};
use super::extract::{Caller, Document, WorkerPath};
use super::problem::Problem;
use super::query::Parameters;
use super::workers::show;
use crate::handle::Handle;
use axum::Json;
use axum::extract::State;
use cloudai_core::label::{self, Changes, FACTS};
use cloudai_core::spec::Value;
use std::collections::BTreeMap;

/// The largest body: hundreds of labels.
const MAX_BODY: usize = 64 * 1024;

/// Changes labels of a worker; those that are not named stay as they are.
pub(super) async fn change(
    Caller(who): Caller,
    WorkerPath(id): WorkerPath,
    State(handle): State<Handle>,
    query: Parameters,
    document: Document<MAX_BODY>,
) -> Result<Json<Worker>, Problem> {
    query.close()?;
    let (mut set, mut remove) = (BTreeMap::new(), Vec::new());
    for (key, value) in changes(document.parse()?).map_err(Problem::fields)? {
        match value {
            Some(value) => drop(set.insert(key, value)),
            None => remove.push(key),
        }
    }
    handle.set_labels(&who, id.clone(), set, remove).await?;
    show(&handle, &who, &id).map(Json)
}

/// Reads the document, naming every wrong field.
fn changes(document: Value) -> Result<Changes, Vec<FieldProblem>> {
    let mut read = Read::default();
    let Value::Map(fields) = document else {
        let expected = "expected {\"set\": {\"zone\": \"eu\"}, \"remove\": [\"disk\"]}";
        read.wrong("labels", format!("is {}: {expected}", document.kind()));
        return Err(read.errors);
    };
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("set", Value::Map(labels)) => labels.into_iter().for_each(|(key, value)| read.set(key, &value)),
            ("remove", Value::List(keys)) => keys.iter().enumerate().for_each(|(at, key)| read.remove(at, key)),
            ("set", other) => {
                read.wrong("set", format!("is {}: expected a map, as {{\"zone\": \"eu\"}}", other.kind()))
            }
            ("remove", other) => {
                read.wrong("remove", format!("is {}: expected a list of labels, as [\"disk\"]", other.kind()));
            }
            _ => read.wrong(&name, "is no field of labels: there are set and remove".into()),
        }
    }
    if read.errors.is_empty() && read.changes.is_empty() {
        read.wrong("labels", "names no label: say some in set, or in remove".into());
    }
    if read.errors.is_empty() { Ok(read.changes) } else { Err(read.errors) }
}

/// What was read so far.
#[derive(Default)]
struct Read {
    changes: Changes,
    errors: Vec<FieldProblem>,
}

impl Read {
    fn wrong(&mut self, path: &str, problem: String) {
        self.errors.push(FieldProblem { path: path.chars().take(120).collect(), value: None, problem });
    }

    fn set(&mut self, key: String, value: &Value) {
        let path = format!("set.{key}");
        let value = match value {
            Value::Text(text) => text.clone(),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::List(_) | Value::Map(_) => {
                return self.wrong(&path, format!("is {}: expected a text", value.kind()));
            }
        };
        match label::check_value(&value) {
            Ok(()) if FACTS.contains(&key.as_str()) => {
                self.wrong(&path, "is what the worker is, whatever label it has: take another name".into());
            }
            Ok(()) => self.note(&path, key, Some(value)),
            Err(problem) => self.wrong(&path, format!("{value:?} {problem}")),
        }
    }

    fn remove(&mut self, at: usize, key: &Value) {
        let path = format!("remove[{at}]");
        match key {
            Value::Text(key) => self.note(&path, key.clone(), None),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
                self.wrong(&path, format!("is {}: expected the name of a label", key.kind()));
            }
        }
    }

    fn note(&mut self, path: &str, key: String, value: Option<String>) {
        match label::check_key(&key) {
            Err(problem) => self.wrong(path, problem.into()),
            Ok(()) if self.changes.contains_key(&key) => self.wrong(path, format!("{key} is named twice")),
            Ok(()) => drop(self.changes.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Changes, Vec<FieldProblem>> {
        changes(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn labels_are_set_and_taken_away() {
        let changes = read(r#"{"set": {"zone": "eu", "rack": 7, "spare": true, "empty": ""}, "remove": ["disk"]}"#);
        let changes = changes.unwrap();
        let shown: Vec<_> = changes.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        let expected =
            [("disk", None), ("empty", Some("")), ("rack", Some("7")), ("spare", Some("true")), ("zone", Some("eu"))];
        assert_eq!(shown, expected);
    }

    #[test]
    fn every_wrong_label_is_named() {
        let rows = [
            ("[]", "labels", "is a list"),
            ("{}", "labels", "names no label"),
            (r#"{"set": {}, "remove": []}"#, "labels", "names no label"),
            (r#"{"set": ["zone"]}"#, "set", "expected a map"),
            (r#"{"remove": "zone"}"#, "remove", "expected a list"),
            (r#"{"labels": {"zone": "eu"}}"#, "labels", "there are set and remove"),
            (r#"{"set": {"a b": "c"}}"#, "set.a b", "no label name"),
            (r#"{"set": {"zone": "e,u"}}"#, "set.zone", "no value of a label"),
            (r#"{"set": {"zone": null}}"#, "set.zone", "expected a text"),
            (r#"{"set": {"os": "linux"}}"#, "set.os", "what the worker is"),
            (r#"{"remove": [7]}"#, "remove[0]", "name of a label"),
            (r#"{"remove": [""]}"#, "remove[0]", "no label name"),
            (r#"{"set": {"a": "b"}, "remove": ["a"]}"#, "remove[0]", "named twice"),
            (r#"{"set": {"a": "b", "a": "c"}}"#, "set.a", "named twice"),
        ];
        for (json, path, part) in rows {
            let errors = read(json).unwrap_err();
            let found = errors.iter().find(|error| error.path == path);
            assert!(found.is_some_and(|error| error.problem.contains(part)), "{json}: {errors:?}");
        }
    }
}
