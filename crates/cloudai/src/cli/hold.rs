//! `cloudai task hold` and `release`.

use super::Context;
use crate::exit::{Exit, Failure};
use crate::id;
use crate::render;
use cloudai_master::http::dto::{List, Task};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which: ids, the last 4 characters of them or more, or `last`
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

pub(super) async fn hold(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    each(&args.ids, "hold", cx).await
}

pub(super) async fn release(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    each(&args.ids, "release", cx).await
}

/// Asks the same of several tasks, one after the other; the first that is refused ends it.
async fn each(typed: &[String], verb: &str, cx: &Context) -> Result<Exit, Failure> {
    let ids = distinct(typed, cx).await?;
    let mut tasks = Vec::new();
    for id in &ids {
        let (_, task): (_, Task) = cx.client.post(&["api", "v1", "tasks", id, verb], None, None).await?;
        tasks.push(task);
    }
    tell(tasks, cx)
}

/// The whole ids of what was typed, each once.
pub(super) async fn distinct(typed: &[String], cx: &Context) -> Result<Vec<String>, Failure> {
    let mut ids = Vec::new();
    for part in typed {
        let id = id::resolve(&cx.client, part).await?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Where the tasks stand now, a line each.
pub(super) fn tell(tasks: Vec<Task>, cx: &Context) -> Result<Exit, Failure> {
    if let [task] = tasks.as_slice() {
        cx.screen.one(task, &task.id, || render::task::outcome(task, &cx.screen))?;
    } else {
        let list = List { items: tasks, next_cursor: None };
        let lines =
            || list.items.iter().map(|task| render::task::outcome(task, &cx.screen)).collect::<Vec<_>>().join("\n");
        cx.screen.list(&list, |task| task.id.clone(), lines)?;
    }
    Ok(Exit::Ok)
}
