//! `cloudai cluster restore`: a backup into a running master, or into a stopped one's data.

use super::Context;
use super::backup::{of_backup, show, time_of};
use super::cancel::confirm;
use super::plan::Would;
use crate::config::{DATA_DIR, Flags, Resolver};
use crate::exit::{Exit, Failure};
use crate::render::Screen;
use cloudai_core::time::Timestamp;
use cloudai_master::http::dto::{self, Cluster};
use cloudai_store::StoreError;
use cloudai_store::backup::{self, Manifest};
use cloudai_store::sqlite::{RestoreError, Restored, restore};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a master may take to begin again with what it was given.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks whether it has.
const PACE: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Restore {
    /// What `cloudai cluster backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Not into the running master: the data folder of one that does not run
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Do not ask, although there is data already
    #[arg(long)]
    yes: bool,
    /// Only look whether the file is a whole backup, and of what
    #[arg(long)]
    dry_run: bool,
}

impl Restore {
    /// Whether it is done without a master.
    pub(in crate::cli) fn is_local(&self) -> bool {
        self.data_dir.is_some() || self.dry_run
    }
}

fn check(args: &Restore) -> Result<Manifest, Failure> {
    backup::check(&args.file).map_err(|error| of_backup(&error))
}

/// Restores into the running master; returns when it answers with what was restored.
pub(super) async fn into_running(args: &Restore, cx: &Context) -> Result<Exit, Failure> {
    let manifest = check(args)?;
    let now: Cluster = cx.client.get(&["api", "v1", "cluster"], &[]).await?;
    if !args.yes {
        let (tasks, workers): (u64, _) = (now.tasks.values().sum(), now.workers.total);
        let there = format!("{tasks} tasks and {workers} workers at {}", cx.client.addr());
        confirm(
            &format!("replace all records by those of {}", time_of(manifest.last_commit_ms)),
            &[there],
            &cx.screen,
        )?;
    }
    let unreadable = |error: std::io::Error| {
        Failure::error(format!("{} can not be read", args.file.display())).why(error.to_string())
    };
    let file = tokio::fs::File::open(&args.file).await.map_err(unreadable)?;
    let size = file.metadata().await.map_err(unreadable)?.len();
    let ordered: dto::Restore = cx.client.post_file(&["api", "v1", "cluster", "restore"], file, size).await?;
    back_with(ordered.incarnation, cx).await?;
    let dto::Restore { cluster, incarnation, kept, backup } = &ordered;
    cx.screen.one(&ordered, cluster, || {
        let time = time_of(backup.last_commit_ms);
        format!(
            "cluster {cluster} is restored as it was at {time}, as incarnation {incarnation}\n\
             what was there: {kept}, on the master's machine"
        )
    })?;
    go_on("workers come back by themselves; next:", &cx.screen);
    Ok(Exit::Ok)
}

/// The commands after a restore.
fn go_on(first: &str, screen: &Screen) {
    if screen.for_people() {
        screen.note(&format!("{first} cloudai status, cloudai task list"));
    }
}

/// Waits until the master answers out of the new life of its data.
async fn back_with(incarnation: u64, cx: &Context) -> Result<(), Failure> {
    let begin = Instant::now();
    loop {
        match cx.client.get::<Cluster>(&["api", "v1", "cluster"], &[]).await {
            Ok(cluster) if cluster.incarnation == incarnation => return Ok(()),
            Err(failure) if !failure.is_passing() => return Err(failure),
            _ if begin.elapsed() > PATIENCE => {
                return Err(Failure::new(
                    Exit::TimedOut,
                    "timeout",
                    "the master did not come back with the restored data",
                )
                .why(format!("it was ordered to, {} s ago; a start of the master completes it", PATIENCE.as_secs()))
                .next("cloudai status, and the log of the master"));
            }
            Ok(_) | Err(_) => tokio::time::sleep(PACE).await,
        }
    }
}

/// Restores into a data folder that no master uses.
pub(in crate::cli) fn run_restore(args: &Restore, resolver: &Resolver<'_>, screen: &Screen) -> Result<Exit, Failure> {
    if args.dry_run {
        let manifest = check(args)?;
        let means = format!("restore {}", args.file.display());
        return show(&Would::of(&manifest, "restore", means), &manifest, &args.file, screen);
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
    let start = format!("next: cloudai master --data-dir {}; workers join again by themselves; then", dir.display());
    go_on(&start, screen);
    Ok(Exit::Ok)
}

fn of_restore(error: &RestoreError, file: &Path) -> Failure {
    let unchanged = "nothing was changed";
    match error {
        RestoreError::Backup(error) => of_backup(error).why(unchanged),
        RestoreError::Store(locked @ StoreError::Locked(_)) => {
            Failure::new(Exit::Conflict, "conflict", locked.to_string())
                .why("with --data-dir a backup is restored while no master runs")
                .next(format!("cloudai cluster restore {}, which restores into the running master", file.display()))
        }
        RestoreError::OtherCluster { .. } => Failure::new(Exit::Conflict, "conflict", error.to_string()).why(unchanged),
        RestoreError::Store(_) | RestoreError::Folder(..) | RestoreError::NoRoom { .. } => {
            Failure::error(error.to_string()).why(unchanged)
        }
    }
}
