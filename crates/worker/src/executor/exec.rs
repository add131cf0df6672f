//! A program that a user runs in the container of an attempt, beside the attempt's own: what executors begin, and how
//! it is spoken with.

use super::EngineError;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use std::io;
use std::pin::Pin;
use tokio::io::AsyncWrite;

/// What is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecWish {
    /// The program and its words; empty for a shell.
    pub command: Vec<String>,
    /// On a terminal of its own: then there is no standard error.
    pub tty: bool,
    /// Whether anything is sent to its standard input.
    pub stdin: bool,
    /// `NAME`, `UID`, `NAME:GROUP` or `UID:GID`; none for the container's own user.
    pub user: Option<String>,
    /// Where; none for the container's own folder.
    pub workdir: Option<String>,
    /// `NAME=VALUE` each, beside the container's own.
    pub env: Vec<String>,
    /// Of its terminal, at first.
    pub size: Option<WindowSize>,
}

/// A terminal's size, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSize {
    /// From 1.
    pub cols: u16,
    /// From 1.
    pub rows: u16,
}

/// A program that was begun. Dropped it goes on: whoever does not want it any more hangs up.
pub struct Execution {
    /// Its standard input; shut down it has ended.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes, in order; what is not taken stops the program. Ends when nothing more can come.
    pub output: BoxStream<'static, io::Result<Piece>>,
    /// The rest of it.
    pub process: Box<dyn Process>,
}

impl std::fmt::Debug for Execution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.process.fmt(f)
    }
}

/// A piece of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Of standard error, else of standard output or the terminal.
    pub stderr: bool,
    /// At most 32 KiB.
    pub data: Bytes,
}

/// A program under way.
#[async_trait]
pub trait Process: Send + Sync + std::fmt::Debug {
    /// Its terminal has this size now. Of one that has none, or has ended, nothing happens.
    async fn resize(&self, size: WindowSize);

    /// Waits for its end.
    async fn ended(&self) -> ExecEnd;

    /// Its terminal is gone: the program and all that it began get SIGHUP, and SIGKILL a little later. Returns when
    /// nothing more can be done.
    async fn hang_up(&self);
}

/// How such a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecEnd {
    /// By itself, or by a signal (128 and its number).
    Exited(i32),
    /// With its container.
    TaskEnded,
    /// The engine does not tell, and why.
    Unknown(String),
}

/// Why no program was begun.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is no container that runs.
    #[error("it does not run on this worker now")]
    NotRunning,
    /// The container can not run it: no such program (127), one that can not be run, no such user or folder (126).
    #[error("{why}")]
    NotStarted {
        /// As a shell would end.
        code: i32,
        /// What the engine says.
        why: String,
    },
    /// The executor can not.
    #[error("the executor {0} can not run programs beside its tasks")]
    NotPossible(&'static str),
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
