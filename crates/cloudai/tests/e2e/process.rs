//! One process of the real binary: started with nothing but what the test gives, never left behind.

use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;

/// How long anything may take that must happen: far more than it takes on a slow machine, and less
/// than the time limit of the test runner, so that a test that fails can say why.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that can not be waited for.
const PACE: Duration = Duration::from_millis(20);
/// Of a log that is printed when a test failed, in bytes.
const SHOWN: usize = 6_000;

/// Looks again and again until there is what it looks for.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited {} s in vain: {what}", PATIENCE.as_secs());
        tokio::time::sleep(PACE).await;
    }
}

/// The binary with an empty environment, but for the way to the engine, in a folder of the test;
/// behind the words of another program that becomes it.
fn command(before: &[String], dir: &Path, variables: &[(String, String)], words: &[String]) -> Command {
    let all: Vec<_> = before.iter().map(String::as_str).chain([env!("CARGO_BIN_EXE_cloudai")]).collect();
    let mut command = Command::new(all[0]);
    command.args(&all[1..]).args(words).current_dir(dir).env_clear().env("HOME", dir).stdin(Stdio::null());
    // How full the disk of the machine is that tests run on is nothing to them.
    command.envs([("CLOUDAI_DISK_PRESSURE_PERCENT", "100"), ("CLOUDAI_COLLECT_IMAGES_PERCENT", "100")]);
    // Whatever a command keeps of who signed in where is the test's own.
    command.env("CLOUDAI_CONFIG_DIR", dir.join("contexts"));
    for name in ["PATH", "DOCKER_HOST"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

/// A process that runs until it is told to end, or the test is over.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts it; its output goes to files of the folder, behind that of earlier lives.
    pub(crate) fn start(dir: &Path, name: &str, variables: &[(String, String)], words: &[String]) -> Self {
        Self::start_behind(&[], dir, name, variables, words)
    }

    /// The same behind another program that becomes it, as `nsenter --net=FILE`.
    pub(crate) fn start_behind(
        before: &[String],
        dir: &Path,
        name: &str,
        variables: &[(String, String)],
        words: &[String],
    ) -> Self {
        Self::spawn(command(before, dir, variables, words), dir, name)
    }

    /// Starts another program with just these variables.
    pub(crate) fn start_other(dir: &Path, name: &str, variables: &[(String, String)], words: &[String]) -> Self {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(dir).env_clear().stdin(Stdio::null());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::spawn(command, dir, name)
    }

    fn spawn(mut command: Command, dir: &Path, name: &str) -> Self {
        let (out, err) = (dir.join(format!("{name}.out")), dir.join(format!("{name}.err")));
        let append = |path: &Path| std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        // What an earlier life printed is not what this one prints.
        std::fs::write(&out, "").unwrap();
        let child = command.stdout(append(&out)).stderr(append(&err)).spawn();
        Self { name: name.to_owned(), child: child.unwrap(), out, err }
    }

    /// What it printed so far.
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// What it and its earlier lives told on stderr so far.
    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL: it is gone when this returns.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// How it ended, once it has: its code, none when by a signal; none while it runs.
    pub(crate) fn has_ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().unwrap().map(|status| status.code())
    }

    /// Waits until it ended by itself, and answers its code.
    pub(crate) async fn ended(&mut self) -> i32 {
        let what = format!("{} ends", self.name);
        let code = until(&what, async || self.has_ended()).await;
        code.unwrap_or_else(|| panic!("{} was ended by a signal", self.name))
    }

    /// The JSON object with this field that it printed, once it has.
    pub(crate) async fn printed(&mut self, field: &str) -> serde_json::Value {
        let what = format!("{} prints {field}", self.name);
        until(&what, async || {
            let lines = self.out();
            let objects = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let found = objects.into_iter().find(|object| object.get(field).is_some());
            if found.is_none()
                && let Some(code) = self.has_ended()
            {
                panic!("{} ended with {code:?}: {}", self.name, self.err());
            }
            found
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let told = self.err();
            let mut from = told.len().saturating_sub(SHOWN);
            while !told.is_char_boundary(from) {
                from += 1;
            }
            eprintln!("---- the end of what {} told ----\n{}", self.name, &told[from..]);
        }
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a command to its end that reads this on its standard input.
pub(crate) async fn run_with(dir: &Path, variables: &[(String, String)], words: &[&str], input: Vec<u8>) -> Ran {
    let words: Vec<_> = words.iter().map(ToString::to_string).collect();
    let mut command = tokio::process::Command::from(command(&[], dir, variables, &words));
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let fed = tokio::spawn(async move {
        // One that ends before it has read everything is no failure.
        let _ = stdin.write_all(&input).await;
    });
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.unwrap_or_else(|_| panic!("cloudai {words:?} did not end")).unwrap();
    fed.abort();
    ran(&words, output)
}

/// Runs a command to its end.
pub(crate) async fn run(dir: &Path, variables: &[(String, String)], words: &[&str]) -> Ran {
    let words: Vec<_> = words.iter().map(ToString::to_string).collect();
    let mut command = tokio::process::Command::from(command(&[], dir, variables, &words));
    command.kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("cloudai {words:?} did not end")).unwrap();
    ran(&words, output)
}

fn ran(words: &[String], output: Output) -> Ran {
    let code = output.status.code().unwrap_or_else(|| panic!("cloudai {words:?} was ended by a signal"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran { code, out: text(&output.stdout), err: text(&output.stderr), bytes: output.stdout }
}
