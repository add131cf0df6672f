//! The JSON Schema of job files, for editors: `docs/job.schema.json`, and what `cloudai job schema` prints.
//!
//! It helps those who write; what is accepted `read` alone says.

use super::read::{FILES, MOST_ELEMENTS, OF_TASKS, OF_THE_JOB};
use crate::spec::{Value, properties, shape};

/// The schema, of draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let fields = properties();
    let names = |left_out: &[&str]| -> Vec<String> {
        fields.iter().map(|(name, _)| name.clone()).filter(|name| !left_out.contains(&name.as_str())).collect()
    };
    let of_task: Vec<&str> = OF_TASKS.iter().chain(&OF_THE_JOB).copied().collect();
    let refer = |names: Vec<String>| names.into_iter().map(|name| (name.clone(), reference(&name)));
    let mut task = in_job();
    task.extend(refer(names(&of_task)));
    let defaults: Vec<_> = refer(names(&of_task)).collect();
    let mut shapes: Vec<(String, Value)> =
        fields.iter().filter(|(name, _)| *name != "name" && !OF_THE_JOB.contains(&name.as_str())).cloned().collect();
    shapes.push(("task".into(), closed(task, &["name"], "A task, or the elements of an array")));
    shapes.push(("defaults".into(), closed(defaults, &[], "What every task has that does not say otherwise")));
    shapes.push(("need".into(), need()));
    shapes.push(("scalar".into(), shape(&[("type", words(&["string", "number", "boolean"]))])));
    let one_of = ["tasks", "task"].map(|word| shape(&[("required", words(&[word]))]));
    shape(&[
        ("$schema", word("https://json-schema.org/draft/2020-12/schema")),
        ("title", word("A job of CloudAI")),
        ("type", word("object")),
        ("properties", Value::Map(of_job())),
        ("additionalProperties", Value::Bool(false)),
        ("oneOf", Value::List(one_of.into())),
        ("$defs", Value::Map(shapes)),
    ])
}

/// The schema of a task document that is submitted by itself; what it refers to stands in the `$defs` of [`schema`].
#[must_use]
pub fn task_schema() -> Value {
    let name = [("type", word("string")), ("minLength", Value::Int(1)), ("maxLength", Value::Int(200))];
    let mut fields = properties();
    fields.extend(in_job().into_iter().filter(|(name, _)| name != "name"));
    fields.push(described("template", "The stored template that says what it is", &name));
    fields.push(described("params", "What the template is filled with", &[("type", word("object"))]));
    let one_of = ["image", "template"].map(|field| shape(&[("required", words(&[field]))]));
    let Value::Map(mut entries) = closed(fields, &[], "A task, or a job of one task") else { return Value::Null };
    entries.retain(|(name, _)| name != "required");
    entries.push(("anyOf".into(), Value::List(one_of.into())));
    Value::Map(entries)
}

/// The fields of a job.
fn of_job() -> Vec<(String, Value)> {
    let line = [("type", word("string")), ("minLength", Value::Int(1)), ("maxLength", Value::Int(200))];
    let tasks = [("type", word("array")), ("minItems", Value::Int(1)), ("items", reference("task"))];
    vec![
        described("$schema", "Where this schema is, for editors", &[("type", word("string"))]),
        described("schema", "The version of this form", &[("const", Value::Int(1))]),
        described("name", "For people; need not be unique", &line),
        described(
            "max_fails",
            "When more of its tasks than this have failed, what is left is cancelled",
            &[("type", word("integer")), ("minimum", Value::Int(0)), ("maximum", Value::Int(u32::MAX.into()))],
        ),
        described("hold", "Nothing of it starts before it is released", &[("type", word("boolean"))]),
        described("idempotency_key", "Sent again under the same key, it is accepted once", &line),
        ("priority".into(), reference("priority")),
        ("labels".into(), reference("labels")),
        ("defaults".into(), reference("defaults")),
        described("tasks", "What it is made of, in any order", &tasks),
        described("task", "The same as tasks, as [[task]] gives it in TOML", &tasks),
    ]
}

/// The fields that say how a task stands in its job.
fn in_job() -> Vec<(String, Value)> {
    let name = [("type", word("string")), ("pattern", word("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"))];
    let names = shape(&[("type", word("array")), ("items", reference("need"))]);
    let needs = [("anyOf", Value::List(vec![reference("need"), names]))];
    let number = [("type", word("integer")), ("minimum", Value::Int(1)), ("maximum", Value::Int(MOST_ELEMENTS.into()))];
    let ranges = shape(&[("type", word("string")), ("examples", words(&["0-99", "0-99:2%8"]))]);
    vec![
        described("name", "Unique in the job; others need it by this name", &name),
        described("needs", "The tasks whose end it waits for", &needs),
        described("depends_on", "The same as needs", &needs),
        described(
            "array",
            "How many elements it has, or their indexes; %8 behind them: at most 8 at once",
            &[("anyOf", Value::List(vec![shape(&number), ranges]))],
        ),
        described("at_once", "At most so many elements at once", &number),
        described("gang", "All elements start together or not at all", &[("type", word("boolean"))]),
        described("each", "An element for each of these: ${item}, or ${item.NAME}", &[("anyOf", each())]),
    ]
}

fn need() -> Value {
    let when = shape(&[("enum", words(&["success", "failure", "any"]))]);
    let fields = vec![("task".to_owned(), shape(&[("type", word("string"))])), ("when".to_owned(), when)];
    let long = closed(fields, &["task"], "A task, and which end of it");
    shape(&[("anyOf", Value::List(vec![shape(&[("type", word("string"))]), long]))])
}

/// A list of items, lists to be combined, or a file.
fn each() -> Value {
    let values = |of: Value| shape(&[("type", word("array")), ("minItems", Value::Int(1)), ("items", of)]);
    let named = shape(&[("type", word("object")), ("additionalProperties", reference("scalar"))]);
    let items = values(shape(&[("anyOf", Value::List(vec![reference("scalar"), named]))]));
    let file = shape(&[("type", word("string"))]);
    let files =
        FILES.map(|name| (name, shape(&[("anyOf", Value::List(vec![file.clone(), values(reference("scalar"))]))])));
    let lists = shape(&[
        ("type", word("object")),
        ("properties", shape(&files)),
        ("additionalProperties", values(reference("scalar"))),
    ]);
    Value::List(vec![items, lists])
}

/// A map of these fields and no others.
fn closed(fields: Vec<(String, Value)>, required: &[&str], about: &str) -> Value {
    shape(&[
        ("description", word(about)),
        ("type", word("object")),
        ("properties", Value::Map(fields)),
        ("additionalProperties", Value::Bool(false)),
        ("required", words(required)),
    ])
}

fn described(name: &str, about: &str, form: &[(&str, Value)]) -> (String, Value) {
    let about = [("description", word(about))];
    let all: Vec<(&str, Value)> = about.into_iter().chain(form.iter().cloned()).collect();
    (name.to_owned(), shape(&all))
}

fn reference(name: &str) -> Value {
    shape(&[("$ref", Value::Text(format!("#/$defs/{name}")))])
}

fn word(text: &str) -> Value {
    Value::Text(text.into())
}

fn words(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(|text| word(text)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::read::{FIELDS, FOR_EDITORS};
    use super::*;
    use crate::spec::LIVE;
    use std::collections::BTreeSet;

    fn inner<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
        let Some((first, rest)) = path.split_first() else { return value };
        let Value::Map(entries) = value else { panic!("{path:?}") };
        inner(&entries.iter().find(|(name, _)| name == first).unwrap().1, rest)
    }

    fn keys(value: &Value) -> BTreeSet<&str> {
        let Value::Map(entries) = value else { panic!("{value}") };
        entries.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn the_schema_has_every_field_that_is_read_and_no_other() {
        let schema = schema();
        let job: BTreeSet<_> = FIELDS.into_iter().chain([FOR_EDITORS]).collect();
        assert_eq!(keys(inner(&schema, &["properties"])), job);
        let task: BTreeSet<_> =
            LIVE.iter().chain(&OF_TASKS).copied().filter(|name| !OF_THE_JOB.contains(name)).collect();
        assert_eq!(keys(inner(&schema, &["$defs", "task", "properties"])), task);
        let defaults: BTreeSet<_> = task.iter().copied().filter(|name| !OF_TASKS.contains(name)).collect();
        assert_eq!(keys(inner(&schema, &["$defs", "defaults", "properties"])), defaults);
    }

    #[test]
    fn a_task_by_itself_has_every_field_that_is_read_and_no_other() {
        let mut expected: BTreeSet<_> = LIVE.iter().chain(&OF_TASKS).copied().collect();
        expected.extend(["template", "params"]);
        assert_eq!(keys(inner(&task_schema(), &["properties"])), expected);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
            match value {
                Value::Map(entries) => {
                    for (name, value) in entries {
                        if let (Value::Text(text), "$ref") = (value, name.as_str()) {
                            found.insert(text);
                        } else {
                            references(value, found);
                        }
                    }
                }
                Value::List(items) => items.iter().for_each(|item| references(item, found)),
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
            }
        }
        let schema = schema();
        let mut found = BTreeSet::new();
        references(&schema, &mut found);
        let named: BTreeSet<_> = found.iter().map(|path| path.strip_prefix("#/$defs/").unwrap()).collect();
        assert_eq!(keys(inner(&schema, &["$defs"])), named, "what is there is used, what is used is there");
    }
}
