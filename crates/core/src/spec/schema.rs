//! The fields of a task as JSON Schema, for editors: what may be written, and what it means.
//!
//! It helps those who write; what is accepted `read.rs` alone says.

use super::Value;

/// A year, the longest of most times.
const YEAR_S: i64 = 31_536_000;

/// A field: its name, what it is about, and the schema of its values.
type Field = (&'static str, &'static str, fn() -> Value);

/// Name, meaning and form of each field, in the order of [`super::LIVE`].
const FIELDS: &[Field] = &[
    ("image", "What to run, as python:3.12", || text(512)),
    ("name", "For people; need not be unique [default: the image]", || text(200)),
    ("command", "The program and its arguments, instead of the image's", texts),
    ("args", "Arguments behind the entrypoint", texts),
    ("entrypoint", "Instead of the image's; an empty list takes it away", texts),
    ("env", "Environment variables", scalars_by_name),
    ("workdir", "The folder of the container in which the program starts", || text(4096)),
    ("user", "Who it runs as: name, uid or uid:gid", || text(200)),
    ("cpu_cores", "Cores [default: 1]", || number(Value::Float(0.001), 4096)),
    ("memory_gb", "Memory in GiB [default: 0.5]", || number(Value::Float(0.005_859_375), 65_536)),
    ("storage_gb", "Disk in GiB [default: 1]", || number(Value::Int(0), 1_048_576)),
    ("gpu_cores", "GPUs; a fraction shares one [default: 0]", || number(Value::Int(0), 1024)),
    ("gpu_model", "Only GPUs of this model", || text(100)),
    ("requests", "Either of these: the first that fits; what an entry leaves out is as above", requests),
    ("priority", "Higher goes earlier [default: 0]", || whole(-100, 100)),
    ("timeout_s", "The longest run, in seconds", || above_zero(YEAR_S)),
    ("queue_timeout_s", "The longest wait for a place, in seconds", || above_zero(YEAR_S)),
    ("pull_timeout_s", "The longest pull of the image, in seconds [default: 3600]", || above_zero(YEAR_S)),
    ("total_timeout_s", "From submission to end over all attempts, in seconds", || above_zero(YEAR_S)),
    ("kill_after_s", "Seconds between SIGTERM and SIGKILL [default: 10]", || number(Value::Int(0), 60)),
    ("estimate_s", "How long you think that it runs, in seconds: it is planned with", || above_zero(YEAR_S)),
    ("deadline", "When it should have ended: a time with its zone, or seconds from the submission on", when),
    ("not_before", "No start before this: a time with its zone, or seconds from the submission on", when),
    ("hold", "No start before it is released", truth),
    ("retries", "Which failures are tried again", retries),
    ("on_disconnect", "When its worker and the master do not hear each other", || choice(&["stop", "keep"])),
    ("worker_id", "The only worker that may run it", || text(63)),
    ("constraints", "What must hold of its worker, as zone = eu", constraints),
    ("affinity", "Which workers it would rather run on", affinity),
    ("anti_affinity", "Labels of workers that it never shares with a task of its name, as worker.id", labels),
    ("spread", "Labels of workers over which it would rather be spread with tasks of its name, as zone", spread),
    ("allow_pending", "Accept it although no worker could run it yet", truth),
    ("idempotency_key", "Sent again under the same key, it is accepted once", || text(200)),
    ("labels", "Free words to find it by", scalars_by_name),
    ("network", "Which network it has [default: none]", || choice(&["none", "bridge"])),
    ("pull_policy", "When the image is pulled [default: missing]", || choice(&["missing", "always", "never"])),
    ("shm_size", "Size of /dev/shm, as 64m", size),
    ("tmpfs", "Folders in memory: a size for each path", || by_name(size())),
    ("read_only_root", "Only /out and tmpfs can be written", truth),
    ("outputs", "Which files are kept, as *.csv below /out [default: all of /out]", texts),
    ("inputs", "Files and folders that it finds", inputs),
    ("volumes", "Folders and volumes of its worker that it sees", volumes),
    ("secrets", "Stored secrets that it is given", secrets),
];

/// The schema of each field of a task, by its name.
pub(crate) fn properties() -> Vec<(String, Value)> {
    let described = |(name, about, form): &Field| {
        let mut entries = vec![("description".to_owned(), Value::Text((*about).into()))];
        if let Value::Map(form) = form() {
            entries.extend(form);
        }
        ((*name).to_owned(), Value::Map(entries))
    };
    FIELDS.iter().map(described).collect()
}

/// A map of these entries.
pub(crate) fn shape(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn word(text: &str) -> Value {
    Value::Text(text.into())
}

fn words(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(|text| word(text)).collect())
}

fn text(most: i64) -> Value {
    shape(&[("type", word("string")), ("minLength", Value::Int(1)), ("maxLength", Value::Int(most))])
}

fn texts() -> Value {
    list_of(shape(&[("type", word("string"))]))
}

fn list_of(items: Value) -> Value {
    shape(&[("type", word("array")), ("items", items)])
}

fn by_name(values: Value) -> Value {
    shape(&[("type", word("object")), ("additionalProperties", values)])
}

fn scalars_by_name() -> Value {
    by_name(shape(&[("type", words(&["string", "number", "boolean"]))]))
}

fn number(least: Value, most: i64) -> Value {
    shape(&[("type", word("number")), ("minimum", least), ("maximum", Value::Int(most))])
}

fn above_zero(most: i64) -> Value {
    shape(&[("type", word("number")), ("exclusiveMinimum", Value::Int(0)), ("maximum", Value::Int(most))])
}

fn whole(least: i64, most: i64) -> Value {
    shape(&[("type", word("integer")), ("minimum", Value::Int(least)), ("maximum", Value::Int(most))])
}

fn truth() -> Value {
    shape(&[("type", word("boolean"))])
}

fn choice(among: &[&str]) -> Value {
    shape(&[("enum", words(among))])
}

fn when() -> Value {
    shape(&[("type", words(&["string", "number"]))])
}

fn size() -> Value {
    shape(&[("type", words(&["string", "integer"])), ("minimum", Value::Int(1))])
}

/// A map of these fields and no others.
fn fields(fields: &[(&str, Value)], required: &[&str]) -> Value {
    let mut entries =
        vec![("type", word("object")), ("properties", shape(fields)), ("additionalProperties", Value::Bool(false))];
    if !required.is_empty() {
        entries.push(("required", words(required)));
    }
    shape(&entries)
}

fn requests() -> Value {
    let amounts = FIELDS.iter().filter(|(name, ..)| super::requests::OF_REQUEST.contains(name));
    let amounts: Vec<(&str, Value)> = amounts.map(|(name, _, form)| (*name, form())).collect();
    let Value::Map(mut entries) = list_of(fields(&amounts, &[])) else { return Value::Null };
    entries.push(("minItems".into(), Value::Int(super::requests::LEAST.into())));
    entries.push(("maxItems".into(), Value::Int(super::requests::MOST.into())));
    Value::Map(entries)
}

fn retries() -> Value {
    let codes = fields(&[("exit_code", list_of(whole(1, 255)))], &["exit_code"]);
    let cause = Value::List(vec![choice(&["oom", "worker_lost", "image_pull", "exit_code"]), codes]);
    fields(
        &[
            ("max", whole(0, 100)),
            ("on", list_of(shape(&[("anyOf", cause)]))),
            ("initial_s", number(Value::Int(0), YEAR_S)),
            ("factor", number(Value::Int(1), 100)),
            ("max_s", number(Value::Int(0), YEAR_S)),
        ],
        &[],
    )
}

fn constraints() -> Value {
    let parts = [("label", text(100)), ("op", text(6)), ("values", texts())];
    let forms = Value::List(vec![text(1024), fields(&parts, &["label", "op"])]);
    list_of(shape(&[("anyOf", forms)]))
}

fn affinity() -> Value {
    list_of(fields(&[("expr", text(1024)), ("weight", whole(-100, 100))], &["expr"]))
}

fn labels() -> Value {
    list_of(text(100))
}

fn spread() -> Value {
    let forms = Value::List(vec![text(100), fields(&[("label", text(100)), ("weight", whole(1, 100))], &["label"])]);
    list_of(shape(&[("anyOf", forms)]))
}

fn inputs() -> Value {
    let entries = [("from", text(5000)), ("path", text(4096)), ("writable", truth())];
    list_of(fields(&entries, &["from", "path"]))
}

fn volumes() -> Value {
    let entries =
        [("host_path", text(4096)), ("volume", text(255)), ("container_path", text(4096)), ("read_only", truth())];
    list_of(fields(&entries, &["container_path"]))
}

fn secrets() -> Value {
    list_of(fields(&[("name", text(63)), ("file", text(4096)), ("env", text(255))], &["name"]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::LIVE;

    #[test]
    fn every_field_of_a_task_has_its_schema_and_no_other() {
        let names: Vec<String> = properties().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, LIVE);
    }
}
