//! Tables: recorded workloads, and the items of an array.

use crate::check::text;
use crate::forms;
use cloudai_core::spec::Value;
use cloudai_sim::replay::csv::{tasks_of, workers_of};
use cloudai_sim::replay::swf::swf_of;
use cloudai_sim::replay::{ReadError, Task, Workload, written};
use csv::Writer;
use std::collections::BTreeSet;
use std::path::Path;

/// What a table is called in messages.
const FILE: &str = "a.csv";
/// The largest amount that a table of ours has.
const MOST_AMOUNT: f64 = 1e9;
/// What a text may begin with that is no part of it.
const MARK: char = '\u{feff}';

/// Tasks, and workers, as CSV. What is accepted has different ids and no negative number, and is written as a table
/// that is read as the same; what is refused names its file and what is wrong.
/// # Panics
/// One of that does not hold.
pub fn workload(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match tasks_of(text, Path::new(FILE)) {
        Ok(tasks) => {
            are_sound(&tasks);
            is_written(tasks);
        }
        Err(error) => says_what(&error),
    }
    match workers_of(text, Path::new(FILE)) {
        Ok(workers) => {
            assert!(workers.iter().flat_map(|worker| worker.capacity).all(|amount| amount >= 0.0));
            let whole = Workload { workers, ..Workload::default() };
            let table = written::workers(&whole).expect("a table is written");
            assert_eq!(workers_of(&table, Path::new(FILE)).as_ref(), Ok(&whole.workers), "written as {table}");
        }
        Err(error) => says_what(&error),
    }
}

/// A trace in the Standard Workload Format. What is accepted begins at 0, has different ids and no negative number, and
/// is written as a table that is read as the same; what is refused names its file and what is wrong.
/// # Panics
/// One of that does not hold.
pub fn swf(data: &[u8]) {
    let Some(text) = text(data) else { return };
    for procs in [None, Some(64)] {
        match swf_of(text, Path::new(FILE), procs) {
            Ok(Workload { tasks, workers, .. }) => {
                are_sound(&tasks);
                assert!(tasks.iter().any(|task| task.arrival_s == 0.0) && workers.len() == 1);
                if tasks.iter().flat_map(|task| task.demand).all(|amount| amount <= MOST_AMOUNT) {
                    is_written(tasks);
                }
            }
            Err(error) => says_what(&error),
        }
    }
}

fn are_sound(tasks: &[Task]) {
    let ids: BTreeSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
    assert!(!tasks.is_empty() && ids.len() == tasks.len(), "an id is there twice, or nothing is");
    for task in tasks {
        let numbers = [task.arrival_s, task.runtime_s].into_iter().chain(task.demand);
        let mut numbers = numbers.chain(task.estimate_s).chain(task.deadline_s);
        assert!(numbers.all(|number| number.is_finite() && number >= 0.0), "{task:?}");
        assert!((-100..=100).contains(&task.priority), "{task:?}");
    }
}

fn is_written(tasks: Vec<Task>) {
    let whole = Workload { tasks, ..Workload::default() };
    let table = written::tasks(&whole).expect("a table is written");
    assert_eq!(tasks_of(&table, Path::new(FILE)).as_ref(), Ok(&whole.tasks), "written as {table}");
}

fn says_what(error: &ReadError) {
    assert!(error.file == FILE && !error.problem.is_empty(), "{error:?}");
}

/// The items of an array: rows of a table, or lines of a text. Every row has the names of the first, and both are
/// written as what is read as the same.
/// # Panics
/// One of that does not hold.
pub fn each(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match forms::rows(text) {
        Ok(rows) => {
            let [first, ..] = rows.as_slice() else { panic!("a table without a row is accepted") };
            let names = cells(first, |(name, _)| name);
            assert!(rows.iter().all(|row| cells(row, |(name, _)| name) == names), "{rows:?}");
            if !names.first().is_some_and(|name| name.starts_with(MARK)) {
                let table = table(&names, &rows);
                assert_eq!(forms::rows(&table).as_ref(), Ok(&rows), "written as {table:?}");
            }
        }
        Err(problem) => assert!(!problem.is_empty()),
    }
    if let Ok(lines) = forms::lines(text) {
        let words: Vec<&str> = lines.iter().map(word).collect();
        assert!(words.iter().all(|line| !line.trim().is_empty() && !line.contains('\n')), "{words:?}");
        let plain = !words.iter().any(|line| line.ends_with('\r')) && !words.iter().any(|line| line.starts_with(MARK));
        if plain {
            assert_eq!(forms::lines(&words.join("\n")).as_ref(), Ok(&lines));
        }
    }
}

fn table(names: &[&str], rows: &[Value]) -> String {
    let mut out = Writer::from_writer(Vec::new());
    out.write_record(names).expect("a row is written");
    for row in rows {
        out.write_record(cells(row, |(_, value)| word(value))).expect("a row is written");
    }
    let bytes = out.into_inner().expect("a table is written");
    String::from_utf8(bytes).expect("a table of texts is text")
}

fn cells<'a>(row: &'a Value, of: fn(&'a (String, Value)) -> &'a str) -> Vec<&'a str> {
    match row {
        Value::Map(cells) => cells.iter().map(of).collect(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
            panic!("{row:?} is no row")
        }
    }
}

fn word(value: &Value) -> &str {
    match value {
        Value::Text(text) => text,
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => {
            panic!("{value:?} is no text")
        }
    }
}
