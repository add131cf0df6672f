//! `cloudai queue`.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_master::http::dto::{List, Queued};

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
    if list.items.is_empty() && cx.screen.for_people() {
        cx.screen.note("Nothing waits.");
        return Ok(Exit::Ok);
    }
    let people = || render::task::queue(&list.items, cx.client.now(), &cx.screen);
    cx.screen.list(&list, |queued| queued.task.id.clone(), people)?;
    if list.next_cursor.is_some() && cx.screen.for_people() {
        cx.screen.note("These come first; there are more: cloudai task list --status queued --all");
    }
    Ok(Exit::Ok)
}
