//! A worker whose disk is full, and has room again.

use crate::cluster::{Cluster, fake_worker};
use crate::process::until;
use crate::rest::end;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system of its own; gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where mounting is not permitted.
    fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let words = ["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"];
        let mounted = Command::new("mount").args(words).arg(path).output();
        let told = mounted.map(|done| (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned()));
        match told {
            Ok((true, _)) => Some(Self(path.to_owned())),
            Ok((false, why)) => {
                eprintln!("not verified: a full disk of a worker: mounting is not permitted here: {}", why.trim());
                None
            }
            Err(why) => {
                eprintln!("not verified: a full disk of a worker: mount does not run: {why}");
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    fn fill(&self) {
        let mut file = File::create(self.filler()).unwrap();
        let full = loop {
            if let Err(why) = file.write_all(&[0; 4096]) {
                break why;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once out of sight, gone when the worker is.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

fn task(duration: &str) -> Value {
    json!({"image": "fake:disk", "cpu_cores": 0.01, "memory_gb": 0.01, "storage_gb": 0,
        "env": {"FAKE_DURATION_MS": duration, "FAKE_STDOUT": "line"}})
}

#[tokio::test]
async fn a_full_disk_of_a_worker_loses_no_report() {
    let mut cluster = Cluster::start().await;
    let Some(disk) = SmallDisk::mount(&cluster.dir().join("state/workers/w1")) else { return };
    cluster.add(fake_worker("w1")).await;
    // Some end by themselves before or while the disk is full, some are stopped then.
    let ending = cluster.rest.submit_all((0..10).map(|n| task(&(n * 400).to_string())).collect()).await;
    let running = cluster.rest.submit_all(vec![task("forever"); 20]).await;
    for id in &running {
        cluster.rest.lines(id, 1).await;
    }
    disk.fill();
    for id in &running {
        assert_eq!(cluster.run(&["cancel", id]).await.code, 0);
    }
    until("the worker says that its disk is full", async || {
        cluster.worker("w1").err().contains("the journal can not be written").then_some(())
    })
    .await;
    let late = cluster.rest.submit(task("0")).await;
    let waits = cluster.rest.task_until(&late, "assigned", |task| task["status"] == "pending").await;
    assert_eq!(cluster.starts().get(&late), None, "nothing is begun that could not be written down: {waits:#}");
    assert_eq!(cluster.worker("w1").has_ended(), None, "the worker lives on");
    let open = async || {
        let mut open = 0;
        for id in &running {
            open += usize::from(cluster.rest.task(id).await["finished_at"].is_null());
        }
        open
    };
    assert!(open().await > 0, "no end is told that was not written down");
    disk.make_room();
    for id in &running {
        let task = cluster.rest.ended(id).await;
        assert_eq!(end(&task), ("cancelled", "user"), "{task:#}");
    }
    for id in ending.iter().chain([&late]) {
        let task = cluster.rest.completed(id).await;
        assert_eq!((task["attempt"].as_u64(), &task["warnings"]), (Some(1), &json!([])), "{task:#}");
        assert_eq!(cluster.rest.log(id, "").await, "line\n");
    }
    assert!(cluster.starts().values().all(|starts| *starts == 1), "{:?}", cluster.starts());
}
