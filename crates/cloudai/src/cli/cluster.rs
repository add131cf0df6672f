//! `cloudai cluster`, and `cloudai status`.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_master::http::dto::Cluster;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows workers, queue and store in one line; with -o wide all numbers
    #[command(before_help = "  cloudai cluster status\n  cloudai cluster status -o wide")]
    Status,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Status => status(cx, false).await,
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
