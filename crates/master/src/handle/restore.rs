//! A backup that a user sends to a running master: checked wholly, then this life of the master ends,
//! and the next opening of the data puts it in place.

use super::Handle;
use crate::principal::Principal;
use bytes::{Buf, Bytes};
use cloudai_store::sqlite::{Planned, Prepared, RestoreError};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;

/// How errors call the backup: its own name is the sender's.
const NAME: &str = "what was sent";

/// The restores of one life of a master: one at a time, and none after one was ordered.
#[derive(Debug)]
pub(crate) struct Restoring {
    turn: Arc<Semaphore>,
    ordered: CancellationToken,
}

impl Default for Restoring {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), ordered: CancellationToken::new() }
    }
}

impl Restoring {
    /// Cancelled once the data is to be opened again.
    pub(crate) fn ordered(&self) -> &CancellationToken {
        &self.ordered
    }
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// One at a time.
    #[error("another backup is being restored, or was just now")]
    Underway,
    /// The store can not use it.
    #[error(transparent)]
    Backup(#[from] RestoreError),
    /// A fault of the master's own.
    #[error("the work broke off")]
    Lost(#[from] JoinError),
}

/// A backup that may be restored. Dropped, nothing has happened.
#[derive(Debug)]
pub(crate) struct Checked {
    prepared: Prepared,
    turn: OwnedSemaphorePermit,
}

impl Handle {
    /// Checks a backup, piece by piece as it comes; returns when all of it was read, or is refused.
    /// # Errors
    /// [`Refused`].
    pub(crate) async fn check_backup(
        &self,
        _who: &Principal,
        pieces: mpsc::Receiver<Bytes>,
    ) -> Result<Checked, Refused> {
        let turn = Arc::clone(&self.shared.restoring.turn).try_acquire_owned().map_err(|_| Refused::Underway)?;
        let (store, now) = (Arc::clone(&self.shared.store), self.now());
        let checked = spawn_blocking(move || {
            let mut backup = Pieces { pieces, piece: Bytes::new() };
            let prepared = store.prepare_restore(Path::new(NAME), &mut backup, now)?;
            Ok(Checked { prepared, turn })
        });
        checked.await?
    }

    /// Orders the restore of a backup and ends this life of the master, also when nobody waits for
    /// the answer any more.
    /// # Errors
    /// [`Refused::Backup`]; nothing has happened then.
    pub(crate) async fn restore(&self, _who: &Principal, checked: Checked) -> Result<Planned, Refused> {
        let shared = Arc::clone(&self.shared);
        let ordered = spawn_blocking(move || {
            let Checked { prepared, turn } = checked;
            let planned = prepared.order()?;
            turn.forget();
            shared.restoring.ordered.cancel();
            Ok(planned)
        });
        ordered.await?
    }
}

/// What comes over the wire, for a reader that blocks.
struct Pieces {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(out.len());
        self.piece.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}
