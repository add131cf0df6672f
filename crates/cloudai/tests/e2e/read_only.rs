//! A disk under the master's state that can only be read.

use crate::cluster::{Cluster, Plan, WorkerPlan, fake_worker};
use crate::process::until;
use crate::rest::{accepted, end};
use crate::stalled_store::is_degraded;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A disk in a file, with a file system that a real one may have.
struct Disk {
    place: TempDir,
    images: TempDir,
    /// The file that it is in.
    image: PathBuf,
}

fn output(command: &str, words: &[&OsStr]) -> Result<Output, String> {
    let output = Command::new(command).args(words).output().map_err(|error| format!("{command}: {error}"))?;
    if output.status.success() { Ok(output) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

impl Disk {
    /// Makes and mounts it; none where this may not be done.
    fn mount() -> Option<Self> {
        let images = tempfile::tempdir().unwrap();
        let image = images.path().join("disk");
        std::fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let disk = Self { place: tempfile::tempdir().unwrap(), images, image };
        let made =
            output("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), disk.image.as_ref()]).and_then(|_| disk.attach());
        match made {
            Ok(()) => Some(disk),
            Err(why) => {
                eprintln!("not verified, no disk can be mounted: {why}");
                None
            }
        }
    }

    fn attach(&self) -> Result<(), String> {
        let options = ["-o", "loop,errors=remount-ro"].map(OsStr::new);
        output("mount", &[&options[..], &[self.image.as_ref(), self.path().as_ref()]].concat()).map(drop)
    }

    /// As an operator does: what is on it goes to a new one, is checked, and is there again. The
    /// old one may still be in use: a container that was started meanwhile has it among its mounts.
    fn mend(&mut self) {
        output("umount", &[self.path().as_ref()]).unwrap();
        let fresh = self.images.path().join("mended");
        std::fs::copy(&self.image, &fresh).unwrap();
        self.image = fresh;
        // Answers 1 when there was something to mend.
        let _ = output("fsck.ext4", &["-p".as_ref(), "-f".as_ref(), self.image.as_ref()]);
        self.attach().unwrap();
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    /// Where the master keeps its state.
    fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// Tells the kernel of a fault of the disk: it writes nothing there any more.
    fn break_down(&self) {
        let source = output("findmnt", &["-no".as_ref(), "SOURCE".as_ref(), self.path().as_ref()]).unwrap();
        let source = String::from_utf8(source.stdout).unwrap();
        let name = Path::new(source.trim()).file_name().unwrap().to_owned();
        std::fs::write(Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error"), "a fault of a test").unwrap();
        assert!(std::fs::write(self.path().join("probe"), "").is_err(), "the disk can still be written");
    }

    /// Keeps every file and folder of the state as it is, also for who has it open; or no more.
    fn freeze(&self, frozen: bool) {
        let mode = if frozen { "+i" } else { "-i" };
        output("chattr", &["-R".as_ref(), mode.as_ref(), self.state().as_ref()]).unwrap();
        // The memory that readers and writer share is a file only by name.
        let shared = self.state().join("cloudai.db-shm");
        output("chattr", &["-i".as_ref(), shared.as_ref()]).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = output("chattr", &["-R".as_ref(), "-i".as_ref(), self.state().as_ref()]);
        // Also while a process that is about to end has files open there.
        let _ = output("umount", &["--lazy".as_ref(), self.path().as_ref()]);
    }
}

fn task() -> Value {
    let env = json!({"FAKE_DURATION_MS": 1000, "FAKE_STDOUT": "one\ntwo", "FAKE_OUT": "f=content"});
    json!({"image": "fake:x", "cpu_cores": 2, "env": env})
}

fn worker() -> WorkerPlan {
    fake_worker("w1")
}

/// One task runs and will end once `happens` is over, one waits for its place.
async fn running_and_waiting(cluster: &mut Cluster, happens: impl FnOnce()) -> [String; 2] {
    let (runs, waits) = (cluster.rest.submit(task()).await, cluster.rest.submit(task()).await);
    cluster.rest.running(&runs).await;
    cluster.worker("w1").signal(Signal::STOP);
    happens();
    [runs, waits]
}

/// That the master tells its trouble, refuses what it can not keep, and shows what is stored.
async fn is_told(cluster: &mut Cluster, [runs, waits]: &[String; 2]) {
    let ready = cluster.rest.ask("GET", "/readyz", None).await;
    assert_eq!(ready.status, 503, "{ready:?}");
    let refused = cluster.rest.ask("POST", "/api/v1/tasks", Some(&task())).await;
    assert_eq!((refused.status, refused.text("code")), (503, "unavailable"), "{refused:?}");
    assert!(refused.retry_after.is_some_and(|seconds| seconds > 0), "{refused:?}");
    let told = cluster.run(&["cluster", "status"]).await;
    assert_eq!(told.code, 0, "{told:?}");
    cluster.worker("w1").signal(Signal::CONT);
    let ended = async || cluster.journal().iter().any(|mark| mark.event == "end").then_some(());
    until("the work goes on to its end", ended).await;
    assert_eq!(end(&cluster.rest.task(runs).await).0, "running", "reads go on, and show what is stored");
    assert_eq!(cluster.rest.get("/api/v1/queue").await["items"][0]["id"], json!(waits));
}

/// That all ended as they should; a log that was not on the disk yet may be lost with the disk, and is told to be.
async fn all_are_whole(cluster: &Cluster, ids: &[&String], disk_lost: bool) {
    for id in ids {
        let task = cluster.rest.ended(id).await;
        assert_eq!((end(&task).0, &task["attempt"], accepted(&task)), ("completed", &json!(1), 1), "{task:#}");
        let is_told = task["warnings"].as_array().is_some_and(|told| told.contains(&json!("log_incomplete")));
        let is_whole = cluster.rest.log(id, "").await == "one\ntwo\n";
        assert!(is_whole != is_told && (is_whole || disk_lost), "the log is whole, or said not to be: {task:#}");
        let files = cluster.rest.get(&format!("/api/v1/tasks/{id}/files")).await;
        assert_eq!(files["items"][0]["path"], "f", "{files}");
    }
    assert!(cluster.starts().into_values().all(|starts| starts == 1), "{:?}", cluster.starts());
    assert!(!is_degraded(cluster).await);
}

#[tokio::test]
async fn a_store_that_can_only_be_read_for_a_while_is_told_and_recovers_alone() {
    let Some(disk) = Disk::mount() else { return };
    let mut cluster = Plan::new().master_dir(&disk.state()).worker(worker()).start().await;
    let ids = running_and_waiting(&mut cluster, || disk.freeze(true)).await;
    let rest = cluster.rest.clone();
    let kept = tokio::spawn(async move { rest.submit(task()).await });
    until("the master says that it can not write", async || is_degraded(&cluster).await.then_some(())).await;
    is_told(&mut cluster, &ids).await;
    assert!(!kept.is_finished(), "nothing is acknowledged that is not stored");
    assert_eq!(cluster.rest.all_tasks().await.len(), 2);

    disk.freeze(false);
    let kept = kept.await.unwrap();
    all_are_whole(&cluster, &[&ids[0], &ids[1], &kept], false).await;
    assert_eq!(cluster.rest.all_tasks().await.len(), 3, "what was refused is not there");
}

#[tokio::test]
async fn a_disk_that_breaks_down_loses_nothing_that_was_acknowledged_once_it_is_mended() {
    let Some(mut disk) = Disk::mount() else { return };
    let mut cluster = Plan::new().master_dir(&disk.state()).worker(worker()).start().await;
    let ids = running_and_waiting(&mut cluster, || disk.break_down()).await;
    let (rest, document) = (cluster.rest.clone(), json!({"tasks": [task()]}));
    let kept = tokio::spawn(async move { rest.try_ask("POST", "/api/v1/tasks/batch", Some(&document)).await });
    until("the master says that it can not write", async || is_degraded(&cluster).await.then_some(())).await;
    is_told(&mut cluster, &ids).await;
    assert!(!kept.is_finished(), "nothing is acknowledged that is not stored");

    // The kernel lets nobody write there again before it is mounted anew.
    cluster.kill_master();
    assert!(kept.await.unwrap().is_err(), "nobody was told that it is stored");
    disk.mend();
    cluster.restart_master().await;
    all_are_whole(&cluster, &[&ids[0], &ids[1]], true).await;
    assert_eq!(cluster.rest.all_tasks().await.len(), 2, "what nobody was told of is not there");
}
