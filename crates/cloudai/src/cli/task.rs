//! `cloudai task`: the verbs.

use super::{Context, advise, cancel, download, exec, explain, files, hold, list, logs, retry, submit, wait};
use crate::exit::{Exit, Failure};
use crate::{id, render};
use clap::Subcommand;
use cloudai_core::state::Status;
use cloudai_master::http::dto::{File, List, Task};

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
    #[command(before_help = "  cloudai task info 9QZD                       its last 4 characters or more\n  \
                             cloudai task info last -o json")]
    Info(One),
    /// Shows why a task waits, worker by worker
    #[command(before_help = "  cloudai task explain 9QZD                    reason, smallest change\n  \
                             cloudai task explain 9QZD --strategy greedy  what greedy would do")]
    Explain(explain::Args),
    /// Shows what tasks of a name took, and what the next should ask for
    #[command(
        before_help = "  cloudai task advise train                    memory, cores and time, by the last 200\n  \
                             cloudai task advise train --quantile 1       enough for all that ran\n  \
                             cloudai task advise train -o json            with fields of the task document"
    )]
    Advise(advise::Args),
    /// Prints what a task printed, byte by byte
    #[command(before_help = "  cloudai task logs 9QZD                       stdout to stdout, stderr to stderr\n  \
                             cloudai task logs 9QZD --follow --tail 20    live, until it ends; Ctrl-C leaves it running\n  \
                             cloudai task logs 9QZD --since 10m --grep error -i")]
    Logs(logs::Args),
    /// Runs a program in the container of a running task: a shell, on this terminal
    #[command(before_help = "  cloudai task exec 9QZD                       a shell\n  \
                             cloudai task exec 9QZD -- nvidia-smi         exits as the program does\n  \
                             tar c src | cloudai task exec -i 9QZD -- tar x -C /tmp")]
    Exec(exec::Args),
    /// Waits until tasks have ended
    #[command(before_help = "  cloudai task wait 9QZD --timeout 10m         exit 0 completed, 3 not, 4 still going on")]
    Wait(wait::Args),
    /// Cancels tasks: SIGTERM, the task's grace, SIGKILL
    #[command(before_help = "  cloudai task cancel 9QZD")]
    Cancel(cancel::Args),
    /// Keeps waiting tasks from being placed
    #[command(before_help = "  cloudai task hold 9QZD                       it keeps its place in the queue")]
    Hold(hold::Args),
    /// Lets held tasks go
    #[command(before_help = "  cloudai task release 9QZD                    from now on it may be placed")]
    Release(hold::Args),
    /// Submits ended tasks again, as new tasks of the same spec
    #[command(before_help = "  cloudai task retry 9QZD                      what ended stays as it ended\n  \
                             cloudai task retry 9QZD --mem 4g             with more than it had\n  \
                             cloudai task retry --dead                    all that failed with its retries used up")]
    Retry(retry::Args),
    /// Lists dead letters: what failed with its retries used up and was not submitted again
    #[command(
        before_help = "  cloudai task dead                            newest first; why: cloudai task info ID\n  \
                             cloudai task retry --dead                    once it is mended"
    )]
    Dead(retry::DeadArgs),
    /// Lists the files that a task left
    #[command(before_help = "  cloudai task files 9QZD\n  \
                             cloudai task files last -o wide              with whole checksums\n  \
                             cloudai task files last -o json              and where each of them is kept\n  \
                             cloudai task files last --links              addresses in the bucket, for others")]
    Files(files::Args),
    /// Fetches the files that a task left, with their checksums
    #[command(before_help = "  cloudai task download 9QZD                   into ./7K3M9QZD\n  \
                             cloudai task download 9QZD out model.bin     one file into ./out\n  \
                             cloudai task download 9QZD --tar all.tar     all of them as one archive; - is stdout")]
    Download(download::Args),
}

/// A command about one task.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "ID")]
    pub(super) id: String,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Submit(args) => submit::run(*args, cx).await,
        Command::List(args) => list::run(&args, cx).await,
        Command::Info(one) => info(&one.id, cx).await,
        Command::Explain(args) => explain::run(&args, cx).await,
        Command::Advise(args) => advise::run(&args, cx).await,
        Command::Files(one) => files::run(&one, cx).await,
        Command::Logs(args) => logs::run(&args, cx).await,
        Command::Exec(args) => Box::pin(exec::run(&args, cx)).await,
        Command::Wait(args) => wait::run(&args, cx).await,
        Command::Cancel(args) => cancel::run(&args, cx).await,
        Command::Hold(args) => hold::hold(&args, cx).await,
        Command::Release(args) => hold::release(&args, cx).await,
        Command::Retry(args) => retry::run(&args, cx).await,
        Command::Dead(args) => retry::dead(&args, cx).await,
        Command::Download(args) => download::run(&args, cx).await,
    }
}

async fn info(typed: &str, cx: &Context) -> Result<Exit, Failure> {
    let id = id::resolve(&cx.client, typed).await?;
    let task: Task = cx.client.get(&["api", "v1", "tasks", &id], &[]).await?;
    let files = cx.screen.for_people() && left_files(&task, cx).await;
    cx.screen.one(&task, &task.id, || render::task::card(&task, files, cx.client.now(), &cx.screen))?;
    Ok(Exit::Ok)
}

/// Whether nothing changes it any more.
pub(super) fn has_ended(task: &Task) -> bool {
    task.status.parse::<Status>().is_ok_and(Status::is_final)
}

/// Whether there is something to download.
async fn left_files(task: &Task, cx: &Context) -> bool {
    let path = ["api", "v1", "tasks", &task.id, "files"];
    // The card is worth having also where its files can not be asked for.
    has_ended(task) && cx.client.get::<List<File>>(&path, &[]).await.is_ok_and(|list| !list.items.is_empty())
}
