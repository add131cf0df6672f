//! A workload as the files that `super::csv` reads.

use super::csv::{AMOUNTS, written};
use super::report::{WriteError, failed, put};
use super::workload::Workload;
use ::csv::Writer;
use std::io;
use std::path::{Path, PathBuf};

/// Writes `NAME.tasks.csv` and `NAME.workers.csv`, whose paths it returns. Numbers are written so that reading them
/// gives the same ones.
/// # Errors
/// [`WriteError`].
pub fn write_workload(workload: &Workload, name: &Path) -> Result<[PathBuf; 2], WriteError> {
    let dir = name.parent().unwrap_or_else(|| Path::new(""));
    let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let [tasks_file, workers_file] = ["tasks", "workers"].map(|of| format!("{name}.{of}.csv"));
    put(dir, &tasks_file, &tasks(workload).map_err(|error| failed(dir, error))?)?;
    put(dir, &workers_file, &workers(workload).map_err(|error| failed(dir, error))?)?;
    Ok([dir.join(tasks_file), dir.join(workers_file)])
}

/// The tasks of a workload, as [`super::csv::tasks_of`] reads them.
/// # Errors
/// None that a workload could cause.
pub fn tasks(workload: &Workload) -> io::Result<String> {
    let mut out = Writer::from_writer(Vec::new());
    let head = ["task_id", "arrival_s", "cpu", "mem_gb", "storage_gb", "gpu", "runtime_s"];
    out.write_record(head.iter().chain(&["estimate_s", "priority", "deadline_s", "user", "image"]))?;
    let optional = |number: Option<f64>| number.map(|number| number.to_string()).unwrap_or_default();
    for task in &workload.tasks {
        let mut row = vec![task.id.clone(), task.arrival_s.to_string()];
        row.extend(task.demand.iter().map(ToString::to_string));
        row.extend([task.runtime_s.to_string(), optional(task.estimate_s), task.priority.to_string()]);
        row.extend([optional(task.deadline_s), task.user.clone(), task.image.clone()]);
        out.write_record(row)?;
    }
    written(out)
}

/// The workers of a workload, as [`super::csv::workers_of`] reads them.
/// # Errors
/// None that a workload could cause.
pub fn workers(workload: &Workload) -> io::Result<String> {
    let mut out = Writer::from_writer(Vec::new());
    out.write_record(["worker_id"].iter().chain(&AMOUNTS))?;
    for worker in &workload.workers {
        let amounts = worker.capacity.iter().map(ToString::to_string);
        out.write_record(std::iter::once(worker.id.clone()).chain(amounts))?;
    }
    written(out)
}
