//! Traces in the Standard Workload Format, read as RLScheduler (SC'20) reads them, so that results compare.
//!
//! A job is a task that asks for processors of one large machine. What the format leaves out (memory, disk, GPUs)
//! is 0 on either side.

use super::read::{self, ReadError};
use super::workload::{Machine, Task, Workload};
use std::collections::BTreeMap;
use std::path::Path;

/// Seconds that a job ran whose run time is not known.
const UNKNOWN_RUN_S: f64 = 10.0;

/// The fields that are used: name and place, counted from 1.
const JOB: Field = Field("job number", 1);
const SUBMIT: Field = Field("submit time", 2);
const RUN: Field = Field("run time", 4);
const ALLOCATED: Field = Field("allocated processors", 5);
const REQUESTED: Field = Field("requested processors", 8);
const REQUESTED_TIME: Field = Field("requested time", 9);
const USER: Field = Field("user", 12);

#[derive(Clone, Copy)]
struct Field(&'static str, usize);

/// Reads a trace, plain or packed by gzip.
///
/// A job has the larger of its allocated and requested processors and the requested time as its estimate (its run time
/// where none is given). Jobs that ran 0 s are left out, and so are those without any processor; those whose run time
/// is unknown ran 10 s. Jobs are in the order of their numbers, times begin with the first submission.
/// `procs` overrules what the header says of the machine.
/// # Errors
/// [`ReadError`] names file, line, field and value, or the header line that is missing.
pub fn read_swf(path: &Path, procs: Option<u32>) -> Result<Workload, ReadError> {
    swf_of(&read::text(path)?, path, procs)
}

/// The same of a text, which is called so.
/// # Errors
/// As [`read_swf`].
pub fn swf_of(text: &str, path: &Path, procs: Option<u32>) -> Result<Workload, ReadError> {
    let mut header = Header::default();
    let mut jobs: BTreeMap<u64, (u64, Task)> = BTreeMap::new();
    for (line, row) in (1..).zip(text.lines()) {
        let row = row.trim();
        if let Some(comment) = row.strip_prefix(';') {
            header.read(comment);
        } else if !row.is_empty() {
            let row = Row { path, line, fields: row.split_whitespace().collect() };
            let Some((number, task)) = row.job()? else { continue };
            if let Some((before, _)) = jobs.insert(number, (line, task)) {
                return Err(row.wrong(JOB, format!("{number} stands in line {before} already")));
            }
        }
    }
    let machine = match procs.or(header.procs).or(header.nodes) {
        Some(procs) if procs > 0 => f64::from(procs),
        _ => {
            return Err(ReadError::new(path, "says neither MaxProcs nor MaxNodes in its header")
                .allowed("a line `; MaxProcs: 128`, or the flag --procs"));
        }
    };
    let mut tasks: Vec<Task> = jobs.into_values().map(|(_, task)| task).collect();
    if tasks.is_empty() {
        return Err(ReadError::new(path, "has no job that ran"));
    }
    let first = tasks.iter().map(|task| task.arrival_s).fold(f64::INFINITY, f64::min);
    tasks.iter_mut().for_each(|task| task.arrival_s -= first);
    let workers = vec![Machine { id: "machine".into(), capacity: [machine, 0.0, 0.0, 0.0] }];
    Ok(Workload { name: read::name(path), tasks, workers })
}

/// What the comments before the jobs say.
#[derive(Default)]
struct Header {
    procs: Option<u32>,
    nodes: Option<u32>,
}

impl Header {
    fn read(&mut self, comment: &str) {
        let Some((name, value)) = comment.split_once(':') else { return };
        let value = value.split_whitespace().next().and_then(|value| value.parse().ok()).filter(|value| *value > 0);
        match name.trim() {
            "MaxProcs" => self.procs = value.or(self.procs),
            "MaxNodes" => self.nodes = value.or(self.nodes),
            _ => {}
        }
    }
}

struct Row<'a> {
    path: &'a Path,
    line: u64,
    fields: Vec<&'a str>,
}

impl Row<'_> {
    /// A job; none when it did not run.
    fn job(&self) -> Result<Option<(u64, Task)>, ReadError> {
        let id = self.number(JOB)?;
        let whole = self.fields.first().and_then(|text| text.parse::<u64>().ok());
        let number = whole.ok_or_else(|| self.wrong(JOB, format!("{id} is not a whole number from 0")))?;
        let submit = self.number(SUBMIT)?;
        if submit < 0.0 {
            return Err(self.wrong(SUBMIT, format!("{submit} is negative")));
        }
        let run = self.number(RUN)?;
        let procs = self.number(ALLOCATED)?.max(self.number(REQUESTED)?);
        let asked = self.number(REQUESTED_TIME)?;
        if run == 0.0 || procs <= 0.0 {
            return Ok(None);
        }
        let run = if run < 0.0 { UNKNOWN_RUN_S } else { run };
        let user = self.fields.get(USER.1 - 1).filter(|user| **user != "-1");
        let task = Task {
            id: number.to_string(),
            arrival_s: submit,
            demand: [procs, 0.0, 0.0, 0.0],
            runtime_s: run,
            estimate_s: Some(if asked > 0.0 { asked } else { run }),
            user: user.copied().unwrap_or_default().to_owned(),
            ..Task::default()
        };
        Ok(Some((number, task)))
    }

    fn number(&self, field: Field) -> Result<f64, ReadError> {
        let Some(text) = self.fields.get(field.1 - 1) else {
            let has = format!("is missing: the line has {} fields", self.fields.len());
            return Err(self.wrong(field, has).allowed("a job has 18 fields; -1 stands for what is not known"));
        };
        let number = text.parse::<f64>().ok().filter(|number| number.abs() <= 1e12);
        number.ok_or_else(|| {
            let short: String = text.chars().take(40).collect();
            self.wrong(field, format!("{short:?} is not a number")).allowed("-1 stands for what is not known")
        })
    }

    fn wrong(&self, field: Field, problem: impl Into<String>) -> ReadError {
        let Field(name, at) = field;
        ReadError::new(self.path, problem).line(self.line).field(format!("field {at} ({name})"))
    }
}
