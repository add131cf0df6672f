//! `cloudai cluster backup`, from a running master, and `cluster restore`, into a stopped one's data.

use super::Context;
use super::cancel::confirm;
use crate::config::{DATA_DIR, Flags, Resolver};
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use crate::render::quantity::count;
use cloudai_core::time::Timestamp;
use cloudai_store::StoreError;
use cloudai_store::backup::{self, BackupError, Manifest};
use cloudai_store::sqlite::{RestoreError, Restored, restore};
use serde_json::json;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::AsyncWriteExt;

#[derive(Debug, clap::Args)]
pub(super) struct Backup {
    /// Where to; must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Restore {
    /// What `cloudai cluster backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The data folder of the master, which must not run
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Do not ask, although there is data already
    #[arg(long)]
    yes: bool,
    /// Only look whether the file is a whole backup, and of what
    #[arg(long)]
    dry_run: bool,
}

/// Writes a backup of the running master to a file, which only gets its name when it is whole.
pub(super) async fn backup(args: &Backup, cx: &Context) -> Result<Exit, Failure> {
    let file = &args.file;
    if file.exists() {
        return Err(Failure::new(Exit::Conflict, "conflict", format!("{} is there already", file.display()))
            .why("a backup replaces nothing")
            .next("give another name"));
    }
    let name = file.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", file.display())))?;
    let part = file.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let made = match fetch(&part, cx).await {
        Ok(()) => backup::check(&part).map_err(|error| of_backup(&error)),
        Err(failure) => Err(failure),
    };
    let done = made.and_then(|manifest| {
        std::fs::rename(&part, file).map_err(|error| unwritable(file, &error))?;
        Ok(manifest)
    });
    if done.is_err() {
        // The failure is what counts; a rest that can not be removed is harmless.
        let _ = std::fs::remove_file(&part);
    }
    show(&done?, file, &cx.screen)
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

fn show(manifest: &Manifest, file: &Path, screen: &Screen) -> Result<Exit, Failure> {
    let path = file.display().to_string();
    screen.one(manifest, &path, || {
        let Manifest { cluster, incarnation, term, version, size, .. } = manifest;
        format!(
            "{path}   {} bytes   cluster {cluster}, incarnation {incarnation}, term {term}, by cloudai {version}\n\
             tasks, results, workers and the join token are in it; logs and files of tasks are not",
            count(*size)
        )
    })?;
    Ok(Exit::Ok)
}

/// Restores into a data folder that no master uses.
pub(in crate::cli) fn run_restore(args: &Restore, resolver: &Resolver<'_>, screen: &Screen) -> Result<Exit, Failure> {
    if args.dry_run {
        return show(&backup::check(&args.file).map_err(|error| of_backup(&error))?, &args.file, screen);
    }
    let dir = resolver.given(Flags::default().with(&DATA_DIR, args.data_dir.as_ref())).required(&DATA_DIR)?;
    if !args.yes && dir.join("cloudai.db").exists() {
        confirm("replace the data of a master", &[dir.display().to_string()], screen)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let now = Timestamp::from_millis(u64::try_from(now).unwrap_or_default());
    let done = restore(&args.file, &dir, now).map_err(|error| of_restore(&error, &args.file))?;
    told(&done, &dir, screen)
}

fn told(done: &Restored, dir: &Path, screen: &Screen) -> Result<Exit, Failure> {
    let Restored { manifest, incarnation, term, kept, unread, put_aside } = done;
    if let Some(why) = unread {
        screen.note(&format!("warning: the data that was there could not be read: {why}"));
    }
    let value = json!({
        "cluster": manifest.cluster, "incarnation": incarnation, "term": term, "data_dir": dir,
        "kept": kept, "put_aside": put_aside,
    });
    screen.one(&value, &manifest.cluster, || {
        let mut lines = vec![format!("cluster {} is restored in {}", manifest.cluster, dir.display())];
        lines.extend(kept.as_ref().map(|kept| format!("what was there: {}", kept.display())));
        if *put_aside > 0 {
            lines.push(format!(
                "{put_aside} logs and folders of files of attempts that it does not know lie beside that"
            ));
        }
        lines.join("\n")
    })?;
    screen.hint(&format!(
        "start it with `cloudai master --data-dir {}`; workers join again by themselves",
        dir.display()
    ));
    Ok(Exit::Ok)
}

fn of_backup(error: &BackupError) -> Failure {
    Failure { code: "bad_backup".into(), ..Failure::error(error.to_string()) }
}

fn of_restore(error: &RestoreError, file: &Path) -> Failure {
    let unchanged = "nothing was changed";
    match error {
        RestoreError::Backup(error) => of_backup(error).why(unchanged),
        RestoreError::Store(locked @ StoreError::Locked(_)) => {
            Failure::new(Exit::Conflict, "conflict", locked.to_string())
                .why("a backup is restored while its master does not run")
                .next(format!("stop the master, then cloudai cluster restore {}", file.display()))
        }
        RestoreError::OtherCluster { .. } => Failure::new(Exit::Conflict, "conflict", error.to_string()).why(unchanged),
        RestoreError::Store(_) | RestoreError::Folder(..) | RestoreError::NoRoom { .. } => {
            Failure::error(error.to_string()).why(unchanged)
        }
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::error(format!("{} can not be written", path.display())).why(error.to_string())
}
