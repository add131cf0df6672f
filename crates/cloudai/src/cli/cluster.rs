//! `cloudai cluster`, and `cloudai status`.

use super::{Context, backup, restore, usage};
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_master::http::dto::Cluster;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows workers, queue and store in one line; with -o wide all numbers
    #[command(before_help = "  cloudai cluster status\n  cloudai cluster status -o wide")]
    Status,
    /// Tells what attempts took of the cluster: hours of cores, of memory and of GPUs
    #[command(before_help = "  cloudai cluster usage                        by user, of the last 30 days\n  \
                             cloudai cluster usage --since 7d --by label:team\n  \
                             cloudai cluster usage --since 2026-01-01 --until 2026-02-01 --csv > january.csv")]
    Usage(usage::Args),
    /// Writes the cluster's records to a file while the master goes on
    ///
    /// Tasks, their results, workers and the join token are in it, as they are at one moment. Logs
    /// and files of tasks are not: copy the folder `bulk` of the data folder for those.
    #[command(before_help = "  cloudai cluster backup cloudai.backup        and back again:\n  \
                             cloudai cluster restore cloudai.backup")]
    Backup(backup::Backup),
    /// Puts a backup in the place of the records of the running master, or of a stopped one's data
    ///
    /// The master checks the file, then begins again with it. What was there is kept beside it. Workers come back by themselves: they stop and remove what
    /// was begun after the backup, and what ran then is begun again.
    #[command(before_help = "  cloudai cluster restore cloudai.backup             into the running master\n  \
                             cloudai cluster restore cloudai.backup --data-dir ./state   of one that is stopped\n  \
                             cloudai cluster restore cloudai.backup --dry-run   only looks at the file")]
    Restore(restore::Restore),
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Status => status(cx, false).await,
        Command::Usage(args) => usage::run(&args, cx).await,
        Command::Backup(args) => backup::backup(&args, cx).await,
        // What talks to no master `cli::run` does.
        Command::Restore(args) => restore::into_running(&args, cx).await,
    }
}

/// The state of the cluster; as the reference's box where that is wanted and seen by people.
pub(super) async fn status(cx: &Context, as_box: bool) -> Result<Exit, Failure> {
    let cluster: Cluster = cx.client.get(&["api", "v1", "cluster"], &[]).await?;
    let boxed = as_box && cx.screen.terminal && !cx.screen.format_given;
    cx.screen.one(&cluster, &cluster.cluster, || {
        if boxed { render::reference::status(&cluster) } else { render::worker::cluster(&cluster, &cx.screen) }
    })?;
    if cluster.workers.total == 0 {
        cx.screen.hint("No worker yet. `cloudai worker token` says how to add one.");
    }
    Ok(Exit::Ok)
}
