//! Wall clocks that are set while everything runs: nothing is judged by them.

use crate::cluster::{Cluster, Plan, fake_worker};
use crate::process::until;
use crate::rest::{accepted, end};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The library that shows another time to the processes of this test.
fn library() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut found = found.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).filter(|path| path.exists());
    found.next().expect("clocks can not be set without libfaketime: run scripts/doctor.sh --install")
}

/// A wall clock that is off by what stands in a file; monotonic and boot clocks stay true.
struct WallClock(PathBuf);

impl WallClock {
    fn new(dir: &Path) -> Self {
        let clock = Self(dir.join("offset"));
        clock.set("+0");
        clock
    }

    /// By one write, so that nobody reads half of it.
    fn set(&self, offset: &str) {
        let fresh = self.0.with_extension("new");
        std::fs::write(&fresh, offset).unwrap();
        std::fs::rename(fresh, &self.0).unwrap();
    }

    fn variables(&self) -> Vec<(String, String)> {
        let file = self.0.display().to_string();
        let preload = library().display().to_string();
        let variables = [
            ("LD_PRELOAD", preload.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// The day that a process under this clock sees, as `2026-11-21`.
    fn day(&self) -> String {
        let seen = Command::new("date").args(["--utc", "+%F"]).envs(self.variables()).output().unwrap();
        String::from_utf8(seen.stdout).unwrap().trim().to_owned()
    }
}

/// When a task was submitted, in seconds.
fn created(task: &Value) -> f64 {
    time(&task["created_at"])
}

fn time(value: &Value) -> f64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let at: jiff::Timestamp = text.parse().unwrap();
    at.as_duration().as_secs_f64()
}

/// Waits until a master heard its worker some more times.
async fn heartbeats(cluster: &Cluster, count: usize) {
    let mut seen = std::collections::BTreeSet::new();
    until("the worker is heard again and again", async || {
        let worker = cluster.rest.get("/api/v1/workers/w1").await;
        assert_eq!(worker["status"], "active", "{worker:#}");
        seen.insert(worker["last_seen"].to_string());
        (seen.len() > count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_wall_clock_that_jumps_a_day_either_way_costs_no_lease_and_no_task() {
    let dir = tempfile::tempdir().unwrap();
    let clock = WallClock::new(dir.path());
    let today = clock.day();
    let mut cluster = Plan::short_lease().variables(&clock.variables()).worker(fake_worker("w1")).start().await;
    let env = json!({"FAKE_DURATION_MS": "forever"});
    let holder = json!({"image": "fake:x", "cpu_cores": 1, "kill_after_s": 1, "env": env});
    let holder = cluster.rest.submit(holder).await;
    cluster.rest.running(&holder).await;
    let mut done = Vec::new();
    for (offset, restart) in [("+1d", false), ("-1d", false), ("+1d", true), ("-1d", true), ("+0", true)] {
        clock.set(offset);
        let day = clock.day();
        assert_eq!(day == today, offset == "+0", "libfaketime does not set the clock to {offset}");
        if restart {
            cluster.stop_master().await;
            cluster.restart_master().await;
            let registered = |line: &str| line.contains("worker registered") && line.contains(&day);
            until(&format!("the master lives at {offset}"), async || {
                cluster.master_err().lines().any(registered).then_some(())
            })
            .await;
            cluster.worker_until("w1", "active").await;
        }
        // Enough for every deadline that is looked at once a second.
        heartbeats(&cluster, 10).await;
        let id = cluster.rest.submit(json!({"image": "fake:x", "cpu_cores": 1})).await;
        done.push(cluster.rest.completed(&id).await);
    }
    let running = cluster.rest.task(&holder).await;
    assert_eq!((end(&running).0, &running["attempt"]), ("running", &json!(1)), "{running:#}");
    assert_eq!(cluster.run(&["cancel", &holder]).await.code, 0);
    let holder = cluster.rest.ended(&holder).await;
    assert_eq!(holder["attempts"].as_array().unwrap().len(), 1, "{holder:#}");
    assert!(cluster.starts().into_values().all(|starts| starts == 1), "{:?}", cluster.starts());
    let times: Vec<_> = done.iter().map(created).collect();
    assert!(times.is_sorted(), "times run back: {times:?}");
    for task in &done {
        let steps = ["created_at", "started_at", "finished_at"].map(|field| time(&task[field]));
        assert!(steps.is_sorted() && accepted(task) == 1, "{task:#}");
    }
}
