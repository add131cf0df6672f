//! `cloudai queue`.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_master::http::dto::{Cluster, List, Queued};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists waiting tasks in the order in which the strategy looks at them
    #[command(before_help = "  cloudai queue list")]
    List,
}

pub(super) async fn run(verb: Option<Command>, cx: &Context) -> Result<Exit, Failure> {
    match verb {
        Some(Command::List) | None => {}
    }
    let list: List<Queued> = cx.client.get(&["api", "v1", "queue"], &[]).await?;
    let later = if cx.screen.for_people() { without_turn(cx).await } else { None };
    if list.items.is_empty() && cx.screen.for_people() {
        cx.screen.note(later.as_deref().unwrap_or("Nothing waits."));
        return Ok(Exit::Ok);
    }
    let people = || render::task::queue(&list.items, cx.client.now(), &cx.screen);
    cx.screen.list(&list, |queued| queued.task.id.clone(), people)?;
    if list.next_cursor.is_some() && cx.screen.for_people() {
        cx.screen.note("These come first; there are more: cloudai task list --status queued --all");
    }
    if let Some(later) = later {
        cx.screen.note(&later);
    }
    Ok(Exit::Ok)
}

/// What waits for other tasks and so for no place yet. It stands beside the list: without it the list is still right.
async fn without_turn(cx: &Context) -> Option<String> {
    let cluster: Cluster = cx.client.get(&["api", "v1", "cluster"], &[]).await.ok()?;
    let told = |tasks| format!("{tasks} more wait for other tasks of their jobs: cloudai job list");
    Some(cluster.without_turn).filter(|tasks| *tasks > 0).map(told)
}
