//! Programs beside fake attempts: a few words that tests can say, no real process.
//!
//! | command | what it does |
//! |---|---|
//! | `cat` | writes what it reads, until its input ends |
//! | `echo WORDS`, `warn WORDS` | writes the words and a line end to stdout, to stderr |
//! | `exit N` | ends with this code |
//! | `size` | writes the rows and columns of its terminal, again with each change, until its input ends |
//! | `flood BYTES` | writes so many bytes, the numbers of eight digits and a line end in order |
//! | `sleep` | runs until it is ended |
//! | `sh` or nothing | reads lines and does what each says |
//!

use super::FakeExecutor;
use crate::executor::exec::{ExecEnd, ExecError, ExecWish, Execution, Piece, Process, WindowSize};
use async_trait::async_trait;
use bytes::Bytes;
use cloudai_core::ids::{Attempt, Incarnation};
use std::fmt::Write as _;
use std::io;
use std::pin::Pin;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, BufReader, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

/// Bytes of input, and pieces of output, that wait.
const INPUT: usize = 4096;
const OUTPUT: usize = 2;
/// Bytes of a piece.
const PIECE: usize = 9 * 1024;

impl FakeExecutor {
    /// Begins a program beside a container that runs.
    pub(super) fn begin(
        &self,
        attempt: Attempt,
        incarnation: Incarnation,
        wish: &ExecWish,
    ) -> Result<Execution, ExecError> {
        let gone = match self.containers().get(&(attempt, incarnation)) {
            Some(container) if container.end.is_none() => container.gone.clone(),
            Some(_) | None => return Err(ExecError::NotRunning),
        };
        let not_started = |code, why: String| Err(ExecError::NotStarted { code, why });
        if wish.user.as_deref() == Some("nosuch") {
            return not_started(126, "unable to find user nosuch: no matching entries in passwd file".into());
        }
        let words: Vec<String> = if wish.command.is_empty() { vec!["sh".into()] } else { wish.command.clone() };
        if words[0] != "sh" && !Said::is_known(&words[0]) {
            let why = format!("exec: {:?}: executable file not found in $PATH", words[0]);
            return not_started(127, why);
        }
        let (input, read) = duplex(INPUT);
        let (out, output) = mpsc::channel(OUTPUT);
        let (size, sizes) = watch::channel(wish.size);
        let (ended, end) = watch::channel(None);
        let hung_up = CancellationToken::new();
        let program = Said { out, sizes, input: BufReader::new(read), tty: wish.tty };
        let ends = (gone, hung_up.clone());
        // Ends with its container at the latest.
        tokio::spawn(async move {
            let end = tokio::select! {
                biased;
                () = ends.0.cancelled() => ExecEnd::TaskEnded,
                () = ends.1.cancelled() => ExecEnd::Exited(129),
                code = program.run(words) => ExecEnd::Exited(code),
            };
            ended.send_replace(Some(end));
        });
        let process = FakeProcess { size, end, hung_up };
        let output = ReceiverStream::new(output).map(Ok::<_, io::Error>);
        let input: Pin<Box<dyn AsyncWrite + Send>> =
            if wish.stdin { Box::pin(input) } else { Box::pin(tokio::io::sink()) };
        Ok(Execution { input, output: Box::pin(output), process: Box::new(process) })
    }
}

/// A program that is only said.
struct Said {
    out: mpsc::Sender<Piece>,
    sizes: watch::Receiver<Option<WindowSize>>,
    input: BufReader<DuplexStream>,
    tty: bool,
}

impl Said {
    fn is_known(word: &str) -> bool {
        ["cat", "echo", "warn", "exit", "size", "flood", "sleep"].contains(&word)
    }

    async fn run(mut self, words: Vec<String>) -> i32 {
        if words[0] != "sh" {
            return self.one(&words).await.unwrap_or(0);
        }
        let mut code = 0;
        loop {
            let mut line = String::new();
            match self.input.read_line(&mut line).await {
                Ok(0) | Err(_) => return code,
                Ok(_) => {}
            }
            let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
            if words.is_empty() {
                continue;
            }
            match self.one(&words).await {
                Some(exit) if words[0] == "exit" => return exit,
                Some(ended) => code = ended,
                None => code = 0,
            }
        }
    }

    /// Does what a line says; its code where that is not 0.
    async fn one(&mut self, words: &[String]) -> Option<i32> {
        let rest = words[1..].join(" ");
        match words[0].as_str() {
            "cat" => self.cat().await,
            "echo" => self.say(false, format!("{rest}\n").into()).await,
            "warn" => self.say(!self.tty, format!("{rest}\n").into()).await,
            "exit" => return Some(rest.parse().unwrap_or(2)),
            "size" => self.sizes().await,
            "flood" => self.flood(rest.parse().unwrap_or(0)).await,
            "sleep" => std::future::pending().await,
            other => {
                self.say(!self.tty, format!("sh: {other}: not found\n").into()).await;
                return Some(127);
            }
        }
        None
    }

    async fn say(&self, stderr: bool, data: Bytes) {
        // Nobody may be there to hear it any more.
        let _ = self.out.send(Piece { stderr, data }).await;
    }

    async fn cat(&mut self) {
        let mut piece = vec![0; PIECE];
        while let Ok(count) = self.input.read(&mut piece).await
            && count > 0
        {
            self.say(false, Bytes::copy_from_slice(&piece[..count])).await;
        }
    }

    async fn sizes(&mut self) {
        let mut sizes = self.sizes.clone();
        let mut byte = [0];
        loop {
            let size = *sizes.borrow_and_update();
            let text = size.map_or_else(|| "none\n".into(), |size| format!("{} {}\n", size.rows, size.cols));
            self.say(false, text.into()).await;
            tokio::select! {
                changed = sizes.changed() => if changed.is_err() { return },
                _ = self.input.read(&mut byte) => return,
            }
        }
    }

    async fn flood(&self, bytes: usize) {
        let (mut number, mut left) = (0_u32, bytes);
        while left > 0 {
            let mut piece = String::with_capacity(PIECE + 9);
            while piece.len() < PIECE.min(left) {
                // Writing to a string never fails.
                let _ = writeln!(piece, "{number:08}");
                number = number.wrapping_add(1);
            }
            piece.truncate(left);
            left -= piece.len();
            self.say(false, piece.into()).await;
        }
    }
}

#[derive(Debug)]
struct FakeProcess {
    size: watch::Sender<Option<WindowSize>>,
    end: watch::Receiver<Option<ExecEnd>>,
    hung_up: CancellationToken,
}

#[async_trait]
impl Process for FakeProcess {
    async fn resize(&self, size: WindowSize) {
        self.size.send_replace(Some(size));
    }

    async fn ended(&self) -> ExecEnd {
        let mut end = self.end.clone();
        let ended = end.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        ended.unwrap_or_else(|| ExecEnd::Unknown("the fake program is gone".into()))
    }

    async fn hang_up(&self) {
        self.hung_up.cancel();
        self.ended().await;
    }
}
