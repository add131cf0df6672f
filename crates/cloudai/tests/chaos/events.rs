//! What a Docker engine tells of a cluster's containers, kept in a file from the beginning on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// A subscriber of the engine, which is none of our processes.
#[derive(Debug)]
pub(crate) struct Events {
    file: PathBuf,
    child: Child,
}

impl Events {
    /// From now on; the engine keeps what happens until the subscriber is there.
    pub(crate) fn of(cluster: &str, dir: &Path) -> Self {
        let file = dir.join("engine.events");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut command = Command::new("docker");
        command.args(["events", "--since", &now.to_string(), "--format", "{{json .}}", "--filter", "type=container"]);
        command.args(["--filter", &format!("label=cloudai.cluster={cluster}")]);
        command.stdin(Stdio::null()).stdout(File::create(&file).unwrap());
        Self { file, child: command.spawn().expect("docker runs") }
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.file).unwrap()).into_owned()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
