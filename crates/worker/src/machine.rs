//! What a worker takes from the machine that it runs on: its clock, the way to the master, a thread of
//! its own. A test brings others, so that one thread, one clock that it drives and a network of its
//! own are enough for a whole cluster.

use crate::clock::Clock;
use async_trait::async_trait;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

/// The machine as a worker uses it.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// What time it is.
    pub clock: Clock,
    /// How the master is reached: over TCP when none is given.
    pub dial: Option<Arc<dyn Dial>>,
    /// Where the worker decides.
    pub threads: Threads,
}

/// Opens connections.
#[async_trait]
pub trait Dial: Send + Sync + std::fmt::Debug {
    /// Opens one to a `host:port`.
    /// # Errors
    /// Nobody answers there.
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Connection>>;
}

/// Bytes there and back.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Where a loop runs that waits for the disk.
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
    pub(crate) fn start<F>(self, work: F) -> io::Result<JoinHandle<F::Output>>
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
}
