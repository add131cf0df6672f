//! This process's terminal: raw while a program elsewhere has it, as it was in every other moment.

use crate::exit::Failure;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::stdin;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The terminal passes every key on, Ctrl-C as well. Dropped, also by a panic, it is as it was.
pub(super) struct Raw {
    before: Termios,
}

impl Raw {
    pub(super) fn enter() -> Result<Self, Failure> {
        let failed =
            |error| Failure::error("the terminal can not be used").why(std::io::Error::from(error).to_string());
        let before = tcgetattr(stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Columns and rows; none where nothing is known of them.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdin()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// Hears that the terminal has another size.
#[derive(Debug)]
pub(super) struct Resized(Signal);

impl Resized {
    pub(super) fn listen() -> Result<Self, Failure> {
        Ok(Self(signal(SignalKind::window_change())?))
    }

    /// The size after the next change; a change to one that is not known is none.
    pub(super) async fn next(&mut self) -> (u16, u16) {
        loop {
            if self.0.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            if let Some(size) = size() {
                return size;
            }
        }
    }
}
