//! `cloudai task`: the verbs.

use super::{Context, cancel, download, list, logs, submit, wait};
use crate::exit::{Exit, Failure};
use crate::{id, render};
use clap::Subcommand;
use cloudai_master::http::dto::Task;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Gives the cluster a task; answers once it is stored
    #[command(before_help = submit::EXAMPLES)]
    Submit(Box<submit::Args>),
    /// Lists tasks that wait or run; with --all finished ones too
    #[command(before_help = "  cloudai task list\n  cloudai task list --all --limit 200 -o wide\n  \
                             cloudai task list --status failed -o quiet")]
    List(list::Args),
    /// Shows one task: where it stands, its times, its attempts
    #[command(before_help = "  cloudai task info 7K3M                       4 or more characters of its id\n  \
                             cloudai task info last -o json")]
    Info(One),
    /// Prints what a task printed, byte by byte
    #[command(before_help = "  cloudai task logs 7K3M                       stdout to stdout, stderr to stderr\n  \
                             cloudai task logs 7K3M --follow --tail 20    live, until it ends; Ctrl-C leaves it running")]
    Logs(logs::Args),
    /// Waits until tasks have ended
    #[command(before_help = "  cloudai task wait 7K3M --timeout 10m         exit 0 completed, 3 not, 4 still going on")]
    Wait(wait::Args),
    /// Cancels tasks: SIGTERM, the task's grace, SIGKILL
    #[command(before_help = "  cloudai task cancel 7K3M")]
    Cancel(cancel::Args),
    /// Fetches the files that a task left in /out, with their checksums
    #[command(before_help = "  cloudai task download 7K3M                   into ./7K3M9QZD\n  \
                             cloudai task download 7K3M out model.bin     one file into ./out")]
    Download(download::Args),
}

/// A command about one task.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Its id, 4 or more characters of the id's beginning or end, or `last`
    #[arg(value_name = "ID")]
    id: String,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Submit(args) => submit::run(*args, cx).await,
        Command::List(args) => list::run(&args, cx).await,
        Command::Info(one) => info(&one.id, cx).await,
        Command::Logs(args) => logs::run(&args, cx).await,
        Command::Wait(args) => wait::run(&args, cx).await,
        Command::Cancel(args) => cancel::run(&args, cx).await,
        Command::Download(args) => download::run(&args, cx).await,
    }
}

async fn info(typed: &str, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve(&cx.client, typed).await?;
    let task: Task = cx.client.get(&["api", "v1", "tasks", &id], &[]).await?;
    cx.screen.one(&task, &task.id, || render::task::card(&task, cx.client.now(), &cx.screen))?;
    Ok(Exit::Ok)
}
