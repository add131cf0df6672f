//! `cloudai job tasks`.

use super::selection::Selection;
use crate::cli::Context;
use crate::cli::list::{ROWS, pages};
use crate::exit::{Exit, Failure};
use crate::{id, render};
use cloudai_core::state::Status;
use cloudai_master::http::dto::{List, Task};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "JOB")]
    id: String,
    #[command(flatten)]
    which: Selection,
    /// Only these: queued, pending, running, completed, failed, cancelled; several with commas
    #[arg(long, value_delimiter = ',')]
    status: Vec<Status>,
    /// How many at most [default: 50]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve_job(&cx.client, &args.id).await?;
    let mut query = args.which.query();
    if !args.status.is_empty() {
        query.push(("status", args.status.iter().map(|status| status.word()).collect::<Vec<_>>().join(",")));
    }
    let path = ["api", "v1", "jobs", &id, "tasks"];
    let list: List<Task> = pages(cx, &path, &query, args.limit.unwrap_or(ROWS)).await?;
    let shown = list.items.len();
    if shown > 0 || !cx.screen.for_people() {
        let people = || render::job::tasks(&list.items, cx.client.now(), &cx.screen);
        cx.screen.list(&list, |task| task.id.clone(), people)?;
    }
    if cx.screen.for_people() {
        match (shown, list.next_cursor.is_some()) {
            (shown, true) => cx.screen.note(&format!("The first {shown} of these tasks; there are more: --limit N")),
            (0, false) => cx.screen.note(&format!("No such tasks. All of it: cloudai job info {}", id::short(&id))),
            (1, false) => cx.screen.hint("1 task."),
            (shown, false) => cx.screen.hint(&format!("{shown} tasks.")),
        }
    }
    Ok(Exit::Ok)
}
