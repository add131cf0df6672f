//! Workloads, clusters and schedules as CSV: columns are found by the names in the first line.

use super::read::{self, ReadError};
use super::run::Assignment;
use super::workload::{Machine, Task, Workload};
use ::csv::{ReaderBuilder, StringRecord, Trim, Writer};
use std::collections::BTreeMap;
use std::path::Path;

/// The columns of [`Task::demand`] and [`Machine::capacity`].
pub const AMOUNTS: [&str; 4] = ["cpu", "mem_gb", "storage_gb", "gpu"];

/// What a file of tasks may have beside what it must have.
const OPTIONAL: [&str; 5] = ["estimate_s", "priority", "deadline_s", "user", "image"];

/// More seconds than any trace has, few enough to be counted in milliseconds.
const MOST_SECONDS: f64 = 1e12;
/// More cores or GB than any machine has, few enough to be counted in bytes.
const MOST_AMOUNT: f64 = 1e9;

/// Reads tasks and workers, plain or packed by gzip.
/// # Errors
/// [`ReadError`] names file, line, column and value.
pub fn read_workload(tasks: &Path, workers: &Path) -> Result<Workload, ReadError> {
    Ok(Workload { name: read::name(tasks), tasks: read_tasks(tasks)?, workers: read_workers(workers)? })
}

/// Reads tasks: `task_id,arrival_s,cpu,mem_gb,storage_gb,gpu,runtime_s`, and where they are there
/// `estimate_s,priority,deadline_s,user,image`. An amount that is left empty is 0.
/// # Errors
/// [`ReadError`].
pub fn read_tasks(path: &Path) -> Result<Vec<Task>, ReadError> {
    tasks_of(&read::text(path)?, path)
}

/// The tasks of a text, which is called so.
/// # Errors
/// [`ReadError`].
pub fn tasks_of(text: &str, path: &Path) -> Result<Vec<Task>, ReadError> {
    let required = ["task_id", "arrival_s", "cpu", "mem_gb", "storage_gb", "gpu", "runtime_s"];
    let sheet = Sheet::of(text, path, &required, &OPTIONAL, "task")?;
    let mut ids = Ids::default();
    sheet.rows.iter().map(|record| Row { sheet: &sheet, record }).map(|row| task(&row, &mut ids)).collect()
}

fn task(row: &Row<'_>, ids: &mut Ids) -> Result<Task, ReadError> {
    let seconds = |column| row.number(column, MOST_SECONDS, "seconds");
    Ok(Task {
        id: ids.new_one(row, "task_id")?,
        arrival_s: row.required("arrival_s", seconds)?,
        demand: row.amounts()?,
        runtime_s: row.required("runtime_s", seconds)?,
        estimate_s: seconds("estimate_s")?,
        priority: row.priority()?,
        deadline_s: seconds("deadline_s")?,
        user: row.text("user").unwrap_or_default().to_owned(),
        image: row.text("image").unwrap_or_default().to_owned(),
    })
}

/// Reads workers: `worker_id,cpu,mem_gb,storage_gb,gpu`.
/// # Errors
/// [`ReadError`].
pub fn read_workers(path: &Path) -> Result<Vec<Machine>, ReadError> {
    workers_of(&read::text(path)?, path)
}

/// The workers of a text, which is called so.
/// # Errors
/// [`ReadError`].
pub fn workers_of(text: &str, path: &Path) -> Result<Vec<Machine>, ReadError> {
    let sheet = Sheet::of(text, path, &["worker_id", "cpu", "mem_gb", "storage_gb", "gpu"], &[], "worker")?;
    let mut ids = Ids::default();
    let rows = sheet.rows.iter().map(|record| Row { sheet: &sheet, record });
    rows.map(|row| Ok(Machine { id: ids.new_one(&row, "worker_id")?, capacity: row.amounts()? })).collect()
}

/// Reads a schedule of a workload: `task_id,worker_id,start_s,end_s`.
/// # Errors
/// [`ReadError`], also for a task or worker that the workload does not have.
pub fn read_assignments(path: &Path, workload: &Workload) -> Result<Vec<Assignment>, ReadError> {
    let required = ["task_id", "worker_id", "start_s", "end_s"];
    let sheet = Sheet::of(&read::text(path)?, path, &required, &[], "assignment")?;
    let tasks: BTreeMap<_, _> = workload.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let workers: BTreeMap<_, _> =
        workload.workers.iter().enumerate().map(|(at, worker)| (worker.id.as_str(), at)).collect();
    let known = |row: &Row<'_>, column: &'static str, ids: &BTreeMap<&str, usize>| {
        let id = row.text(column).unwrap_or_default();
        ids.get(id).copied().ok_or_else(|| row.wrong(column, format!("{} is not in the workload", quoted(id))))
    };
    let rows = sheet.rows.iter().map(|record| Row { sheet: &sheet, record });
    rows.map(|row| {
        let seconds = |column| row.number(column, MOST_SECONDS, "seconds");
        Ok(Assignment {
            task: known(&row, "task_id", &tasks)?,
            worker: known(&row, "worker_id", &workers)?,
            start_s: row.required("start_s", seconds)?,
            end_s: row.required("end_s", seconds)?,
        })
    })
    .collect()
}

/// A schedule as CSV, on workers of these names: those of the workload, or more of them. Numbers are written so that
/// reading them gives the same ones.
/// # Errors
/// A row names a task or worker that there is not.
pub fn assignments(workload: &Workload, workers: &[&str], assignments: &[Assignment]) -> std::io::Result<String> {
    let unknown = || std::io::Error::other("the schedule names a task or worker that the workload does not have");
    let mut out = Writer::from_writer(Vec::new());
    out.write_record(["task_id", "worker_id", "start_s", "end_s"])?;
    for one in assignments {
        let task = workload.tasks.get(one.task).ok_or_else(unknown)?;
        let worker = workers.get(one.worker).ok_or_else(unknown)?;
        out.write_record([&task.id, *worker, &one.start_s.to_string(), &one.end_s.to_string()])?;
    }
    written(out)
}

/// What was written, as text.
pub(super) fn written(out: Writer<Vec<u8>>) -> std::io::Result<String> {
    let bytes = out.into_inner().map_err(|error| std::io::Error::other(error.to_string()))?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

/// A file with its header.
struct Sheet<'a> {
    path: &'a Path,
    columns: BTreeMap<String, usize>,
    rows: Vec<StringRecord>,
}

impl<'a> Sheet<'a> {
    fn of(
        text: &str,
        path: &'a Path,
        required: &[&str],
        optional: &[&'static str],
        of: &str,
    ) -> Result<Self, ReadError> {
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(text.as_bytes());
        let malformed = |error: ::csv::Error| {
            let wrong = ReadError::new(path, format!("is not CSV: {error}"));
            error.position().map(|at| wrong.clone().line(at.line())).unwrap_or(wrong)
        };
        let header = reader.headers().map_err(malformed)?.clone();
        let mut columns = BTreeMap::new();
        for (at, name) in header.iter().enumerate() {
            if columns.insert(name.to_owned(), at).is_some() {
                return Err(ReadError::new(path, "stands twice in the first line").line(1).field(column(name)));
            }
        }
        if let Some((name, meant)) = header.iter().find_map(|name| Some((name, meant(name, &columns, optional)?))) {
            let wrong = ReadError::new(path, format!("nothing reads it (did you mean {meant}?)"));
            return Err(wrong.line(1).field(column(name)).allowed("columns of quite other names may stay"));
        }
        if let Some(missing) = required.iter().find(|name| !columns.contains_key(**name)) {
            let has = format!("the first line names the columns; needed are {}", required.join(","));
            return Err(ReadError::new(path, "is missing").line(1).field(column(missing)).allowed(has));
        }
        let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(malformed)?;
        if let Some(short) = rows.iter().find(|row| row.len() != header.len()) {
            let problem = format!("has {} values under {} columns", short.len(), header.len());
            return Err(ReadError::new(path, problem).line(line(short)));
        }
        if rows.is_empty() {
            return Err(ReadError::new(path, format!("has a first line and no {of}")));
        }
        Ok(Self { path, columns, rows })
    }
}

/// The optional column that a name which nothing reads was meant for: `Estimate`, `prio`, `deadline`.
fn meant(name: &str, columns: &BTreeMap<String, usize>, optional: &[&'static str]) -> Option<&'static str> {
    let plain = |name: &str| {
        let name = name.to_lowercase().replace([' ', '-'], "_");
        name.strip_suffix("_s").map_or_else(|| name.clone(), str::to_owned)
    };
    let said = plain(name);
    let absent = optional.iter().find(|known| {
        let known = plain(known);
        said == known || said.len() >= 4 && known.starts_with(&said)
    })?;
    (!columns.contains_key(*absent)).then_some(*absent)
}

fn line(record: &StringRecord) -> u64 {
    record.position().map_or(0, ::csv::Position::line)
}

fn column(name: &str) -> String {
    format!("column {name}")
}

/// A value as it is shown in a message: no longer than a line.
fn quoted(value: &str) -> String {
    let short: String = value.chars().take(40).collect();
    if short.len() < value.len() { format!("{short:?}..") } else { format!("{short:?}") }
}

/// A line of a file.
struct Row<'a> {
    sheet: &'a Sheet<'a>,
    record: &'a StringRecord,
}

impl Row<'_> {
    fn wrong(&self, name: &str, problem: impl Into<String>) -> ReadError {
        ReadError::new(self.sheet.path, problem).line(line(self.record)).field(column(name))
    }

    /// What stands in a column; none when that is nothing or there is no such column.
    fn text(&self, name: &str) -> Option<&str> {
        let at = self.sheet.columns.get(name)?;
        self.record.get(*at).filter(|value| !value.is_empty())
    }

    /// A number from 0 to `most`; none when the column is empty or not there.
    fn number(&self, name: &str, most: f64, unit: &str) -> Result<Option<f64>, ReadError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        let allowed = format!("a number of {unit} from 0 to {most:e}");
        let wrong = |why: &str| self.wrong(name, format!("{} {why}", quoted(value))).allowed(allowed.clone());
        let number: f64 = value.parse().map_err(|_| wrong("is not a number"))?;
        match number {
            number if number.is_nan() => Err(wrong("is not a number")),
            number if number < 0.0 => Err(wrong("is negative")),
            number if number > most => Err(wrong("is too large")),
            // Also turns -0 into 0.
            number => Ok(Some(number + 0.0)),
        }
    }

    fn required(
        &self,
        name: &'static str,
        number: impl Fn(&'static str) -> Result<Option<f64>, ReadError>,
    ) -> Result<f64, ReadError> {
        number(name)?.ok_or_else(|| self.wrong(name, "is empty").allowed("a number of seconds"))
    }

    fn amounts(&self) -> Result<[f64; 4], ReadError> {
        let mut amounts = [0.0; 4];
        for ((amount, name), unit) in amounts.iter_mut().zip(AMOUNTS).zip(["cores", "GB", "GB", "GPUs"]) {
            *amount = self.number(name, MOST_AMOUNT, unit)?.unwrap_or(0.0);
        }
        Ok(amounts)
    }

    fn priority(&self) -> Result<i32, ReadError> {
        let Some(value) = self.text("priority") else { return Ok(0) };
        let whole = value.strip_suffix(".0").unwrap_or(value);
        let number = whole.parse().ok().filter(|number| (-100..=100).contains(number));
        number.ok_or_else(|| {
            self.wrong("priority", format!("{} is no priority", quoted(value)))
                .allowed("a whole number from -100 to 100")
        })
    }
}

/// The ids that a file has named, with their lines.
#[derive(Default)]
struct Ids(BTreeMap<String, u64>);

impl Ids {
    fn new_one(&mut self, row: &Row<'_>, column: &'static str) -> Result<String, ReadError> {
        let id = row.text(column).ok_or_else(|| row.wrong(column, "is empty").allowed("every row has an id"))?;
        match self.0.insert(id.to_owned(), line(row.record)) {
            None => Ok(id.to_owned()),
            Some(before) => Err(row.wrong(column, format!("{} stands in line {before} already", quoted(id)))),
        }
    }
}
