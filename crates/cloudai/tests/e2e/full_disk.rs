//! A full disk under the master's state.

use crate::cluster::{Plan, fake_worker};
use crate::process::until;
use crate::rest::{accepted, end};
use crate::stalled_store::is_degraded;
use rustix::process::Signal;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A disk of its own, in memory, that is soon full.
struct Disk(TempDir);

impl Disk {
    /// Mounts it; none where this may not be done.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            Ok(output) => {
                eprintln!("not verified, no disk can be mounted: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("not verified, no disk can be mounted: mount: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes every page that is left.
    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        while file.write_all(&[1; 4096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while a process that is about to end has files open there.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).output();
    }
}

#[tokio::test]
async fn a_full_disk_of_the_master_refuses_new_tasks_and_loses_none_of_the_old() {
    let Some(disk) = Disk::mount() else { return };
    let mut cluster = Plan::new().master_dir(disk.path()).worker(fake_worker("w1")).start().await;
    let env = json!({"FAKE_DURATION_MS": 1000, "FAKE_STDOUT": "one\ntwo", "FAKE_OUT": "f=content"});
    let task = json!({"image": "fake:x", "cpu_cores": 2, "env": env});
    let ends = cluster.rest.submit(task.clone()).await;
    let waits = cluster.rest.submit(task.clone()).await;
    cluster.rest.running(&ends).await;
    // The first one ends once the disk is full, not before.
    cluster.worker("w1").signal(Signal::STOP);
    disk.fill();
    let (rest, document) = (cluster.rest.clone(), task.clone());
    let kept = tokio::spawn(async move { rest.submit(document).await });
    until("the master says that it can not write", async || is_degraded(&cluster).await.then_some(())).await;
    cluster.worker("w1").signal(Signal::CONT);

    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&task)).await;
    assert_eq!((refused.status, refused.text("code")), (503, "unavailable"), "{refused:?}");
    assert!(refused.retry_after.is_some_and(|seconds| seconds > 0), "{refused:?}");
    let health = cluster.rest.get("/health").await;
    assert!(health["store"].as_str().unwrap().contains("full"), "the reason is named: {health}");
    let told = cluster.run(&["cluster", "status"]).await;
    assert!(told.code == 0 && told.out.contains("full"), "{told:?}");
    until("the first task has ended", async || cluster.journal().iter().any(|mark| mark.event == "end").then_some(()))
        .await;
    assert_eq!(end(&cluster.rest.task(&ends).await).0, "running", "reads go on, and show what is stored");
    assert_eq!(cluster.rest.get("/api/v1/queue").await["items"][0]["id"], json!(waits));
    assert_eq!(cluster.rest.all_tasks().await.len(), 2);
    assert!(!kept.is_finished(), "nothing is acknowledged that is not stored");

    std::fs::remove_file(disk.filler()).unwrap();
    let kept = kept.await.unwrap();
    for id in [&ends, &waits, &kept] {
        let task = cluster.rest.ended(id).await;
        assert_eq!((end(&task).0, &task["attempt"], accepted(&task)), ("completed", &json!(1), 1), "{task:#}");
        assert_eq!(cluster.rest.log(id, "").await, "one\ntwo\n", "the log was kept by the worker");
        let files = cluster.rest.get(&format!("/api/v1/tasks/{id}/files")).await;
        assert_eq!(files["items"][0]["path"], "f", "{files}");
    }
    assert_eq!(cluster.rest.all_tasks().await.len(), 3, "what was refused is not there");
    assert!(cluster.starts().into_values().all(|starts| starts == 1), "{:?}", cluster.starts());
    assert!(!is_degraded(&cluster).await);
}
