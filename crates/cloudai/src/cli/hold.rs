//! `cloudai task hold` and `release`.

use super::Context;
use super::plan::{self, Would};
use super::several::Refused;
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
    each(&distinct(&args.ids, cx).await?, "hold", "held", cx).await
}

pub(super) async fn release(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    each(&distinct(&args.ids, cx).await?, "release", "released", cx).await
}

/// Asks the same of several tasks, one after the other; `word` is what becomes of them.
pub(super) async fn each(ids: &[String], verb: &str, word: &'static str, cx: &Context) -> Result<Exit, Failure> {
    let (mut tasks, mut refused) = (Vec::new(), Refused::none(ids.len(), word));
    for id in ids.iter() {
        let answer = cx.client.post(&["api", "v1", "tasks", id, verb], None, None).await;
        tasks.extend(refused.sort(id::short(id), answer.map(|(_, task): (_, Task)| task)));
        if !refused.goes_on() {
            break;
        }
    }
    tell(tasks, refused, cx)
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

/// The tasks of these ids.
pub(super) async fn whole(ids: &[String], cx: &Context) -> Result<Vec<Task>, Failure> {
    let mut tasks = Vec::new();
    for id in ids {
        tasks.push(cx.client.get(&["api", "v1", "tasks", id], &[]).await?);
    }
    Ok(tasks)
}

/// Tells what would be done with each task; people get the ids of those that change.
pub(super) fn plan(tasks: Vec<Task>, would: impl Fn(Task) -> Would<Task>, cx: &Context) -> Result<Exit, Failure> {
    let plans: Vec<_> = tasks.into_iter().map(would).collect();
    let lines: Vec<_> = plans.iter().filter_map(Would::touched).map(|task| id::short(&task.id)).collect();
    plan::tell(plans, |task| task.id.clone(), &lines, cx)
}

/// Where the tasks stand now, a line each; then what was refused.
pub(super) fn tell(tasks: Vec<Task>, refused: Refused, cx: &Context) -> Result<Exit, Failure> {
    match tasks.as_slice() {
        [task] if refused.of_one() => cx.screen.one(task, &task.id, || render::task::outcome(task, &cx.screen))?,
        [] if refused.any() => {}
        _ => {
            let list = List { items: tasks, next_cursor: None };
            let line = |task: &Task| render::task::outcome(task, &cx.screen);
            let lines = || list.items.iter().map(line).collect::<Vec<_>>().join("\n");
            cx.screen.list(&list, |task| task.id.clone(), lines)?;
        }
    }
    refused.end()
}
