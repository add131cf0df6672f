//! Processes of a benchmark end with it, also when it is killed and can not end them itself.
//!
//! A process can ask the system only for itself to be signalled when its parent dies, so what a
//! benchmark starts is this binary with the hidden command [`Bound`]: it asks, and then becomes
//! what it was to be. The process and the wish outlive that step. Containers do not end with their
//! worker: those of `bench docker`, which run `true`, are left when it is killed.

use crate::exit::Failure;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `cloudai bench bound PARENT -- WORDS`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Bound {
    /// With whom it ends
    parent: i32,
    /// What to run
    #[arg(last = true, required = true)]
    words: Vec<OsString>,
}

impl Bound {
    /// The command that runs these words of this binary bound to this process.
    ///
    /// It must be started on a thread that lives as long as the process: the system takes the end
    /// of that thread for the end of the parent.
    /// # Errors
    /// This binary is not to be found.
    pub(super) fn command(words: &[&str]) -> Result<Command, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "bound", &std::process::id().to_string()]);
        // Ctrl-C is for the benchmark, which then ends the others in its own order.
        command.arg("--").args(words).process_group(0);
        Ok(command)
    }

    /// Becomes what it was to be.
    /// # Errors
    /// The parent is gone, or the step failed; else this does not return.
    pub(crate) fn run(self) -> Result<(), Failure> {
        // A worker that is asked to leave would wait for a master that has ended as well.
        set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from)?;
        // It may have died before it could be asked for.
        if getppid().map(Pid::as_raw_nonzero).map(i32::from) != Some(self.parent) {
            return Err(Failure::error("the benchmark is gone"));
        }
        Err(Command::new(std::env::current_exe()?).args(self.words).exec().into())
    }
}
