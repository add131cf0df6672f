//! A job file, with what it names of this machine in its place.
//!
//! A document that is posted names contents and has its items: rows of other files take the place of their names,
//! local inputs get the names of their contents.

use super::rows;
use crate::cli::document::work_here;
use crate::cli::forms::{Kind, folder_of, name_of};
use crate::cli::local::{self, Shipment};
use crate::exit::Failure;
use cloudai_core::job::JobFile;
use cloudai_core::spec::{SpecError, Value};
use std::path::Path;

/// The document that is posted, what it is read as, and what is to be sent before it.
/// # Errors
/// A file that can not be read, or every wrong field at once.
pub(super) fn pack(path: &Path) -> Result<(Value, JobFile, Shipment), Failure> {
    let mut document = draft(path)?;
    let shipment = local::take_all(parts(&mut document))?;
    let job = JobFile::from_value(&document).map_err(|error| not_valid(&error))?;
    Ok((document, job, shipment))
}

/// A document whose own paths begin at a folder, as it is posted, and what is to be sent before it.
/// # Errors
/// A file that can not be read.
pub(in crate::cli) fn bring(document: Value, base: &Path) -> Result<(Value, Shipment), Failure> {
    let mut document = begin_at(document, base, "the document")?;
    let shipment = local::take_all(parts(&mut document))?;
    Ok((document, shipment))
}

/// What the file is read as; local inputs are not looked at.
/// # Errors
/// As of [`pack`].
pub(super) fn look(path: &Path) -> Result<JobFile, Failure> {
    sketch(path).map(|(_, job)| job)
}

/// The same with its document, in which a name that stands for any content is in the place of local inputs.
/// # Errors
/// As of [`pack`].
pub(super) fn sketch(path: &Path) -> Result<(Value, JobFile), Failure> {
    let mut document = draft(path)?;
    local::assume(parts(&mut document));
    let job = JobFile::from_value(&document).map_err(|error| not_valid(&error))?;
    Ok((document, job))
}

fn not_valid(error: &SpecError) -> Failure {
    let failure = Failure { code: "invalid".into(), ..Failure::usage("the job is not valid") };
    let failure = error.0.iter().fold(failure, |failure, field| failure.why(field.to_string()));
    failure.next("mend the file; its fields: docs/job-file.md, and cloudai job schema for your editor")
}

/// The document of a file: its own paths are absolute.
fn draft(path: &Path) -> Result<Value, Failure> {
    begin_at(Kind::JOB.read(path)?, folder_of(path), &name_of(path))
}

fn begin_at(mut document: Value, base: &Path, name: &str) -> Result<Value, Failure> {
    keep_workdir(&mut document);
    for (before, part) in parts(&mut document) {
        rows::fill(part, &before, base)?;
        let wrong = |field: &str, why: String| {
            Failure::usage(format!("{name} was not understood")).why(format!("{before}{field}: {why}"))
        };
        local::begin_at(part, base).map_err(|why| wrong("inputs", why))?;
        work_here(part, base).map_err(|why| wrong("workdir", why))?;
    }
    Ok(document)
}

/// The parts of a job that have the fields of tasks, each with what stands before their names: `tasks[3].`.
fn parts(document: &mut Value) -> Vec<(String, &mut Value)> {
    let Value::Map(fields) = document else { return Vec::new() };
    let mut parts = Vec::new();
    for (name, value) in fields.iter_mut() {
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

/// A working directory of this machine is an input. A task with inputs of its own has none of `defaults`: where it
/// works as they say, it is to find that folder all the same.
fn keep_workdir(document: &mut Value) {
    let given = field(document, "defaults").and_then(|defaults| field(defaults, "workdir"));
    let Some(Value::Text(workdir)) = given.filter(|given| matches!(given, Value::Text(text) if !text.starts_with('/')))
    else {
        return;
    };
    let workdir = workdir.clone();
    for (before, part) in parts(document) {
        let has = |name: &str| field(part, name).is_some();
        if before != "defaults." && has("inputs") && !has("workdir") {
            put(part, "workdir", Value::Text(workdir.clone()));
        }
    }
}

fn field<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(fields) = document else { return None };
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn put(document: &mut Value, name: &str, value: Value) {
    if let Value::Map(fields) = document {
        fields.push((name.to_owned(), value));
    }
}
