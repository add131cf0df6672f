//! `cloudai task cancel`, and the question before several things are ended at once.

use super::plan::{NOTHING, Would};
use super::task::has_ended;
use super::{Context, hold};
use crate::exit::{Exit, Failure};
use crate::id;
use crate::render::Screen;
use cloudai_master::http::dto::Task;
use std::io::{BufRead, IsTerminal};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which: ids, the last 4 characters of them or more, or `last`
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Do not ask before several tasks are cancelled
    #[arg(long)]
    yes: bool,
    /// Only tell what would be cancelled
    #[arg(long)]
    dry_run: bool,
}

impl Args {
    /// The cancellation of one task.
    pub(super) fn of(id: String) -> Self {
        Self { ids: vec![id], yes: false, dry_run: false }
    }
}

pub(super) async fn run(args: &Args, cx: &Context) -> Result<Exit, Failure> {
    let ids = hold::distinct(&args.ids, cx).await?;
    if args.dry_run {
        let tasks = hold::whole(&ids, cx).await?;
        return hold::plan(tasks, would_cancel, cx);
    }
    if ids.len() > 1 && !args.yes {
        let names: Vec<_> = ids.iter().map(|id| id::short(id)).collect();
        confirm(&format!("cancel {} tasks", ids.len()), &names, &cx.screen)?;
    }
    hold::each(&ids, "cancel", "cancelled", cx).await
}

fn would_cancel(task: Task) -> Would<Task> {
    let (id, status) = (id::short(&task.id), task.status.clone());
    if has_ended(&task) {
        Would::of(task, NOTHING, format!("leave {id} as it is: it is {status}"))
    } else {
        Would::of(task, "cancel", format!("cancel {id}, which is {status}"))
    }
}

/// Asks for a `yes` on the terminal; without a terminal `--yes` is needed.
pub(super) fn confirm(what: &str, names: &[String], screen: &Screen) -> Result<(), Failure> {
    let shown = names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = if names.len() > 5 { ", ..." } else { "" };
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("to {what} needs a yes"))
            .why(format!("{shown}{rest}; nobody can be asked without a terminal"))
            .next("add --yes"));
    }
    screen.note(&format!("{what}: {shown}{rest}? Type yes:"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(Failure::error("nothing was done").why("the answer was not yes")) }
}
