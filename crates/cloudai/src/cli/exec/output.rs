//! Standard output and error, written by a thread: a reader who stands still holds up that thread, not the signals that
//! end this process.

use bytes::Bytes;
use std::io::{self, Write, stderr, stdout};
use tokio::sync::{mpsc, oneshot};

/// Pieces that wait to be written; the master waits beyond that.
const WAITING: usize = 2;

/// Where output goes.
#[derive(Debug)]
pub(super) struct Output {
    pieces: mpsc::Sender<(bool, Bytes)>,
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    pub(super) fn open() -> io::Result<Self> {
        let (pieces, mut waiting) = mpsc::channel::<(bool, Bytes)>(WAITING);
        let (end, ended) = oneshot::channel();
        let mut write = move || -> io::Result<()> {
            while let Some((is_stderr, data)) = waiting.blocking_recv() {
                if is_stderr {
                    stderr().write_all(&data)?;
                } else {
                    let mut out = stdout().lock();
                    out.write_all(&data)?;
                    // What is typed is seen at once.
                    out.flush()?;
                }
            }
            Ok(())
        };
        // Nobody waits for it when this process is told to end.
        std::thread::Builder::new().name("stdout".into()).spawn(move || drop(end.send(write())))?;
        Ok(Self { pieces, ended })
    }

    /// Takes a piece of output. Answers whether it will be written; if not, [`Output::end`] says why.
    pub(super) async fn write(&self, is_stderr: bool, data: Bytes) -> bool {
        self.pieces.send((is_stderr, data)).await.is_ok()
    }

    /// Waits until all is written.
    /// # Errors
    /// Why it is not: whoever read it has gone, most of the time.
    pub(super) async fn end(self) -> io::Result<()> {
        drop(self.pieces);
        self.ended.await.unwrap_or(Ok(()))
    }
}
