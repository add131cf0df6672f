//! An array as a row among tasks.

use super::Screen;
use super::quantity::count;
use super::table::Cell;
use super::task;
use crate::id::short;
use cloudai_master::http::dto::{ArrayCounts, JobCounts, Task};

/// The status of a task; of an array also how many of its elements have ended: `running 3/100`.
#[must_use]
pub(super) fn status(task: &Task, screen: &Screen) -> Cell {
    match &task.array {
        None => task::status(&task.status, screen),
        Some(array) => {
            let (sign, colour) = task::look(&task.status);
            let sign = if screen.terminal { format!("{sign} ") } else { String::new() };
            let (status, ended, total) = (&task.status, count(ended(array)), count(array.total));
            Cell::coloured(format!("{sign}{status} {ended}/{total}"), colour)
        }
    }
}

/// Where the elements of an array stand: `100 elements: 3 completed, 2 running, 95 queued`; nothing of what is none.
#[must_use]
pub(super) fn line(task: &Task) -> String {
    let Some(ArrayCounts { total, counts }) = &task.array else { return String::new() };
    let JobCounts { queued, pending, running, completed, failed, cancelled } = *counts;
    let parts = [
        (completed, "completed"),
        (failed, "failed"),
        (cancelled, "cancelled"),
        (running, "running"),
        (pending, "pending"),
        (queued, "queued"),
    ];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, word)| format!("{} {word}", count(number))).collect();
    format!("{} elements: {}", count(*total), parts.join(", "))
}

/// What to do next with an array; none for what is no array.
#[must_use]
pub(super) fn next(task: &Task) -> Option<Vec<String>> {
    task.array?;
    let job = short(task.job_id.as_deref().unwrap_or_default());
    let of = |verb: &str| format!("cloudai job {verb} {job}");
    Some(match task.status.as_str() {
        "completed" => vec![of("tasks"), of("logs")],
        "failed" | "cancelled" => vec![of("tasks"), of("logs"), of("retry")],
        _ => vec![of("tasks"), format!("{} --follow", of("logs")), format!("cloudai task cancel {}", task.id)],
    })
}

fn ended(array: &ArrayCounts) -> u64 {
    let JobCounts { queued: _, pending: _, running: _, completed, failed, cancelled } = array.counts;
    completed + failed + cancelled
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;

    fn task(status: &str, array: serde_json::Value) -> Task {
        serde_json::from_value(serde_json::json!({
            "id": "task-01JD0000000000000007K3M9QZE", "name": "fit", "image": "busybox", "user_id": "local",
            "job_id": "job-01JD0000000000000007K3M9QZD", "status": status, "phase": null, "reason": null, "message": "",
            "attempt": 0, "exit_code": null, "oom_killed": false, "warnings": [], "worker_id": null, "priority": 0,
            "resources": {"cpu_cores": 1.0, "memory_gb": 0.5, "storage_gb": 1.0, "gpu_cores": 0.0}, "array": array,
            "labels": {}, "created_at": "2026-01-01T00:00:00.000Z", "started_at": null, "finished_at": null,
            "version": 1, "attempts": []
        }))
        .unwrap()
    }

    fn array(status: &str) -> Task {
        let counts = serde_json::json!({
            "total": 100, "queued": 95, "pending": 0, "running": 2, "completed": 2, "failed": 1, "cancelled": 0
        });
        task(status, counts)
    }

    #[test]
    fn the_row_of_an_array_says_how_many_of_its_elements_have_ended() {
        let screen = |terminal| Screen {
            format: Format::Table,
            format_given: true,
            terminal,
            messages_terminal: false,
            width: None,
            colour: false,
        };
        assert_eq!(status(&array("running"), &screen(false)).text(), "running 3/100");
        assert_eq!(status(&array("running"), &screen(true)).text(), "> running 3/100");
        assert_eq!(status(&task("running", serde_json::Value::Null), &screen(false)).text(), "running");
        assert_eq!(line(&array("running")), "100 elements: 2 completed, 1 failed, 2 running, 95 queued");
    }

    #[test]
    fn an_array_is_looked_at_by_its_job() {
        let next = next(&array("failed")).unwrap();
        assert_eq!(next, ["cloudai job tasks 7K3M9QZD", "cloudai job logs 7K3M9QZD", "cloudai job retry 7K3M9QZD"]);
        assert!(super::next(&task("failed", serde_json::Value::Null)).is_none());
    }
}
