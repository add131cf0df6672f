//! The boxes of the reference's `status` and `workers`, for its users' eyes.
//!
//! Shown for those two words on a terminal when no `--output` is given; everything else, and
//! every pipe, gets the tables.

use super::quantity::age;
use super::table::printable;
use super::worker::shown_state;
use cloudai_master::http::dto::{Cluster, Worker};
use jiff::Timestamp;

/// The box of `status`.
#[must_use]
pub(crate) fn status(cluster: &Cluster) -> String {
    let tasks = |word: &str| cluster.tasks.get(word).copied().unwrap_or(0);
    let others = cluster.workers.states.iter().filter(|(word, _)| *word != "active");
    let others: String = others.map(|(word, count)| format!("║   {}: {count}\n", state(word))).collect();
    format!(
        "╔═══ Cluster Status\n║ Total Workers: {}\n║ Active Workers: {}\n{others}║ Queued Tasks: {}\n\
         ║ Running Tasks: {}\n║ Completed Tasks: {}\n║ Failed Tasks: {}\n╚",
        cluster.workers.total,
        cluster.workers.active,
        tasks("queued"),
        tasks("running"),
        tasks("completed"),
        tasks("failed"),
    )
}

/// The box of `workers`.
#[must_use]
pub(crate) fn workers(workers: &[Worker], now: Timestamp) -> String {
    let mut lines = vec!["╔═══ Registered Workers".to_owned()];
    for (at, worker) in workers.iter().enumerate() {
        if at > 0 {
            lines.push("║".into());
        }
        let all = &worker.capacity;
        lines.extend([
            format!("║ {}", printable(&worker.id)),
            format!("║   Status: {}", state(shown_state(worker))),
            format!("║   IP: {}", printable(worker.address.as_deref().unwrap_or("-"))),
            format!(
                "║   Resources: CPU={:.1}, Memory={:.1}GB, Storage={:.1}GB, GPU={:.1}",
                all.cpu_cores, all.memory_gb, all.storage_gb, all.gpu_cores
            ),
            format!("║   Running Tasks: {}", worker.tasks),
        ]);
        if let Some(seen) = &worker.last_seen {
            lines.push(format!("║   Last Heartbeat: {} ago", age(seen, now)));
        }
    }
    lines.push("╚".into());
    lines.join("\n")
}

fn state(word: &str) -> String {
    match word {
        "active" => "🟢 Active".into(),
        "draining" => "🟡 Draining".into(),
        "engine_away" => "🟡 Engine away".into(),
        "disk_pressure" => "🟡 Disk full".into(),
        "deaf" => "🔴 Deaf".into(),
        "inactive" => "🔴 Inactive".into(),
        "registered" => "⚪ Registered".into(),
        "cordoned" => "🟡 Cordoned".into(),
        "drained" => "🟡 Drained".into(),
        "quarantined" => "🔴 Quarantined".into(),
        other => printable(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boxes_keep_the_lines_of_the_reference() {
        let amounts = serde_json::json!({"cpu_cores": 4.0, "memory_gb": 8.0, "storage_gb": 250.0, "gpu_cores": 0.0});
        let worker: Worker = serde_json::from_value(serde_json::json!({
            "id": "worker-1", "status": "active", "address": "192.168.1.100:50052", "capacity": amounts,
            "allocated": amounts, "available": amounts, "gpus": [], "tasks": 1, "labels": {}, "version": "0.1.0",
            "executor": "docker", "engine": "", "last_seen": "2026-01-01T00:00:00Z", "registered_at": "2026-01-01T00:00:00Z"
        }))
        .unwrap();
        let expected = "\
╔═══ Registered Workers
║ worker-1
║   Status: 🟢 Active
║   IP: 192.168.1.100:50052
║   Resources: CPU=4.0, Memory=8.0GB, Storage=250.0GB, GPU=0.0
║   Running Tasks: 1
║   Last Heartbeat: 2s ago
╚";
        assert_eq!(workers(&[worker], "2026-01-01T00:00:02Z".parse().unwrap()), expected);
        let cluster: Cluster = serde_json::from_value(serde_json::json!({
            "cluster": "c", "incarnation": 1, "term": 1, "version": "0", "strategy": "greedy", "store": "ok",
            "uptime_s": 1, "workers": {"total": 3, "active": 2, "states": {"active": 2, "cordoned": 1}}, "tasks": {"running": 5, "completed": 42},
            "capacity": amounts, "allocated": amounts
        }))
        .unwrap();
        let shown = status(&cluster);
        for line in [
            "╔═══ Cluster Status",
            "║ Total Workers: 3",
            "║ Active Workers: 2",
            "║   🟡 Cordoned: 1",
            "║ Running Tasks: 5",
            "║ Completed Tasks: 42",
            "╚",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line}\n{shown}");
        }
    }
}
