//! The container engine of this machine, asked by its own command line: what is really there.

use std::process::Command;

/// The image of container tests; made by `scripts/images.sh`.
pub(crate) const IMAGE: &str = "cloudai/busybox:latest";
const HELP: &str = "container tests need an engine and its images: run scripts/engine.sh start and scripts/images.sh";

/// Fails when container tests can not run here.
pub(crate) fn need() {
    let answer = Command::new("docker").args(["image", "inspect", IMAGE]).output();
    let answer = answer.unwrap_or_else(|error| panic!("the command docker does not run: {error}; {HELP}"));
    assert!(answer.status.success(), "{}; {HELP}", String::from_utf8_lossy(&answer.stderr).trim());
}

/// Asks the engine; it must answer.
pub(crate) fn docker(words: &[&str]) -> String {
    let output = Command::new("docker").args(words).output().unwrap_or_else(|error| panic!("docker: {error}; {HELP}"));
    assert!(output.status.success(), "docker {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The ids of all containers with a label, running or not.
pub(crate) fn containers(label: &str, value: &str) -> Vec<String> {
    let filter = format!("label=cloudai.{label}={value}");
    let ids = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter]);
    ids.lines().map(ToOwned::to_owned).collect()
}

/// The only container of a task.
pub(crate) fn container_of(task: &str) -> String {
    let found = containers("task", task);
    let [id] = found.as_slice() else { panic!("{task} has the containers {found:?}") };
    id.clone()
}

/// Makes a file in a running container: the script of the test waits for it. Detached: when the script sees the file
/// it may end, and its container, before `touch` has.
pub(crate) fn touch(container: &str, path: &str) {
    docker(&["exec", "--detach", container, "touch", path]);
}

/// Removes what a cluster left behind, as its workers were killed.
pub(crate) fn remove_all(cluster: &str) {
    let filter = format!("label=cloudai.cluster={cluster}");
    let Ok(listed) = Command::new("docker").args(["ps", "--all", "--quiet", "--filter", &filter]).output() else {
        return;
    };
    let ids = String::from_utf8_lossy(&listed.stdout).into_owned();
    if !ids.trim().is_empty() {
        let _ = Command::new("docker").args(["rm", "--force"]).args(ids.split_whitespace()).output();
    }
}
