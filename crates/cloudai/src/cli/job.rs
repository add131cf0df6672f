//! `cloudai job`: the verbs.

mod cancel;
pub(super) mod file;
mod graph;
mod hold;
mod info;
mod lines;
mod list;
mod live;
mod logs;
pub(super) mod offline;
mod plan;
mod progress;
mod retry;
pub(super) mod rows;
mod run;
mod selection;
mod tasks;
mod wait;

use super::Context;
use super::local::Shipment;
use crate::exit::{Exit, Failure};
use crate::render;
use clap::Subcommand;
use cloudai_core::job::JobFile;
use cloudai_core::spec::Value;
use cloudai_core::state::Status;
use cloudai_master::http::dto::Job;
use std::path::{Path, PathBuf};
pub(super) use wait::until_end;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Submits the tasks of a job file; answers once all of them are stored
    #[command(before_help = run::EXAMPLES)]
    Run(run::Args),
    /// Checks a job file and tells everything that is wrong with it
    #[command(before_help = "  cloudai job validate train.toml              ok, or every wrong field: exit 64\n  \
                             generate.py | cloudai job validate -         TOML, YAML or JSON")]
    Validate {
        /// The job file: TOML, YAML or JSON by its ending; - is stdin
        file: PathBuf,
    },
    /// Shows which task of a job needs which, and what may run at the same time
    #[command(before_help = "  cloudai job graph train.toml                 of a file, level by level\n  \
                             cloudai job graph 9QZD                       of a job, with what became of each task\n  \
                             cloudai job graph train.toml --format svg > train.svg\n  \
                             cloudai job graph train.toml --format dot | dot -Tpng > train.png")]
    Graph(graph::Args),
    /// Shows what of a job file would run where and when, and what never could; submits nothing
    #[command(before_help = "  cloudai job plan train.toml                  by what runs and waits now\n  \
                             cloudai job plan train.toml -o json          exit 2: some of it could never run")]
    Plan(plan::Args),
    /// Prints the JSON Schema of job files, by which editors complete and check them
    #[command(before_help = "  cloudai job schema > job.schema.json         for $schema in JSON, #:schema in TOML")]
    Schema,
    /// Lists jobs that go on; with --all ended ones too
    #[command(before_help = "  cloudai job list\n  cloudai job list --all --name nightly -o wide\n  \
                             cloudai job list --status failed -o quiet")]
    List(list::Args),
    /// Tells how a job goes on or why it ended so, what to do next, and where each of its tasks stands
    #[command(before_help = "  cloudai job info 9QZD                        its last 4 characters or more\n  \
                             cloudai job info last -o json")]
    Info(One),
    /// Lists the tasks of a job, each element of an array by itself
    #[command(before_help = "  cloudai job tasks 9QZD --status failed       what failed\n  \
                             cloudai job tasks 9QZD --task map --index 0-99 --limit 100")]
    Tasks(tasks::Args),
    /// Prints what the tasks of a job print, each line behind the name of its task
    #[command(before_help = "  cloudai job logs 9QZD                        task by task\n  \
                             cloudai job logs 9QZD --follow               live, until it ends; Ctrl-C leaves it running\n  \
                             cloudai job logs 9QZD --task map --index 4,7,9 --tail 20\n  \
                             cloudai job logs 9QZD --grep error -i")]
    Logs(logs::Args),
    /// Waits until a job has ended
    #[command(before_help = "  cloudai job wait 9QZD --timeout 2h           exit 0 completed, 3 not, 4 still going on")]
    Wait(wait::Args),
    /// Cancels what is left of a job, or some of its tasks
    #[command(before_help = "  cloudai job cancel 9QZD\n  \
                             cloudai job cancel 9QZD --task map --index 50-99\n  \
                             cloudai job cancel 9QZD --dry-run            only tells what would be cancelled")]
    Cancel(cancel::Args),
    /// Lets no more tasks of a job have their turn; those that wait for a place already, or run, go on
    #[command(before_help = "  cloudai job hold 9QZD                        to keep single ones: cloudai task hold")]
    Hold(One),
    /// Lets a held job go
    #[command(before_help = "  cloudai job release 9QZD                     from now on its tasks may be placed")]
    Release(One),
    /// Runs what did not complete of an ended job again, as a new job
    #[command(before_help = "  cloudai job retry 9QZD                       what completed is not run again\n  \
                             cloudai job retry 9QZD --dry-run             how much that is")]
    Retry(retry::Args),
}

/// A command about one job.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Its id, the last 4 characters of it or more, or `last`
    #[arg(value_name = "JOB")]
    id: String,
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => Box::pin(run::run(&args, cx)).await,
        Command::Graph(args) => graph::of_job(&args, cx).await,
        // Answered without a master.
        Command::Validate { .. } | Command::Schema => Ok(Exit::Ok),
        Command::Plan(args) => plan::run(&args, cx).await,
        Command::List(args) => list::run(&args, cx).await,
        Command::Info(one) => info::run(&one, cx).await,
        Command::Tasks(args) => tasks::run(&args, cx).await,
        Command::Logs(args) => Box::pin(logs::run(&args, cx)).await,
        Command::Wait(args) => Box::pin(wait::run(&args, cx)).await,
        Command::Cancel(args) => cancel::run(&args, cx).await,
        Command::Hold(one) => hold::hold(&one, cx).await,
        Command::Release(one) => hold::release(&one, cx).await,
        Command::Retry(args) => retry::run(&args, cx).await,
    }
}

/// The document of a job file that would be posted, what it is read as, and what is to be sent before it.
/// # Errors
/// A file that can not be read, or every wrong field at once.
pub(super) fn pack(path: &Path) -> Result<(Value, JobFile, Shipment), Failure> {
    file::pack(path)
}

/// The job of this id, with its parts.
async fn whole(id: &str, cx: &Context) -> Result<Job, Failure> {
    cx.client.get(&["api", "v1", "jobs", id], &[]).await
}

/// Whether nothing changes it any more.
fn has_ended(job: &Job) -> bool {
    // Its other words are none of a task.
    job.status.parse::<Status>().is_ok_and(Status::is_final)
}

/// Where a job stands now.
fn show(job: &Job, cx: &Context) -> Result<(), Failure> {
    cx.screen.one(job, &job.id, || render::job::outcome(job, &cx.screen))
}
