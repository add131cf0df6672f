//! From a document to a [`JobFile`]: every wrong field named at once, by its path.
//!
//! What a task costs does not depend on how many others there are: names are looked up, nothing is compared with
//! everything.

mod check;
mod elements;
mod layers;
mod names;
mod needs;
mod task;
#[cfg(test)]
mod tests;
mod wrong;

use super::order::order;
use super::{Group, JobPlan, MAX_GROUPS, MAX_TASKS};
use crate::spec::{Form, LIVE, Reader, SpecError, Value};
use crate::text::distance;
pub(super) use elements::{FILES, MOST_ELEMENTS};
use layers::Layers;
use names::Names;
use std::collections::BTreeMap;
use std::sync::Arc;
use task::Read;
use wrong::Wrong;

/// The fields of a job, but for the one that only editors read.
pub(super) const FIELDS: [&str; 10] =
    ["schema", "name", "max_fails", "hold", "idempotency_key", "priority", "labels", "defaults", "tasks", "task"];
/// Where a JSON document says what checks it.
pub(super) const FOR_EDITORS: &str = "$schema";
/// Fields of tasks that say how a task stands in its job.
pub(super) const OF_TASKS: [&str; 7] = ["name", "needs", "depends_on", "array", "at_once", "each", "gang"];
/// Fields of tasks that are the whole job's here.
pub(super) const OF_THE_JOB: [&str; 2] = ["hold", "idempotency_key"];

/// A job as it is submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct JobFile {
    /// What it is made of.
    pub plan: JobPlan,
    /// Nothing of it is placed until somebody releases it.
    pub hold: bool,
    /// A second submission of the same owner with this key answers with the first job.
    pub idempotency_key: Option<Arc<str>>,
}

impl JobFile {
    /// Reads a document, checking every field.
    /// # Errors
    /// All wrong fields at once, as [`crate::spec::TaskSpec::from_value`] does; of very many the first hundred.
    pub fn from_value(document: &Value) -> Result<Self, SpecError> {
        let mut wrong = Wrong::default();
        let Value::Map(entries) = document else {
            let problem = format!("is {}: expected a map of fields, as {{\"tasks\": [...]}}", document.kind());
            wrong.add("job", None, problem);
            return Err(wrong.into_error());
        };
        let mut reader = Reader { fields: fields(entries, &mut wrong), errors: Vec::new() };
        let name = reader.text("name", 200, Form::Line).map(Into::into);
        let max_fails = reader.whole("max_fails", 0..=u32::MAX);
        let hold = reader.truth("hold");
        let idempotency_key = reader.text("idempotency_key", 200, Form::Line).map(Into::into);
        if reader.get("schema").is_some_and(|schema| *schema != Value::Int(1)) {
            reader.wrong("schema", "is no schema that this version knows: it is 1, or absent");
        }
        wrong.take(std::mem::take(&mut reader.errors));
        let layers = Layers::of(&reader.fields, &mut wrong);
        let groups = listed(&reader, &mut wrong).map(|(word, items)| groups(word, items, &layers, &mut wrong));
        let plan = JobPlan { name, max_fails, groups: groups.unwrap_or_default() };
        wrong.end(Self { plan, hold, idempotency_key })
    }
}

/// The fields of a job by their names.
fn fields<'a>(entries: &'a [(String, Value)], wrong: &mut Wrong) -> BTreeMap<&'a str, &'a Value> {
    let mut fields = BTreeMap::new();
    for (name, value) in entries.iter().filter(|(name, _)| name != FOR_EDITORS) {
        if !FIELDS.contains(&name.as_str()) {
            wrong.add(shown(name), None, unknown(name));
        } else if fields.insert(name.as_str(), value).is_some() {
            wrong.add(name.as_str(), None, "is given twice");
        }
    }
    fields
}

/// A name in an error: no longer than a line.
fn shown(name: &str) -> String {
    name.chars().take(80).collect()
}

/// What is wrong with a field that no job has.
fn unknown(name: &str) -> String {
    if LIVE.contains(&name) || OF_TASKS.contains(&name) {
        return "is a field of tasks: write it into one of them, or into defaults for all".into();
    }
    let plain = name.to_ascii_lowercase().replace('-', "_");
    let near = FIELDS.iter().map(|field| (distance(&plain, field), *field)).min();
    match near.filter(|(distance, _)| *distance <= 2) {
        Some((_, near)) => format!("is no field of a job: did you mean {near}?"),
        None => format!("is no field of a job: there are {}", FIELDS.join(", ")),
    }
}

/// The tasks, with the word by which they are given: TOML's `[[task]]` is one of a list `task`.
fn listed<'a>(job: &Reader<'a>, wrong: &mut Wrong) -> Option<(&'static str, &'a [Value])> {
    let (word, value) = match (job.get("tasks"), job.get("task")) {
        (Some(tasks), None) => ("tasks", tasks),
        (None, Some(task)) => ("task", task),
        (Some(_), Some(_)) => {
            wrong.add("task", None, "can not be beside tasks, which is the same: name all tasks by one of them");
            return None;
        }
        (None, None) => {
            wrong.add(
                "tasks",
                None,
                "is missing: a job has at least one task, as {\"name\": \"a\", \"image\": \"busybox\"}",
            );
            return None;
        }
    };
    let Value::List(items) = value else {
        wrong.add(word, Some(value.to_string()), "must be a list of tasks, each a map with a name and an image");
        return None;
    };
    if items.is_empty() || items.len() > MAX_GROUPS {
        wrong.add(word, Some(value.to_string()), format!("must have 1 to {MAX_GROUPS} tasks"));
        return None;
    }
    Some((word, items))
}

/// Reads all tasks; what comes back is whole only when nothing was wrong.
fn groups(word: &'static str, items: &[Value], layers: &Layers<'_>, wrong: &mut Wrong) -> Vec<Group> {
    let names = Names::of(word, items, wrong);
    let mut read = Read { layers, names: &names, found: Vec::new() };
    let (mut groups, mut needs) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
    for (number, item) in (0_u32..).zip(items) {
        if wrong.is_full() {
            return groups;
        }
        let (group, needed) = read.task(number, item, wrong);
        groups.extend(group);
        needs.push(needed);
    }
    if let Err(circle) = order(&needs) {
        let first = circle.first().copied().unwrap_or_default();
        wrong.add(format!("{}.needs", names.place(first)), None, circle_of(&circle, &names));
    }
    if wrong.is_none() {
        read.check_elements(&groups, wrong);
        let tasks: u64 = groups.iter().map(|group| u64::from(group.count())).sum();
        if tasks > MAX_TASKS {
            wrong.add(word, None, format!("make {tasks} tasks with all elements: a job has at most {MAX_TASKS}"));
        }
    }
    groups
}

/// A circle in the words of the file; of a long one its beginning.
fn circle_of(circle: &[u32], names: &Names<'_>) -> String {
    const SHOWN: usize = 20;
    let shown: Vec<&str> = circle.iter().take(SHOWN).map(|number| names.name(*number)).collect();
    let more =
        if circle.len() > SHOWN { format!(" needs {} others, and so", circle.len() - SHOWN) } else { String::new() };
    let first = shown.first().copied().unwrap_or_default();
    format!("goes in a circle: {}{more} needs {first}: none of them could ever start", shown.join(" needs "))
}
