//! A program beside an attempt's own, in the same container: `exec` of the engine's API.
//!
//! `stream` is the connection that carries its bytes, `signals` ends it: the engine has no call for that.

mod signals;
mod stream;

use super::Engine;
use super::error::{Backoff, Fault, clean, patiently};
use super::seen::{Stage, inspect};
use crate::executor::EngineError;
use crate::executor::exec::{ExecEnd, ExecError, ExecWish, Execution, Piece, Process, WindowSize};
use async_trait::async_trait;
use bollard::Docker;
use bollard::exec::ResizeExecOptions;
use bollard::models::ExecConfig;
use futures::stream::BoxStream;
use futures::{StreamExt, stream as streams};
use rustix::process::Signal;
use signals::Session;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

/// What is run when nothing is named: the container's `SHELL`, else the better one that there is.
const SHELL: [&str; 3] = [
    "sh",
    "-c",
    "if [ -n \"$SHELL\" ] && [ -x \"$SHELL\" ]; then exec \"$SHELL\"; fi; \
     if command -v bash >/dev/null 2>&1; then exec bash; fi; exec sh",
];
/// A program begins in this time, or the engine hangs.
const BEGIN: Duration = Duration::from_secs(15);
/// Of an engine's words about what it could not begin, in bytes.
const WORDS: usize = 4096;
/// How long an engine that goes away is asked how a program ended.
const PATIENCE: Duration = Duration::from_secs(10);
/// After SIGHUP; what is left then gets SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// After a kill by the kernel or anybody else it is known so long later whether the container ended.
const SETTLED: Duration = Duration::from_secs(2);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes of a program, in order.
type Output = BoxStream<'static, io::Result<Piece>>;

/// Begins a program in a container that runs.
pub(super) async fn begin(engine: &Engine, container: &str, wish: &ExecWish) -> Result<Execution, ExecError> {
    let docker = &engine.docker;
    let id = match docker.create_exec(container, config(wish)).await.map_err(Fault::from) {
        Ok(created) => created.id,
        Err(fault) => return Err(refused(fault)),
    };
    let started = timeout(BEGIN, stream::start(&engine.address, &id, wish)).await;
    let started = started.map_err(|_| failed("it did not begin the program in time"))?;
    let (input, output) = started.map_err(refused)?;
    let (pid, output) = begun(docker, &id, output).await?;
    let (docker, container) = (docker.clone(), container.to_owned());
    let program = Program { docker, id, container, pid, tty: wish.tty };
    if let Some(size) = wish.size {
        program.resize(size).await;
    }
    Ok(Execution { input, output, process: Box::new(program) })
}

fn config(wish: &ExecWish) -> ExecConfig {
    let shell = || SHELL.map(ToOwned::to_owned).to_vec();
    ExecConfig {
        attach_stdin: Some(wish.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(!wish.tty),
        console_size: wish.size.filter(|_| wish.tty).map(stream::console),
        tty: Some(wish.tty),
        env: Some(wish.env.clone()),
        cmd: Some(if wish.command.is_empty() { shell() } else { wish.command.clone() }),
        user: wish.user.clone(),
        working_dir: wish.workdir.clone(),
        ..ExecConfig::default()
    }
}

fn failed(why: &str) -> ExecError {
    EngineError::Failed(why.into()).into()
}

/// What the engine did not begin.
fn refused(fault: Fault) -> ExecError {
    match fault {
        // It ended in between, or is paused.
        Fault::Gone(_) | Fault::Conflict(_) => ExecError::NotRunning,
        fault if fault.is_engines() => EngineError::from(fault).into(),
        fault => not_started(fault.text()),
    }
}

/// The engine's words for what can not be run there, with the code of a shell: engines give 126 for all of it.
fn not_started(words: &str) -> ExecError {
    let why = clean(words);
    let why = ["OCI runtime exec failed: ", "Error: ", "runc: ", "crun: ", "exec failed: "]
        .iter()
        .fold(why, |why, layer| why.replace(layer, ""));
    let absent = ["executable file not found", "no such file or directory"].iter().any(|sign| why.contains(sign));
    let code = if absent && why.contains("exec: ") { 127 } else { 126 };
    ExecError::NotStarted { code, why }
}

/// Waits until the program runs or has run; answers its process, none where the engine does not tell.
///
/// What can not be begun is told as its output: then there never was a process.
async fn begun(docker: &Docker, id: &str, mut output: Output) -> Result<(Option<i32>, Output), ExecError> {
    let begin = Instant::now();
    let mut backoff = Backoff::new();
    let code = loop {
        let seen = patiently(PATIENCE, || docker.inspect_exec(id)).await.map_err(refused)?;
        let pid = seen.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
        match (pid, seen.running, seen.exit_code) {
            (Some(pid), ..) => return Ok((Some(pid), output)),
            (None, Some(false), Some(code)) => break code,
            _ if begin.elapsed() < BEGIN => backoff.pause().await,
            _ => return Err(failed("it does not say whether the program began")),
        }
    };
    let first = timeout(PATIENCE, output.next()).await.ok().flatten();
    let words = match &first {
        Some(Ok(piece)) => String::from_utf8_lossy(&piece.data[..piece.data.len().min(WORDS)]).into_owned(),
        Some(Err(_)) | None => String::new(),
    };
    let engines = ["OCI runtime", "unable to ", "exec failed", "exec: ", "Error: runc: ", "Error: crun: "]
        .iter()
        .any(|sign| words.starts_with(sign));
    if code != 0 && engines {
        return Err(not_started(&words));
    }
    // Without a word of the engine its code tells.
    if let (None, Ok(code @ (126 | 127))) = (&first, i32::try_from(code)) {
        let why = if code == 127 { "the container has no such program" } else { "it can not be run in the container" };
        return Err(ExecError::NotStarted { code, why: why.into() });
    }
    // It ran, and ended before anybody looked.
    Ok((None, Box::pin(streams::iter(first).chain(output))))
}

/// A program under way.
#[derive(Debug)]
struct Program {
    docker: Docker,
    id: String,
    container: String,
    /// As this machine sees it.
    pid: Option<i32>,
    tty: bool,
}

impl Program {
    /// Whether the container runs; an engine that does not answer is no sign that it does not.
    async fn container_runs(&self) -> bool {
        match inspect(&self.docker, &self.container, PATIENCE).await {
            Ok(Some(seen)) => seen.stage == Stage::Running,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Whether the container has ended, or does so now: an engine tells it a moment after the end of what ran in it.
    async fn container_ends(&self) -> bool {
        let ended = async {
            while self.container_runs().await {
                sleep(LOOK).await;
            }
        };
        timeout(SETTLED, ended).await.is_ok()
    }

    /// Has a shell of the container send a signal to the program and its group: where this process may not.
    async fn signal_inside(&self, session: &Session, signal: &str) {
        let Some(inner) = session.inner_leader() else { return };
        let script = format!("kill -{signal} -{inner}; kill -{signal} {inner}");
        let cmd = ["sh", "-c", &script].map(ToOwned::to_owned).to_vec();
        let config = ExecConfig { cmd: Some(cmd), user: session.user(), ..ExecConfig::default() };
        let done = async {
            let made = self.docker.create_exec(&self.container, config).await?;
            let options = bollard::exec::StartExecOptions { detach: true, ..Default::default() };
            self.docker.start_exec(&made.id, Some(options)).await.map(drop)
        };
        if let Err(error) = done.await {
            debug!(%error, "program not signalled from inside");
        }
    }

    async fn signal(&self, session: &Session, signal: Signal, name: &str) {
        if session.signal(signal) == signals::Sent::Forbidden {
            self.signal_inside(session, name).await;
        }
    }
}

#[async_trait]
impl Process for Program {
    async fn resize(&self, size: WindowSize) {
        if !self.tty {
            return;
        }
        let options = ResizeExecOptions { height: size.rows, width: size.cols };
        if let Err(error) = self.docker.resize_exec(&self.id, options).await {
            debug!(%error, "terminal not resized");
        }
    }

    async fn ended(&self) -> ExecEnd {
        let mut backoff = Backoff::new();
        loop {
            match patiently(PATIENCE, || self.docker.inspect_exec(&self.id)).await {
                Ok(seen) if seen.running == Some(false) => {
                    let code = seen.exit_code.and_then(|code| i32::try_from(code).ok());
                    // The kernel kills everything in a container whose first process ended.
                    return match code {
                        None | Some(137) if self.container_ends().await => ExecEnd::TaskEnded,
                        Some(code) => ExecEnd::Exited(code),
                        None => ExecEnd::Unknown("it tells no exit code".into()),
                    };
                }
                // It has closed its output and goes on.
                Ok(_) => backoff.pause().await,
                Err(_) if !self.container_runs().await => return ExecEnd::TaskEnded,
                Err(fault) => return ExecEnd::Unknown(fault.text().to_owned()),
            }
        }
    }

    async fn hang_up(&self) {
        let Some(session) = self.pid.and_then(|pid| Session::of(pid, &self.container)) else {
            return debug!("program not hung up, its processes are not seen from here");
        };
        self.signal(&session, Signal::HUP, "HUP").await;
        if timeout(GRACE, session.is_over()).await.is_err() {
            self.signal(&session, Signal::KILL, "KILL").await;
            let _ = timeout(GRACE, session.is_over()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_run_has_the_code_of_a_shell() {
        let start = "OCI runtime exec failed: exec failed: unable to start container process: ";
        let rows = [
            ("exec: \"nosuch\": executable file not found in $PATH: unknown\r\n", 127, "exec: \"nosuch\": executable"),
            ("exec: \"/bin/x\": stat /bin/x: no such file or directory: unknown\r\n", 127, "exec: \"/bin/x\""),
            ("exec: \"/etc\": permission denied: unknown\r\n", 126, "exec: \"/etc\": permission denied"),
            ("chdir to cwd (\"/x\") set in config.json failed: no such file or directory", 126, "chdir to cwd"),
        ];
        for (words, code, said) in rows {
            let ExecError::NotStarted { code: found, why } = not_started(&format!("{start}{words}")) else { panic!() };
            assert!(found == code && why.starts_with(said), "{words}: {found} {why}");
        }
        let ExecError::NotStarted { code, why } = not_started("unable to find user x: no matching entries\r\n") else {
            panic!()
        };
        assert_eq!((code, why.as_str()), (126, "unable to find user x: no matching entries"));
    }
}
