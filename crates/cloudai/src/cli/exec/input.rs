//! Standard input, read by a thread: a read of a terminal can not be given up, a wait for it can.

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read};
use std::io::{self, PipeReader, PipeWriter, pipe, stdin};
use tokio::sync::mpsc;

/// The most that is read at once, in bytes.
const PIECE: usize = 32 << 10;
/// Pieces that wait to be sent; the reading waits beyond that.
const WAITING: usize = 2;

/// What comes on standard input. Dropped, nothing more is read.
#[derive(Debug)]
pub(super) struct Input {
    pieces: mpsc::Receiver<Bytes>,
    /// Its end wakes the thread up.
    _open: PipeWriter,
}

impl Input {
    pub(super) fn open() -> io::Result<Self> {
        let (dropped, open) = pipe()?;
        let (sender, pieces) = mpsc::channel(WAITING);
        std::thread::Builder::new().name("stdin".into()).spawn(move || read_all(&dropped, &sender))?;
        Ok(Self { pieces, _open: open })
    }

    /// The next piece; none at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.pieces.recv().await
    }
}

fn read_all(dropped: &PipeReader, pieces: &mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let input = stdin();
        let mut wait = [PollFd::new(&input, PollFlags::IN), PollFd::new(dropped, PollFlags::IN)];
        match poll(&mut wait, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return,
        }
        if !wait[1].revents().is_empty() {
            return;
        }
        match read(&input, &mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if pieces.blocking_send(Bytes::copy_from_slice(&buffer[..count])).is_err() {
                    return;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            // A terminal that was taken away.
            Err(_) => return,
        }
    }
}
