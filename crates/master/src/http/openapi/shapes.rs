//! Schemas of bodies: made from the types that are sent, and those of documents that the core reads.

use crate::http::dto;
use cloudai_core::job::{schema, task_schema};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Makes the schema of a body, and notes the named ones that it refers to.
pub(in crate::http) type Shape = fn(&mut Schemas) -> Value;

/// Where the named schemas of the document stand.
const PLACE: &str = "#/components/schemas/";
/// Of the documents that the core reads.
const TASK: &str = "TaskDocument";
const JOB: &str = "JobFile";

/// The named schemas.
#[derive(Debug, Default)]
pub(in crate::http) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    pub(super) fn into_map(self) -> BTreeMap<String, Value> {
        self.0
    }

    fn put(&mut self, name: &str, make: impl FnOnce() -> Value) -> Value {
        self.0.entry(name.to_owned()).or_insert_with(make);
        refer(name)
    }
}

fn refer(name: &str) -> Value {
    json!({ "$ref": format!("{PLACE}{name}") })
}

/// Plain data with text keys always is JSON.
fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// A type of `dto`.
pub(in crate::http) fn of<T: ToSchema>(schemas: &mut Schemas) -> Value {
    let mut inner = Vec::new();
    T::schemas(&mut inner);
    for (name, schema) in &inner {
        schemas.put(name, || value(schema));
    }
    schemas.put(&T::name(), || value(&T::schema()))
}

/// A `dto::List` of them.
pub(in crate::http) fn list_of<T: ToSchema>(schemas: &mut Schemas) -> Value {
    let items = of::<T>(schemas);
    schemas.put(&format!("List_{}", T::name()), || {
        json!({
            "type": "object",
            "description": "A list and where it goes on.",
            "required": ["items"],
            "properties": {
                "items": { "type": "array", "items": items, "description": "The rows." },
                "next_cursor": { "type": "string", "description": "For `cursor=`; absent at the end." },
            },
        })
    })
}

/// Names with a value each.
pub(in crate::http) fn map_of<T: ToSchema>(schemas: &mut Schemas) -> Value {
    json!({ "type": "object", "additionalProperties": of::<T>(schemas) })
}

/// One thing or another.
pub(in crate::http) fn either<One: ToSchema, Other: ToSchema>(schemas: &mut Schemas) -> Value {
    json!({ "anyOf": [of::<One>(schemas), of::<Other>(schemas)] })
}

/// Rows of a list with some of their fields, where `fields=` is given.
pub(in crate::http) fn rows_of<T: ToSchema>(schemas: &mut Schemas) -> Value {
    let rows = json!({ "type": "array", "items": { "type": "object" } });
    let some = json!({ "type": "object", "required": ["items"], "properties": { "items": rows } });
    json!({ "anyOf": [list_of::<T>(schemas), some], "description": "With `fields=` rows have only those fields." })
}

/// JSON of which nothing is promised.
pub(in crate::http) fn anything(_schemas: &mut Schemas) -> Value {
    json!({ "type": "object" })
}

/// A task document.
pub(in crate::http) fn task(schemas: &mut Schemas) -> Value {
    job(schemas);
    schemas.put(TASK, || moved(value(&task_schema())))
}

/// A job file.
pub(in crate::http) fn job(schemas: &mut Schemas) -> Value {
    schemas.put(JOB, || {
        let mut file = moved(value(&schema()));
        if let Value::Object(fields) = &mut file {
            // The whole document is of this form already.
            fields.remove("$schema");
        }
        file
    })
}

/// The core's schemas refer to what stands beside them in the schema of jobs.
fn moved(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let told = field.as_str().filter(|_| name == "$ref").and_then(|path| path.strip_prefix("#/"));
                *field = match told {
                    Some(path) => Value::String(format!("{PLACE}{JOB}/{path}")),
                    None => moved(field.take()),
                };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = moved(item.take())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    schema
}

/// 1 to 1,000 task documents.
pub(in crate::http) fn batch(schemas: &mut Schemas) -> Value {
    let tasks = json!({ "type": "array", "items": task(schemas), "minItems": 1, "maxItems": 1000 });
    closed(&json!({ "tasks": tasks }), &["tasks"])
}

/// A map of these fields and no others.
pub(in crate::http) fn closed(fields: &Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": fields, "required": required, "additionalProperties": false })
}

/// Every error.
pub(super) fn problem(schemas: &mut Schemas) -> Value {
    of::<dto::Problem>(schemas)
}
