//! What a master takes from the machine that it runs on: its clocks, and threads of its own. A test
//! brings others, so that one thread and one clock that it drives are enough for a whole cluster.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;

/// The machine as a master uses it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// What time it is.
    pub clocks: Clocks,
    /// Where loops run.
    pub threads: Threads,
}

/// The two clocks of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// Time since the epoch; may be set.
    pub wall: fn() -> Duration,
    /// Time since the machine booted: goes on while it sleeps, can not be set.
    pub boot: fn() -> Duration,
}

impl Default for Clocks {
    fn default() -> Self {
        Self { wall: since_epoch, boot: since_boot }
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Where a loop runs that waits for the disk, or thinks for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// On a thread of its own, which may be kept waiting.
    #[default]
    Own,
    /// With everything else, on the caller's runtime.
    Shared,
}

impl Threads {
    /// Begins a loop.
    /// # Errors
    /// The system gives it nothing to wait with.
    pub(crate) fn start<F>(self, work: F) -> std::io::Result<JoinHandle<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        match self {
            Self::Own => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok(tokio::task::spawn_blocking(move || runtime.block_on(work)))
            }
            Self::Shared => Ok(tokio::spawn(work)),
        }
    }

    /// Does something that takes long, beside the caller's loop; where everything shares a thread, at once.
    pub(crate) fn beside(self, work: impl FnOnce() + Send + 'static) {
        match self {
            // Its runtime waits for it when it ends.
            Self::Own => drop(tokio::task::spawn_blocking(work)),
            Self::Shared => work(),
        }
    }
}
