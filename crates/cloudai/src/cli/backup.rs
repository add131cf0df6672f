//! `cloudai cluster backup`: a file of the running master's records.

use super::Context;
use super::beside::Beside;
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use crate::render::quantity::count;
use cloudai_core::resources::Bytes;
use cloudai_store::backup::{self, BackupError, Holds, Manifest};
use serde::Serialize;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWriteExt;

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Where to; must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Writes a backup of the running master to a file, which only gets its name when it is whole.
pub(super) async fn backup(args: &Backup, cx: &Context) -> Result<Exit, Failure> {
    let file = &args.file;
    let beside = Beside::new(file, "a backup")?;
    let made = match fetch(beside.part(), cx).await {
        Ok(()) => backup::check(beside.part()).map_err(|error| of_backup(&error)),
        Err(failure) => Err(failure),
    };
    let manifest = beside.done(made, unwritable)?;
    show(&manifest, &manifest, file, &cx.screen)
}

/// Only its owner may read it: the token by which workers join is in it.
async fn fetch(part: &Path, cx: &Context) -> Result<(), Failure> {
    let failed = |error: io::Error| unwritable(part, &error);
    let mut response = cx.client.post_stream(&["api", "v1", "cluster", "backup"]).await?;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part);
    let mut file = tokio::fs::File::from_std(file.map_err(failed)?);
    while let Some(piece) = response.chunk().await.map_err(|error| cx.client.unreachable(&error))? {
        file.write_all(&piece).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    file.sync_all().await.map_err(failed)
}

/// Tells what a backup is; `value` is its manifest as data.
pub(super) fn show(value: &impl Serialize, manifest: &Manifest, file: &Path, screen: &Screen) -> Result<Exit, Failure> {
    let path = file.display().to_string();
    screen.one(value, &path, || {
        let Manifest { cluster, incarnation, term, version, size, last_commit_ms, holds, .. } = manifest;
        let of = time_of(*last_commit_ms);
        let holds = holds.as_ref().map(|holds| format!("{}\n", held(holds))).unwrap_or_default();
        format!(
            "{path}   {}   of {of}\n{holds}cluster {cluster}, incarnation {incarnation}, term {term}, by cloudai {version}\n\
             tasks, results, workers and the join token are in it; logs and files of tasks are not\n\
             secrets are in it sealed, and not the keys that open them: keep a copy of the master's key file \
             (secrets.key_file, else secrets.key in its data folder)",
            Bytes(*size)
        )
    })?;
    Ok(Exit::Ok)
}

/// `12 tasks (8 completed, 4 queued), 2 workers`.
fn held(holds: &Holds) -> String {
    let named = |number: u64, what: &str| format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" });
    let by_status: Vec<_> = holds.tasks.iter().map(|(word, number)| format!("{} {word}", count(*number))).collect();
    let by_status = if by_status.is_empty() { String::new() } else { format!(" ({})", by_status.join(", ")) };
    format!("{}{by_status}, {}", named(holds.tasks.values().sum(), "task"), named(holds.workers, "worker"))
}

/// When data was as it is, by its last commit.
pub(super) fn time_of(millis: u64) -> String {
    if millis == 0 {
        return "its beginning".into();
    }
    let time = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    time.map_or_else(|| "an unknown time".into(), |time| format!("{time:.0}"))
}

pub(super) fn of_backup(error: &BackupError) -> Failure {
    Failure { code: "bad_backup".into(), ..Failure::error(error.to_string()) }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("{} can not be written", path.display())).why(error.to_string())
}
