//! `POST /api/v1/cluster/restore`: a backup comes in piece by piece, is checked, and ends this life
//! of the master for the next.

use super::dto;
use super::extract::{Caller, Pieces};
use super::problem::{Code, Problem};
use super::query::Parameters;
use crate::handle::Handle;
use crate::handle::restore::Refused;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use bytes::Bytes;
use cloudai_store::StoreError;
use cloudai_store::backup::BackupError;
use cloudai_store::sqlite::RestoreError;
use std::time::Duration;
use tokio::sync::mpsc;

/// The one call whose body may be as large as a database.
pub(super) const PATH: &str = "/api/v1/cluster/restore";
/// The most that the body and its check may take together; one that stands still is given up long before.
pub(super) const PATIENCE: Duration = Duration::from_secs(3600);
/// Pieces on their way to the disk, of some tens of KiB each.
const PIECES: usize = 16;

/// Restores a backup; the answer comes before the master begins again with it.
pub(super) async fn restore(
    Caller(who): Caller,
    State(handle): State<Handle>,
    query: Parameters,
    request: Request,
) -> Result<(StatusCode, Json<dto::Restore>), Problem> {
    query.close()?;
    let body = Pieces::of(request)?;
    let (sender, pieces) = mpsc::channel(PIECES);
    let (came, checked) = tokio::join!(feed(body, sender), handle.check_backup(&who, pieces));
    // What did not come whole is told before what its beginning looked like.
    came?;
    let planned = handle.restore(&who, checked?).await?;
    let manifest = planned.manifest;
    Ok((
        StatusCode::ACCEPTED,
        Json(dto::Restore {
            cluster: manifest.cluster,
            incarnation: planned.incarnation,
            kept: planned.kept.display().to_string(),
            backup: dto::Backup {
                version: manifest.version,
                incarnation: manifest.incarnation,
                term: manifest.term,
                last_commit_ms: manifest.last_commit_ms,
                size: manifest.size,
            },
        }),
    ))
}

/// Hands the body on. One that nobody reads any more, because it was refused, is thrown away: most
/// clients look for the answer only when they have sent everything, and who may restore may send
/// that much anyway.
async fn feed(mut body: Pieces, sender: mpsc::Sender<Bytes>) -> Result<(), Problem> {
    while let Some(piece) = body.next().await? {
        // It fails when nobody reads any more.
        let _ = sender.send(piece).await;
    }
    Ok(())
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let unchanged = |code, why: String| Self::new(code, format!("{why}; nothing was changed"));
        match refused {
            Refused::Underway => Self::new(Code::Conflict, refused.to_string()).next("cloudai status"),
            Refused::Lost(error) => Self::internal(&error),
            Refused::Backup(error) => match &error {
                RestoreError::Backup(
                    BackupError::Foreign(_) | BackupError::TooNew { .. } | BackupError::Damaged { .. },
                ) => unchanged(Code::BadBackup, error.to_string()),
                RestoreError::OtherCluster { there, given, .. } => {
                    let why = format!("this master has the data of cluster {there}, the backup is of cluster {given}");
                    unchanged(Code::Conflict, why)
                        .next("cloudai cluster restore FILE --data-dir DIR, with another folder")
                }
                RestoreError::Store(StoreError::Unsupported(why)) => Self::new(Code::Invalid, why.clone()),
                RestoreError::NoRoom { .. }
                | RestoreError::Folder(..)
                | RestoreError::Store(_)
                | RestoreError::Backup(BackupError::Unwritable(..) | BackupError::Unreadable(..)) => {
                    tracing::error!(%error, "backup could not be restored");
                    unchanged(Code::Unavailable, error.to_string())
                }
            },
        }
    }
}
