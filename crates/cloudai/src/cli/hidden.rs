//! Values that are read and never shown: from a file, from stdin, from a terminal that does not show what is typed.

use super::Context;
use crate::exit::Failure;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Read};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

/// A value that is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden {
    /// What it is, for people.
    pub(super) what: &'static str,
    /// The largest, in bytes; one more is read, so that the caller sees what is too large.
    pub(super) most: u64,
    /// The command that helps.
    pub(super) help: &'static str,
    /// The command that reads what is longer than a line.
    pub(super) otherwise: &'static str,
}

impl Hidden {
    /// Reads the file, to its last byte; without one, or with `-`, all of stdin, or one line of a terminal.
    /// # Errors
    /// It can not be read, or the waiting was interrupted.
    pub(super) async fn read(&self, file: Option<&Path>, cx: &Context) -> Result<Vec<u8>, Failure> {
        match file {
            Some(path) if path.as_os_str() != "-" => self.of_file(path),
            Some(_) | None => self.of_stdin(cx).await,
        }
    }

    fn of_file(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        let unreadable = |why: std::io::Error| {
            Failure::usage(format!("{} can not be read", path.display())).why(why.to_string()).next(self.help)
        };
        let mut value = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(self.most + 1).read_to_end(&mut value))
            .map_err(unreadable)?;
        Ok(value)
    }

    /// All of stdin; from a terminal one line, which is not shown.
    async fn of_stdin(&self, cx: &Context) -> Result<Vec<u8>, Failure> {
        let mut stdin = std::io::stdin();
        if stdin.is_terminal() {
            return self.typed(cx).await;
        }
        let mut value = Vec::new();
        (&mut stdin).take(self.most + 1).read_to_end(&mut value)?;
        Ok(value)
    }

    /// One line of the terminal. Whatever ends the waiting, the terminal shows again what is typed.
    async fn typed(&self, cx: &Context) -> Result<Vec<u8>, Failure> {
        let ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let mut ends = ends.map(signal).into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut resumed = signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
        let prompt = || cx.screen.note(&format!("type the {}, one line, and Enter; it is not shown:", self.what));
        prompt();
        let quiet = Quiet::begin()?;
        // A thread that nobody waits for: the process may end while it reads.
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line).map(|_| line);
            drop(tell.send(read));
        });
        let mut told = std::pin::pin!(told);
        let line = loop {
            let ended = futures::future::select_all(ends.iter_mut().map(|end| Box::pin(end.recv())));
            tokio::select! {
                line = &mut told => break line,
                _ = resumed.recv() => {
                    // The shell that had the terminal meanwhile set it as it likes it.
                    quiet.again()?;
                    prompt();
                }
                _ = ended => {
                    drop(quiet);
                    return Err(Failure::error("interrupted: nothing was kept"));
                }
            }
        };
        let line = line.map_err(|_| Failure::error("nothing could be read"))??;
        if quiet.more_waits() {
            return Err(Failure::usage("more than one line came: nothing was kept, and the rest was thrown away")
                .why("a terminal gives one line")
                .next(self.otherwise));
        }
        Ok(line.trim_end_matches(['\r', '\n']).as_bytes().to_vec())
    }
}

/// While it lives the terminal does not show what is typed. What was typed beyond what was read is thrown away at its end.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> std::io::Result<Self> {
        let quiet = Self(tcgetattr(std::io::stdin())?);
        quiet.again()?;
        Ok(quiet)
    }

    fn again(&self) -> std::io::Result<()> {
        let mut quiet = self.0.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        Ok(tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet)?)
    }

    /// Whether more was typed, or pasted, than one line.
    fn more_waits(&self) -> bool {
        rustix::io::ioctl_fionread(std::io::stdin()).is_ok_and(|waiting| waiting > 0)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
