//! What an attempt took, as a line for people.

use super::quantity::{cores, duration, long_gigabytes};
use cloudai_core::resources::Bytes;
use cloudai_master::http::dto::Task;
use std::time::Duration;

/// What the latest attempt of a task took of what it asked for, as far as that is known.
#[must_use]
pub(crate) fn line(task: &Task) -> String {
    let Some(usage) = task.attempts.last().and_then(|attempt| attempt.usage) else { return String::new() };
    let asked = &task.resources;
    let memory = |bytes| format!("{} of {} memory at most", Bytes(bytes), long_gigabytes(asked.memory_gb));
    let time =
        |seconds: Option<f64>| seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).map(duration);
    let parts = [
        usage.peak_memory_bytes.map(memory),
        usage.cpu_s.map(|cpu| processors(cpu, usage.run_s, asked.cpu_cores)),
        time(usage.pull_s).map(|took| format!("pulled in {took}")),
        time(usage.queue_s).map(|took| format!("waited {took}")),
        time(usage.run_s).map(|took| format!("ran {took}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `12.3 CPU seconds (31 % of 2 cores)`.
fn processors(cpu: f64, run: Option<f64>, asked: f64) -> String {
    let took = if cpu < 10.0 { cores(cpu) } else { format!("{cpu:.1}") };
    let word = if asked > 0.0 && asked <= 1.0 { "core" } else { "cores" };
    match run.map(|run| run * asked).filter(|given| *given > 0.0) {
        Some(given) => format!("{took} CPU seconds ({:.0} % of {} {word})", cpu / given * 100.0, cores(asked)),
        None => format!("{took} CPU seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(usage: &Value) -> String {
        let task = json!({
            "id": "task-01JD0000000000000007K3M9QZD", "name": null, "image": "a", "user_id": "local", "job_id": null,
            "status": "completed", "phase": null, "reason": null, "message": "", "attempt": 1, "exit_code": 0,
            "oom_killed": false, "warnings": [], "worker_id": "w1", "priority": 0, "labels": {}, "version": 1,
            "resources": {"cpu_cores": 2.0, "memory_gb": 4.0, "storage_gb": 1.0, "gpu_cores": 0.0},
            "created_at": "2026-01-01T00:00:00.000Z", "started_at": null, "finished_at": null,
            "attempts": [{"attempt": 1, "worker_id": "w1", "status": "completed", "reason": null, "message": "",
                "exit_code": 0, "accepted": true, "assigned_at": "2026-01-01T00:00:00.000Z", "started_at": null,
                "ended_at": null, "log_records": null, "log_bytes": null, "usage": usage}]
        });
        line(&serde_json::from_value(task).unwrap())
    }

    #[test]
    fn what_was_used_is_told_against_what_was_asked_for() {
        let memory = 1_288_490_189_u64;
        let all = json!({"peak_memory_bytes": memory, "cpu_s": 12.34, "queue_s": 2.0, "pull_s": 3.0, "run_s": 20.0});
        let said =
            "1.2 GiB of 4 GiB memory at most, 12.3 CPU seconds (31 % of 2 cores), pulled in 3.0s, waited 2.0s, ran 20s";
        assert_eq!(of(&all), said);
        let rows = [
            (json!({"queue_s": 0.0}), "waited 0.0s"),
            (json!({"cpu_s": 0.25}), "0.25 CPU seconds"),
            (json!({"cpu_s": 0.25, "run_s": 0.0}), "0.25 CPU seconds, ran 0.0s"),
            (json!({}), ""),
            (json!(null), ""),
        ];
        for (usage, expected) in rows {
            assert_eq!(of(&usage), expected, "{usage}");
        }
    }
}
